//! Runs a tenant in a unit test: natively, on a virtual clock, with a host and a model that do what
//! the test says.
//!
//! The harness keeps the host's side of the bargain: it plays what it is given at the speed of time,
//! answers `flush` with what was heard, fires timers, reports marks. The model does nothing by itself
//! but confirm a `session.update`; a test says what it says.
//!
//! ```
//! # use cordboard_sdk::{CallInfo, Tenant, harness::Harness};
//! # struct Florist;
//! # impl Tenant for Florist { fn new(_: &CallInfo) -> Florist { Florist } }
//! let mut call = Harness::<Florist>::start();
//! call.model_ready();
//! call.model_says("Flowers by Ada, good morning!", 2_000);
//! call.advance(500);
//! call.caller_interrupts();
//! assert_eq!(call.sent("conversation.item.truncate")[0]["audio_end_ms"], 500);
//! ```

mod line;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    Action, AudioFormat, Call, CallInfo, Dialect, Direction, Encoding, Ended, Event, HangUp,
    HangUpWhen, HttpRequest, HttpResponse, Instance, ModelAudio, ModelInfo, Refusal, Tenant,
};

use line::Line;

/// One call under test.
pub struct Harness<T> {
    instance: Instance<T>,
    info: CallInfo,
    now: u64,
    /// Everything the tenant asked for, with the time.
    log: Vec<(u64, Action)>,
    line: Line,
    timers: BTreeMap<u64, u64>,
    hang_up: Option<HangUp>,
    ended: bool,
    ids: u32,
    response: Option<String>,
    /// What the caller is saying, by the server's id.
    speech: Option<String>,
    swap_every: u32,
    fed: u32,
}

/// Starting a call.
impl<T: Tenant> Harness<T> {
    /// A call without settings.
    pub fn start() -> Harness<T> {
        Harness::with_settings("{}")
    }

    /// A call with these settings (JSON).
    pub fn with_settings(settings: &str) -> Harness<T> {
        Harness::with_info(CallInfo { settings: settings.to_owned(), ..call_info() })
    }

    /// A call with everything chosen by the test; begin with [`call_info`].
    pub fn with_info(info: CallInfo) -> Harness<T> {
        let (instance, actions) = Instance::start(0, info.clone());
        let mut harness = Harness {
            instance,
            now: 0,
            log: Vec::new(),
            line: Line::new(line_bytes_per_ms(&info)),
            timers: BTreeMap::new(),
            hang_up: None,
            ended: false,
            ids: 0,
            response: None,
            speech: None,
            swap_every: 0,
            fed: 0,
            info,
        };
        harness.carry_out(actions);
        harness
    }

    /// From here on swaps after every so many events, to see that nobody notices; 0 stops that.
    pub fn swap_every(&mut self, events: u32) {
        self.swap_every = events;
    }

    /// Replaces the instance by a fresh one that takes over its state, as a swap does.
    ///
    /// # Panics
    ///
    /// When the tenant refuses its own state.
    pub fn swap(&mut self) {
        let state = self.instance.save();
        self.instance = Instance::load(self.now, self.info.clone(), &state)
            .unwrap_or_else(|reason| panic!("the tenant refused its own state: {reason}"));
    }

    /// Puts a successor with other settings in charge.
    ///
    /// # Panics
    ///
    /// When the tenant refuses the state.
    pub fn swap_settings(&mut self, settings: &str) {
        self.info.settings = settings.to_owned();
        self.swap();
    }
}

/// What happens.
impl<T: Tenant> Harness<T> {
    /// Feeds any event and carries out the answer; returns the actions, also those of a `flushed` that
    /// followed.
    pub fn feed(&mut self, event: Event) -> Vec<Action> {
        let from = self.log.len();
        let actions = self.instance.handle(self.now, event);
        self.fed += 1;
        if self.swap_every > 0 && self.fed.is_multiple_of(self.swap_every) {
            self.swap();
        }
        self.carry_out(actions);
        self.log[from..].iter().map(|(_, action)| action.clone()).collect()
    }

    /// Lets time pass: plays what is queued, reports what was heard, fires timers.
    pub fn advance(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let timer = self.timers.iter().map(|(token, at)| (*at, *token)).min();
            let line = self.line.next_ms().map(|wait| self.now + wait);
            let next = [timer.map(|(at, _)| at), line].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.play_until(next.max(self.now));
            if let Some((at, token)) = timer
                && at <= self.now
                && self.timers.remove(&token).is_some()
            {
                self.feed(Event::Timer(token));
            }
        }
        self.play_until(end);
    }

    /// Lets the caller hear everything that is queued.
    pub fn hear_all(&mut self) {
        while let Some(ms) = self.line.next_ms() {
            self.advance(ms);
        }
    }

    /// The model's session exists and accepts the configuration.
    pub fn model_ready(&mut self) -> Vec<Action> {
        self.model_ready_as(Dialect::Ga)
    }

    /// As [`model_ready`](Self::model_ready), in a dialect.
    pub fn model_ready_as(&mut self, dialect: Dialect) -> Vec<Action> {
        let mut actions = self.feed(Event::ModelReady(model_info(dialect)));
        actions.extend(self.model(json!({"type": "session.updated", "session": {}})));
        actions
    }

    /// The model's socket is lost.
    pub fn model_lost(&mut self) -> Vec<Action> {
        self.response = None;
        self.feed(Event::ModelLost("reset".into()))
    }

    /// A new session exists and accepts the configuration.
    pub fn model_restored(&mut self) -> Vec<Action> {
        let mut actions = self.feed(Event::ModelRestored(model_info(Dialect::Ga)));
        actions.extend(self.model(json!({"type": "session.updated", "session": {}})));
        actions
    }

    /// Any server event.
    pub fn model(&mut self, event: Value) -> Vec<Action> {
        self.feed(Event::ModelEvent(event.to_string()))
    }

    /// The model begins a response; returns its id.
    pub fn response_begins(&mut self) -> String {
        let id = self.id("resp");
        self.response = Some(id.clone());
        self.model(
            json!({"type": "response.created", "response": {"id": id, "status": "in_progress"}}),
        );
        id
    }

    /// Some of the model's voice, silent, in the session's format.
    pub fn audio(&mut self, response: &str, item: &str, ms: u64) -> Vec<Action> {
        let bytes_per_ms = self.call().state.format.bytes_per_ms() as usize;
        self.feed(Event::ModelAudio(ModelAudio {
            response: response.to_owned(),
            item: item.to_owned(),
            content_index: 0,
            data: vec![0; ms as usize * bytes_per_ms],
        }))
    }

    /// The model has generated all of an item.
    pub fn item_done(&mut self, item: &str, text: &str) {
        self.model(json!({"type": "response.output_audio.done", "item_id": item}));
        self.model(json!({
            "type": "response.output_audio_transcript.done", "item_id": item, "transcript": text,
        }));
    }

    /// The response ends with this status.
    pub fn response_ends(&mut self, status: &str) -> Vec<Action> {
        let id = self.response.take().unwrap_or_else(|| "resp_unknown".into());
        self.model(json!({
            "type": "response.done",
            "response": {"id": id, "status": status, "usage": {"total_tokens": 42}},
        }))
    }

    /// The model says something whole, much faster than the caller can hear it; returns the item.
    pub fn model_says(&mut self, text: &str, ms: u64) -> String {
        let (response, item) = (self.response_begins(), self.id("item"));
        for chunk in chunks(ms, 70) {
            self.audio(&response, &item, chunk);
        }
        self.item_done(&item, text);
        self.response_ends("completed");
        item
    }

    /// The model has said this much and goes on; returns response and item.
    pub fn model_is_saying(&mut self, ms: u64) -> (String, String) {
        let (response, item) = (self.response_begins(), self.id("item"));
        for chunk in chunks(ms, 70) {
            self.audio(&response, &item, chunk);
        }
        (response, item)
    }

    /// The model calls a tool, in a response of its own that is then done; returns the call id.
    pub fn model_calls(&mut self, tool: &str, arguments: &str) -> String {
        self.response_begins();
        let call_id = self.tool_item(tool, arguments, "completed");
        self.response_ends("completed");
        call_id
    }

    /// A finished function call within the present response; returns the call id.
    pub fn tool_item(&mut self, tool: &str, arguments: &str, status: &str) -> String {
        let call_id = self.id("call");
        self.model(json!({
            "type": "response.output_item.done",
            "item": {
                "id": format!("fc_{call_id}"), "type": "function_call", "status": status,
                "name": tool, "call_id": call_id, "arguments": arguments,
            },
        }));
        call_id
    }

    /// The caller begins to speak.
    pub fn caller_interrupts(&mut self) -> Vec<Action> {
        let item = self.id("user");
        self.speech = Some(item.clone());
        self.model(json!({
            "type": "input_audio_buffer.speech_started", "audio_start_ms": self.now, "item_id": item,
        }))
    }

    /// The caller says something from start to end, and it is written down; returns the item.
    pub fn caller_says(&mut self, text: &str) -> String {
        self.caller_interrupts();
        self.caller_stops(text)
    }

    /// The caller's turn ends and is written down; returns the item.
    pub fn caller_stops(&mut self, text: &str) -> String {
        let item = self.speech.take().unwrap_or_else(|| self.id("user"));
        self.model(json!({
            "type": "input_audio_buffer.speech_stopped", "audio_end_ms": self.now, "item_id": item,
        }));
        self.model(json!({"type": "input_audio_buffer.committed", "item_id": item}));
        self.model(json!({
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": item, "content_index": 0, "transcript": text,
        }));
        item
    }

    /// The caller presses a key.
    pub fn key(&mut self, key: char) -> Vec<Action> {
        self.feed(Event::CallerKey(key.to_string()))
    }

    /// The last HTTP request is answered.
    ///
    /// # Panics
    ///
    /// When there was none.
    pub fn http_answers(&mut self, status: u16, body: &str) -> Vec<Action> {
        let token = self.requests().last().expect("a request was made").token;
        let (headers, body) = (Vec::new(), body.as_bytes().to_vec());
        self.feed(Event::HttpDone(HttpResponse { token, status, headers, body }))
    }

    /// The host declines an action.
    pub fn refuse(&mut self, action: &str, reason: &str) -> Vec<Action> {
        let (action, reason) = (action.to_owned(), reason.to_owned());
        self.feed(Event::Refused(Refusal { action, reason }))
    }

    /// The caller hangs up.
    pub fn caller_hangs_up(&mut self) -> Vec<Action> {
        self.ended = true;
        self.feed(Event::Ended(Ended::CallerHungUp))
    }
}

/// What came of it.
impl<T: Tenant> Harness<T> {
    /// Milliseconds since the call began.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The tenant.
    pub fn tenant(&self) -> &T {
        self.instance.tenant()
    }

    /// The call, as the tenant sees it.
    pub fn call(&self) -> &Call {
        self.instance.call()
    }

    /// The instance's saved state.
    pub fn save(&self) -> Vec<u8> {
        self.instance.save()
    }

    /// Every action so far, with its time.
    pub fn log(&self) -> &[(u64, Action)] {
        &self.log
    }

    /// Every action so far.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.log.iter().map(|(_, action)| action)
    }

    /// Forgets the actions so far, so that an assertion is about what follows.
    pub fn forget(&mut self) {
        self.log.clear();
    }

    /// The client events of this type.
    ///
    /// # Panics
    ///
    /// When the tenant sent something that is not JSON.
    pub fn sent(&self, kind: &str) -> Vec<Value> {
        self.sent_all().into_iter().filter(|event| event["type"] == kind).collect()
    }

    /// All client events.
    ///
    /// # Panics
    ///
    /// When the tenant sent something that is not JSON.
    pub fn sent_all(&self) -> Vec<Value> {
        self.actions()
            .filter_map(|action| match action {
                Action::ModelEvent(json) => {
                    Some(serde_json::from_str(json).expect("a client event is JSON"))
                }
                _ => None,
            })
            .collect()
    }

    /// What was published under a topic.
    ///
    /// # Panics
    ///
    /// When the tenant published something that is not JSON.
    pub fn published(&self, topic: &str) -> Vec<Value> {
        self.actions()
            .filter_map(|action| match action {
                Action::Publish(publication) if publication.topic == topic => {
                    Some(serde_json::from_str(&publication.json).expect("a publication is JSON"))
                }
                _ => None,
            })
            .collect()
    }

    /// How often the caller's queue was flushed.
    pub fn flushes(&self) -> usize {
        self.actions().filter(|action| matches!(action, Action::Flush)).count()
    }

    /// Milliseconds of audio handed over for playing.
    pub fn played_ms(&self) -> u64 {
        let bytes: usize = self
            .actions()
            .map(|action| match action {
                Action::Play(play) => play.audio.len(),
                _ => 0,
            })
            .sum();
        bytes as u64 / line_bytes_per_ms(&self.info)
    }

    /// The HTTP requests.
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.actions()
            .filter_map(|action| match action {
                Action::Http(request) => Some(request.clone()),
                _ => None,
            })
            .collect()
    }

    /// Where the caller was put through to.
    pub fn transfers(&self) -> Vec<String> {
        self.actions()
            .filter_map(|action| match action {
                Action::Transfer(transfer) => Some(transfer.to.clone()),
                _ => None,
            })
            .collect()
    }

    /// The hang-up that still waits or has happened.
    pub fn hang_up(&self) -> Option<&HangUp> {
        self.hang_up.as_ref()
    }

    /// True once the line is down.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// True when nothing is queued for the caller.
    pub fn line_is_silent(&self) -> bool {
        self.line.is_silent()
    }
}

/// The host's side.
impl<T: Tenant> Harness<T> {
    fn carry_out(&mut self, actions: Vec<Action>) {
        // The host carries a whole answer out before it hands the next event in.
        let mut flushed = Vec::new();
        for action in actions {
            self.log.push((self.now, action.clone()));
            match action {
                Action::Play(play) => self.line.play(play),
                Action::Mark(name) => self.line.mark(name),
                Action::Flush => flushed.push(self.line.flush()),
                Action::SetTimer(timer) => {
                    self.timers.insert(timer.token, timer.at);
                }
                Action::CancelTimer(token) => {
                    self.timers.remove(&token);
                }
                Action::HangUp(hang_up) => {
                    self.ended |= hang_up.when == HangUpWhen::Now;
                    self.hang_up = Some(hang_up);
                }
                Action::CancelHangUp => self.hang_up = None,
                Action::Transfer(_) => self.ended = true,
                Action::ModelAudio(_)
                | Action::ModelEvent(_)
                | Action::Http(_)
                | Action::SendKeys(_)
                | Action::Publish(_) => {}
            }
        }
        for flushed in flushed {
            self.feed(Event::Flushed(flushed));
        }
        if self.hang_up.is_some() && self.line.is_silent() {
            self.ended = true;
        }
    }

    fn play_until(&mut self, at: u64) {
        self.line.pass(at - self.now);
        self.now = at;
        while let Some(event) = self.line.due() {
            self.feed(event);
        }
        if self.hang_up.is_some() && self.line.is_silent() {
            self.ended = true;
        }
    }

    fn id(&mut self, kind: &str) -> String {
        self.ids += 1;
        format!("{kind}_{}", self.ids)
    }
}

/// A call as the carrier begins it: mu-law at 8 kHz, inbound, no settings.
pub fn call_info() -> CallInfo {
    CallInfo {
        call_id: "CA0".into(),
        stream_id: "MZ0".into(),
        tenant: "test".into(),
        version: "1".into(),
        direction: Direction::Inbound,
        caller: Some("+15550123".into()),
        callee: Some("+15550199".into()),
        format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
        parameters: Vec::new(),
        settings: "{}".into(),
        restarted: false,
    }
}

fn model_info(dialect: Dialect) -> ModelInfo {
    ModelInfo { session: "sess_0".into(), model: "gpt-realtime-2.1".into(), dialect }
}

fn line_bytes_per_ms(info: &CallInfo) -> u64 {
    let bytes_per_sample = match info.format.encoding {
        Encoding::Mulaw | Encoding::Alaw => 1,
        Encoding::Pcm16 => 2,
    };
    u64::from(info.format.sample_rate) * bytes_per_sample / 1_000
}

/// Splits a duration into pieces as uneven as a server's.
fn chunks(ms: u64, each: u64) -> impl Iterator<Item = u64> {
    (0..ms.div_ceil(each)).map(move |n| each.min(ms - n * each))
}
