//! Media Streams messages: the recorded ones, every pending_hang_up from them, and what we send.

use cordboard_wire::limits::MEDIA_BYTES_MAX;
use cordboard_wire::twilio::{self, Encoding, FromCarrier, MediaFormat, Track};
use proptest::prelude::*;
use serde_json::{Value, json};

const STREAM: &str = "MZ00000000000000000000000000000001";

#[test]
fn a_recorded_call_is_understood_from_hello_to_stop() {
    let messages = capture("capture_a_connect_stream.jsonl");
    let parsed: Vec<_> = messages.iter().map(|m| FromCarrier::parse(m).unwrap()).collect();

    assert_eq!(parsed[0], FromCarrier::Connected { version: "1.0.0".to_owned() });
    let FromCarrier::Start(start) = &parsed[1] else { panic!("{:?}", parsed[1]) };
    assert_eq!(start.account_sid, "AC0000000000000000000000000000000a");
    assert_eq!(start.call_sid, "CA00000000000000000000000000000001");
    assert_eq!(start.stream_sid, STREAM);
    assert_eq!(
        start.format,
        MediaFormat { encoding: Encoding::Mulaw, sample_rate: 8000, channels: 1 }
    );
    assert_eq!(start.parameters, []);
    for (message, at) in [(&parsed[2], 155), (&parsed[3], 1593)] {
        let FromCarrier::Media { track, timestamp_ms, payload } = message else {
            panic!("{message:?}")
        };
        assert_eq!(*track, Track::Inbound);
        assert_eq!(*timestamp_ms, Some(at));
        assert_eq!(payload.len(), 160);
        assert!(payload.iter().all(|b| matches!(b, 0x7f | 0x7e | 0xff | 0xfe)), "line noise");
    }
    assert_eq!(parsed[4], FromCarrier::Stop);
}

#[test]
fn a_call_of_2019_is_understood_with_its_parameter() {
    let messages = capture("capture_b_start_stream_2019.jsonl");
    let messages: Vec<Value> =
        messages.iter().map(|m| serde_json::from_str::<Value>(m).unwrap()["msg"].take()).collect();
    let parse = |m: &Value| FromCarrier::parse(&m.to_string());

    assert_eq!(
        parse(&messages[0]).unwrap(),
        FromCarrier::Connected { version: "0.2.0".to_owned() }
    );
    let FromCarrier::Start(start) = parse(&messages[1]).unwrap() else { panic!() };
    assert_eq!(start.parameters, [("hello".to_owned(), "HelloValue".to_owned())]);
    // Its source has cut the payload, and a media message without audio is none.
    assert!(parse(&messages[2]).unwrap_err().reason.contains("media.payload"));
    assert_eq!(parse(&messages[3]).unwrap(), FromCarrier::Stop);
}

#[test]
fn a_recorded_mark_comes_back_by_its_name() {
    let messages = capture("capture_c_connect_stream_with_mark.jsonl");
    let parsed: Vec<_> = messages.iter().map(|m| FromCarrier::parse(m).unwrap()).collect();
    assert_eq!(parsed[3], FromCarrier::Mark { name: "171".to_owned() });
}

#[test]
fn a_message_of_another_stream_is_refused_whatever_it_is() {
    let other = "MZ00000000000000000000000000000002";
    for message in [
        json!({"event": "media", "streamSid": other, "media": {"payload": "/w=="}}),
        json!({"event": "dtmf", "streamSid": other, "dtmf": {"digit": "1"}}),
        json!({"event": "mark", "streamSid": other, "mark": {"name": "x"}}),
        json!({"event": "stop", "streamSid": other, "stop": {}}),
    ] {
        let text = message.to_string();
        assert!(FromCarrier::parse_for(&text, Some(STREAM)).is_err(), "{text}");
        assert!(FromCarrier::parse_for(&text, Some(other)).is_ok(), "{text}");
        assert!(FromCarrier::parse(&text).is_ok(), "{text}");
    }
    let silent = r#"{"event":"stop"}"#;
    assert_eq!(FromCarrier::parse_for(silent, Some(STREAM)), Ok(FromCarrier::Stop));
}

#[test]
fn numbers_may_be_numbers_or_strings_or_nonsense_that_is_passed_over() {
    for (timestamp, expected) in [
        (json!("155"), Some(155)),
        (json!(155), Some(155)),
        (json!(155.0), Some(155)),
        (json!(-20), None),
        (json!("soon"), None),
        (json!(null), None),
        (json!([155]), None),
        (json!({"ms": 155}), None),
    ] {
        let message =
            json!({"event": "media", "media": {"timestamp": timestamp, "payload": "f39/"}});
        assert_eq!(
            FromCarrier::parse(&message.to_string()),
            Ok(FromCarrier::Media {
                track: Track::Inbound,
                timestamp_ms: expected,
                payload: vec![0x7f; 3]
            }),
            "{timestamp}"
        );
    }
}

#[test]
fn the_order_of_keys_escapes_and_unknown_fields_make_no_difference() {
    let expected = FromCarrier::Media {
        track: Track::Outbound,
        timestamp_ms: Some(20),
        payload: vec![0xff; 3],
    };
    for text in [
        r#"{"event":"media","media":{"track":"outbound","timestamp":"20","payload":"////"}}"#,
        r#"{"media":{"payload":"////","timestamp":"20","track":"outbound"},"event":"media"}"#,
        r#"{"event":"media","media":{"track":"outbound","timestamp":"20","payload":"\/\/\/\/"}}"#,
        r#"{"event":"m\u0065dia","media":{"track":"outbound","timestamp":"20","payload":"////"}}"#,
        r#" {"x":[{}],"event":"media","media":{"y":null,"track":"outbound","timestamp":"20","payload":"////"}} "#,
        r#"{"event":"media","event":"media","media":{"track":"outbound","timestamp":"20","payload":"////"}}"#,
    ] {
        assert_eq!(FromCarrier::parse(text).as_ref(), Ok(&expected), "{text}");
    }
}

#[test]
fn every_key_of_a_telephone_is_heard_and_no_other() {
    for digit in "0123456789*#ABCD".chars() {
        let text = json!({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": digit}});
        assert_eq!(FromCarrier::parse(&text.to_string()), Ok(FromCarrier::Dtmf { digit }));
    }
    for digit in [json!(""), json!("12"), json!("E"), json!("\u{ff11}"), json!(1), json!(null)] {
        let text = json!({"event": "dtmf", "dtmf": {"digit": digit}});
        assert!(FromCarrier::parse(&text.to_string()).is_err(), "{digit}");
    }
}

#[test]
fn an_unknown_event_is_kept_by_a_name_that_is_safe_to_log() {
    assert_eq!(
        FromCarrier::parse(r#"{"event":"hologram","media":7}"#),
        Ok(FromCarrier::Unknown { event: "hologram".to_owned() })
    );
    let long = json!({"event": format!("a\n\u{1b}[31m{}", "x".repeat(5000))});
    let FromCarrier::Unknown { event } = FromCarrier::parse(&long.to_string()).unwrap() else {
        panic!()
    };
    assert_eq!(event.chars().count(), 64);
    assert!(event.starts_with("a??[31mxxx"), "{event}");
}

#[test]
fn a_format_is_read_and_never_assumed() {
    let cases = [
        (
            json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}),
            (Encoding::Mulaw, 8000, 1),
        ),
        (
            json!({"encoding": "audio/x-alaw", "sampleRate": "8000", "channels": "1"}),
            (Encoding::Alaw, 8000, 1),
        ),
        (
            json!({"encoding": "audio/L16;rate=16000", "sampleRate": 16000, "channels": 1}),
            (Encoding::Pcm16, 16000, 1),
        ),
        (
            json!({"encoding": "audio/opus", "sampleRate": 48000, "channels": 2}),
            (Encoding::Unknown, 48000, 2),
        ),
        (json!({}), (Encoding::Unknown, 0, 0)),
        (json!(null), (Encoding::Unknown, 0, 0)),
        (json!({"encoding": 8, "sampleRate": 1e12, "channels": 300}), (Encoding::Unknown, 0, 0)),
    ];
    for (format, (encoding, sample_rate, channels)) in cases {
        let text = start_with(|start| start["mediaFormat"] = format.clone());
        let FromCarrier::Start(start) = FromCarrier::parse(&text).unwrap() else { panic!() };
        assert_eq!(start.format, MediaFormat { encoding, sample_rate, channels }, "{format}");
    }
}

#[test]
fn parameters_may_be_missing_or_no_strings_and_are_bounded() {
    let parameters = |value: Value| {
        let text = start_with(|start| start["customParameters"] = value);
        let FromCarrier::Start(start) = FromCarrier::parse(&text).unwrap() else { panic!() };
        start.parameters
    };
    assert_eq!(parameters(json!(null)), []);
    assert_eq!(parameters(json!("none")), []);
    assert_eq!(
        parameters(json!({"a": "b", "n": 7, "z": null})),
        [("a", "b"), ("n", "7"), ("z", "")].map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    let many: serde_json::Map<_, _> = (0..500).map(|n| (n.to_string(), json!("x"))).collect();
    assert_eq!(parameters(Value::Object(many)).len(), 99);
}

#[test]
fn a_start_without_usable_ids_is_refused() {
    for broken in [
        start_with(|start| start["callSid"] = json!("")),
        start_with(|start| start["callSid"] = json!(null)),
        start_with(|start| start["callSid"] = json!("CA/../../x")),
        start_with(|start| start["streamSid"] = json!("MZ00000000000000000000000000000009")),
        start_with(|start| start["streamSid"] = json!("MZ\n")),
        start_with(|start| start["accountSid"] = json!("AC?x=1")),
        r#"{"event":"start"}"#.to_owned(),
    ] {
        assert!(FromCarrier::parse(&broken).is_err(), "{broken}");
    }
}

#[test]
fn a_broken_message_is_refused_without_quoting_it() {
    let secret = "MyMothersMaidenName";
    for text in [
        secret.to_owned(),
        format!("[\"{secret}\"]"),
        format!("{{\"event\":\"media\",\"{secret}"),
        format!("{{\"event\":[\"{secret}\"]}}"),
        format!("{{\"event\":\"media\",\"media\":\"{secret}\"}}"),
        format!("{{\"event\":\"media\",\"media\":{{\"payload\":\"{secret}!\"}}}}"),
        format!("{{\"event\":\"dtmf\",\"dtmf\":{{\"digit\":\"{secret}\"}}}}"),
        format!("{{\"event\":\"mark\",\"mark\":[\"{secret}\"]}}"),
        format!("{{\"event\":\"start\",\"start\":{{\"callSid\":\"{secret} {secret}\"}}}}"),
        format!("{{\"event\":\"stop\",\"streamSid\":\"{secret}\"}}"),
    ] {
        let error = FromCarrier::parse_for(&text, Some(STREAM)).unwrap_err();
        assert!(!error.to_string().contains(secret), "{error}");
    }
}

#[test]
fn a_payload_is_bounded() {
    let media = |bytes: usize| {
        let mut text = String::new();
        twilio::media(STREAM, &vec![0xff; bytes], &mut text);
        FromCarrier::parse(&text)
    };
    assert!(media(MEDIA_BYTES_MAX).is_ok());
    assert!(media(MEDIA_BYTES_MAX + 1).unwrap_err().reason.contains("65536"));
    assert!(media(MEDIA_BYTES_MAX * 4).is_err());
}

#[test]
fn what_is_sent_has_every_field_the_carrier_demands_and_no_other() {
    let mut out = String::from("kept: ");
    twilio::media(STREAM, &[0xff, 0x7f], &mut out);
    assert_eq!(
        out,
        format!(r#"kept: {{"event":"media","streamSid":"{STREAM}","media":{{"payload":"/38="}}}}"#)
    );
    out.clear();
    twilio::mark(STREAM, "g1\"\n", &mut out);
    assert_eq!(
        out,
        format!(r#"{{"event":"mark","streamSid":"{STREAM}","mark":{{"name":"g1\"\n"}}}}"#)
    );
    out.clear();
    twilio::clear(STREAM, &mut out);
    assert_eq!(out, format!(r#"{{"event":"clear","streamSid":"{STREAM}"}}"#));
}

#[test]
fn a_frame_is_written_into_the_room_there_is() {
    let mut out = String::with_capacity(400);
    let room = (out.as_ptr(), out.capacity());
    for _ in 0..3 {
        out.clear();
        twilio::media(STREAM, &[0xff; 160], &mut out);
    }
    assert_eq!((out.as_ptr(), out.capacity()), room);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".*") {
        let _ = FromCarrier::parse(&text);
    }

    #[test]
    fn no_json_makes_the_parser_panic(value in json_like()) {
        let _ = FromCarrier::parse(&value.to_string());
    }

    #[test]
    fn any_audio_survives_the_way_out_and_back(
        payload in proptest::collection::vec(any::<u8>(), 0..2000),
        stream in "[A-Za-z0-9]{1,40}",
    ) {
        let mut out = String::new();
        twilio::media(&stream, &payload, &mut out);
        prop_assert_eq!(
            FromCarrier::parse_for(&out, Some(&stream)),
            Ok(FromCarrier::Media { track: Track::Inbound, timestamp_ms: None, payload })
        );
    }

    #[test]
    fn any_mark_survives_the_way_out_and_back(name in ".*", stream in ".*") {
        let mut out = String::new();
        twilio::mark(&stream, &name, &mut out);
        prop_assert_eq!(
            FromCarrier::parse_for(&out, Some(&stream)),
            Ok(FromCarrier::Mark { name })
        );
    }
}

/// Messages with the protocol's own keys and values of every type in wrong places.
fn json_like() -> impl Strategy<Value = Value> {
    let keys = [
        "event",
        "media",
        "start",
        "dtmf",
        "mark",
        "stop",
        "streamSid",
        "payload",
        "digit",
        "name",
        "timestamp",
        "track",
        "callSid",
        "accountSid",
        "mediaFormat",
        "encoding",
        "customParameters",
    ];
    let words = ["media", "start", "dtmf", "mark", "stop", "connected", "f39/", "====", "1", ""];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(
                proptest::sample::select(keys.to_vec()).prop_map(str::to_owned),
                inner,
                0..6
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn start_with(change: impl FnOnce(&mut Value)) -> String {
    let mut message: Value =
        serde_json::from_str(&capture("capture_a_connect_stream.jsonl")[1]).expect("JSON");
    change(&mut message["start"]);
    message.to_string()
}

fn capture(name: &str) -> Vec<String> {
    let path = format!("{}/../../tests/fixtures/twilio/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the captures are in the tree");
    text.lines().map(str::to_owned).collect()
}
