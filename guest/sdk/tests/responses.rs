//! One response at a time, tools answered once, failures survived.

#[expect(dead_code, reason = "each test file uses what it needs of this")]
mod common;

use common::{call, command};
use cordboard_sdk::harness::Harness;
use cordboard_sdk::{Action, HangUpWhen};
use serde_json::{Value, json};

fn outputs(harness: &Harness<common::Agent>) -> Vec<(String, String)> {
    harness
        .sent("conversation.item.create")
        .iter()
        .filter(|event| event["item"]["type"] == "function_call_output")
        .map(|event| {
            let text = |key: &str| event["item"][key].as_str().expect("a text").to_owned();
            (text("call_id"), text("output"))
        })
        .collect()
}

#[test]
fn a_tool_is_answered_once_and_the_answer_spoken_after_the_response_is_done() {
    let mut harness = call(json!({}));
    harness.response_begins();
    let call_id = harness.tool_item("now", "{}", "completed");
    assert_eq!(outputs(&harness), [(call_id.clone(), "done".to_owned())]);
    assert!(harness.sent("response.create").is_empty(), "the response is still active");
    harness.response_ends("completed");
    assert_eq!(harness.sent("response.create").len(), 1);
    harness.model(json!({
        "type": "response.output_item.done",
        "item": {"type": "function_call", "status": "completed", "name": "now",
                 "call_id": call_id, "arguments": "{}"},
    }));
    assert_eq!(outputs(&harness).len(), 1, "the same call id again is not run again");
}

#[test]
fn several_calls_bring_all_outputs_and_then_one_response() {
    let mut harness = call(json!({}));
    harness.response_begins();
    let first = harness.tool_item("later", "{}", "completed");
    let second = harness.tool_item("later", "{}", "completed");
    harness.response_ends("completed");
    command(&mut harness, json!({"answer": second}));
    assert!(harness.sent("response.create").is_empty(), "one output is still missing");
    command(&mut harness, json!({"answer": first}));
    assert_eq!(outputs(&harness).len(), 2);
    assert_eq!(harness.sent("response.create").len(), 1);
    command(&mut harness, json!({"answer": first}));
    command(&mut harness, json!({"answer": "call_nobody"}));
    assert_eq!(outputs(&harness).len(), 2, "a late or unknown answer is nothing");
}

#[test]
fn a_call_cut_off_in_mid_arguments_is_not_run() {
    let mut harness = call(json!({}));
    harness.response_begins();
    harness.tool_item("now", r#"{"account": 12"#, "incomplete");
    harness.response_ends("cancelled");
    assert!(outputs(&harness).is_empty());
}

#[test]
fn invalid_arguments_are_answered_in_words_and_the_call_goes_on() {
    let mut harness = call(json!({}));
    let call_id = harness.model_calls("now", r#"{"account": "#);
    let [(answered, output)] = &outputs(&harness)[..] else { panic!("one output") };
    assert_eq!(*answered, call_id);
    assert!(output.contains("error"), "{output}");
    assert_eq!(harness.sent("response.create").len(), 1);
}

#[test]
fn an_interrupted_tool_is_answered_by_the_servers_own_response() {
    let mut harness = call(json!({}));
    let call_id = harness.model_calls("later", "{}");
    harness.caller_interrupts();
    command(&mut harness, json!({"answer": call_id}));
    assert_eq!(outputs(&harness).len(), 1, "the output goes at once");
    assert!(harness.sent("response.create").is_empty(), "but not over the caller's words");
    harness.caller_stops("and my address?");
    harness.model_says("Forty, and it is on file.", 500);
    harness.advance(20_000);
    assert!(harness.sent("response.create").is_empty(), "the server's response has answered both");
}

#[test]
fn a_tool_answer_is_spoken_even_if_the_server_does_not_respond_by_itself() {
    let mut harness = call(json!({}));
    let call_id = harness.model_calls("later", "{}");
    harness.caller_interrupts();
    command(&mut harness, json!({"answer": call_id}));
    harness.caller_stops("(cough)");
    assert!(harness.sent("response.create").is_empty());
    harness.advance(4_000);
    assert_eq!(harness.sent("response.create").len(), 1);
}

#[test]
fn a_service_is_asked_and_its_body_is_the_output() {
    let mut harness = call(json!({}));
    harness.model_calls("lookup", r#"{"account":12}"#);
    let request = harness.requests().pop().expect("a request");
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://crm.example/lookup")
    );
    assert_eq!(request.body, br#"{"account":12}"#);
    assert!(request.headers.contains(&("authorization".into(), "Bearer {{secret:CRM}}".into())));
    harness.http_answers(200, r#"{"balance":40}"#);
    assert_eq!(outputs(&harness)[0].1, r#"{"balance":40}"#);
    harness.http_answers(200, "again");
    assert_eq!(outputs(&harness).len(), 1);
    harness.advance(60_000);
    assert_eq!(outputs(&harness).len(), 1, "its deadline has been called off");
}

#[test]
fn a_service_that_fails_in_any_way_is_an_output_that_says_so() {
    type Fail = fn(&mut Harness<common::Agent>);
    let ways: [(&str, Fail); 3] = [
        ("answered 500", |harness| drop(harness.http_answers(500, "boom"))),
        ("not allowed", |harness| drop(harness.refuse("http", "host not in the list"))),
        ("in time", |harness| harness.advance(60_000)),
    ];
    for (words, fail) in ways {
        let mut harness = call(json!({}));
        harness.model_calls("lookup", "{}");
        fail(&mut harness);
        let [(_, output)] = &outputs(&harness)[..] else { panic!("one output: {words}") };
        assert!(output.contains(words), "{output}");
    }
}

#[test]
fn a_slow_service_gets_a_hold_phrase_and_then_its_answer() {
    let mut harness = call(json!({}));
    harness.model_calls("lookup", "{}");
    harness.advance(1_400);
    assert!(harness.sent("response.create").is_empty());
    harness.advance(200);
    let hold = &harness.sent("response.create")[0];
    assert!(hold["response"]["instructions"].as_str().expect("a text").contains("One moment."));
    let response = harness.response_begins();
    harness.http_answers(200, "{}");
    assert_eq!(harness.sent("response.create").len(), 1, "not while the phrase is spoken");
    harness.audio(&response, "hold", 600);
    harness.response_ends("completed");
    let creates = harness.sent("response.create");
    assert_eq!(creates.len(), 2);
    assert!(creates[1].get("response").is_none(), "the answer needs no instructions of its own");
}

#[test]
fn a_create_refused_because_another_response_is_active_is_sent_again_after_it() {
    let mut harness = call(json!({}));
    command(&mut harness, json!({"say": "Hello"}));
    let create = harness.sent("response.create")[0].clone();
    harness.model(json!({"type": "error", "error": {
        "code": "conversation_already_has_active_response",
        "message": "Conversation already has an active response",
        "event_id": create["event_id"],
    }}));
    harness.model_says("The server's own words", 500);
    let creates = harness.sent("response.create");
    assert_eq!(creates.len(), 2);
    assert_eq!(creates[1]["response"], create["response"]);
    assert_ne!(creates[1]["event_id"], create["event_id"]);
    assert!(harness.published("model.error").is_empty());
}

#[test]
fn every_event_we_send_has_an_id_of_its_own() {
    let mut harness = call(json!({"greet": true}));
    harness.model_says("Welcome!", 2_000);
    harness.advance(100);
    harness.caller_says("hello");
    harness.model_calls("now", "{}");
    let ids: Vec<_> = harness.sent_all().iter().map(|event| event["event_id"].clone()).collect();
    assert!(ids.len() >= 3);
    for (at, id) in ids.iter().enumerate() {
        assert!(id.is_string());
        assert!(!ids[..at].contains(id), "{id} twice");
    }
}

#[test]
fn a_response_asked_for_just_before_the_caller_spoke_does_not_talk_over_them() {
    let mut harness = call(json!({"no_create": true}));
    let call_id = harness.model_calls("later", "{}");
    command(&mut harness, json!({"answer": call_id}));
    assert_eq!(harness.sent("response.create").len(), 1);
    harness.caller_interrupts();
    let response = harness.response_begins();
    assert_eq!(harness.sent("response.cancel")[0]["response_id"], response);
    harness.audio(&response, "over", 200);
    assert_eq!(harness.played_ms(), 0);
    harness.response_ends("cancelled");
    assert_eq!(harness.sent("response.create").len(), 1, "the caller still speaks");
    harness.caller_stops("as I was saying");
    assert_eq!(harness.sent("response.create").len(), 2, "the tool's output is not forgotten");
}

/// A whole response that fails.
fn fail(harness: &mut Harness<common::Agent>, code: &str) {
    let id = harness.response_begins();
    harness.model(json!({"type": "response.done", "response": {
        "id": id, "status": "failed",
        "status_details": {"type": "failed", "error": {"code": code, "message": "no"}},
    }}));
}

#[test]
fn a_failed_response_is_tried_once_more() {
    let mut harness = call(json!({}));
    fail(&mut harness, "rate_limit_exceeded");
    assert!(harness.sent("response.create").is_empty(), "not at once");
    harness.advance(500);
    assert_eq!(harness.sent("response.create").len(), 1);
    harness.model_says("Here I am.", 500);
    assert!(harness.hang_up().is_none());
}

#[test]
fn a_model_that_keeps_failing_does_not_leave_the_caller_in_silence() {
    for (code, tries) in [("server_error", 1), ("insufficient_quota", 0)] {
        let mut harness = call(json!({}));
        fail(&mut harness, code);
        if tries > 0 {
            harness.advance(500);
            fail(&mut harness, code);
        }
        assert_eq!(harness.sent("response.create").len(), tries);
        assert!(harness.played_ms() >= 900, "the caller hears that it does not work");
        assert_eq!(harness.hang_up().expect("a hang-up").when, HangUpWhen::WhenPlayed);
        harness.hear_all();
        assert!(harness.has_ended());
    }
}

#[test]
fn a_create_that_is_never_answered_is_a_failure_too() {
    let mut harness = call(json!({}));
    command(&mut harness, json!({"say": "Hello"}));
    harness.advance(10_500);
    assert_eq!(harness.sent("response.create").len(), 2);
    harness.advance(10_500);
    assert!(harness.hang_up().is_some());
}

#[test]
fn a_farewell_is_heard_before_the_line_is_cut() {
    let mut harness = call(json!({}));
    let (response, item) = harness.model_is_saying(1_500);
    harness.tool_item("goodbye", "{}", "completed");
    assert!(harness.hang_up().is_none(), "the farewell is still being generated");
    harness.audio(&response, &item, 500);
    harness.item_done(&item, "Goodbye!");
    harness.response_ends("completed");
    assert_eq!(harness.hang_up().expect("a hang-up").when, HangUpWhen::WhenPlayed);
    harness.advance(1_900);
    assert!(!harness.has_ended());
    harness.hear_all();
    assert!(harness.has_ended());
    assert!(harness.sent("response.create").is_empty(), "nothing more is to be said");
}

#[test]
fn a_hang_up_without_a_word_asks_for_a_farewell_first() {
    let mut harness = call(json!({}));
    harness.model_calls("goodbye", "{}");
    assert!(harness.hang_up().is_none());
    let create = &harness.sent("response.create")[0];
    assert!(create["response"]["instructions"].as_str().expect("a text").contains("goodbye"));
    harness.model_says("Bye!", 600);
    assert!(harness.hang_up().is_some());
}

#[test]
fn a_caller_who_interrupts_the_farewell_keeps_the_line() {
    let mut harness = call(json!({}));
    harness.model_is_saying(2_000);
    harness.tool_item("goodbye", "{}", "completed");
    harness.response_ends("completed");
    harness.advance(300);
    let actions = harness.caller_interrupts();
    assert!(actions.contains(&Action::CancelHangUp));
    assert!(harness.hang_up().is_none());
    harness.caller_stops("one more thing");
    harness.model_says("Of course.", 500);
    harness.hear_all();
    assert!(!harness.has_ended());
}

#[test]
fn a_farewell_that_never_ends_is_not_waited_for_forever() {
    let mut harness = call(json!({}));
    harness.model_is_saying(1_000);
    harness.tool_item("goodbye", "{}", "completed");
    harness.advance(19_900);
    assert!(harness.hang_up().is_none(), "the response is still running");
    harness.advance(200);
    assert!(harness.has_ended());

    let mut harness = call(json!({}));
    command(&mut harness, json!({"hang_up": "Goodbye!"}));
    harness.response_begins();
    harness.advance(20_100);
    assert!(harness.has_ended(), "nor one that never begins");
}

#[test]
fn the_deadline_of_a_farewell_that_was_called_off_is_called_off_too() {
    let mut harness = call(json!({}));
    harness.model_is_saying(1_000);
    harness.tool_item("goodbye", "{}", "completed");
    harness.advance(500);
    harness.caller_says("one more thing");
    harness.response_ends("cancelled");
    harness.model_says("Of course.", 500);
    harness.advance(60_000);
    assert!(!harness.has_ended());
    assert!(harness.hang_up().is_none());
}

#[test]
fn a_transfer_waits_for_its_announcement() {
    let mut harness = call(json!({}));
    harness.model_is_saying(1_000);
    harness.tool_item("human", "{}", "completed");
    harness.response_ends("completed");
    assert!(harness.transfers().is_empty());
    harness.advance(1_100);
    assert_eq!(harness.transfers(), ["+15550100"]);
}

#[test]
fn a_transfer_goes_where_the_settings_say_whatever_the_model_was_talked_into() {
    for (tool, arguments, goes_to) in [
        ("human", r#"{"to":"+19005550199"}"#, Some("+15550100")),
        ("branch", r#"{"to":"+15550102"}"#, Some("+15550102")),
        ("branch", r#"{"to":"+19005550199"}"#, None),
        ("branch", "{}", None),
    ] {
        let mut harness = call(json!({}));
        harness.model_is_saying(1_000);
        harness.tool_item(tool, arguments, "completed");
        harness.response_ends("completed");
        harness.advance(1_100);
        assert_eq!(
            harness.transfers(),
            goes_to.map_or(vec![], |to| vec![to]),
            "{tool} {arguments}"
        );
        let told = harness
            .sent("conversation.item.create")
            .iter()
            .any(|item| item.to_string().contains("must be one of +15550101, +15550102"));
        assert_eq!(told, goes_to.is_none(), "{tool} {arguments}");
    }
}

#[test]
fn the_model_is_shown_the_numbers_it_may_choose_from() {
    let mut harness = Harness::<common::Agent>::with_settings("{}");
    harness.model_ready();
    let update = harness.sent("session.update")[0].clone();
    let tools = update["session"]["tools"].as_array().expect("a list");
    let shown = |name: &str| {
        let tool = tools.iter().find(|tool| tool["name"] == name).expect("it is offered");
        tool["parameters"]["properties"]["to"].clone()
    };
    assert_eq!(shown("branch")["enum"], json!(["+15550101", "+15550102"]));
    assert_eq!(shown("human"), json!(null));
}

#[test]
fn a_refused_transfer_is_told_to_the_model() {
    let mut harness = call(json!({}));
    harness.model_says("Hello", 100);
    harness.hear_all();
    harness.model_is_saying(100);
    harness.tool_item("human", "{}", "completed");
    harness.response_ends("completed");
    harness.advance(500);
    harness.forget();
    harness.refuse("transfer", "no such number");
    assert!(harness.sent("conversation.item.create")[0].to_string().contains("no such number"));
    assert_eq!(harness.sent("response.create").len(), 1);
}

#[test]
fn a_silent_caller_is_asked_and_then_let_go() {
    let mut harness = call(json!({"idle": true}));
    harness.model_says("Hello", 1_000);
    harness.hear_all();
    harness.forget();
    harness.advance(4_900);
    assert!(harness.sent("response.create").is_empty());
    harness.advance(200);
    assert_eq!(harness.sent("response.create").len(), 1);
    harness.model_says("Are you there?", 500);
    harness.hear_all();
    harness.advance(3_900);
    assert!(!harness.has_ended());
    harness.advance(200);
    assert!(harness.has_ended());
}

#[test]
fn a_caller_who_answers_the_nudge_starts_the_silence_anew() {
    let mut harness = call(json!({"idle": true}));
    harness.model_says("Hello", 1_000);
    harness.hear_all();
    harness.advance(5_100);
    harness.model_says("Are you there?", 500);
    harness.hear_all();
    harness.caller_says("yes");
    harness.model_says("Good.", 500);
    harness.hear_all();
    harness.forget();
    harness.advance(4_500);
    assert!(!harness.has_ended());
    assert!(harness.sent("response.create").is_empty());
    harness.advance(1_000);
    assert_eq!(harness.sent("response.create").len(), 1, "asked again, not hung up");
}

#[test]
fn a_turn_that_was_never_said_to_stop_is_over_once_it_is_taken_or_answered() {
    for committed in [true, false] {
        let mut harness = call(json!({}));
        harness.caller_interrupts();
        if committed {
            harness.model(json!({"type": "input_audio_buffer.committed", "item_id": "user_9"}));
        }
        harness.model_calls("now", "{}");
        assert_eq!(outputs(&harness).len(), 1);
        assert_eq!(harness.sent("response.create").len(), 1, "the output is spoken at once");
        harness.model_says("It is noon.", 500);
        harness.advance(20_000);
        assert_eq!(harness.sent("response.create").len(), 1, "and once");
    }
}

#[test]
fn a_goodbye_in_a_turn_that_was_never_said_to_stop_is_spoken_and_the_line_cut() {
    let mut harness = call(json!({}));
    harness.caller_interrupts();
    harness.model(json!({"type": "input_audio_buffer.committed", "item_id": "user_9"}));
    harness.model_calls("goodbye", "{}");
    assert_eq!(harness.sent("response.create").len(), 1, "the farewell");
    harness.model_says("Bye!", 500);
    harness.advance(1_000);
    assert!(harness.has_ended());
}

#[test]
fn a_response_the_caller_talks_over_does_not_end_their_turn() {
    for status in ["cancelled", "completed"] {
        let mut harness = call(json!({"no_interrupt": true, "no_barge_in": true}));
        harness.response_begins();
        harness.tool_item("now", "{}", "completed");
        harness.caller_interrupts();
        harness.response_ends(status);
        assert!(harness.sent("response.create").is_empty(), "the caller still speaks: {status}");
    }
    let mut harness = call(json!({}));
    let call_id = harness.model_calls("later", "{}");
    harness.caller_interrupts();
    harness.response_begins();
    harness.response_ends("cancelled");
    command(&mut harness, json!({"answer": call_id}));
    assert!(harness.sent("response.create").is_empty(), "it was cut off by the caller going on");
}

/// Ends the present response without a sound.
fn ends_without_a_sound(harness: &mut Harness<common::Agent>, status: &str, details: &Value) {
    let id = harness.response_begins();
    harness.model(json!({"type": "response.done",
        "response": {"id": id, "status": status, "status_details": details, "output": []}}));
}

#[test]
fn a_response_without_a_sound_is_published_and_asked_for_again_with_audio() {
    for (status, details, reason) in [
        ("completed", json!(null), json!(null)),
        ("incomplete", json!({"reason": "content_filter"}), json!("content_filter")),
        ("incomplete", json!({"reason": "max_output_tokens"}), json!("max_output_tokens")),
        ("incomplete", json!({"reason": "never_heard_of"}), json!("never_heard_of")),
        ("incomplete", json!("words"), json!(null)),
        ("expired", json!({"reason": 7}), json!(null)),
    ] {
        let mut harness = call(json!({}));
        harness.caller_says("how much is it?");
        ends_without_a_sound(&mut harness, status, &details);
        assert_eq!(
            harness.published("response.silent"),
            [json!({"status": status, "reason": reason})]
        );
        harness.advance(1_000);
        let creates = harness.sent("response.create");
        assert_eq!(creates.len(), 1, "{status} {details}");
        assert_eq!(creates[0]["response"]["output_modalities"], json!(["audio"]));
        harness.model_says("Forty.", 500);
        harness.hear_all();
        ends_without_a_sound(&mut harness, status, &details);
        harness.advance(1_000);
        assert_eq!(harness.sent("response.create").len(), 2, "the next is a first one again");
        assert!(harness.hang_up().is_none());
    }
}

#[test]
fn a_phrase_without_a_sound_is_said_again_and_twice_is_a_failure_that_is_heard() {
    let mut harness = call(json!({}));
    command(&mut harness, json!({"say": "The shop opens at nine."}));
    ends_without_a_sound(&mut harness, "completed", &json!(null));
    harness.advance(1_000);
    let creates = harness.sent("response.create");
    assert_eq!(creates.len(), 2);
    assert!(creates[1]["response"]["instructions"].to_string().contains("nine"));
    assert_eq!(creates[1]["response"]["output_modalities"], json!(["audio"]));
    assert_eq!(harness.played_ms(), 0);
    ends_without_a_sound(&mut harness, "completed", &json!(null));
    assert!(harness.played_ms() > 0, "never silence without a word");
    assert!(harness.hang_up().is_some());
}

#[test]
fn a_response_that_nobody_was_to_hear_is_no_fault() {
    let silent = |harness: &Harness<common::Agent>| harness.published("response.silent").len();
    let mut harness = call(json!({}));
    harness.model_calls("later", "{}");
    assert_eq!(silent(&harness), 0, "a tool was called");

    let mut harness = call(json!({}));
    harness.caller_says("how much is it?");
    harness.response_begins();
    harness.caller_interrupts();
    harness.response_ends("cancelled");
    assert_eq!(silent(&harness), 0, "the caller went on");

    for response in [json!({"output_modalities": ["text"]}), json!({"conversation": "none"})] {
        let mut harness = call(json!({}));
        let event = json!({"type": "response.create", "response": response});
        command(&mut harness, json!({"model_event": event}));
        ends_without_a_sound(&mut harness, "completed", &json!(null));
        assert_eq!(silent(&harness), 0, "the tenant asked for text");
    }

    let mut harness = call(json!({}));
    for _ in 0..3 {
        harness.model(json!({"type": "response.done", "response": {"id": "resp_unknown"}}));
    }
    assert_eq!(silent(&harness), 0, "nobody announced it");
    assert!(harness.hang_up().is_none());

    let mut harness = call(json!({}));
    harness.response_begins();
    harness.tool_item("now", r#"{"acc"#, "incomplete");
    harness.response_ends("incomplete");
    assert_eq!(silent(&harness), 1, "a call cut off in its arguments was not run");
}
