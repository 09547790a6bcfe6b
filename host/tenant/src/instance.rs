//! One instance of a tenant's component: it answers the events of one call.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cordboard_call::contract::{Action, CallInfo, Event, Millis};
use wasmtime::Store;
use wasmtime::component::ResourceTable;

use crate::abi;
use crate::component::Component;
use crate::cpu_quota::CpuQuota;
use crate::engine::Engine;
use crate::fault::{BadAnswer, Fault};
use crate::guest_log::{GuestLog, LogSink};
use crate::limits::{FUEL_PER_MS, Limits, fixed};
use crate::meter::Meter;
use crate::state::{GuestState, MemoryGate, Refused, Whose};
use crate::wasi::{self, CallClock};

/// What an instance is started with.
#[derive(Clone)]
pub struct InstanceConfig {
    /// Where the guest's random numbers come from. Keep it with the recording: the same seed and the same
    /// events give the same actions. A successor in the same call needs another one.
    pub seed: [u8; 32],
    /// What the guest's wall clock shows at `now` = 0, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// Where its log goes.
    pub log: Arc<dyn LogSink>,
    /// What it may use.
    pub limits: Arc<Limits>,
    /// What it and the tenant's other instances may use together.
    pub cpu_quota: Arc<CpuQuota>,
}

impl std::fmt::Debug for InstanceConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstanceConfig").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What the last call into a guest took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Units of fuel, about one for an instruction; 0 where the engine does not count it.
    pub fuel: u64,
    /// Linear memory held afterwards, in bytes. It never shrinks.
    pub memory_bytes: usize,
    /// Memory that was asked for and refused, in bytes the guest would have had.
    pub memory_refused: Option<usize>,
}

/// A running tenant.
///
/// After any [`Fault`] it is gone: its memory is given back on another thread, and every further call
/// answers [`Fault::Gone`]. The same holds after the future of a call was dropped before its end.
pub struct Instance {
    engine: Engine,
    live: Option<Live>,
    limits: Arc<Limits>,
    has_handover: bool,
    cost: Cost,
}

/// What is dropped by the reaper.
struct Live {
    store: Store<GuestState>,
    handler: abi::handler::Guest,
    handover: Option<abi::handover::Guest>,
    meter: Arc<Meter>,
    clock: CallClock,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("live", &self.live.is_some()).finish_non_exhaustive()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            self.engine.discard(live);
        }
    }
}

impl Instance {
    /// Instantiates a component, and runs its start functions, for one call.
    ///
    /// # Errors
    ///
    /// [`Fault`] when there is no room, or the component does not survive its own start.
    pub async fn start(component: &Component, config: InstanceConfig) -> Result<Self, Fault> {
        let InstanceConfig { seed, began_unix_ms, log, limits, cpu_quota } = config;
        let builder = component.inner();
        let memory = MemoryGate::new(
            limits.memory_bytes,
            Arc::clone(&cpu_quota),
            Arc::clone(builder.engine.memory()),
        );
        let meter = Arc::new(Meter::new(cpu_quota, limits.cpu_per_call));
        let clock = CallClock::new(began_unix_ms);
        let log = GuestLog::new(log, limits.log_bytes_per_second, limits.log_bytes_max);
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(fixed::HANDLES_MAX);
        let state = GuestState {
            wasi: wasi::context(seed, &clock, &log),
            handles,
            log,
            memory,
            meter: Arc::clone(&meter),
        };
        let mut store = Store::new(builder.engine.wasm(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.answer_bytes_max);
        store.set_max_component_handles(fixed::HANDLES_MAX);
        store.epoch_deadline_callback(|store| store.data().meter.tick());
        store.set_epoch_deadline(1);
        let engine = &builder.engine;
        let started = meter
            .run(
                fill(engine, &mut store, limits.start_cpu),
                builder.pre.instantiate_async(&mut store),
            )
            .await
            .and_then(|instance| {
                let handler = builder.handler.load(&mut store, &instance)?;
                let handover = builder.handover.as_ref();
                let handover = handover.map(|it| it.load(&mut store, &instance)).transpose()?;
                Ok((handler, handover))
            });
        match started {
            Ok((handler, handover)) => {
                builder.start_bytes.fetch_max(store.data().memory.held(), Ordering::Relaxed);
                Ok(Self {
                    engine: builder.engine.clone(),
                    has_handover: handover.is_some(),
                    cost: cost(engine, &store, limits.start_cpu),
                    live: Some(Live { store, handler, handover, meter, clock }),
                    limits,
                })
            }
            Err(error) => {
                let fault = match out_of_fuel(&error, limits.start_cpu) {
                    Some(fault) => fault,
                    None => Fault::of_start(&error, &store.data().log.last_words()),
                };
                let fault = for_want_of_memory(&store, fault);
                builder.engine.discard(store);
                Err(fault)
            }
        }
    }

    /// Hands the tenant what happened, and takes its answer.
    ///
    /// # Errors
    ///
    /// [`Fault`]; the instance is gone then.
    pub async fn handle(&mut self, now: Millis, event: Event) -> Result<Vec<Action>, Fault> {
        let mut live = self.take()?;
        let event = abi::event(event);
        live.begin(now);
        let budget = self.limits.event_cpu;
        let Live { store, handler, meter, .. } = &mut live;
        let cpu = fill(&self.engine, store, budget);
        let answer = meter.run(cpu, handler.call_handle(&mut *store, now, &event)).await;
        self.cost = cost(&self.engine, store, budget);
        match answer {
            Ok(actions) if actions.len() > self.limits.actions_max => {
                let (count, allowed) = (actions.len(), self.limits.actions_max);
                self.engine.discard(live);
                Err(BadAnswer::TooManyActions { count, allowed }.into())
            }
            Ok(actions) => {
                self.live = Some(live);
                Ok(abi::actions(actions))
            }
            Err(error) => Err(self.fault(live, &error, budget)),
        }
    }

    /// Whether the tenant can save its state and load another's.
    pub fn has_handover(&self) -> bool {
        self.has_handover
    }

    /// Asks for everything a successor needs; `None` for a tenant without handover.
    ///
    /// # Errors
    ///
    /// [`Fault`]; the instance is gone then.
    pub async fn save(&mut self, now: Millis) -> Result<Option<Vec<u8>>, Fault> {
        if !self.has_handover {
            return Ok(None);
        }
        let mut live = self.take()?;
        live.begin(now);
        let budget = self.limits.handover_cpu;
        let Live { store, handover, meter, .. } = &mut live;
        let handover = handover.as_ref().expect("has_handover says so");
        let cpu = fill(&self.engine, store, budget);
        let saved = meter.run(cpu, handover.call_save(&mut *store)).await;
        self.cost = cost(&self.engine, store, budget);
        match saved {
            Ok(state) => {
                self.live = Some(live);
                Ok(Some(state))
            }
            Err(error) => Err(self.fault(live, &error, budget)),
        }
    }

    /// Gives a fresh instance its predecessor's state, in place of `started`.
    ///
    /// The inner error is the tenant's own refusal, in its own words; drop the instance after it. A tenant without
    /// handover refuses too.
    ///
    /// # Errors
    ///
    /// [`Fault`]; the instance is gone then.
    pub async fn load(
        &mut self,
        now: Millis,
        info: CallInfo,
        state: &[u8],
    ) -> Result<Result<(), String>, Fault> {
        if !self.has_handover {
            return Ok(Err("this tenant does not export `handover`".into()));
        }
        let mut live = self.take()?;
        let info = abi::call_info(info);
        live.begin(now);
        let budget = self.limits.handover_cpu;
        let Live { store, handover, meter, .. } = &mut live;
        let handover = handover.as_ref().expect("has_handover says so");
        let cpu = fill(&self.engine, store, budget);
        let loaded = meter.run(cpu, handover.call_load(&mut *store, now, &info, state)).await;
        self.cost = cost(&self.engine, store, budget);
        match loaded {
            Ok(answer) => {
                self.live = Some(live);
                Ok(answer)
            }
            Err(error) => Err(self.fault(live, &error, budget)),
        }
    }

    /// What the last call into the guest took, be it an event, a `save`, a `load` or its start.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Takes the live part out for the length of one guest call. Whatever ends that call early, the
    /// dropping of its future included, so leaves no half-run guest behind.
    fn take(&mut self) -> Result<Live, Fault> {
        self.live.take().ok_or(Fault::Gone)
    }

    fn fault(&self, live: Live, error: &wasmtime::Error, budget: Duration) -> Fault {
        let last_words = live.store.data().log.last_words();
        let fault = out_of_fuel(error, budget)
            .unwrap_or_else(|| Fault::of_call(error, self.limits.answer_bytes_max, &last_words));
        let fault = for_want_of_memory(&live.store, fault);
        self.engine.discard(live);
        fault
    }
}

impl Live {
    /// Sets everything that counts per event.
    fn begin(&mut self, now: Millis) {
        self.clock.set(now);
        let state = self.store.data_mut();
        state.memory.begin();
        state.log.begin(now);
        self.store.set_epoch_deadline(1);
    }
}

/// Gives a store the fuel of a CPU budget, and returns the CPU time that is to be held beside it: the budget
/// itself, or, where fuel decides, so much that no busy machine reaches it.
fn fill(engine: &Engine, store: &mut Store<GuestState>, budget: Duration) -> Duration {
    if !engine.counts_fuel() {
        return budget;
    }
    store.set_fuel(fuel_of(budget)).expect("the engine counts fuel");
    budget.saturating_mul(1_000)
}

fn fuel_of(budget: Duration) -> u64 {
    let micros = u64::try_from(budget.as_micros()).unwrap_or(u64::MAX);
    micros.saturating_mul(FUEL_PER_MS / 1_000)
}

fn cost(engine: &Engine, store: &Store<GuestState>, budget: Duration) -> Cost {
    let memory = &store.data().memory;
    let fuel = match engine.counts_fuel() {
        true => fuel_of(budget).saturating_sub(store.get_fuel().expect("the engine counts fuel")),
        false => 0,
    };
    let memory_refused = memory.refused().map(|refused| refused.asked);
    Cost { fuel, memory_bytes: memory.held(), memory_refused }
}

fn out_of_fuel(error: &wasmtime::Error, budget: Duration) -> Option<Fault> {
    let trap = error.downcast_ref::<wasmtime::Trap>()?;
    let is_empty = matches!(trap, wasmtime::Trap::OutOfFuel);
    is_empty.then_some(Fault::OverBudget { spent: budget, budget })
}

/// A guest that trapped right after it was refused memory trapped because of that.
fn for_want_of_memory(store: &Store<GuestState>, fault: Fault) -> Fault {
    match (store.data().memory.refused(), fault) {
        (Some(Refused { asked, allowed, whose }), Fault::Trap { .. } | Fault::Host(_)) => {
            match whose {
                Whose::Instance => Fault::Memory { asked, allowed },
                Whose::Tenant => Fault::MemoryOfTenant { asked, allowed },
                Whose::Host => Fault::MemoryOfHost { allowed },
            }
        }
        (_, fault) => fault,
    }
}
