//! The model's side: is its socket up, is its session what the tenant asked for.
//!
//! **One rule: caller audio goes out only to a session whose formats were confirmed.** Before that,
//! and while the socket is lost, it is held, bounded, in order. A session that answers with other
//! formats than asked is asked once more; after that silence is better than noise, and the call
//! ends.

use std::collections::VecDeque;

use cordboard_wire::openai::{ClientEvent, SessionAudio};

use crate::contract::ModelInfo;
use crate::io::{Now, ToModel};
use crate::limits::Limits;

#[derive(Debug)]
pub(crate) struct ModelLeg {
    link: Link,
    attempts: u32,
    /// The tenant's instance knows of a session.
    pub(crate) is_told: bool,

    confirmed: bool,
    confirm_by: Option<Now>,
    /// What each unconfirmed `session.update` asked for, all before it included.
    pending: VecDeque<SessionAudio>,
    /// What the session is to have once all of them are confirmed.
    asked: SessionAudio,
    /// The last `session.update` that named formats.
    last_update: Option<ClientEvent>,
    /// What the server had against an unconfirmed session, last.
    complaint: Option<String>,
    has_reasserted: bool,

    held: VecDeque<Held>,
    held_bytes: usize,
}

/// A message that waits, and the bytes it counts for.
#[derive(Debug)]
struct Held {
    message: ToModel,
    bytes: usize,
}

#[derive(Debug)]
enum Link {
    Connecting { until: Now },
    Waiting { at: Now },
    Up { info: ModelInfo, since: Now },
    Closed,
}

/// What a `session.updated` was worth.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// All that was asked for is confirmed; what was held may go.
    Confirmed,
    /// An older `session.update` was confirmed, a newer one is under way.
    NotYet,
    /// Ask again with this.
    Reassert(ClientEvent),
    /// It was asked again, in vain.
    Hopeless,
}

/// What the passing of time demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Open a socket.
    Connect { attempt: u32 },
    /// A socket was asked for and nothing came of it.
    ConnectTimedOut,
    /// The session's formats were never confirmed.
    NeverConfirmed,
    /// The session is near its greatest age.
    Renew,
}

impl ModelLeg {
    /// A leg whose first attempt is under way.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            link: Link::Connecting { until: limits.model_connect_max },
            attempts: 0,
            is_told: false,
            confirmed: false,
            confirm_by: None,
            pending: VecDeque::new(),
            asked: SessionAudio::default(),
            last_update: None,
            complaint: None,
            has_reasserted: false,
            held: VecDeque::new(),
            held_bytes: 0,
        }
    }

    pub(crate) fn info(&self) -> Option<&ModelInfo> {
        match &self.link {
            Link::Up { info, .. } => Some(info),
            Link::Connecting { .. } | Link::Waiting { .. } | Link::Closed => None,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.link, Link::Closed)
    }

    /// No socket was asked for at present.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.link, Link::Waiting { .. })
    }

    /// Model audio can be trusted to be what was asked for.
    pub(crate) fn is_audio_trusted(&self) -> bool {
        !self.has_reasserted
    }

    /// What the session is to have.
    pub(crate) fn asked(&self) -> SessionAudio {
        self.asked
    }

    /// Keeps what the server has against a session it has not confirmed; false when it has.
    pub(crate) fn complained(&mut self, words: &str) -> bool {
        let is_awaited = !self.confirmed && self.confirm_by.is_some();
        if is_awaited {
            self.complaint = Some(words.to_owned());
        }
        is_awaited
    }

    /// What the server had against the session it never confirmed.
    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    pub(crate) fn up(&mut self, info: ModelInfo, now: Now) {
        self.link = Link::Up { info, since: now };
        self.forget_session();
    }

    /// The socket is gone; true when another attempt will be made.
    pub(crate) fn down(&mut self, now: Now, limits: &Limits) -> bool {
        if let Link::Up { since, .. } = self.link
            && now.saturating_sub(since) >= limits.model_stable_after
        {
            self.attempts = 0;
        }
        self.forget_session();
        // Commits and the like belonged to the lost session.
        self.held.retain(|held| matches!(held.message, ToModel::Append(_)));
        self.held_bytes = self.held.iter().map(|held| held.bytes).sum();
        if self.attempts >= limits.model_attempts_max {
            self.close();
            return false;
        }
        let wait = match self.attempts {
            0 => Now::ZERO,
            before => limits.model_backoff * (1 << (before - 1).min(16)),
        };
        self.attempts += 1;
        self.link = Link::Waiting { at: now + wait };
        true
    }

    pub(crate) fn close(&mut self) {
        self.link = Link::Closed;
        self.forget_session();
        self.held.clear();
        self.held_bytes = 0;
    }

    /// Takes caller audio: gives back what is to be sent now, or holds it. The number is of bytes
    /// dropped.
    pub(crate) fn append(&mut self, audio: Vec<u8>, limits: &Limits) -> (Option<ToModel>, usize) {
        if self.confirmed {
            return (Some(ToModel::Append(audio)), 0);
        }
        let bytes = audio.len();
        (None, self.hold(Held { message: ToModel::Append(audio), bytes }, limits))
    }

    /// Takes a client event of the tenant, of so many bytes; the socket is up. What it gives back is
    /// to be sent now.
    pub(crate) fn event(
        &mut self,
        event: ClientEvent,
        bytes: usize,
        now: Now,
        limits: &Limits,
    ) -> (Option<ToModel>, usize) {
        if !self.confirmed && event.kind.starts_with("input_audio_buffer.") {
            return (None, self.hold(Held { message: ToModel::Event(event), bytes }, limits));
        }
        if event.kind == "session.update" {
            self.updating(&event, now, limits);
        }
        (Some(ToModel::Event(event)), 0)
    }

    /// Compares a `session.updated` with what was asked for.
    pub(crate) fn updated(&mut self, audio: &SessionAudio, now: Now, limits: &Limits) -> Verdict {
        // A refused update is answered by an error alone, so answers cannot be counted off: formats
        // that are all that was ever asked for will do, whichever update they answer.
        if !audio.confirms(&self.asked) {
            return match self.pending.iter().position(|asked| audio.confirms(asked)) {
                Some(place) => {
                    self.pending.drain(..=place);
                    Verdict::NotYet
                }
                None => self.mismatched(now, limits),
            };
        }
        self.pending.clear();
        self.confirmed = true;
        self.confirm_by = None;
        self.has_reasserted = false;
        Verdict::Confirmed
    }

    /// What was held, in order; to be called when the session was confirmed.
    pub(crate) fn release(&mut self) -> impl Iterator<Item = ToModel> + '_ {
        self.held_bytes = 0;
        self.held.drain(..).map(|held| held.message)
    }

    pub(crate) fn due(&mut self, now: Now, limits: &Limits, is_quiet: bool) -> Option<Due> {
        match &mut self.link {
            Link::Connecting { until } if *until <= now => Some(Due::ConnectTimedOut),
            Link::Waiting { at } if *at <= now => {
                self.link = Link::Connecting { until: now + limits.model_connect_max };
                Some(Due::Connect { attempt: self.attempts })
            }
            Link::Up { .. } if self.confirm_by.is_some_and(|by| by <= now) => {
                Some(Due::NeverConfirmed)
            }
            Link::Up { since, .. } if is_quiet && *since + limits.model_session_renew <= now => {
                Some(Due::Renew)
            }
            Link::Connecting { .. } | Link::Waiting { .. } | Link::Up { .. } | Link::Closed => None,
        }
    }

    pub(crate) fn wake_at(&self, now: Now, limits: &Limits) -> Option<Now> {
        match self.link {
            Link::Connecting { until } => Some(until),
            Link::Waiting { at } => Some(at),
            Link::Up { since, .. } => {
                // A renewal that waits for a quiet moment is not a reason to wake: quiet comes with
                // an input.
                let renew = Some(since + limits.model_session_renew).filter(|at| *at > now);
                self.confirm_by.into_iter().chain(renew).min()
            }
            Link::Closed => None,
        }
    }

    fn updating(&mut self, event: &ClientEvent, now: Now, limits: &Limits) {
        let named = event.asks_audio.filter(|asks| asks.input.is_some() || asks.output.is_some());
        if let Some(asks) = named {
            self.asked.input = asks.input.or(self.asked.input);
            self.asked.output = asks.output.or(self.asked.output);
            self.last_update = Some(event.clone());
        }
        if self.pending.len() >= limits.updates_pending_max {
            self.pending.pop_front();
        }
        self.pending.push_back(self.asked);
        if !self.confirmed {
            self.confirm_by = Some(now + limits.session_confirm_max);
        }
    }

    fn mismatched(&mut self, now: Now, limits: &Limits) -> Verdict {
        self.confirmed = false;
        match self.last_update.clone() {
            Some(update) if !self.has_reasserted => {
                self.has_reasserted = true;
                self.pending.clear();
                self.pending.push_back(self.asked);
                self.confirm_by = Some(now + limits.session_confirm_max);
                Verdict::Reassert(update)
            }
            _ => Verdict::Hopeless,
        }
    }

    /// Holds a message; the answer is how many bytes of audio went to make room.
    fn hold(&mut self, held: Held, limits: &Limits) -> usize {
        self.held_bytes += held.bytes;
        self.held.push_back(held);
        let mut audio_dropped = 0;
        while self.held_bytes > limits.held_bytes_max || self.held.len() > limits.held_max {
            let Some(oldest) = self.held.pop_front() else { break };
            self.held_bytes -= oldest.bytes;
            if let ToModel::Append(audio) = oldest.message {
                audio_dropped += audio.len();
            }
        }
        audio_dropped
    }

    fn forget_session(&mut self) {
        self.confirmed = false;
        self.confirm_by = None;
        self.pending.clear();
        self.asked = SessionAudio::default();
        self.last_update = None;
        self.complaint = None;
        self.has_reasserted = false;
    }
}
