//! Music for those who wait: chords, a beat, no voice.

use std::f64::consts::TAU;

use crate::audio::ulaw_encode;

/// Four chords in Hz, two beats each: a loop of four seconds.
const CHORDS: [[f64; 3]; 4] = [
    [261.63, 329.63, 392.00],
    [220.00, 261.63, 329.63],
    [349.23, 440.00, 523.25],
    [392.00, 493.88, 587.33],
];

/// Samples of a beat: 500 ms, 120 a minute.
const BEAT: u64 = 4000;

/// How loud one note is, in PCM16 steps; all together are about -18 dB of full scale.
const LOUDNESS: f64 = 1500.0;

/// Returns `ms` of music as mu-law at 8 kHz, from `from_ms` of an endless piece.
pub(super) fn music(from_ms: u64, ms: u64) -> Vec<u8> {
    (from_ms * 8..(from_ms + ms) * 8).map(|n| ulaw_encode(sample(n) as i16)).collect()
}

/// A bass and three notes of a chord, struck on each beat and ringing on, and a soft brush between the beats.
fn sample(n: u64) -> f64 {
    let chord = CHORDS[(n / (2 * BEAT)) as usize % CHORDS.len()];
    let into_beat = (n % BEAT) as f64 / BEAT as f64;
    let struck = (into_beat * 60.0).min(1.0) * (1.0 - 0.6 * into_beat);
    let time = n as f64 / 8000.0;
    let notes: f64 = chord.into_iter().map(|hertz| note(hertz, time)).sum();
    let bass = 1.2 * note(chord[0] / 2.0, time);
    let after_brush = into_beat - 0.5;
    let brush = if after_brush > 0.0 { noise(n) * (-after_brush * 25.0).exp() } else { 0.0 };
    LOUDNESS * (struck * (notes + bass) + 0.5 * brush)
}

/// A note with its overtones, as strings and pipes have them.
fn note(hertz: f64, time: f64) -> f64 {
    let within_the_line = (1..=8).take_while(|overtone| hertz * f64::from(*overtone) < 3400.0);
    within_the_line
        .map(|overtone| {
            let overtone = f64::from(overtone);
            0.65_f64.powf(overtone - 1.0) * (TAU * hertz * overtone * time).sin()
        })
        .sum()
}

/// Noise that follows from where it stands (the finaliser of SplitMix64), -1..1.
fn noise(n: u64) -> f64 {
    let mut bits = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits ^= bits >> 27;
    (bits >> 40) as f64 / f64::from(1u32 << 23) - 1.0
}

#[cfg(test)]
mod tests {
    use super::super::keys::Receiver;
    use super::*;
    use crate::audio::{is_audible, level_db, ulaw_decode};

    #[test]
    fn music_is_audible_without_a_pause_and_presses_no_key() {
        let eight_seconds = music(0, 8000);
        assert!(eight_seconds.chunks(160).all(is_audible));
        let level = level_db(eight_seconds.iter().map(|&code| ulaw_decode(code)));
        assert!((-24.0..=-14.0).contains(&level), "{level} dB");
        assert_eq!(Receiver::default().hear(&eight_seconds), []);
    }

    #[test]
    fn a_piece_that_is_interrupted_goes_on_where_it_was() {
        assert_eq!(music(0, 3000), [music(0, 1234), music(1234, 1766)].concat());
    }
}
