//! A call and everything around it, in order of time.
//!
//! **One rule: nothing here waits.** The clock jumps to whatever happens next: a frame of the caller, a mark
//! that comes back, a piece of the model's voice, a timer of the call. The caller's line and the model follow the
//! other companies' documents ([`cordboard_sim`]); between gateway and neighbours there is no delay.

mod model;
mod outside;
mod record;

use std::collections::VecDeque;
use std::time::Duration;

use cordboard_call::contract::{AudioFormat, CallInfo, Direction, Encoding, HttpRequest, Millis};
use cordboard_call::{Call, CallConfig, Input, Limits, Note, Output, Summary, ToCarrier};
use cordboard_sim::audio::{FRAME_BYTES, SILENCE};
use cordboard_sim::carrier::playout::Playout;
use cordboard_wire::twilio::{FromCarrier, Track};
use serde_json::{Value, json};

use crate::driver::{Driver, Failure, How, Meter, Mode};
use crate::names::{LINE_BYTES_PER_MS, action_json, read};
use crate::runtime::Runtime;
use crate::scenario::{Script, Way};
use model::ModelSide;
pub(crate) use record::{Kind, Record};

const FRAME: Duration = Duration::from_millis(20);

/// Outputs of the call for one input before it counts as endless.
const OUTPUTS_MAX: usize = 20_000;

/// Things kept of one call: a million, ten hours of frames.
const RECORDS_MAX: usize = 1_000_000;

/// One call.
pub(crate) struct World<'a> {
    now: Duration,
    call: Call,
    driver: Driver<'a>,
    failure: Option<Failure>,

    line: Playout,
    is_line_up: bool,
    voice: VecDeque<u8>,
    next_frame: Duration,
    keys: VecDeque<(Duration, char)>,
    /// When the carrier comes back with a new stream, after keys were sent.
    back_at: Option<Duration>,

    model: ModelSide,
    /// Requests under way, oldest first, with their deadlines.
    requests: VecDeque<(Duration, HttpRequest)>,

    records: Vec<Record>,
    log_seen: usize,
    summary: Option<Summary>,
}

impl<'a> World<'a> {
    /// A call that has just begun.
    pub(crate) async fn begin(
        runtime: &'a Runtime,
        script: &Script,
        mode: Mode,
    ) -> Result<Self, Failure> {
        let info = call_info(script);
        let config = CallConfig {
            info: info.clone(),
            limits: Limits::default(),
            // Half a second of hum in place of the apology.
            apology: vec![0x90; 4_000].into(),
            rest: script.call.rest,
        };
        let call = Call::new(config).expect("mu-law at 8 kHz is a telephone's own format");
        let mut world = Self {
            now: Duration::ZERO,
            call,
            driver: Driver::open(runtime, info, mode).await?,
            failure: None,
            line: Playout::recording(),
            is_line_up: true,
            voice: VecDeque::new(),
            next_frame: FRAME,
            keys: VecDeque::new(),
            back_at: None,
            model: ModelSide::new(script),
            requests: VecDeque::new(),
            records: Vec::new(),
            log_seen: 0,
            summary: None,
        };
        world.model.connect(Duration::from_millis(script.model.ready_after_ms));
        world.feed(Input::Begin).await;
        world.settle().await;
        Ok(world)
    }

    /// Milliseconds since the call began.
    pub(crate) fn now_ms(&self) -> Millis {
        u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX)
    }

    /// What came out so far.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// What the caller heard so far, eight samples of mu-law a millisecond.
    pub(crate) fn heard(&self) -> &[u8] {
        self.line.heard()
    }

    /// Audio the caller is still to hear, in milliseconds.
    pub(crate) fn unheard_ms(&self) -> u64 {
        let at_carrier = self.line.end().saturating_sub(self.samples()) / LINE_BYTES_PER_MS as u64;
        at_carrier + u64::from(self.call.waiting_ms())
    }

    /// Whether the tenant failed or the call ended.
    pub(crate) fn is_over(&self) -> bool {
        self.failure.is_some() || self.summary.is_some()
    }

    /// How the tenant failed, if it did.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The model's side, to be told what to say.
    pub(crate) fn model(&mut self) -> &mut ModelSide {
        &mut self.model
    }

    /// Takes the call apart.
    pub(crate) fn conclude(self) -> (Driver<'a>, Vec<Record>, Option<Failure>) {
        (self.driver, self.records, self.failure)
    }

    /// What the tenant took so far.
    pub(crate) fn meter(&self) -> Meter {
        self.driver.meter()
    }

    /// Lets time pass until `done`, or so many milliseconds; whether it was done.
    pub(crate) async fn pass(&mut self, ms: Millis, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + Duration::from_millis(ms);
        loop {
            if done(self) {
                return true;
            }
            if self.failure.is_some() {
                return false;
            }
            match self.next_time().filter(|next| *next <= end) {
                Some(next) => {
                    self.now = self.now.max(next);
                    self.happen().await;
                    self.settle().await;
                }
                None => {
                    self.now = end;
                    self.hear();
                    return done(self);
                }
            }
        }
    }

    fn next_time(&self) -> Option<Duration> {
        if self.summary.is_some() {
            return None;
        }
        let of_line = |sample: u64| Duration::from_micros(sample * 125);
        [
            self.line.next_due().filter(|_| self.is_line_up).map(of_line),
            self.model.next_time(),
            self.keys.front().map(|(at, _)| *at),
            self.is_line_up.then_some(self.next_frame),
            self.back_at,
            self.requests.iter().map(|(at, _)| *at).min(),
            self.call.wake_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Lets everything happen that is due.
    async fn happen(&mut self) {
        self.hear();
        for echo in self.line.due(self.samples()) {
            if self.is_line_up {
                self.feed(Input::Carrier(FromCarrier::Mark { name: echo.name })).await;
            }
        }
        self.model.wake(self.now);
        while let Some((_, key)) = self.keys.pop_front_if(|(at, _)| *at <= self.now) {
            self.feed(Input::Carrier(FromCarrier::Dtmf { digit: key })).await;
        }
        if self.is_line_up && self.next_frame <= self.now {
            self.frame().await;
        }
        if self.back_at.is_some_and(|at| at <= self.now) {
            self.back_at = None;
            self.is_line_up = true;
            self.next_frame = self.now + FRAME;
            self.feed(Input::CarrierBack).await;
        }
        while let Some(late) = self.requests.iter().position(|(at, _)| *at <= self.now) {
            self.fail_request(late, "no answer in time").await;
        }
        if self.call.wake_at().is_some_and(|at| at <= self.now) {
            self.feed(Input::Wake).await;
        }
    }

    async fn frame(&mut self) {
        let stamp = self.next_frame;
        self.next_frame += FRAME;
        let spoken = self.voice.len().min(FRAME_BYTES);
        let mut payload: Vec<u8> = self.voice.drain(..spoken).collect();
        payload.resize(FRAME_BYTES, SILENCE);
        let timestamp_ms = u64::try_from(stamp.as_millis()).ok();
        let media = FromCarrier::Media { track: Track::Inbound, timestamp_ms, payload };
        self.feed(Input::Carrier(media)).await;
    }

    /// Brings what the caller hears up to date.
    fn hear(&mut self) {
        // Marks that fall due here come back with the next step, which is at this same time.
        let now = self.samples();
        if self.line.next_due().is_none_or(|due| due > now) {
            drop(self.line.due(now));
        }
    }

    fn samples(&self) -> u64 {
        u64::try_from(self.now.as_micros() / 125).unwrap_or(u64::MAX)
    }

    /// Hands one thing to the call and carries out all that comes of it, save what the model has to say.
    async fn feed(&mut self, input: Input) {
        if self.is_over() {
            return;
        }
        self.call.handle(self.now, input);
        for _ in 0..OUTPUTS_MAX {
            let Some(output) = self.call.poll_output() else { return };
            self.perform(output).await;
            if self.failure.is_some() {
                return;
            }
        }
        let how = How::Restarted("it answers its own actions without end".to_owned());
        self.failure = Some(Failure { at: "refused", at_ms: self.now_ms(), how });
    }

    /// Hands the call all that the model has to say.
    async fn settle(&mut self) {
        while let Some(input) = self.model.next_input() {
            if let Input::Model(cordboard_wire::openai::ServerEvent::Error { json, .. }) = &input {
                let refusal = read(json);
                self.record(Kind::ModelRefuses, refusal["error"].clone());
            }
            self.feed(input).await;
        }
    }

    async fn perform(&mut self, output: Output) {
        match output {
            Output::Tenant(event) => {
                let now = self.now_ms();
                match self.driver.handle(now, event).await {
                    Ok(actions) => {
                        self.take_log();
                        for action in &actions {
                            self.record(Kind::Action, action_json(action));
                        }
                        self.call.handle(self.now, Input::Answered(actions));
                    }
                    Err(failure) => {
                        self.take_log();
                        self.failure = Some(failure);
                    }
                }
            }
            Output::RestartTenant { fault } => {
                let how = How::Restarted(fault.to_string());
                self.failure = Some(Failure { at: "its own actions", at_ms: self.now_ms(), how });
            }
            Output::Carrier(message) => self.send_to_carrier(message),
            Output::Model(message) => {
                if let Some(event) = self.model.tell(self.now, &message) {
                    self.record(Kind::ModelGets, event);
                }
            }
            Output::ConnectModel { .. } => self.model.connect(self.now),
            Output::CloseModel => self.model.close(),
            Output::Rest(rest) => self.rest(rest),
            Output::Http(request) => {
                let asked = action_json(&cordboard_call::contract::Action::Http(request.clone()));
                self.record(Kind::Http, asked);
                let deadline = self.now + Duration::from_millis(u64::from(request.timeout_ms));
                self.requests.push_back((deadline, request));
            }
            Output::Publish(it) => {
                let value = json!({"topic": it.topic, "json": read(&it.json)});
                self.record(Kind::Publishes, value);
            }
            Output::Note(note) => self.note(&note),
            Output::Ended(summary) => {
                let value = json!({"reason": summary.reason.kind(), "detail": summary.detail});
                self.record(Kind::Ends, value);
                self.is_line_up = false;
                self.summary = Some(summary);
            }
        }
    }

    fn send_to_carrier(&mut self, message: ToCarrier) {
        let now = self.samples();
        match message {
            // Ten minutes are more than the call machine lets wait.
            ToCarrier::Media { frames } => drop(self.line.media(now, &frames)),
            ToCarrier::Mark { name } => self.line.mark(now, name),
            ToCarrier::Clear => {
                // Their echoes tell the call nothing it does not know.
                drop(self.line.clear(now));
            }
        }
    }

    fn note(&mut self, note: &Note) {
        if let Note::Refused { action, reason } = note {
            self.record(Kind::Refused, json!({"action": action, "reason": reason}));
        }
    }

    fn take_log(&mut self) {
        for (level, line) in self.driver.log.since(self.log_seen) {
            self.log_seen += 1;
            let level = format!("{level:?}").to_lowercase();
            self.record(Kind::Logs, json!({"level": level, "line": line}));
        }
    }

    fn record(&mut self, kind: Kind, value: Value) {
        if self.records.len() < RECORDS_MAX {
            self.records.push(Record { at_ms: self.now_ms(), kind, value });
        }
    }
}

fn call_info(script: &Script) -> CallInfo {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    CallInfo {
        call_id: "CA0000000000000000000000000000test".to_owned(),
        stream_id: "MZ0000000000000000000000000000test".to_owned(),
        tenant: "test".to_owned(),
        version: "test".to_owned(),
        direction: match script.call.direction {
            Way::Inbound => Direction::Inbound,
            Way::Outbound => Direction::Outbound,
        },
        caller: script.call.caller.clone(),
        callee: script.call.callee.clone(),
        format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
        parameters: script
            .call
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        settings: Value::Object(script.settings.clone()).to_string(),
        restarted: false,
    }
}
