//! The little mathematics that `core` lacks, the same to the bit on every machine.
//!
//! Sines are only needed of constants, so they are computed by the compiler. Logarithms are needed of signals: taken
//! from the bits of the number and a short series.

/// Sine and cosine of a constant angle, in turns; 1e-14 exact for angles within one turn.
pub(crate) const fn sin_cos(turns: f64) -> (f64, f64) {
    let mut turn = turns;
    while turn > 0.5 {
        turn -= 1.0;
    }
    while turn < -0.5 {
        turn += 1.0;
    }
    let x = turn * core::f64::consts::TAU;
    let (mut sine, mut cosine, mut term, mut n) = (0.0, 0.0, 1.0, 0);
    while n < 40 {
        // The terms of the exponential series, dealt out to the two in turn.
        match n % 4 {
            0 => cosine += term,
            1 => sine += term,
            2 => cosine -= term,
            _ => sine -= term,
        }
        n += 1;
        term *= x / n as f64;
    }
    (sine, cosine)
}

/// The logarithm to base 2, 1e-4 exact; of nothing and less it is -126.
pub(crate) fn log2(x: f32) -> f32 {
    if x < f32::MIN_POSITIVE {
        return -126.0;
    }
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let mantissa = f32::from_bits(bits & 0x007F_FFFF | 0x3F80_0000);
    // 2 atanh(t) is the natural logarithm of (1 + t) / (1 - t); the mantissa is 1..2, so t is at most 1/3.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let t2 = t * t;
    let series = t * (1.0 + t2 * (1.0 / 3.0 + t2 * (1.0 / 5.0 + t2 * (1.0 / 7.0))));
    exponent as f32 + series * (2.0 * core::f32::consts::LOG2_E)
}

/// A ratio of powers in decibels, 1e-3 exact.
pub(crate) fn power_db(ratio: f32) -> f32 {
    const DB_PER_OCTAVE: f32 = 3.010_3;
    DB_PER_OCTAVE * log2(ratio)
}

/// The ratio of amplitudes that a whole number of decibels is.
pub(crate) fn db_to_amplitude(db: i8) -> f64 {
    const ONE_DB: f64 = 1.122_018_454_301_963_4;
    let mut ratio = 1.0;
    for _ in 0..db.unsigned_abs() {
        ratio *= ONE_DB;
    }
    if db < 0 { 1.0 / ratio } else { ratio }
}

/// The peak of a sine wave of 0 dBm0 in 16-bit samples: 3.17 dB below the peak of the loudest one that G.711 codes.
pub(crate) const PEAK_0_DBM0: f64 = 22_657.0;
/// The mean square of the same, with samples from -1 to 1.
pub(crate) const POWER_0_DBM0: f32 =
    (PEAK_0_DBM0 * PEAK_0_DBM0 / 2.0 / (32_768.0 * 32_768.0)) as f32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_are_those_of_the_standard_library() {
        for n in -40..=40 {
            let turns = f64::from(n) / 40.0;
            let (sine, cosine) = sin_cos(turns);
            let (s, c) = (turns * std::f64::consts::TAU).sin_cos();
            assert!((sine - s).abs() < 1e-14 && (cosine - c).abs() < 1e-14, "{turns}");
        }
    }

    #[test]
    fn logarithms_are_those_of_the_standard_library() {
        for n in 1..10_000 {
            let x = n as f32 * n as f32 * 1.7e-6;
            assert!((log2(x) - x.log2()).abs() < 1e-4, "{x}");
        }
        assert_eq!((log2(0.0), log2(-1.0)), (-126.0, -126.0));
        assert!((power_db(0.5) + 3.0103).abs() < 1e-3);
    }

    #[test]
    fn decibels_become_the_ratio_they_are() {
        for db in -40..=40 {
            let exact = 10f64.powf(f64::from(db) / 20.0);
            assert!((db_to_amplitude(db) / exact - 1.0).abs() < 1e-12);
        }
    }
}
