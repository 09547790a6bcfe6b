//! What a tenant costs its host: `cargo bench --workspace --bench costs`. With `CORDBOARD_COSTS_OF` it tells that of
//! any components instead, their paths separated by `:`.
//!
//! Everything in one run on one thread, so that the ratios hold on any machine; the wall clock, best of
//! several rounds, because other programs only ever add to it. What is promised stands beside the figure.
//! What a swap costs a call among hundreds, and a deployment until it is live, is `--bench swap`'s to say.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordboard_call::contract::{Action, Event, Play};
use cordboard_contract_tests::{SHIPPED, a_call};
use cordboard_default_tenant::DefaultTenant;
use cordboard_misbehaving_guests::{Lines, bytes, call_info};
use cordboard_tenant::{
    CompileLimits, CompiledCache, Component, Engine, EngineConfig, Instance, InstanceConfig,
    Limits, MEMORY_BYTES_CEILING,
};
use tokio::runtime::Runtime;

const LIVE: usize = 1_000;
/// Calls alive at once of a component that may be an interpreter.
const FEW: usize = 20;
const ROUNDS: usize = 7;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let rounds = if std::env::args().any(|it| it == "--bench") { ROUNDS } else { 1 };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let engine = Engine::new(&EngineConfig { instances_max: LIVE as u32 + 50 }).expect("an engine");
    let costs = Costs { runtime, engine, rounds };
    if let Some(paths) = std::env::var_os("CORDBOARD_COSTS_OF") {
        std::env::split_paths(&paths).for_each(|path| costs.of_any(&path));
        return;
    }

    let shipped =
        |wanted| SHIPPED.iter().find(|(name, _)| *name == wanted).expect("it is shipped").1;
    let default = fs::read(shipped("default")).expect("the build script has made it");
    println!("default tenant: {} KiB as a component", default.len() >> 10);
    let default = costs.compiling(&default);
    let echoes =
        Component::vet_and_compile(&costs.engine, &bytes("echoes"), &CompileLimits::default())
            .expect("a sound guest");

    println!("\none caller frame of 160 bytes");
    let (native, component) = (costs.native_echo(), costs.frame(&echoes));
    line("echo, native", native);
    line("echo, component", component);
    promised("so the boundary costs", component.saturating_sub(native), 1);
    line("an event without frame or answer", costs.event(&echoes, |_| Event::Timer(1)));
    let (native, component) = (costs.native_frame(), costs.frame(&default));
    line("default tenant, native", native);
    line("default tenant, component", component);
    println!(
        "  {:<38} {:>10.2}",
        "component / native",
        component.as_secs_f64() / native.as_secs_f64()
    );

    for (name, component) in [("echo", &echoes), ("default tenant", &default)] {
        println!("\n{name}: from nothing");
        line("start", costs.start(component, false));
        promised("start, `started` and first frame", costs.start(component, true), 200);
        let (save, successor) = costs.hand_over(component);
        line("save", save);
        promised("save, start a successor, load", successor, 1_000);
    }

    println!("\nmemory per live call, over {LIVE} of them");
    for (name, component) in [("echo", &echoes), ("default tenant", &default)] {
        let (begun, led) = costs.memory(component);
        println!("  {name:<38} {begun:>7} KiB after its first frame");
        println!("  {:<38} {led:>7} KiB after a whole conversation (promised: below 100)", "");
    }
}

struct Costs {
    runtime: Runtime,
    engine: Engine,
    rounds: usize,
}

impl Costs {
    /// What an author wants to know of a component of their own.
    fn of_any(&self, path: &Path) {
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        println!("\n{}: {} KiB as a component", path.display(), bytes.len() >> 10);
        let component = self.compiling(&bytes);
        line("one caller frame of 160 bytes", self.frame(&component));
        line("start", self.start(&component, false));
        line("start, `started` and first frame", self.start(&component, true));
        let (save, successor) = self.hand_over(&component);
        line("save", save);
        line("save, start a successor, load", successor);
        drop(self.led(&component, 2));
        let before = resident_kib();
        let live: Vec<_> = (0..FEW).map(|_| self.led(&component, a_call().len() - 1)).collect();
        let each = resident_kib().saturating_sub(before) / live.len();
        println!("  {:<38} {each:>7} KiB", "memory per live call");
    }

    fn compiling(&self, bytes: &[u8]) -> Component {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = CompiledCache::open(dir.path()).expect("a cache");
        let load = || {
            let before = Instant::now();
            let component = Component::load(&self.engine, bytes, &CompileLimits::default(), &cache)
                .expect("a shipped guest is a tenant");
            (before.elapsed(), component)
        };
        let (compiled, _) = load();
        line("vet, compile and keep", compiled);
        let (mut cached, component) = load();
        assert!(component.was_cached());
        for _ in 0..self.rounds {
            cached = cached.min(load().0);
        }
        line("vet and load from the cache", cached);
        component
    }

    /// The best round's mean over `count` runs.
    fn best(&self, count: u32, mut run: impl FnMut(u32)) -> Duration {
        (0..self.rounds)
            .map(|_| {
                let before = Instant::now();
                (0..count).for_each(&mut run);
                before.elapsed() / count
            })
            .min()
            .expect("at least one round")
    }

    fn native_echo(&self) -> Duration {
        // A component gets a copy of the frame and the host a copy of the answer; so much is the ABI's.
        self.best(100_000, |n| {
            let answer = match black_box(Event::CallerAudio(frame(n))) {
                Event::CallerAudio(audio) => {
                    vec![Action::Play(Play { item: "echo".into(), audio, last: false })]
                }
                _ => Vec::new(),
            };
            black_box(answer);
        })
    }

    /// A frame in the middle of a call, when the model is there.
    fn frame(&self, component: &Component) -> Duration {
        self.event(component, |n| Event::CallerAudio(frame(n)))
    }

    /// One event in the middle of a call, over and over on one task, as a call's own task does it.
    fn event(&self, component: &Component, event: impl Fn(u32) -> Event) -> Duration {
        const COUNT: u32 = 20_000;
        let mut instance = self.led(component, 40);
        let round = async |instance: &mut Instance| {
            let before = Instant::now();
            for n in 0..COUNT {
                let answer = instance.handle(10_000 + u64::from(n) * 20, event(n)).await;
                black_box(answer.expect("an event is answered"));
            }
            before.elapsed() / COUNT
        };
        (0..self.rounds)
            .map(|_| self.runtime.block_on(round(&mut instance)))
            .min()
            .expect("at least one round")
    }

    fn native_frame(&self) -> Duration {
        let mut instance = native::led(40);
        self.best(20_000, |n| {
            let event = cordboard_sdk::Event::CallerAudio(frame(n));
            black_box(instance.handle(10_000 + u64::from(n) * 20, event));
        })
    }

    fn start(&self, component: &Component, with_first_frame: bool) -> Duration {
        self.best(200, |n| {
            let mut instance = self.fresh(component);
            if with_first_frame {
                self.runtime.block_on(async {
                    let started = Event::Started(call_info("{}"));
                    instance.handle(0, started).await.expect("it starts");
                    let first = Event::CallerAudio(frame(n));
                    instance.handle(20, first).await.expect("a frame is answered");
                });
            }
            drop(instance);
        })
    }

    fn hand_over(&self, component: &Component) -> (Duration, Duration) {
        let mut old = self.led(component, 100);
        let save = |old: &mut Instance| {
            let state = self.runtime.block_on(old.save(10_000)).expect("it saves");
            state.expect("it has hand-over")
        };
        let saving = self.best(200, |_| drop(black_box(save(&mut old))));
        let all = self.best(200, |_| {
            let state = save(&mut old);
            let mut new = self.fresh(component);
            let loaded = self.runtime.block_on(new.load(10_000, call_info("{}"), &state));
            loaded.expect("it loads").expect("its own state");
        });
        (saving, all)
    }

    /// KiB of resident memory per instance: with one frame behind them, and with a conversation.
    fn memory(&self, component: &Component) -> (usize, usize) {
        let first_frame = 2;
        // Once before, so that what is needed only once is not counted.
        drop(self.led(component, a_call().len() - 1));
        let before = resident_kib();
        let mut live: Vec<_> = (0..LIVE).map(|_| self.led(component, first_frame)).collect();
        let begun = resident_kib().saturating_sub(before) / LIVE;
        for instance in &mut live {
            self.lead(instance, first_frame, a_call().len() - 1);
        }
        let led = resident_kib().saturating_sub(before) / LIVE;
        (begun, led)
    }

    /// An instance that has been through the first `events` of the usual call.
    fn led(&self, component: &Component, events: usize) -> Instance {
        let mut instance = self.fresh(component);
        self.lead(&mut instance, 0, events);
        instance
    }

    fn lead(&self, instance: &mut Instance, from: usize, to: usize) {
        for (now, event) in &a_call()[from..to] {
            let answer = instance.handle(*now, event.clone());
            self.runtime.block_on(answer).expect("an event is answered");
        }
    }

    fn fresh(&self, component: &Component) -> Instance {
        let config = InstanceConfig {
            seed: [7; 32],
            began_unix_ms: 0,
            log: Arc::new(Lines::default()),
            limits: Arc::new(Limits { memory_bytes: MEMORY_BYTES_CEILING, ..Limits::default() }),
            cpu_quota: Arc::default(),
        };
        // The reaper gives places back on its own thread; it may be a little behind.
        loop {
            match self.runtime.block_on(Instance::start(component, config.clone())) {
                Ok(instance) => return instance,
                Err(cordboard_tenant::Fault::NoRoom) => std::thread::yield_now(),
                Err(fault) => panic!("{fault}"),
            }
        }
    }
}

/// The default tenant as a library of this very program.
mod native {
    use super::DefaultTenant;
    use cordboard_sdk::{
        AudioFormat, CallInfo, Dialect, Direction, Encoding, Event, Instance, ModelInfo,
    };

    /// The beginning of the usual call, as far as it changes what a frame costs.
    pub(crate) fn led(frames: u32) -> Instance<DefaultTenant> {
        let (mut instance, _) = Instance::start(0, call_info());
        let session = r#"{"type":"session.updated","event_id":"e1","session":{"type":"realtime","id":"sess_1"}}"#;
        let model = ModelInfo {
            session: "sess_1".into(),
            model: "gpt-realtime".into(),
            dialect: Dialect::Ga,
        };
        instance.handle(220, Event::ModelReady(model));
        instance.handle(240, Event::ModelEvent(session.into()));
        for n in 0..frames {
            instance.handle(260 + u64::from(n) * 20, Event::CallerAudio(super::frame(n)));
        }
        instance
    }

    fn call_info() -> CallInfo {
        CallInfo {
            call_id: "CA0".into(),
            stream_id: "MZ0".into(),
            tenant: "test".into(),
            version: "0".into(),
            direction: Direction::Inbound,
            caller: None,
            callee: None,
            format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
            parameters: Vec::new(),
            settings: "{}".into(),
            restarted: false,
        }
    }
}

fn frame(n: u32) -> Vec<u8> {
    (0..160_u32).map(|i| (i * 7 + n) as u8).collect()
}

fn line(what: &str, took: Duration) {
    println!("  {what:<38} {:>10.2} us", took.as_secs_f64() * 1e6);
}

fn promised(what: &str, took: Duration, below_us: u32) {
    println!("  {what:<38} {:>10.2} us (promised: below {below_us})", took.as_secs_f64() * 1e6);
}

/// This process's resident memory.
fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}
