//! What the host keeps in the store of one instance.

use std::sync::Arc;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::abi;
use crate::cpu_quota::CpuQuota;
use crate::guest_log::{GuestLog, LogLevel};
use crate::limits::fixed;
use crate::memory_pool::MemoryPool;
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
    of_tenant: Arc<CpuQuota>,
    of_host: Arc<MemoryPool>,
}

/// A growth that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused {
    pub(crate) asked: usize,
    pub(crate) allowed: usize,
    pub(crate) whose: Whose,
}

/// Whose bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Instance,
    /// All instances of the tenant together.
    Tenant,
    /// All instances of the host together.
    Host,
}

impl MemoryGate {
    pub(crate) fn new(allowed: usize, of_tenant: Arc<CpuQuota>, of_host: Arc<MemoryPool>) -> Self {
        Self { allowed, held: 0, refused: None, of_tenant, of_host }
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

impl Drop for MemoryGate {
    fn drop(&mut self) {
        self.of_tenant.memory().give_back(self.held);
        self.of_host.give_back(self.held);
    }
}

impl ResourceLimiter for MemoryGate {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let asked = self.held.saturating_add(more);
        let (tenant, host) = (self.of_tenant.memory(), &self.of_host);
        self.refused = if asked > self.allowed {
            Some(Refused { asked, allowed: self.allowed, whose: Whose::Instance })
        } else if !tenant.take(more) {
            let asked = tenant.held().saturating_add(more);
            Some(Refused { asked, allowed: tenant.max(), whose: Whose::Tenant })
        } else if !host.take(more) {
            tenant.give_back(more);
            let asked = host.held().saturating_add(more);
            Some(Refused { asked, allowed: host.max(), whose: Whose::Host })
        } else {
            self.held = asked;
            return Ok(true);
        };
        Ok(false)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= fixed::TABLE_ELEMENTS_MAX;
        if !fits {
            let allowed = fixed::TABLE_ELEMENTS_MAX;
            self.refused = Some(Refused { asked: desired, allowed, whose: Whose::Instance });
        }
        Ok(fits)
    }
}
