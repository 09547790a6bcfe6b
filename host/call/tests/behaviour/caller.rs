//! The caller's voice and keys on their way in.

use cordboard_call::contract::{AudioFormat, Encoding, Event};
use cordboard_call::{Call, CallConfig, Input, Note};
use cordboard_wire::twilio::{FromCarrier, Track};

use crate::desk::{Answer, Desk, config, info, ms, server_event};

fn silence(frames: usize) -> Vec<Vec<u8>> {
    vec![vec![0xFF; 160]; frames]
}

fn speaking() -> Desk {
    let mut desk = Desk::with_model(config(), |_, _| Answer::Do(Vec::new()));
    desk.frame(1);
    desk.give(Input::Model(server_event("input_audio_buffer.speech_started")));
    desk
}

#[test]
fn every_frame_reaches_the_tenant_once_and_in_order() {
    let mut desk = Desk::new();
    for byte in 0..200 {
        desk.run_for(20);
        desk.frame(byte);
    }
    let expected: Vec<_> = (0..200).map(|byte| vec![byte; 160]).collect();
    assert_eq!(desk.caller_audio(), expected);
}

#[test]
fn a_payload_too_large_for_one_event_comes_in_whole_frames_with_nothing_lost() {
    let mut desk = Desk::new();
    let sent: Vec<u8> = (0..48 * 1024).map(|at| (at % 251) as u8).collect();
    desk.media(100, sent.clone());
    let pieces = desk.caller_audio();
    assert!(pieces.iter().all(|piece| piece.len() <= 8 * 1024), "more than an answer may hold");
    assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.len() % 160 == 0));
    assert_eq!(pieces.concat(), sent);
    assert_eq!(desk.call.counts().caller_frames, 1);
}

#[test]
fn a_payload_of_any_usual_size_is_handed_on_whole() {
    let mut desk = Desk::new();
    desk.media(100, vec![1; 1]);
    desk.media(101, vec![2; 999]);
    desk.media(226, vec![3; 160]);
    assert_eq!(desk.caller_audio(), [vec![1; 1], vec![2; 999], vec![3; 160]]);
}

#[test]
fn jitter_and_drift_of_the_stamps_never_put_silence_in() {
    // 10 minutes at 19.97 ms a frame, as recorded, and at 20.03, with stamps up to 19 ms off.
    for cadence_us in [19_970, 20_030] {
        let mut desk = Desk::new();
        let mut noise = 1_u64;
        for frame in 0..30_000_u64 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let stamp = 155 + frame * cadence_us / 1_000 + (noise >> 33) % 20;
            desk.media(stamp, vec![(frame % 251) as u8; 160]);
        }
        assert_eq!(desk.call.counts().frames_filled, 0, "at {cadence_us} us");
        assert_eq!(desk.call.counts().caller_frames, 30_000);
    }
}

#[test]
fn missing_media_become_silence_of_whole_frames() {
    let mut desk = Desk::new();
    desk.media(100, vec![1; 160]);
    desk.media(625, vec![2; 160]);
    let mut expected = vec![vec![1; 160]];
    expected.extend(silence(25));
    expected.push(vec![2; 160]);
    assert_eq!(desk.caller_audio(), expected);
    assert!(desk.notes.contains(&Note::GapFilled { ms: 500 }));
}

#[test]
fn a_gap_is_filled_once_and_the_next_frames_follow_without_more() {
    let mut desk = Desk::new();
    desk.media(100, vec![1; 160]);
    desk.media(220, vec![2; 160]);
    for frame in 0..50 {
        desk.media(240 + frame * 20, vec![3; 160]);
    }
    assert_eq!(desk.call.counts().frames_filled, 5);
}

#[test]
fn stamps_at_the_end_of_time_do_no_harm() {
    let mut desk = speaking();
    let latest = i64::MAX as u64 / 1_000;
    for at_ms in [latest, latest - 1, u64::MAX, 0, latest] {
        desk.media(at_ms, vec![1; 160]);
        let (track, timestamp_ms, payload) = (Track::Inbound, None, vec![2; 160]);
        desk.give(Input::Carrier(FromCarrier::Media { track, timestamp_ms, payload }));
        desk.run_for(2_000);
    }
    assert_eq!(desk.call.counts().caller_frames, 11);
}

#[test]
fn no_gap_is_filled_with_more_than_ten_seconds() {
    let mut desk = Desk::new();
    desk.media(100, vec![1; 160]);
    desk.media(3_600_000, vec![2; 160]);
    desk.media(3_600_020, vec![3; 160]);
    assert_eq!(desk.call.counts().frames_filled, 500);
    assert_eq!(desk.caller_audio().len(), 503);
}

#[test]
fn a_stamp_that_starts_over_fills_nothing() {
    let mut desk = Desk::new();
    desk.media(1_000_000, vec![1; 160]);
    desk.media(0, vec![2; 160]);
    desk.media(20, vec![3; 160]);
    assert_eq!(desk.call.counts().frames_filled, 0);
    assert_eq!(desk.caller_audio().len(), 3);
}

#[test]
fn stamps_beyond_all_reason_do_no_harm() {
    let mut desk = Desk::new();
    for stamp in [0, u64::MAX, 1, u64::MAX / 1_000, i64::MAX as u64 / 1_000, 5] {
        desk.media(stamp, vec![1; 160]);
    }
    assert_eq!(desk.call.counts().caller_frames, 6);
}

#[test]
fn media_that_came_before_and_other_tracks_are_ignored() {
    let mut desk = Desk::new();
    desk.media(100, vec![1; 160]);
    desk.media(100, vec![1; 160]);
    desk.give(Input::Carrier(FromCarrier::Media {
        track: Track::Outbound,
        timestamp_ms: Some(120),
        payload: vec![9; 160],
    }));
    desk.media(120, vec![1; 160]);
    assert_eq!(desk.caller_audio(), [vec![1; 160], vec![1; 160]]);
    assert_eq!(desk.notes, [Note::DuplicateMedia]);
}

#[test]
fn media_without_a_stamp_are_handed_on() {
    let mut desk = Desk::new();
    for _ in 0..3 {
        let (track, payload) = (Track::Inbound, vec![1; 160]);
        let media = FromCarrier::Media { track, timestamp_ms: None, payload };
        desk.give(Input::Carrier(media));
    }
    assert_eq!(desk.caller_audio().len(), 3);
}

#[test]
fn speech_that_stalls_is_followed_by_one_second_of_silence_in_real_time() {
    let mut desk = speaking();
    desk.run_for(749);
    assert_eq!(desk.caller_audio().len(), 1);
    desk.run_for(1);
    assert_eq!(desk.caller_audio()[1..], silence(5));
    desk.run_for(500);
    assert_eq!(desk.caller_audio()[1..], silence(30));
    desk.run_for(60_000);
    assert_eq!(desk.caller_audio()[1..], silence(50));
    assert!(desk.notes.contains(&Note::CallerStalled));
}

#[test]
fn silence_between_turns_is_no_stall() {
    let mut desk = speaking();
    desk.give(Input::Model(server_event("input_audio_buffer.speech_stopped")));
    desk.run_for(10_000);
    assert_eq!(desk.caller_audio().len(), 1);
}

#[test]
fn the_silence_of_a_stall_ends_with_the_turn() {
    let mut desk = speaking();
    desk.run_for(950);
    desk.give(Input::Model(server_event("input_audio_buffer.speech_stopped")));
    desk.run_for(5_000);
    assert_eq!(desk.caller_audio()[1..], silence(15));
}

#[test]
fn a_session_that_is_lost_takes_its_open_speech_with_it() {
    let mut desk = speaking();
    desk.give(Input::ModelDown { reason: "reset".to_owned(), retry: true, refused: None });
    desk.run_for(5_000);
    assert_eq!(desk.caller_audio().len(), 1);
}

#[test]
fn after_a_stall_the_gap_is_filled_up_and_no_further() {
    let mut desk = speaking();
    let begun = desk.call.counts().caller_bytes;
    desk.run_for(2_020);
    // The stall was 2 s of the caller's clock; 1 s went in while it lasted.
    desk.media(120 + 2_020, vec![2; 160]);
    let counts = desk.call.counts();
    assert_eq!(counts.frames_filled, 100);
    assert_eq!(counts.caller_bytes - begun, 101 * 160);
}

#[test]
fn a_second_stall_is_helped_as_the_first() {
    let mut desk = speaking();
    desk.run_for(5_000);
    desk.media(120 + 5_000, vec![2; 160]);
    let before = desk.call.counts().frames_filled;
    desk.run_for(5_000);
    assert_eq!(desk.call.counts().frames_filled - before, 50);
}

#[test]
fn keys_are_handed_on() {
    let mut desk = Desk::new();
    desk.give(Input::Carrier(FromCarrier::Dtmf { digit: '#' }));
    assert_eq!(desk.events(), [Event::CallerKey("#".to_owned())]);
}

#[test]
fn newer_messages_of_the_carrier_are_noted_and_do_no_harm() {
    let mut desk = Desk::new();
    let message = FromCarrier::Unknown { event: "weather".to_owned() };
    desk.give(Input::Carrier(message));
    assert_eq!(desk.notes, [Note::UnknownCarrierEvent("weather".to_owned())]);
    assert_eq!(desk.events(), []);
}

#[test]
fn a_wideband_call_is_counted_in_its_own_bytes_and_silence() {
    let mut config = config();
    config.info.format =
        AudioFormat { encoding: Encoding::Pcm16, sample_rate: 16_000, channels: 1 };
    let mut desk = Desk::with(config, |_, _| Answer::Do(Vec::new()));
    desk.media(100, vec![1; 640]);
    desk.media(220, vec![2; 640]);
    let mut expected = vec![vec![1; 640]];
    expected.extend(vec![vec![0; 640]; 5]);
    expected.push(vec![2; 640]);
    assert_eq!(desk.caller_audio(), expected);
}

#[test]
fn a_format_nobody_can_cut_frames_from_is_refused_before_the_call_begins() {
    let mut info = info();
    info.format.sample_rate = 11_025;
    let refused = Call::new(CallConfig { info, ..config() }).expect_err("no whole frames");
    assert!(refused.to_string().contains("11025"));
}

#[test]
fn the_clock_that_runs_backwards_is_not_believed() {
    let mut desk = Desk::new();
    desk.now = ms(1_000);
    desk.frame(1);
    desk.call.handle(ms(10), Input::Wake);
    assert!(desk.call.wake_at().is_none_or(|at| at > ms(1_000)));
}
