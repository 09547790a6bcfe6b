//! The ways a call ends.
//!
//! **One rule: whatever happened, the caller is not left in silence, the tenant hears `ended` once
//! and last, and [`Output::Ended`] closes the call.** A call that cannot go on plays the apology
//! first. A call we end is ended at the carrier by its REST interface when there is one, for a
//! closed socket alone looks like a fault there; the socket is closed in any case.

use crate::call::{Call, Carrier};
use crate::contract::{Ended, Event, Play};
use crate::io::{Note, Now, Output, Rest, Summary};

/// Where in its life a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before [`Input::Begin`](crate::Input::Begin).
    New,
    /// The tenant is in charge.
    Live,
    /// The apology is being played; the tenant has no say any more.
    Closing {
        /// When the call ends even if it was not heard to the end.
        until: Now,
        /// How the call will have ended.
        reason: Ended,
    },
    /// It is decided, and only last words are awaited.
    Ending {
        /// How the call ended.
        reason: Ended,
        /// Until when the tenant's last answer is awaited; `None` when it came.
        tenant_until: Option<Now>,
        /// Until when the carrier's REST interface is awaited, if it was asked to hang up.
        rest_until: Option<Now>,
    },
    /// [`Output::Ended`] was given.
    Over,
}

impl Phase {
    /// Nothing follows.
    pub fn is_over(self) -> bool {
        self == Self::Over
    }

    pub(crate) fn wake_at(self) -> Option<Now> {
        match self {
            Self::New | Self::Live | Self::Over => None,
            Self::Closing { until, .. } => Some(until),
            Self::Ending { tenant_until, rest_until, .. } => {
                tenant_until.into_iter().chain(rest_until).min()
            }
        }
    }
}

/// A hang-up that waits for what is playing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PendingHangUp {
    pub(crate) reason: Ended,
    pub(crate) deadline: Now,
    /// The tenant asked for it, and may think better of it.
    pub(crate) may_cancel: bool,
}

impl Call {
    /// Ends the call once everything played was heard, or at the deadline.
    pub(crate) fn depart(&mut self, pending_hang_up: PendingHangUp, detail: &str) {
        // What an operator decided is not for the tenant to put off.
        if self.pending_hang_up.is_none_or(|decided| decided.may_cancel) {
            self.pending_hang_up = Some(pending_hang_up);
            detail.clone_into(&mut self.detail);
        }
    }

    /// Ends a call that cannot go on: apologises, then hangs up.
    pub(crate) fn part(&mut self, reason: Ended, detail: &str) {
        if !matches!(self.phase, Phase::New | Phase::Live) {
            return;
        }
        self.note(Note::Closing { reason: detail.to_owned() });
        detail.clone_into(&mut self.detail);
        self.close_model();
        self.pending_hang_up = None;
        let apology = Play { item: APOLOGY.to_owned(), audio: self.apology.to_vec(), last: true };
        self.playout.forget_unsent();
        let can_speak = self.carrier != Carrier::Gone && !apology.audio.is_empty();
        if !can_speak || self.playout.play(apology, self.now, &self.limits).is_err() {
            return self.end(reason, detail);
        }
        let length = self.framing.time(self.apology.len() as u64);
        let until = self.now + self.playout.lead(self.now) + length + self.limits.mark_grace;
        self.phase = Phase::Closing { until, reason };
    }

    /// Ends the call now.
    pub(crate) fn end(&mut self, reason: Ended, detail: &str) {
        if matches!(self.phase, Phase::Ending { .. } | Phase::Over) {
            return;
        }
        detail.clone_into(&mut self.detail);
        self.close_model();
        self.pending_hang_up = None;
        let tenant_until = self.tenant.has_instance().then(|| {
            self.tenant.end(Event::Ended(reason));
            self.now + self.limits.ended_answer_max
        });
        if tenant_until.is_none() {
            self.tenant.gone();
        }
        let rest_until = (self.rest && self.carrier != Carrier::Gone).then(|| {
            self.ask_rest(Rest::HangUp);
            self.now + self.limits.rest_hang_up_max
        });
        self.phase = Phase::Ending { reason, tenant_until, rest_until };
    }

    /// The carrier's stream is over, by `stop` or by a closed socket.
    pub(crate) fn stream_ended(&mut self, reason: Ended, detail: &str) {
        match (self.carrier, &mut self.phase) {
            (Carrier::Gone | Carrier::Away { .. }, _) => {}
            (Carrier::PressingKeys { until }, Phase::Live) => {
                self.carrier = Carrier::Away { until };
                self.lose_stream();
            }
            (_, Phase::New | Phase::Live) => {
                self.carrier = Carrier::Gone;
                let reason = if self.is_transferring { Ended::Transferred } else { reason };
                self.end(reason, detail);
            }
            (_, Phase::Closing { reason, .. }) => {
                let reason = *reason;
                self.carrier = Carrier::Gone;
                self.end(reason, &self.detail.clone());
            }
            (_, Phase::Ending { rest_until, .. }) => {
                // What the REST interface was asked for has happened.
                *rest_until = None;
                self.carrier = Carrier::Gone;
            }
            (_, Phase::Over) => {}
        }
    }

    pub(crate) fn rest_hung_up(&mut self) {
        if let Phase::Ending { rest_until, .. } = &mut self.phase {
            *rest_until = None;
        }
    }

    /// Takes the steps towards the end that are due.
    pub(crate) fn advance_ending(&mut self) {
        if let (Phase::Live, Some(pending_hang_up)) = (self.phase, self.pending_hang_up)
            && (self.playout.is_played_out() || pending_hang_up.deadline <= self.now)
        {
            self.end(pending_hang_up.reason, &self.detail.clone());
        }
        if let Phase::Closing { until, reason } = self.phase
            && (self.playout.is_played_out() || until <= self.now)
        {
            self.end(reason, &self.detail.clone());
        }
        let now = self.now;
        let Phase::Ending { reason, tenant_until, rest_until } = &mut self.phase else { return };
        if tenant_until.is_some_and(|until| until <= now) {
            self.tenant.gone();
        }
        if self.tenant.is_gone() {
            *tenant_until = None;
        }
        *rest_until = rest_until.filter(|until| *until > now);
        if tenant_until.is_none() && rest_until.is_none() {
            let summary = Summary {
                reason: *reason,
                detail: std::mem::take(&mut self.detail),
                duration: now,
                counts: self.counts,
            };
            self.phase = Phase::Over;
            self.out.push_back(Output::Ended(summary));
        }
    }

    fn close_model(&mut self) {
        if !self.model.is_closed() {
            self.model.close();
            self.out.push_back(Output::CloseModel);
        }
    }
}

/// The item under which the apology is played; a tenant never hears of it.
const APOLOGY: &str = "cordboard:apology";
