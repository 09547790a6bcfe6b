//! Guests with one fault each, and a stand to try them on.
//!
//! The guests are the examples of `misbehaving/`, compiled by this crate's build script. What must happen to each is in
//! `tests/misbehaving.rs`, where a guest without a test of its name does not compile.

pub mod bombs;

use std::fs;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cordboard_call::contract::{
    Action, AudioFormat, CallInfo, Direction, Encoding, Event, Millis, ModelAudio, ModelInfo,
};
use cordboard_tenant::{
    CompileLimits, Component, CpuQuota, Engine, EngineConfig, Fault, Instance, InstanceConfig,
    Limits, LogLevel, LogSink, VetError,
};

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// The engine of all tests in this process: making one sets aside a lot of address space.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        Engine::new(&EngineConfig { instances_max: 200 }).expect("this machine can run guests")
    })
}

/// The bytes of a guest.
pub fn bytes(name: &str) -> Vec<u8> {
    fs::read(path(name)).expect("the build script has just made it")
}

/// Vets and compiles a guest.
///
/// # Errors
///
/// What vetting says.
pub fn component(name: &str) -> Result<Component, VetError> {
    Component::vet_and_compile(engine(), &bytes(name), &CompileLimits::default())
}

/// The lines a guest has said.
#[derive(Debug, Default)]
pub struct Lines(Mutex<Vec<(LogLevel, String)>>);

impl Lines {
    /// All lines so far.
    pub fn all(&self) -> Vec<(LogLevel, String)> {
        self.0.lock().expect("no line panics").clone()
    }
}

impl LogSink for Lines {
    fn line(&self, level: LogLevel, line: &str) {
        self.0.lock().expect("no line panics").push((level, line.to_owned()));
    }
}

/// A guest on the stand: one instance, its log, and a clock that moves 20 ms at each event.
#[derive(Debug)]
pub struct Stand {
    /// The instance itself.
    pub instance: Instance,
    /// What it has said.
    pub lines: Arc<Lines>,
    now: Millis,
}

/// Limits under which no guest fails for being slow on a busy machine: a test that is not about processor time must not
/// depend on it. Guests that loop end at the default budgets.
#[must_use]
pub fn patient() -> Limits {
    let wide = Duration::from_secs(100);
    Limits { event_cpu: wide, start_cpu: wide, handover_cpu: wide, ..Limits::default() }
}

impl Stand {
    /// Starts a guest with the usual limits.
    ///
    /// # Errors
    ///
    /// The fault it starts with.
    pub async fn start(name: &str) -> Result<Self, Fault> {
        let limits = if name.starts_with("loops") { Limits::default() } else { patient() };
        Self::start_with(name, limits, 1).await
    }

    /// Starts a guest with these limits and a seed made of one byte.
    ///
    /// # Errors
    ///
    /// The fault it starts with.
    pub async fn start_with(name: &str, limits: Limits, seed: u8) -> Result<Self, Fault> {
        let component = component(name).expect("a guest that is to start passes vetting");
        Self::start_component(&component, limits, seed).await
    }

    /// Starts a component that is compiled already.
    ///
    /// # Errors
    ///
    /// The fault it starts with.
    pub async fn start_component(
        component: &Component,
        limits: Limits,
        seed: u8,
    ) -> Result<Self, Fault> {
        Self::start_within(component, limits, seed, Arc::default()).await
    }

    /// Starts a component as one instance of a tenant that has this account of CPU time.
    ///
    /// # Errors
    ///
    /// The fault it starts with.
    pub async fn start_within(
        component: &Component,
        limits: Limits,
        seed: u8,
        cpu_quota: Arc<CpuQuota>,
    ) -> Result<Self, Fault> {
        let lines = Arc::new(Lines::default());
        let config = InstanceConfig {
            seed: [seed; 32],
            began_unix_ms: 1_700_000_000_000,
            log: Arc::clone(&lines) as _,
            limits: Arc::new(limits),
            cpu_quota,
        };
        let instance = Instance::start(component, config).await?;
        Ok(Self { instance, lines, now: 0 })
    }

    /// Hands in one event, 20 ms after the last.
    ///
    /// # Errors
    ///
    /// The instance's fault.
    pub async fn handle(&mut self, event: Event) -> Result<Vec<Action>, Fault> {
        self.now += 20;
        self.instance.handle(self.now, event).await
    }

    /// Hands in a caller frame and says whether it came back, as from the guest `echoes`.
    pub async fn echoes(&mut self) -> bool {
        let frame = vec![(self.now % 251) as u8; 160];
        let answer = self.handle(Event::CallerAudio(frame.clone())).await;
        matches!(answer.as_deref(), Ok([Action::Play(play)]) if play.audio == frame)
    }
}

/// A call like any other, with these settings.
pub fn call_info(settings: &str) -> CallInfo {
    CallInfo {
        call_id: "CA0123456789abcdef0123456789abcdef".into(),
        stream_id: "MZ0123456789abcdef0123456789abcdef".into(),
        tenant: "test".into(),
        version: "0".into(),
        direction: Direction::Inbound,
        caller: Some("+15550100".into()),
        callee: Some("+15550199".into()),
        format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
        parameters: vec![("lang".into(), "en".into())],
        settings: settings.into(),
        restarted: false,
    }
}

/// One event of every kind that carries a call along, by its name in the contract.
pub fn one_event_of_each_kind() -> Vec<(&'static str, Event)> {
    use cordboard_call::contract::{
        Dialect, Ended, Flushed, Heard, HttpFailure, HttpResponse, Refusal,
    };
    let model = || ModelInfo { session: "sess_1".into(), model: "m".into(), dialect: Dialect::Ga };
    let heard = || Heard { item: "item_1".into(), millis: 120, complete: true };
    let audio = ModelAudio {
        response: "resp_1".into(),
        item: "item_1".into(),
        content_index: 0,
        data: vec![0; 960],
    };
    let response =
        HttpResponse { token: 1, status: 200, headers: Vec::new(), body: b"{}".to_vec() };
    vec![
        ("started", Event::Started(call_info("\"loop\""))),
        ("caller-audio", Event::CallerAudio(vec![0xff; 160])),
        ("caller-key", Event::CallerKey("1".into())),
        ("model-ready", Event::ModelReady(model())),
        ("model-audio", Event::ModelAudio(audio)),
        ("model-event", Event::ModelEvent(r#"{"type":"response.done"}"#.into())),
        ("model-lost", Event::ModelLost("gone".into())),
        ("model-restored", Event::ModelRestored(model())),
        ("heard", Event::Heard(heard())),
        ("mark", Event::Mark("m".into())),
        ("flushed", Event::Flushed(Flushed { items: vec![heard()], marks: vec!["m".into()] })),
        ("timer", Event::Timer(1)),
        ("http-done", Event::HttpDone(response)),
        ("http-failed", Event::HttpFailed(HttpFailure { token: 1, reason: "refused".into() })),
        ("command", Event::Command("{}".into())),
        ("refused", Event::Refused(Refusal { action: "mark".into(), reason: "why".into() })),
        ("ended", Event::Ended(Ended::CallerHungUp)),
    ]
}
