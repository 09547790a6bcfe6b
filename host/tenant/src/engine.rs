//! The one wasmtime engine of the process: how components are compiled, and the pool their instances live in.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, mpsc};
use std::thread;

use wasmtime::component::Linker;
use wasmtime::{
    Config, InstanceAllocationStrategy, ModuleVersionStrategy, PoolingAllocationConfig,
};

use crate::compiler::{Compiler, Queued};
use crate::limits::{MEMORY_BYTES_CEILING, fixed};
use crate::memory_pool::MemoryPool;
use crate::state::GuestState;
use crate::ticker::{Heartbeat, Ticker};

/// How much room the engine sets aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Instances alive at once. A call has one, and two while it is being migrated; so twice the
    /// host's cap on calls. 1,000 by default. Each reserves 4 GiB of address space (no memory), which is what
    /// lets compiled code leave out its bounds checks.
    pub instances_max: u32,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { instances_max: 1_000 }
    }
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Wasmtime refused its configuration or could not reserve the pool.
    #[error(
        "cannot set aside room for {instances} tenant instances ({reason}); if this is about memory, \
         look at `ulimit -v`, or lower the cap on calls"
    )]
    Pool {
        /// How many instances were asked for.
        instances: u32,
        /// Wasmtime's own words.
        reason: String,
    },
    /// A thread of the engine did not start.
    #[error("cannot start a thread of the tenant engine")]
    Thread(#[from] std::io::Error),
}

/// The engine. Clones are cheap and the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    wasm: wasmtime::Engine,
    linker: Linker<GuestState>,
    compatibility: String,
    advice: Vec<String>,
    ticker: Arc<Ticker>,
    reaper: mpsc::Sender<Corpse>,
    counts_fuel: bool,
    memory: Arc<MemoryPool>,
    compiler: Queued,
}

/// What is left of an instance, on its way to be dropped.
type Corpse = Box<dyn Send>;

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("compatibility", &self.inner.compatibility).finish()
    }
}

impl Engine {
    /// Makes the engine, its pool, its ticker and its reaper. It compiles in this process.
    ///
    /// # Errors
    ///
    /// When the pool cannot be reserved or a thread cannot be started.
    pub fn new(config: &EngineConfig) -> Result<Self, EngineError> {
        Self::make(config, Compiler::InThisProcess, false)
    }

    /// The same with a compiler of one's choice. One that does not work is no error but
    /// [`advice`](Self::advice): what was compiled earlier answers calls all the same.
    ///
    /// # Errors
    ///
    /// As [`Engine::new`].
    pub fn with_compiler(config: &EngineConfig, compiler: Compiler) -> Result<Self, EngineError> {
        Self::make(config, compiler, false)
    }

    /// Makes an engine that counts what a guest does in fuel, about one unit for an instruction, and
    /// holds budgets in it: the same events cost the same on every machine, and a busy one does not punish
    /// anybody. Guests run slower for it, so it is for tests of a tenant, never for calls.
    ///
    /// # Errors
    ///
    /// As [`Engine::new`].
    pub fn counting_fuel(config: &EngineConfig) -> Result<Self, EngineError> {
        Self::make(config, Compiler::InThisProcess, true)
    }

    fn make(
        config: &EngineConfig,
        compiler: Compiler,
        counts_fuel: bool,
    ) -> Result<Self, EngineError> {
        let instances = config.instances_max;
        let pool = |e: wasmtime::Error| EngineError::Pool { instances, reason: format!("{e:#}") };
        let mut settings = settings(counts_fuel).map_err(pool)?;
        let room = InstanceAllocationStrategy::Pooling(self::pool(instances));
        let wasm = wasmtime::Engine::new(settings.allocation_strategy(room)).map_err(pool)?;
        let linker = crate::wasi::linker(&wasm).map_err(pool)?;
        let compatibility = compatibility(&wasm);
        let ticker = Ticker::start(&wasm)?;
        let compiler = Queued::new(compiler);
        let mut advice = advice(instances, max_map_count());
        advice.extend(compiler.advice());
        let inner = Inner {
            wasm,
            linker,
            compatibility,
            advice,
            ticker,
            reaper: reaper()?,
            counts_fuel,
            compiler,
            memory: Arc::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What the operator should change about this machine, in plain sentences; empty when all is well.
    pub fn advice(&self) -> &[String] {
        &self.inner.advice
    }

    /// Whether the thread that interrupts guests keeps time.
    pub fn heartbeat(&self) -> Heartbeat {
        self.inner.ticker.heartbeat()
    }

    /// The memory of all instances together; without a bound unless it is given one.
    pub fn memory(&self) -> &Arc<MemoryPool> {
        &self.inner.memory
    }

    /// Whether budgets are held in fuel.
    pub fn counts_fuel(&self) -> bool {
        self.inner.counts_fuel
    }

    pub(crate) fn wasm(&self) -> &wasmtime::Engine {
        &self.inner.wasm
    }

    pub(crate) fn linker(&self) -> &Linker<GuestState> {
        &self.inner.linker
    }

    /// Names everything a compiled component depends on: wasmtime's full version, its settings, this CPU.
    pub(crate) fn compatibility(&self) -> &str {
        &self.inner.compatibility
    }

    pub(crate) fn compiler(&self) -> &Queued {
        &self.inner.compiler
    }

    /// Drops something on a thread of its own: giving 64 MiB back to the kernel takes longer than a call
    /// may pause.
    pub(crate) fn discard(&self, corpse: impl Send + 'static) {
        // Without a reaper (it cannot panic, but suppose it did) the corpse is dropped here, by this `send`.
        let _ = self.inner.reaper.send(Box::new(corpse));
    }
}

/// An engine that compiles for the others and runs nothing: it sets no room aside, of which code
/// does not depend.
pub(crate) fn compile_only(counts_fuel: bool) -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(&settings(counts_fuel)?)
}

/// Wasmtime's settings, as far as compiled code depends on them.
fn settings(counts_fuel: bool) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // A guest has one thread of its own and its host calls it one event at a time.
        .concurrency_support(false)
        // The same events must give the same actions, on another machine too, or a replay proves nothing.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // Guests yield, and runaway guests end, at the ticker's beat.
        .epoch_interruption(true)
        .consume_fuel(counts_fuel)
        .max_wasm_stack(fixed::WASM_STACK_BYTES)
        .async_stack_size(fixed::ASYNC_STACK_BYTES)
        .module_version(ModuleVersionStrategy::Custom(full_version()?))?;
    Ok(config)
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    // A Rust guest has one memory, two tables and three core instances; interpreters have several times that.
    // Core instances are merely counted, and tables are small; a memory takes 4 GiB of address space, of
    // which there is enough for every instance to have all it may only up to some thousands of them.
    let memories = instances.saturating_mul(fixed::MEMORIES_MAX).min(MEMORIES_RESERVED_MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_memories(memories.max(instances))
        .total_tables(instances.saturating_mul(3))
        .total_core_instances(instances.saturating_mul(fixed::CORE_INSTANCES_MAX))
        .max_core_instances_per_component(fixed::CORE_INSTANCES_MAX)
        .max_memories_per_component(fixed::MEMORIES_MAX)
        .max_tables_per_component(fixed::TABLES_MAX)
        .table_elements(fixed::TABLE_ELEMENTS_MAX)
        .max_memory_size(MEMORY_BYTES_CEILING)
        // Nothing of one call stays in the slot the next one gets, neither its words nor its memory.
        .linear_memory_keep_resident(0)
        .table_keep_resident(0);
    pool
}

/// A string that differs whenever wasmtime's full version does.
///
/// A compiled component's own check looks at the major version only. Wasmtime does not tell its full version
/// either, but hashes it, with the target, into the compatibility hash of an engine with default settings.
fn full_version() -> wasmtime::Result<String> {
    Ok(format!("cordboard-{}", compatibility(&wasmtime::Engine::new(&Config::new())?)))
}

fn compatibility(engine: &wasmtime::Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Starts the thread that drops what calls leave behind; it ends once the engine is gone.
fn reaper() -> std::io::Result<mpsc::Sender<Corpse>> {
    let (sender, corpses) = mpsc::channel::<Corpse>();
    thread::Builder::new()
        .name("cordboard-reaper".into())
        .spawn(move || corpses.into_iter().for_each(drop))?;
    Ok(sender)
}

/// Slots for memories set aside beyond one for each instance: 16 TiB of the 128 there are.
const MEMORIES_RESERVED_MAX: u32 = 4_096;

/// Memory maps an instance takes: six were counted for a Rust guest, with its stack.
const MAPS_PER_INSTANCE: u64 = 6;
/// Maps left to the rest of the process.
const MAPS_ELSEWHERE: u64 = 4_000;

/// The kernel's bound on memory maps, where there is one.
fn max_map_count() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

fn advice(instances: u32, max_map_count: Option<u64>) -> Vec<String> {
    let needed = u64::from(instances) * MAPS_PER_INSTANCE + MAPS_ELSEWHERE;
    match max_map_count {
        Some(allowed) if allowed < needed => vec![format!(
            "vm.max_map_count is {allowed}, but {instances} tenant instances may need {needed} memory maps: \
             beyond the limit new calls would be refused. Run `sysctl -w vm.max_map_count={needed}`, or \
             lower the cap on calls."
        )],
        Some(_) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_memory_maps_are_said_plainly_with_the_number_to_set() {
        let advice = advice(20_000, Some(65_530));

        assert!(advice[0].contains("sysctl -w vm.max_map_count=124000"), "{advice:?}");
    }

    #[test]
    fn enough_memory_maps_need_no_advice() {
        assert_eq!(advice(1_000, Some(65_530)), Vec::<String>::new());
        assert_eq!(advice(1_000, None), Vec::<String>::new(), "not every system has such a bound");
    }

    #[test]
    fn what_compiles_elsewhere_compiles_for_this_engine() {
        let engine = Engine::new(&EngineConfig { instances_max: 1 }).unwrap();
        let counting = Engine::counting_fuel(&EngineConfig { instances_max: 1 }).unwrap();

        let elsewhere = [false, true].map(|it| compatibility(&compile_only(it).unwrap()));

        assert_eq!(elsewhere, [engine, counting].map(|it| it.compatibility().to_owned()));
    }

    #[test]
    fn the_ticker_beats_and_stops_with_its_engine() {
        let engine = Engine::new(&EngineConfig { instances_max: 1 }).unwrap();
        let weak = engine.wasm().weak();

        while engine.heartbeat().ticks < 3 {
            thread::yield_now();
        }
        drop(engine);

        while weak.upgrade().is_some() {
            thread::yield_now();
        }
    }
}
