//! What the filters do to sound, target by target, measured on the samples that come out.
//!
//! Frequencies are given for a telephone band of 8 kHz; between 16 and 24 kHz the band is 16 kHz wide and they double.

mod common;
#[path = "common/seed.rs"]
mod seed;
#[path = "common/tone.rs"]
mod tone;

use common::{PAIRS, PROFILES, resample};
use cordboard_audio::{Profile, Rate, Resampler};
use seed::{Seed, noise};
use tone::{Response, respond, respond_through};

#[test]
fn the_telephone_band_has_a_ripple_of_a_fiftieth_of_a_decibel_at_most() {
    for (from, to) in PAIRS {
        let gains: Vec<f64> = (300..=3_400)
            .step_by(155)
            .map(|hz| flat(from, to, f64::from(hz), -6.0).gain_db)
            .collect();
        for gain in gains {
            assert!(gain.abs() <= 0.02, "{from:?} to {to:?}: {gain} dB");
        }
    }
}

#[test]
fn the_band_reaches_beyond_3_6_khz() {
    for (from, to) in PAIRS {
        let at_3600 = flat(from, to, 3_600.0, -6.0).gain_db;
        assert!((-0.1..=0.02).contains(&at_3600), "{from:?} to {to:?}: {at_3600} dB");
        let at_3780 = flat(from, to, 3_780.0, -6.0).gain_db;
        assert!(at_3780 >= -3.0, "{from:?} to {to:?}: {at_3780} dB");
    }
}

#[test]
fn no_image_is_louder_than_minus_90_db() {
    for (from, to) in UP {
        for hz in [113.0, 997.0, 1_907.0, 2_703.0, 3_301.0, 3_499.0] {
            // Everything beside the tone, so the images with all the noise of rounding.
            let rest = flat(from, to, hz, -1.0).rest_db;
            assert!(rest <= -90.0, "{from:?} to {to:?} at {hz} Hz: {rest} dB");
        }
    }
}

#[test]
fn no_alias_from_4_5_khz_is_louder_than_minus_88_db() {
    for (from, to) in DOWN {
        for hz in above(4_500.0, from, to) {
            let alias = flat(from, to, hz, -1.0).total_db;
            assert!(alias <= -88.0, "{from:?} to {to:?} at {hz} Hz: {alias} dB");
        }
    }
}

#[test]
fn noise_and_distortion_of_997_hz_are_those_of_16_bits() {
    for (from, to) in PAIRS {
        let tone = respond(from, to, Profile::Flat, 997.0, -6.0);
        let target = match (from, to) {
            (_, Rate::Hz8000) => 90.0,
            // The same samples, computed exactly in f64 and rounded once, have 88.46 dB.
            (Rate::Hz16000, Rate::Hz24000) => 88.4,
            _ => 88.5,
        };
        let sinad = tone.gain_db - tone.rest_db;
        assert!(sinad >= target, "{from:?} to {to:?}: {sinad} dB");
    }
}

#[test]
fn every_frequency_is_late_by_the_same_three_milliseconds_at_most() {
    for (from, to, delay_ms) in [
        (Rate::Hz8000, Rate::Hz24000, 71.0 / 24.0),
        (Rate::Hz24000, Rate::Hz8000, 71.0 / 24.0),
        (Rate::Hz8000, Rate::Hz16000, 47.0 / 16.0),
        (Rate::Hz16000, Rate::Hz8000, 47.0 / 16.0),
        (Rate::Hz16000, Rate::Hz24000, 71.0 / 48.0),
        (Rate::Hz24000, Rate::Hz16000, 71.0 / 48.0),
    ] {
        assert!(delay_ms <= 3.0);
        // 100 Hz tells delays below 10 ms apart; the others have to agree up to whole periods.
        for hz in [100.0, 300.0, 1_000.0, 3_300.0] {
            let late = respond(from, to, Profile::Flat, hz, -6.0).delay_ms;
            let period_ms = 1_000.0 / hz;
            let off = (late - delay_ms + period_ms / 2.0).rem_euclid(period_ms) - period_ms / 2.0;
            assert!(off.abs() < 0.001, "{from:?} to {to:?} at {hz} Hz: {late} ms");
        }
    }
}

#[test]
fn a_click_is_out_within_3_1_ms_of_going_in() {
    for (from, to) in PAIRS {
        // One sample at a time, which leaves no frame to wait for.
        let mut resampler = Resampler::new(from, to, Profile::Flat);
        let mut out = Vec::new();
        let mut loudest = (0, 0.0);
        for fed in 1..=from.frame_samples() {
            let before = out.len();
            resampler.process(&[if fed == 1 { 30_000 } else { 0 }], &mut out);
            for sample in &out[before..] {
                if sample.unsigned_abs() > loudest.0 {
                    loudest = (sample.unsigned_abs(), fed as f64 / f64::from(from.hz()) * 1e3);
                }
            }
        }
        assert!(loudest.1 <= 3.1, "{from:?} to {to:?}: {} ms", loudest.1);
    }
}

#[test]
fn a_constant_comes_out_as_the_same_constant() {
    let mut seed = Seed(1);
    let mut levels = vec![0, 1, -1, 2, -2, 12_345, i16::MAX, i16::MIN, i16::MAX - 1, i16::MIN + 1];
    levels.extend(noise(&mut seed, 30));
    for (from, to) in PAIRS {
        for profile in PROFILES {
            for level in &levels {
                let out = resample(&[*level; 400], from, to, profile);
                let settled = &out[out.len() * 200 / 400..];
                assert!(
                    settled.iter().all(|sample| sample == level),
                    "{from:?} to {to:?}, {profile}: {level} became {settled:?}"
                );
            }
        }
    }
}

#[test]
fn a_full_scale_square_wave_saturates_and_never_wraps() {
    for (from, to) in PAIRS {
        for profile in PROFILES {
            let half = from.hz() as usize / 200;
            let wave = |i: usize| if (i / half).is_multiple_of(2) { i16::MAX } else { i16::MIN };
            let input: Vec<i16> = (0..20 * half).map(wave).collect();
            let out = resample(&input, from, to, profile);
            assert!(out.contains(&i16::MAX) && out.contains(&i16::MIN), "{from:?} to {to:?}");

            // Compared with half the wave, which overshoots without reaching the limits.
            let quiet: Vec<i16> = input.iter().map(|sample| sample / 2).collect();
            for (loud, quiet) in out.iter().zip(resample(&quiet, from, to, profile)) {
                let expected = (2 * i32::from(quiet)).clamp(-32_768, 32_767);
                let off = i32::from(*loud).abs_diff(expected);
                assert!(off <= 4, "{from:?} to {to:?}, {profile}: {loud} for {expected}");
            }
        }
    }
}

#[test]
fn strict_lets_nothing_above_4_khz_fold_back() {
    for (from, to) in DOWN {
        for hz in above(4_000.0, from, to) {
            let alias = octave(from, to, Profile::Strict, hz, -1.0).total_db;
            assert!(alias <= -85.0, "{from:?} to {to:?} at {hz} Hz: {alias} dB");
        }
        let late = respond(from, to, Profile::Strict, 100.0, -6.0).delay_ms;
        assert!(late <= 3.5, "{from:?} to {to:?}: {late} ms");
        let gain = octave(from, to, Profile::Strict, 3_400.0, -6.0).gain_db;
        assert!(gain.abs() <= 0.025, "{from:?} to {to:?}: {gain} dB at 3.4 kHz");
    }
}

#[test]
fn lowlat_is_two_milliseconds_late_and_clean_from_4_6_khz() {
    for (from, to) in PAIRS {
        let late = respond(from, to, Profile::LowLatency, 100.0, -6.0).delay_ms;
        assert!(late <= 2.0, "{from:?} to {to:?}: {late} ms");
        for hz in [300.0, 1_000.0, 2_200.0, 3_400.0] {
            let tone = octave(from, to, Profile::LowLatency, hz, -1.0);
            assert!(tone.gain_db.abs() <= 0.02, "{from:?} to {to:?} at {hz} Hz: {}", tone.gain_db);
            assert!(tone.rest_db <= -90.0, "{from:?} to {to:?} at {hz} Hz: {}", tone.rest_db);
        }
    }
    for (from, to) in DOWN {
        for hz in above(4_600.0, from, to) {
            let alias = octave(from, to, Profile::LowLatency, hz, -1.0).total_db;
            assert!(alias <= -88.0, "{from:?} to {to:?} at {hz} Hz: {alias} dB");
        }
    }
}

#[test]
fn the_direct_path_is_cleaner_and_sooner_than_the_one_by_16_khz() {
    let (from, to) = (Rate::Hz8000, Rate::Hz24000);
    let via = |input: &[i16]| {
        let wide = resample(input, from, Rate::Hz16000, Profile::Flat);
        resample(&wide, Rate::Hz16000, to, Profile::Flat)
    };
    let direct = flat(from, to, 997.0, -6.0);
    let detour = respond_through(from, to, 997.0, -6.0, via);
    assert!(direct.rest_db < detour.rest_db - 1.0, "{} {}", direct.rest_db, detour.rest_db);

    let direct = flat(from, to, 100.0, -6.0).delay_ms;
    let detour = respond_through(from, to, 100.0, -6.0, via).delay_ms;
    assert!(direct < detour - 1.0, "{direct} ms, {detour} ms");
}

#[test]
fn every_sample_is_the_published_formula_rounded() {
    let mut seed = Seed(2);
    for (name, from, to, profile, l, m) in [
        ("24k_flat_T48", Rate::Hz8000, Rate::Hz24000, Profile::Flat, 3, 1),
        ("24k_flat_T48", Rate::Hz24000, Rate::Hz8000, Profile::Flat, 1, 3),
        ("16k_flat_T48", Rate::Hz8000, Rate::Hz16000, Profile::Flat, 2, 1),
        ("16k_flat_T48", Rate::Hz16000, Rate::Hz8000, Profile::Flat, 1, 2),
        ("48k_16to24_flat_T48", Rate::Hz16000, Rate::Hz24000, Profile::Flat, 3, 2),
        ("24k_dn_T56", Rate::Hz24000, Rate::Hz8000, Profile::Strict, 1, 3),
        ("16k_dn_T56", Rate::Hz16000, Rate::Hz8000, Profile::Strict, 1, 2),
    ] {
        let h = published(name);
        let input = noise(&mut seed, 1_000);
        for (at, sample) in resample(&input, from, to, profile).iter().enumerate() {
            let newest = (at * m / l) as i64;
            let exact: f64 = (0..h.len())
                .skip(at * m % l)
                .step_by(l)
                .zip((0..=newest).rev())
                .map(|(i, x)| h[i] * f64::from(input[x as usize]))
                .sum();
            let exact = if l == 1 { exact / m as f64 } else { exact };
            let off = f64::from(*sample) - exact.clamp(-32_768.0, 32_767.0);
            assert!(off.abs() < 0.52, "{name}, {from:?} to {to:?}: sample {at} is off by {off}");
        }
    }
}

const UP: [(Rate, Rate); 3] = [PAIRS[0], PAIRS[1], PAIRS[2]];
const DOWN: [(Rate, Rate); 3] = [PAIRS[3], PAIRS[4], PAIRS[5]];

fn flat(from: Rate, to: Rate, hz: f64, level_db: f64) -> Response {
    octave(from, to, Profile::Flat, hz, level_db)
}

/// A frequency of the telephone band, doubled where the band is twice as wide.
fn octave(from: Rate, to: Rate, profile: Profile, hz: f64, level_db: f64) -> Response {
    let hz = if is_wide(from, to) { 2.0 * hz } else { hz };
    respond(from, to, profile, hz, level_db)
}

fn is_wide(from: Rate, to: Rate) -> bool {
    from != Rate::Hz8000 && to != Rate::Hz8000
}

/// Frequencies of the telephone band from `first` up to what the input can carry.
fn above(first: f64, from: Rate, to: Rate) -> Vec<f64> {
    let scale = if is_wide(from, to) { 2.0 } else { 1.0 };
    let end = f64::from(from.hz()) / 2.0 / scale;
    (0..16).map(|i| first + (end - 7.0 - first) * f64::from(i) / 15.0).collect()
}

fn published(name: &str) -> Vec<f64> {
    let json = include_str!("../../../tests/fixtures/audio/fir_designs.json");
    let json: serde_json::Value = serde_json::from_str(json).expect("the fixture is JSON");
    let taps = json["filters"][name]["h"].as_array().expect("the design is in the file");
    taps.iter().map(|tap| tap.as_f64().expect("taps are numbers")).collect()
}
