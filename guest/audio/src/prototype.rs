//! From a symmetric low-pass prototype to the rows of taps that the inner loop reads.
//!
//! Everything here happens at compile time, in f64; only the finished rows are rounded to f32.

/// A symmetric low-pass filter, of which only the first half is written down.
pub(crate) struct Prototype<const HALF: usize> {
    pub(crate) taps: usize,
    pub(crate) half: [f64; HALF],
}

/// `L` rows of taps in reading order, four taps at a time: `bank[quad][row][lane]`.
///
/// Row `r` makes output `r` of every `L`; its last tap meets the newest input it needs.
pub(crate) type Quads<const L: usize> = [[[f32; 4]; L]];

/// The input that output `row` of a cycle has to wait for, counted from the cycle's first: of `M`
/// inputs a cycle makes `L` outputs.
pub(crate) const fn newest_input(row: usize, l: usize, m: usize) -> usize {
    row * m / l
}

impl<const HALF: usize> Prototype<HALF> {
    /// Lays out the taps for resampling by `L / M` in rows of `4 * Q`, each times `gain`.
    ///
    /// The gain is `L` over the prototype's sum, so that every row sums to one.
    pub(crate) const fn bank<const L: usize, const M: usize, const Q: usize>(
        &self,
        gain: f64,
    ) -> [[[f32; 4]; L]; Q] {
        assert!(4 * Q * L >= self.taps, "the rows hold the whole prototype");
        assert!(HALF == self.taps.div_ceil(2), "the half is a half");
        let mut quads = [[[0.0; 4]; L]; Q];
        let mut at = 0;
        while at < 4 * Q {
            let mut row = 0;
            while row < L {
                let age = 4 * Q - 1 - at;
                quads[at / 4][row][at % 4] = (self.tap(row * M % L + L * age) * gain) as f32;
                row += 1;
            }
            at += 1;
        }
        quads
    }

    const fn tap(&self, i: usize) -> f64 {
        if i < HALF {
            self.half[i]
        } else if i < self.taps {
            self.half[self.taps - 1 - i]
        } else {
            0.0
        }
    }
}
