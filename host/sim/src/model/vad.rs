//! Turn detection by energy.
//!
//! One rule: time is audio time. The detector moves only with audio it is given, so a caller whose media stops in mid-word is never
//! at the end of a turn. The threshold of a session (0..1) is read as a level: 0 is -60 dB of full scale, 1 is -20 dB.

use crate::audio::level_db;

/// The detector looks at pieces of 20 ms.
const STEP_MS: u64 = 20;

/// So many loud pieces in a row are the beginning of speech: a click is not.
const STEPS_TO_START: u64 = 3;

/// How the detector is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VadSettings {
    /// 0..1.
    pub threshold: f64,
    /// How much before the detected speech the turn begins, in ms.
    pub prefix_padding_ms: u64,
    /// How much silence ends the turn, in ms.
    pub silence_duration_ms: u64,
}

/// What the detector noticed; offsets count all audio of the session, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VadEvent {
    /// Speech began.
    Started {
        /// Where the turn begins, padding included.
        audio_start_ms: u64,
    },
    /// The turn is over.
    Stopped {
        /// Where it ends, the silence included.
        audio_end_ms: u64,
    },
}

/// The detector of one session.
#[derive(Debug)]
pub struct Vad {
    rate: u32,
    settings: VadSettings,
    pending: Vec<i16>,
    position_ms: u64,
    loud_steps: u64,
    quiet_ms: u64,
    speaking: bool,
}

impl Vad {
    /// Creates a detector for audio at `rate` that begins at `position_ms` of the session.
    pub fn new(rate: u32, settings: VadSettings, position_ms: u64) -> Self {
        Self {
            rate,
            settings,
            pending: Vec::new(),
            position_ms,
            loud_steps: 0,
            quiet_ms: 0,
            speaking: false,
        }
    }

    /// Changes the settings and keeps the state.
    pub fn set(&mut self, settings: VadSettings) {
        self.settings = settings;
    }

    /// Returns the rate it listens at.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Returns whether a turn is open.
    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// Forgets an open turn, as after `input_audio_buffer.clear` or a manual commit.
    pub fn reset(&mut self) {
        self.speaking = false;
        self.loud_steps = 0;
        self.quiet_ms = 0;
    }

    /// Takes audio and returns what was noticed in it.
    pub fn push(&mut self, samples: &[i16]) -> Vec<VadEvent> {
        let step = (u64::from(self.rate) * STEP_MS / 1000) as usize;
        self.pending.extend_from_slice(samples);
        let pending = std::mem::take(&mut self.pending);
        let mut steps = pending.chunks_exact(step);
        let events = steps.by_ref().filter_map(|piece| self.step(piece)).collect();
        self.pending = steps.remainder().to_vec();
        events
    }

    fn step(&mut self, piece: &[i16]) -> Option<VadEvent> {
        self.position_ms += STEP_MS;
        let loud = level_db(piece.iter().copied()) > -60.0 + 40.0 * self.settings.threshold;
        if loud {
            self.loud_steps += 1;
            self.quiet_ms = 0;
        } else {
            self.loud_steps = 0;
            self.quiet_ms += STEP_MS;
        }
        if !self.speaking && self.loud_steps >= STEPS_TO_START {
            self.speaking = true;
            let speech = self.position_ms - STEPS_TO_START * STEP_MS;
            let audio_start_ms = speech.saturating_sub(self.settings.prefix_padding_ms);
            return Some(VadEvent::Started { audio_start_ms });
        }
        if self.speaking && self.quiet_ms > 0 && self.quiet_ms >= self.settings.silence_duration_ms
        {
            self.speaking = false;
            return Some(VadEvent::Stopped { audio_end_ms: self.position_ms });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{tone, ulaw_decode};
    use crate::speech;

    const SETTINGS: VadSettings =
        VadSettings { threshold: 0.5, prefix_padding_ms: 300, silence_duration_ms: 200 };

    #[test]
    fn a_turn_begins_before_the_speech_and_ends_after_the_silence() {
        let mut vad = Vad::new(8000, SETTINGS, 0);
        let mut audio = vec![0; 8000];
        audio.extend(tone(300.0, 8000, 1000));
        audio.extend(vec![0; 8000]);
        assert_eq!(
            vad.push(&audio),
            [VadEvent::Started { audio_start_ms: 700 }, VadEvent::Stopped { audio_end_ms: 2200 }]
        );
    }

    #[test]
    fn the_start_is_never_before_the_session() {
        let mut vad = Vad::new(24_000, SETTINGS, 0);
        assert_eq!(vad.push(&tone(300.0, 24_000, 200)), [VadEvent::Started { audio_start_ms: 0 }]);
    }

    #[test]
    fn nothing_happens_while_no_audio_arrives() {
        let mut vad = Vad::new(8000, SETTINGS, 0);
        vad.push(&tone(300.0, 8000, 500));
        assert!(vad.is_speaking());
        assert_eq!(vad.push(&[]), []);
        assert!(vad.is_speaking());
    }

    #[test]
    fn a_click_is_not_speech() {
        let mut vad = Vad::new(8000, SETTINGS, 0);
        let mut audio = vec![0; 1600];
        audio.extend(tone(1000.0, 8000, 20));
        audio.extend(vec![0; 1600]);
        assert_eq!(vad.push(&audio), []);
    }

    #[test]
    fn every_spoken_clip_of_the_caller_is_one_turn_in_any_chunking() {
        for clip in speech::CALLER {
            let mut audio: Vec<i16> = clip.ulaw_8k.iter().map(|&c| ulaw_decode(c)).collect();
            audio.extend(vec![0; 8000]);
            for size in [160, 7, 1999, audio.len()] {
                let mut vad = Vad::new(8000, SETTINGS, 0);
                let events: Vec<VadEvent> = audio.chunks(size).flat_map(|c| vad.push(c)).collect();
                assert_eq!(events.len(), 2, "{} in chunks of {size}: {events:?}", clip.name);
            }
        }
    }
}
