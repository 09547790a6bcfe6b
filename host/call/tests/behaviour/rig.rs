//! A call on a rig: a virtual clock, a carrier that plays without delay, and a tenant in a
//! closure.

use std::collections::VecDeque;
use std::time::Duration;

use cordboard_call::contract::{
    Action, AudioFormat, CallInfo, Dialect, Direction, Encoding, Event, Heard, ModelInfo, Play,
};
use cordboard_call::{
    Call, CallConfig, Input, Limits, Note, Now, Output, Rest, Summary, TenantFault, ToCarrier,
    ToModel,
};
use cordboard_wire::openai::{AudioFormat as ModelFormat, ServerEvent, SessionAudio};
use cordboard_wire::twilio::{FromCarrier, Track};

pub(crate) type Tenant = Box<dyn FnMut(Now, &Event) -> Answer>;

/// What a tenant does with an event.
pub(crate) enum Answer {
    Do(Vec<Action>),
    Fail(TenantFault),
}

/// Everything around one call, and all that came out of it with its time.
pub(crate) struct Rig {
    pub(crate) call: Call,
    pub(crate) now: Now,
    tenant: Tenant,
    /// What the tenant is to do with its next events before the closure is asked.
    next_actions: Vec<Action>,
    /// False: the test answers `RestartTenant` itself.
    pub(crate) restarts_by_itself: bool,
    pub(crate) told: Vec<(Now, Event)>,
    pub(crate) sent: Vec<(Now, ToCarrier)>,
    pub(crate) to_model: Vec<ToModel>,
    pub(crate) notes: Vec<Note>,
    pub(crate) connects: Vec<(Now, u32)>,
    pub(crate) closes: usize,
    pub(crate) rest: Vec<Rest>,
    pub(crate) others: Vec<Output>,
    pub(crate) summary: Option<(Now, Summary)>,
    /// The carrier's playout: when what it has will be played, and the marks to come.
    played_until: Now,
    marks: VecDeque<(Now, String)>,
    /// By how much echoes come later than what they stand for was played.
    pub(crate) echo_delay: Duration,
    /// False: the carrier loses echoes.
    pub(crate) echoes: bool,
    stamp_ms: u64,
    pub(crate) wakes: usize,
}

pub(crate) fn ms(ms: u64) -> Now {
    Duration::from_millis(ms)
}

pub(crate) fn info() -> CallInfo {
    CallInfo {
        call_id: "CA1".to_owned(),
        stream_id: "MZ1".to_owned(),
        tenant: "t".to_owned(),
        version: "1".to_owned(),
        direction: Direction::Inbound,
        caller: None,
        callee: None,
        format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
        parameters: Vec::new(),
        settings: "{}".to_owned(),
        restarted: false,
    }
}

pub(crate) fn config() -> CallConfig {
    let apology = vec![0x55; 8_000].into();
    // Most tests let time pass without a caller; the one about silence sets its own limit.
    let limits = Limits { carrier_silence_max: ms(1_000_000_000), ..Limits::default() };
    CallConfig { info: info(), limits, apology, rest: false }
}

pub(crate) fn model_info() -> ModelInfo {
    ModelInfo { session: "sess_1".to_owned(), model: "m".to_owned(), dialect: Dialect::Ga }
}

pub(crate) fn play(item: &str, bytes: usize, last: bool) -> Action {
    Action::Play(Play { item: item.to_owned(), audio: vec![0x11; bytes], last })
}

pub(crate) fn heard(item: &str, millis: u32, complete: bool) -> Event {
    Event::Heard(Heard { item: item.to_owned(), millis, complete })
}

pub(crate) const UPDATE: &str = r#"{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcmu"}}}}}"#;

pub(crate) fn updated(format: ModelFormat) -> ServerEvent {
    let audio = SessionAudio { input: Some(format), output: Some(format) };
    ServerEvent::SessionUpdated { audio, json: r#"{"type":"session.updated"}"#.to_owned() }
}

pub(crate) fn server_event(kind: &str) -> ServerEvent {
    ServerEvent::Other { kind: kind.to_owned(), json: format!(r#"{{"type":"{kind}"}}"#) }
}

impl Rig {
    /// A call with a tenant that does nothing of its own; it has begun.
    pub(crate) fn new() -> Self {
        Self::with(config(), |_, _| Answer::Do(Vec::new()))
    }

    pub(crate) fn with(
        config: CallConfig,
        tenant: impl FnMut(Now, &Event) -> Answer + 'static,
    ) -> Self {
        let mut rig = Self {
            call: Call::new(config).expect("the format is supported"),
            now: Now::ZERO,
            tenant: Box::new(tenant),
            next_actions: Vec::new(),
            restarts_by_itself: true,
            told: Vec::new(),
            sent: Vec::new(),
            to_model: Vec::new(),
            notes: Vec::new(),
            connects: Vec::new(),
            closes: 0,
            rest: Vec::new(),
            others: Vec::new(),
            summary: None,
            played_until: Now::ZERO,
            marks: VecDeque::new(),
            echo_delay: Duration::ZERO,
            echoes: true,
            stamp_ms: 100,
            wakes: 0,
        };
        rig.feed(Input::Begin);
        rig
    }

    /// With the model's session up and confirmed; the tenant asks for it if the closure does not.
    pub(crate) fn with_model(
        config: CallConfig,
        mut tenant: impl FnMut(Now, &Event) -> Answer + 'static,
    ) -> Self {
        let mut rig = Self::with(config, move |now, event| match (tenant(now, event), event) {
            (Answer::Do(actions), Event::ModelReady(_) | Event::ModelRestored(_))
                if actions.is_empty() =>
            {
                Answer::Do(vec![Action::ModelEvent(UPDATE.to_owned())])
            }
            (answer, _) => answer,
        });
        rig.feed(Input::ModelUp { info: model_info() });
        rig.feed(Input::Model(updated(ModelFormat::Pcmu)));
        rig
    }

    pub(crate) fn feed(&mut self, input: Input) {
        self.call.handle(self.now, input);
        self.drain();
    }

    /// Lets the tenant do this, as its answer to an operator's command.
    pub(crate) fn act(&mut self, actions: Vec<Action>) {
        self.next_actions = actions;
        self.feed(Input::Command("{}".to_owned()));
    }

    /// A frame of the caller, 20 ms behind the last in both clocks' terms.
    pub(crate) fn frame(&mut self, byte: u8) {
        self.stamp_ms += 20;
        self.media(self.stamp_ms, vec![byte; 160]);
    }

    pub(crate) fn media(&mut self, stamp_ms: u64, payload: Vec<u8>) {
        self.stamp_ms = stamp_ms;
        let timestamp_ms = Some(stamp_ms);
        self.feed(Input::Carrier(FromCarrier::Media {
            track: Track::Inbound,
            timestamp_ms,
            payload,
        }));
    }

    /// The carrier comes back with a new stream, which has nothing to play.
    pub(crate) fn carrier_back(&mut self) {
        self.played_until = self.now;
        self.marks.clear();
        self.feed(Input::CarrierBack);
    }

    /// Runs to a time, waking the call and echoing marks when they are due.
    pub(crate) fn run_to(&mut self, to: Now) {
        loop {
            let echo = self.marks.front().map(|(at, _)| *at).filter(|_| self.echoes);
            let wake = self.call.wake_at();
            let Some(next) = echo.into_iter().chain(wake).min().filter(|next| *next <= to) else {
                break;
            };
            self.now = self.now.max(next);
            if echo == Some(next) {
                let (_, name) = self.marks.pop_front().expect("it was just looked at");
                self.feed(Input::Carrier(FromCarrier::Mark { name }));
            } else {
                self.wakes += 1;
                self.feed(Input::Wake);
            }
        }
        self.now = to;
    }

    pub(crate) fn run_for(&mut self, time_ms: u64) {
        self.run_to(self.now + ms(time_ms));
    }

    pub(crate) fn queued_at_carrier(&self) -> Duration {
        self.played_until.saturating_sub(self.now)
    }

    pub(crate) fn frames(&self) -> Vec<u8> {
        let frames = self.sent.iter().filter_map(|(_, message)| match message {
            ToCarrier::Media { frames } => Some(frames.as_slice()),
            ToCarrier::Mark { .. } | ToCarrier::Clear => None,
        });
        frames.collect::<Vec<_>>().concat()
    }

    pub(crate) fn clears(&self) -> usize {
        self.sent.iter().filter(|(_, message)| *message == ToCarrier::Clear).count()
    }

    /// What the tenant was told, without the operator's commands and the beginning.
    pub(crate) fn events(&self) -> Vec<Event> {
        let own = |event: &Event| !matches!(event, Event::Command(_) | Event::Started(_));
        self.told.iter().map(|(_, event)| event.clone()).filter(own).collect()
    }

    pub(crate) fn caller_audio(&self) -> Vec<Vec<u8>> {
        let audio = self.told.iter().filter_map(|(_, event)| match event {
            Event::CallerAudio(audio) => Some(audio.clone()),
            _ => None,
        });
        audio.collect()
    }

    pub(crate) fn refusals(&self) -> Vec<(String, String)> {
        let refusals = self.told.iter().filter_map(|(_, event)| match event {
            Event::Refused(refusal) => Some((refusal.action.clone(), refusal.reason.clone())),
            _ => None,
        });
        refusals.collect()
    }

    pub(crate) fn appended(&self) -> Vec<Vec<u8>> {
        let appended = self.to_model.iter().filter_map(|message| match message {
            ToModel::Append(audio) => Some(audio.clone()),
            ToModel::Event(_) => None,
        });
        appended.collect()
    }

    pub(crate) fn model_events(&self) -> Vec<&str> {
        let events = self.to_model.iter().filter_map(|message| match message {
            ToModel::Event(event) => Some(event.kind.as_str()),
            ToModel::Append(_) => None,
        });
        events.collect()
    }

    fn drain(&mut self) {
        for _ in 0..100_000 {
            let Some(output) = self.call.poll_output() else {
                assert!(
                    self.call.wake_at().is_none_or(|at| at > self.now),
                    "a wake-up at {:?} in the past of {:?}",
                    self.call.wake_at(),
                    self.now
                );
                return;
            };
            assert!(self.summary.is_none(), "{output:?} after the end");
            self.perform(output);
        }
        panic!("the outputs never end");
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Tenant(event) => {
                let answer = match event {
                    Event::Command(_) if !self.next_actions.is_empty() => {
                        Answer::Do(std::mem::take(&mut self.next_actions))
                    }
                    _ => (self.tenant)(self.now, &event),
                };
                self.told.push((self.now, event));
                let input = match answer {
                    Answer::Do(actions) => Input::Answered(actions),
                    Answer::Fail(fault) => Input::TenantFailed { fault },
                };
                self.call.handle(self.now, input);
            }
            Output::RestartTenant { .. } => {
                if self.restarts_by_itself {
                    self.call.handle(self.now, Input::TenantReady);
                }
                self.others.push(output);
            }
            Output::Carrier(message) => {
                self.play_at_carrier(&message);
                self.sent.push((self.now, message));
            }
            Output::Model(message) => self.to_model.push(message),
            Output::ConnectModel { attempt } => self.connects.push((self.now, attempt)),
            Output::CloseModel => self.closes += 1,
            Output::Rest(rest) => self.rest.push(rest),
            Output::Note(note) => self.notes.push(note),
            Output::Ended(summary) => self.summary = Some((self.now, summary)),
            Output::Http(_) | Output::Publish(_) => self.others.push(output),
        }
    }

    fn play_at_carrier(&mut self, message: &ToCarrier) {
        let free = self.played_until.max(self.now);
        match message {
            ToCarrier::Media { frames } => {
                assert_eq!(frames.len() % 160, 0, "a partial frame was sent");
                assert!(
                    (1..=5).contains(&(frames.len() / 160)),
                    "a message of {} bytes",
                    frames.len()
                );
                self.played_until = free + ms(frames.len() as u64 / 8);
                assert!(self.queued_at_carrier() <= ms(400), "more than the lead is queued");
            }
            ToCarrier::Mark { name } => {
                self.marks.push_back((free + self.echo_delay, name.clone()));
            }
            ToCarrier::Clear => {
                self.played_until = self.now;
                for (due, _) in &mut self.marks {
                    *due = self.now;
                }
            }
        }
    }
}
