//! What must hold for every input, however hostile: one function per fuzz target.
//!
//! Each takes any bytes, and panics only when the wire crate has broken a promise. The stable smoke
//! test of that crate includes this file, so it uses nothing but the crate's public interface.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cordboard_wire::Secret;
use cordboard_wire::openai::{ClientEvent, Dialect, EventReader, ServerEvent};
use cordboard_wire::twilio::{self, ConnectStream, FromCarrier, SigningKey, Transport};
use hmac::{Hmac, KeyInit as _, Mac as _};
use quick_xml::XmlVersion;
use quick_xml::events::Event;
use serde_json::Value;
use serde_json::value::RawValue;

/// Longer than any reason of ours: a longer one would quote the message.
const REASON_BYTES_MAX: usize = 160;

/// A message on the carrier's socket.
pub fn twilio_stream(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let stream = "MZ00000000000000000000000000000001";
    let message = match FromCarrier::parse_for(text, Some(stream)) {
        Ok(message) => message,
        Err(error) => return assert!(error.reason.len() < REASON_BYTES_MAX, "{}", error.reason),
    };
    assert_eq!(FromCarrier::parse(text).as_ref(), Ok(&message), "the stream only restricts");
    let mut out = String::new();
    match &message {
        FromCarrier::Media { payload, .. } => {
            twilio::media(stream, payload, &mut out);
            let again = FromCarrier::parse_for(&out, Some(stream));
            assert!(matches!(again, Ok(FromCarrier::Media { payload: p, .. }) if p == *payload));
        }
        FromCarrier::Mark { name } => {
            twilio::mark(stream, name, &mut out);
            assert_eq!(FromCarrier::parse_for(&out, Some(stream)).as_ref(), Ok(&message));
        }
        FromCarrier::Start(start) => {
            twilio::hang_up_call("AC0", &start.call_sid).expect("an id that fits a path");
        }
        FromCarrier::Dtmf { digit } => assert!("0123456789*#ABCD".contains(*digit)),
        FromCarrier::Unknown { event } => assert!(event.bytes().all(|b| b.is_ascii_graphic())),
        FromCarrier::Connected { .. } | FromCarrier::Stop => {}
    }
}

/// A message of the model's server, in either dialect.
pub fn openai_server(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for dialect in [Dialect::Ga, Dialect::Beta] {
        let events = match ServerEvent::parse(text, dialect) {
            Ok(events) => events,
            Err(error) => return assert!(error.reason.len() < REASON_BYTES_MAX, "{error}"),
        };
        for event in events {
            let json = match &event {
                ServerEvent::SessionUpdated { json, .. }
                | ServerEvent::Error { json, .. }
                | ServerEvent::Other { json, .. } => json,
                ServerEvent::SessionCreated { .. } | ServerEvent::AudioDelta { .. } => continue,
            };
            // JSON by its grammar: half a surrogate pair or 1e999 inside is the server's own, and
            // goes on as it came.
            let fields: BTreeMap<String, &RawValue> =
                serde_json::from_str(json).expect("a tenant is shown JSON");
            let kind: String = serde_json::from_str(fields["type"].get()).expect("a name");
            let beta = ["response.audio", "response.text", "conversation.item.created"];
            assert!(
                !beta.iter().any(|name| {
                    kind == *name
                        || [".delta", ".done"].iter().any(|end| kind == format!("{name}{end}"))
                }),
                "{kind} is a name of the beta"
            );
            let again = ServerEvent::parse(json, Dialect::Ga).expect("it reads back");
            assert_eq!((&again.first, &again.second), (&event, &None));
        }
        named_events(text, dialect);
    }
}

/// The same event twice in a session: whatever it left out, what comes of it has its ids.
fn named_events(text: &str, dialect: Dialect) {
    let mut reader = EventReader::new(dialect, 1);
    for _ in 0..2 {
        for event in reader.read(text).expect("what was read once is read again") {
            match event {
                ServerEvent::AudioDelta { response, item, .. } => {
                    assert!(!response.is_empty() && !item.is_empty(), "audio of nobody");
                }
                ServerEvent::Other { kind, json } if kind == "response.done" => {
                    // A number no parser takes leaves such an event as it came.
                    let Ok(event) = serde_json::from_str::<Value>(&json) else { continue };
                    assert!(event["response"]["id"].is_string(), "the end of nothing");
                }
                _ => {}
            }
        }
    }
}

/// An event a tenant wants sent.
pub fn openai_client(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let event = match ClientEvent::parse(text) {
        Ok(event) => event,
        Err(refusal) => return assert!(refusal.reason.len() < REASON_BYTES_MAX, "{refusal}"),
    };
    let sent = event.encode(Dialect::Ga);
    let again = ClientEvent::parse(&sent).expect("what goes out may go out again");
    assert_eq!(again.encode(Dialect::Ga), sent);
    assert_eq!(again.asks_audio, event.asks_audio);
    for dialect in [Dialect::Ga, Dialect::Beta] {
        let tree: Value = serde_json::from_str(&event.encode(dialect)).expect("JSON");
        assert_eq!(tree["type"], event.kind.as_str());
        if event.kind == "conversation.item.truncate" {
            assert!(tree["audio_end_ms"].is_u64(), "whole and not negative");
        }
    }
}

/// A key, a URL and a form (`name=value` with `&`), a line each, against a signer of our own.
pub fn signature_form(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let (key, url) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut form = pairs_in(lines.next().unwrap_or_default(), '&');
    let _ = twilio::Webhook::parse(form.clone(), None);
    let _ = twilio::StreamStatus::parse(&form);
    let _ = twilio::verify_body(url, data);

    let keys = [SigningKey::auth_token("k", Secret::new(key))];
    let right = signature(key, url, &form);
    if key.is_empty() {
        assert!(twilio::verify(&keys, url, &form, &right).is_err(), "a blank key opens nothing");
        return;
    }
    assert_eq!(twilio::verify(&keys, url, &form, &right), Ok("k"));
    form.reverse();
    assert_eq!(twilio::verify(&keys, url, &form, &right), Ok("k"), "order is no matter");
    let (first, rest) = right.split_at(1);
    let wrong = format!("{}{rest}", if first == "A" { "B" } else { "A" });
    assert!(twilio::verify(&keys, url, &form, &wrong).is_err());
    form.push(("added".to_owned(), "later".to_owned()));
    assert!(
        twilio::verify(&keys, url, &form, &right).is_err()
            || form[..form.len() - 1].contains(&form[form.len() - 1])
    );
}

/// A URL, then parameters as `name=value` lines; the same text also as words, number and keys.
pub fn twiml_params(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (url, rest) = text.split_once('\n').unwrap_or((text, ""));
    let parameters = pairs_in(rest, '\n');
    let stream = ConnectStream {
        url: "wss://gw.example.com/s",
        status_callback: None,
        action: None,
        parameters: &parameters,
        transport: Transport::Tls,
    };
    if let Ok(document) = twilio::connect_stream(&stream) {
        let (elements, read) = read_back(&document);
        assert_eq!(elements[..3], ["Response", "Connect", "Stream"]);
        assert!(elements[3..].iter().all(|name| name == "Parameter"));
        let printable = |text: &str| text.chars().all(|c| (' '..'\u{fffd}').contains(&c));
        assert_eq!(read.len(), parameters.len());
        for ((name, value), (name_read, value_read)) in parameters.iter().zip(&read) {
            assert!(!printable(name) || name == name_read);
            assert!(!printable(value) || value == value_read);
        }
    }
    let anywhere = ConnectStream { url, transport: Transport::PlainAllowedForTests, ..stream };
    let with_callbacks = ConnectStream { status_callback: Some(url), action: Some(url), ..stream };
    for (document, expected) in [
        (
            twilio::connect_stream(&ConnectStream { parameters: &[], ..anywhere }),
            &["Response", "Connect", "Stream"][..],
        ),
        (
            twilio::connect_stream(&ConnectStream { parameters: &[], ..with_callbacks }),
            &["Response", "Connect", "Stream"],
        ),
        (twilio::say_and_hang_up(text), &["Response", "Say", "Hangup"]),
        (
            twilio::play_digits_then_connect(url, &ConnectStream { parameters: &[], ..stream }),
            &["Response", "Play", "Connect", "Stream"],
        ),
    ] {
        if let Ok(document) = document {
            assert_eq!(read_back(&document).0, expected);
        }
    }
    if let Ok(document) = twilio::dial(url, Some(url), None) {
        let (elements, _) = read_back(&document);
        assert_eq!(elements[..2], ["Response", "Dial"]);
        assert_eq!(elements.len(), 3);
    }
}

fn pairs_in(text: &str, between: char) -> Vec<(String, String)> {
    text.split(between)
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The documented algorithm, written another way than the one under test.
fn signature(key: &str, url: &str, form: &[(String, String)]) -> String {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in form {
        values.entry(name).or_default().insert(value);
    }
    let mut signed = url.to_owned();
    for (name, values) in values {
        for value in values {
            signed.push_str(name);
            signed.push_str(value);
        }
    }
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes any key");
    mac.update(signed.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A document's elements in order, and its parameters, as an XML parser sees them.
fn read_back(document: &str) -> (Vec<String>, Vec<(String, String)>) {
    let mut reader = quick_xml::Reader::from_str(document);
    let (mut elements, mut parameters) = (Vec::new(), Vec::new());
    loop {
        let tag = match reader.read_event().expect("well-formed XML") {
            Event::Eof => return (elements, parameters),
            Event::Start(tag) | Event::Empty(tag) => tag,
            _ => continue,
        };
        elements.push(tag.name().as_ref().to_owned());
        let values: Vec<(String, String)> = tag
            .attributes()
            .map(|attribute| {
                let attribute = attribute.expect("an attribute");
                let name = attribute.key.as_ref().to_owned();
                let value = attribute.normalized_value(XmlVersion::Implicit1_0);
                (name, value.expect("known escapes").into_owned())
            })
            .collect();
        if tag.name().as_ref() == "Parameter" {
            let [(n, name), (v, value)] = &values[..] else { panic!("two attributes") };
            assert_eq!((n.as_str(), v.as_str()), ("name", "value"));
            parameters.push((name.clone(), value.clone()));
        }
    }
}
