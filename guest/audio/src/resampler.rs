//! One conversion of one stream.
//!
//! **The state is the last inputs, as integers, and nothing else.** There is no feedback, so nothing drifts,
//! rings on or decays into denormal numbers: once the history is zeros the output is zeros. It also makes the
//! state trivial to save and impossible to corrupt into anything but other audio.

use alloc::vec::Vec;
use core::fmt;

use crate::bank::Bank;
use crate::{Profile, Rate};

/// Converts a stream of 16-bit mono samples from one rate to another.
///
/// However the stream is cut into chunks, the same samples come out: an output leaves as soon as the last input it
/// depends on is there, so after `n` inputs there are `ceil(n * to / from)` outputs in all, exactly 480 for
/// 160 from 8 to 24 kHz. Sound comes out later than it went in by the profile's delay, see [`Profile`].
///
/// ```
/// use cordboard_audio::{Profile, Rate, Resampler};
///
/// let mut resampler = Resampler::new(Rate::Hz8000, Rate::Hz24000, Profile::Flat);
/// let mut out = Vec::new();
/// resampler.process(&[1000; 160], &mut out);
/// assert_eq!(out.len(), 480);
/// assert_eq!(out[479], 1000);
/// ```
#[derive(Clone)]
pub struct Resampler {
    pub(crate) from: Rate,
    pub(crate) to: Rate,
    pub(crate) profile: Profile,
    /// None where the rates are equal.
    bank: Option<Bank>,
    /// The last inputs, oldest first; `history_len()` of them are in use.
    history: [i16; HISTORY_MAX],
    /// How many inputs of the present cycle are in the history already.
    pub(crate) phase: u8,
    /// The first byte of a sample whose second has not come yet.
    pub(crate) half: Option<u8>,
}

impl Resampler {
    /// Begins a stream, preceded by silence. Equal rates pass samples through untouched and undelayed.
    pub fn new(from: Rate, to: Rate, profile: Profile) -> Self {
        let bank = Bank::of(from, to, profile);
        Self { from, to, profile, bank, history: [0; HISTORY_MAX], phase: 0, half: None }
    }

    /// The rate of what goes in.
    pub fn from_rate(&self) -> Rate {
        self.from
    }

    /// The rate of what comes out.
    pub fn to_rate(&self) -> Rate {
        self.to
    }

    /// Converts `input` and appends to `out` all that can be computed by now.
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        self.each(input, |samples| out.extend_from_slice(samples));
    }

    /// Converts little-endian bytes to little-endian bytes.
    ///
    /// The chunk may end inside a sample: the odd byte waits for the next call of this function.
    pub fn process_bytes(&mut self, s16le: &[u8], out: &mut Vec<u8>) {
        self.each_bytes(s16le, |samples| append_bytes(samples, out));
    }

    /// Ends a turn: appends what the filter still holds, as if silence followed, and is as new.
    ///
    /// After whole frames that is `ceil(H * to / from)` samples with `H` = [`history_len`](Self::history_len), just under
    /// twice the delay: in `Flat` 141 for 8 -> 24 kHz and 48 for 24 -> 8 kHz. Elsewhere in the stream it may be one less.
    /// Equal rates hold nothing. Half a sample is dropped.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        self.flush_each(|samples| out.extend_from_slice(samples));
    }

    /// Forgets all it was fed: what comes next follows on silence. For barge-in.
    pub fn reset(&mut self) {
        *self = Self::new(self.from, self.to, self.profile);
    }

    /// How many past inputs the filter looks back to.
    pub fn history_len(&self) -> usize {
        self.bank.map_or(0, Bank::history)
    }

    /// Hands on the outputs of `input`, some milliseconds at a time.
    pub(crate) fn each(&mut self, input: &[i16], mut hand_on: impl FnMut(&[i16])) {
        let Some(bank) = self.bank else {
            return hand_on(input);
        };
        let past = bank.history();
        let (_, cycle) = bank.cycle();
        for block in input.chunks(self.from.frame_samples()) {
            let mut window = [0.0; HISTORY_MAX + BLOCK_MAX];
            let window = &mut window[..past + block.len()];
            for (to, from) in window.iter_mut().zip(self.history[..past].iter().chain(block)) {
                *to = f32::from(*from);
            }
            let mut out = [0; BLOCK_MAX + 1];
            let written = bank.convert(window, usize::from(self.phase), &mut out);
            hand_on(&out[..written]);

            self.phase = ((usize::from(self.phase) + block.len()) % cycle) as u8;
            let kept = past.saturating_sub(block.len());
            self.history.copy_within(past - kept..past, 0);
            self.history[kept..past].copy_from_slice(&block[block.len() - (past - kept)..]);
        }
    }

    /// The same for little-endian bytes.
    pub(crate) fn each_bytes(&mut self, mut bytes: &[u8], mut hand_on: impl FnMut(&[i16])) {
        if let (Some(first), [second, rest @ ..]) = (self.half, bytes) {
            self.half = None;
            self.each(&[i16::from_le_bytes([first, *second])], &mut hand_on);
            bytes = rest;
        }
        let (pairs, odd) = bytes.as_chunks::<2>();
        for pairs in pairs.chunks(BLOCK_MAX) {
            let mut block = [0; BLOCK_MAX];
            for (to, from) in block.iter_mut().zip(pairs) {
                *to = i16::from_le_bytes(*from);
            }
            self.each(&block[..pairs.len()], &mut hand_on);
        }
        self.half = odd.first().copied().or(self.half);
    }

    /// The same for the end of a turn.
    pub(crate) fn flush_each(&mut self, hand_on: impl FnMut(&[i16])) {
        self.each(&[0; HISTORY_MAX][..self.history_len()], hand_on);
        self.reset();
    }

    pub(crate) fn history(&self) -> &[i16] {
        &self.history[..self.history_len()]
    }

    pub(crate) fn history_mut(&mut self) -> &mut [i16] {
        let len = self.history_len();
        &mut self.history[..len]
    }

    /// Inputs per cycle; the phase is below it.
    pub(crate) fn cycle(&self) -> u8 {
        self.bank.map_or(1, |bank| bank.cycle().1 as u8)
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("profile", &self.profile)
            .field("phase", &self.phase)
            .field("half", &self.half)
            .finish_non_exhaustive()
    }
}

/// Appends samples as little-endian bytes.
pub(crate) fn append_bytes(samples: &[i16], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + 2 * samples.len(), 0);
    for (to, from) in out[start..].as_chunks_mut::<2>().0.iter_mut().zip(samples) {
        *to = from.to_le_bytes();
    }
}

/// The longest history: `Strict`, 24 -> 8 and 24 -> 16 kHz at 168 taps, less the newest input.
const HISTORY_MAX: usize = 167;
/// The longest block, in and out: 20 ms at 24 kHz.
const BLOCK_MAX: usize = Rate::Hz24000.frame_samples();
