//! What a tenant may ask of the model, and what the server then reads in either dialect.

use cordboard_wire::openai::{AudioFormat, ClientEvent, Dialect, SessionAudio, append_audio};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn a_session_goes_out_nested_to_ga_and_flat_to_the_beta() {
    let update = json!({"type": "session.update", "event_id": "u1", "session": {
        "type": "realtime", "instructions": "Be kind.", "output_modalities": ["audio"],
        "audio": {
            "input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "whisper-1"},
                "noise_reduction": {"type": "near_field"}, "turn_detection": null},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin",
                "speed": 1.0}},
        "tools": [{"type": "function", "name": "f", "parameters": {}}], "tool_choice": "auto",
        "max_output_tokens": 400, "truncation": "auto", "reasoning": {"effort": "low"},
        "temperature": 0.7}});
    let event = parsed(&update);
    assert_eq!(event.event_id(), Some("u1"));
    assert_eq!(
        event.asks_audio,
        Some(SessionAudio { input: Some(AudioFormat::Pcmu), output: Some(AudioFormat::Pcm24k) })
    );

    let mut ga = update.clone();
    ga["session"].as_object_mut().unwrap().remove("temperature");
    assert_eq!(encoded(&event, Dialect::Ga), ga);
    assert_eq!(
        encoded(&event, Dialect::Beta),
        json!({"type": "session.update", "event_id": "u1", "session": {
            "instructions": "Be kind.", "modalities": ["text", "audio"],
            "input_audio_format": "g711_ulaw", "output_audio_format": "pcm16",
            "input_audio_transcription": {"model": "whisper-1"},
            "input_audio_noise_reduction": {"type": "near_field"}, "turn_detection": null,
            "voice": "marin", "speed": 1.0, "temperature": 0.7,
            "tools": [{"type": "function", "name": "f", "parameters": {}}],
            "tool_choice": "auto", "max_response_output_tokens": 400}})
    );
}

#[test]
fn an_empty_update_clears_nothing_in_either_dialect() {
    let event = parsed(&json!({"type": "session.update", "session": {}}));
    assert_eq!(event.asks_audio, Some(SessionAudio::default()));
    assert_eq!(encoded(&event, Dialect::Ga)["session"], json!({"type": "realtime"}));
    assert_eq!(encoded(&event, Dialect::Beta)["session"], json!({}));
}

#[test]
fn null_and_empty_keep_their_meaning() {
    let event = parsed(&json!({"type": "session.update", "session": {"instructions": "",
        "tools": [], "audio": {"input": {"turn_detection": null, "transcription": null}}}}));
    let ga = encoded(&event, Dialect::Ga);
    assert_eq!(
        ga["session"]["audio"],
        json!({"input":
        {"turn_detection": null, "transcription": null}})
    );
    let beta = encoded(&event, Dialect::Beta);
    assert_eq!(
        beta["session"],
        json!({"instructions": "", "tools": [], "turn_detection": null,
            "input_audio_transcription": null})
    );
}

#[test]
fn formats_are_written_as_the_server_takes_them() {
    let format = |format: Value| {
        let event = json!({"type": "session.update",
            "session": {"audio": {"output": {"format": format}}}});
        ClientEvent::parse(&event.to_string())
            .map(|e| encoded(&e, Dialect::Ga)["session"]["audio"]["output"]["format"].take())
    };
    let pcm = json!({"type": "audio/pcm", "rate": 24000});
    assert_eq!(format(json!({"type": "audio/pcm"})), Ok(pcm.clone()));
    assert_eq!(format(pcm.clone()), Ok(pcm));
    let pcmu = json!({"type": "audio/pcmu"});
    assert_eq!(format(json!({"type": "audio/pcmu", "rate": 8000})), Ok(pcmu));
    for unknown in [
        json!({"type": "audio/pcm", "rate": 16000}),
        json!({"type": "audio/opus"}),
        json!("g711_ulaw"),
        json!(null),
    ] {
        assert!(format(unknown.clone()).is_err(), "{unknown}");
    }
}

#[test]
fn another_model_or_kind_of_session_is_refused() {
    let update = |session: Value| json!({"type": "session.update", "session": session}).to_string();
    let parse = |session| ClientEvent::parse_for(&update(session), Some("gpt-realtime-2.1"));
    assert!(parse(json!({"model": "gpt-realtime-2.1"})).is_ok());
    assert!(parse(json!({"model": "gpt-realtime-mini"})).is_err());
    assert!(parse(json!({"model": null})).is_err());
    assert!(parse(json!({"type": "transcription"})).is_err());
    assert!(ClientEvent::parse(&update(json!({"model": "any"}))).is_ok(), "not known here");
}

#[test]
fn names_of_the_beta_are_refused_with_the_ones_to_use() {
    for (event, advice) in [
        (
            json!({"type": "session.update", "session": {"voice": "alloy"}}),
            "`session.voice` is a beta name; use `session.audio.output.voice`",
        ),
        (
            json!({"type": "session.update", "session": {"modalities": ["text"]}}),
            "`session.modalities` is a beta name; use `session.output_modalities`",
        ),
        (
            json!({"type": "session.update", "session": {"input_audio_format": "pcm16"}}),
            "`session.input_audio_format` is a beta name; use `session.audio.input.format`",
        ),
        (
            json!({"type": "response.create", "response": {"modalities": ["text"]}}),
            "`response.modalities` is a beta name; use `response.output_modalities`",
        ),
    ] {
        let refusal = ClientEvent::parse(&event.to_string()).unwrap_err();
        assert_eq!(refusal.reason, advice);
    }
}

#[test]
fn an_answer_is_asked_for_in_either_dialect() {
    let create = json!({"type": "response.create", "response": {
        "conversation": "none", "instructions": "Say hi.", "output_modalities": ["text"],
        "audio": {"output": {"voice": "marin", "format": {"type": "audio/pcmu", "rate": 8000}}},
        "max_output_tokens": 50, "metadata": {"k": "v"}, "reasoning": {"effort": "low"},
        "input": [{"type": "message", "role": "assistant",
            "content": [{"type": "output_text", "text": "a"}]},
            {"type": "item_reference", "id": "i"}],
        "temperature": 0.9}});
    let event = parsed(&create);
    let mut ga = create.clone();
    ga["response"].as_object_mut().unwrap().remove("temperature");
    ga["response"]["audio"]["output"]["format"] = json!({"type": "audio/pcmu"});
    assert_eq!(encoded(&event, Dialect::Ga), ga);
    assert_eq!(
        encoded(&event, Dialect::Beta)["response"],
        json!({"conversation": "none", "instructions": "Say hi.", "modalities": ["text"],
            "voice": "marin", "output_audio_format": "g711_ulaw",
            "max_response_output_tokens": 50, "metadata": {"k": "v"}, "temperature": 0.9,
            "input": [{"type": "message", "role": "assistant",
                "content": [{"type": "text", "text": "a"}]}, {"type": "item_reference", "id": "i"}]})
    );
}

#[test]
fn history_has_the_content_types_of_its_dialect() {
    let item = |role: &str, part: &str| {
        parsed(&json!({"type": "conversation.item.create", "item": {"type": "message",
            "role": role, "content": [{"type": part, "text": "x"}]}}))
    };
    let part =
        |event: &ClientEvent, dialect| encoded(event, dialect)["item"]["content"][0]["type"].take();
    for given in ["text", "output_text"] {
        let event = item("assistant", given);
        assert_eq!(part(&event, Dialect::Ga), "output_text");
        assert_eq!(part(&event, Dialect::Beta), "text");
    }
    for role in ["user", "system"] {
        for given in ["text", "input_text"] {
            let event = item(role, given);
            assert_eq!(part(&event, Dialect::Ga), "input_text");
            assert_eq!(part(&event, Dialect::Beta), "input_text");
        }
    }
}

#[test]
fn a_truncation_is_always_a_whole_number_of_milliseconds() {
    for (given, sent) in [
        (json!(850), 850u32),
        (json!(850.99), 850),
        (json!(-40), 0),
        (json!(-0.5), 0),
        (json!(0), 0),
        (json!(1e300), u32::MAX),
    ] {
        let event = parsed(&json!({"type": "conversation.item.truncate", "item_id": "i",
            "audio_end_ms": given}));
        let expected = json!({"type": "conversation.item.truncate", "item_id": "i",
            "content_index": 0, "audio_end_ms": sent});
        assert_eq!(encoded(&event, Dialect::Ga), expected, "{given}");
        assert_eq!(encoded(&event, Dialect::Beta), expected, "{given}");
    }
    for broken in [
        json!({"type": "conversation.item.truncate", "item_id": "i", "audio_end_ms": "850"}),
        json!({"type": "conversation.item.truncate", "item_id": "i"}),
        json!({"type": "conversation.item.truncate", "audio_end_ms": 1}),
        json!({"type": "conversation.item.delete", "item_id": ""}),
    ] {
        assert!(ClientEvent::parse(&broken.to_string()).is_err(), "{broken}");
    }
}

#[test]
fn audio_and_what_is_not_for_a_socket_is_refused() {
    for kind in [
        "input_audio_buffer.append",
        "session.input_audio_buffer.append",
        "output_audio_buffer.clear",
        "transcription_session.update",
    ] {
        assert!(ClientEvent::parse(&json!({"type": kind}).to_string()).is_err(), "{kind}");
    }
}

#[test]
fn an_unknown_event_is_passed_on() {
    let event = json!({"type": "hologram.create", "session": {"voice": "x"}, "n": [1, null]});
    assert_eq!(encoded(&parsed(&event), Dialect::Ga), event);
    assert_eq!(encoded(&parsed(&event), Dialect::Beta), event);
}

#[test]
fn ids_longer_than_the_server_takes_are_refused() {
    let item = |id: String| {
        let event = json!({"type": "conversation.item.create", "item": {"id": id}});
        ClientEvent::parse(&event.to_string())
    };
    assert!(item("x".repeat(32)).is_ok());
    assert!(item("x".repeat(33)).is_err());
    let named = |id: Value| {
        let event = json!({"type": "response.create", "event_id": id});
        ClientEvent::parse(&event.to_string())
    };
    assert!(named(json!("x".repeat(512))).is_ok());
    assert!(named(json!("x".repeat(513))).is_err());
    assert!(named(json!(7)).is_err());
}

#[test]
fn a_broken_event_is_refused_without_quoting_it() {
    let secret = "MyMothersMaidenName";
    for text in [
        secret.to_owned(),
        format!("[\"{secret}\"]"),
        format!("{{\"type\":[\"{secret}\"]}}"),
        format!("{{\"type\":\"\",\"x\":\"{secret}\"}}"),
        format!("{{\"type\":\"session.update\",\"session\":\"{secret}\"}}"),
        format!("{{\"type\":\"session.update\",\"session\":{{\"type\":\"{secret}\"}}}}"),
        format!("{{\"type\":\"conversation.item.create\",\"item\":[\"{secret}\"]}}"),
        format!("{{\"type\":\"response.create\",\"response\":\"{secret}\"}}"),
    ] {
        let refusal = ClientEvent::parse(&text).unwrap_err();
        assert!(!refusal.to_string().contains(secret), "{refusal}");
    }
    let huge = format!("{{\"type\":\"x\",\"y\":\"{}\"}}", "z".repeat(15 * 1024 * 1024));
    assert!(ClientEvent::parse(&huge).unwrap_err().reason.contains("bytes"));
}

#[test]
fn the_hosts_own_events_are_what_the_server_knows() {
    let audio = SessionAudio { input: Some(AudioFormat::Pcmu), output: Some(AudioFormat::Pcmu) };
    let configure = ClientEvent::configure("Be kind.", audio, Some("marin"));
    assert_eq!(configure.asks_audio, Some(audio));
    assert_eq!(
        encoded(&configure, Dialect::Ga),
        json!({"type": "session.update", "session": {"type": "realtime",
            "instructions": "Be kind.", "output_modalities": ["audio"], "audio": {
                "input": {"format": {"type": "audio/pcmu"}},
                "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"}}}})
    );
    for (event, expected) in [
        (ClientEvent::commit(), json!({"type": "input_audio_buffer.commit"})),
        (ClientEvent::clear_input(), json!({"type": "input_audio_buffer.clear"})),
        (ClientEvent::create_response(), json!({"type": "response.create"})),
        (ClientEvent::cancel_response(None), json!({"type": "response.cancel"})),
        (
            ClientEvent::cancel_response(Some("r")),
            json!({"type": "response.cancel", "response_id": "r"}),
        ),
    ] {
        assert_eq!(event.kind, expected["type"]);
        assert_eq!(encoded(&event, Dialect::Ga), expected);
        assert_eq!(encoded(&event, Dialect::Beta), expected);
    }
}

#[test]
fn audio_is_appended_without_a_copy() {
    let mut out = String::with_capacity(400);
    let room = (out.as_ptr(), out.capacity());
    append_audio(&[0xff; 160], &mut out);
    assert_eq!((out.as_ptr(), out.capacity()), room);
    out.clear();
    append_audio(&[0xff, 0x7f], &mut out);
    assert_eq!(out, r#"{"type":"input_audio_buffer.append","audio":"/38="}"#);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".*") {
        let _ = ClientEvent::parse(&text);
    }

    #[test]
    fn what_went_out_in_ga_reads_back_the_same(instructions in ".*", end in any::<f64>(),
        voice in proptest::option::of(".*")) {
        let audio = SessionAudio { input: Some(AudioFormat::Pcma), output: None };
        let truncate = json!({"type": "conversation.item.truncate", "item_id": "i",
            "audio_end_ms": end}).to_string();
        let events = [
            Some(ClientEvent::configure(&instructions, audio, voice.as_deref())),
            ClientEvent::parse(&truncate).ok(),
        ];
        for event in events.into_iter().flatten() {
            let again = ClientEvent::parse(&event.encode(Dialect::Ga));
            prop_assert_eq!(again.as_ref(), Ok(&event));
            prop_assert!(serde_json::from_str::<Value>(&event.encode(Dialect::Beta)).is_ok());
        }
    }
}

fn parsed(event: &Value) -> ClientEvent {
    ClientEvent::parse(&event.to_string()).expect("an event a tenant may send")
}

fn encoded(event: &ClientEvent, dialect: Dialect) -> Value {
    serde_json::from_str(&event.encode(dialect)).expect("JSON")
}
