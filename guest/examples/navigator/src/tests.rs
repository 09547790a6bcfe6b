//! A call to a power company, without a phone and without a model.

use cordboard_audio::dtmf::{KeyDetector, Stroke};
use cordboard_sdk::harness::{Harness, call_info};
use cordboard_sdk::{Action, CallInfo, Direction, Event};
use serde_json::Value;

use super::*;

const SETTINGS: &str =
    r#"{"goal": ["billing", "invoice", "agent"], "task": "Ask for the last invoice again."}"#;

const MAIN: &str =
    "Welcome to Northwind Power. For sales, press 1. For billing, press 2. For repairs, press 3.";
const BILLING: &str =
    "For invoices, press 1. For payments, press 2. To go back, press the star key.";
const INVOICES: &str = "To hear your balance, press 1. To change your address, press 2. To speak with an agent, press 3.";
const BUSY: &str = "All our agents are busy. Please hold the line.";
const IMPORTANT: &str = "Your call is important to us. Please stay on the line.";
const MARIA: &str = "Billing, this is Maria. How can I help you?";

#[test]
fn three_levels_are_passed_with_keys_in_the_audio() {
    let mut call = call();
    for prompt in [MAIN, BILLING, INVOICES] {
        call.caller_says(prompt);
        call.advance(3_000);
    }
    assert_eq!(keys_played(&call), "213");
    assert!(!call.actions().any(|action| matches!(action, Action::SendKeys(_))));
    let why: Vec<Value> = call.published("navigator.pressed");
    assert!(why[1]["why"].as_str().is_some_and(|why| why.contains("invoice")), "{why:?}");
    assert_eq!(call.sent("response.create").len(), 0, "a machine is not talked to");
}

#[test]
fn a_machine_that_talks_over_a_key_does_not_cut_it_off() {
    let mut call = call();
    call.caller_says(MAIN);
    call.caller_interrupts();
    call.advance(3_000);
    assert_eq!(call.flushes(), 0);
    assert_eq!(keys_played(&call), "2");
}

#[test]
fn on_hold_the_model_hears_no_music_and_a_person_whole() {
    let mut call = call();
    call.caller_says(BUSY);
    assert_eq!(call.published("navigator.on-hold").len(), 1);
    call.forget();
    listen(&mut call, &music(8_000));
    assert_eq!(model_heard_ms(&call), 0);
    listen(&mut call, &voice(2_000));
    assert!(model_heard_ms(&call) >= 2_000, "{} ms", model_heard_ms(&call));
    assert_eq!(call.published("navigator.voice").len(), 1);
    call.caller_says(IMPORTANT);
    assert_eq!(call.published("navigator.human").len(), 0);
    listen(&mut call, &music(6_000));
    listen(&mut call, &voice(2_000));
    call.caller_says(MARIA);
    let human = call.published("navigator.human");
    assert_eq!(human[0]["words"], MARIA);
    assert!(human[0]["held_ms"].as_u64().is_some_and(|ms| ms >= 18_000), "{human:?}");
}

#[test]
fn a_person_is_answered_at_once_and_conversed_with_from_then_on() {
    let mut call = with_person();
    assert_eq!(call.sent("response.create").len(), 1);
    let update = call.sent("session.update").pop().expect("the session changes");
    let turns = &update["session"]["audio"]["input"]["turn_detection"];
    assert_eq!(turns["create_response"], true);
    assert!(update["session"]["instructions"].as_str().is_some_and(|it| it.contains("invoice")));
    call.model_says("Hello. Could you please send my last invoice again?", 3_000);
    call.hear_all();
    let pressed = keys_played(&call);
    call.caller_says("For that I would have to press 1 on my keyboard, one moment.");
    call.advance(3_000);
    assert_eq!(keys_played(&call), pressed, "a person is no menu");
}

#[test]
fn who_answers_without_a_queue_is_known_by_what_people_say() {
    let mut call = call();
    call.caller_says("Thank you for calling. How can I help you? For billing, press 2.");
    assert_eq!(call.published("navigator.human").len(), 0, "this is a menu");
    call.advance(3_000);
    assert_eq!(keys_played(&call), "2");
    call.caller_says("Hello, how can I help you?");
    assert_eq!(call.published("navigator.human").len(), 1);
}

#[test]
fn a_wrong_key_is_tried_again_and_a_menu_without_a_way_ends_with_the_last_resort() {
    let mut call = call();
    call.caller_says(MAIN);
    call.advance(3_000);
    call.caller_says(&format!("That is not a valid option. {MAIN}"));
    call.advance(5_000);
    assert_eq!(keys_played(&call), "22");
    call.caller_says("For Italian, press 8. For French, press 9.");
    call.advance(5_000);
    assert_eq!(keys_played(&call), "220");
}

#[test]
fn nobody_within_the_limit_ends_the_call_with_a_reason() {
    let mut call = Harness::<Navigator>::with_settings(r#"{"hold_minutes_max": 1}"#);
    call.model_ready();
    call.caller_says(BUSY);
    call.advance(59_000);
    assert!(!call.has_ended());
    call.advance(2_000);
    assert!(call.has_ended());
    assert!(call.published("navigator.gave-up")[0]["why"].to_string().contains("1 minutes"));
}

#[test]
fn what_transcribers_make_of_music_is_struck_out_and_nobody_answers_it() {
    let mut call = call();
    call.caller_says(BUSY);
    listen(&mut call, &music(3_000));
    listen(&mut call, &voice(1_000));
    let item = call.caller_says("Thank you for watching.");
    assert_eq!(call.sent("conversation.item.delete")[0]["item_id"], item);
    assert_eq!(call.published("navigator.human").len(), 0);
}

#[test]
fn the_line_is_cut_once_the_farewell_was_heard_and_not_if_the_person_goes_on() {
    let mut call = with_person();
    call.model_says("Thank you very much. Goodbye!", 2_000);
    call.hear_all();
    call.caller_says("Wait, I need your customer number.");
    call.advance(5_000);
    assert!(!call.has_ended());
    call.model_says("It is four seven one. Goodbye!", 2_000);
    call.advance(1_900);
    assert!(!call.has_ended(), "it is still being said");
    call.advance(2_500);
    assert!(call.has_ended());
}

#[test]
fn a_call_that_has_cost_enough_ends_politely() {
    let mut call = with_person();
    let usage = json!({"input_tokens": 90_000, "output_tokens": 20_000});
    let response = json!({"id": "r", "status": "completed", "usage": usage});
    call.model(json!({"type": "response.created", "response": {"id": "r"}}));
    call.model(json!({"type": "response.done", "response": response}));
    assert_eq!(call.published("budget.spent").len(), 1);
    call.model_says("I am sorry, I have to end our call here. Thank you, and goodbye!", 3_000);
    call.hear_all();
    assert!(call.has_ended());
}

#[test]
fn a_swap_at_any_event_changes_nothing() {
    let story = |every: u32| {
        let mut call = call();
        call.swap_every(every);
        for prompt in [MAIN, BILLING, INVOICES] {
            call.caller_says(prompt);
            call.advance(3_000);
        }
        call.caller_says(BUSY);
        listen(&mut call, &music(4_000));
        listen(&mut call, &voice(2_000));
        call.caller_says(MARIA);
        (keys_played(&call), model_heard_ms(&call), call.published("navigator.human"))
    };
    let untouched = story(0);
    assert_eq!(untouched.0, "213");
    for every in [1, 2, 3, 7] {
        assert_eq!(story(every), untouched, "a swap after every {every} events");
    }
}

#[test]
fn a_state_that_is_cut_off_is_refused_and_a_typo_in_the_settings_is_told() {
    let saved = call().tenant().save();
    assert!(Navigator::load(&info(SETTINGS), &saved[..saved.len() - 1]).is_err());
    for (settings, complaint) in [(r#"{"goals": []}"#, "goals"), (r#"{"voice": "fable"}"#, "fable")]
    {
        let call = Harness::<Navigator>::with_settings(settings);
        assert!(call.published("settings.refused")[0].to_string().contains(complaint));
    }
}

fn info(settings: &str) -> CallInfo {
    CallInfo { direction: Direction::Outbound, settings: settings.into(), ..call_info() }
}

/// A call that somebody has answered.
fn call() -> Harness<Navigator> {
    let mut call = Harness::<Navigator>::with_info(info(SETTINGS));
    call.model_ready();
    call
}

/// A call with a person who has just said their first words.
fn with_person() -> Harness<Navigator> {
    let mut call = call();
    call.caller_says(MAIN);
    call.advance(3_000);
    call.caller_says(BUSY);
    listen(&mut call, &music(3_000));
    listen(&mut call, &voice(2_000));
    call.caller_says(MARIA);
    call
}

fn listen(call: &mut Harness<Navigator>, pcm: &[i16]) {
    for frame in cordboard_audio::encode_twilio_audio(pcm).chunks(160) {
        call.feed(Event::CallerAudio(frame.to_vec()));
        call.advance(20);
    }
}

/// How much of the line went to the model, in ms.
fn model_heard_ms(call: &Harness<Navigator>) -> usize {
    // PCM16 at 24 kHz.
    let bytes = |action: &Action| match action {
        Action::ModelAudio(audio) => audio.len(),
        _ => 0,
    };
    call.actions().map(bytes).sum::<usize>() / 48
}

/// The keys that a far end hears in what was played.
fn keys_played(call: &Harness<Navigator>) -> String {
    let (mut detector, mut keys) = (KeyDetector::default(), String::new());
    for action in call.actions() {
        if let Action::Play(play) = action {
            detector.process_ulaw(&play.audio, |stroke| {
                if let Stroke::Down { key, .. } = stroke {
                    keys.push(key);
                }
            });
            detector.process_ulaw(&[0xFF; 1_600], |_| {});
        }
    }
    keys
}

/// Chords of many overtones, as music on hold is.
fn music(ms: usize) -> Vec<i16> {
    let chords = [[262.0, 330.0, 392.0], [220.0, 262.0, 330.0]];
    let sample = |n: usize| {
        let chord: [f64; 3] = chords[n / 8_000 % 2];
        let note = |hertz: f64| {
            let overtone = |k: i32| {
                let angle = hertz * f64::from(k) * n as f64 / 8_000.0 * std::f64::consts::TAU;
                0.65_f64.powi(k) * angle.sin()
            };
            (1..8).map(overtone).sum::<f64>()
        };
        (1_500.0 * chord.into_iter().map(note).sum::<f64>()) as i16
    };
    (0..ms * 8).map(sample).collect()
}

/// A recorded voice, from the clips that the simulators speak with.
fn voice(ms: usize) -> Vec<i16> {
    let clip = include_bytes!("../../../../host/sim/speech/caller_ready.8k.ulaw");
    cordboard_audio::decode_twilio_audio(&clip[..ms * 8])
}
