//! Tenant components: vet, compile, instantiate, bound.
//!
//! **One rule: whatever a component does, only its own instance ends.** A tenant's bytes are vetted by
//! [`Component::vet_and_compile`], which refuses with sentences that teach; an [`Instance`] answers the events
//! of one call, in a store of its own, under [`Limits`]; and everything that can go wrong inside is one
//! [`Fault`], after which the instance is gone and its neighbours have noticed nothing.
//!
//! ```text
//! bytes --vet--> names are right --compile (or cache)--> Component --start--> Instance --handle--> actions
//!                     |                    |                                      |          |
//!                  VetError             VetError                                Fault      Fault
//! ```
//!
//! [`TenantTable`] is the table: which tenant answers which number, with which component, settings and limits.
//! Only this crate knows wasmtime; the rest of the host sees the plain values of [`cordboard_call::contract`].

mod abi;
mod cache;
mod compiler;
mod component;
mod cpu_quota;
mod deployment;
mod engine;
mod fault;
mod guest_log;
mod instance;
mod limits;
mod memory_pool;
mod meter;
pub mod plain_file;
mod program;
mod rehearsal;
mod spending;
mod state;
mod supervisor;
mod tenant_table;
mod ticker;
pub mod version_store;
mod vet;
mod wasi;

pub use cache::CompiledCache;
pub use compiler::{Compiler, CompilerProcess, compile_worker};
pub use component::Component;
pub use cpu_quota::CpuQuota;
pub use deployment::{Deployment, DeploymentError, Status, TenantDirectory, TenantReport};
pub use engine::{Engine, EngineConfig, EngineError};
pub use fault::{BadAnswer, Blame, Fault, TrapKind};
pub use guest_log::{LogLevel, LogSink, TracingLog};
pub use instance::{Cost, Instance, InstanceConfig};
pub use limits::{CompileLimits, FUEL_PER_MS, Limits, MEMORY_BYTES_CEILING};
pub use memory_pool::MemoryPool;
pub use program::{ProgramError, run_program};
pub use rehearsal::{Flaw, Rehearsed, rehearse};
pub use spending::Spending;
pub use supervisor::{
    CallInstanceFactory, Incident, InstanceFactory, InstanceSupervisor, Observed, Observer,
    SupervisedInstance,
};
pub use tenant_table::{
    CallSlot, CarrierPolicy, HttpBudget, HttpPolicy, Manifest, NoCapacity, OverLimit,
    RecordingTerms, Tenant, TenantError, TenantId, TenantTable, Version, VersionBuilder,
};
pub use ticker::Heartbeat;
pub use version_store::Digest;
pub use vet::{VetError, imports_of};
