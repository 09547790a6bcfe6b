//! The one sound the SDK makes itself.

/// Three beeps of 425 Hz, 200 ms each with 200 ms between: a congestion tone, known everywhere.
pub(crate) fn three_beeps(sample_rate: u32) -> Vec<i16> {
    let beep = (sample_rate / 5) as usize;
    (0..beep * 5)
        .map(|at| {
            if (at / beep) % 2 == 1 {
                return 0;
            }
            let turns = at as f32 * FREQUENCY_HZ / sample_rate as f32;
            // Ramps of 5 ms keep the edges from clicking.
            let edge = (at % beep).min(beep - 1 - at % beep) as f32 * 200.0 / sample_rate as f32;
            (wave(turns.fract()) * AMPLITUDE * edge.min(1.0)) as i16
        })
        .collect()
}

/// Two parabolas: as near to a sine as a tone needs, and the same to the bit on every machine.
fn wave(turn: f32) -> f32 {
    let x = 2.0 * turn - 1.0;
    -4.0 * x * (1.0 - x.abs())
}

const FREQUENCY_HZ: f32 = 425.0;
/// About -12 dB of full scale: audible, not startling.
const AMPLITUDE: f32 = 8_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tone_is_a_second_long_and_starts_and_ends_in_silence() {
        let tone = three_beeps(8_000);
        assert_eq!(tone.len(), 8_000);
        assert_eq!((tone[0], tone[7_999]), (0, 0));
        assert!(tone.iter().any(|sample| *sample > 7_000));
        assert!(tone[1_600..3_200].iter().all(|sample| *sample == 0));
    }
}
