//! Compiling is somebody else's process.
//!
//! **One rule: what a component costs to compile is paid by a process that can be spared.** A small
//! component can be made to cost minutes and gigabytes, and Cranelift can not be stopped. So a
//! child of the gateway compiles ([`CompilerProcess`]): bytes in, compiled form out, with bounds on
//! memory, processor and wall time, no files, no network, no environment, a low priority, and
//! nothing that is missed when it is killed.
//!
//! ```text
//! tenant's bytes -> vet -> a turn (turns) -> child: confine, compile -> Artefact -> load
//!                            per tenant        killed at any bound         |
//!                                                     the cache, sealed <---+
//! ```
//!
//! Tests and programs that are not `cordboard` may compile in their own process
//! ([`Compiler::InThisProcess`]), where nothing but the time that is waited is bounded.

mod artefact;
mod child;
mod confine;
mod in_process;
mod turns;
mod worker;

use std::sync::Arc;

pub(crate) use artefact::Artefact;
pub use child::CompilerProcess;
use turns::{NoTurn, Turns, WAITING_PER_TENANT_MAX};
pub use worker::compile_worker;

use crate::engine::Engine;
use crate::limits::CompileLimits;
use crate::vet::VetError;

/// Who compiles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compiler {
    /// Threads of this process, at a low priority: for components that are one's own. A compilation
    /// that takes too long is given up, but goes on.
    #[default]
    InThisProcess,
    /// A process for each component, with bounds: for components of others.
    Child(CompilerProcess),
}

/// The compiler of an engine, and who is next.
pub(crate) struct Queued {
    compiler: Compiler,
    turns: Arc<Turns>,
}

impl Queued {
    pub(crate) fn new(compiler: Compiler) -> Self {
        let at_once = match &compiler {
            // Each already uses every core.
            Compiler::InThisProcess => 1,
            Compiler::Child(process) => process.at_once,
        };
        Self { compiler, turns: Turns::new(at_once) }
    }

    /// What this system can not take from the compiler, in plain sentences.
    pub(crate) fn advice(&self) -> Vec<String> {
        match &self.compiler {
            Compiler::InThisProcess => Vec::new(),
            Compiler::Child(process) => process.advice(),
        }
    }

    /// Compiles a component of a tenant when its turn has come. Blocks.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        tenant: &str,
        bytes: &[u8],
        limits: &CompileLimits,
    ) -> Result<Artefact, VetError> {
        let deadline = limits.compile_deadline;
        // Two that are compiled before it take their whole deadline at most.
        let turn_within = 2 * deadline;
        let turn = self.turns.take(tenant, turn_within).map_err(|no_turn| match no_turn {
            NoTurn::Full => VetError::TooManyWaiting(WAITING_PER_TENANT_MAX),
            NoTurn::TooLate => VetError::CompilerBusy(turn_within),
        })?;
        // A child has it until this function ends, for by then the child has ended too.
        match &self.compiler {
            Compiler::InThisProcess => in_process::compile(engine, bytes, deadline, turn),
            Compiler::Child(process) => process.compile(bytes, engine.counts_fuel(), deadline),
        }
    }
}
