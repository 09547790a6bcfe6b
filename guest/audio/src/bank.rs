//! The inner loop: dot products of rows of taps with a sliding window.
//!
//! **One rule: every output is summed in one order.** Four running sums, one per lane, each over every fourth tap from the
//! oldest input to the newest; then `(0 + 2) + (1 + 3)`. Whether an output is computed in a block of
//! twelve or alone at the end of a chunk, it adds the same numbers in the same order, so the chunking cannot be
//! heard, and neither can the machine: the lanes map to SSE2, NEON and wasm simd128 alike, and
//! nothing here contracts to a fused multiply-add.

use crate::coefficients as c;
use crate::prototype::{Quads, newest_input};
use crate::{Profile, Rate};

/// The rows of one conversion, by how many outputs (first) come of how many inputs (second).
#[derive(Clone, Copy)]
pub(crate) enum Bank {
    By3Of1(&'static Quads<3>),
    By2Of1(&'static Quads<2>),
    By3Of2(&'static Quads<3>),
    By2Of3(&'static Quads<2>),
    By1Of3(&'static Quads<1>),
    By1Of2(&'static Quads<1>),
}

impl Bank {
    /// The rows for a pair of rates; none where there is nothing to convert.
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

    /// How many past inputs an output looks at beside its newest: the state of the conversion.
    pub(crate) fn history(self) -> usize {
        4 * match self {
            Self::By3Of1(quads) | Self::By3Of2(quads) => quads.len(),
            Self::By2Of1(quads) | Self::By2Of3(quads) => quads.len(),
            Self::By1Of3(quads) | Self::By1Of2(quads) => quads.len(),
        } - 1
    }

    /// (outputs, inputs) of one cycle.
    pub(crate) fn cycle(self) -> (usize, usize) {
        match self {
            Self::By3Of1(_) => (3, 1),
            Self::By2Of1(_) => (2, 1),
            Self::By3Of2(_) => (3, 2),
            Self::By2Of3(_) => (2, 3),
            Self::By1Of3(_) => (1, 3),
            Self::By1Of2(_) => (1, 2),
        }
    }

    /// Writes every output whose newest input is among the new ones, and says how many those are.
    ///
    /// The window holds `history()` old inputs and then the new ones; `phase` of the new ones' cycle came before.
    pub(crate) fn convert(self, window: &[f32], phase: usize, out: &mut [i16]) -> usize {
        match self {
            Self::By3Of1(quads) => convert::<3, 1, 4>(quads, window, phase, out),
            Self::By2Of1(quads) => convert::<2, 1, 4>(quads, window, phase, out),
            Self::By3Of2(quads) => convert::<3, 2, 4>(quads, window, phase, out),
            Self::By2Of3(quads) => convert::<2, 3, 4>(quads, window, phase, out),
            Self::By1Of3(quads) => convert::<1, 3, 8>(quads, window, phase, out),
            Self::By1Of2(quads) => convert::<1, 2, 8>(quads, window, phase, out),
        }
    }
}

/// `J` cycles at a time while they last, then output by output.
fn convert<const L: usize, const M: usize, const J: usize>(
    quads: &Quads<L>,
    window: &[f32],
    phase: usize,
    out: &mut [i16],
) -> usize {
    let inputs = window.len() - (4 * quads.len() - 1);
    let mut written = 0;
    let mut put = |sums: &[[f32; 4]]| {
        for (out, sum) in out[written..written + sums.len()].iter_mut().zip(sums) {
            *out = to_sample((sum[0] + sum[2]) + (sum[1] + sum[3]));
        }
        written += sums.len();
    };

    // The cycle that the last chunk left unfinished.
    for row in 0..L {
        if let Some(newest) = newest_input(row, L, M).checked_sub(phase).filter(|_| phase > 0)
            && newest < inputs
        {
            put(&[one(quads, row, &window[newest..])]);
        }
    }

    let mut start = if phase > 0 { M - phase } else { 0 };
    while start + (J - 1) * M + newest_input(L - 1, L, M) < inputs {
        put(block::<L, M, J>(quads, &window[start..]).as_flattened());
        start += J * M;
    }

    while start < inputs {
        for row in 0..L {
            let newest = start + newest_input(row, L, M);
            if newest < inputs {
                put(&[one(quads, row, &window[newest..])]);
            }
        }
        start += M;
    }
    written
}

/// The lane sums of `J` whole cycles.
#[inline(always)]
fn block<const L: usize, const M: usize, const J: usize>(
    quads: &Quads<L>,
    window: &[f32],
) -> [[[f32; 4]; L]; J] {
    let span = 4 + (J - 1) * M + newest_input(L - 1, L, M);
    let mut sums = [[[0.0; 4]; L]; J];
    for (i, quad) in quads.iter().enumerate() {
        let x = &window[4 * i..4 * i + span];
        for (cycle, sums) in sums.iter_mut().enumerate() {
            for (row, sum) in sums.iter_mut().enumerate() {
                let x = &x[cycle * M + newest_input(row, L, M)..];
                for lane in 0..4 {
                    sum[lane] += quad[row][lane] * x[lane];
                }
            }
        }
    }
    sums
}

/// The lane sums of a single output.
fn one<const L: usize>(quads: &Quads<L>, row: usize, window: &[f32]) -> [f32; 4] {
    let mut sum = [0.0; 4];
    for (quad, x) in quads.iter().zip(window.as_chunks::<4>().0) {
        for lane in 0..4 {
            sum[lane] += quad[row][lane] * x[lane];
        }
    }
    sum
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

static FLAT_8_24: [[[f32; 4]; 3]; 12] = c::FLAT_3.bank::<3, 1, 12>(1.0);
static FLAT_8_16: [[[f32; 4]; 2]; 12] = c::FLAT_2.bank::<2, 1, 12>(1.0);
static FLAT_16_24: [[[f32; 4]; 3]; 12] = c::FLAT_3.bank::<3, 2, 12>(1.0);
static FLAT_24_16: [[[f32; 4]; 2]; 18] = c::FLAT_48K.bank::<2, 3, 18>(2.0 / 3.0);
static FLAT_24_8: [[[f32; 4]; 1]; 36] = c::FLAT_3.bank::<1, 3, 36>(1.0 / 3.0);
static FLAT_16_8: [[[f32; 4]; 1]; 24] = c::FLAT_2.bank::<1, 2, 24>(1.0 / 2.0);
static STRICT_24_16: [[[f32; 4]; 2]; 21] = c::STRICT_48K.bank::<2, 3, 21>(2.0 / 3.0);
static STRICT_24_8: [[[f32; 4]; 1]; 42] = c::STRICT_3.bank::<1, 3, 42>(1.0 / 3.0);
static STRICT_16_8: [[[f32; 4]; 1]; 28] = c::STRICT_2.bank::<1, 2, 28>(1.0 / 2.0);
static LOW_LATENCY_8_24: [[[f32; 4]; 3]; 8] = c::LOW_LATENCY_3.bank::<3, 1, 8>(1.0);
static LOW_LATENCY_8_16: [[[f32; 4]; 2]; 8] = c::LOW_LATENCY_2.bank::<2, 1, 8>(1.0);
static LOW_LATENCY_16_24: [[[f32; 4]; 3]; 8] = c::LOW_LATENCY_3.bank::<3, 2, 8>(1.0);
static LOW_LATENCY_24_16: [[[f32; 4]; 2]; 12] = c::LOW_LATENCY_48K.bank::<2, 3, 12>(2.0 / 3.0);
static LOW_LATENCY_24_8: [[[f32; 4]; 1]; 24] = c::LOW_LATENCY_3.bank::<1, 3, 24>(1.0 / 3.0);
static LOW_LATENCY_16_8: [[[f32; 4]; 1]; 16] = c::LOW_LATENCY_2.bank::<1, 2, 16>(1.0 / 2.0);
