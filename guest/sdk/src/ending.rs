//! The end of a call: a farewell is heard before the line is cut, and a caller who interrupts keeps it.
//!
//! Neither wait is without end. A farewell that is not said within [`FAREWELL_MS_MAX`] is not waited for any longer, and one that is said
//! is given the same time to be heard.

use serde::{Deserialize, Serialize};

use crate::agent::timers;
use crate::limits::{FAREWELL_MS_MAX, TRANSFER_WAIT_MS};
use crate::{Action, Call, Role};

/// A hang-up or transfer under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    what: What,
    /// A farewell is still to be said.
    farewell: bool,
    /// The host has been told.
    placed: bool,
}

/// What the end is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    HangUp { reason: String },
    Transfer { to: String, caller_id: Option<String> },
}

/// The mark whose report says that the announcement of a transfer was heard.
pub(crate) const TRANSFER_MARK: &str = "cordboard.transfer";

impl Ending {
    pub(crate) fn new(what: What) -> Ending {
        Ending { what, farewell: false, placed: false }
    }

    pub(crate) fn after_farewell(what: What) -> Ending {
        Ending { what, farewell: true, placed: false }
    }
}

impl Call {
    /// Begins to end the call: at once if nothing is being said, after the response otherwise.
    pub(crate) fn end(&mut self, ending: Ending) {
        self.cancel_ending_action();
        self.state.ending = Some(ending);
        if !self.state.responses.is_busy() && !self.state.responses.is_waiting() {
            self.place_ending();
        } else {
            self.timer_at(timers::ENDING, FAREWELL_MS_MAX.into());
        }
    }

    /// A response is over: if it said something, or nothing more will be said, that was the farewell.
    pub(crate) fn ending_response_done(&mut self, spoke: bool) {
        let Some(ending) = &mut self.state.ending else { return };
        if ending.placed || self.state.responses.is_waiting() {
            return;
        }
        if spoke || ending.farewell {
            self.place_ending();
            return;
        }
        ending.farewell = true;
        let words = match ending.what {
            What::HangUp { .. } => "Say goodbye to the caller in one short sentence.",
            What::Transfer { .. } => {
                "Tell the caller in one short sentence that you put them through."
            }
        };
        self.prompt(words);
    }

    /// Gives the end to the host, which waits for what is still unplayed.
    pub(crate) fn place_ending(&mut self) {
        let Some(ending) = &mut self.state.ending else { return };
        if std::mem::replace(&mut ending.placed, true) {
            return;
        }
        let what = ending.what.clone();
        self.untimer(timers::ENDING);
        match what {
            What::HangUp { reason } => self.actions.push(Call::hang_up_action(&reason)),
            What::Transfer { .. } if self.state.playback.is_unplayed() => {
                self.mark(TRANSFER_MARK);
                self.timer_at(timers::TRANSFER, TRANSFER_WAIT_MS);
            }
            What::Transfer { to, caller_id } => {
                self.actions.push(Call::transfer_action(&to, caller_id.as_deref()));
            }
        }
    }

    /// The announcement was heard, or took too long.
    pub(crate) fn transfer_now(&mut self) {
        let Some(Ending { what: What::Transfer { to, caller_id }, .. }) = self.state.ending.take()
        else {
            return;
        };
        self.untimer(timers::TRANSFER);
        self.actions.push(Call::transfer_action(&to, caller_id.as_deref()));
    }

    /// The carrier would not put the caller through.
    pub(crate) fn transfer_refused(&mut self, reason: &str) {
        self.state.ending = None;
        self.tell(Role::System, &format!("The transfer is not possible: {reason}"));
        self.respond();
    }

    /// The caller has something to say after all.
    pub(crate) fn cancel_ending(&mut self) {
        if self.state.ending.is_none() {
            return;
        }
        self.cancel_ending_action();
        self.tell(Role::System, "The caller interrupted, so the call goes on.");
    }

    fn cancel_ending_action(&mut self) {
        match self.state.ending.take() {
            Some(Ending { what: What::HangUp { .. }, placed: true, .. }) => {
                self.actions.push(Action::CancelHangUp);
            }
            Some(Ending { what: What::Transfer { .. }, placed: true, .. }) => {
                self.untimer(timers::TRANSFER);
            }
            Some(_) => self.untimer(timers::ENDING),
            None => {}
        }
    }
}
