//! The caller's voice and keys on their way in.

use cordboard_call::contract::{AudioFormat, Encoding, Event};
use cordboard_call::{Call, CallConfig, Input, Note};
use cordboard_wire::twilio::{FromCarrier, Track};

use crate::rig::{Answer, Rig, config, info, ms, server_event};

fn silence(frames: usize) -> Vec<Vec<u8>> {
    vec![vec![0xFF; 160]; frames]
}

fn speaking() -> Rig {
    let mut rig = Rig::with_model(config(), |_, _| Answer::Do(Vec::new()));
    rig.frame(1);
    rig.feed(Input::Model(server_event("input_audio_buffer.speech_started")));
    rig
}

#[test]
fn every_frame_reaches_the_tenant_once_and_in_order() {
    let mut rig = Rig::new();
    for byte in 0..200 {
        rig.run_for(20);
        rig.frame(byte);
    }
    let expected: Vec<_> = (0..200).map(|byte| vec![byte; 160]).collect();
    assert_eq!(rig.caller_audio(), expected);
}

#[test]
fn a_payload_too_large_for_one_event_comes_in_whole_frames_with_nothing_lost() {
    let mut rig = Rig::new();
    let sent: Vec<u8> = (0..48 * 1024).map(|at| (at % 251) as u8).collect();
    rig.media(100, sent.clone());
    let pieces = rig.caller_audio();
    assert!(pieces.iter().all(|piece| piece.len() <= 8 * 1024), "more than an answer may hold");
    assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.len() % 160 == 0));
    assert_eq!(pieces.concat(), sent);
    assert_eq!(rig.call.counts().caller_frames, 1);
}

#[test]
fn a_payload_of_any_usual_size_is_handed_on_whole() {
    let mut rig = Rig::new();
    rig.media(100, vec![1; 1]);
    rig.media(101, vec![2; 999]);
    rig.media(226, vec![3; 160]);
    assert_eq!(rig.caller_audio(), [vec![1; 1], vec![2; 999], vec![3; 160]]);
}

#[test]
fn jitter_and_drift_of_the_stamps_never_put_silence_in() {
    // 10 minutes at 19.97 ms a frame, as recorded, and at 20.03, with stamps up to 19 ms off.
    for cadence_us in [19_970, 20_030] {
        let mut rig = Rig::new();
        let mut noise = 1_u64;
        for frame in 0..30_000_u64 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let stamp = 155 + frame * cadence_us / 1_000 + (noise >> 33) % 20;
            rig.media(stamp, vec![(frame % 251) as u8; 160]);
        }
        assert_eq!(rig.call.counts().frames_filled, 0, "at {cadence_us} us");
        assert_eq!(rig.call.counts().caller_frames, 30_000);
    }
}

#[test]
fn missing_media_become_silence_of_whole_frames() {
    let mut rig = Rig::new();
    rig.media(100, vec![1; 160]);
    rig.media(625, vec![2; 160]);
    let mut expected = vec![vec![1; 160]];
    expected.extend(silence(25));
    expected.push(vec![2; 160]);
    assert_eq!(rig.caller_audio(), expected);
    assert!(rig.notes.contains(&Note::GapFilled { ms: 500 }));
}

#[test]
fn a_gap_is_filled_once_and_the_next_frames_follow_without_more() {
    let mut rig = Rig::new();
    rig.media(100, vec![1; 160]);
    rig.media(220, vec![2; 160]);
    for frame in 0..50 {
        rig.media(240 + frame * 20, vec![3; 160]);
    }
    assert_eq!(rig.call.counts().frames_filled, 5);
}

#[test]
fn stamps_at_the_end_of_time_do_no_harm() {
    let mut rig = speaking();
    let latest = i64::MAX as u64 / 1_000;
    for at_ms in [latest, latest - 1, u64::MAX, 0, latest] {
        rig.media(at_ms, vec![1; 160]);
        let (track, timestamp_ms, payload) = (Track::Inbound, None, vec![2; 160]);
        rig.feed(Input::Carrier(FromCarrier::Media { track, timestamp_ms, payload }));
        rig.run_for(2_000);
    }
    assert_eq!(rig.call.counts().caller_frames, 11);
}

#[test]
fn no_gap_is_filled_with_more_than_ten_seconds() {
    let mut rig = Rig::new();
    rig.media(100, vec![1; 160]);
    rig.media(3_600_000, vec![2; 160]);
    rig.media(3_600_020, vec![3; 160]);
    assert_eq!(rig.call.counts().frames_filled, 500);
    assert_eq!(rig.caller_audio().len(), 503);
}

#[test]
fn a_stamp_that_starts_over_fills_nothing() {
    let mut rig = Rig::new();
    rig.media(1_000_000, vec![1; 160]);
    rig.media(0, vec![2; 160]);
    rig.media(20, vec![3; 160]);
    assert_eq!(rig.call.counts().frames_filled, 0);
    assert_eq!(rig.caller_audio().len(), 3);
}

#[test]
fn stamps_beyond_all_reason_do_no_harm() {
    let mut rig = Rig::new();
    for stamp in [0, u64::MAX, 1, u64::MAX / 1_000, i64::MAX as u64 / 1_000, 5] {
        rig.media(stamp, vec![1; 160]);
    }
    assert_eq!(rig.call.counts().caller_frames, 6);
}

#[test]
fn media_that_came_before_and_other_tracks_are_ignored() {
    let mut rig = Rig::new();
    rig.media(100, vec![1; 160]);
    rig.media(100, vec![1; 160]);
    rig.feed(Input::Carrier(FromCarrier::Media {
        track: Track::Outbound,
        timestamp_ms: Some(120),
        payload: vec![9; 160],
    }));
    rig.media(120, vec![1; 160]);
    assert_eq!(rig.caller_audio(), [vec![1; 160], vec![1; 160]]);
    assert_eq!(rig.notes, [Note::DuplicateMedia]);
}

#[test]
fn media_without_a_stamp_are_handed_on() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        let (track, payload) = (Track::Inbound, vec![1; 160]);
        let media = FromCarrier::Media { track, timestamp_ms: None, payload };
        rig.feed(Input::Carrier(media));
    }
    assert_eq!(rig.caller_audio().len(), 3);
}

#[test]
fn speech_that_stalls_is_followed_by_one_second_of_silence_in_real_time() {
    let mut rig = speaking();
    rig.run_for(749);
    assert_eq!(rig.caller_audio().len(), 1);
    rig.run_for(1);
    assert_eq!(rig.caller_audio()[1..], silence(5));
    rig.run_for(500);
    assert_eq!(rig.caller_audio()[1..], silence(30));
    rig.run_for(60_000);
    assert_eq!(rig.caller_audio()[1..], silence(50));
    assert!(rig.notes.contains(&Note::CallerStalled));
}

#[test]
fn silence_between_turns_is_no_stall() {
    let mut rig = speaking();
    rig.feed(Input::Model(server_event("input_audio_buffer.speech_stopped")));
    rig.run_for(10_000);
    assert_eq!(rig.caller_audio().len(), 1);
}

#[test]
fn the_silence_of_a_stall_ends_with_the_turn() {
    let mut rig = speaking();
    rig.run_for(950);
    rig.feed(Input::Model(server_event("input_audio_buffer.speech_stopped")));
    rig.run_for(5_000);
    assert_eq!(rig.caller_audio()[1..], silence(15));
}

#[test]
fn a_session_that_is_lost_takes_its_open_speech_with_it() {
    let mut rig = speaking();
    rig.feed(Input::ModelDown { reason: "reset".to_owned(), retry: true, refused: None });
    rig.run_for(5_000);
    assert_eq!(rig.caller_audio().len(), 1);
}

#[test]
fn after_a_stall_the_gap_is_filled_up_and_no_further() {
    let mut rig = speaking();
    let begun = rig.call.counts().caller_bytes;
    rig.run_for(2_020);
    // The stall was 2 s of the caller's clock; 1 s went in while it lasted.
    rig.media(120 + 2_020, vec![2; 160]);
    let counts = rig.call.counts();
    assert_eq!(counts.frames_filled, 100);
    assert_eq!(counts.caller_bytes - begun, 101 * 160);
}

#[test]
fn a_second_stall_is_helped_as_the_first() {
    let mut rig = speaking();
    rig.run_for(5_000);
    rig.media(120 + 5_000, vec![2; 160]);
    let before = rig.call.counts().frames_filled;
    rig.run_for(5_000);
    assert_eq!(rig.call.counts().frames_filled - before, 50);
}

#[test]
fn keys_are_handed_on() {
    let mut rig = Rig::new();
    rig.feed(Input::Carrier(FromCarrier::Dtmf { digit: '#' }));
    assert_eq!(rig.events(), [Event::CallerKey("#".to_owned())]);
}

#[test]
fn newer_messages_of_the_carrier_are_noted_and_do_no_harm() {
    let mut rig = Rig::new();
    let message = FromCarrier::Unknown { event: "weather".to_owned() };
    rig.feed(Input::Carrier(message));
    assert_eq!(rig.notes, [Note::UnknownCarrierEvent("weather".to_owned())]);
    assert_eq!(rig.events(), []);
}

#[test]
fn a_wideband_call_is_counted_in_its_own_bytes_and_silence() {
    let mut config = config();
    config.info.format =
        AudioFormat { encoding: Encoding::Pcm16, sample_rate: 16_000, channels: 1 };
    let mut rig = Rig::with(config, |_, _| Answer::Do(Vec::new()));
    rig.media(100, vec![1; 640]);
    rig.media(220, vec![2; 640]);
    let mut expected = vec![vec![1; 640]];
    expected.extend(vec![vec![0; 640]; 5]);
    expected.push(vec![2; 640]);
    assert_eq!(rig.caller_audio(), expected);
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
    let mut rig = Rig::new();
    rig.now = ms(1_000);
    rig.frame(1);
    rig.call.handle(ms(10), Input::Wake);
    assert!(rig.call.wake_at().is_none_or(|at| at > ms(1_000)));
}
