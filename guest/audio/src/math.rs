//! The little mathematics that `core` lacks, the same to the bit on every machine.
//!
//! Sines are only needed of constants, so they are computed by the compiler.

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
    fn decibels_become_the_ratio_they_are() {
        for db in -40..=40 {
            let exact = 10f64.powf(f64::from(db) / 20.0);
            assert!((db_to_amplitude(db) / exact - 1.0).abs() < 1e-12);
        }
    }
}
