//! The inner loop: every tap times a row of neighbouring samples.
//!
//! **One rule: every output is summed in one order**, from its oldest input to its newest, in one f32. The loop takes
//! `W` neighbouring cycles at once, one per lane, so lanes never meet, and which block an output falls into
//! cannot be heard: not the chunking, and not the machine either, since SSE2, NEON and wasm simd128 multiply and add alike and nothing
//! here contracts to a fused multiply-add.
//!
//! Lanes side by side have to be side by side in memory. So where a cycle has several inputs, its first ones, second
//! ones and so on are laid out as streams of their own before the loop.

use crate::coefficients as c;
use crate::prototype::Taps;
use crate::{Profile, Rate};

/// The taps of one conversion, by how many outputs (first) come of how many inputs (second).
#[derive(Clone, Copy)]
pub(crate) enum Bank {
    By3Of1(&'static Taps<3, 1>),
    By2Of1(&'static Taps<2, 1>),
    By3Of2(&'static Taps<3, 2>),
    By2Of3(&'static Taps<2, 3>),
    By1Of3(&'static Taps<1, 3>),
    By1Of2(&'static Taps<1, 2>),
}

impl Bank {
    /// The taps for a pair of rates; none where there is nothing to convert.
    ///
    /// `Strict` is about aliases, so it differs from `Flat` only on the way down.
    pub(crate) fn of(from: Rate, to: Rate, profile: Profile) -> Option<Self> {
        use Profile::{Flat, LowLatency, Strict};
        use Rate::{Hz8000, Hz16000, Hz24000};
        Some(match (from, to, profile) {
            (Hz8000, Hz8000, _) | (Hz16000, Hz16000, _) | (Hz24000, Hz24000, _) => return None,
            (Hz8000, Hz24000, Flat | Strict) => Self::By3Of1(&FLAT_8_24),
            (Hz8000, Hz24000, LowLatency) => Self::By3Of1(&LOW_LATENCY_8_24),
            (Hz8000, Hz16000, Flat | Strict) => Self::By2Of1(&FLAT_8_16),
            (Hz8000, Hz16000, LowLatency) => Self::By2Of1(&LOW_LATENCY_8_16),
            (Hz16000, Hz24000, Flat | Strict) => Self::By3Of2(&FLAT_16_24),
            (Hz16000, Hz24000, LowLatency) => Self::By3Of2(&LOW_LATENCY_16_24),
            (Hz24000, Hz16000, Flat) => Self::By2Of3(&FLAT_24_16),
            (Hz24000, Hz16000, Strict) => Self::By2Of3(&STRICT_24_16),
            (Hz24000, Hz16000, LowLatency) => Self::By2Of3(&LOW_LATENCY_24_16),
            (Hz24000, Hz8000, Flat) => Self::By1Of3(&FLAT_24_8),
            (Hz24000, Hz8000, Strict) => Self::By1Of3(&STRICT_24_8),
            (Hz24000, Hz8000, LowLatency) => Self::By1Of3(&LOW_LATENCY_24_8),
            (Hz16000, Hz8000, Flat) => Self::By1Of2(&FLAT_16_8),
            (Hz16000, Hz8000, Strict) => Self::By1Of2(&STRICT_16_8),
            (Hz16000, Hz8000, LowLatency) => Self::By1Of2(&LOW_LATENCY_16_8),
        })
    }

    /// Inputs and outputs per cycle.
    pub(crate) fn cycle(self) -> (usize, usize) {
        match self {
            Self::By3Of1(_) => (1, 3),
            Self::By2Of1(_) => (1, 2),
            Self::By3Of2(_) => (2, 3),
            Self::By2Of3(_) => (3, 2),
            Self::By1Of3(_) => (3, 1),
            Self::By1Of2(_) => (2, 1),
        }
    }

    /// How many past cycles an output looks back to: the state of the conversion.
    pub(crate) fn past_cycles(self) -> usize {
        let cycles = match self {
            Self::By3Of1(taps) => taps.len(),
            Self::By2Of1(taps) => taps.len(),
            Self::By3Of2(taps) => taps.len(),
            Self::By2Of3(taps) => taps.len(),
            Self::By1Of3(taps) => taps.len(),
            Self::By1Of2(taps) => taps.len(),
        };
        cycles - 1
    }

    /// Writes every output whose last input is new, and says how many those are.
    ///
    /// The window begins with `past_cycles()` whole cycles and the begun one; the last `new` of its inputs are new.
    pub(crate) fn convert(self, window: &[i16], new: usize, out: &mut Output) -> usize {
        match self {
            Self::By3Of1(taps) => convert::<3, 1, 16>(taps, window, new, out),
            Self::By2Of1(taps) => convert::<2, 1, 16>(taps, window, new, out),
            Self::By3Of2(taps) => convert::<3, 2, 16>(taps, window, new, out),
            Self::By2Of3(taps) => convert::<2, 3, 20>(taps, window, new, out),
            Self::By1Of3(taps) => convert::<1, 3, 32>(taps, window, new, out),
            Self::By1Of2(taps) => convert::<1, 2, 32>(taps, window, new, out),
        }
    }
}

/// Room for the outputs of [`NEW_MAX`] inputs, in whole blocks.
pub(crate) type Output = [i16; 576];

/// `W` cycles to a block, as many as keep all sums in registers.
fn convert<const L: usize, const M: usize, const W: usize>(
    taps: &Taps<L, M>,
    window: &[i16],
    new: usize,
    out: &mut Output,
) -> usize {
    let mut streams = [[0.0; STREAM_MAX]; M];
    let (cycles, begun) = window.as_chunks::<M>();
    for (at, cycle) in cycles.iter().enumerate() {
        for input in 0..M {
            streams[input][at] = f32::from(cycle[input]);
        }
    }
    for (stream, sample) in streams.iter_mut().zip(begun) {
        stream[cycles.len()] = f32::from(*sample);
    }

    // Of the first cycle some outputs may be out already, of the last some may have to wait.
    let past = (taps.len() - 1) * M;
    let old = window.len() - new - past;
    let first = outputs_after(old, L, M);
    let last = outputs_after(window.len() - past, L, M);
    let blocks = last.div_ceil(L * W);
    for (block, out) in out.chunks_exact_mut(L * W).take(blocks).enumerate() {
        let sums = sum::<L, M, W>(taps, &streams, block * W);
        for lane in 0..W {
            for row in 0..L {
                out[lane * L + row] = to_sample(sums[row][lane]);
            }
        }
    }
    out.copy_within(first..last, 0);
    last - first
}

/// How many outputs depend on none but the first `inputs`.
fn outputs_after(inputs: usize, l: usize, m: usize) -> usize {
    (inputs * l).div_ceil(m)
}

#[inline(always)]
fn sum<const L: usize, const M: usize, const W: usize>(
    taps: &Taps<L, M>,
    streams: &[[f32; STREAM_MAX]; M],
    start: usize,
) -> [[f32; W]; L] {
    let mut sums = [[0.0; W]; L];
    for (at, cycle) in taps.iter().enumerate() {
        for (stream, taps) in streams.iter().zip(cycle) {
            let x = &stream[start + at..start + at + W];
            for (sums, tap) in sums.iter_mut().zip(taps) {
                for lane in 0..W {
                    sums[lane] += tap * x[lane];
                }
            }
        }
    }
    sums
}

/// Rounds to the nearest sample, ties to even, and saturates.
///
/// Adding 1.5 * 2^23 leaves an f32 no bits below one, so the addition itself rounds, and the low half of
/// the result's bits is the two's complement integer. Unlike `round_ties_even` that is one SSE2 instruction.
#[inline(always)]
fn to_sample(sum: f32) -> i16 {
    const ROUND: f32 = 12_582_912.0;
    (sum.clamp(-32768.0, 32767.0) + ROUND).to_bits() as i16
}

/// The most new inputs in a window: 20 ms at 24 kHz.
pub(crate) const NEW_MAX: usize = Rate::Hz24000.frame_samples();
/// The most old ones: 56 cycles of three, and the two of a begun one.
pub(crate) const OLD_MAX: usize = 170;
/// 56 past cycles, 160 new ones, one that began earlier, and a block's worth that nobody asked for.
const STREAM_MAX: usize = 256;

static FLAT_8_24: [[[f32; 3]; 1]; 48] = c::FLAT_3.lay_out(1.0);
static FLAT_8_16: [[[f32; 2]; 1]; 48] = c::FLAT_2.lay_out(1.0);
static FLAT_16_24: [[[f32; 3]; 2]; 25] = c::FLAT_3.lay_out(1.0);
static FLAT_24_16: [[[f32; 2]; 3]; 25] = c::FLAT_48K.lay_out(2.0 / 3.0);
static FLAT_24_8: [[[f32; 1]; 3]; 49] = c::FLAT_3.lay_out(1.0 / 3.0);
static FLAT_16_8: [[[f32; 1]; 2]; 48] = c::FLAT_2.lay_out(1.0 / 2.0);
static STRICT_24_16: [[[f32; 2]; 3]; 29] = c::STRICT_48K.lay_out(2.0 / 3.0);
static STRICT_24_8: [[[f32; 1]; 3]; 57] = c::STRICT_3.lay_out(1.0 / 3.0);
static STRICT_16_8: [[[f32; 1]; 2]; 57] = c::STRICT_2.lay_out(1.0 / 2.0);
static LOW_LATENCY_8_24: [[[f32; 3]; 1]; 32] = c::LOW_LATENCY_3.lay_out(1.0);
static LOW_LATENCY_8_16: [[[f32; 2]; 1]; 32] = c::LOW_LATENCY_2.lay_out(1.0);
static LOW_LATENCY_16_24: [[[f32; 3]; 2]; 17] = c::LOW_LATENCY_3.lay_out(1.0);
static LOW_LATENCY_24_16: [[[f32; 2]; 3]; 17] = c::LOW_LATENCY_48K.lay_out(2.0 / 3.0);
static LOW_LATENCY_24_8: [[[f32; 1]; 3]; 33] = c::LOW_LATENCY_3.lay_out(1.0 / 3.0);
static LOW_LATENCY_16_8: [[[f32; 1]; 2]; 32] = c::LOW_LATENCY_2.lay_out(1.0 / 2.0);

#[cfg(test)]
mod tests {
    extern crate std;

    use std::f64::consts::TAU;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn ties_go_to_the_even_neighbour_and_loud_sums_saturate() {
        for (sum, sample) in [
            (0.5, 0),
            (1.5, 2),
            (2.5, 2),
            (-0.5, 0),
            (-1.5, -2),
            (-2.5, -2),
            (-0.0, 0),
            (0.500_001, 1),
            (32_766.5, 32_766),
            (32_767.4, 32_767),
            (40_000.0, 32_767),
            (-32_768.6, -32_768),
            (-1e9, -32_768),
        ] {
            assert_eq!(to_sample(sum), sample, "{sum}");
        }
    }

    #[test]
    fn the_taps_of_every_output_sum_to_one_so_that_dc_is_exact() {
        for (from, to, profile, bank) in banks() {
            for (row, taps) in rows(bank).iter().enumerate() {
                // 2^-17 of full scale would be a quarter of a sample.
                let off = taps.iter().map(|tap| f64::from(*tap)).sum::<f64>() - 1.0;
                assert!(off.abs() < 2e-7, "{from:?} to {to:?}, {profile}, row {row}: {off:e}");
            }
        }
    }

    #[test]
    fn the_designs_themselves_hold_100_db() {
        for (from, to, profile, bank) in banks() {
            let narrow = from == Rate::Hz8000 || to == Rate::Hz8000;
            let scale = if narrow { 1.0 } else { 2.0 };
            let (pass, stop, ripple_db, stop_db) = match profile {
                Profile::Strict if from.hz() > to.hz() => (3_400.0, 4_000.0, 0.021, -94.0),
                Profile::Flat | Profile::Strict => (3_500.0, 4_500.0, 0.001, -100.0),
                Profile::LowLatency => (3_400.0, 4_600.0, 0.011, -100.0),
            };
            // The outputs' rows, interleaved, are one filter at the rate at which both meet.
            let (inputs, outputs) = bank.cycle();
            let meeting = f64::from(to.hz()) * inputs as f64;
            let filter = prototype(bank);
            let gain = |hz: f64| 20.0 * (response(&filter, hz / meeting) / outputs as f64).log10();
            for step in 0..=100 {
                let hz = pass * scale * f64::from(step) / 100.0;
                let db = gain(hz);
                assert!(db.abs() < ripple_db, "{from:?} to {to:?}, {profile}: {db} dB at {hz} Hz");
                let hz = stop * scale + (meeting / 2.0 - stop * scale) * f64::from(step) / 100.0;
                let db = gain(hz);
                assert!(db < stop_db, "{from:?} to {to:?}, {profile}: {db} dB at {hz} Hz");
            }
        }
    }

    /// A product is a multiple of a tap's last bit, at least 2^-24 of the tap; so a sum that is not zero is as large, and
    /// an f32 becomes denormal only below 1e-38.
    #[test]
    fn no_sum_can_come_near_the_denormal_numbers() {
        for (from, to, profile, bank) in banks() {
            for tap in rows(bank).into_iter().flatten().filter(|tap| *tap != 0.0) {
                assert!(tap.abs() > 1e-9, "{from:?} to {to:?}, {profile}: {tap}");
            }
        }
    }

    fn banks() -> Vec<(Rate, Rate, Profile, Bank)> {
        let rates = [Rate::Hz8000, Rate::Hz16000, Rate::Hz24000];
        let profiles = [Profile::Flat, Profile::Strict, Profile::LowLatency];
        let mut banks = Vec::new();
        for from in rates {
            for to in rates {
                for profile in profiles {
                    banks.extend(Bank::of(from, to, profile).map(|bank| (from, to, profile, bank)));
                }
            }
        }
        assert_eq!(banks.len(), 18);
        banks
    }

    /// The taps of every output of a cycle, newest input first.
    fn rows(bank: Bank) -> Vec<Vec<f32>> {
        fn of<const L: usize, const M: usize>(taps: &Taps<L, M>) -> Vec<Vec<f32>> {
            let inputs = taps.as_flattened();
            let row = |row: usize| {
                let newest = inputs.len() - M + row * M / L;
                inputs[..=newest].iter().rev().map(|taps| taps[row]).collect()
            };
            (0..L).map(row).collect()
        }
        match bank {
            Bank::By3Of1(taps) => of(taps),
            Bank::By2Of1(taps) => of(taps),
            Bank::By3Of2(taps) => of(taps),
            Bank::By2Of3(taps) => of(taps),
            Bank::By1Of3(taps) => of(taps),
            Bank::By1Of2(taps) => of(taps),
        }
    }

    /// The filter at the rate at which inputs and outputs meet, put together again from its rows.
    fn prototype(bank: Bank) -> Vec<f32> {
        let (m, l) = bank.cycle();
        let rows = rows(bank);
        let mut filter = std::vec![0.0; rows.iter().map(|row| row.len() * l).max().unwrap() + l];
        for (row, taps) in rows.iter().enumerate() {
            for (age, tap) in taps.iter().enumerate() {
                filter[row * m % l + l * age] = *tap;
            }
        }
        filter
    }

    /// The magnitude at a frequency given as a part of the sampling rate.
    fn response(filter: &[f32], frequency: f64) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (i, tap) in filter.iter().enumerate() {
            let (sin, cos) = (TAU * frequency * i as f64).sin_cos();
            re += f64::from(*tap) * cos;
            im += f64::from(*tap) * sin;
        }
        re.hypot(im)
    }
}
