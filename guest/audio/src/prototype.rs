//! From a symmetric low-pass prototype to the table of taps that the inner loop reads.
//!
//! Everything here happens at compile time, in f64; only the finished taps are rounded to f32.

/// A symmetric low-pass filter, of which only the first half is written down.
pub(crate) struct Prototype<const HALF: usize> {
    pub(crate) taps: usize,
    pub(crate) half: [f64; HALF],
}

/// The taps for resampling by `L / M`, in cycles of `M` inputs and `L` outputs: `taps[cycle][input][output]`, oldest
/// cycle first, the present one last.
///
/// Output 0 of a cycle needs its first input only, output `r` the inputs up to `r * M / L`; taps for later ones, and for
/// inputs older than the filter is long, are zero.
pub(crate) type Taps<const L: usize, const M: usize> = [[[f32; L]; M]];

/// The last input that output `row` of a cycle depends on, counted from the cycle's first.
pub(crate) const fn newest_input(row: usize, l: usize, m: usize) -> usize {
    row * m / l
}

impl<const HALF: usize> Prototype<HALF> {
    /// Lays out the taps over `C` cycles, each times `gain`: `L` over the prototype's sum, so that the taps of
    /// every output sum to one.
    pub(crate) const fn lay_out<const L: usize, const M: usize, const C: usize>(
        &self,
        gain: f64,
    ) -> [[[f32; L]; M]; C] {
        assert!(HALF == self.taps.div_ceil(2), "the half is a half");
        let longest_row = self.taps.div_ceil(L);
        assert!(
            C == 1 + (longest_row - 1).div_ceil(M),
            "all taps have a place, and no cycle is empty"
        );
        let mut table = [[[0.0; L]; M]; C];
        let mut at = 0;
        while at < C * M {
            let mut row = 0;
            while row < L {
                let newest = (C - 1) * M + newest_input(row, L, M);
                if at <= newest {
                    table[at / M][at % M][row] =
                        (self.tap(row * M % L + L * (newest - at)) * gain) as f32;
                }
                row += 1;
            }
            at += 1;
        }
        table
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
