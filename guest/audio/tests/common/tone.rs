//! Sine waves and what became of them.

use std::f64::consts::TAU;

use cordboard_audio::{Profile, Rate};

use super::common::resample;

/// What came out where a sine wave went in, all relative to what went in.
pub(crate) struct Response {
    /// The tone itself.
    pub(crate) gain_db: f64,
    /// Everything beside the tone; minus this is the SINAD where the gain is 0 dB.
    pub(crate) rest_db: f64,
    /// All of it.
    pub(crate) total_db: f64,
    /// How late the tone is, up to whole periods.
    pub(crate) delay_ms: f64,
}

/// Half a second of a tone through a resampler, once it has settled.
pub(crate) fn respond(from: Rate, to: Rate, profile: Profile, hz: f64, level_db: f64) -> Response {
    respond_through(from, to, hz, level_db, |input| resample(input, from, to, profile))
}

/// The same through anything.
pub(crate) fn respond_through(
    from: Rate,
    to: Rate,
    hz: f64,
    level_db: f64,
    convert: impl Fn(&[i16]) -> Vec<i16>,
) -> Response {
    let amplitude = 32_767.0 * db_to_ratio(level_db);
    let out = convert(&tone(from, hz, amplitude));
    let settled = to.hz() as usize / 50;
    let fit = Fit::new(&out[settled..], settled, to, hz);
    let input_rms = amplitude / 2f64.sqrt();
    Response {
        gain_db: ratio_to_db(fit.amplitude / amplitude),
        rest_db: ratio_to_db(fit.rest_rms / input_rms),
        total_db: ratio_to_db(fit.total_rms / input_rms),
        delay_ms: fit.periods_late / hz * 1_000.0,
    }
}

/// 0.52 seconds of a sine wave.
fn tone(rate: Rate, hz: f64, amplitude: f64) -> Vec<i16> {
    let step = TAU * hz / f64::from(rate.hz());
    (0..rate.hz() as usize * 52 / 100)
        .map(|i| (amplitude * (step * i as f64).sin()).round_ties_even() as i16)
        .collect()
}

/// The sine wave of one frequency that is nearest to the samples, in the sense of least squares.
struct Fit {
    amplitude: f64,
    /// 0..1
    periods_late: f64,
    rest_rms: f64,
    total_rms: f64,
}

impl Fit {
    fn new(samples: &[i16], first: usize, rate: Rate, hz: f64) -> Self {
        let step = TAU * hz / f64::from(rate.hz());
        let basis = |i: usize| (step * (first + i) as f64).sin_cos();
        let [mut ss, mut sc, mut cc, mut sx, mut cx, mut xx] = [0.0; 6];
        for (i, sample) in samples.iter().enumerate() {
            let (s, c) = basis(i);
            let x = f64::from(*sample);
            ss += s * s;
            sc += s * c;
            cc += c * c;
            sx += s * x;
            cx += c * x;
            xx += x * x;
        }
        let determinant = ss * cc - sc * sc;
        let sine = (sx * cc - cx * sc) / determinant;
        let cosine = (cx * ss - sx * sc) / determinant;
        let rest: f64 = samples
            .iter()
            .enumerate()
            .map(|(i, sample)| {
                let (s, c) = basis(i);
                (f64::from(*sample) - sine * s - cosine * c).powi(2)
            })
            .sum();
        Self {
            amplitude: sine.hypot(cosine),
            periods_late: (-cosine.atan2(sine) / TAU).rem_euclid(1.0),
            rest_rms: (rest / samples.len() as f64).sqrt(),
            total_rms: (xx / samples.len() as f64).sqrt(),
        }
    }
}

fn db_to_ratio(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}

fn ratio_to_db(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}
