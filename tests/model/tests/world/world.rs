//! One call in its world: everything that happens, in order of time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cordboard_call::contract::{
    AudioFormat, CallInfo, Dialect, Direction, Encoding, Event, HttpFailure, HttpResponse,
    ModelInfo,
};
use cordboard_call::{
    Call, CallConfig, HangUpBy, Input, Limits, Output, Phase, Rest, RestKind, Summary, TenantFault,
    ToCarrier, ToModel,
};
use cordboard_model_tests::{Carrier, Dice};
use cordboard_wire::openai::{
    AudioFormat as ModelFormat, ErrorKind, Rejection, ServerEvent, SessionAudio,
};
use cordboard_wire::twilio::{FromCarrier, Track};

use crate::ledger::{Ledger, numbered_frame};
use crate::tenant::Tenant;
use crate::weather::Weather;

const TICK: Duration = Duration::from_millis(100);
const FRAME: Duration = Duration::from_millis(20);

/// How a call went, from outside.
pub(crate) struct Outcome {
    pub(crate) summary: Summary,
    pub(crate) heard_ms: u64,
    /// Pauses the caller heard between two frames of one item.
    pub(crate) gaps_within_items: usize,
    /// For every flushed item, what was reported less what was true.
    pub(crate) flush_errors_ms: Vec<i64>,
}

pub(crate) struct World {
    dice: Dice,
    weather: Weather,
    now: Duration,
    agenda: BTreeMap<(Duration, u64), Happening>,
    entries: u64,

    call: Call,
    ledger: Ledger,
    apology: Arc<[u8]>,
    wake: Option<(Duration, Duration)>,
    wakes: u64,

    carrier: Carrier,
    stream: u64,
    is_line_up: bool,
    /// The gateway was told that the stream is over.
    is_end_known: bool,
    written: Option<Duration>,
    to_carrier: Duration,
    from_carrier: Duration,
    frames_made: u32,
    frame_stamp_ms: u64,
    stalled_until: Duration,
    last_arrived: Option<u32>,

    model: Model,
    /// Every byte but silence, so that nothing can be mistaken for its neighbour.
    voice: Vec<u8>,
    tenant: Tenant,
    is_instance: bool,
    outstanding: Option<Event>,
    apologised: bool,
    summary: Option<Summary>,
    gaps: usize,
    flush_errors_ms: Vec<i64>,
}

/// The model server and its socket.
#[derive(Debug, Default)]
struct Model {
    /// Sockets opened or tried; what was sent on an older one is lost.
    socket: u64,
    is_up: bool,
    is_speech_open: bool,
    items: u32,
    deltas: u32,
    /// The item being spoken; deltas of others are dead.
    speaking: u32,
    /// The last item of which something was said.
    begun: u32,
}

#[derive(Debug)]
enum Happening {
    CallerFrame,
    Tick,
    CallerHangsUp,
    AtGateway { stream: u64, input: Input },
    AtCarrier { stream: u64, message: ToCarrier },
    ModelConnected { socket: u64 },
    ModelSays { socket: u64, event: ServerEvent },
    ModelSpeaks { socket: u64, item: u32, left: u32 },
    SpeechEnds { socket: u64 },
    TenantAnswers,
    InstanceReady { exists: bool },
    RestAnswers { kind: RestKind, is_done: bool },
    NewStream,
    HttpAnswers { token: u64, is_done: bool },
}

impl World {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        let apology: Arc<[u8]> = vec![0x55; 4_000].into();
        let info = CallInfo {
            call_id: "CA".to_owned(),
            stream_id: "MZ".to_owned(),
            tenant: "t".to_owned(),
            version: "1".to_owned(),
            direction: Direction::Inbound,
            caller: None,
            callee: None,
            format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
            parameters: Vec::new(),
            settings: "{}".to_owned(),
            restarted: false,
        };
        let limits = Limits::default();
        let config = CallConfig { info, limits, apology: apology.clone(), rest: weather.rest };
        Self {
            dice: Dice::new(seed ^ 0xC0DE),
            now: Duration::ZERO,
            agenda: BTreeMap::new(),
            entries: 0,
            call: Call::new(config).expect("the format is supported"),
            ledger: Ledger::default(),
            apology,
            wake: None,
            wakes: 0,
            carrier: Carrier::default(),
            stream: 0,
            is_line_up: true,
            is_end_known: false,
            written: None,
            to_carrier: Duration::ZERO,
            from_carrier: Duration::ZERO,
            frames_made: 0,
            frame_stamp_ms: 120,
            stalled_until: Duration::ZERO,
            last_arrived: None,
            model: Model::default(),
            voice: (0..4_000).map(|at| (at % 249 + 1) as u8).collect(),
            tenant: Tenant::default(),
            is_instance: true,
            outstanding: None,
            apologised: false,
            summary: None,
            gaps: 0,
            flush_errors_ms: Vec::new(),
            weather,
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        self.plan(Duration::ZERO, Happening::CallerFrame);
        self.plan(TICK, Happening::Tick);
        self.plan(Duration::from_millis(self.weather.length_ms), Happening::CallerHangsUp);
        self.connect_model();
        self.feed(Input::Begin);
        let patience = Duration::from_millis(self.weather.length_ms) + Duration::from_secs(30);
        while self.summary.is_none() {
            assert!(self.now < patience, "the call never ends: {:?}", self.call.phase());
            self.step();
        }
        self.conclude()
    }

    fn conclude(mut self) -> Outcome {
        let summary = self.summary.take().expect("the call is over");
        let is_apology_due = self.apologised && self.is_line_up;
        self.ledger.over(self.is_instance, is_apology_due);
        self.count_gaps();
        let heard_ms = self.carrier.heard(self.now).len() as u64 / 8;
        assert_eq!(summary.counts.wakes, self.wakes);
        let seconds = self.now.as_secs() + 1;
        assert!(self.wakes < seconds * 100, "{} wake-ups in {seconds} s", self.wakes);
        Outcome {
            summary,
            heard_ms,
            gaps_within_items: self.gaps,
            flush_errors_ms: self.flush_errors_ms,
        }
    }

    /// Lets the next thing happen, whatever it is.
    fn step(&mut self) {
        let planned = self.agenda.keys().next().map(|(at, _)| *at);
        let echo = self.carrier.next_echo().filter(|_| self.is_line_up);
        let wake = self.wake_time();
        let next =
            [planned, echo, wake].into_iter().flatten().min().expect("a frame is always due");
        self.now = self.now.max(next);
        if echo == Some(next) {
            self.echo();
        } else if planned == Some(next) {
            let (_, happening) = self.agenda.pop_first().expect("it was just seen");
            self.happen(happening);
        } else {
            self.wakes += 1;
            self.feed(Input::Wake);
        }
    }

    /// When the gateway will wake: never early, and as late as the weather has it.
    fn wake_time(&mut self) -> Option<Duration> {
        let asked = self.call.wake_at()?;
        match self.wake {
            Some((known, at)) if known == asked => Some(at),
            _ => {
                let at = asked + self.dice.time(0, self.weather.late_ms);
                self.wake = Some((asked, at));
                Some(at)
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::CallerFrame => self.caller_frame(),
            Happening::Tick => self.tick(),
            Happening::CallerHangsUp => self.line_ends(Input::Carrier(FromCarrier::Stop)),
            Happening::AtGateway { stream, input } if stream == self.stream => {
                self.at_gateway(input)
            }
            Happening::AtCarrier { stream, message } if stream == self.stream => {
                self.at_carrier(message);
            }
            Happening::ModelConnected { socket } if socket == self.model.socket => {
                self.model_connected();
            }
            Happening::ModelSays { socket, event }
                if socket == self.model.socket && self.model.is_up =>
            {
                self.feed(Input::Model(event));
            }
            Happening::ModelSpeaks { socket, item, left } if socket == self.model.socket => {
                self.model_speaks(item, left);
            }
            Happening::SpeechEnds { socket } if socket == self.model.socket => {
                self.model.is_speech_open = false;
                self.model_says(server_event("input_audio_buffer.speech_stopped", ""));
                self.respond();
            }
            Happening::TenantAnswers => self.tenant_answers(),
            Happening::InstanceReady { exists } => {
                self.is_instance = exists && self.call.phase() == Phase::Live;
                self.tenant.forget();
                self.feed(match exists {
                    true => Input::TenantReady,
                    false => Input::TenantGone { reason: "no room".to_owned() },
                });
            }
            Happening::RestAnswers { kind, is_done } => self.rest_answers(kind, is_done),
            Happening::NewStream => self.new_stream(),
            Happening::HttpAnswers { token, is_done } => self.feed(match is_done {
                true => Input::HttpDone(HttpResponse {
                    token,
                    status: 200,
                    headers: Vec::new(),
                    body: Vec::new(),
                }),
                false => Input::HttpFailed(HttpFailure { token, reason: "reset".to_owned() }),
            }),
            // Of a stream or socket that is no more.
            Happening::AtGateway { .. }
            | Happening::AtCarrier { .. }
            | Happening::ModelConnected { .. }
            | Happening::ModelSays { .. }
            | Happening::ModelSpeaks { .. }
            | Happening::SpeechEnds { .. } => {}
        }
    }

    // The gateway's shell.

    fn feed(&mut self, input: Input) {
        self.call.handle(self.now, input);
        for _ in 0..20_000 {
            let Some(output) = self.call.poll_output() else {
                let wake = self.call.wake_at();
                assert!(wake.is_none_or(|at| at > self.now), "{wake:?} is past at {:?}", self.now);
                assert!(self.call.events_waiting() <= Limits::default().events_max);
                return;
            };
            assert!(self.summary.is_none(), "{output:?} after the end");
            self.perform(output);
        }
        panic!("the outputs never end");
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Tenant(event) => self.tell(event),
            Output::RestartTenant { .. } => {
                self.is_instance = false;
                let at = self.now + self.dice.time(0, 50);
                let exists = !self.dice.chance(self.weather.no_instance);
                self.plan(at, Happening::InstanceReady { exists });
            }
            Output::Carrier(message) => self.send_to_carrier(message),
            Output::Model(message) => self.at_model(message),
            Output::ConnectModel { .. } => self.connect_model(),
            Output::CloseModel => self.model_gone(),
            Output::Rest(rest) => {
                let kind = rest.kind();
                assert!(self.weather.rest, "{rest:?} without credentials");
                let is_done = !self.dice.chance(200);
                let at = self.now + self.dice.time(10, 5_000);
                self.plan(at, Happening::RestAnswers { kind, is_done });
                if let Rest::Keys(keys) = rest {
                    assert_eq!(keys, "1w2");
                }
            }
            Output::Http(request) => {
                self.ledger.requested(request.token);
                let at = self.now + self.dice.time(0, 500);
                let is_done = self.dice.chance(500);
                self.plan(at, Happening::HttpAnswers { token: request.token, is_done });
            }
            Output::Publish(publication) => self.ledger.published(&publication.json),
            Output::Note(note) => {
                self.apologised |= matches!(note, cordboard_call::Note::Closing { .. });
                let apology = self.apology.clone();
                self.ledger.noted(&note, &apology);
            }
            Output::Ended(summary) => self.summary = Some(summary),
        }
    }

    fn tell(&mut self, event: Event) {
        assert!(self.outstanding.is_none(), "a second event before the first was answered");
        assert!(self.is_instance, "{event:?} for nobody");
        self.check_flush(&event);
        self.ledger.told(self.now, &event);
        self.outstanding = Some(event);
        let thinking_ms = self.weather.thinking_ms;
        if thinking_ms == 0 {
            return self.tenant_answers();
        }
        let at = self.now + self.dice.time(0, thinking_ms);
        self.plan(at, Happening::TenantAnswers);
    }

    fn tenant_answers(&mut self) {
        let Some(event) = self.outstanding.take() else { return };
        if self.dice.chance(self.weather.trap) {
            self.is_instance = matches!(event, Event::Ended(_));
            let fault = TenantFault::Trapped("a trap".to_owned());
            return self.give_inner(Input::TenantFailed { fault });
        }
        let whim = self.weather.whim;
        let actions = self.tenant.answer(self.now, &event, &mut self.dice, whim);
        self.ledger.acted(self.call.phase(), &actions);
        self.give_inner(Input::Answered(actions));
    }

    /// Hands in an answer. One given at once is within the drain already.
    fn give_inner(&mut self, input: Input) {
        if self.weather.thinking_ms == 0 {
            self.call.handle(self.now, input);
        } else {
            self.feed(input);
        }
    }

    // The line and the carrier.

    fn caller_frame(&mut self) {
        if !self.is_line_up {
            return;
        }
        self.plan(self.now + FRAME, Happening::CallerFrame);
        let weather = self.weather.clone();
        if self.dice.chance(weather.stall) {
            self.stalled_until = self.now + self.dice.time(100, 3_000);
        }
        let stamp_ms = self.frame_stamp_ms;
        self.frame_stamp_ms += 20;
        if self.now < self.stalled_until || self.dice.chance(weather.loss) {
            return;
        }
        let bytes = match self.dice.chance(weather.odd) {
            true => self.dice.between(4, 400) as usize,
            false => 160,
        };
        let payload = numbered_frame(self.frames_made, bytes);
        self.frames_made += 1;
        let timestamp_ms = Some(stamp_ms + self.dice.between(0, 9));
        let copies = 1 + usize::from(self.dice.chance(weather.duplicate));
        for _ in 0..copies {
            let (track, payload) = (Track::Inbound, payload.clone());
            self.leave_carrier(Input::Carrier(FromCarrier::Media { track, timestamp_ms, payload }));
        }
        if self.dice.chance(weather.key) {
            self.leave_carrier(Input::Carrier(FromCarrier::Dtmf { digit: '5' }));
        }
        if self.dice.chance(weather.hang_up) {
            self.line_ends(Input::Carrier(FromCarrier::Stop));
        } else if self.dice.chance(weather.carrier_drop) {
            self.line_ends(Input::CarrierClosed);
        }
    }

    fn line_ends(&mut self, input: Input) {
        if self.is_line_up {
            self.leave_carrier(input);
            self.is_line_up = false;
        }
    }

    fn leave_carrier(&mut self, input: Input) {
        let delay = self.delay();
        self.from_carrier = self.from_carrier.max(self.now + delay);
        let stream = self.stream;
        self.plan(self.from_carrier, Happening::AtGateway { stream, input });
    }

    fn at_gateway(&mut self, input: Input) {
        if let Input::Carrier(FromCarrier::Media { payload, .. }) = &input
            && self.call.phase() == Phase::Live
        {
            let number = u32::from_be_bytes(payload[..4].try_into().expect("four bytes"));
            // Of two copies the first counts.
            if self.last_arrived != Some(number) {
                self.ledger.arrived(number);
                self.last_arrived = Some(number);
            }
        }
        self.is_end_known |=
            matches!(input, Input::CarrierClosed | Input::Carrier(FromCarrier::Stop));
        self.feed(input);
    }

    fn send_to_carrier(&mut self, message: ToCarrier) {
        assert!(!self.is_end_known, "{message:?} without a stream");
        self.ledger.sent(self.now, &message);
        // What is written at one time travels together.
        if self.written != Some(self.now) {
            let delay = self.delay();
            self.to_carrier = self.to_carrier.max(self.now + delay);
            self.written = Some(self.now);
        }
        let stream = self.stream;
        self.plan(self.to_carrier, Happening::AtCarrier { stream, message });
    }

    fn at_carrier(&mut self, message: ToCarrier) {
        match message {
            ToCarrier::Media { frames } => self.carrier.media(self.now, frames),
            ToCarrier::Mark { name } => self.carrier.mark(self.now, name),
            ToCarrier::Clear => self.carrier.clear(self.now),
        }
    }

    fn echo(&mut self) {
        let echo = self.carrier.echo(self.now).expect("it is due");
        if !self.dice.chance(self.weather.echo_loss) {
            self.leave_carrier(Input::Carrier(FromCarrier::Mark { name: echo.name }));
        }
    }

    fn delay(&mut self) -> Duration {
        let base = Duration::from_millis(self.weather.delay_ms);
        base + self.dice.time(0, self.weather.jitter_ms)
    }

    fn rest_answers(&mut self, kind: RestKind, is_done: bool) {
        if is_done && self.is_line_up {
            self.line_ends(Input::Carrier(FromCarrier::Stop));
            if kind == RestKind::Keys && self.call.phase() == Phase::Live {
                let at = self.now + self.dice.time(500, 20_000);
                self.plan(at, Happening::NewStream);
            }
        }
        self.feed(match is_done {
            true => Input::RestDone(kind),
            false => Input::RestFailed { kind, reason: "500".to_owned() },
        });
    }

    fn new_stream(&mut self) {
        if self.call.phase() != Phase::Live || self.is_line_up {
            return;
        }
        self.count_gaps();
        self.stream += 1;
        self.carrier = Carrier::default();
        self.is_line_up = true;
        self.is_end_known = false;
        self.ledger.stream_replaced(self.now);
        self.plan(self.now, Happening::CallerFrame);
        self.frame_stamp_ms = 100;
        let end = self.now + Duration::from_secs(3);
        self.plan(end, Happening::CallerHangsUp);
        self.feed(Input::CarrierBack);
    }

    fn count_gaps(&mut self) {
        let heard = self.carrier.heard_of_each(self.now);
        self.gaps += self.carrier.gaps_between(|before, after| {
            let last = self.ledger.messages[before].iter().rev().find_map(|run| run.item);
            let first = self.ledger.messages[after].iter().find_map(|run| run.item);
            heard[after] > 0 && last.is_some() && last == first
        });
    }

    // The model.

    fn connect_model(&mut self) {
        self.model.socket += 1;
        let socket = self.model.socket;
        let at = self.now + self.dice.time(5, 400);
        self.plan(at, Happening::ModelConnected { socket });
    }

    fn model_gone(&mut self) {
        self.model.socket += 1;
        self.model.is_up = false;
        self.model.is_speech_open = false;
    }

    fn model_connected(&mut self) {
        if self.dice.chance(self.weather.refusal) {
            let refused = Some(Rejection::InvalidKey);
            let reason = "no".to_owned();
            return self.feed(Input::ModelDown { reason, retry: false, refused });
        }
        if self.dice.chance(self.weather.connect_failure) {
            let reason = "refused".to_owned();
            return self.feed(Input::ModelDown { reason, retry: true, refused: None });
        }
        self.model.is_up = true;
        self.feed(Input::ModelUp {
            info: ModelInfo {
                session: format!("s{}", self.model.socket),
                model: "m".to_owned(),
                dialect: Dialect::Ga,
            },
        });
    }

    fn at_model(&mut self, message: ToModel) {
        assert!(self.model.is_up, "{message:?} without a socket");
        match message {
            ToModel::Append(audio) => self.ledger.appended(&audio),
            ToModel::Event(event) => match event.kind.as_str() {
                "session.update" => {
                    let format = match self.dice.chance(self.weather.mismatch) {
                        true => ModelFormat::Pcm24k,
                        false => ModelFormat::Pcmu,
                    };
                    let audio = SessionAudio { input: Some(format), output: Some(format) };
                    let json = r#"{"type":"session.updated"}"#.to_owned();
                    self.model_says(ServerEvent::SessionUpdated { audio, json });
                }
                "response.create" => self.respond(),
                "conversation.item.truncate" | "input_audio_buffer.commit" => {}
                other => panic!("the model was sent {other}"),
            },
        }
    }

    fn model_says(&mut self, event: ServerEvent) {
        let at = self.now + Duration::from_millis(15);
        let socket = self.model.socket;
        self.plan(at, Happening::ModelSays { socket, event });
    }

    fn respond(&mut self) {
        if !self.model.is_up || self.model.is_speech_open {
            return;
        }
        self.model.items += 1;
        self.model.speaking = self.model.items;
        let (socket, item) = (self.model.socket, self.model.items);
        let left = self.dice.between(10, 50) as u32;
        let at = self.now + self.dice.time(100, 600);
        self.plan(at, Happening::ModelSpeaks { socket, item, left });
    }

    /// A piece of speech, several times faster than it takes to say.
    fn model_speaks(&mut self, item: u32, left: u32) {
        if self.model.speaking != item || !self.model.is_up {
            return;
        }
        let name = format!("item{item}");
        if left == 0 {
            self.model_says(server_event("response.done", &name));
            // After a while it speaks again, unasked, so that a call is never quiet for long.
            let at = self.now + self.dice.time(2_000, 9_000);
            let socket = self.model.socket;
            self.plan(at, Happening::SpeechEnds { socket });
            return;
        }
        self.model.deltas += 1;
        // It begins with half a second, so that a pause the caller hears is never the model's.
        let is_first = std::mem::replace(&mut self.model.begun, item) != item;
        let bytes = if is_first { 4_000 } else { self.dice.between(1_200, 4_000) as usize };
        let audio = self.voice[..bytes].to_vec();
        let response = format!("r{item}.{}", self.model.deltas);
        self.model_says(ServerEvent::AudioDelta { response, item: name, content_index: 0, audio });
        let at = self.now + self.dice.time(1, 80);
        let socket = self.model.socket;
        self.plan(at, Happening::ModelSpeaks { socket, item, left: left - 1 });
    }

    /// What happens without an occasion.
    fn tick(&mut self) {
        self.plan(self.now + TICK, Happening::Tick);
        if self.model.is_up && !self.model.is_speech_open && self.dice.chance(self.weather.barge_in)
        {
            self.model.is_speech_open = true;
            self.model.speaking = 0;
            self.model_says(server_event("input_audio_buffer.speech_started", ""));
            let at = self.now + self.dice.time(300, 2_000);
            let socket = self.model.socket;
            self.plan(at, Happening::SpeechEnds { socket });
        }
        if self.model.is_up && self.dice.chance(self.weather.model_drop) {
            match self.dice.between(0, 4) {
                0 => self.model_says(ServerEvent::Error {
                    kind: ErrorKind::Expired,
                    code: Some("session_expired".to_owned()),
                    message: "60 minutes".to_owned(),
                    event_id: None,
                    json: "{}".to_owned(),
                }),
                _ => {
                    self.model_gone();
                    let reason = "1006".to_owned();
                    self.feed(Input::ModelDown { reason, retry: true, refused: None });
                }
            }
        }
        if self.dice.chance(self.weather.operator) {
            match self.dice.between(0, 20) {
                0 => {
                    let grace = self.dice.time(0, 3_000);
                    self.feed(Input::HangUp { by: HangUpBy::Drain, grace });
                }
                1 => self.feed(Input::HangUp { by: HangUpBy::Operator, grace: Duration::ZERO }),
                _ => self.feed(Input::Command("{}".to_owned())),
            }
        }
    }

    fn check_flush(&mut self, event: &Event) {
        let Event::Flushed(flushed) = event else { return };
        let heard_of_each = self.carrier.heard_of_each(self.now);
        for heard in &flushed.items {
            let truth = self.ledger.heard_bytes(&heard.item, &heard_of_each) / 8;
            self.flush_errors_ms.push(i64::from(heard.millis) - truth as i64);
        }
    }

    fn plan(&mut self, at: Duration, happening: Happening) {
        self.entries += 1;
        self.agenda.insert((at, self.entries), happening);
    }
}

fn server_event(kind: &str, done: &str) -> ServerEvent {
    let json = format!(r#"{{"type":"{kind}","done":"{done}"}}"#);
    ServerEvent::Other { kind: kind.to_owned(), json }
}
