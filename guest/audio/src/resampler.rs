//! One conversion of one stream.
//!
//! **The state is the last inputs, as integers, and nothing else.** There is no feedback, so nothing drifts,
//! rings on or decays into denormal numbers: once the history is zeros the output is zeros. It also makes the
//! state trivial to save and impossible to corrupt into anything but other audio.

use alloc::vec::Vec;
use core::fmt;

use crate::bank::{Bank, NEW_MAX, OLD_MAX};
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
    /// The last inputs, oldest first; `history_len()` of them are in use, the last `phase` belong to
    /// a cycle that is not complete.
    history: [i16; OLD_MAX],
    pub(crate) phase: u8,
    /// The first byte of a sample whose second has not come yet.
    pub(crate) half: Option<u8>,
}

impl Resampler {
    /// Begins a stream, preceded by silence. Equal rates pass samples through untouched and undelayed.
    pub fn new(from: Rate, to: Rate, profile: Profile) -> Self {
        let bank = Bank::of(from, to, profile);
        Self { from, to, profile, bank, history: [0; OLD_MAX], phase: 0, half: None }
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
    /// That is exactly [`look_back`](Self::look_back) inputs' worth, just under twice the delay: in `Flat` 141 samples
    /// for 8 -> 24 kHz and 48 for 24 -> 8 kHz. Equal rates hold nothing. Half a sample is dropped.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        self.flush_each(|samples| out.extend_from_slice(samples));
    }

    /// Forgets all it was fed: what comes next follows on silence. For barge-in.
    pub fn reset(&mut self) {
        *self = Self::new(self.from, self.to, self.profile);
    }

    /// How many inputs the filter looks back to: 47 for 8 -> 24 kHz, 144 for 24 -> 8 kHz in `Flat`.
    pub fn look_back(&self) -> usize {
        self.bank.map_or(0, |bank| bank.past_cycles() * bank.cycle().0)
    }

    /// Hands on the outputs of `input`, 20 ms at a time.
    pub(crate) fn each(&mut self, input: &[i16], mut hand_on: impl FnMut(&[i16])) {
        let Some(bank) = self.bank else {
            return hand_on(input);
        };
        for block in input.chunks(self.from.frame_samples()) {
            let mut window = [0; OLD_MAX + NEW_MAX];
            let old = self.history().len();
            let window = &mut window[..old + block.len()];
            window[..old].copy_from_slice(self.history());
            window[old..].copy_from_slice(block);

            let mut out = [0; _];
            let written = bank.convert(window, block.len(), &mut out);
            hand_on(&out[..written]);

            let (cycle, _) = bank.cycle();
            self.phase = (window.len() % cycle) as u8;
            let kept = self.history_len();
            self.history[..kept].copy_from_slice(&window[window.len() - kept..]);
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
        for pairs in pairs.chunks(NEW_MAX) {
            let mut block = [0; NEW_MAX];
            for (to, from) in block.iter_mut().zip(pairs) {
                *to = i16::from_le_bytes(*from);
            }
            self.each(&block[..pairs.len()], &mut hand_on);
        }
        self.half = odd.first().copied().or(self.half);
    }

    /// The same for the end of a turn.
    pub(crate) fn flush_each(&mut self, hand_on: impl FnMut(&[i16])) {
        self.each(&[0; OLD_MAX][..self.look_back()], hand_on);
        self.reset();
    }

    /// What the next outputs depend on beside the next inputs: the past cycles and the begun one.
    pub(crate) fn history(&self) -> &[i16] {
        &self.history[..self.history_len()]
    }

    pub(crate) fn history_mut(&mut self) -> &mut [i16] {
        let len = self.history_len();
        &mut self.history[..len]
    }

    fn history_len(&self) -> usize {
        self.look_back() + usize::from(self.phase)
    }

    /// Inputs per cycle; the phase is below it.
    pub(crate) fn cycle(&self) -> u8 {
        self.bank.map_or(1, |bank| bank.cycle().0 as u8)
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
