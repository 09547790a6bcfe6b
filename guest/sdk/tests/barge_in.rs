//! What happens when the caller speaks while the agent does. Most cases here are bugs that other
//! bridges have had; openai.md 5.3 of the project's notes lists them.

mod common;

use common::{call, command, truncations};
use cordboard_sdk::{Action, Dialect, Event};
use serde_json::json;

#[test]
fn an_interruption_in_mid_generation_flushes_then_truncates_at_what_was_heard() {
    let mut harness = call(json!({}));
    let (_, item) = harness.model_is_saying(3_000);
    harness.advance(1_234);
    let actions = harness.caller_interrupts();
    let flush = actions.iter().position(|action| *action == Action::Flush).expect("a flush");
    let told = actions
        .iter()
        .position(|a| matches!(a, Action::ModelEvent(json) if json.contains("truncate")))
        .expect("a truncation");
    assert!(flush < told, "the caller is silenced before the model is told");
    assert_eq!(truncations(&harness), [(item, 1_234)]);
    assert_eq!(harness.sent("conversation.item.truncate")[0]["content_index"], 0);
    assert_eq!(harness.tenant().interruptions, 1);
}

#[test]
fn an_interruption_after_the_response_is_done_still_silences_the_agent() {
    let mut harness = call(json!({}));
    let item = harness.model_says("A long answer about many things", 7_000);
    harness.advance(2_000);
    harness.caller_interrupts();
    assert_eq!(harness.flushes(), 1);
    assert_eq!(truncations(&harness), [(item, 2_000)]);
    assert!(harness.sent("response.cancel").is_empty(), "there is nothing to cancel");
    assert!(harness.line_is_silent());
}

#[test]
fn speech_when_nothing_is_unplayed_clears_and_truncates_nothing() {
    let mut harness = call(json!({}));
    harness.caller_interrupts();
    harness.caller_stops("hello?");
    harness.model_says("Hi.", 800);
    harness.hear_all();
    harness.forget();
    harness.caller_interrupts();
    assert_eq!(harness.flushes(), 0);
    assert!(truncations(&harness).is_empty());
    assert!(harness.sent_all().is_empty(), "{:?}", harness.sent_all());
    assert_eq!(harness.tenant().interruptions, 0);
}

#[test]
fn two_queued_items_are_cut_where_each_was_heard() {
    let mut harness = call(json!({}));
    let first = harness.model_says("First", 1_000);
    let second = harness.model_says("Second", 2_000);
    harness.advance(600);
    harness.caller_interrupts();
    assert_eq!(truncations(&harness), [(first, 600), (second, 0)]);
    assert_eq!(harness.flushes(), 1);
}

#[test]
fn interrupting_the_second_item_counts_from_its_own_start() {
    let mut harness = call(json!({}));
    harness.model_says("First", 1_000);
    harness.hear_all();
    let second = harness.model_says("Second", 2_000);
    harness.advance(700);
    harness.caller_interrupts();
    assert_eq!(truncations(&harness), [(second, 700)]);
}

#[test]
fn an_item_heard_whole_is_left_alone_when_the_next_is_cut() {
    let mut harness = call(json!({}));
    harness.model_says("First", 500);
    let second = harness.model_says("Second", 500);
    harness.advance(700);
    harness.caller_interrupts();
    let [(item, at)] = &truncations(&harness)[..] else { panic!("one truncation") };
    // The first item's filter tail belongs to it, so the second starts some milliseconds later.
    assert_eq!(*item, second);
    assert!((190..=200).contains(at), "{at}");
}

#[test]
fn late_audio_of_the_dead_response_is_not_played() {
    let mut harness = call(json!({}));
    let (response, item) = harness.model_is_saying(1_000);
    harness.advance(300);
    harness.caller_interrupts();
    harness.forget();
    assert!(harness.audio(&response, &item, 200).is_empty());
    assert!(harness.audio(&response, &item, 200).is_empty());
    harness.response_ends("cancelled");
    assert!(harness.line_is_silent());
    assert_eq!(harness.played_ms(), 0);
    assert!(truncations(&harness).is_empty(), "it was cut already");
    harness.model_says("The next answer", 400);
    assert!(harness.played_ms() >= 400, "the next response is heard");
}

#[test]
fn a_second_item_that_begins_after_the_interruption_is_truncated_to_nothing() {
    let mut harness = call(json!({}));
    let (response, _) = harness.model_is_saying(1_000);
    harness.advance(300);
    harness.caller_interrupts();
    harness.forget();
    harness.audio(&response, "late", 200);
    harness.response_ends("cancelled");
    assert_eq!(truncations(&harness), [("late".to_owned(), 0)]);
}

#[test]
fn interrupted_before_the_first_audio_nothing_is_truncated_and_nothing_played() {
    let mut harness = call(json!({}));
    let response = harness.response_begins();
    harness.caller_interrupts();
    assert_eq!(harness.flushes(), 0);
    assert!(truncations(&harness).is_empty(), "an item without audio cannot be truncated");
    harness.audio(&response, "late", 200);
    assert!(harness.line_is_silent());
    harness.response_ends("cancelled");
    assert_eq!(truncations(&harness), [("late".to_owned(), 0)]);
}

#[test]
fn cancel_is_sent_only_when_the_server_does_not_interrupt_by_itself() {
    for (no_interrupt, cancels) in [(false, 0), (true, 1)] {
        let mut harness = call(json!({"no_interrupt": no_interrupt}));
        let (response, _) = harness.model_is_saying(1_000);
        harness.caller_interrupts();
        let sent = harness.sent("response.cancel");
        assert_eq!(sent.len(), cancels);
        assert!(sent.iter().all(|event| event["response_id"] == response));
        harness.caller_interrupts();
        assert_eq!(harness.sent("response.cancel").len(), cancels, "once per response");
    }
}

#[test]
fn cancel_goes_out_before_the_truncation_of_what_is_still_being_generated() {
    let mut harness = call(json!({"no_interrupt": true}));
    harness.model_is_saying(1_000);
    harness.advance(100);
    harness.caller_interrupts();
    let kinds: Vec<_> = harness.sent_all().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["response.cancel", "conversation.item.truncate"]);
}

#[test]
fn without_barge_in_the_agent_talks_on() {
    let mut harness = call(json!({"no_barge_in": true}));
    harness.model_is_saying(1_000);
    harness.caller_interrupts();
    assert_eq!(harness.flushes(), 0);
    assert!(harness.sent_all().is_empty());
}

#[test]
fn the_truncation_is_whole_and_never_beyond_what_was_received() {
    let mut harness = call(json!({"pcmu": true}));
    let response = harness.response_begins();
    // 100 ms and three bytes: no whole number of milliseconds.
    harness.feed(Event::ModelAudio(cordboard_sdk::ModelAudio {
        response,
        item: "odd".into(),
        content_index: 2,
        data: vec![0xFF; 803],
    }));
    harness.advance(5_000);
    harness.caller_interrupts();
    assert_eq!(truncations(&harness), [("odd".to_owned(), 100)]);
    assert_eq!(harness.sent("conversation.item.truncate")[0]["content_index"], 2);
}

#[test]
fn a_repeated_speech_start_does_nothing_twice() {
    let mut harness = call(json!({}));
    harness.model_says("Something long", 3_000);
    harness.advance(500);
    harness.caller_interrupts();
    harness.caller_interrupts();
    harness.caller_interrupts();
    assert_eq!(harness.flushes(), 1);
    assert_eq!(truncations(&harness).len(), 1);
}

#[test]
fn benign_errors_change_nothing_that_anybody_hears() {
    for (code, message) in [
        ("invalid_value", "Audio content of 3700ms is already shorter than 3760ms"),
        ("response_cancel_not_active", "Cancellation failed: no active response found"),
        ("item_truncate_invalid_item_id", "Item with id 'x' does not exist"),
        ("unsupported_content_type", "Only model output audio messages can be truncated"),
    ] {
        for event_id in [json!(null), json!("cb-truncate-7")] {
            let mut harness = call(json!({}));
            let error = json!({"code": code, "message": message, "event_id": event_id});
            harness.model(json!({"type": "error", "error": error}));
            assert!(harness.log().is_empty(), "{code}: {:?}", harness.log());
            harness.caller_says("still there?");
            harness.model_says("Yes.", 500);
            assert!(harness.played_ms() >= 500);
        }
    }
}

#[test]
fn a_tool_answer_that_follows_an_interruption_is_played() {
    let mut harness = call(json!({}));
    harness.model_says("Let me see", 2_000);
    let call_id = harness.model_calls("later", "{}");
    harness.advance(100);
    harness.caller_says("hurry up");
    harness.model_says("I am on it.", 300);
    harness.hear_all();
    harness.forget();
    command(&mut harness, json!({"answer": call_id}));
    assert_eq!(harness.sent("response.create").len(), 1);
    let item = harness.model_says("It is forty.", 800);
    harness.advance(200);
    harness.caller_interrupts();
    assert_eq!(truncations(&harness), [(item, 200)]);
}

#[test]
fn the_voice_after_an_interruption_starts_from_a_clean_filter() {
    let speak = |interrupted: bool| {
        let mut harness = call(json!({}));
        if interrupted {
            let response = harness.response_begins();
            harness.feed(Event::ModelAudio(cordboard_sdk::ModelAudio {
                response,
                item: "loud".into(),
                content_index: 0,
                data: vec![0x7F; 4_801],
            }));
            harness.caller_interrupts();
            harness.response_ends("cancelled");
        }
        harness.forget();
        harness.model_says("quiet", 100);
        let play = |action: &Action| match action {
            Action::Play(play) => Some(play.audio.clone()),
            _ => None,
        };
        harness.actions().filter_map(play).flatten().collect::<Vec<u8>>()
    };
    assert_eq!(speak(true), speak(false));
}

#[test]
fn a_flush_by_the_tenant_itself_is_told_to_the_model_too() {
    let mut harness = call(json!({}));
    let item = harness.model_says("Something long", 3_000);
    harness.advance(400);
    command(&mut harness, json!({"flush": true}));
    assert_eq!(truncations(&harness), [(item, 400)]);
    harness.forget();
    command(&mut harness, json!({"flush": true}));
    assert_eq!(harness.flushes(), 0, "nothing is unplayed any more");
}

#[test]
fn the_beta_dialect_changes_nothing_in_turn_taking() {
    let mut harness = common::call(json!({}));
    harness.model_ready_as(Dialect::Beta);
    harness.forget();
    let item = harness.model_says("Hello", 1_000);
    harness.advance(250);
    harness.caller_interrupts();
    assert_eq!(truncations(&harness), [(item, 250)]);
}
