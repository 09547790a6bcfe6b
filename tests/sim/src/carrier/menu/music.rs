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

/// A sine's peak in PCM16 steps; three and their octaves make about -20 dB of full scale.
const PEAK: f64 = 2400.0;

/// Returns `ms` of music as mu-law at 8 kHz, from `from_ms` of an endless piece.
pub(super) fn music(from_ms: u64, ms: u64) -> Vec<u8> {
    (from_ms * 8..(from_ms + ms) * 8).map(|n| ulaw_encode(sample(n) as i16)).collect()
}

fn sample(n: u64) -> f64 {
    let chord = CHORDS[(n / (2 * BEAT)) as usize % CHORDS.len()];
    let into_beat = (n % BEAT) as f64 / BEAT as f64;
    // Struck, then ringing on until the next beat.
    let loudness = (into_beat * 60.0).min(1.0) * (1.0 - 0.6 * into_beat);
    let time = n as f64 / 8000.0;
    let note = |hertz: f64| (TAU * hertz * time).sin() + 0.3 * (TAU * 2.0 * hertz * time).sin();
    PEAK * loudness * chord.into_iter().map(note).sum::<f64>()
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
