//! Every bound on a tenant, with its unit, its default and the reason for it.

use std::time::Duration;

/// The largest memory an instance may be given, and the size of a slot of the pool: 64 MiB, which a Python or
/// JavaScript interpreter needs.
pub const MEMORY_BYTES_CEILING: usize = 64 << 20;

/// What a millisecond of CPU time is taken for where budgets are held in fuel
/// ([`Engine::counting_fuel`](crate::Engine::counting_fuel)), in units of fuel.
///
/// On the machine of the README (AMD EPYC, 2.6 GHz) the default tenant uses 5.0 million units in a millisecond of
/// `caller-audio`, 7.0 of `model-audio` and 2.6 of short `model-event`s; a bare loop of additions uses 38.
pub const FUEL_PER_MS: u64 = 5_000_000;

/// What one instance may use.
///
/// CPU is counted on the clock of the thread the guest runs on, not on the wall: on an overloaded machine
/// the wall would punish innocent guests. The budget is enforced at ticks of 1 ms, so a guest may
/// overdraw it by about two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// CPU time for one event. 20 ms: a guest that needs longer than a frame lasts for one event
    /// cannot keep up with a call that brings a hundred of them a second.
    pub event_cpu: Duration,
    /// CPU time for instantiation, start functions included. 250 ms: an interpreter unpacks its heap here.
    pub start_cpu: Duration,
    /// CPU time for `save` and for `load`. 20 ms: a swap waits for them between two frames.
    pub handover_cpu: Duration,
    /// CPU time of all the tenant's instances together, per second of each of its calls. 50 ms: a twentieth of a core for
    /// each call, where the default tenant needs half a thousandth. Fewer than ten calls share half a core.
    pub cpu_per_call: Duration,
    /// All linear memories together, in bytes. 16 MiB, at most [`MEMORY_BYTES_CEILING`].
    pub memory_bytes: usize,
    /// Linear memories of all the tenant's instances together, in bytes. None: half of what all tenants may have
    /// ([`Engine::memory`](crate::Engine::memory)), so that no tenant alone keeps out the others. Read at the start.
    pub memory_bytes_all_calls: Option<usize>,
    /// Actions in one answer. 256: an event that needs more is a loop that went wrong.
    pub actions_max: usize,
    /// Bytes of strings, audio and records in one answer, and in one line of log or one `save`. 256 KiB:
    /// half a minute of mu-law at once.
    pub answer_bytes_max: usize,
    /// Log text per second of the call, in bytes. 16 KiB: a chatty debug log, not a flood.
    pub log_bytes_per_second: usize,
    /// Log text per instance, in bytes. 1 MiB.
    pub log_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_cpu: Duration::from_millis(20),
            start_cpu: Duration::from_millis(250),
            handover_cpu: Duration::from_millis(20),
            cpu_per_call: Duration::from_millis(50),
            memory_bytes: 16 << 20,
            memory_bytes_all_calls: None,
            actions_max: 256,
            answer_bytes_max: 256 << 10,
            log_bytes_per_second: 16 << 10,
            log_bytes_max: 1 << 20,
        }
    }
}

/// Bounds that are the same for every instance, because no tenant has had a reason to want others.
pub(crate) mod fixed {
    /// Component-model handles alive at once. A guest that uses std holds about six.
    pub(crate) const HANDLES_MAX: usize = 256;
    /// Core instances in one component: a Rust guest has 3, Python with its libraries and adapters 38.
    pub(crate) const CORE_INSTANCES_MAX: u32 = 64;
    /// Linear memories in one component: a Rust guest has 1, a JavaScript one 3, most of them tiny.
    pub(crate) const MEMORIES_MAX: u32 = 4;
    /// Tables in one component: a Rust guest has 2.
    pub(crate) const TABLES_MAX: u32 = 8;
    /// Entries in one table. An interpreter has about 10,000 functions that are called indirectly.
    pub(crate) const TABLE_ELEMENTS_MAX: usize = 32 << 10;
    /// Stack for wasm frames, in bytes: wasmtime's own default.
    pub(crate) const WASM_STACK_BYTES: usize = 512 << 10;
    /// The whole stack a guest call runs on, with room for host functions below the guest.
    pub(crate) const ASYNC_STACK_BYTES: usize = 1 << 20;
    /// One line of log, in bytes, before it is cut.
    pub(crate) const LOG_LINE_BYTES_MAX: usize = 2 << 10;
    /// Random bytes in one request.
    pub(crate) const RANDOM_BYTES_MAX: u64 = 64 << 10;
}

/// What a deployment may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileLimits {
    /// Size of a component, in bytes. 32 MiB: a Python tenant is 18 MB.
    pub component_bytes_max: usize,
    /// Wall time for compiling, from the component's turn on. 240 s: a Python tenant takes 12 to 30 on an idle machine, and the
    /// compiler gives way to calls.
    pub compile_deadline: Duration,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { component_bytes_max: 32 << 20, compile_deadline: Duration::from_secs(240) }
    }
}
