//! What the host keeps in the store of one instance.

use std::sync::Arc;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::abi;
use crate::guest_log::{GuestLog, LogLevel};
use crate::limits::fixed;
use crate::meter::Meter;

/// The state of one instance, and what its imports act on.
pub(crate) struct GuestState {
    pub(crate) wasi: WasiCtx,
    pub(crate) handles: ResourceTable,
    pub(crate) log: GuestLog,
    pub(crate) memory: MemoryGate,
    pub(crate) meter: Arc<Meter>,
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.handles }
    }
}

impl abi::log::Host for GuestState {
    fn log(&mut self, level: abi::log::Level, message: String) {
        let level = match level {
            abi::log::Level::Trace => LogLevel::Trace,
            abi::log::Level::Debug => LogLevel::Debug,
            abi::log::Level::Info => LogLevel::Info,
            abi::log::Level::Warn => LogLevel::Warn,
            abi::log::Level::Error => LogLevel::Error,
        };
        self.log.message(level, &message);
    }
}

impl abi::types::Host for GuestState {}

/// Bounds an instance's memories and tables, and remembers what it refused: a guest that is refused memory
/// sees its allocation fail, and may live with that; if it traps instead, the refusal is the reason.
pub(crate) struct MemoryGate {
    allowed: usize,
    held: usize,
    refused: Option<Refused>,
}

/// A growth that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused {
    pub(crate) asked: usize,
    pub(crate) allowed: usize,
}

impl MemoryGate {
    pub(crate) fn new(allowed: usize) -> Self {
        Self { allowed, held: 0, refused: None }
    }

    /// Forgets earlier refusals: the guest has lived with them.
    pub(crate) fn begin(&mut self) {
        self.refused = None;
    }

    /// All linear memories together, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// What was refused since [`MemoryGate::begin`].
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused
    }
}

impl ResourceLimiter for MemoryGate {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let asked = self.held.saturating_add(desired.saturating_sub(current));
        if asked > self.allowed {
            self.refused = Some(Refused { asked, allowed: self.allowed });
            return Ok(false);
        }
        self.held = asked;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= fixed::TABLE_ELEMENTS_MAX;
        if !fits {
            self.refused = Some(Refused { asked: desired, allowed: fixed::TABLE_ELEMENTS_MAX });
        }
        Ok(fits)
    }
}
