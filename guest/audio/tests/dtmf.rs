//! Keys are heard as they were pressed, at any level a line has, and speech is not taken for one.

#[path = "common/seed.rs"]
mod seed;
#[path = "common/speech.rs"]
mod speech;

use cordboard_audio::dtmf::{
    KEYS, KeyDetector, Stroke, ToneError, ToneSettings, frequencies, tones,
};
use cordboard_audio::{decode_twilio_audio, encode_twilio_audio};
use seed::{Seed, noise};
use std::f64::consts::TAU;

/// The strokes in a piece of audio, handed over in frames of this size.
fn strokes(pcm: &[i16], frame: usize) -> Vec<Stroke> {
    let (mut detector, mut strokes) = (KeyDetector::default(), Vec::new());
    for frame in pcm.chunks(frame) {
        detector.process(frame, |stroke| strokes.push(stroke));
    }
    strokes
}

fn keys(pcm: &[i16]) -> String {
    let down = |stroke: Stroke| match stroke {
        Stroke::Down { key, .. } => Some(key),
        Stroke::Up { .. } => None,
    };
    strokes(pcm, 160).into_iter().filter_map(down).collect()
}

/// A tone as a telephone may make it: levels in dBm0, both frequencies off by a factor.
fn tone(key: char, low_db: f64, high_db: f64, off: f64, samples: usize) -> Vec<i16> {
    let (low, high) = frequencies(key).expect("a key");
    let wave = |hz: u16, db: f64, n: usize| {
        let peak = 22_657.0 * 10f64.powf(db / 20.0);
        peak * (TAU * f64::from(hz) * off * n as f64 / 8_000.0).sin()
    };
    (0..samples)
        .map(|n| (wave(low, low_db, n) + wave(high, high_db, n)).clamp(-32_768.0, 32_767.0) as i16)
        .collect()
}

fn between_silences(tone: Vec<i16>, before: usize) -> Vec<i16> {
    [vec![0; before], tone, vec![0; 400]].concat()
}

/// Adds white noise of this level in dBm0.
fn with_noise(mut pcm: Vec<i16>, level_db: f64, seed: u64) -> Vec<i16> {
    // Uniform noise has a third of the power of its peak, a sine wave a half.
    let peak = 22_657.0 * 10f64.powf(level_db / 20.0) * 1.5f64.sqrt();
    let noise = noise(&mut Seed(seed), pcm.len());
    for (sample, noise) in pcm.iter_mut().zip(noise) {
        *sample = sample.saturating_add((f64::from(noise) / 32_768.0 * peak) as i16);
    }
    pcm
}

fn over_the_line(pcm: &[i16]) -> Vec<i16> {
    decode_twilio_audio(&encode_twilio_audio(pcm))
}

#[test]
fn every_key_is_heard_at_every_level_of_a_line_and_any_offset() {
    for key in KEYS {
        for level in [-30.0, -24.0, -18.0, -12.0, -6.0, -4.0, 0.0] {
            for before in [0, 13, 29, 50] {
                let line =
                    over_the_line(&between_silences(tone(key, level, level, 1.0, 320), before));
                assert_eq!(keys(&line), key.to_string(), "{level} dBm0 after {before} samples");
            }
        }
    }
}

#[test]
fn either_tone_may_be_stronger_within_the_limits_of_q24_and_no_key_is_far_beyond() {
    for key in KEYS {
        for (low, high) in [(-14.0, -10.0), (-10.0, -18.0), (-27.0, -23.0), (-22.0, -30.0)] {
            let line = over_the_line(&between_silences(tone(key, low, high, 1.0, 320), 20));
            assert_eq!(keys(&line), key.to_string(), "low {low}, high {high}");
        }
        for (low, high) in [(-22.0, -10.0), (-8.0, -24.0)] {
            let line = over_the_line(&between_silences(tone(key, low, high, 1.0, 800), 20));
            assert_eq!(keys(&line), "", "{key}: low {low}, high {high}");
        }
    }
}

#[test]
fn frequencies_may_be_off_by_one_and_a_half_percent() {
    for key in KEYS {
        for off in [0.985, 1.015] {
            let line = over_the_line(&between_silences(tone(key, -12.0, -12.0, off, 320), 31));
            assert_eq!(keys(&line), key.to_string(), "{off}");
        }
    }
}

#[test]
fn noise_fifteen_decibels_below_does_not_hide_a_key() {
    for (n, key) in KEYS.into_iter().enumerate() {
        let pcm = between_silences(tone(key, -15.0, -13.0, 1.0, 400), 100);
        // The two tones together have the power of one of -11 dBm0.
        let line = over_the_line(&with_noise(pcm, -26.0, n as u64));
        assert_eq!(keys(&line), key.to_string());
    }
}

#[test]
fn a_tone_of_23_ms_is_no_key_and_a_gap_of_10_ms_does_not_make_two_of_one() {
    for before in 0..51 {
        assert_eq!(keys(&between_silences(tone('5', -10.0, -10.0, 1.0, 184), before)), "");
        let mut held = between_silences(tone('8', -10.0, -10.0, 1.0, 1_200), before);
        held[before + 500..before + 580].fill(0);
        assert_eq!(keys(&held), "8", "{before}");
    }
}

#[test]
fn the_same_key_twice_is_two_keys_after_the_shortest_pause_of_q24() {
    for before in 0..51 {
        let pressed = tone('7', -12.0, -10.0, 1.0, 320);
        let twice = [&pressed[..], &[0; 320], &pressed].concat();
        assert_eq!(keys(&over_the_line(&between_silences(twice, before))), "77", "{before}");
    }
}

#[test]
fn another_key_without_any_pause_is_another_key() {
    let joined = [tone('1', -10.0, -10.0, 1.0, 640), tone('6', -10.0, -10.0, 1.0, 640)].concat();
    assert_eq!(keys(&between_silences(joined, 7)), "16");
}

#[test]
fn all_keys_that_are_made_are_heard_whatever_the_settings() {
    let all: String = KEYS.iter().collect();
    let settings = ToneSettings::default();
    for settings in [
        settings,
        ToneSettings { on_ms: 40, off_ms: 40, ..settings },
        ToneSettings { level_dbm0: -30, twist_db: 0, ..settings },
        ToneSettings { level_dbm0: -7, twist_db: 4, ..settings },
        ToneSettings { level_dbm0: -3, twist_db: -6, ..settings },
    ] {
        let made = tones(&all, &settings).expect("the settings are in range");
        assert_eq!(keys(&over_the_line(&made)), all, "{settings:?}");
    }
}

#[test]
fn a_made_tone_has_its_length_begins_in_silence_and_makes_no_step() {
    let made = tones("5w", &ToneSettings::default()).expect("keys");
    assert_eq!(made.len(), 8 * (100 + 100 + 500));
    assert_eq!((made[0], made[799]), (0, 0));
    assert!(made[800..].iter().all(|sample| *sample == 0));
    // The steepest a sum of 770 Hz at -10 dBm0 and 1336 Hz at -8 dBm0 can be.
    let steepest = 22_657.0 * (0.3162 * TAU * 770.0 + 0.3981 * TAU * 1_336.0) / 8_000.0;
    let step = made.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max();
    assert!(f64::from(step.expect("samples")) <= steepest, "{step:?} > {steepest}");
    let peak = made.iter().map(|sample| sample.unsigned_abs()).max().expect("samples");
    assert!((14_000..=16_184).contains(&peak), "{peak}");
}

#[test]
fn what_cannot_be_made_is_refused_by_name() {
    let settings = ToneSettings::default();
    assert_eq!(tones("12x", &settings), Err(ToneError::Key('x')));
    assert_eq!(tones("", &settings), Err(ToneError::Empty));
    assert_eq!(tones(&"1".repeat(101), &settings), Err(ToneError::TooLong(20_200)));
    for (name, settings) in [
        ("on_ms", ToneSettings { on_ms: 39, ..settings }),
        ("off_ms", ToneSettings { off_ms: 1_001, ..settings }),
        ("twist_db", ToneSettings { twist_db: 5, ..settings }),
        ("level_dbm0", ToneSettings { level_dbm0: -4, ..settings }),
        ("level_dbm0", ToneSettings { level_dbm0: i8::MIN, ..settings }),
    ] {
        let error = tones("1", &settings).expect_err("out of range");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn speech_is_never_taken_for_a_key() {
    for (n, clip) in speech::CLIPS.into_iter().enumerate() {
        let pcm = decode_twilio_audio(clip);
        assert_eq!(keys(&pcm), "", "clip {n}");
        let loud: Vec<i16> = pcm.iter().map(|sample| sample.saturating_mul(4)).collect();
        assert_eq!(keys(&loud), "", "clip {n}, overdriven");
    }
}

#[test]
fn single_tones_noise_and_harmonic_sounds_are_no_keys() {
    let sine = |hz: f64, peak: f64| -> Vec<i16> {
        (0..8_000).map(|n| (peak * (TAU * hz * f64::from(n) / 8_000.0).sin()) as i16).collect()
    };
    for hz in [350.0, 425.0, 440.0, 697.0, 941.0, 1_004.0, 1_209.0, 1_633.0, 2_100.0] {
        assert_eq!(keys(&sine(hz, 8_000.0)), "", "{hz} Hz");
    }
    assert_eq!(keys(&with_noise(vec![0; 80_000], -10.0, 3)), "");
    // A voice that sings: harmonics of a pitch that glides through the groups.
    let mut phase = 0.0;
    let sung: Vec<i16> = (0..160_000)
        .map(|n| {
            phase += TAU * (90.0 + f64::from(n) / 500.0) / 8_000.0;
            (1..9).map(|k| 4_000.0 / f64::from(k) * (phase * f64::from(k)).sin()).sum::<f64>()
                as i16
        })
        .collect();
    assert_eq!(keys(&sung), "");
}

#[test]
fn a_third_tone_of_either_group_beside_the_two_is_no_key() {
    for (key, third) in [('5', '8'), ('5', '6'), ('1', '4'), ('D', 'C')] {
        let both = tone(key, -10.0, -10.0, 1.0, 800);
        let third = tone(third, -14.0, -14.0, 1.0, 800);
        let mixed = both.iter().zip(third).map(|(a, b)| a.saturating_add(b)).collect();
        assert_eq!(keys(&between_silences(mixed, 20)), "", "{key}");
    }
}

#[test]
fn the_cut_of_the_stream_changes_nothing() {
    let line = over_the_line(&tones("159D*0#", &ToneSettings::default()).expect("keys"));
    let whole = strokes(&line, line.len());
    assert_eq!(whole.len(), 14, "seven keys, down and up");
    for frame in [1, 7, 50, 51, 52, 102, 160, 1_000] {
        assert_eq!(strokes(&line, frame), whole, "frames of {frame}");
    }
    let mut detector = KeyDetector::default();
    let mut by_ulaw = Vec::new();
    detector.process_ulaw(&encode_twilio_audio(&line), |stroke| by_ulaw.push(stroke));
    assert_eq!(by_ulaw, whole);
}

#[test]
fn a_key_is_reported_within_45_ms_of_its_beginning_and_let_go_of_within_45_ms_of_its_end() {
    for before in 0..51usize {
        let line = between_silences(tone('3', -10.0, -10.0, 1.0, 800), before);
        let [Stroke::Down { at_ms: down, .. }, Stroke::Up { key: '3', at_ms: up }] =
            strokes(&line, 160)[..]
        else {
            panic!("one key, down and up");
        };
        let begins = before as u64 / 8;
        assert!((begins + 23..=begins + 45).contains(&down), "{begins}: {down}");
        assert!((begins + 100..=begins + 146).contains(&up), "{begins}: {up}");
    }
}

#[test]
fn a_hand_over_after_any_frame_changes_nothing() {
    let line = over_the_line(&tones("1w5", &ToneSettings::default()).expect("keys"));
    let whole = strokes(&line, line.len());
    for frame in [33, 160] {
        let (mut detector, mut found) = (KeyDetector::default(), Vec::new());
        for frame in line.chunks(frame) {
            detector.process(frame, |stroke| found.push(stroke));
            detector = KeyDetector::load(&detector.save()).expect("it was just saved");
        }
        assert_eq!(found, whole);
    }
}

#[test]
fn a_state_from_elsewhere_is_refused_or_harmless() {
    let mut detector = KeyDetector::default();
    detector.process(&tone('9', -10.0, -10.0, 1.0, 700), |_| {});
    let state = detector.save();
    assert!(state.len() < 160, "{}", state.len());
    for end in 0..state.len() {
        assert!(KeyDetector::load(&state[..end]).is_err(), "{end}");
    }
    assert!(KeyDetector::load(&[&state[..], &[0]].concat()).is_err());
    let mut seed = Seed(9);
    for _ in 0..5_000 {
        let mut bytes = state.clone();
        let at = seed.next() as usize % bytes.len();
        bytes[at] = seed.next() as u8;
        if let Ok(mut detector) = KeyDetector::load(&bytes) {
            detector.process(&[1_000; 700], |_| {});
        }
    }
}
