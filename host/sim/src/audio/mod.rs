//! Telephone codecs and what tests listen with.
//!
//! One rule: nothing here is shared with the gateway. The decoder follows ITU-T G.711's formula and the encoder the ranges of the
//! ITU-T G.191 reference, written a second time on purpose.

mod alaw;
mod ulaw;
pub mod wav;

pub use alaw::{alaw_decode, alaw_encode};
pub use ulaw::{ulaw_decode, ulaw_encode};

/// Mu-law samples in one carrier frame of 20 ms.
pub const FRAME_BYTES: usize = 160;

/// Mu-law bytes (and samples) in one millisecond.
pub const BYTES_PER_MS: u64 = 8;

/// The mu-law code of silence.
pub const SILENCE: u8 = 0xFF;

/// Returns the root mean square of PCM16 samples in dB of full scale; -120 for digital silence or no samples.
pub fn level_db(samples: impl Iterator<Item = i16>) -> f64 {
    let mut sum = 0.0;
    let mut count = 0u32;
    for sample in samples {
        let x = f64::from(sample) / 32768.0;
        sum += x * x;
        count += 1;
    }
    if count == 0 || sum == 0.0 {
        return -120.0;
    }
    (10.0 * (sum / f64::from(count)).log10()).max(-120.0)
}

/// Returns whether a person would call this piece of mu-law audible: louder than -50 dB of full scale.
pub fn is_audible(ulaw: &[u8]) -> bool {
    level_db(ulaw.iter().map(|&code| ulaw_decode(code))) > -50.0
}

/// Returns a sine of `hertz` as PCM16 at -12 dB of full scale with 5 ms ramps, so that cutting it makes no click of its own.
pub fn tone(hertz: f64, rate: u32, duration_ms: u32) -> Vec<i16> {
    let samples = (u64::from(rate) * u64::from(duration_ms) / 1000) as usize;
    let ramp = (rate as usize / 200).max(1);
    (0..samples)
        .map(|n| {
            let edge = n.min(samples - 1 - n);
            let gain = (edge as f64 / ramp as f64).min(1.0) * 8192.0;
            let angle = std::f64::consts::TAU * hertz * n as f64 / f64::from(rate);
            (angle.sin() * gain) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_not_audible_and_a_tone_is() {
        assert!(!is_audible(&[SILENCE; 160]));
        assert!(!is_audible(&[0x7F; 160]));
        let tone: Vec<u8> = tone(440.0, 8000, 20).into_iter().map(ulaw_encode).collect();
        assert!(is_audible(&tone));
    }
}
