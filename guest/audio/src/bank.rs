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
            Self::By2Of3(taps) => convert::<2, 3, 16>(taps, window, new, out),
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
