//! A successor goes on as if it had been there from the start, and takes nothing it cannot trust.

#[expect(dead_code, reason = "each test file uses what it needs of this")]
mod common;

use common::{Agent, call, command};
use cordboard_sdk::harness::{Harness, call_info};
use cordboard_sdk::{Action, AudioFormat, CallInfo, Encoding, Event, Instance};
use serde_json::json;

/// A small generator with a seed: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Plays one random call: everything that can happen, in any order, plausible or not.
fn random_call(seed: u64, swap_every: u32) -> Vec<(u64, Action)> {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let settings = json!({
        "greet": dice.roll(2) == 0, "pcmu": dice.roll(3) == 0, "idle": dice.roll(2) == 0,
        "no_interrupt": dice.roll(3) == 0, "no_create": dice.roll(4) == 0,
    });
    let mut harness = Harness::<Agent>::with_settings(&settings.to_string());
    harness.swap_every(swap_every);
    harness.model_ready();
    let mut open = None;
    let mut called = Vec::new();
    for _ in 0..80 {
        match dice.roll(20) {
            0 => open = Some(harness.model_is_saying(dice.roll(300))),
            1 | 2 => {
                if let Some((response, item)) = &open {
                    harness.audio(response, item, dice.roll(80));
                }
            }
            3 => {
                if let Some((_, item)) = open.take() {
                    harness.item_done(&item, "What I meant to say");
                    harness.response_ends("completed");
                }
            }
            4 => drop(harness.response_ends("cancelled")),
            5 => drop(harness.response_ends("failed")),
            6 => drop(harness.model_says("A whole answer", dice.roll(400))),
            7 | 8 => drop(harness.caller_interrupts()),
            9 => drop(harness.caller_stops("what the caller said")),
            10 => called.push(harness.model_calls("later", "{}")),
            11 => called.push(harness.model_calls("lookup", r#"{"a":1}"#)),
            12 => {
                if let Some(id) = called.pop() {
                    command(&mut harness, json!({"answer": id}));
                }
            }
            13 => command(&mut harness, json!({"say": "Listen"})),
            14 => {
                harness.model_lost();
                harness.model_restored();
                open = None;
            }
            15 => {
                drop(harness.model_calls(["now", "goodbye", "human"][dice.roll(3) as usize], "{}"))
            }
            16 => drop(harness.model(json!({"type": "error", "error": {
                "code": "conversation_already_has_active_response", "event_id": null}}))),
            17 => {
                let frame = (0..160).map(|_| dice.roll(256) as u8).collect();
                harness.feed(Event::CallerAudio(frame));
            }
            18 => harness.advance(dice.roll(100)),
            _ => harness.advance(dice.roll(3_000)),
        }
    }
    harness.log().to_vec()
}

#[test]
fn a_swap_after_every_kth_event_changes_nothing_that_comes_out() {
    for seed in 1..=24 {
        let unswapped = random_call(seed, 0);
        assert!(unswapped.len() > 40, "seed {seed} is a call worth the name");
        for every in [1, 2, 3, 7] {
            let swapped = random_call(seed, every);
            let differs = unswapped.iter().zip(&swapped).position(|(a, b)| a != b);
            assert!(
                differs.is_none() && unswapped.len() == swapped.len(),
                "seed {seed}, swapped after every {every}: action {differs:?} differs",
            );
        }
    }
}

#[test]
fn the_same_call_twice_is_the_same_to_the_byte() {
    assert_eq!(random_call(7, 0), random_call(7, 0));
}

#[test]
fn random_calls_keep_the_rules_of_both_wires() {
    for seed in 100..130 {
        let mut truncated = Vec::new();
        for (_, action) in random_call(seed, 0) {
            let Action::ModelEvent(json) = action else { continue };
            let event: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            assert!(event["event_id"].is_string());
            match event["type"].as_str().expect("a type") {
                "conversation.item.truncate" => {
                    assert!(event["audio_end_ms"].is_u64(), "{json}");
                    let item = event["item_id"].as_str().expect("a text").to_owned();
                    assert!(!truncated.contains(&item), "seed {seed}: {item} truncated twice");
                    truncated.push(item);
                }
                "session.update" => {
                    let audio = &event["session"]["audio"];
                    assert!(audio["input"]["format"].is_object(), "{json}");
                    assert_eq!(audio["input"]["format"], audio["output"]["format"]);
                }
                _ => {}
            }
        }
    }
}

fn busy_call() -> Harness<Agent> {
    let mut harness = call(json!({"idle": true}));
    harness.caller_says("a question with an answer");
    harness.model_calls("later", "{}");
    harness.model_says("Said and heard", 300);
    harness.hear_all();
    harness.model_is_saying(2_000);
    harness.advance(123);
    harness
}

#[test]
fn a_state_is_small() {
    let len = busy_call().save().len();
    assert!(len < 2_048, "{len} bytes");
}

#[test]
fn a_state_cut_off_anywhere_is_refused() {
    let state = busy_call().save();
    for end in 0..state.len() {
        assert!(Instance::<Agent>::load(0, call_info(), &state[..end]).is_err(), "{end} bytes");
    }
    let longer = [&state[..], b"x"].concat();
    assert!(Instance::<Agent>::load(0, call_info(), &longer).is_err());
}

#[test]
fn a_corrupt_state_is_refused_or_harmless_and_never_a_panic() {
    let state = busy_call().save();
    let mut dice = Dice(42);
    let mut refused = 0;
    for round in 0..4_000 {
        let mut bytes = state.clone();
        for _ in 0..=dice.roll(3) {
            let at = dice.roll(bytes.len() as u64) as usize;
            bytes[at] = match round % 2 {
                0 => dice.roll(256) as u8,
                _ => 0xFF,
            };
        }
        match Instance::<Agent>::load(u64::MAX, call_info(), &bytes) {
            Err(_) => refused += 1,
            Ok(mut instance) => {
                let speech = json!({"type": "input_audio_buffer.speech_started"}).to_string();
                instance.handle(u64::MAX, Event::ModelEvent(speech));
                instance.handle(u64::MAX, Event::CallerAudio(vec![0; 160]));
                instance.handle(u64::MAX, Event::Timer(u64::MAX));
                instance.save();
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn a_state_of_another_kind_says_what_is_wrong() {
    let load = |bytes: &[u8]| match Instance::<Agent>::load(0, call_info(), bytes) {
        Ok(_) => panic!("taken"),
        Err(reason) => reason,
    };
    assert!(load(b"").contains("no state"));
    assert!(load(b"\x00asm....").contains("no state"));
    assert!(load(b"CBS\x63rest").contains("format 99"));
    let mut newer = busy_call().save();
    newer[4] = 9;
    assert!(load(&newer).contains("version 9"));
    assert!(load(&vec![0; 1 << 20]).contains("longer"));
}

#[test]
fn a_state_of_a_call_in_another_format_is_refused() {
    let state = busy_call().save();
    let format = AudioFormat { encoding: Encoding::Alaw, sample_rate: 8_000, channels: 1 };
    let info = CallInfo { format, ..call_info() };
    assert!(Instance::<Agent>::load(0, info, &state).is_err());
}

#[test]
fn saving_changes_nothing() {
    let harness = busy_call();
    assert_eq!(harness.save(), harness.save());
}

#[test]
fn a_successor_with_other_instructions_tells_the_session_at_the_next_turn_until_confirmed() {
    let mut harness = call(json!({"instructions": "Be kind."}));
    harness.model_says("Hello", 100);
    harness.hear_all();
    harness.forget();
    harness.swap_settings(r#"{"instructions": "Be brief."}"#);
    harness.feed(Event::CallerAudio(vec![0xFF; 160]));
    assert!(harness.sent("session.update").is_empty(), "not between two frames");
    harness.caller_says("hello");
    harness.model_says("Hi", 100);
    let updates = harness.sent("session.update");
    assert!(updates.len() >= 2, "a shadow's update may not have been carried out");
    assert_eq!(updates[0]["session"]["instructions"], "Be brief.");
    let output = &updates[0]["session"]["audio"]["output"];
    assert!(output.get("voice").is_none(), "the voice is fixed by now");
    assert_eq!(output["format"]["type"], "audio/pcm");
    harness.model(json!({"type": "session.updated", "session": {}}));
    harness.forget();
    harness.caller_says("hello");
    assert!(harness.sent("session.update").is_empty());
    assert!(harness.sent("response.create").is_empty(), "no second greeting either");
}

#[test]
fn the_format_of_a_running_session_survives_settings_that_want_another() {
    let mut harness = call(json!({}));
    harness.model_says("Hello", 100);
    harness.swap_settings(r#"{"pcmu": true}"#);
    harness.forget();
    let actions = harness.feed(Event::CallerAudio(vec![0xFF; 160]));
    assert!(matches!(&actions[..], [Action::ModelAudio(audio)] if audio.len() == 960));
}
