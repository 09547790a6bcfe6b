//! The power spectrum of 32 ms at 8 kHz.
//!
//! 256 real samples are transformed as 128 complex ones and untangled afterwards. All factors are constants and the order of
//! operations is fixed, so the result is the same to the bit on every machine.

use crate::math::sin_cos;

/// Samples that a spectrum is of.
pub(crate) const WINDOW: usize = 256;
/// The bins between 300 and 3400 Hz, the telephone's band.
pub(crate) const BINS: usize = LAST - FIRST + 1;

/// The power in each bin of the telephone's band, of samples from -1 to 1 under a Hann window.
pub(crate) fn powers(samples: &[i16; WINDOW]) -> [f32; BINS] {
    let mut z = [(0.0, 0.0); HALF];
    for (n, pair) in samples.chunks_exact(2).enumerate() {
        // In the order of reversed bits, as the butterflies want it.
        let at = (n as u8).reverse_bits() as usize >> 1;
        z[at] = (f32::from(pair[0]) * HANN[2 * n], f32::from(pair[1]) * HANN[2 * n + 1]);
    }

    let mut len = 2;
    while len <= HALF {
        let stride = WINDOW / len;
        for block in z.chunks_exact_mut(len) {
            let (even, odd) = block.split_at_mut(len / 2);
            for (k, (a, b)) in even.iter_mut().zip(odd).enumerate() {
                let (c, s) = TWIDDLES[k * stride];
                let turned = (b.0 * c + b.1 * s, b.1 * c - b.0 * s);
                *b = (a.0 - turned.0, a.1 - turned.1);
                *a = (a.0 + turned.0, a.1 + turned.1);
            }
        }
        len *= 2;
    }

    let mut powers = [0.0; BINS];
    for (power, k) in powers.iter_mut().zip(FIRST..) {
        let (a, b) = (z[k], z[HALF - k]);
        let even = (0.5 * (a.0 + b.0), 0.5 * (a.1 - b.1));
        let odd = (0.5 * (a.1 + b.1), 0.5 * (b.0 - a.0));
        let (c, s) = TWIDDLES[k];
        let re = even.0 + odd.0 * c + odd.1 * s;
        let im = even.1 + odd.1 * c - odd.0 * s;
        *power = re * re + im * im;
    }
    powers
}

const HALF: usize = WINDOW / 2;
/// 312.5 Hz, at 31.25 Hz a bin.
const FIRST: usize = 10;
/// 3375 Hz.
const LAST: usize = 108;

/// Cosine and sine of n / 256 turns.
static TWIDDLES: [(f32, f32); HALF] = {
    let mut table = [(0.0, 0.0); HALF];
    let mut n = 0;
    while n < HALF {
        let (sine, cosine) = sin_cos(n as f64 / WINDOW as f64);
        table[n] = (cosine as f32, sine as f32);
        n += 1;
    }
    table
};

/// The window, with the scale from 16-bit samples and such that a sine wave of peak 1 has a power near 1 in its bin.
static HANN: [f32; WINDOW] = {
    let mut table = [0.0; WINDOW];
    let mut n = 0;
    while n < WINDOW {
        let (_, cosine) = sin_cos((n as f64 + 0.5) / WINDOW as f64);
        table[n] = ((1.0 - cosine) / 2.0 / 32_768.0 / (WINDOW as f64 / 4.0)) as f32;
        n += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    #[test]
    fn it_is_the_spectrum_that_the_definition_gives() {
        let samples: [i16; WINDOW] =
            core::array::from_fn(|n| ((n * 7_919 + n * n * 31) % 20_011) as i16 - 10_005);
        let powers = powers(&samples);
        for (power, k) in powers.iter().zip(FIRST..) {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, sample) in samples.iter().enumerate() {
                let x = f64::from(*sample) * f64::from(HANN[n]);
                let (sine, cosine) = (TAU * (k * n) as f64 / WINDOW as f64).sin_cos();
                re += x * cosine;
                im -= x * sine;
            }
            let exact = re * re + im * im;
            assert!((f64::from(*power) - exact).abs() < 1e-5 * exact.max(1e-4), "bin {k}");
        }
    }

    #[test]
    fn a_tone_stands_in_its_own_bin() {
        let tone = |n: usize| (32_767.0 * (TAU * 32.0 * n as f64 / 256.0).sin()) as i16;
        let powers = powers(&core::array::from_fn(tone));
        assert!((powers[32 - FIRST] - 1.0).abs() < 0.01);
        assert!(powers[40 - FIRST] < 1e-6);
    }
}
