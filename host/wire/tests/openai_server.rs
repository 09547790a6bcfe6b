//! What the model's server says: GA as it was seen live, the beta normalised, and every known way of
//! saying it differently.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cordboard_wire::limits::DELTA_BYTES_MAX;
use cordboard_wire::openai::{
    AudioFormat, Dialect, ErrorKind, ServerEvent, SessionAudio, formats_named,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const BOTH: [Dialect; 2] = [Dialect::Ga, Dialect::Beta];

#[test]
fn audio_arrives_decoded_under_its_new_and_its_old_name() {
    for name in ["response.output_audio.delta", "response.audio.delta"] {
        for dialect in BOTH {
            let event = json!({
                "type": name, "event_id": "e1", "response_id": "resp_1", "item_id": "item_1",
                "output_index": 0, "content_index": 2, "delta": STANDARD.encode([1, 2, 3]),
                "obfuscation": "kQ8s",
            });
            assert_eq!(
                one(&event, dialect),
                ServerEvent::AudioDelta {
                    response: "resp_1".to_owned(),
                    item: "item_1".to_owned(),
                    content_index: 2,
                    audio: vec![1, 2, 3]
                }
            );
        }
    }
}

#[test]
fn audio_is_found_whatever_surrounds_it() {
    for text in [
        r#"{"delta":"\u002f\/8=","type":"response.output_audio.delta"}"#,
        r#"{"delta":"//8","type":"response.output_audio.delta","content_index":null}"#,
        r#"{"delta":"//8=","type":"response.output_audio.delta","content_index":"0","item_id":null}"#,
        r#"{"delta":"//8=","type":"response.output_audio.delta","content_index":0.0,"response_id":[]}"#,
        r#"{"delta":"//8=","type":"response.output_audio.delta","type":"response.output_audio.delta"}"#,
    ] {
        let events = ServerEvent::parse(text, Dialect::Ga).unwrap();
        let ServerEvent::AudioDelta { audio, content_index: 0, .. } = events.first else {
            panic!("{text}")
        };
        assert_eq!(audio, [0xff, 0xff], "{text}");
    }
}

#[test]
fn an_audio_delta_without_audio_is_malformed() {
    for delta in [json!(null), json!(7), json!("no base64!"), json!({"a": 1})] {
        let event = json!({"type": "response.output_audio.delta", "delta": delta});
        let error = ServerEvent::parse(&event.to_string(), Dialect::Ga).unwrap_err();
        assert!(error.reason.contains("`delta`"), "{error}");
    }
    let missing = r#"{"type":"response.output_audio.delta"}"#;
    assert!(ServerEvent::parse(missing, Dialect::Ga).is_err());
    let huge = STANDARD.encode(vec![0; DELTA_BYTES_MAX + 1]);
    let huge = json!({"type": "response.output_audio.delta", "delta": huge});
    assert!(ServerEvent::parse(&huge.to_string(), Dialect::Ga).is_err());
}

#[test]
fn the_first_event_tells_session_model_end_and_formats() {
    // The session as it was seen live in December 2025.
    let ga = json!({"type": "session.created", "event_id": "e", "session": {
        "type": "realtime", "object": "realtime.session", "id": "sess_1",
        "model": "gpt-realtime-2.1", "output_modalities": ["audio"], "instructions": "...",
        "tools": [], "tool_choice": "auto", "max_output_tokens": "inf", "tracing": null,
        "truncation": "auto", "prompt": null, "expires_at": 1_764_000_000u64,
        "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": null,
                "noise_reduction": null, "turn_detection": {"type": "server_vad"}},
            "output": {"format": {"type": "audio/pcmu"}, "voice": "alloy", "speed": 1.0}},
        "include": null}});
    let created = |model: &str, input, output| ServerEvent::SessionCreated {
        session: "sess_1".to_owned(),
        model: model.to_owned(),
        expires_at: Some(1_764_000_000),
        audio: SessionAudio { input, output },
    };
    assert_eq!(
        one(&ga, Dialect::Ga),
        created("gpt-realtime-2.1", Some(AudioFormat::Pcm24k), Some(AudioFormat::Pcmu))
    );
    let beta = json!({"type": "session.created", "session": {
        "id": "sess_1", "object": "realtime.session", "model": "qwen-omni",
        "modalities": ["text", "audio"], "voice": "alloy", "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_alaw", "expires_at": "1764000000"}});
    assert_eq!(
        one(&beta, Dialect::Beta),
        created("qwen-omni", Some(AudioFormat::Pcmu), Some(AudioFormat::Pcma))
    );
    assert_eq!(
        one(&beta, Dialect::Ga),
        created("qwen-omni", None, None),
        "a flat session on a GA connection confirms nothing"
    );
    let bare = json!({"type": "session.created"});
    assert_eq!(
        one(&bare, Dialect::Ga),
        ServerEvent::SessionCreated {
            session: String::new(),
            model: String::new(),
            expires_at: None,
            audio: SessionAudio::default()
        }
    );
}

#[test]
fn a_flat_session_is_shown_to_the_tenant_nested() {
    let beta = json!({"type": "session.updated", "session": {
        "id": "sess_1", "modalities": ["text", "audio"], "instructions": "Be kind.",
        "voice": "alloy", "speed": 1.1, "input_audio_format": "pcm16",
        "output_audio_format": "g711_ulaw", "input_audio_transcription": {"model": "whisper-1"},
        "input_audio_noise_reduction": null, "turn_detection": {"type": "server_vad"},
        "tools": [], "temperature": 0.8, "max_response_output_tokens": "inf",
        "client_secret": {"value": "ek_private"}}});
    let ServerEvent::SessionUpdated { audio, json } = one(&beta, Dialect::Beta) else { panic!() };
    let both = (AudioFormat::Pcm24k, AudioFormat::Pcmu);
    assert_eq!(audio, SessionAudio { input: Some(both.0), output: Some(both.1) });
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["session"],
        json!({
            "type": "realtime", "id": "sess_1", "output_modalities": ["audio"],
            "instructions": "Be kind.", "tools": [], "temperature": 0.8,
            "max_output_tokens": "inf",
            "audio": {
                "input": {"format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "whisper-1"}, "noise_reduction": null,
                    "turn_detection": {"type": "server_vad"}},
                "output": {"format": {"type": "audio/pcmu"}, "voice": "alloy", "speed": 1.1}}
        })
    );
}

#[test]
fn formats_are_confirmed_only_by_the_same_formats() {
    let pcmu = SessionAudio { input: Some(AudioFormat::Pcmu), output: Some(AudioFormat::Pcmu) };
    let half = SessionAudio { input: Some(AudioFormat::Pcm24k), ..pcmu };
    assert!(pcmu.confirms(&pcmu));
    assert!(!half.confirms(&pcmu), "input back at PCM: speech would begin and never end");
    assert!(half.confirms(&SessionAudio { input: None, output: Some(AudioFormat::Pcmu) }));
    assert!(!SessionAudio::default().confirms(&pcmu));
    for (format, known) in [
        (json!({"type": "audio/pcm"}), Some(AudioFormat::Pcm24k)),
        (json!({"type": "audio/pcm", "rate": 16000}), None),
        (json!({"type": "audio/pcmu", "rate": 8000}), Some(AudioFormat::Pcmu)),
        (json!({"type": "audio/opus"}), None),
        (json!("g711_ulaw"), None),
        (json!(null), None),
    ] {
        let event = json!({"type": "session.updated",
            "session": {"audio": {"input": {"format": format}}}});
        let ServerEvent::SessionUpdated { audio, .. } = one(&event, Dialect::Ga) else { panic!() };
        assert_eq!(audio.input, known, "{format}");
    }
    assert_eq!([AudioFormat::Pcm24k, AudioFormat::Pcmu].map(AudioFormat::bytes_per_ms), [48, 8]);
}

#[test]
fn formats_are_named_in_the_servers_words_and_in_ours() {
    let asked = SessionAudio { input: Some(AudioFormat::Pcmu), output: Some(AudioFormat::Pcm24k) };
    assert_eq!(asked.to_string(), "input audio/pcmu, output audio/pcm at 24000 Hz");
    for (session, named) in [
        (
            json!({"audio": {"input": {"format": {"type": "audio/opus"}},
                "output": {"format": {"type": "audio/pcm", "rate": 16000}}}}),
            "input audio/opus, output audio/pcm at 16000 Hz",
        ),
        (json!({"input_audio_format": "g711_ulaw"}), "input g711_ulaw, output not said"),
        (json!({"audio": {"input": {"format": "pcm16"}}}), "input pcm16, output not said"),
        (json!(null), "input not said, output not said"),
    ] {
        let event = json!({"type": "session.updated", "session": session});
        assert_eq!(formats_named(&event.to_string()), named);
    }
}

#[test]
fn what_nobody_here_looks_into_goes_on_as_it_came() {
    for event in [
        r#"{ "type":"response.output_audio_transcript.delta", "delta":"h\u00e9\"", "obfuscation":"x"}"#,
        r#"{"type":"conversation.item.input_audio_transcription.completed","transcript":null}"#,
        r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":1.5,"item_id":"i"}"#,
        r#"{"type":"input_audio_buffer.dtmf_event_received","event":"9","received_at":1}"#,
        r#"{"type":"response.content_part.added","part":{"type":"audio","transcript":""}}"#,
        r#"{"type":"conversation.item.added","previous_item_id":null,"item":{"id":"i","type":"message","role":"assistant","content":[{"type":"output_audio","transcript":null}]}}"#,
        r#"{"type":"conversation.item.done","item":{"id":"i","type":"message","role":"assistant","phase":"final_answer","content":[]}}"#,
        r#"{"type":"response.done","response":{"id":"r","status_details":"words","output":[null,7,{"content":"?"}]}}"#,
        r#"{"type":"rate_limits.updated","rate_limits":[]}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"hologram.delta","delta":{"x":[1,2]},"item_id":17}"#,
        r#"{"type":"conversation.item.deleted","item_id":""}"#,
    ] {
        for dialect in BOTH {
            let events = ServerEvent::parse(event, dialect).unwrap();
            let name: Value = serde_json::from_str::<Value>(event).unwrap()["type"].take();
            assert_eq!(
                (events.first, events.second),
                (
                    ServerEvent::Other {
                        kind: name.as_str().unwrap().to_owned(),
                        json: event.to_owned()
                    },
                    None
                )
            );
        }
    }
}

#[test]
fn every_name_of_the_beta_becomes_the_one_of_ga() {
    for (old, new) in [
        ("response.audio.done", "response.output_audio.done"),
        ("response.audio_transcript.delta", "response.output_audio_transcript.delta"),
        ("response.audio_transcript.done", "response.output_audio_transcript.done"),
        ("response.text.delta", "response.output_text.delta"),
        ("response.text.done", "response.output_text.done"),
    ] {
        for dialect in BOTH {
            let event = json!({"type": old, "response_id": "r", "delta": "w\"rd", "x": [1]});
            let ServerEvent::Other { kind, json } = one(&event, dialect) else { panic!() };
            let expected = json!({"type": new, "response_id": "r", "delta": "w\"rd", "x": [1]});
            assert_eq!(kind, new);
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), expected);
        }
    }
}

#[test]
fn an_item_created_is_added_and_done_unless_it_is_still_in_progress() {
    let created = |status: &str| {
        json!({"type": "conversation.item.created", "previous_item_id": "i0", "item": {
            "id": "i1", "type": "message", "role": "assistant", "status": status,
            "content": [{"type": "audio", "transcript": "hello"}, {"type": "text", "text": "x"}]}})
    };
    let events = ServerEvent::parse(&created("completed").to_string(), Dialect::Beta).unwrap();
    let names: Vec<_> = events
        .into_iter()
        .map(|event| {
            let ServerEvent::Other { kind, json } = event else { panic!() };
            let json: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["type"], kind.as_str());
            assert_eq!(json["previous_item_id"], "i0");
            assert_eq!(json["item"]["content"][0]["type"], "output_audio");
            assert_eq!(json["item"]["content"][1]["type"], "output_text");
            kind
        })
        .collect();
    assert_eq!(names, ["conversation.item.added", "conversation.item.done"]);

    let events = ServerEvent::parse(&created("in_progress").to_string(), Dialect::Beta).unwrap();
    assert_eq!(events.into_iter().count(), 1, "what is in progress is not done");
}

#[test]
fn items_get_long_content_types_and_parts_keep_their_short_ones() {
    let item = json!({"type": "message", "role": "assistant",
        "content": [{"type": "text", "text": "a"}]});
    let user = json!({"type": "message", "role": "user",
        "content": [{"type": "audio", "transcript": "b"}, {"type": "input_text", "text": "c"}]});
    let event = json!({"type": "response.done",
        "response": {"id": "r", "output": [item.clone(), user]}});
    let ServerEvent::Other { json, .. } = one(&event, Dialect::Ga) else { panic!() };
    let json: Value = serde_json::from_str(&json).unwrap();
    let content = |at: usize| json["response"]["output"][at]["content"].clone();
    assert_eq!(content(0), json!([{"type": "output_text", "text": "a"}]));
    assert_eq!(content(1)[0], json!({"type": "input_audio", "transcript": "b"}));
    assert_eq!(content(1)[1], json!({"type": "input_text", "text": "c"}));

    let part = json!({"type": "response.content_part.done", "part": {"type": "text"}, "item": 1});
    let ServerEvent::Other { json, .. } = one(&part, Dialect::Beta) else { panic!() };
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), part);
}

#[test]
fn a_flat_response_is_shown_nested() {
    let event = json!({"type": "response.created", "response": {"id": "r", "voice": "alloy",
        "modalities": ["text"], "output_audio_format": "pcm16", "max_output_tokens": "inf"}});
    let ServerEvent::Other { json, .. } = one(&event, Dialect::Beta) else { panic!() };
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap()["response"],
        json!({"id": "r", "output_modalities": ["text"], "max_output_tokens": "inf",
            "audio": {"output": {"voice": "alloy", "format": {"type": "audio/pcm", "rate": 24000}}}})
    );
}

#[test]
fn half_a_character_costs_nobody_the_event() {
    for (broken, mended) in [
        (r"Hi \ud83d", "Hi \u{fffd}"),
        (r"\ude00 there", "\u{fffd} there"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
        (r"\u26", "\u{fffd}"),
        (r"it\'s", "it's"),
        ("a\nb\u{1}", "a\nb\u{1}"),
    ] {
        for (event, pointer) in [
            (
                r#"{"type":"response.done","response":{"id":"r","output":[{"type":"message","content":[{"type":"output_audio","transcript":"?"}]}]}}"#,
                "/response/output/0/content/0/transcript",
            ),
            (
                r#"{"type":"response.output_item.done","item":{"id":"i","type":"function_call","call_id":"c","name":"?","arguments":"{}"}}"#,
                "/item/name",
            ),
            (r#"{"type":"response.output_audio_transcript.delta","delta":"?"}"#, "/delta"),
            (r#"{"type":"response.audio_transcript.done","transcript":"?"}"#, "/transcript"),
            (
                r#"{"type":"conversation.item.input_audio_transcription.completed","transcript":"?"}"#,
                "/transcript",
            ),
            (r#"{"type":"conversation.item.created","item":{"id":"?"}}"#, "/item/id"),
            (r#"{"type":"input_audio_buffer.committed","obfuscation":"?"}"#, "/obfuscation"),
        ] {
            for dialect in BOTH {
                let text = event.replace('?', broken);
                let events = ServerEvent::parse(&text, dialect).unwrap();
                let ServerEvent::Other { json, .. } = events.first else { panic!("{text}") };
                let value: Value = serde_json::from_str(&json).expect("a tenant can read it");
                assert_eq!(value.pointer(pointer).unwrap(), mended, "{text}");
            }
        }
    }
    let audio = r#"{"type":"response.output_audio.delta","delta":"//8=","item_id":"\ud83d"}"#;
    let events = ServerEvent::parse(audio, Dialect::Ga).unwrap();
    assert!(matches!(events.first, ServerEvent::AudioDelta { .. }));
    let error = r#"{"type":"error","error":{"code":"invalid_api_key","message":"\udc00"}}"#;
    let events = ServerEvent::parse(error, Dialect::Ga).unwrap();
    assert!(matches!(events.first, ServerEvent::Error { kind: ErrorKind::Fatal, .. }));
}

#[test]
fn numbers_that_json_cannot_say_cost_nobody_the_event() {
    let text = r#"{"type":"response.done","response":{"id":"r","usage":{"a":NaN,"b":-Infinity,"c":1e999}}}"#;
    let events = ServerEvent::parse(text, Dialect::Ga).unwrap();
    let ServerEvent::Other { json, .. } = events.first else { panic!() };
    let event: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(event["response"]["usage"], json!({"a": null, "b": null, "c": null}));
}

#[test]
fn a_functions_arguments_are_a_string_of_json_however_they_came() {
    for (came, arguments) in [
        (json!({"day": "Monday"}), json!(r#"{"day":"Monday"}"#)),
        (json!({}), json!("{}")),
        (json!([1, 2]), json!("[1,2]")),
        (json!(7), json!("7")),
        (json!(r#""{\"day\":\"Monday\"}""#), json!(r#"{"day":"Monday"}"#)),
        (json!(r#"{"day":"Monday"}"#), json!(r#"{"day":"Monday"}"#)),
        (json!("{\"day"), json!("{\"day")),
        (json!(""), json!("")),
        (json!(null), json!(null)),
    ] {
        let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": came});
        for (event, pointer) in [
            (json!({"type": "response.output_item.done", "item": call}), "/item/arguments"),
            (json!({"type": "conversation.item.created", "item": call}), "/item/arguments"),
            (
                json!({"type": "response.done", "response": {"output": [call]}}),
                "/response/output/0/arguments",
            ),
            (
                json!({"type": "response.function_call_arguments.done", "arguments": came}),
                "/arguments",
            ),
        ] {
            for dialect in BOTH {
                let events = ServerEvent::parse(&event.to_string(), dialect).unwrap();
                let ServerEvent::Other { json, .. } = events.first else { panic!() };
                let event: Value = serde_json::from_str(&json).unwrap();
                assert_eq!(event.pointer(pointer), Some(&arguments), "{came}");
            }
        }
    }
}

#[test]
fn an_error_is_sorted_by_code_and_field() {
    let event = json!({"type": "error", "event_id": "e", "error": {
        "type": "invalid_request_error", "code": "response_cancel_not_active", "param": null,
        "message": "Cancellation failed: no active response found", "event_id": "mine"}});
    let ServerEvent::Error { kind, code, message, event_id, json } = one(&event, Dialect::Ga)
    else {
        panic!()
    };
    assert_eq!(kind, ErrorKind::Benign);
    assert_eq!(code.as_deref(), Some("response_cancel_not_active"));
    assert_eq!(message, "Cancellation failed: no active response found");
    assert_eq!(event_id.as_deref(), Some("mine"));
    assert_eq!(json, event.to_string());
}

#[test]
fn an_error_of_any_shape_is_still_an_error() {
    for (error, words) in [
        (json!("words"), "words"),
        (json!(null), ""),
        (json!([1]), ""),
        (json!({"message": null, "code": null}), ""),
        (json!({"message": 7, "code": 7, "event_id": 7}), ""),
    ] {
        let event = json!({"type": "error", "error": error});
        let ServerEvent::Error { kind: ErrorKind::Other, code: None, message, .. } =
            one(&event, Dialect::Ga)
        else {
            panic!("{error}")
        };
        assert_eq!(message, words);
    }
}

#[test]
fn a_key_the_server_repeats_is_taken_out() {
    let event = json!({"type": "error", "error": {
        "type": "invalid_request_error", "code": "invalid_api_key",
        "message": "Incorrect API key provided: sk-proj-Ab1*****9xYz. See your keys, ek_a2; \
                    risk-free task-list"}});
    let ServerEvent::Error { kind, message, json, .. } = one(&event, Dialect::Ga) else { panic!() };
    assert_eq!(kind, ErrorKind::Fatal);
    assert_eq!(
        message,
        "Incorrect API key provided: [key] See your keys, [key]; risk-free task-list"
    );
    assert!(!json.contains("Ab1") && !json.contains("ek_a2"), "{json}");
}

#[test]
fn a_broken_message_is_refused_without_quoting_it() {
    let secret = "MyMothersMaidenName";
    for text in [
        secret.to_owned(),
        format!("\"{secret}\""),
        format!("{{\"{secret}\":1}}"),
        format!("{{\"type\":[\"{secret}\"]}}"),
        format!("{{\"type\":\"response.output_audio.delta\",\"delta\":\"{secret}!\"}}"),
    ] {
        let error = ServerEvent::parse(&text, Dialect::Ga).unwrap_err();
        assert!(!error.to_string().contains(secret), "{error}");
    }
}

#[test]
fn an_event_of_absurd_name_is_kept_and_its_name_cut() {
    let event = json!({"type": "x\n".repeat(1000)});
    let ServerEvent::Other { kind, json } = one(&event, Dialect::Ga) else { panic!() };
    assert_eq!(kind, "x?".repeat(32));
    assert_eq!(json, event.to_string());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".*") {
        for dialect in BOTH {
            let _ = ServerEvent::parse(&text, dialect);
        }
    }

    #[test]
    fn a_normalised_event_is_left_alone_the_second_time(value in json_like()) {
        for dialect in BOTH {
            let Ok(events) = ServerEvent::parse(&value.to_string(), dialect) else { continue };
            for event in events {
                let (ServerEvent::Other { json, .. }
                | ServerEvent::SessionUpdated { json, .. }
                | ServerEvent::Error { json, .. }) = &event else { continue };
                let again = ServerEvent::parse(json, Dialect::Ga).unwrap();
                prop_assert_eq!(&again.first, &event);
                prop_assert_eq!(again.second, None);
            }
        }
    }
}

/// The only event of a message.
fn one(event: &Value, dialect: Dialect) -> ServerEvent {
    let events = ServerEvent::parse(&event.to_string(), dialect).expect("an event");
    assert_eq!(events.second, None);
    events.first
}

/// Events with the protocol's own keys and values of every type in wrong places.
fn json_like() -> impl Strategy<Value = Value> {
    const KEYS: [&str; 17] = [
        "session",
        "audio",
        "input",
        "output",
        "format",
        "rate",
        "modalities",
        "voice",
        "item",
        "content",
        "role",
        "response",
        "error",
        "message",
        "delta",
        "input_audio_format",
        "status",
    ];
    const NAMES: [&str; 9] = [
        "session.created",
        "session.updated",
        "error",
        "conversation.item.created",
        "conversation.item.done",
        "response.done",
        "response.audio.delta",
        "response.text.done",
        "else",
    ];
    const WORDS: [&str; 7] =
        ["audio", "text", "assistant", "pcm16", "audio/pcm", "in_progress", "sk-abc"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        proptest::sample::select(&WORDS[..]).prop_map(Value::from),
    ];
    let key = || proptest::sample::select(&KEYS[..]).prop_map(str::to_owned);
    let tree = leaf.prop_recursive(5, 40, 6, move |inner| {
        let typed = (
            proptest::sample::select(&WORDS[..]),
            proptest::collection::btree_map(key(), inner.clone(), 0..5),
        );
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            typed.prop_map(|(word, map)| {
                let mut map: serde_json::Map<_, _> = map.into_iter().collect();
                map.insert("type".to_owned(), Value::from(word));
                Value::Object(map)
            }),
        ]
    });
    (proptest::sample::select(&NAMES[..]), proptest::collection::btree_map(key(), tree, 0..6))
        .prop_map(|(name, map)| {
            let mut map: serde_json::Map<_, _> = map.into_iter().collect();
            map.insert("type".to_owned(), Value::from(name));
            Value::Object(map)
        })
}
