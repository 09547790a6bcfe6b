//! The model's session: configured first, greeted once, lost and told again, and what was said is kept.

#[expect(dead_code, reason = "each test file uses what it needs of this")]
mod common;

use common::{Agent, call, command};
use cordboard_sdk::harness::{Harness, call_info};
use cordboard_sdk::{Action, AudioFormat, CallInfo, Dialect, Encoding, Event, Speaker};
use serde_json::{Value, json};

#[test]
fn the_session_is_configured_first_and_the_greeting_waits_for_the_confirmation() {
    let mut harness = Harness::<Agent>::with_settings(r#"{"greet": true}"#);
    assert!(harness.sent_all().is_empty());
    let info =
        cordboard_sdk::ModelInfo { session: "s".into(), model: "m".into(), dialect: Dialect::Ga };
    harness.feed(Event::ModelReady(info));
    let update = &harness.sent("session.update")[0];
    assert_eq!(update["session"]["audio"]["output"]["voice"], "marin");
    assert!(harness.sent("response.create").is_empty());
    harness.model(json!({"type": "session.updated", "session": {}}));
    let greeting = &harness.sent("response.create")[0];
    assert!(greeting["response"]["instructions"].as_str().expect("a text").contains("Welcome!"));
    harness.model(json!({"type": "session.updated", "session": {}}));
    assert_eq!(harness.sent("response.create").len(), 1, "greeted once");
}

#[test]
fn an_instance_that_takes_over_without_state_does_not_greet_again() {
    let info = CallInfo { restarted: true, settings: r#"{"greet": true}"#.into(), ..call_info() };
    let mut harness = Harness::<Agent>::with_info(info);
    harness.model_ready();
    assert_eq!(harness.sent("session.update").len(), 1);
    assert!(harness.sent("response.create").is_empty());
}

#[test]
fn pcmu_passes_frames_through_untouched_both_ways() {
    let mut harness = call(json!({"pcmu": true}));
    let frame: Vec<u8> = (0..160).collect();
    assert_eq!(
        harness.feed(Event::CallerAudio(frame.clone())),
        [Action::ModelAudio(frame.clone())]
    );
    let response = harness.response_begins();
    let voice = cordboard_sdk::ModelAudio {
        response,
        item: "a".into(),
        content_index: 0,
        data: frame.clone(),
    };
    let actions = harness.feed(Event::ModelAudio(voice));
    assert!(matches!(&actions[..], [Action::Play(play)] if play.audio == frame && !play.last));
}

#[test]
fn pcm16_turns_a_frame_of_160_bytes_into_960_and_back() {
    let mut harness = call(json!({}));
    let actions = harness.feed(Event::CallerAudio(vec![0xFF; 160]));
    assert_eq!(actions, [Action::ModelAudio(vec![0; 960])]);
    harness.model_says("x", 1_000);
    let tail_ms = harness.played_ms() - 1_000;
    assert!(tail_ms <= 6, "the filter's tail is {tail_ms} ms");
}

#[test]
fn an_a_law_line_is_served_by_a_laws_own_format() {
    let format = AudioFormat { encoding: Encoding::Alaw, sample_rate: 8_000, channels: 1 };
    let mut harness = Harness::<Agent>::with_info(CallInfo { format, ..call_info() });
    harness.model_ready();
    let update = &harness.sent("session.update")[0]["session"]["audio"];
    assert_eq!(update["input"]["format"]["type"], "audio/pcma");
    assert_eq!(update["output"]["format"]["type"], "audio/pcma");
}

#[test]
fn a_line_nobody_can_convert_is_hung_up_with_a_reason() {
    let format = AudioFormat { encoding: Encoding::Pcm16, sample_rate: 44_100, channels: 2 };
    let harness = Harness::<Agent>::with_info(CallInfo { format, ..call_info() });
    assert!(harness.has_ended());
    assert_eq!(harness.published("call.failed").len(), 1);
}

/// The server refuses the last `session.update` over one of its parameters.
fn refuse_session(harness: &mut Harness<Agent>, param: Value) {
    let update = harness.sent("session.update").pop().expect("an update");
    harness.model(json!({"type": "error", "error": {
        "code": "unknown_parameter", "param": param, "message": "Unknown parameter",
        "event_id": update["event_id"],
    }}));
}

#[test]
fn a_refused_session_is_asked_for_again_without_what_was_refused() {
    let mut harness = Harness::<Agent>::with_settings(r#"{"greet": true}"#);
    let info =
        cordboard_sdk::ModelInfo { session: "s".into(), model: "m".into(), dialect: Dialect::Ga };
    harness.feed(Event::ModelReady(info));
    refuse_session(&mut harness, json!("session.audio.output.voice"));
    let update = harness.sent("session.update").pop().expect("an update");
    assert!(update["session"]["audio"]["output"].get("voice").is_none());
    assert!(update["session"]["tools"].is_array(), "the rest is still asked for");
    assert_eq!(harness.published("session.refused")[0]["param"], "session.audio.output.voice");

    refuse_session(&mut harness, json!(null));
    let least = harness.sent("session.update").pop().expect("an update");
    assert!(least["session"].get("tools").is_none(), "nobody knows what was wrong");
    assert_eq!(least["session"]["audio"]["input"]["format"]["type"], "audio/pcm");
    harness.model(json!({"type": "session.updated", "session": {}}));
    assert_eq!(harness.sent("response.create").len(), 1, "the caller is greeted all the same");
}

#[test]
fn a_session_in_another_format_is_not_spoken_to() {
    let mut harness = Harness::<Agent>::with_settings(r#"{"greet": true}"#);
    let info =
        cordboard_sdk::ModelInfo { session: "s".into(), model: "m".into(), dialect: Dialect::Ga };
    harness.feed(Event::ModelReady(info));
    let updated = |format: &str| {
        let format = json!({"type": format});
        json!({"type": "session.updated", "session": {"audio": {"output": {"format": format}}}})
    };
    harness.model(updated("audio/pcmu"));
    assert!(harness.sent("response.create").is_empty());
    harness.model(updated("audio/pcm"));
    assert_eq!(harness.sent("response.create").len(), 1);
}

/// The server has something against what it was sent, and does not say against what.
fn complain(harness: &mut Harness<Agent>, message: &str) {
    harness.model(json!({"type": "error", "error": {
        "type": "invalid_request_error", "code": null, "message": message, "param": null,
        "event_id": null,
    }}));
}

fn unconfirmed(settings: &str) -> Harness<Agent> {
    let mut harness = Harness::<Agent>::with_settings(settings);
    let info =
        cordboard_sdk::ModelInfo { session: "s".into(), model: "m".into(), dialect: Dialect::Ga };
    harness.feed(Event::ModelReady(info));
    harness
}

#[test]
fn an_error_that_names_nothing_is_about_the_session_when_no_confirmation_follows() {
    let mut harness = unconfirmed(r#"{"greet": true}"#);
    complain(&mut harness, "Something is not supported.");
    assert_eq!(harness.published("model.error")[0]["message"], "Something is not supported.");
    harness.advance(1_000);
    let least = harness.sent("session.update").pop().expect("an update");
    assert!(least["session"].get("tools").is_none(), "asked again with less");
    assert_eq!(harness.published("session.refused")[0]["message"], "Something is not supported.");
    harness.model(json!({"type": "session.updated", "session": {}}));
    assert_eq!(harness.sent("response.create").len(), 1, "the caller is greeted all the same");

    let mut harness = unconfirmed("{}");
    for _ in 0..2 {
        complain(&mut harness, "No.");
        harness.advance(1_000);
    }
    assert_eq!(harness.published("session.refused").len(), 2);
    assert!(harness.played_ms() > 0, "within 2 s the caller hears that it does not work");
    assert!(harness.hang_up().is_some());
}

#[test]
fn an_error_that_names_the_parameter_in_its_words_costs_that_parameter_alone() {
    let mut harness = unconfirmed("{}");
    complain(&mut harness, "Unknown parameter: 'session.audio.output.voice'.");
    let update = harness.sent("session.update").pop().expect("an update");
    assert!(update["session"]["audio"]["output"].get("voice").is_none());
    assert!(update["session"]["tools"].is_array());
}

#[test]
fn a_parameter_by_its_name_in_the_beta_is_left_out() {
    for (param, pointer) in [
        ("voice", "/audio/output/voice"),
        ("session.voice", "/audio/output/voice"),
        ("session.input_audio_transcription.model", "/audio/input/transcription"),
    ] {
        let mut harness = unconfirmed("{}");
        harness.model(json!({"type": "error", "error": {"message": "no", "param": param}}));
        let update = harness.sent("session.update").pop().expect("an update");
        assert_eq!(update["session"].pointer(pointer), None, "{param}");
        assert!(update["session"]["tools"].is_array(), "{param}");
    }
}

#[test]
fn an_error_about_something_else_costs_the_session_nothing() {
    let mut harness = unconfirmed("{}");
    complain(&mut harness, "Something is not supported.");
    harness.model(json!({"type": "session.updated", "session": {}}));
    harness.advance(5_000);
    assert_eq!(harness.sent("session.update").len(), 1, "it was confirmed");

    let mut harness = unconfirmed("{}");
    let about = |param: Value, event_id: Value, code: Value| {
        json!({"type": "error", "error":
            {"message": "no", "param": param, "event_id": event_id, "code": code}})
    };
    harness.model(about(json!("item.id"), json!(null), json!(null)));
    harness.model(about(json!(null), json!("cb-history-7"), json!(null)));
    harness.model(about(json!(null), json!(null), json!("response_cancel_not_active")));
    harness.advance(5_000);
    assert_eq!(harness.sent("session.update").len(), 1);
}

#[test]
fn a_session_refused_even_at_its_least_ends_the_call_audibly() {
    let mut harness = Harness::<Agent>::start();
    let info =
        cordboard_sdk::ModelInfo { session: "s".into(), model: "m".into(), dialect: Dialect::Ga };
    harness.feed(Event::ModelReady(info));
    for _ in 0..2 {
        let update = harness.sent("session.update").pop().expect("an update");
        harness.model(json!({"type": "error", "error": {
            "code": "invalid_value", "message": "no", "event_id": update["event_id"],
        }}));
    }
    assert!(harness.played_ms() > 0);
    assert!(harness.hang_up().is_some());
    assert_eq!(harness.sent("session.update").len(), 2, "and is not asked for forever");
}

#[test]
fn a_restored_session_is_told_what_was_said_and_heard() {
    let mut harness = call(json!({"greet": true}));
    harness.model_says("Welcome to the shop of many flowers", 1_000);
    harness.hear_all();
    harness.caller_says("roses please");
    harness.model_says("We have red ones and white ones", 2_000);
    harness.advance(1_000);
    harness.caller_says("red");
    harness.model_lost();
    harness.forget();
    harness.model_restored();
    let told: Vec<(Value, Value, Value)> = harness
        .sent("conversation.item.create")
        .iter()
        .map(|event| {
            let item = &event["item"];
            assert!(item["id"].as_str().expect("an id").len() <= 32);
            let part = &item["content"][0];
            (item["role"].clone(), part["type"].clone(), part["text"].clone())
        })
        .collect();
    let expected = [
        ("assistant", "output_text", "Welcome to the shop of many flowers"),
        ("user", "input_text", "roses please"),
        ("assistant", "output_text", "We have red"),
        ("user", "input_text", "red"),
    ];
    assert_eq!(told, expected.map(|(a, b, c)| (json!(a), json!(b), json!(c))));
    let first = &harness.sent_all()[0];
    assert_eq!(first["type"], "session.update");
    let creates = harness.sent("response.create");
    assert_eq!(creates.len(), 1, "the caller still waits for an answer");
    assert!(creates[0].get("response").is_none(), "which is no second greeting");
}

/// What the new session is told, item by item.
fn told(harness: &Harness<Agent>) -> Vec<String> {
    let items = harness.sent("conversation.item.create");
    items
        .iter()
        .map(|event| {
            let item = &event["item"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            match text(&item["type"]).as_str() {
                "message" => {
                    format!("{}: {}", text(&item["role"]), text(&item["content"][0]["text"]))
                }
                "function_call" => format!("{}({})", text(&item["name"]), text(&item["arguments"])),
                "function_call_output" => format!("-> {}", text(&item["output"])),
                other => panic!("{other}"),
            }
        })
        .collect()
}

#[test]
fn a_restored_session_is_told_of_keys_and_of_tools_with_their_outputs_in_order() {
    let mut harness = call(json!({}));
    harness.caller_says("my balance please");
    harness.model_says("Type your number", 400);
    harness.hear_all();
    command(&mut harness, json!({"tell": "[The caller typed 4711]"}));
    harness.model_calls("now", r#"{"account":4711}"#);
    let later = harness.model_calls("later", r#"{"account":4712}"#);
    harness.model_lost();
    harness.forget();
    command(&mut harness, json!({"tell": "[The caller typed 99]"}));
    command(&mut harness, json!({"answer": later}));
    let open = harness.sent_all();
    assert!(open.is_empty(), "there is nobody to tell: {open:?}");
    harness.model_restored();
    let expected = [
        "user: my balance please",
        "assistant: Type your number",
        "user: [The caller typed 4711]",
        r#"now({"account":4711})"#,
        "-> done",
        r#"later({"account":4712})"#,
        "user: [The caller typed 99]",
        "-> late output",
    ];
    assert_eq!(told(&harness), expected);
    let calls: Vec<Value> = harness
        .sent("conversation.item.create")
        .iter()
        .map(|event| event["item"]["call_id"].clone())
        .filter(Value::is_string)
        .collect();
    assert_eq!(calls[0], calls[1], "an output belongs to its call");
    assert_eq!(calls[2], calls[3]);
    assert_ne!(calls[0], calls[2]);
    assert_eq!(harness.sent("response.create").len(), 1, "the answer to it is still owed");

    harness.model_lost();
    harness.forget();
    harness.model_restored();
    assert_eq!(told(&harness), expected, "and so is the next one");
}

#[test]
fn a_tool_that_answers_after_the_exchange_answers_the_call_the_new_session_was_told_of() {
    let mut harness = call(json!({}));
    let later = harness.model_calls("later", "{}");
    harness.model_lost();
    harness.model_restored();
    assert_eq!(told(&harness), ["later({})"]);
    harness.forget();
    command(&mut harness, json!({"answer": later}));
    assert_eq!(told(&harness), ["-> late output"]);
    assert_eq!(harness.sent("conversation.item.create")[0]["item"]["call_id"], later.as_str());
}

#[test]
fn what_was_told_before_there_was_a_session_reaches_the_first_one() {
    let mut harness = Harness::<Agent>::start();
    command(&mut harness, json!({"tell": "[The caller typed 4711]"}));
    assert!(harness.sent_all().is_empty());
    harness.model_ready();
    assert_eq!(told(&harness), ["user: [The caller typed 4711]"]);
}

#[test]
fn a_farewell_the_lost_session_never_spoke_does_not_keep_the_line_open() {
    let mut harness = call(json!({}));
    harness.model_calls("goodbye", "{}");
    assert!(harness.hang_up().is_none());
    harness.model_lost();
    assert!(harness.has_ended());
}

#[test]
fn a_session_lost_between_turns_is_restored_in_silence() {
    let mut harness = call(json!({"greet": true}));
    harness.model_says("Welcome!", 1_000);
    harness.hear_all();
    harness.model_lost();
    harness.forget();
    harness.model_restored();
    assert!(harness.sent("response.create").is_empty());
}

#[test]
fn a_session_lost_before_the_greeting_was_heard_greets_again() {
    let mut harness = call(json!({"greet": true}));
    harness.model_lost();
    harness.forget();
    harness.model_restored();
    assert_eq!(harness.sent("response.create").len(), 1);
}

#[test]
fn items_of_a_lost_session_are_not_truncated_in_the_new_one() {
    let mut harness = call(json!({}));
    harness.model_is_saying(3_000);
    harness.advance(100);
    harness.model_lost();
    harness.model_restored();
    harness.caller_interrupts();
    assert_eq!(harness.flushes(), 1);
    assert!(harness.sent("conversation.item.truncate").is_empty());
}

#[test]
fn a_tool_that_finishes_in_the_next_session_still_has_a_call_to_answer() {
    let mut harness = call(json!({}));
    let call_id = harness.model_calls("later", r#"{"a":1}"#);
    harness.model_lost();
    harness.forget();
    harness.model_restored();
    let retold = &harness.sent("conversation.item.create")[0]["item"];
    assert_eq!(retold["type"], "function_call");
    assert_eq!(retold["call_id"], call_id);
    common::command(&mut harness, json!({"answer": call_id}));
    let output = harness.sent("conversation.item.create").pop().expect("an output");
    assert_eq!(output["item"]["type"], "function_call_output");
}

#[test]
fn both_sides_are_published_with_how_much_was_heard() {
    let mut harness = call(json!({}));
    harness.caller_says("what is my balance");
    harness.model_says("Your balance is forty dollars", 2_000);
    harness.advance(1_000);
    harness.caller_says("thanks");
    let caller = harness.published("transcript.caller");
    let texts: Vec<_> = caller.iter().map(|line| line["text"].clone()).collect();
    assert_eq!(texts, ["what is my balance", "thanks"]);
    let agent = &harness.published("transcript.agent")[0];
    assert_eq!(agent["text"], "Your balance is forty dollars");
    assert_eq!(agent["heard"], "Your balance");
    assert_eq!((agent["heard_ms"].clone(), agent["audio_ms"].clone()), (json!(1000), json!(2000)));
    assert_eq!(agent["interrupted"], true);
    let kept: Vec<_> = harness.tenant().turns.iter().map(|turn| turn.speaker).collect();
    assert_eq!(kept, [Speaker::Caller, Speaker::Agent, Speaker::Caller]);
    assert_eq!(harness.call().turns().count(), 3, "though the server has erased one");
}

#[test]
fn a_line_still_open_at_the_end_of_the_call_is_published_too() {
    let mut harness = call(json!({}));
    harness.model_says("Your balance is forty dollars", 2_000);
    harness.advance(500);
    assert!(harness.published("transcript.agent").is_empty());
    harness.caller_hangs_up();
    let line = &harness.published("transcript.agent")[0];
    assert_eq!(line["text"], "Your balance is forty dollars");
    assert_eq!(line["heard_ms"], Value::Null, "nobody knows");
}

#[test]
fn usage_is_published_for_every_response() {
    let mut harness = call(json!({}));
    harness.model_says("Hi", 100);
    assert_eq!(harness.published("usage")[0]["usage"]["total_tokens"], 42);
}

#[test]
fn unknown_and_hostile_events_harm_nobody() {
    let mut harness = call(json!({}));
    for event in [
        "",
        "null",
        "[]",
        "{",
        "{\"type\":}",
        r#"{"type":"ping"}"#,
        r#"{"type":"response.created"}"#,
        r#"{"type":"response.done","response":null}"#,
        r#"{"type":"error"}"#,
        r#"{"type":"response.output_item.done","item":{"type":"function_call","status":"completed"}}"#,
        r#"{"type":"input_audio_buffer.committed","item_id":3}"#,
        r#"{"type":"response.output_audio.done","item_id":"nobody"}"#,
        r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"x","transcript":null}"#,
    ] {
        harness.feed(Event::ModelEvent(event.into()));
    }
    assert!(harness.log().is_empty(), "{:?}", harness.log());
    harness.caller_says("hello");
    harness.model_says("Hello", 300);
    assert!(harness.played_ms() >= 300);
}

#[test]
fn events_before_the_model_is_there_wait_for_it() {
    let mut harness = Harness::<Agent>::start();
    common::command(&mut harness, json!({"say": "Hello"}));
    assert!(harness.sent_all().is_empty());
    harness.model_ready();
    assert_eq!(harness.sent("response.create").len(), 1);
}
