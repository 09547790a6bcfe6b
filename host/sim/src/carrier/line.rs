//! The caller's voice on the line: one frame of 160 bytes for every 20 ms, speech if there is any, comfort noise otherwise.

use std::collections::VecDeque;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::playout::{Sample, Span};
use super::script::Utterance;
use crate::audio::{FRAME_BYTES, ulaw_encode};

/// The caller's end of the line.
#[derive(Debug)]
pub(super) struct Line {
    waiting: VecDeque<Utterance>,
    offset: usize,
    noise: SmallRng,
    noise_amplitude: i16,
    position: Sample,
    spoken: Vec<Spoken>,
    said: Option<Vec<u8>>,
}

/// An utterance and where on the line it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// Its name.
    pub name: String,
    /// Where it began and ended; ends at the last frame while it is still being said.
    pub span: Span,
}

impl Line {
    /// Opens a line. `noise_amplitude` is the peak of the background noise in PCM16 steps; 0 is the comfort noise of recorded calls
    /// (codes 0x7F and 0xFF only).
    pub(super) fn new(seed: u64, noise_amplitude: i16, recording: bool) -> Self {
        Self {
            waiting: VecDeque::new(),
            offset: 0,
            noise: SmallRng::seed_from_u64(seed),
            noise_amplitude,
            position: 0,
            spoken: Vec::new(),
            said: recording.then(Vec::new),
        }
    }

    /// Begins to say something once everything before it was said.
    pub(super) fn say(&mut self, utterance: Utterance) {
        self.waiting.push_back(utterance);
    }

    /// Stops in mid-word and forgets what waits.
    pub(super) fn hush(&mut self) {
        self.waiting.clear();
        self.offset = 0;
    }

    /// Returns whether something is being said.
    pub(super) fn is_speaking(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns the next 20 ms.
    pub(super) fn frame(&mut self) -> [u8; FRAME_BYTES] {
        let mut frame = [0; FRAME_BYTES];
        self.fill_with_noise(&mut frame);
        if let Some(utterance) = self.waiting.front() {
            if self.offset == 0 {
                let span = Span { from: self.position, to: self.position };
                self.spoken.push(Spoken { name: utterance.name.clone(), span });
            }
            let rest = &utterance.ulaw[self.offset..];
            let length = rest.len().min(FRAME_BYTES);
            frame[..length].copy_from_slice(&rest[..length]);
            self.offset += length;
            let spoken = self.spoken.last_mut().expect("pushed when the utterance began");
            spoken.span.to = self.position + length as u64;
            if self.offset >= utterance.ulaw.len() {
                self.waiting.pop_front();
                self.offset = 0;
            }
        }
        self.position += FRAME_BYTES as u64;
        if let Some(said) = &mut self.said {
            said.extend(frame);
        }
        frame
    }

    /// Returns everything said so far and where.
    pub(super) fn spoken(&self) -> &[Spoken] {
        &self.spoken
    }

    /// Returns the line's audio since the stream began.
    pub(super) fn said(&self) -> &[u8] {
        self.said.as_deref().unwrap_or_default()
    }

    fn fill_with_noise(&mut self, frame: &mut [u8; FRAME_BYTES]) {
        if self.noise_amplitude == 0 {
            for chunk in frame.chunks_mut(64) {
                let mut bits: u64 = self.noise.random();
                for code in chunk {
                    *code = if bits & 1 == 0 { 0x7F } else { 0xFF };
                    bits >>= 1;
                }
            }
        } else {
            let peak = self.noise_amplitude;
            frame.fill_with(|| ulaw_encode(self.noise.random_range(-peak..=peak)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_fills_whole_frames_and_noise_the_rest() {
        let mut line = Line::new(1, 0, true);
        line.say(Utterance { name: "a".into(), ulaw: vec![0x10; 200].into() });
        assert_eq!(line.frame(), [0x10; 160]);
        assert!(line.is_speaking());
        let second = line.frame();
        assert_eq!(second[..40], [0x10; 40]);
        assert!(second[40..].iter().all(|code| matches!(code, 0x7F | 0xFF)));
        assert!(!line.is_speaking());
        assert_eq!(line.spoken(), [Spoken { name: "a".into(), span: Span { from: 0, to: 200 } }]);
        assert_eq!(line.said().len(), 320);
    }

    #[test]
    fn who_is_hushed_says_no_more_and_begins_anew() {
        let mut line = Line::new(1, 0, true);
        line.say(Utterance { name: "a".into(), ulaw: vec![0x10; 400].into() });
        line.say(Utterance { name: "b".into(), ulaw: vec![0x20; 400].into() });
        line.frame();
        line.hush();
        assert!(!line.is_speaking());
        assert!(line.frame().iter().all(|code| matches!(code, 0x7F | 0xFF)));
        line.say(Utterance { name: "c".into(), ulaw: vec![0x30; 160].into() });
        assert_eq!(line.frame(), [0x30; 160]);
        let said: Vec<(&str, u64)> =
            line.spoken().iter().map(|it| (it.name.as_str(), it.span.to - it.span.from)).collect();
        assert_eq!(said, [("a", 160), ("c", 160)]);
    }

    #[test]
    fn silence_is_not_one_constant_code() {
        let frame = Line::new(2, 0, false).frame();
        assert!(frame.contains(&0x7F) && frame.contains(&0xFF));
    }
}
