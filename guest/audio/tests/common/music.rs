//! Sounds of a line on hold, made here: music of several kinds, ringing, noise.

use std::f64::consts::TAU;

use super::seed::Seed;

/// The kinds of music.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    /// Slow chords of many harmonics, each swelling into the next.
    Strings,
    /// Struck notes that die away, a melody over broken chords.
    Piano,
    /// Bass, chords and a drum made of noise.
    Band,
}

pub(crate) const STYLES: [Style; 3] = [Style::Strings, Style::Piano, Style::Band];

/// Music of this level (dBm0 of its mean power) at 8 kHz.
pub(crate) fn music(style: Style, seconds: f64, level_dbm0: f64, seed: u64) -> Vec<i16> {
    let len = (seconds * 8_000.0) as usize;
    let mut mix = vec![0.0; len];
    let mut seed = Seed(seed);
    let mut dice = move |sides: u64| seed.next() % sides;
    // I, vi, IV, V in C, as semitones above A of 220 Hz.
    let chords = [[3, 7, 10], [0, 3, 7], [-4, 0, 3], [-2, 2, 5]];
    let hz = |semitone: i32| 220.0 * 2f64.powf(f64::from(semitone) / 12.0);
    match style {
        Style::Strings => {
            for (bar, start) in (0..len).step_by(16_000).enumerate() {
                for note in chords[bar % 4] {
                    for octave in [0, 12] {
                        let vibrato = 4.5 + dice(10) as f64 / 10.0;
                        note_into(
                            &mut mix,
                            start,
                            18_000,
                            hz(note + octave),
                            8,
                            0.7,
                            vibrato,
                            |t| (t * 4.0).min(1.0) * ((2.25 - t) * 4.0).clamp(0.0, 1.0),
                        );
                    }
                }
            }
        }
        Style::Piano => {
            for (beat, start) in (0..len).step_by(2_000).enumerate() {
                let chord = chords[beat / 8 % 4];
                let low = chord[beat % 3];
                note_into(&mut mix, start, 12_000, hz(low), 6, 0.5, 0.0, |t| (-t * 3.0).exp());
                if beat % 2 == 0 {
                    let high = chord[dice(3) as usize] + 12;
                    note_into(&mut mix, start, 12_000, hz(high), 5, 0.45, 0.0, |t| {
                        (-t * 2.5).exp()
                    });
                }
            }
        }
        Style::Band => {
            for (beat, start) in (0..len).step_by(2_000).enumerate() {
                let chord = chords[beat / 8 % 4];
                note_into(&mut mix, start, 2_000, hz(chord[0] - 12), 10, 0.6, 0.0, |t| {
                    (-t * 2.0).exp()
                });
                if beat % 2 == 1 {
                    for note in chord {
                        note_into(&mut mix, start, 3_000, hz(note), 6, 0.6, 0.0, |t| {
                            (-t * 4.0).exp()
                        });
                    }
                    for n in 0..800.min(len - start) {
                        let noise = f64::from(dice(65_536) as u16 as i16) / 32_768.0;
                        mix[start + n] += 1.2 * noise * (-(n as f64) / 250.0).exp();
                    }
                }
            }
        }
    }
    let mean_square = mix.iter().map(|x| x * x).sum::<f64>() / len as f64;
    let wanted = 22_657.0 / 2f64.sqrt() * 10f64.powf(level_dbm0 / 20.0);
    let scale = wanted / mean_square.sqrt();
    mix.iter().map(|x| (x * scale).clamp(-32_000.0, 32_000.0) as i16).collect()
}

#[expect(clippy::too_many_arguments, reason = "a note has that many qualities")]
fn note_into(
    mix: &mut [f64],
    start: usize,
    len: usize,
    hz: f64,
    harmonics: u32,
    decay: f64,
    vibrato_hz: f64,
    envelope: impl Fn(f64) -> f64,
) {
    let mut phase = 0.0;
    for (n, sample) in mix.iter_mut().skip(start).take(len).enumerate() {
        let t = n as f64 / 8_000.0;
        phase += TAU * hz * (1.0 + 0.004 * (TAU * vibrato_hz * t).sin()) / 8_000.0;
        let mut sum = 0.0;
        for k in (1..=harmonics).filter(|k| hz * f64::from(*k) < 3_600.0) {
            sum += decay.powi(k as i32 - 1) * (phase * f64::from(k)).sin();
        }
        *sample += sum * envelope(t);
    }
}

/// White noise of this level.
pub(crate) fn hiss(seconds: f64, level_dbm0: f64, seed: u64) -> Vec<i16> {
    let mut seed = Seed(seed);
    let peak = 22_657.0 * 10f64.powf(level_dbm0 / 20.0) * 1.5f64.sqrt();
    (0..(seconds * 8_000.0) as usize)
        .map(|_| (f64::from(seed.next() as i16) / 32_768.0 * peak) as i16)
        .collect()
}

/// Ringing tone of a country: frequencies, seconds on and off.
pub(crate) fn ringing(seconds: f64, hz: &[f64], on: f64, off: f64) -> Vec<i16> {
    (0..(seconds * 8_000.0) as usize)
        .map(|n| {
            let t = n as f64 / 8_000.0;
            let sounds = t % (on + off) < on;
            let sum: f64 = hz.iter().map(|hz| (TAU * hz * t).sin()).sum();
            if sounds { (2_500.0 * sum) as i16 } else { 0 }
        })
        .collect()
}
