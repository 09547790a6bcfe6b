//! A component on the runtime: compiled for an engine that counts fuel, started as often as a suite likes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cordboard_tenant::{
    CompileLimits, CompiledCache, Component, CpuQuota, Engine, EngineConfig, EngineError, Fault,
    Instance, InstanceConfig, Limits, LogLevel, LogSink, VetError, imports_of,
};

/// Instances alive at once: two or three are used, and the rest is on its way to be dropped.
const INSTANCES_MAX: u32 = 64;

/// Lines of log kept of one run: 10,000. Later ones are counted.
const LOG_LINES_MAX: usize = 10_000;

/// Makes the engine that isolation runs on.
///
/// # Errors
///
/// As [`Engine::new`].
pub fn engine() -> Result<Engine, EngineError> {
    Engine::counting_fuel(&EngineConfig { instances_max: INSTANCES_MAX })
}

/// A component that passed vetting, and what its instances may use.
#[derive(Debug, Clone)]
pub struct Runtime {
    component: Component,
    limits: Arc<Limits>,
    /// Never used up: fuel is what bounds a guest here.
    cpu_quota: Arc<CpuQuota>,
    imports: Vec<String>,
    bytes: usize,
}

impl Runtime {
    /// Where the random numbers of a call here come from.
    pub(crate) const SEED: [u8; 32] = [0x15; 32];

    /// What a guest's wall clock shows as every call here begins, in milliseconds since 1970.
    pub(crate) const BEGAN_UNIX_MS: u64 = 1_700_000_000_000;

    /// Vets and compiles a component; `engine` is one of [`engine`].
    ///
    /// # Errors
    ///
    /// What vetting says, in words for the component's author.
    pub fn new(
        engine: &Engine,
        bytes: &[u8],
        limits: Limits,
        cache: Option<&CompiledCache>,
    ) -> Result<Self, VetError> {
        let compile = CompileLimits::default();
        let component = match cache {
            Some(cache) => Component::load(engine, bytes, &compile, cache)?,
            None => Component::vet_and_compile(engine, bytes, &compile)?,
        };
        let imports = imports_of(bytes)?;
        let cpu_quota = Arc::new(CpuQuota::new(Duration::from_secs(1_000)));
        Ok(Self { component, limits: Arc::new(limits), cpu_quota, imports, bytes: bytes.len() })
    }

    /// What an instance may use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The component's size in bytes.
    pub fn component_bytes(&self) -> usize {
        self.bytes
    }

    /// What the component asks of its host.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    pub(crate) fn component(&self) -> &Component {
        &self.component
    }

    pub(crate) fn cpu_quota(&self) -> &Arc<CpuQuota> {
        &self.cpu_quota
    }

    /// Whether it can be replaced in the middle of a call.
    pub fn has_handover(&self) -> bool {
        self.component.has_handover()
    }

    /// Starts the `nth` instance of a call, counted from 0; each has random numbers of its own, as on a gateway.
    pub(crate) async fn start(&self, nth: u64, log: &Arc<Log>) -> Result<Instance, Fault> {
        let mut seed = Self::SEED;
        for (byte, of_nth) in seed.iter_mut().zip(nth.to_le_bytes()) {
            *byte ^= of_nth;
        }
        loop {
            let config = InstanceConfig {
                seed,
                began_unix_ms: Self::BEGAN_UNIX_MS,
                log: Arc::clone(log) as _,
                limits: Arc::clone(&self.limits),
                cpu_quota: Arc::clone(&self.cpu_quota),
            };
            match Instance::start(&self.component, config).await {
                // What a suite left behind is dropped on a thread of its own, soon.
                Err(Fault::NoRoom) => std::thread::yield_now(),
                started => return started,
            }
        }
    }
}

/// What the instances of one run said.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Lines>);

/// Lines of log, bounded.
#[derive(Debug, Default, Clone)]
pub(crate) struct Lines {
    /// The first ones.
    pub(crate) kept: Vec<(LogLevel, String)>,
    /// How many there were.
    pub(crate) count: u64,
    /// Bytes in all of them.
    pub(crate) bytes: u64,
    /// Lines the sandbox left out because there were too many.
    pub(crate) left_out: u64,
}

impl Log {
    pub(crate) fn lines(&self) -> Lines {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lines from the nth on, without copying what came before.
    pub(crate) fn since(&self, nth: usize) -> Vec<(LogLevel, String)> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.kept.get(nth..).unwrap_or_default().to_vec()
    }
}

impl LogSink for Log {
    fn line(&self, level: LogLevel, line: &str) {
        // Behind a lock, because a sink is shared by the instances of a run, one of which speaks at a time.
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.count += 1;
        lines.bytes += line.len() as u64;
        if let Some(count) = line.strip_suffix(" lines of log left out: too many") {
            lines.left_out += count.parse().unwrap_or(1);
        }
        if lines.kept.len() < LOG_LINES_MAX {
            lines.kept.push((level, line.to_owned()));
        }
    }
}
