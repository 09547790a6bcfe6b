//! What was given, sent, told and done on one call, and the promises that must hold of it.
//!
//! Every check here is of something a caller, a tenant or a server can see.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use cordboard_call::contract::{Action, Event, Heard, Play};
use cordboard_call::{Note, Phase, ToCarrier};

pub(crate) const FRAME_BYTES: usize = 160;
const LEAD_MAX: Duration = Duration::from_millis(400);
/// The item under which the ledger keeps the apology.
const APOLOGY: &str = "the apology";

/// Bytes in a row of one item, by the number of its name, or of padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) item: Option<usize>,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Given to play and not yet sent, and the number of its item's name.
    unsent: VecDeque<(Vec<u8>, usize)>,
    names: Vec<String>,
    given: BTreeMap<String, u64>,
    sent: BTreeMap<String, u64>,
    /// How often an item was called complete less how often it was heard whole.
    open_ends: BTreeMap<String, u32>,
    /// For every message of the present stream, whose bytes it holds; `None` is padding.
    pub(crate) messages: Vec<Vec<Run>>,

    queued_until: Duration,
    mark_names: BTreeSet<String>,
    is_mark_owed: bool,

    /// Frames of the caller that arrived and were not yet told.
    arrived: VecDeque<u32>,
    last_appended: Option<u32>,
    last_delta: Option<u32>,
    publications: BTreeSet<String>,
    requests: BTreeSet<u64>,
    timers: BTreeMap<u64, Duration>,
    tenant_marks: BTreeMap<String, i64>,
    ended_told: u32,
}

impl Ledger {
    /// The tenant's answer, before the machine gets it.
    pub(crate) fn acted(&mut self, phase: Phase, actions: &[Action]) {
        for action in actions {
            let is_live = phase == Phase::Live;
            match action {
                Action::Publish(publication) => {
                    self.publications.insert(publication.json.clone());
                }
                Action::Http(request) => {
                    self.requests.insert(request.token);
                }
                Action::Play(play) if is_live => self.played(play),
                Action::Flush if is_live => self.unsent.clear(),
                Action::Mark(name) if is_live => {
                    *self.tenant_marks.entry(name.clone()).or_default() += 1;
                }
                Action::SetTimer(timer) if is_live => {
                    self.timers.insert(timer.token, Duration::from_millis(timer.at));
                }
                Action::CancelTimer(token) if is_live => {
                    self.timers.remove(token);
                }
                _ => {}
            }
        }
    }

    fn played(&mut self, play: &Play) {
        let number = self.number(&play.item);
        if !play.audio.is_empty() {
            self.unsent.push_back((play.audio.clone(), number));
        }
        *self.given.entry(play.item.clone()).or_default() += play.audio.len() as u64;
        if play.last {
            *self.open_ends.entry(play.item.clone()).or_default() += 1;
        }
    }

    /// The machine gave up: what was not sent is forgotten, and the apology follows.
    pub(crate) fn closing(&mut self, apology: &[u8]) {
        self.unsent.clear();
        let audio = apology.to_vec();
        self.played(&Play { item: APOLOGY.to_owned(), audio, last: true });
    }

    /// A message for the carrier leaves the gateway.
    pub(crate) fn sent(&mut self, now: Duration, message: &ToCarrier) {
        let is_mark = matches!(message, ToCarrier::Mark { .. });
        assert!(is_mark || !self.is_mark_owed, "a clear without a mark right behind it");
        match message {
            ToCarrier::Media { frames } => self.sent_media(now, frames),
            ToCarrier::Mark { name } => {
                self.is_mark_owed = false;
                assert!(self.mark_names.insert(name.clone()), "the mark {name} was sent twice");
            }
            ToCarrier::Clear => {
                assert!(
                    self.queued_until + Duration::from_secs(1) > now,
                    "nothing was there to clear"
                );
                self.is_mark_owed = true;
                self.queued_until = now;
            }
        }
    }

    fn sent_media(&mut self, now: Duration, frames: &[u8]) {
        assert_eq!(frames.len() % FRAME_BYTES, 0, "a partial frame was sent");
        assert!((1..=5).contains(&(frames.len() / FRAME_BYTES)), "{} bytes at once", frames.len());
        let playing = Duration::from_micros(frames.len() as u64 * 125);
        self.queued_until = self.queued_until.max(now) + playing;
        let lead = self.queued_until - now;
        assert!(lead <= LEAD_MAX, "{lead:?} are queued at the carrier");
        let mut runs = Vec::new();
        let mut rest = frames;
        while let Some(first) = rest.first() {
            let is_padding = *first == 0xFF;
            let length = rest.iter().position(|byte| (*byte == 0xFF) != is_padding);
            let mut bytes = length.unwrap_or(rest.len());
            let mut item = None;
            if !is_padding {
                let (audio, number) =
                    self.unsent.front_mut().expect("more was sent than was given");
                bytes = bytes.min(audio.len());
                assert_eq!(
                    rest[..bytes],
                    audio[..bytes],
                    "audio was lost, repeated or out of order"
                );
                audio.drain(..bytes);
                item = Some(*number);
                *self.sent.entry(self.names[*number].clone()).or_default() += bytes as u64;
                if audio.is_empty() {
                    self.unsent.pop_front();
                }
            }
            rest = &rest[bytes..];
            runs.push(Run { item, bytes });
        }
        self.messages.push(runs);
    }

    /// The carrier has a new stream.
    pub(crate) fn stream_replaced(&mut self, now: Duration) {
        self.messages.clear();
        self.queued_until = now;
    }

    /// An event reaches the tenant.
    pub(crate) fn told(&mut self, now: Duration, event: &Event) {
        assert_eq!(self.ended_told, 0, "{event:?} after `ended`");
        match event {
            Event::CallerAudio(audio) => {
                if let Some(frame) = frame_number(audio) {
                    assert_eq!(
                        Some(frame),
                        self.arrived.pop_front(),
                        "a frame was lost or repeated"
                    );
                } else {
                    assert_eq!(audio.len(), FRAME_BYTES, "silence comes in whole frames");
                }
            }
            Event::ModelAudio(audio) => {
                let number = delta_number(&audio.response);
                assert!(self.last_delta < Some(number), "the model's voice was repeated");
                self.last_delta = Some(number);
            }
            Event::Heard(heard) => {
                self.check_heard(heard);
                let ends = self.open_ends.get_mut(&heard.item).filter(|ends| **ends > 0);
                assert!(heard.complete && ends.is_some(), "{heard:?} twice or unasked");
                ends.into_iter().for_each(|ends| *ends -= 1);
            }
            Event::Flushed(flushed) => {
                for heard in &flushed.items {
                    assert!(!heard.complete);
                    self.check_heard(heard);
                }
                for mark in &flushed.marks {
                    self.settle_mark(mark);
                }
            }
            Event::Mark(name) => self.settle_mark(name),
            Event::Timer(token) => {
                let at = self.timers.remove(token).expect("the timer was set, once");
                assert!(at <= now, "a timer fired early");
            }
            Event::Ended(_) => self.ended_told += 1,
            _ => {}
        }
    }

    fn settle_mark(&mut self, name: &str) {
        let open = self.tenant_marks.get_mut(name).expect("the mark was set");
        *open -= 1;
        assert!(*open >= 0, "the mark {name} was reported twice");
    }

    fn check_heard(&self, heard: &Heard) {
        let of = |book: &BTreeMap<String, u64>| book.get(&heard.item).copied().unwrap_or(0);
        let (given, sent) = (of(&self.given), of(&self.sent));
        assert!(sent <= given, "{}: {sent} sent of {given}", heard.item);
        assert!(u64::from(heard.millis) * 8 <= sent, "{heard:?} with {sent} bytes sent");
        assert!(!heard.complete || u64::from(heard.millis) <= given / 8);
    }

    /// A frame of the caller reaches a live call for the first time.
    pub(crate) fn arrived(&mut self, frame: u32) {
        self.arrived.push_back(frame);
    }

    pub(crate) fn noted(&mut self, note: &Note, apology: &[u8]) {
        match note {
            Note::EventsDropped { caller_audio, .. } => {
                self.arrived.drain(..(*caller_audio as usize).min(self.arrived.len()));
            }
            Note::Closing { .. } => self.closing(apology),
            Note::Unexpected(what) => panic!("the machine did not expect: {what}"),
            Note::TenantRestarted { .. } => self.timers.clear(),
            _ => {}
        }
    }

    /// Caller audio reaches the model.
    pub(crate) fn appended(&mut self, audio: &[u8]) {
        let Some(frame) = frame_number(audio) else { return };
        assert!(self.last_appended < Some(frame), "caller audio was repeated or out of order");
        self.last_appended = Some(frame);
    }

    pub(crate) fn published(&mut self, json: &str) {
        assert!(self.publications.remove(json), "{json} was published twice or unasked");
    }

    pub(crate) fn requested(&mut self, token: u64) {
        assert!(self.requests.remove(&token), "request {token} was made twice or unasked");
    }

    /// The call is over. `had_instance` says that somebody was there to be told.
    pub(crate) fn over(&self, had_instance: bool, apologised: bool) {
        assert_eq!(self.ended_told, u32::from(had_instance), "`ended` is told exactly once");
        assert!(self.publications.is_empty(), "not published: {:?}", self.publications);
        assert!(self.requests.is_empty(), "not requested: {:?}", self.requests);
        assert!(!apologised || self.unsent.is_empty(), "the apology was not sent to its end");
    }

    /// How many bytes of an item the caller has really heard, given how much of each message.
    pub(crate) fn heard_bytes(&self, item: &str, heard_of_each: &[usize]) -> u64 {
        let mut total = 0;
        for (runs, heard) in self.messages.iter().zip(heard_of_each) {
            let mut left = *heard;
            for run in runs {
                let bytes = run.bytes.min(left);
                left -= bytes;
                if run.item.is_some_and(|number| self.names[number] == item) {
                    total += bytes as u64;
                }
            }
        }
        total
    }

    fn number(&mut self, name: &str) -> usize {
        if self.names.last().is_none_or(|last| last != name) {
            self.names.push(name.to_owned());
        }
        self.names.len() - 1
    }
}

/// A caller's frame that names itself; silence does not.
pub(crate) fn numbered_frame(number: u32, bytes: usize) -> Vec<u8> {
    let mut frame = vec![0; bytes.max(4)];
    frame[..4].copy_from_slice(&number.to_be_bytes());
    frame
}

fn frame_number(audio: &[u8]) -> Option<u32> {
    let number = u32::from_be_bytes(audio.get(..4)?.try_into().expect("four bytes"));
    (number != u32::MAX).then_some(number)
}

/// Deltas are numbered in the response's name, `r<response>.<delta>`.
fn delta_number(response: &str) -> u32 {
    let (_, number) = response.split_once('.').expect("the model names its deltas");
    number.parse().expect("a number")
}
