//! Webhook forms, TwiML and REST requests.

use cordboard_wire::twilio::{
    CallDirection, CallStatus, ConnectStream, Outcome, Rejection, RestError, StreamEvent,
    StreamStatus, Transport, TwimlError, Webhook, WebhookError, classify, connect_stream, dial,
    hang_up, hang_up_call, play_digits_then_connect, redirect_call, reject, say_and_hang_up,
    update_call,
};
use proptest::prelude::*;
use quick_xml::XmlVersion;
use quick_xml::events::Event;
use serde_json::Value;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

#[test]
fn a_recorded_webhook_is_read_and_kept_whole() {
    let pairs = form("twiml_webhook_form");
    let webhook = Webhook::parse(pairs.clone(), Some("token-1".to_owned())).unwrap();
    assert_eq!(webhook.call_sid, "CA00000000000000000000000000000003");
    assert_eq!(webhook.account_sid, "AC0000000000000000000000000000000a");
    assert_eq!(webhook.from.as_deref(), Some("+15005550006"));
    assert_eq!(webhook.to.as_deref(), Some("+815550100111"));
    assert_eq!(webhook.direction, CallDirection::OutboundApi);
    assert_eq!(webhook.call_status, CallStatus::InProgress);
    assert_eq!(webhook.idempotency_token.as_deref(), Some("token-1"));
    assert_eq!(webhook.find("FromCity"), Some(""), "empty ones are part of the signature");
    assert_eq!(webhook.find("SipHeader_X"), None);
    assert_eq!(webhook.all, pairs);
}

#[test]
fn a_webhook_needs_its_ids_and_nothing_else() {
    let pairs = |call: &str, account: &str| {
        [
            ("CallSid", call),
            ("AccountSid", account),
            ("From", ""),
            ("CallStatus", "new-in-2027"),
            ("SequenceNumber", "3"),
        ]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .to_vec()
    };
    let webhook = Webhook::parse(pairs("CA1", "AC1"), Some(String::new())).unwrap();
    assert_eq!(webhook.from, None);
    assert_eq!(webhook.direction, CallDirection::Unknown);
    assert_eq!(webhook.call_status, CallStatus::Unknown);
    assert_eq!(webhook.idempotency_token, None);
    assert_eq!(webhook.sequence_number(), Some(3));
    assert_eq!(Webhook::parse(vec![], None), Err(WebhookError::Missing("CallSid")));
    assert_eq!(Webhook::parse(pairs("CA1/../x", "AC1"), None), Err(WebhookError::NoId("CallSid")));
    assert_eq!(Webhook::parse(pairs("CA1", ""), None), Err(WebhookError::Missing("AccountSid")));
}

#[test]
fn every_call_status_is_known_by_its_name() {
    for (name, status, is_final) in [
        ("queued", CallStatus::Queued, false),
        ("initiated", CallStatus::Initiated, false),
        ("ringing", CallStatus::Ringing, false),
        ("in-progress", CallStatus::InProgress, false),
        ("completed", CallStatus::Completed, true),
        ("busy", CallStatus::Busy, true),
        ("failed", CallStatus::Failed, true),
        ("no-answer", CallStatus::NoAnswer, true),
        ("canceled", CallStatus::Canceled, true),
    ] {
        let pairs = [("CallSid", "CA1"), ("AccountSid", "AC1"), ("CallStatus", name)];
        let pairs = pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        let webhook = Webhook::parse(pairs, None).unwrap();
        assert_eq!((webhook.call_status, webhook.call_status.is_final()), (status, is_final));
    }
}

#[test]
fn recorded_stream_callbacks_are_read() {
    let started = StreamStatus::parse(&form("stream_started_form")).unwrap();
    assert_eq!(started.event, StreamEvent::Started);
    assert_eq!(started.stream_sid, "MZ00000000000000000000000000000003");
    let mut failed = form("stream_stopped_form");
    assert_eq!(StreamStatus::parse(&failed).unwrap().event, StreamEvent::Stopped);
    failed.retain(|(name, _)| name != "StreamEvent");
    assert_eq!(StreamStatus::parse(&failed), Err(WebhookError::Missing("StreamEvent")));
    for (name, value) in [("StreamEvent", "stream-error"), ("StreamError", "31920 handshake")] {
        failed.push((name.to_owned(), value.to_owned()));
    }
    let failed = StreamStatus::parse(&failed).unwrap();
    assert_eq!(failed.event, StreamEvent::Error);
    assert_eq!(failed.error.as_deref(), Some("31920 handshake"));
}

#[test]
fn a_call_is_connected_to_a_stream() {
    let parameters = [("tenant".to_owned(), "a<b>&\"'c".to_owned())];
    let stream = ConnectStream {
        status_callback: Some("https://gw.example.com/status?a=1&b=2"),
        action: Some("https://gw.example.com/after"),
        parameters: &parameters,
        ..plain("wss://gw.example.com/tw/token")
    };
    assert_eq!(
        connect_stream(&stream).unwrap(),
        format!(
            "{HEAD}<Response><Connect action=\"https://gw.example.com/after\">\
             <Stream url=\"wss://gw.example.com/tw/token\" \
             statusCallback=\"https://gw.example.com/status?a=1&amp;b=2\">\
             <Parameter name=\"tenant\" value=\"a&lt;b&gt;&amp;&quot;&apos;c\"/>\
             </Stream></Connect></Response>"
        )
    );
}

#[test]
fn a_stream_the_carrier_would_refuse_is_refused_here() {
    let url = |url| connect_stream(&plain(url)).unwrap_err();
    assert_eq!(url("https://gw.example.com/s"), TwimlError::StreamScheme);
    assert_eq!(url("ws://gw.example.com/s"), TwimlError::StreamScheme);
    assert_eq!(url("wss://"), TwimlError::StreamScheme);
    assert_eq!(url("wss:///s"), TwimlError::StreamScheme);
    assert_eq!(url("wss://gw.example.com/s?token=1"), TwimlError::StreamQuery);
    assert_eq!(url("wss://gw.example.com/s#1"), TwimlError::StreamQuery);
    assert_eq!(url("wss://gw.example.com/a b"), TwimlError::UrlCharacter("url"));
    let local = ConnectStream {
        transport: Transport::PlainAllowedForTests,
        ..plain("ws://127.0.0.1:8080/s")
    };
    assert!(connect_stream(&local).is_ok());

    let action = ConnectStream { action: Some("/after"), ..plain("wss://h/s") };
    assert_eq!(connect_stream(&action), Err(TwimlError::NotAbsolute("action")));
    let callback = ConnectStream { status_callback: Some("ftp://h"), ..plain("wss://h/s") };
    assert_eq!(connect_stream(&callback), Err(TwimlError::NotAbsolute("statusCallback")));
}

#[test]
fn parameters_stay_below_what_the_carrier_carries() {
    let parameters = |pairs: &[(String, String)]| {
        connect_stream(&ConnectStream { parameters: pairs, ..plain("wss://h/s") }).err()
    };
    let pair = |name: &str, chars: usize| (name.to_owned(), "\u{e9}".repeat(chars));
    assert_eq!(parameters(&[pair("n", 498)]), None, "499 characters, counted as characters");
    assert_eq!(parameters(&[pair("n", 499)]), Some(TwimlError::ParameterLength));
    assert_eq!(parameters(&[pair("", 1)]), Some(TwimlError::ParameterName));
    assert_eq!(parameters(&vec![pair("n", 1); 99]), None);
    assert_eq!(parameters(&vec![pair("n", 1); 100]), Some(TwimlError::ParameterCount));
    assert_eq!(parameters(&vec![pair("n", 498); 99]), Some(TwimlError::DocumentLength));
}

#[test]
fn other_answers_are_written_as_the_carrier_reads_them() {
    let response = |inner: &str| format!("{HEAD}<Response>{inner}</Response>");
    assert_eq!(hang_up(), response("<Hangup/>"));
    assert_eq!(reject(Rejection::Busy), response("<Reject reason=\"busy\"/>"));
    assert_eq!(reject(Rejection::Rejected), response("<Reject reason=\"rejected\"/>"));
    assert_eq!(
        say_and_hang_up("Tom & <Jerry>\u{1}").unwrap(),
        response("<Say>Tom &amp; &lt;Jerry&gt;\u{fffd}</Say><Hangup/>")
    );
    assert_eq!(say_and_hang_up(&"x".repeat(4097)), Err(TwimlError::SayLength));
    assert_eq!(
        play_digits_then_connect("ww1#", &plain("wss://h/s")).unwrap(),
        response("<Play digits=\"ww1#\"/><Connect><Stream url=\"wss://h/s\"></Stream></Connect>")
    );
    for keys in ["", "12a", "1\"/><Hangup/>", &"1".repeat(33)] {
        let answer = play_digits_then_connect(keys, &plain("wss://h/s"));
        assert_eq!(answer, Err(TwimlError::Keys), "{keys}");
    }
}

#[test]
fn a_call_is_passed_on_only_to_what_can_be_dialled() {
    let dial_tag = "<Dial answerOnBridge=\"true\" timeout=\"20\"";
    assert_eq!(
        dial("+14155550100", Some("+15005550006"), Some("https://h/after")).unwrap(),
        format!(
            "{HEAD}<Response>{dial_tag} callerId=\"+15005550006\" action=\"https://h/after\">\
             <Number>+14155550100</Number></Dial></Response>"
        )
    );
    assert!(
        dial("sip:bob@example.com?a=1&b", None, None)
            .unwrap()
            .contains("<Sip>sip:bob@example.com?a=1&amp;b</Sip>")
    );
    assert!(dial("client:bob", None, None).unwrap().contains("<Client>bob</Client>"));
    for nobody in ["", "911", "+", "+1x", "+1234567890123456", "sip:", "sip:a b", "tel:+1415"] {
        assert_eq!(dial(nobody, None, None), Err(TwimlError::Number("number")), "{nobody}");
    }
    assert_eq!(dial("+1415555", Some("me"), None), Err(TwimlError::Number("caller id")));
}

#[test]
fn requests_name_the_call_in_their_path() {
    let request = hang_up_call("AC1", "CA1").unwrap();
    assert_eq!(request.path, "/2010-04-01/Accounts/AC1/Calls/CA1.json");
    assert_eq!(request.form, [("Status".to_owned(), "completed".to_owned())]);
    let request = update_call("AC1", "CA1", &hang_up()).unwrap();
    assert_eq!(request.form, [("Twiml".to_owned(), hang_up())]);
    let request = redirect_call("AC1", "CA1", "https://h/x").unwrap();
    assert_eq!(request.form[0], ("Url".to_owned(), "https://h/x".to_owned()));
    assert_eq!(hang_up_call("AC1", "CA1/../x"), Err(RestError::NoId("call")));
    assert_eq!(hang_up_call("", "CA1"), Err(RestError::NoId("account")));
    assert_eq!(update_call("AC1", "CA1", &"x".repeat(4001)), Err(RestError::TwimlLength));
}

#[test]
fn answers_to_requests_say_what_to_do_next() {
    for (status, body, outcome) in [
        (200, "", Outcome::Done),
        (201, "{}", Outcome::Done),
        (404, r#"{"code":20404}"#, Outcome::AlreadyGone),
        (404, "<html>", Outcome::AlreadyGone),
        (400, r#"{"code":21220}"#, Outcome::AlreadyGone),
        (401, r#"{"code":20003}"#, Outcome::Unauthorized),
        (429, r#"{"code":20429}"#, Outcome::Retry),
        (503, "", Outcome::Retry),
        (400, r#"{"code":15004,"message":"x"}"#, Outcome::Refused { code: Some(15004) }),
        (400, "not json", Outcome::Refused { code: None }),
        (302, "", Outcome::Refused { code: None }),
    ] {
        assert_eq!(classify(status, body), outcome, "{status} {body}");
    }
}

proptest! {
    #[test]
    fn hostile_parameters_come_back_as_they_were_or_are_refused(
        pairs in proptest::collection::vec((any::<String>(), any::<String>()), 0..5)
    ) {
        let stream = ConnectStream { parameters: &pairs, ..plain("wss://h/s") };
        if let Ok(document) = connect_stream(&stream) {
            let expected: Vec<_> =
                pairs.iter().map(|(n, v)| (without_controls(n), without_controls(v))).collect();
            prop_assert_eq!(parameters_in(&document), expected);
        }
    }
}

fn plain(url: &str) -> ConnectStream<'_> {
    ConnectStream {
        url,
        status_callback: None,
        action: None,
        parameters: &[],
        transport: Transport::Tls,
    }
}

/// XML 1.0 has no way of writing these.
fn without_controls(text: &str) -> String {
    let has_none = |c| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}');
    let replaced = |c| has_none(c) || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if replaced(c) { '\u{fffd}' } else { c }).collect()
}

/// The parameters as an XML parser reads them; panics where the document is none.
fn parameters_in(document: &str) -> Vec<(String, String)> {
    let mut reader = quick_xml::Reader::from_str(document);
    let mut found = Vec::new();
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Eof => return found,
            Event::Empty(tag) if tag.name().as_ref() == "Parameter" => {
                let value = |name: &str| {
                    let attribute = tag.try_get_attribute(name).expect("attributes");
                    let attribute = attribute.expect("both attributes");
                    attribute
                        .normalized_value(XmlVersion::Implicit1_0)
                        .expect("escapes")
                        .into_owned()
                };
                found.push((value("name"), value("value")));
            }
            _ => {}
        }
    }
}

fn form(name: &str) -> Vec<(String, String)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/twilio/stream_callbacks_capture_c.json"
    );
    let text = std::fs::read_to_string(path).expect("the forms are in the tree");
    let mut file: Value = serde_json::from_str(&text).expect("JSON");
    serde_json::from_value(file[name].take()).expect("pairs")
}
