//! The carrier's playout as documented: one clock that plays what it is given, in order, without
//! pause.
//!
//! `end = max(end, now) + bytes / 8 ms` on media; a mark is due when everything before it was
//! played; `clear` drops what was not played and echoes every pending mark at once.

use std::collections::VecDeque;
use std::time::Duration;

/// Bytes in a millisecond of mu-law at 8 kHz.
const BYTES_PER_MS: u64 = 8;

/// The playout of one stream.
#[derive(Debug, Clone, Default)]
pub struct Carrier {
    end: Duration,
    pieces: Vec<Piece>,
    pending: VecDeque<Pending>,
}

/// A mark that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// When it was due.
    pub at: Duration,
    /// As it was given.
    pub name: String,
    /// All audio before it was played, and not cleared. The wire does not say this.
    pub played: bool,
}

#[derive(Debug, Clone)]
struct Piece {
    from: Duration,
    audio: Vec<u8>,
    cleared_at: Option<Duration>,
}

#[derive(Debug, Clone)]
struct Pending {
    due: Duration,
    name: String,
    is_cleared: bool,
}

impl Carrier {
    /// Audio arrives.
    pub fn media(&mut self, now: Duration, audio: Vec<u8>) {
        let from = self.end.max(now);
        self.end = from + time(audio.len());
        self.pieces.push(Piece { from, audio, cleared_at: None });
    }

    /// A mark arrives.
    pub fn mark(&mut self, now: Duration, name: String) {
        self.pending.push_back(Pending { due: self.end.max(now), name, is_cleared: false });
    }

    /// `clear` arrives.
    pub fn clear(&mut self, now: Duration) {
        for piece in self.pieces.iter_mut().rev().take_while(|piece| piece.until() > now) {
            piece.cleared_at.get_or_insert(now);
        }
        for mark in &mut self.pending {
            mark.is_cleared = mark.due > now;
            mark.due = mark.due.min(now);
        }
        self.end = now;
    }

    /// When the next mark is due to be echoed.
    pub fn next_echo(&self) -> Option<Duration> {
        self.pending.front().map(|mark| mark.due)
    }

    /// The next mark that is due by now.
    pub fn echo(&mut self, now: Duration) -> Option<Echo> {
        let mark = self.pending.pop_front_if(|mark| mark.due <= now)?;
        Some(Echo { at: mark.due, name: mark.name, played: !mark.is_cleared })
    }

    /// Marks that did not come back and, after a hang-up, never will.
    pub fn unechoed(&self) -> impl Iterator<Item = &str> {
        self.pending.iter().map(|mark| mark.name.as_str())
    }

    /// Audio given and not yet played.
    pub fn queued(&self, now: Duration) -> Duration {
        self.end.saturating_sub(now)
    }

    /// Every byte the caller has heard by now, in order, without the gaps.
    pub fn heard(&self, now: Duration) -> Vec<u8> {
        self.pieces.iter().map(|piece| piece.heard(now)).collect::<Vec<_>>().concat()
    }

    /// How many bytes of each piece the caller has heard by now, in order of arrival.
    pub fn heard_of_each(&self, now: Duration) -> Vec<usize> {
        self.pieces.iter().map(|piece| piece.heard(now).len()).collect()
    }

    /// Counts the pauses between one piece's end and the next one's start, of the pairs that
    /// matter. A `clear` in between is no pause.
    pub fn gaps_between(&self, matters: impl Fn(usize, usize) -> bool) -> usize {
        let pairs = self.pieces.windows(2).enumerate();
        let gaps = pairs.filter(|(at, pair)| {
            let is_gap = pair[0].cleared_at.is_none() && pair[1].from > pair[0].until();
            is_gap && matters(*at, at + 1)
        });
        gaps.count()
    }
}

impl Piece {
    fn until(&self) -> Duration {
        self.from + time(self.audio.len())
    }

    fn heard(&self, now: Duration) -> &[u8] {
        let stopped = self.cleared_at.unwrap_or(now).min(now);
        let micros = stopped.saturating_sub(self.from).as_micros() as u64;
        let bytes = usize::try_from(micros * BYTES_PER_MS / 1_000).unwrap_or(usize::MAX);
        &self.audio[..bytes.min(self.audio.len())]
    }
}

fn time(bytes: usize) -> Duration {
    Duration::from_micros(bytes as u64 * 1_000 / BYTES_PER_MS)
}
