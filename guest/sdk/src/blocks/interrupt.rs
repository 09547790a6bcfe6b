//! Interruption by words: "stop" stops the agent, "uh-huh" does not.
//!
//! By default whatever a caller says cuts the agent off. Where people say "okay" and "right" while they listen, or where a television
//! runs, that is too much. With this block the agent finishes unless one of the given phrases is said, also in the middle of a
//! sentence and before it is whole. Sounds of agreement are not answered; anything else is, once the agent has finished.
//!
//! The server must neither interrupt nor answer by itself: [`configure`](PhraseInterrupt::configure) sees to that, and the block asks
//! for the answers. It needs a transcription; a line that cannot be written down is answered if the agent was silent.
//!
//! ```
//! use cordboard_sdk::blocks::interrupt::{InterruptSettings, PhraseInterrupt};
//! use cordboard_sdk::{Call, CallInfo, Event, Session, Tenant};
//! # use cordboard_sdk::harness::Harness;
//!
//! struct Reader {
//!     interrupt: PhraseInterrupt,
//! }
//!
//! impl Tenant for Reader {
//!     fn new(_: &CallInfo) -> Reader {
//!         Reader { interrupt: PhraseInterrupt::new(InterruptSettings::default()) }
//!     }
//!
//!     fn session(&self, _: &CallInfo) -> Session {
//!         let mut session = Session::default();
//!         self.interrupt.configure(&mut session);
//!         session
//!     }
//!
//!     fn event(&mut self, call: &mut Call, event: &Event) {
//!         self.interrupt.event(call, event);
//!     }
//! }
//!
//! let mut call = Harness::<Reader>::start();
//! call.model_ready();
//! call.model_says("Chapter one. It was a dark and stormy night.", 4_000);
//! call.advance(500);
//! call.caller_says("Uh-huh.");
//! assert_eq!(call.flushes(), 0);
//! call.caller_says("Wait, who is that?");
//! assert_eq!(call.flushes(), 1);
//! ```

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::phrases::{append_bounded, words};
use super::said::Speech;
use super::{CallerText, Phrases};
use crate::{Call, Event, Session, TurnDetection};

/// Which words interrupt, and which mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InterruptSettings {
    /// What stops the agent, wherever in a sentence it stands.
    pub stops: Phrases,
    /// What is not answered when nothing else is said, while the agent speaks.
    pub agreement: Phrases,
}

impl Default for InterruptSettings {
    /// English.
    fn default() -> InterruptSettings {
        InterruptSettings {
            stops: Phrases::new([
                "stop",
                "wait",
                "hold on",
                "hang on",
                "excuse me",
                "one moment",
                "one second",
                "just a second",
                "let me",
                "no no",
                "be quiet",
                "that's enough",
                "cancel",
            ]),
            agreement: Phrases::new([
                "uh huh",
                "uh-huh",
                "uhhuh",
                "mm hmm",
                "mmhmm",
                "mhm",
                "hmm",
                "hm",
                "mm",
                "okay",
                "ok",
                "right",
                "yes",
                "yeah",
                "yep",
                "sure",
                "i see",
                "got it",
                "alright",
                "all right",
                "ah",
                "oh",
                "aha",
                "good",
                "great",
                "well",
                "so",
            ]),
        }
    }
}

/// Interrupts the agent by words alone.
#[derive(Debug, Clone, PartialEq)]
pub struct PhraseInterrupt {
    settings: InterruptSettings,
    state: InterruptState,
}

/// All that a [`PhraseInterrupt`] remembers, for a successor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InterruptState {
    /// What the caller began to say while the agent was audible, the newest last.
    over: VecDeque<Over>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Over {
    item: String,
    text: String,
    stopped: bool,
}

impl PhraseInterrupt {
    /// Begins a call.
    pub fn new(settings: InterruptSettings) -> PhraseInterrupt {
        PhraseInterrupt { settings, state: InterruptState::default() }
    }

    /// Goes on where another left off.
    pub fn resume(settings: InterruptSettings, mut state: InterruptState) -> PhraseInterrupt {
        state.over.truncate(OVER_MAX);
        PhraseInterrupt { settings, state }
    }

    /// What a successor needs.
    pub fn state(&self) -> &InterruptState {
        &self.state
    }

    /// Takes from the server what this block does: interrupting and answering.
    pub fn configure(&self, session: &mut Session) {
        session.barge_in = false;
        session.transcription.get_or_insert_default();
        match session.turn_detection.get_or_insert_default() {
            TurnDetection::ServerVad { create_response, .. }
            | TurnDetection::SemanticVad { create_response, .. } => *create_response = false,
        }
    }

    /// For [`Tenant::event`](crate::Tenant::event): stops the agent, and asks for answers.
    pub fn event(&mut self, call: &mut Call, event: &Event) {
        match Speech::read(event) {
            Some(Speech::Started { item, .. }) => {
                if call.agent_is_audible() {
                    self.begins_over(item);
                }
            }
            Some(Speech::Unwritten { item }) => {
                if self.take(&item).is_none() {
                    call.respond();
                }
            }
            Some(Speech::Stopped { .. }) => {}
            None => {
                if let Some(said) = CallerText::read(event) {
                    self.said(call, &said);
                }
            }
        }
    }

    fn said(&mut self, call: &mut Call, said: &CallerText) {
        // Servers that name no item when speech starts leave only one that it can be.
        let at =
            self.state.over.iter().position(|over| over.item == said.item || over.item.is_empty());
        if let Some(over) = at.map(|at| &mut self.state.over[at]) {
            over.item.clone_from(&said.item);
            if said.is_whole {
                over.text.clone_from(&said.text);
            } else {
                // A piece may end within a word: "st" and "op".
                over.text.push_str(&said.text);
                let whole = std::mem::take(&mut over.text);
                append_bounded(&mut over.text, &whole, TEXT_BYTES_MAX);
            }
            if !over.stopped && self.settings.stops.found_in(&words(&over.text)).is_some() {
                over.stopped = true;
                call.flush();
            }
        }
        if !said.is_whole {
            return;
        }
        let plain = words(&said.text);
        let over = self.take(&said.item);
        let answered = match over {
            Some(over) => over.stopped || !self.settings.agreement.make_up(&plain),
            None => true,
        };
        if answered && !plain.is_empty() {
            call.respond();
        }
    }

    fn begins_over(&mut self, item: String) {
        if self.state.over.len() >= OVER_MAX {
            self.state.over.pop_front();
        }
        self.state.over.push_back(Over { item, text: String::new(), stopped: false });
    }

    fn take(&mut self, item: &str) -> Option<Over> {
        let at = self.state.over.iter().position(|over| over.item == item)?;
        self.state.over.remove(at)
    }
}

/// Lines of the caller that are being written down at once; more than one only while the transcriber is late.
const OVER_MAX: usize = 4;
const TEXT_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{pack, unpack};
    use crate::harness::Harness;
    use crate::{CallInfo, Tenant};
    use serde_json::json;

    struct Reader(PhraseInterrupt);

    impl Tenant for Reader {
        fn new(_: &CallInfo) -> Reader {
            Reader(PhraseInterrupt::new(InterruptSettings::default()))
        }

        fn session(&self, _: &CallInfo) -> Session {
            let mut session = Session { greeting: None, ..Session::default() };
            self.0.configure(&mut session);
            session
        }

        fn event(&mut self, call: &mut Call, event: &Event) {
            self.0.event(call, event);
        }

        fn save(&self) -> Vec<u8> {
            pack(self.0.state())
        }

        fn load(_: &CallInfo, state: &[u8]) -> Result<Reader, String> {
            Ok(Reader(PhraseInterrupt::resume(InterruptSettings::default(), unpack(state)?)))
        }
    }

    fn reading() -> Harness<Reader> {
        let mut call = Harness::start();
        call.model_ready();
        call.model_says("A long story about a cat and a dog", 10_000);
        call.advance(1_000);
        call.forget();
        call
    }

    fn delta(call: &mut Harness<Reader>, item: &str, text: &str) {
        call.model(json!({"type": "conversation.item.input_audio_transcription.delta",
            "item_id": item, "delta": text}));
    }

    fn starts(call: &mut Harness<Reader>, item: &str) {
        call.model(json!({"type": "input_audio_buffer.speech_started", "item_id": item}));
    }

    #[test]
    fn the_server_is_asked_to_leave_turns_alone() {
        let mut call = Harness::<Reader>::start();
        call.model_ready();
        let turns = &call.sent("session.update")[0]["session"]["audio"]["input"]["turn_detection"];
        assert_eq!(turns["create_response"], false);
        assert_eq!(turns["interrupt_response"], false);
    }

    #[test]
    fn agreement_neither_interrupts_nor_is_answered_while_the_agent_speaks() {
        let mut call = reading();
        for text in ["Uh-huh.", "Okay, right.", "Mm-hmm", "Yeah yeah yeah"] {
            starts(&mut call, text);
            call.model(json!({"type": "input_audio_buffer.speech_stopped", "item_id": text}));
            call.model(json!({"type": "conversation.item.input_audio_transcription.completed",
                "item_id": text, "transcript": text}));
        }
        assert_eq!(call.flushes(), 0);
        assert!(call.sent("response.create").is_empty());
        assert_eq!(call.sent("response.cancel").len(), 0);
    }

    #[test]
    fn a_phrase_interrupts_before_the_sentence_is_whole_and_even_the_word() {
        let mut call = reading();
        starts(&mut call, "u1");
        delta(&mut call, "u1", "Could you st");
        assert_eq!(call.flushes(), 0);
        delta(&mut call, "u1", "op please");
        assert_eq!(call.flushes(), 1);
        assert_eq!(call.sent("conversation.item.truncate")[0]["audio_end_ms"], 1_000);
        delta(&mut call, "u1", " stop");
        assert_eq!(call.flushes(), 1, "once");
    }

    #[test]
    fn other_words_wait_for_the_end_and_are_answered() {
        let mut call = reading();
        starts(&mut call, "u1");
        call.model(json!({"type": "input_audio_buffer.speech_stopped", "item_id": "u1"}));
        call.model(json!({"type": "conversation.item.input_audio_transcription.completed",
            "item_id": "u1", "transcript": "Is the dog brown?"}));
        assert_eq!(call.flushes(), 0);
        assert_eq!(call.sent("response.create").len(), 1);
    }

    #[test]
    fn okay_is_an_answer_when_the_agent_is_silent() {
        let mut call = reading();
        call.hear_all();
        call.caller_says("Okay.");
        assert_eq!(call.sent("response.create").len(), 1);
        call.model_says("Then let us go on", 100);
        call.hear_all();
        call.caller_says("");
        assert_eq!(call.sent("response.create").len(), 1, "a cough is not answered");
    }

    #[test]
    fn a_line_that_cannot_be_written_down_is_answered_only_if_the_agent_was_silent() {
        let failed = |call: &mut Harness<Reader>| {
            starts(call, "u1");
            call.model(json!({"type": "input_audio_buffer.speech_stopped", "item_id": "u1"}));
            call.model(json!({"type": "conversation.item.input_audio_transcription.failed",
                "item_id": "u1"}));
            call.sent("response.create").len()
        };
        assert_eq!(failed(&mut reading()), 0);
        let mut call = reading();
        call.hear_all();
        assert_eq!(failed(&mut call), 1);
    }

    #[test]
    fn a_successor_after_every_kth_event_interrupts_the_same() {
        let run = |every: u32| {
            let mut call = reading();
            call.swap_every(every);
            for (n, text) in ["uh", " huh", " wa", "it"].iter().enumerate() {
                if n == 0 {
                    starts(&mut call, "u1");
                }
                delta(&mut call, "u1", text);
            }
            call.model(json!({"type": "input_audio_buffer.speech_stopped", "item_id": "u1"}));
            call.model(json!({"type": "conversation.item.input_audio_transcription.completed",
                "item_id": "u1", "transcript": "Uh huh, wait!"}));
            call.log().to_vec()
        };
        let unswapped = run(0);
        assert!(unswapped.len() > 3);
        for every in [1, 2, 3, 7] {
            assert_eq!(run(every), unswapped, "every {every}");
        }
    }
}
