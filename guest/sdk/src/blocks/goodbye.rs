//! The goodbye contract: the line is cut once the farewell was heard, within a deadline, and not if the caller has more to say.
//!
//! Three verbs of a [`Call`] keep it: [`say_and_hang_up`](Call::say_and_hang_up) has a farewell said,
//! [`hang_up_when_played`](Call::hang_up_when_played) takes what is being said for one, [`stay`](Call::stay) gives up either. A model that
//! is given the tool [`Tool::hang_up`](crate::Tool::hang_up) does it by itself. A caller who speaks before the farewell was heard keeps the line;
//! a farewell that does not come, or does not end, is waited for 20 seconds ([`FAREWELL_MS_MAX`](crate::limits::FAREWELL_MS_MAX)) each.
//!
//! What is left is a model that says goodbye and forgets the tool. [`Goodbye`] notices: after a line of the agent that ends in a farewell and
//! was heard, it waits a moment for the caller, takes "bye" for an answer, and hangs up. Anything else the caller says keeps the line.
//!
//! ```
//! use cordboard_sdk::blocks::goodbye::{Goodbye, GoodbyeSettings};
//! use cordboard_sdk::{Call, CallInfo, Event, Tenant, Turn};
//! # use cordboard_sdk::harness::Harness;
//!
//! const GOODBYE: u64 = 1;
//!
//! struct Polite {
//!     goodbye: Goodbye,
//! }
//!
//! impl Tenant for Polite {
//!     fn new(_: &CallInfo) -> Polite {
//!         Polite { goodbye: Goodbye::new(GoodbyeSettings::default()) }
//!     }
//!
//!     fn event(&mut self, call: &mut Call, event: &Event) {
//!         self.goodbye.event(call, GOODBYE, event);
//!     }
//!
//!     fn turn(&mut self, call: &mut Call, turn: &Turn) {
//!         self.goodbye.turn(call, GOODBYE, turn);
//!     }
//!
//!     fn timer(&mut self, call: &mut Call, token: u64) {
//!         if token == GOODBYE {
//!             self.goodbye.timer(call);
//!         }
//!     }
//! }
//!
//! let mut call = Harness::<Polite>::start();
//! call.model_ready();
//! call.model_says("Your table is booked. Have a nice day, goodbye!", 2_500);
//! call.hear_all();
//! assert!(!call.has_ended());
//! call.caller_says("Thanks, bye bye.");
//! assert!(call.has_ended());
//! ```

use serde::{Deserialize, Serialize};

use super::Phrases;
use super::phrases::words;
use super::said::Speech;
use crate::{Call, Event, Speaker, Turn};

/// What a farewell is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GoodbyeSettings {
    /// What the agent says at the end; it must stand among its last words.
    pub farewells: Phrases,
    /// What the caller may answer without keeping the line; nothing else may be said with it.
    pub replies: Phrases,
    /// How long the caller may take for that, in milliseconds.
    pub wait_ms: u64,
}

impl Default for GoodbyeSettings {
    /// English.
    fn default() -> GoodbyeSettings {
        GoodbyeSettings {
            farewells: Phrases::new([
                "goodbye",
                "good bye",
                "bye",
                "have a nice day",
                "have a great day",
                "have a good day",
                "have a nice evening",
                "have a great evening",
                "have a lovely day",
                "take care",
            ]),
            replies: Phrases::new([
                "goodbye",
                "good bye",
                "bye",
                "bye-bye",
                "thank you",
                "thanks",
                "thank you very much",
                "thanks a lot",
                "you too",
                "and you",
                "same to you",
                "okay",
                "ok",
                "great",
                "cheers",
                "have a nice day",
                "have a good day",
                "have a great day",
                "take care",
                "see you",
            ]),
            wait_ms: 4_000,
        }
    }
}

/// Hangs up after a farewell.
#[derive(Debug, Clone, PartialEq)]
pub struct Goodbye {
    settings: GoodbyeSettings,
    state: GoodbyeState,
}

/// All that a [`Goodbye`] remembers, for a successor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodbyeState {
    /// When to hang up, once a farewell was heard.
    at: Option<u64>,
}

impl Goodbye {
    /// Begins a call.
    pub fn new(settings: GoodbyeSettings) -> Goodbye {
        Goodbye { settings, state: GoodbyeState::default() }
    }

    /// Goes on where another left off.
    pub fn resume(settings: GoodbyeSettings, state: GoodbyeState) -> Goodbye {
        Goodbye { settings, state }
    }

    /// What a successor needs.
    pub fn state(&self) -> &GoodbyeState {
        &self.state
    }

    /// When to hang up, in milliseconds of the call, if nothing is said before.
    pub fn wake_at(&self) -> Option<u64> {
        self.state.at
    }

    /// For [`Tenant::event`](crate::Tenant::event): while the caller speaks, and until their words are known, the line is kept.
    pub fn event(&mut self, call: &mut Call, token: u64, event: &Event) {
        if self.state.at.is_some() && matches!(Speech::read(event), Some(Speech::Started { .. })) {
            self.state.at = Some(call.now().saturating_add(WORDS_MS_MAX));
            call.wake_at(token, self.state.at);
        }
    }

    /// For [`Tenant::turn`](crate::Tenant::turn), with the lines of both sides.
    pub fn turn(&mut self, call: &mut Call, token: u64, turn: &Turn) {
        let waited = self.state.at.is_some();
        match turn.speaker {
            Speaker::Agent => self.agent_said(call.now(), turn.heard_text(), turn.interrupted),
            Speaker::Caller => {
                if self.caller_said(&turn.text) {
                    call.hang_up_when_played(REASON);
                }
            }
        }
        if waited || self.state.at.is_some() {
            call.wake_at(token, self.state.at);
        }
    }

    /// For [`Tenant::timer`](crate::Tenant::timer).
    pub fn timer(&mut self, call: &mut Call) {
        if self.due(call.now()) {
            call.hang_up_when_played(REASON);
        }
    }

    /// The agent's line was heard, whole or interrupted.
    pub fn agent_said(&mut self, now: u64, text: &str, interrupted: bool) {
        let said = words(text);
        let last = &said[said.len().saturating_sub(LAST_WORDS)..];
        let farewell = !interrupted && self.settings.farewells.found_in(last).is_some();
        self.state.at = farewell.then(|| now.saturating_add(self.settings.wait_ms));
    }

    /// The caller's line; true when it answers a farewell, so that it is time to hang up.
    pub fn caller_said(&mut self, text: &str) -> bool {
        self.state.at.take().is_some() && self.settings.replies.make_up(&words(text))
    }

    /// True when it is time to hang up because nothing was said.
    pub fn due(&mut self, now: u64) -> bool {
        if self.state.at.is_none_or(|at| now < at) {
            return false;
        }
        self.state.at = None;
        true
    }
}

const REASON: &str = "both sides said goodbye";
/// "Goodbye, and have a nice day, Mister Smith."
const LAST_WORDS: usize = 9;
/// How long the caller's words may take to be spoken and written down.
const WORDS_MS_MAX: u64 = 15_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{pack, unpack};
    use crate::harness::Harness;
    use crate::{CallInfo, Session, Tenant};

    struct Polite(Goodbye);

    impl Tenant for Polite {
        fn new(_: &CallInfo) -> Polite {
            Polite(Goodbye::new(GoodbyeSettings::default()))
        }

        fn session(&self, _: &CallInfo) -> Session {
            Session { greeting: None, ..Session::default() }
        }

        fn event(&mut self, call: &mut Call, event: &Event) {
            self.0.event(call, 1, event);
        }

        fn turn(&mut self, call: &mut Call, turn: &Turn) {
            self.0.turn(call, 1, turn);
        }

        fn timer(&mut self, call: &mut Call, token: u64) {
            assert_eq!(token, 1);
            self.0.timer(call);
        }

        fn save(&self) -> Vec<u8> {
            pack(self.0.state())
        }

        fn load(_: &CallInfo, state: &[u8]) -> Result<Polite, String> {
            Ok(Polite(Goodbye::resume(GoodbyeSettings::default(), unpack(state)?)))
        }
    }

    fn bidden(text: &str, swap_every: u32) -> Harness<Polite> {
        let mut call = Harness::start();
        call.model_ready();
        call.swap_every(swap_every);
        call.model_says(text, 2_000);
        call.hear_all();
        call
    }

    #[test]
    fn a_farewell_that_was_heard_ends_the_call_after_a_moment_of_silence() {
        for swap_every in [0, 1, 2, 3] {
            let mut call = bidden("All done, goodbye!", swap_every);
            call.advance(3_900);
            assert!(!call.has_ended());
            call.advance(200);
            assert!(call.has_ended());
        }
    }

    #[test]
    fn a_reply_ends_it_at_once_and_anything_else_keeps_the_line() {
        for swap_every in [0, 1, 2, 3] {
            let mut call = bidden("Have a nice day!", swap_every);
            call.caller_says("Okay, thank you, you too, bye!");
            assert!(call.has_ended());

            let mut call = bidden("Have a nice day!", swap_every);
            call.caller_says("Thanks, but one more question.");
            call.advance(60_000);
            assert!(!call.has_ended());
        }
    }

    #[test]
    fn a_caller_who_speaks_is_not_cut_off_before_their_words_are_known() {
        let mut call = bidden("Goodbye.", 0);
        call.advance(3_900);
        call.caller_interrupts();
        call.advance(8_000);
        assert!(!call.has_ended());
        call.caller_stops("Wait, what about tomorrow?");
        call.advance(60_000);
        assert!(!call.has_ended());
    }

    #[test]
    fn a_cough_whose_words_never_come_only_delays_the_end() {
        let mut call = bidden("Goodbye.", 0);
        call.caller_interrupts();
        call.advance(15_100);
        assert!(call.has_ended());
    }

    #[test]
    fn a_farewell_in_the_middle_or_cut_off_is_none() {
        let long = "You can say goodbye to slow deliveries, because from today on we deliver within the hour.";
        let mut call = bidden(long, 0);
        call.advance(60_000);
        assert!(!call.has_ended());

        let mut call = Harness::<Polite>::start();
        call.model_ready();
        call.model_says("Well then, have a nice day and goodbye!", 4_000);
        call.advance(3_500);
        call.caller_says("Stop, stop");
        call.advance(60_000);
        assert!(!call.has_ended());
    }
}
