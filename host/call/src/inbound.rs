//! The caller's voice on its way in.
//!
//! **One rule: the tenant's audio runs with the caller's clock.** Where timestamps say that audio
//! is missing, silence takes its place, in whole frames; where it stops coming in the middle of
//! speech, a second of silence lets the model's turn detection end the turn. Nothing is reordered
//! or joined, and only what no tenant could answer is cut.

use std::time::Duration;

use crate::framing::{FRAME, Framing};
use crate::io::Now;
use crate::limits::Limits;

const FRAME_US: i64 = FRAME.as_micros() as i64;
/// Silence for a stall goes out in steps of this many frames, in real time.
const STALL_STEP_FRAMES: u32 = 5;

#[derive(Debug)]
pub(crate) struct Inbound {
    framing: Framing,
    /// The timestamp the next media should carry, in microseconds.
    expected_us: Option<i64>,
    /// The last media, to know it when it comes again.
    last: (Option<u64>, Vec<u8>),
    last_media: Now,
    is_speaking: bool,
    stall: Stall,
}

/// What to do with a piece of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Hand it on, after so many frames of silence.
    Next { silent_frames: u32 },
    /// It came before.
    Duplicate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stall {
    /// Media are coming, or nobody waits for them.
    None,
    Filling {
        next: Now,
        frames_left: u32,
    },
    Filled,
}

impl Inbound {
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            expected_us: None,
            last: (None, Vec::new()),
            last_media: Now::ZERO,
            is_speaking: false,
            stall: Stall::None,
        }
    }

    /// Takes note of media with the timestamp `at_ms`.
    pub(crate) fn media(
        &mut self,
        now: Now,
        at_ms: Option<u64>,
        payload: &[u8],
        limits: &Limits,
    ) -> Arrival {
        let (last_ms, last_payload) = &mut self.last;
        if at_ms.is_some() && *last_ms == at_ms && last_payload == payload {
            return Arrival::Duplicate;
        }
        *last_ms = at_ms;
        last_payload.clear();
        last_payload.extend_from_slice(payload);
        self.last_media = now;
        self.stall = Stall::None;

        // A hostile carrier's stamps reach the ends of the range; adding to them must not.
        let length_us = micros(self.framing.time(payload.len() as u64));
        let Some(at_us) = at_ms.and_then(|ms| i64::try_from(ms).ok()?.checked_mul(1_000)) else {
            self.expected_us = self.expected_us.map(|expected| expected.saturating_add(length_us));
            return Arrival::Next { silent_frames: 0 };
        };
        let late_us = self.expected_us.map_or(0, |expected| at_us.saturating_sub(expected));
        let is_gap = late_us >= micros(limits.gap_tolerance);
        let silent_frames = if is_gap {
            let filled_us = late_us.min(micros(limits.gap_fill_max));
            u32::try_from(filled_us / FRAME_US).unwrap_or(u32::MAX)
        } else {
            0
        };
        // A gap and a jump backwards set the clock; anything less is jitter and drift, and moves it
        // by a sixteenth, so that lost milliseconds neither pile up to a gap nor hide one.
        let is_reset = is_gap || late_us <= -micros(limits.gap_tolerance) * 4;
        let start_us = if is_reset { at_us } else { at_us - late_us + late_us / 16 };
        self.expected_us = Some(start_us.saturating_add(length_us));
        Arrival::Next { silent_frames }
    }

    pub(crate) fn speech_started(&mut self) {
        self.is_speaking = true;
    }

    pub(crate) fn speech_stopped(&mut self) {
        self.is_speaking = false;
    }

    pub(crate) fn is_speaking(&self) -> bool {
        self.is_speaking
    }

    /// The carrier's stream is a new one, with timestamps of its own.
    pub(crate) fn begin_stream(&mut self, now: Now) {
        self.expected_us = None;
        self.last = (None, Vec::new());
        self.last_media = now;
        self.stall = Stall::None;
    }

    /// Frames of silence that are due because the caller's audio stalled, and whether the stall was
    /// noticed only now.
    pub(crate) fn stalled(&mut self, now: Now, limits: &Limits) -> Option<(u32, bool)> {
        if self.wake_at(limits)? > now {
            return None;
        }
        let (is_new, frames_left) = match self.stall {
            Stall::None => (true, (limits.stall_fill.as_millis() / FRAME.as_millis()) as u32),
            Stall::Filling { frames_left, .. } => (false, frames_left),
            Stall::Filled => return None,
        };
        let frames = frames_left.min(STALL_STEP_FRAMES);
        let frames_left = frames_left - frames;
        self.stall = match frames_left {
            0 => Stall::Filled,
            _ => Stall::Filling { next: now + FRAME * frames, frames_left },
        };
        let filled_us = micros(FRAME * frames);
        self.expected_us = self.expected_us.map(|expected| expected.saturating_add(filled_us));
        Some((frames, is_new))
    }

    pub(crate) fn wake_at(&self, limits: &Limits) -> Option<Now> {
        match self.stall {
            _ if !self.is_speaking => None,
            Stall::None => Some(self.last_media + limits.stall_after),
            Stall::Filling { next, .. } => Some(next),
            Stall::Filled => None,
        }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
