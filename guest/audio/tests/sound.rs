//! Music, speech, tones and noise are told apart, in time, and however the stream is cut.

#[path = "common/music.rs"]
mod music;
#[path = "common/seed.rs"]
mod seed;
#[path = "common/speech.rs"]
mod speech;

use cordboard_audio::sound::{Sound, SoundMeter, ulaw_level_dbm0};
use cordboard_audio::{decode_twilio_audio, encode_twilio_audio};
use music::{STYLES, hiss, music, ringing};
use seed::{Seed, noise};

/// What the meter says after each frame of 20 ms, over a mu-law line.
fn sounds(pcm: &[i16]) -> Vec<Sound> {
    let mut meter = SoundMeter::default();
    let frames = encode_twilio_audio(pcm);
    frames
        .chunks(160)
        .map(|frame| {
            meter.process_ulaw(frame);
            meter.sound()
        })
        .collect()
}

fn share(sounds: &[Sound], of: Sound) -> f64 {
    sounds.iter().filter(|sound| **sound == of).count() as f64 / sounds.len() as f64
}

fn all_speech() -> Vec<i16> {
    speech::CLIPS.iter().flat_map(|clip| decode_twilio_audio(clip)).collect()
}

/// The same 12 dB softer.
fn softer(pcm: &[i16]) -> Vec<i16> {
    pcm.iter().map(|sample| sample / 4).collect()
}

#[test]
fn music_is_music_within_two_seconds_and_stays_it() {
    for style in STYLES {
        for (seed, level) in [(1, -18.0), (2, -30.0)] {
            let heard = sounds(&music(style, 20.0, level, seed));
            let first = heard.iter().position(|sound| *sound == Sound::Music).expect("music");
            assert!(first <= 100, "{style:?} at {level}: after {first} frames");
            let rest = share(&heard[100..], Sound::Music);
            assert!(rest > 0.95, "{style:?} at {level}: {rest}");
            let voice = share(&heard[100..], Sound::Voice);
            assert!(voice < 0.02, "{style:?} at {level}: {voice} voice");
        }
    }
}

#[test]
fn speech_is_never_music_loud_or_soft() {
    for pcm in [all_speech(), softer(&all_speech())] {
        let heard = sounds(&pcm);
        assert_eq!(share(&heard, Sound::Music), 0.0);
        let voice = share(&heard, Sound::Voice);
        assert!(voice > 0.8, "{voice}");
    }
}

#[test]
fn a_voice_after_music_is_noticed_within_600_ms() {
    for style in STYLES {
        for pause in [0, 4_000] {
            let mut pcm = music(style, 6.0, -20.0, 3);
            pcm.extend(vec![0; pause]);
            let begins = pcm.len() / 160;
            pcm.extend(decode_twilio_audio(speech::CLIPS[4]));
            let heard = sounds(&pcm);
            let after = heard[begins..].iter().position(|sound| *sound == Sound::Voice);
            let ms = after.expect("a voice") * 20;
            assert!(ms <= 600, "{style:?}, pause {pause}: {ms} ms");
        }
    }
}

#[test]
fn hiss_ringing_and_silence_are_what_they_are() {
    assert_eq!(share(&sounds(&vec![0; 80_000]), Sound::Quiet), 1.0);
    assert_eq!(share(&sounds(&hiss(5.0, -60.0, 1)), Sound::Quiet), 1.0, "a good line's noise");
    assert!(share(&sounds(&hiss(5.0, -30.0, 1)), Sound::Noise) > 0.9);
    let us = sounds(&ringing(18.0, &[440.0, 480.0], 2.0, 4.0));
    let uk = sounds(&ringing(18.0, &[400.0, 450.0], 0.4, 0.2));
    for heard in [us, uk] {
        assert!(share(&heard, Sound::Tone) > 0.3);
        assert_eq!(share(&heard, Sound::Music), 0.0);
        assert!(share(&heard, Sound::Voice) < 0.05, "{}", share(&heard, Sound::Voice));
    }
}

#[test]
fn chords_that_come_and_go_like_a_signal_are_no_music() {
    let mut pcm = music(STYLES[0], 10.0, -20.0, 6);
    for pause in pcm.chunks_mut(4_800).filter_map(|beat| beat.get_mut(2_800..)) {
        pause.fill(0);
    }
    assert_eq!(share(&sounds(&pcm), Sound::Music), 0.0);
}

#[test]
fn the_level_is_that_of_the_last_frame_in_dbm0() {
    let mut meter = SoundMeter::default();
    assert!(meter.level_dbm0() < -100.0);
    // A sine of 2500 is 19.15 dB below one of 22657, which is 0 dBm0.
    meter.process(&ringing(1.0, &[1_000.0], 1.0, 0.0));
    assert!((meter.level_dbm0() + 19.15).abs() < 0.05, "{}", meter.level_dbm0());
    let tone = encode_twilio_audio(&ringing(0.1, &[1_000.0], 1.0, 0.0));
    assert!((ulaw_level_dbm0(&tone) + 19.15).abs() < 0.1, "{}", ulaw_level_dbm0(&tone));
    meter.process(&[0; 160]);
    assert!(meter.level_dbm0() < -100.0);
    assert!(ulaw_level_dbm0(&[0xFF; 160]) < -100.0 && ulaw_level_dbm0(&[]) < -100.0);
}

#[test]
fn the_cut_of_the_stream_and_a_hand_over_change_nothing() {
    let mut pcm = music(STYLES[1], 3.0, -20.0, 7);
    pcm.extend(decode_twilio_audio(speech::CLIPS[0]));
    let mut whole = SoundMeter::default();
    whole.process(&pcm);
    for frame in [1, 7, 160, 163, 5_000] {
        let mut meter = SoundMeter::default();
        for (n, frame) in pcm.chunks(frame).enumerate() {
            meter.process(frame);
            if n % 13 == 0 {
                meter = SoundMeter::load(&meter.save()).expect("it was just saved");
            }
        }
        assert!(meter == whole, "frames of {frame}");
    }
}

#[test]
fn a_state_from_elsewhere_is_refused_or_harmless() {
    let mut meter = SoundMeter::default();
    meter.process(&noise(&mut Seed(1), 20_000));
    let state = meter.save();
    assert!(state.len() < 2_200, "{}", state.len());
    for end in (0..state.len()).step_by(7) {
        assert!(SoundMeter::load(&state[..end]).is_err(), "{end}");
    }
    assert!(SoundMeter::load(&[&state[..], &[0]].concat()).is_err());
    let mut seed = Seed(9);
    for _ in 0..2_000 {
        let mut bytes = state.clone();
        let at = seed.next() as usize % bytes.len();
        bytes[at] = seed.next() as u8;
        if let Ok(mut meter) = SoundMeter::load(&bytes) {
            meter.process(&[1_000; 700]);
        }
    }
}
