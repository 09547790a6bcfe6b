//! What holds for every call and every session, whatever they are about.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cordboard_sim::carrier::{CallReport, Message, Side, StreamReport};
use cordboard_sim::model::SessionLog;
use serde_json::Value;

/// Holds a call to the carrier's rules.
pub fn call(report: &CallReport) {
    // 31951: a message against the rules. 31931: ten minutes of audio waiting. 31924: the WebSocket
    // protocol. 12100, 12300: no TwiML.
    for code in [31951, 31931, 31924, 31941, 12100, 12300] {
        assert!(!report.filed(code), "{:?}", report.debugger);
    }
    for told in report.requests.iter().filter(|it| it.purpose.starts_with("stream-")) {
        assert_eq!(told.status, Some(204), "{}: {}", told.purpose, told.body);
    }
    report.streams.iter().for_each(stream);
}

fn stream(stream: &StreamReport) {
    for logged in stream.received(|message| matches!(message, Message::Media(_))) {
        let Message::Media(bytes) = logged.message else { continue };
        assert!(bytes > 0 && bytes % 160 == 0, "{bytes} bytes are no whole frames");
    }
    marks_balance(stream);
    let mut unplayed = false;
    for logged in stream.received(|_| true) {
        match &logged.message {
            Message::Media(_) => unplayed = true,
            Message::Clear => {
                assert!(unplayed, "a clear at {} ms with nothing to clear", logged.at_ms);
                unplayed = false;
            }
            _ => {}
        }
    }
}

/// Every mark has a name of its own, and is echoed or known to be missing.
fn marks_balance(stream: &StreamReport) {
    let named = |side| {
        let of_side = move |logged: &&cordboard_sim::carrier::Logged| logged.from == side;
        let names =
            stream.messages.iter().filter(of_side).filter_map(|logged| match &logged.message {
                Message::Mark(name) => Some(name.as_str()),
                _ => None,
            });
        names.collect::<Vec<_>>()
    };
    let (sent, echoed) = (named(Side::Gateway), named(Side::Carrier));
    let distinct: BTreeSet<_> = sent.iter().collect();
    assert_eq!(distinct.len(), sent.len(), "a mark's name was used twice: {sent:?}");
    let mut known: Vec<&str> = echoed;
    known.extend(stream.unechoed_marks.iter().map(String::as_str));
    let known: BTreeSet<_> = known.iter().collect();
    // A stream that breaks off loses echoes the carrier had on their way; none are invented.
    assert!(known.is_subset(&distinct), "echoes of marks nobody sent: {known:?} {sent:?}");
}

/// Holds a session to what a model's server can rely on.
pub fn session(session: &SessionLog) {
    formats_stay(session);
    audio_waits_for_the_session(session);
    truncations_are_true(session);
    let mut by_id: BTreeMap<&str, &Value> = BTreeMap::new();
    for event in session.received.iter().map(|received| &received.event) {
        // An event may be repeated under its id; another event under it could not be told apart.
        let Some(id) = event["event_id"].as_str() else { continue };
        let first = by_id.entry(id).or_insert(event);
        assert_eq!(*first, event, "two events under one event_id");
    }
    for received in &session.received {
        let kind = received.event["type"].as_str().unwrap_or_default();
        let attributable =
            kind == "input_audio_buffer.append" || received.event["event_id"].is_string();
        assert!(attributable, "an error about this could not be attributed: {}", received.event);
    }
}

/// Both formats of a `session.update`, in either dialect.
fn formats(update: &Value) -> (Value, Value) {
    let session = &update["session"];
    if session["audio"].is_null() {
        (session["input_audio_format"].clone(), session["output_audio_format"].clone())
    } else {
        let audio = &session["audio"];
        (audio["input"]["format"].clone(), audio["output"]["format"].clone())
    }
}

/// An update without formats, or with others, puts some servers back to PCM: noise on the phone.
fn formats_stay(session: &SessionLog) {
    let updates = session.received_of("session.update");
    let Some(first) = updates.first() else { return };
    let wanted = formats(&first.event);
    assert!(!wanted.0.is_null() && !wanted.1.is_null(), "no formats in {}", first.event);
    for update in updates {
        assert_eq!(formats(&update.event), wanted);
    }
}

/// The first bytes before the format is confirmed would be read as something else.
fn audio_waits_for_the_session(session: &SessionLog) {
    let Some(first) = session.received_of("input_audio_buffer.append").first().map(|r| r.at_ms)
    else {
        return;
    };
    let updated = session.sent_of("session.updated").first().map(|sent| sent.at_ms);
    assert!(
        updated.is_some_and(|at| at <= first),
        "audio at {first} ms, session at {updated:?} ms"
    );
}

fn bytes_per_ms(session: &SessionLog) -> f64 {
    let update =
        session.received_of("session.update").first().map(|update| formats(&update.event).1);
    let format = update.unwrap_or_default();
    match format["type"].as_str().or(format.as_str()) {
        Some("audio/pcmu" | "g711_ulaw") => 8.0,
        Some("audio/pcm" | "pcm16") => 48.0,
        other => panic!("a format nobody asked for: {other:?}"),
    }
}

/// An item is truncated once, at a whole number of ms that the server has sent by then.
fn truncations_are_true(session: &SessionLog) {
    let mut seen = BTreeSet::new();
    for truncate in session.received_of("conversation.item.truncate") {
        let item = truncate.event["item_id"].as_str().expect("an item is named");
        assert!(seen.insert(item.to_owned()), "{item} was truncated twice");
        let end_ms = &truncate.event["audio_end_ms"];
        let end_ms = end_ms.as_u64().unwrap_or_else(|| panic!("{end_ms} is no whole number of ms"));
        let sent = sent_ms(session, truncate.at_ms).remove(item).unwrap_or(0.0);
        assert!(end_ms as f64 <= sent, "{end_ms} ms of {item}, of which {sent} ms were sent");
    }
}

/// The audio sent per item until a moment, in ms.
fn sent_ms(session: &SessionLog, until_ms: f64) -> BTreeMap<String, f64> {
    let per_ms = bytes_per_ms(session);
    let mut sent = BTreeMap::new();
    for event in session.sent.iter().filter(|sent| sent.at_ms <= until_ms).map(|sent| &sent.event) {
        if let (Some(bytes), Some(item)) =
            (event["delta_bytes"].as_f64(), event["item_id"].as_str())
        {
            *sent.entry(item.to_owned()).or_default() += bytes / per_ms;
        }
    }
    sent
}

/// Every byte the model was given, decoded and joined.
pub fn appended(session: &SessionLog) -> Vec<u8> {
    let audio = |event: &Value| {
        let text = event["audio"].as_str().expect("an append has audio");
        STANDARD.decode(text).expect("audio is base64")
    };
    session
        .received_of("input_audio_buffer.append")
        .iter()
        .flat_map(|received| audio(&received.event))
        .collect()
}

/// A session in `audio/pcmu` was given the caller's line, not a byte more, less or otherwise.
pub fn caller_reaches_model_bit_by_bit(report: &CallReport, session: &SessionLog) {
    let (appended, said) = (appended(session), &report.stream().said);
    assert_eq!(appended.len(), said.len(), "bytes appended, bytes said");
    let differs = appended.iter().zip(said).position(|(given, said)| given != said);
    assert_eq!(differs, None, "the first byte that differs");
}

/// The caller heard these stretches of audio and nothing else; each may be padded to a whole frame.
pub fn caller_hears(report: &CallReport, stretches: &[Vec<u8>]) {
    let stream = report.stream();
    let mut heard: Vec<u8> = Vec::new();
    for span in &stream.spans {
        heard.extend(&stream.heard[span.from as usize..span.to as usize]);
    }
    let mut wanted: Vec<u8> = Vec::new();
    for stretch in stretches {
        wanted.extend(stretch);
        wanted.resize(wanted.len().next_multiple_of(160), cordboard_sim::audio::SILENCE);
    }
    let differs = heard.iter().zip(&wanted).position(|(heard, wanted)| heard != wanted);
    assert_eq!(differs, None, "the first byte that differs; spans {:?}", stream.spans);
    assert_eq!(heard.len(), wanted.len(), "bytes heard, bytes spoken");
}
