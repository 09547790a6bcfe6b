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
//! [`Tenants`] is the registry: which tenant answers which number, with which component, settings and limits.
//! Only this crate knows wasmtime; the rest of the host sees the plain values of [`cordboard_call::contract`].

mod abi;
mod allowance;
mod cache;
mod component;
mod desk;
mod engine;
mod fault;
mod guest_log;
mod instance;
mod limits;
mod meter;
mod program;
mod registry;
mod rehearsal;
pub mod shelf;
mod state;
mod switchboard;
mod ticker;
mod vet;
mod wasi;

pub use allowance::Allowance;
pub use cache::CompiledCache;
pub use component::Component;
pub use desk::{Agency, CallAgency, Desk, Guest, Incident, Watched, Witness};
pub use engine::{Engine, EngineConfig, EngineError};
pub use fault::{BadAnswer, Blame, Fault, TrapKind};
pub use guest_log::{LogLevel, LogSink, TracingLog};
pub use instance::{Cost, Instance, InstanceConfig};
pub use limits::{CompileLimits, FUEL_PER_MS, Limits, MEMORY_BYTES_CEILING};
pub use program::{ProgramError, run_program};
pub use registry::{
    CallSlot, HttpPolicy, Making, NoPlace, RecordingTerms, Tenant, TenantError, TenantId, Tenants,
    Terms, Version,
};
pub use rehearsal::{Flaw, Rehearsed, rehearse};
pub use shelf::Digest;
pub use switchboard::{Line, LineError, Outlook, Parts, Switchboard};
pub use ticker::Heartbeat;
pub use vet::{VetError, imports_of};
