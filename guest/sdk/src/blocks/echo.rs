//! Echo after the agent has spoken: what comes back of its own voice is not taken for the caller.
//!
//! A speakerphone returns the agent's voice, softer and late. Two guards, each bounded in time. **By level**: for a moment after the
//! last word was played, frames that are softer than anybody who speaks into a telephone do not reach the model. **By words**: a line of the
//! caller that has nearly all its words, in their order, from what the agent has just said is the agent's own.
//!
//! ```
//! use cordboard_sdk::blocks::echo::{EchoGuard, EchoSettings};
//! use cordboard_sdk::{Call, CallInfo, Event, Hearing, Speaker, Tenant, Turn};
//! # use cordboard_sdk::harness::Harness;
//!
//! struct Kiosk {
//!     echo: EchoGuard,
//!     orders: Vec<String>,
//! }
//!
//! impl Tenant for Kiosk {
//!     fn new(_: &CallInfo) -> Kiosk {
//!         Kiosk { echo: EchoGuard::new(EchoSettings::default()), orders: Vec::new() }
//!     }
//!
//!     fn event(&mut self, call: &mut Call, event: &Event) {
//!         self.echo.event(call, event);
//!     }
//!
//!     fn caller_audio(&mut self, call: &mut Call, frame: &[u8]) -> Hearing {
//!         self.echo.caller_audio(call, frame)
//!     }
//!
//!     fn turn(&mut self, call: &mut Call, turn: &Turn) {
//!         if turn.speaker == Speaker::Caller {
//!             if self.echo.is_echo(call.now(), &turn.text) {
//!                 call.strike(&turn.item);
//!             } else {
//!                 self.orders.push(turn.text.clone());
//!             }
//!         }
//!     }
//! }
//!
//! let mut call = Harness::<Kiosk>::start();
//! call.model_ready();
//! call.model_says("Would you like fries with that?", 1_500);
//! call.hear_all();
//! call.caller_says("like fries with that");
//! call.caller_says("Yes please, large fries.");
//! assert_eq!(call.tenant().orders, ["Yes please, large fries."]);
//! ```

use std::collections::VecDeque;

use cordboard_audio::sound::ulaw_level_dbm0;
use serde::{Deserialize, Serialize};

use super::phrases::{append_bounded, common, words};
use crate::wire::{ServerEvent, event_type};
use crate::{Call, Encoding, Event, Hearing};

/// What counts as an echo. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EchoSettings {
    /// How long after the last word was played soft frames are withheld. A call over mobile networks takes half a second there and back.
    pub tail_ms: u64,
    /// Frames at least this loud, in dBm0, are always heard. People speak at -30 to -10; a network returns an echo 20 dB or more below
    /// what it was sent.
    pub loud_dbm0: f32,
    /// Also withhold soft frames while the agent speaks; a soft voice then cannot interrupt.
    pub while_audible: bool,
    /// How long after the last word was played a line may be an echo.
    pub words_ms: u64,
    /// The share of a line's words that the agent must have said, 0 to 1.
    pub share_min: f32,
    /// Lines of fewer words are never an echo: people answer with a word of the question.
    pub words_min: usize,
}

impl Default for EchoSettings {
    fn default() -> EchoSettings {
        EchoSettings {
            tail_ms: 500,
            loud_dbm0: -35.0,
            while_audible: false,
            words_ms: 4_000,
            share_min: 0.7,
            words_min: 3,
        }
    }
}

/// Tells echoes from the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct EchoGuard {
    settings: EchoSettings,
    state: EchoState,
}

/// All that an [`EchoGuard`] remembers, for a successor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EchoState {
    /// What the agent said last: item and text, the newest last.
    said: VecDeque<(String, String)>,
    /// When the agent was last audible.
    audible_at: Option<u64>,
}

impl EchoGuard {
    /// Begins a call.
    pub fn new(settings: EchoSettings) -> EchoGuard {
        EchoGuard { settings, state: EchoState::default() }
    }

    /// Goes on where another left off.
    pub fn resume(settings: EchoSettings, mut state: EchoState) -> EchoGuard {
        state.said.truncate(SAID_MAX);
        EchoGuard { settings, state }
    }

    /// What a successor needs.
    pub fn state(&self) -> &EchoState {
        &self.state
    }

    /// For [`Tenant::event`](crate::Tenant::event): follows what the agent says, and until when it is heard.
    pub fn event(&mut self, call: &mut Call, event: &Event) {
        if call.agent_is_audible() {
            self.state.audible_at = Some(call.now());
        }
        let Event::ModelEvent(json) = event else { return };
        match event_type(json) {
            Some("response.output_audio_transcript.delta") => {
                let event = ServerEvent::parse(json);
                if let (Some(item), Some(delta)) = (event.item_id, event.delta) {
                    self.item(item).push_str(&delta);
                    self.bound();
                }
            }
            Some("response.output_audio_transcript.done") => {
                let event = ServerEvent::parse(json);
                if let (Some(item), Some(text)) = (event.item_id, event.transcript) {
                    *self.item(item) = text;
                    self.bound();
                }
            }
            Some(_) | None => {}
        }
    }

    /// For [`Tenant::caller_audio`](crate::Tenant::caller_audio): withholds what is too soft to be the caller, for as long as it may be an
    /// echo. Only mu-law lines are judged.
    pub fn caller_audio(&mut self, call: &Call, frame: &[u8]) -> Hearing {
        let format = call.info().format;
        if format.encoding != Encoding::Mulaw {
            return Hearing::Forward;
        }
        self.hear(call.now(), call.agent_is_audible(), frame)
    }

    /// The same without a call: `audible` says that the agent is being heard.
    pub fn hear(&mut self, now: u64, audible: bool, ulaw: &[u8]) -> Hearing {
        if audible {
            self.state.audible_at = Some(now);
        }
        let within = match self.state.audible_at {
            Some(_) if audible => self.settings.while_audible,
            Some(at) => now.saturating_sub(at) < self.settings.tail_ms,
            None => false,
        };
        if within && ulaw_level_dbm0(ulaw) < self.settings.loud_dbm0 {
            Hearing::Withhold
        } else {
            Hearing::Forward
        }
    }

    /// Whether a line of the caller is what the agent has just said.
    pub fn is_echo(&self, now: u64, text: &str) -> bool {
        let recent = self
            .state
            .audible_at
            .is_some_and(|at| now.saturating_sub(at) <= self.settings.words_ms);
        let line = words(text);
        if !recent || line.len() < self.settings.words_min.max(1) {
            return false;
        }
        self.state.said.iter().any(|(_, said)| {
            let share = common(&line, &words(said)) as f32 / line.len() as f32;
            share >= self.settings.share_min
        })
    }

    fn item(&mut self, item: String) -> &mut String {
        let at = match self.state.said.iter().position(|(known, _)| *known == item) {
            Some(at) => at,
            None => {
                if self.state.said.len() >= SAID_MAX {
                    self.state.said.pop_front();
                }
                self.state.said.push_back((item, String::new()));
                self.state.said.len() - 1
            }
        };
        &mut self.state.said[at].1
    }

    fn bound(&mut self) {
        for (_, text) in &mut self.state.said {
            if text.len() > SAID_BYTES_MAX {
                let whole = std::mem::take(text);
                append_bounded(text, &whole, SAID_BYTES_MAX);
            }
        }
    }
}

/// An echo is of the last thing said, or of the one before.
const SAID_MAX: usize = 3;
const SAID_BYTES_MAX: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;
    use cordboard_audio::encode_twilio_audio;
    use serde_json::json;

    fn frame(peak: i16) -> Vec<u8> {
        let pcm: Vec<i16> = (0..160).map(|n| if n % 8 < 4 { peak } else { -peak }).collect();
        encode_twilio_audio(&pcm)
    }

    fn guard() -> EchoGuard {
        let mut guard = EchoGuard::new(EchoSettings::default());
        guard.state.said.push_back(("a".into(), "Your parcel arrives on Tuesday at noon.".into()));
        guard.state.audible_at = Some(10_000);
        guard
    }

    #[test]
    fn soft_frames_are_withheld_for_the_tail_and_loud_ones_never() {
        let mut guard = EchoGuard::new(EchoSettings::default());
        let (soft, loud) = (frame(150), frame(4_000));
        assert_eq!(guard.hear(0, false, &soft), Hearing::Forward, "nothing was played yet");
        assert_eq!(guard.hear(20, true, &soft), Hearing::Forward);
        assert_eq!(guard.hear(40, false, &soft), Hearing::Withhold);
        assert_eq!(guard.hear(60, false, &loud), Hearing::Forward);
        assert_eq!(guard.hear(519, false, &soft), Hearing::Withhold);
        assert_eq!(guard.hear(520, false, &soft), Hearing::Forward, "bounded");
    }

    #[test]
    fn while_the_agent_speaks_soft_frames_are_withheld_only_if_asked_for() {
        let settings = EchoSettings { while_audible: true, ..EchoSettings::default() };
        let mut guard = EchoGuard::new(settings);
        assert_eq!(guard.hear(0, true, &frame(150)), Hearing::Withhold);
        assert_eq!(guard.hear(20, true, &frame(4_000)), Hearing::Forward);
    }

    #[test]
    fn the_agents_own_words_are_an_echo_for_a_while_and_answers_are_not() {
        let guard = guard();
        for text in ["arrives on Tuesday at noon", "Your parcel arrives on choose day at noon"] {
            assert!(guard.is_echo(11_000, text), "{text}");
        }
        for text in ["Tuesday", "On Tuesday?", "Not on Tuesday, I am at work", "noon at Tuesday on"]
        {
            assert!(!guard.is_echo(11_000, text), "{text}");
        }
        assert!(!guard.is_echo(14_001, "arrives on Tuesday at noon"), "too late");
        assert!(!EchoGuard::new(EchoSettings::default()).is_echo(0, "arrives on Tuesday at noon"));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_passes_to_a_successor() {
        use crate::blocks::{pack, unpack};
        use crate::harness::Harness;
        use crate::{CallInfo, Tenant};

        struct Kiosk(EchoGuard);
        impl Tenant for Kiosk {
            fn new(_: &CallInfo) -> Kiosk {
                Kiosk(EchoGuard::new(EchoSettings::default()))
            }
            fn event(&mut self, call: &mut Call, event: &Event) {
                self.0.event(call, event);
            }
            fn caller_audio(&mut self, call: &mut Call, frame: &[u8]) -> Hearing {
                self.0.caller_audio(call, frame)
            }
            fn save(&self) -> Vec<u8> {
                pack(self.0.state())
            }
            fn load(_: &CallInfo, state: &[u8]) -> Result<Kiosk, String> {
                Ok(Kiosk(EchoGuard::resume(EchoSettings::default(), unpack(state)?)))
            }
        }
        let run = |every: u32| {
            let mut call = Harness::<Kiosk>::start();
            call.model_ready();
            call.swap_every(every);
            let mut judged = Vec::new();
            for n in 0..6 {
                let (response, item) = call.model_is_saying(300);
                for _ in 0..40 {
                    call.model(json!({"type": "response.output_audio_transcript.delta",
                        "response_id": response, "item_id": item, "delta": format!(" word{n} and so on and on and on")}));
                }
                call.item_done(&item, &"a long line ".repeat(300));
                call.response_ends("completed");
                for _ in 0..60 {
                    judged.push(call.feed(Event::CallerAudio(frame(150))).len());
                    call.advance(20);
                }
                judged.push(call.tenant().0.is_echo(call.now(), "a long line a long line").into());
            }
            assert!(call.save().len() < 32_768);
            judged
        };
        let unswapped = run(0);
        assert!(unswapped.contains(&0) && unswapped.contains(&1));
        for every in [1, 2, 3, 7] {
            assert_eq!(run(every), unswapped, "every {every}");
        }
    }
}
