//! The machine: where every input goes, and what is due when.
//!
//! The parts keep their own rules; what stands here is how they act on each other. Actions of the
//! tenant are in `actions`, what the model says in `model_says`, the ways a call ends in `ending`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cordboard_wire::twilio::{FromCarrier, Track};

use crate::contract::{CallInfo, Ended, Event, HttpFailure, HttpResponse, Refusal, Token};
use crate::ending::{PendingHangUp, Phase};
use crate::framing::{Framing, UnsupportedFormat, pieces};
use crate::inbound::{Arrival, Inbound};
use crate::io::{
    Counts, HangUpBy, Input, Note, Now, Output, Rest, RestKind, TenantFault, ToCarrier,
};
use crate::limits::Limits;
use crate::model_leg::{Due, ModelLeg};
use crate::model_says::ResponseSoFar;
use crate::playout::{Echo, Playout, Report};
use crate::tenant_leg::{Ladder, Rate, TenantLeg};
use crate::timers::Timers;

/// A wake-up later than this is noted: a frame, well within the least lead.
const LATE_WAKE: Duration = Duration::from_millis(20);

/// What a call is begun with.
#[derive(Debug, Clone)]
pub struct CallConfig {
    /// What the tenant is told of the call; `restarted` is set by the machine.
    pub info: CallInfo,
    /// The bounds of this call.
    pub limits: Limits,
    /// What the caller hears when nothing else can be done, in the call's audio format. Empty: the
    /// call ends without a word.
    pub apology: Arc<[u8]>,
    /// The carrier's REST interface may be used: to hang up cleanly, to transfer, to press keys.
    pub rest: bool,
}

/// One phone call.
#[derive(Debug)]
pub struct Call {
    pub(crate) info: CallInfo,
    pub(crate) limits: Limits,
    pub(crate) apology: Arc<[u8]>,
    pub(crate) rest: bool,
    pub(crate) framing: Framing,

    pub(crate) now: Now,
    pub(crate) phase: Phase,
    pub(crate) carrier: Carrier,
    /// When the carrier last said anything.
    carrier_heard: Now,
    pub(crate) tenant: TenantLeg,
    pub(crate) model: ModelLeg,
    pub(crate) inbound: Inbound,
    pub(crate) playout: Playout,
    pub(crate) timers: Timers,
    pub(crate) requests: Vec<Request>,
    pub(crate) publications: Rate,
    pub(crate) pending_hang_up: Option<PendingHangUp>,
    pub(crate) is_transferring: bool,
    /// The tenant caused more events than it may; it is restarted once its answer was carried out.
    pub(crate) is_flooded: bool,
    /// What the model said in this second, without its voice and with it.
    pub(crate) model_events: Rate,
    pub(crate) model_messages: Rate,
    /// What became of the model's present response.
    pub(crate) response: ResponseSoFar,

    /// Why the call ends, for the log.
    pub(crate) detail: String,
    pub(crate) out: VecDeque<Output>,
    pub(crate) counts: Counts,
}

/// The carrier's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Streaming,
    /// Keys were asked for: the end of the stream is not the end of the call.
    PressingKeys {
        until: Now,
    },
    /// The stream ended for the keys, and the next one is awaited.
    Away {
        until: Now,
    },
    Gone,
}

/// An HTTP request under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) token: Token,
    /// Asked for by an instance that is gone.
    pub(crate) is_orphaned: bool,
}

impl Call {
    /// A call at the carrier's `start`. Its first input is [`Input::Begin`].
    ///
    /// # Errors
    /// When no 20 ms frame can be cut from the carrier's audio format.
    pub fn new(config: CallConfig) -> Result<Self, UnsupportedFormat> {
        let CallConfig { info, limits, apology, rest } = config;
        let framing = Framing::of(info.format)?;
        Ok(Self {
            framing,
            now: Now::ZERO,
            phase: Phase::New,
            carrier: Carrier::Streaming,
            carrier_heard: Now::ZERO,
            tenant: TenantLeg::new(),
            model: ModelLeg::new(&limits),
            inbound: Inbound::new(framing),
            playout: Playout::new(framing),
            timers: Timers::default(),
            requests: Vec::new(),
            publications: Rate::default(),
            pending_hang_up: None,
            is_transferring: false,
            is_flooded: false,
            model_events: Rate::default(),
            model_messages: Rate::default(),
            response: ResponseSoFar::default(),
            detail: String::new(),
            out: VecDeque::new(),
            counts: Counts::default(),
            info,
            limits,
            apology,
            rest,
        })
    }

    /// Takes in what happened. `now` never runs backwards; if it does, the latest time counts.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = self.now.max(now);
        if self.phase.is_over() {
            return;
        }
        self.note_lateness();
        match input {
            Input::Begin => self.begin(),
            Input::Carrier(message) => self.carrier_said(message),
            Input::CarrierClosed => {
                self.stream_ended(Ended::CarrierLost, "the carrier's socket closed")
            }
            Input::CarrierBack => self.carrier_back(),
            Input::ModelUp { info } => self.model_up(info),
            Input::Model(event) => self.model_said(event),
            Input::ModelDown { reason, retry, refused } => self.model_down(reason, retry, refused),
            Input::Answered(actions) => self.answered(actions),
            Input::TenantFailed { fault } => self.tenant_failed(fault),
            Input::TenantReady => self.tenant_ready(),
            Input::TenantGone { reason } => self.tenant_gone(reason),
            Input::HttpDone(response) => self.http_done(response),
            Input::HttpFailed(failure) => self.http_failed(failure),
            Input::Command(json) => self.command(json),
            Input::RestDone(kind) => self.rest_answered(kind, Ok(())),
            Input::RestFailed { kind, reason } => {
                self.note(Note::RestFailed { kind, reason: reason.clone() });
                self.rest_answered(kind, Err(reason));
            }
            Input::RestRefused { kind, reason } => self.rest_answered(kind, Err(reason)),
            Input::HangUp { by, grace } => self.hang_up(by, grace),
            Input::Wake => self.counts.wakes += 1,
        }
        self.advance();
    }

    /// The next thing to do. `None` says that all was said for now.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.out.pop_front() {
            return Some(output);
        }
        self.tenant.next().map(Output::Tenant)
    }

    /// When to hand in [`Input::Wake`] if nothing else happens before. Once the outputs are drained
    /// it is later than the last `now`.
    pub fn wake_at(&self) -> Option<Now> {
        let limits = &self.limits;
        let live = match self.phase {
            Phase::Live => [
                self.timers.wake_at(),
                self.inbound.wake_at(limits),
                self.model.wake_at(self.now, limits),
                self.tenant.start_deadline(),
                Some(limits.call_max),
                self.silent_at(),
            ],
            Phase::New | Phase::Closing { .. } | Phase::Ending { .. } => [None; 6],
            Phase::Over => return None,
        };
        let carrier = match self.carrier {
            Carrier::Away { until } | Carrier::PressingKeys { until } => Some(until),
            Carrier::Streaming | Carrier::Gone => None,
        };
        let playout = self.playout.wake_at(limits).filter(|_| self.is_playing());
        let pending_hang_up = self.pending_hang_up.map(|pending_hang_up| pending_hang_up.deadline);
        let ending = self.phase.wake_at();
        live.into_iter().chain([carrier, playout, pending_hang_up, ending]).flatten().min()
    }

    /// Where in its life the call is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Audio the carrier still has to play, by the clock, in milliseconds.
    pub fn lead_ms(&self) -> u32 {
        u32::try_from(self.playout.lead(self.now).as_millis()).unwrap_or(u32::MAX)
    }

    /// Audio waiting behind the lead, in milliseconds.
    pub fn waiting_ms(&self) -> u32 {
        u32::try_from(self.playout.waiting().as_millis()).unwrap_or(u32::MAX)
    }

    /// Events waiting for the tenant.
    pub fn events_waiting(&self) -> usize {
        self.tenant.waiting()
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn begin(&mut self) {
        if self.phase != Phase::New {
            return self.note(Note::Unexpected("begin"));
        }
        self.phase = Phase::Live;
        self.info.restarted = false;
        self.tell(Event::Started(self.info.clone()));
    }

    fn carrier_said(&mut self, message: FromCarrier) {
        self.carrier_heard = self.now;
        match message {
            FromCarrier::Media { track: Track::Inbound, timestamp_ms, payload } => {
                self.caller_audio(timestamp_ms, payload);
            }
            FromCarrier::Dtmf { digit } => self.tell(Event::CallerKey(digit.to_string())),
            FromCarrier::Mark { name } => {
                if self.playout.echoed(&name, self.now) == Echo::Stale {
                    self.counts.stale_marks += 1;
                    self.note(Note::StaleMark);
                }
            }
            FromCarrier::Stop => {
                self.stream_ended(Ended::CallerHungUp, "the carrier stopped the stream")
            }
            FromCarrier::Unknown { event } => self.note(Note::UnknownCarrierEvent(event)),
            FromCarrier::Media { track: Track::Outbound, .. }
            | FromCarrier::Connected { .. }
            | FromCarrier::Start(_) => {}
        }
    }

    fn caller_audio(&mut self, at_ms: Option<u64>, payload: Vec<u8>) {
        if self.phase != Phase::Live || payload.is_empty() {
            return;
        }
        match self.inbound.media(self.now, at_ms, &payload, &self.limits) {
            Arrival::Duplicate => return self.note(Note::DuplicateMedia),
            Arrival::Next { silent_frames: 0 } => {}
            Arrival::Next { silent_frames } => {
                self.note(Note::GapFilled { ms: silent_frames * 20 });
                self.caller_silence(silent_frames);
            }
        }
        self.counts.caller_frames += 1;
        self.counts.caller_bytes += payload.len() as u64;
        let frame_bytes = self.framing.frame_bytes();
        let frames_max = self.limits.caller_audio_bytes_max / frame_bytes;
        for piece in pieces(payload, frames_max.max(1) * frame_bytes) {
            self.tell(Event::CallerAudio(piece));
        }
    }

    fn caller_silence(&mut self, frames: u32) {
        self.counts.frames_filled += u64::from(frames);
        self.counts.caller_bytes += u64::from(frames) * self.framing.frame_bytes() as u64;
        for _ in 0..frames {
            self.tell(Event::CallerAudio(self.framing.silent_frame()));
        }
    }

    /// A new stream takes the place of the old one, whether the old one's end was heard of or not.
    fn carrier_back(&mut self) {
        if self.carrier == Carrier::Gone || self.phase != Phase::Live {
            return self.note(Note::Unexpected("carrier back"));
        }
        self.lose_stream();
        self.carrier = Carrier::Streaming;
        self.carrier_heard = self.now;
        self.inbound.begin_stream(self.now);
    }

    /// What the carrier had of our audio went with its stream.
    pub(crate) fn lose_stream(&mut self) {
        let mut reports = Vec::new();
        self.playout.begin_stream(self.now, &mut |report| reports.push(report));
        self.tell_reports(reports);
    }

    fn tenant_failed(&mut self, fault: TenantFault) {
        if self.tenant.is_gone() {
            return;
        }
        if !self.tenant.has_instance() {
            return self.note(Note::Unexpected("tenant failed"));
        }
        match self.phase {
            Phase::New | Phase::Live => self.restart_tenant(fault),
            // Nothing but its last words were lost.
            Phase::Closing { .. } | Phase::Ending { .. } | Phase::Over => self.tenant.gone(),
        }
    }

    pub(crate) fn restart_tenant(&mut self, fault: TenantFault) {
        match self.tenant.failed(self.now, &self.limits) {
            Ladder::Restart(restart) => {
                self.counts.restarts += 1;
                self.timers.clear();
                for request in &mut self.requests {
                    request.is_orphaned = true;
                }
                self.note(Note::TenantRestarted { restart, fault: fault.clone() });
                self.out.push_back(Output::RestartTenant { fault });
            }
            Ladder::Exhausted => self.part(Ended::Failed, &fault.to_string()),
        }
    }

    fn tenant_ready(&mut self) {
        if self.phase != Phase::Live {
            return;
        }
        // Nobody has greeted the caller if no instance lived to answer its start.
        self.info.restarted = self.tenant.has_answered();
        let started = Event::Started(self.info.clone());
        let ready = self.model.info().cloned().map(Event::ModelReady);
        self.model.is_told = ready.is_some();
        if !self.tenant.ready(started, ready) {
            self.note(Note::Unexpected("tenant ready"));
        }
    }

    fn tenant_gone(&mut self, reason: String) {
        self.tenant.gone();
        if self.phase == Phase::Live {
            self.part(Ended::Failed, &reason);
        }
    }

    fn http_done(&mut self, response: HttpResponse) {
        if self.is_awaited(response.token) {
            self.tell(Event::HttpDone(response));
        }
    }

    fn http_failed(&mut self, failure: HttpFailure) {
        if self.is_awaited(failure.token) {
            self.tell(Event::HttpFailed(failure));
        }
    }

    /// Ends a request; true when the instance that made it is there to hear.
    fn is_awaited(&mut self, token: Token) -> bool {
        let place = self.requests.iter().position(|request| request.token == token);
        let request = place.map(|place| self.requests.swap_remove(place));
        let is_awaited = request.is_some_and(|request| !request.is_orphaned);
        if !is_awaited {
            self.note(Note::OrphanedHttp);
        }
        is_awaited
    }

    fn command(&mut self, json: String) {
        if json.len() > self.limits.command_bytes_max {
            return self.note(Note::CommandDropped);
        }
        self.tell(Event::Command(json));
    }

    fn rest_answered(&mut self, kind: RestKind, answer: Result<(), String>) {
        match (kind, answer) {
            (RestKind::HangUp, _) => self.rest_hung_up(),
            (RestKind::Transfer | RestKind::Keys, Ok(())) => {}
            (RestKind::Transfer, Err(reason)) => {
                self.is_transferring = false;
                self.refuse("transfer", reason);
            }
            (RestKind::Keys, Err(reason)) => {
                if let Carrier::PressingKeys { .. } = self.carrier {
                    self.carrier = Carrier::Streaming;
                }
                self.refuse("send-keys", reason);
            }
        }
    }

    fn hang_up(&mut self, by: HangUpBy, grace: Duration) {
        if !matches!(self.phase, Phase::New | Phase::Live) {
            return;
        }
        let (reason, detail) = match by {
            HangUpBy::Operator => (Ended::OperatorHungUp, "an operator ended the call"),
            HangUpBy::Drain => (Ended::Drained, "the gateway is stopping"),
        };
        if grace.is_zero() {
            return self.end(reason, detail);
        }
        let deadline = self.now + grace.min(self.limits.hang_up_wait_max);
        self.depart(PendingHangUp { reason, deadline, may_cancel: false }, detail);
    }

    /// Does all that is due by now.
    fn advance(&mut self) {
        match self.carrier {
            Carrier::Away { until } if until <= self.now => {
                self.carrier = Carrier::Gone;
                self.end(Ended::CarrierLost, "the carrier did not come back after the keys");
            }
            Carrier::PressingKeys { until } if until <= self.now => {
                self.carrier = Carrier::Streaming
            }
            Carrier::Away { .. }
            | Carrier::PressingKeys { .. }
            | Carrier::Streaming
            | Carrier::Gone => {}
        }
        if self.phase == Phase::Live {
            self.advance_live();
        }
        self.pump();
        if self.is_flooded && self.phase == Phase::Live && self.tenant.is_idle() {
            self.is_flooded = false;
            self.restart_tenant(TenantFault::Flooded);
        }
        if let Phase::Closing { .. } = self.phase {
            // The apology may have been decided on since.
            self.pump();
        }
        self.advance_ending();
    }

    fn advance_live(&mut self) {
        while let Some(token) = self.timers.pop_due(self.now) {
            self.tell_echo(Event::Timer(token));
        }
        if let Some((frames, is_new)) = self.inbound.stalled(self.now, &self.limits) {
            if is_new {
                self.note(Note::CallerStalled);
            }
            self.caller_silence(frames);
        }
        let is_quiet = self.playout.is_played_out() && !self.inbound.is_speaking();
        match self.model.due(self.now, &self.limits, is_quiet) {
            Some(Due::Connect { attempt }) => {
                self.counts.reconnects += 1;
                self.out.push_back(Output::ConnectModel { attempt });
            }
            Some(Due::ConnectTimedOut) => {
                self.out.push_back(Output::CloseModel);
                self.model_down("the model did not answer in time".to_owned(), true, None);
                // The next attempt may be due at once.
                self.advance_live();
            }
            Some(Due::NeverConfirmed) => {
                let complaint = self.model.complaint().map(|words| format!(": {words}"));
                let detail = "the model never confirmed its session".to_owned()
                    + complaint.as_deref().unwrap_or_default();
                self.part(Ended::ModelLost, &detail);
            }
            Some(Due::Renew) => {
                self.note(Note::ModelRenewed);
                self.out.push_back(Output::CloseModel);
                self.model_down("the session reached its greatest age".to_owned(), true, None);
                self.advance_live();
            }
            None => {}
        }
        if self.tenant.start_deadline().is_some_and(|until| until <= self.now) {
            self.tenant_gone("no fresh instance of the tenant came in time".to_owned());
        }
        if self.silent_at().is_some_and(|at| at <= self.now) {
            self.stream_ended(Ended::CarrierLost, "the carrier fell silent");
        }
        if self.now >= self.limits.call_max && self.phase == Phase::Live {
            self.part(Ended::Failed, "the call reached its greatest length");
        }
    }

    /// When the carrier counts as lost unless it says something before.
    fn silent_at(&self) -> Option<Now> {
        let is_streaming = self.carrier == Carrier::Streaming && self.phase == Phase::Live;
        is_streaming.then(|| self.carrier_heard + self.limits.carrier_silence_max)
    }

    /// Lets the playout send and report.
    pub(crate) fn pump(&mut self) {
        if !self.is_playing() {
            return;
        }
        if self.playout.settle_overdue(self.now, &self.limits) {
            self.note(Note::MarkOverdue);
        }
        let Self { playout, out, limits, counts, framing, .. } = self;
        let mut reports = Vec::new();
        let mut send = |message| send_carrier(message, *framing, counts, out);
        playout.pump(self.now, limits, &mut send, &mut |report| reports.push(report));
        self.tell_reports(reports);
    }

    /// There is a stream to play to.
    fn is_playing(&self) -> bool {
        let may_send = matches!(self.carrier, Carrier::Streaming | Carrier::PressingKeys { .. });
        may_send && matches!(self.phase, Phase::Live | Phase::Closing { .. })
    }

    pub(crate) fn tell_reports(&mut self, reports: Vec<Report>) {
        for report in reports {
            self.tell_echo(report.into());
        }
    }

    /// Puts an event in the tenant's line. After the call's last moments began it hears only of the
    /// end.
    pub(crate) fn tell(&mut self, event: Event) {
        if self.phase != Phase::Live || self.tenant.is_gone() {
            return;
        }
        let dropped = self.tenant.push(event, &self.limits);
        if dropped.caller_audio + dropped.model_audio > 0 {
            let (caller_audio, model_audio) = (dropped.caller_audio, dropped.model_audio);
            self.counts.events_dropped += u64::from(caller_audio + model_audio);
            self.note(Note::EventsDropped { caller_audio, model_audio });
        }
        if dropped.is_overrun && self.tenant.is_line_the_models() {
            self.model_flooded();
        } else if dropped.is_overrun {
            self.tenant.gone();
            self.part(Ended::Failed, &TenantFault::Flooded.to_string());
        }
    }

    /// Puts an event in line that the tenant caused itself.
    pub(crate) fn tell_echo(&mut self, event: Event) {
        if self.tenant.allow_echo(self.now, &self.limits) {
            self.tell(event);
        } else if self.is_model_to_blame() {
            // It stays with the call, so what it waits for has to come; a refusal it can do without.
            if !matches!(event, Event::Refused(_)) {
                self.tell(event);
            }
            self.model_flooded();
        } else {
            self.is_flooded = true;
        }
    }

    /// Puts an event before the line that the tenant caused itself.
    pub(crate) fn tell_first(&mut self, event: Event) {
        let is_allowed = self.tenant.allow_echo(self.now, &self.limits);
        if !is_allowed && !self.is_model_to_blame() {
            self.is_flooded = true;
        } else if self.phase == Phase::Live && !self.tenant.is_gone() {
            self.tenant.push_first(event);
        }
    }

    pub(crate) fn refuse(&mut self, action: &'static str, reason: String) {
        self.counts.refusals += 1;
        self.note(Note::Refused { action, reason: reason.clone() });
        self.tell_echo(Event::Refused(Refusal { action: action.to_owned(), reason }));
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.out.push_back(Output::Note(note));
    }

    pub(crate) fn ask_rest(&mut self, rest: Rest) {
        self.out.push_back(Output::Rest(rest));
    }

    fn note_lateness(&mut self) {
        if self.is_playing() {
            let late = self.playout.lateness(self.now, &self.limits);
            if late > LATE_WAKE {
                let ms = u32::try_from(late.as_millis()).unwrap_or(u32::MAX);
                self.note(Note::LateWake { ms });
            }
        }
    }
}

/// Counts a message for the carrier and queues it.
pub(crate) fn send_carrier(
    message: ToCarrier,
    framing: Framing,
    counts: &mut Counts,
    out: &mut VecDeque<Output>,
) {
    match &message {
        ToCarrier::Media { frames } => {
            counts.frames_sent += (frames.len() / framing.frame_bytes()) as u64;
        }
        ToCarrier::Clear => counts.clears += 1,
        ToCarrier::Mark { .. } => {}
    }
    out.push_back(Output::Carrier(message));
}
