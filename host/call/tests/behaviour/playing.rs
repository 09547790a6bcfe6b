//! Playing, marks, and when audio counts as heard.

use cordboard_call::contract::{Action, Event};
use cordboard_call::{Input, Note, ToCarrier};
use cordboard_wire::twilio::FromCarrier;

use crate::rig::{Rig, heard, ms, play};

#[test]
fn a_second_of_audio_is_sent_within_the_lead_and_heard_a_second_later() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 8_000, true), Action::Mark("end".to_owned())]);
    assert_eq!(rig.queued_at_carrier(), ms(400));
    rig.run_to(ms(999));
    assert_eq!(rig.events(), []);
    rig.run_to(ms(1_000));
    assert_eq!(rig.frames(), vec![0x11; 8_000]);
    assert_eq!(rig.events(), [heard("a", 1_000, true), Event::Mark("end".to_owned())]);
}

#[test]
fn a_remainder_is_carried_into_the_next_piece_without_silence() {
    let mut rig = Rig::new();
    for bytes in [100, 100, 1, 119] {
        rig.act(vec![play("a", bytes, false)]);
    }
    assert_eq!(rig.frames(), vec![0x11; 320]);
}

#[test]
fn a_piece_of_whole_frames_behind_a_remainder_is_played_too() {
    for whole in [160, 320, 480] {
        let mut rig = Rig::new();
        rig.act(vec![play("a", 200, false), play("a", 120, false), play("a", whole, true)]);
        rig.run_for(1_000);
        assert_eq!(rig.frames(), vec![0x11; 320 + whole]);
    }
}

#[test]
fn the_last_frame_of_an_item_is_padded_and_the_next_item_begins_a_new_one() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 170, true), play("b", 160, true)]);
    rig.run_for(1_000);
    let mut expected = vec![0x11; 170];
    expected.extend([0xFF; 150]);
    expected.extend([0x11; 160]);
    assert_eq!(rig.frames(), expected);
    assert_eq!(rig.events(), [heard("a", 21, true), heard("b", 20, true)]);
}

#[test]
fn a_remainder_without_an_end_is_padded_once_the_carrier_has_run_dry_for_a_while() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 250, false)]);
    rig.run_to(ms(79));
    assert_eq!(rig.frames().len(), 160);
    rig.run_to(ms(80));
    assert_eq!(rig.frames().len(), 320);
    assert_eq!(rig.frames()[250..], [0xFF; 70]);
}

#[test]
fn the_first_piece_after_a_long_silence_is_carried_into_the_next_like_any_other() {
    let mut rig = Rig::new();
    rig.run_to(ms(5_000));
    rig.act(vec![play("a", 730, false)]);
    assert_eq!(rig.frames().len(), 640);
    rig.run_for(20);
    rig.act(vec![play("a", 870, true)]);
    rig.run_for(1_000);
    assert_eq!(rig.frames(), vec![0x11; 1_600]);
}

#[test]
fn a_remainder_after_a_long_silence_waits_as_long_as_any_other() {
    let mut rig = Rig::new();
    rig.run_to(ms(5_000));
    rig.act(vec![play("a", 100, false)]);
    rig.run_to(ms(5_059));
    assert_eq!(rig.frames().len(), 0);
    rig.run_to(ms(5_060));
    assert_eq!(rig.frames().len(), 160);
}

#[test]
fn an_end_that_comes_after_the_audio_is_reported_all_the_same() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 1_600, false)]);
    rig.run_for(5_000);
    assert_eq!(rig.events(), []);
    rig.act(vec![play("a", 0, true)]);
    assert_eq!(rig.events(), [heard("a", 200, true)]);
}

#[test]
fn an_end_that_becomes_known_while_the_audio_plays_is_heard_on_time() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 800, false)]);
    rig.run_to(ms(50));
    rig.act(vec![play("a", 0, true)]);
    rig.run_to(ms(99));
    assert_eq!(rig.events(), []);
    rig.run_to(ms(100));
    assert_eq!(rig.events(), [heard("a", 100, true)]);
}

#[test]
fn no_item_is_heard_twice_and_a_closed_name_begins_anew() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 160, true), play("a", 320, true)]);
    rig.run_for(1_000);
    assert_eq!(rig.events(), [heard("a", 20, true), heard("a", 40, true)]);
}

#[test]
fn a_late_wake_up_is_caught_up_in_messages_of_five_frames() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 80_000, true)]);
    rig.now = ms(390);
    rig.feed(Input::Wake);
    assert!(rig.notes.contains(&Note::LateWake { ms: 190 }));
    assert_eq!(rig.queued_at_carrier(), ms(310));
    rig.run_for(20_000);
    assert_eq!(rig.frames().len(), 80_000);
}

#[test]
fn the_carrier_never_runs_dry_while_there_is_audio_and_wakes_are_few() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 240_000, false)]);
    rig.act(vec![play("a", 240_000, true)]);
    let wakes_before = rig.wakes;
    for _ in 0..5_900 {
        rig.run_for(10);
        assert!(rig.queued_at_carrier() >= ms(190), "at {:?}", rig.now);
    }
    let wakes = rig.wakes - wakes_before;
    assert!(wakes <= 59 * 5 + 1, "{wakes} wake-ups in 59 s");
}

#[test]
fn short_pieces_as_they_come_are_gathered_into_few_messages() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 2_400, false)]);
    for _ in 0..500 {
        rig.run_for(20);
        rig.act(vec![play("a", 160, false)]);
    }
    let media = rig.sent.iter().filter(|(_, m)| matches!(m, ToCarrier::Media { .. })).count();
    // Four or five frames each, where one by one would be 515.
    assert!(media <= 130, "{media} messages for 10 s");
    rig.run_for(1_000);
    assert_eq!(rig.frames().len(), 2_400 + 500 * 160);
}

#[test]
fn a_mark_of_ours_follows_every_200_ms_and_stands_at_the_end() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 16_080, true)]);
    rig.run_for(5_000);
    let mut since_mark = 0;
    for (_, message) in &rig.sent {
        match message {
            ToCarrier::Media { frames } => since_mark += frames.len(),
            ToCarrier::Mark { .. } => since_mark = 0,
            ToCarrier::Clear => panic!("nothing is cleared"),
        }
        assert!(since_mark <= 1_600, "{since_mark} bytes without a mark");
    }
    assert_eq!(since_mark, 0);
}

#[test]
fn mark_names_of_the_tenant_never_reach_the_wire() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 160, false), Action::Mark("secret".to_owned()), play("a", 160, true)]);
    rig.run_for(1_000);
    let names = rig.sent.iter().filter_map(|(_, message)| match message {
        ToCarrier::Mark { name } => Some(name.as_str()),
        ToCarrier::Media { .. } | ToCarrier::Clear => None,
    });
    assert!(names.into_iter().all(|name| !name.contains("secret")));
    assert_eq!(rig.events(), [Event::Mark("secret".to_owned()), heard("a", 40, true)]);
}

#[test]
fn a_mark_behind_nothing_is_reported_at_once() {
    let mut rig = Rig::new();
    rig.act(vec![Action::Mark("now".to_owned())]);
    assert_eq!(rig.events(), [Event::Mark("now".to_owned())]);
    assert!(rig.sent.is_empty());
}

#[test]
fn a_mark_inside_a_frame_waits_for_the_whole_frame() {
    let mut rig = Rig::new();
    let mark = Action::Mark("m".to_owned());
    rig.act(vec![play("a", 200, false), mark, play("a", 920, true)]);
    rig.run_to(ms(39));
    assert_eq!(rig.events(), []);
    rig.run_to(ms(40));
    assert_eq!(rig.events(), [Event::Mark("m".to_owned())]);
}

#[test]
fn a_carrier_that_loses_echoes_does_not_hold_up_the_end() {
    let mut rig = Rig::new();
    rig.echoes = false;
    rig.act(vec![play("a", 8_000, true)]);
    rig.run_to(ms(2_999));
    assert_eq!(rig.events(), []);
    rig.run_to(ms(3_000));
    assert_eq!(rig.events(), [heard("a", 1_000, true)]);
    assert!(rig.notes.contains(&Note::MarkOverdue));
}

#[test]
fn echoes_that_are_not_ours_or_come_twice_count_for_nothing() {
    let mut rig = Rig::new();
    rig.act(vec![play("a", 8_000, true)]);
    for name in ["g1.99", "g2.1", "g0.1", "a", "", "g1.", "g1.99999999999999999999999"] {
        rig.feed(Input::Carrier(FromCarrier::Mark { name: name.to_owned() }));
    }
    assert_eq!(rig.call.counts().stale_marks, 7);
    rig.run_to(ms(300));
    rig.feed(Input::Carrier(FromCarrier::Mark { name: "g1.1".to_owned() }));
    assert_eq!(rig.call.counts().stale_marks, 8);
    assert_eq!(rig.events(), []);
}
