//! Orders responses: one at a time, and the next only once the last is done.
//!
//! `response.create` while one is active is refused by the server and not queued there. So requests
//! wait here, at most one of each kind, until nothing is under way and the caller is silent.

use serde::{Deserialize, Serialize};

/// Something the model shall say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// A response with instructions of its own: a greeting, a phrase, a nudge.
    Spoken(String),
    /// An answer to what is in the conversation by now, for example the output of a tool.
    Answer,
}

/// Who is at it, and what waits.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Responses {
    active: Option<String>,
    /// A `response.create` that was neither confirmed nor refused yet, by its event id.
    in_flight: Option<(String, Request)>,
    /// What the active response is about, for a second try.
    about: Option<Request>,
    spoken: Option<String>,
    answer: bool,
    /// The caller speaks: whatever waits would talk over them.
    caller_speaks: bool,
    /// The active response was begun by the server while the caller was taken to be speaking.
    began_over_caller: bool,
    /// The caller stopped speaking and the server is about to respond by itself.
    own_due: bool,
    /// A second try waits for its time.
    cooling: bool,
    /// The last response was without a sound, so the next is asked for with audio in so many words.
    insists_on_audio: bool,
    failures: u8,
}

/// What follows from a failed response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// Try once more after a short wait.
    Retry,
    /// It failed twice in a row, or there is no point.
    GiveUp,
}

impl Responses {
    /// Asks for a response; a newer phrase replaces one that still waits.
    pub(crate) fn request(&mut self, request: Request) {
        match request {
            Request::Spoken(instructions) => self.spoken = Some(instructions),
            Request::Answer => self.answer = true,
        }
    }

    /// Takes back an answer that still waits: more is to come that it has to answer as well.
    pub(crate) fn withdraw_answer(&mut self) {
        self.answer = false;
    }

    /// Takes what may be asked for now; the caller of this sends it as `event_id`.
    pub(crate) fn next(&mut self, event_id: impl FnOnce() -> String) -> Option<(String, Request)> {
        if self.is_busy() || self.caller_speaks || self.own_due || self.cooling {
            return None;
        }
        let request = match self.spoken.take() {
            Some(instructions) => Request::Spoken(instructions),
            None if std::mem::take(&mut self.answer) => Request::Answer,
            None => return None,
        };
        let sent = (event_id(), request);
        self.in_flight = Some(sent.clone());
        Some(sent)
    }

    /// Whether the response asked for now has to say that it wants audio; asked once for each.
    pub(crate) fn take_insistence(&mut self) -> bool {
        std::mem::take(&mut self.insists_on_audio)
    }

    /// A response began: ours if one was asked for, the server's own otherwise.
    pub(crate) fn created(&mut self, id: String) {
        self.began_over_caller = self.in_flight.is_none() && self.caller_speaks;
        self.about = Some(match self.in_flight.take() {
            Some((_, request)) => request,
            None => {
                // Whatever the conversation holds by now, this response answers it.
                self.answer = false;
                Request::Answer
            }
        });
        self.own_due = false;
        self.active = Some(id);
    }

    /// The active response is called off unheard; what it was to answer still waits for an answer,
    /// the server's own or another of ours.
    pub(crate) fn call_off(&mut self) {
        self.answer |= self.about == Some(Request::Answer);
    }

    /// The response is over, in whatever way.
    pub(crate) fn done(&mut self, id: &str) {
        if self.active.as_deref().is_none_or(|active| active == id) {
            self.active = None;
        }
    }

    /// The active response ran its course. A server that begins one by itself and finishes it has
    /// taken the caller's turn as over, whether it said so or not.
    pub(crate) fn ran_its_course(&mut self) {
        if std::mem::take(&mut self.began_over_caller) {
            self.caller_speaks = false;
        }
    }

    /// A response ended without a sound: it counts as a failure, and audio is insisted on.
    pub(crate) fn silent(&mut self) -> AfterFailure {
        let after = self.failed(false);
        self.insists_on_audio = after == AfterFailure::Retry;
        after
    }

    /// A response went well: the next failure is a first one again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.about = None;
    }

    /// A response failed. `hopeless` is a failure that trying again cannot mend.
    pub(crate) fn failed(&mut self, hopeless: bool) -> AfterFailure {
        let about = self.about.take().unwrap_or(Request::Answer);
        self.failures = self.failures.saturating_add(1);
        if hopeless || self.failures > 1 {
            return AfterFailure::GiveUp;
        }
        if self.spoken.is_none() || about == Request::Answer {
            self.request(about);
        }
        self.cooling = true;
        AfterFailure::Retry
    }

    /// An error named this `response.create`, or named none but can mean no other.
    ///
    /// `busy` says that another response was active: the request waits for its end. Returns false when
    /// the error is not about a `response.create` of ours.
    pub(crate) fn refused(&mut self, event_id: Option<&str>, busy: bool) -> bool {
        let ours = match (&self.in_flight, event_id) {
            (Some((sent, _)), Some(named)) => sent == named,
            (Some(_), None) => busy,
            (None, _) => false,
        };
        if !ours {
            return false;
        }
        let request =
            self.in_flight.take().map(|(_, request)| request).expect("it is ours, so it is there");
        if busy {
            if self.spoken.is_none() || request == Request::Answer {
                self.request(request);
            }
            // The other response was started by the server and its `response.created` is on the way.
            self.own_due = self.active.is_none();
        } else {
            self.about = Some(request);
        }
        true
    }

    pub(crate) fn caller_started(&mut self) {
        self.caller_speaks = true;
        self.began_over_caller = false;
        self.own_due = false;
    }

    /// The caller stopped speaking; `own` says that the server answers by itself.
    pub(crate) fn caller_stopped(&mut self, own: bool) {
        self.caller_speaks = false;
        self.own_due = own;
    }

    /// The server had its chance to answer by itself; true when something else waited for it.
    pub(crate) fn own_overdue(&mut self) {
        self.own_due = false;
    }

    pub(crate) fn cooled(&mut self) {
        self.cooling = false;
    }

    /// Gives up an unanswered `response.create`, if it is this one.
    pub(crate) fn create_overdue(&mut self) -> bool {
        match self.in_flight.take() {
            Some((_, request)) => {
                self.about = Some(request);
                true
            }
            None => false,
        }
    }

    /// The session is gone. Returns true when the caller was owed an answer.
    pub(crate) fn session_lost(&mut self) -> bool {
        let owed = self.is_busy() || self.is_waiting() || self.caller_speaks || self.own_due;
        let spoken = match self.in_flight.take() {
            Some((_, Request::Spoken(instructions))) => Some(instructions),
            _ => None,
        };
        *self = Responses { spoken: self.spoken.take().or(spoken), ..Responses::default() };
        owed
    }

    /// Drops what waits, because the call is about to end.
    pub(crate) fn clear(&mut self) {
        self.spoken = None;
        self.answer = false;
    }

    pub(crate) fn active(&self) -> Option<&str> {
        self.active.as_deref()
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.active.is_some() || self.in_flight.is_some()
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.spoken.is_some() || self.answer
    }

    pub(crate) fn is_own_due(&self) -> bool {
        self.own_due
    }

    pub(crate) fn caller_speaks(&self) -> bool {
        self.caller_speaks
    }

    /// Nobody speaks and nobody is about to.
    pub(crate) fn is_quiet(&self) -> bool {
        !(self.is_busy() || self.is_waiting() || self.caller_speaks || self.own_due || self.cooling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(responses: &mut Responses) -> Option<Request> {
        responses.next(|| "create-1".into()).map(|(_, request)| request)
    }

    #[test]
    fn the_next_response_waits_for_the_end_of_the_last() {
        let mut responses = Responses::default();
        responses.created("r1".into());
        responses.request(Request::Answer);
        assert_eq!(next(&mut responses), None);
        responses.done("r1");
        assert_eq!(next(&mut responses), Some(Request::Answer));
        responses.request(Request::Answer);
        assert_eq!(next(&mut responses), None, "the first is neither confirmed nor refused");
    }

    #[test]
    fn a_phrase_goes_before_an_answer_and_both_are_said() {
        let mut responses = Responses::default();
        responses.request(Request::Answer);
        responses.request(Request::Spoken("hold on".into()));
        assert_eq!(next(&mut responses), Some(Request::Spoken("hold on".into())));
        responses.created("r1".into());
        responses.done("r1");
        assert_eq!(next(&mut responses), Some(Request::Answer));
    }

    #[test]
    fn a_create_refused_because_another_is_active_goes_out_after_that_one() {
        let mut responses = Responses::default();
        responses.request(Request::Spoken("hello".into()));
        assert!(next(&mut responses).is_some());
        assert!(responses.refused(Some("create-1"), true));
        assert_eq!(next(&mut responses), None);
        responses.created("r-server".into());
        assert_eq!(next(&mut responses), None);
        responses.done("r-server");
        assert_eq!(next(&mut responses), Some(Request::Spoken("hello".into())));
    }

    #[test]
    fn an_error_about_something_else_changes_nothing() {
        let mut responses = Responses::default();
        responses.request(Request::Answer);
        next(&mut responses);
        assert!(!responses.refused(Some("truncate-9"), false));
        assert!(!responses.refused(None, false));
        assert!(responses.is_busy());
    }

    #[test]
    fn nothing_is_said_over_the_caller_and_their_own_answer_covers_a_waiting_one() {
        let mut responses = Responses::default();
        responses.caller_started();
        responses.request(Request::Answer);
        assert_eq!(next(&mut responses), None);
        responses.caller_stopped(true);
        assert_eq!(next(&mut responses), None);
        responses.created("r-server".into());
        responses.done("r-server");
        assert_eq!(next(&mut responses), None, "the server's own response has answered");
    }

    #[test]
    fn a_server_that_does_not_answer_by_itself_is_not_waited_for_forever() {
        let mut responses = Responses::default();
        responses.caller_started();
        responses.request(Request::Answer);
        responses.caller_stopped(true);
        responses.own_overdue();
        assert_eq!(next(&mut responses), Some(Request::Answer));
    }

    #[test]
    fn a_failed_response_is_tried_once_more_and_then_given_up() {
        let mut responses = Responses::default();
        responses.request(Request::Spoken("hello".into()));
        next(&mut responses);
        responses.created("r1".into());
        responses.done("r1");
        assert_eq!(responses.failed(false), AfterFailure::Retry);
        assert_eq!(next(&mut responses), None, "not at once");
        responses.cooled();
        assert_eq!(next(&mut responses), Some(Request::Spoken("hello".into())));
        responses.created("r2".into());
        responses.done("r2");
        assert_eq!(responses.failed(false), AfterFailure::GiveUp);
    }

    #[test]
    fn success_between_two_failures_makes_the_second_a_first() {
        let mut responses = Responses::default();
        responses.created("r1".into());
        responses.done("r1");
        responses.failed(false);
        responses.cooled();
        responses.succeeded();
        assert_eq!(responses.failed(false), AfterFailure::Retry);
    }

    #[test]
    fn a_lost_session_owes_an_answer_only_if_one_was_due() {
        let mut responses = Responses::default();
        assert!(!responses.session_lost());
        responses.created("r1".into());
        assert!(responses.session_lost());
        assert!(!responses.is_busy());
    }
}
