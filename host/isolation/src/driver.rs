//! The tenant's driver in a call: one instance at a time, replaced as often as a suite wants, and measured.

use std::collections::BTreeMap;
use std::sync::Arc;

use cordboard_call::contract::{Action, CallInfo, Event, Millis};
use cordboard_tenant::{Fault, Instance};

use crate::runtime::{Log, Runtime};

/// What is done around an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mode {
    /// Replaces the instance after every so many events.
    pub(crate) swap_every: Option<u64>,
    /// Lets another instance of the same component answer the same events in between, unheard.
    pub(crate) beside: bool,
}

/// How a tenant failed, and at what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    /// The event's name in the contract, or `start`, `save`, `load`.
    pub at: &'static str,
    /// Milliseconds since the call began.
    pub at_ms: Millis,
    /// How.
    pub how: How,
}

/// How a tenant failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum How {
    /// The sandbox ended the instance.
    Fault(Fault),
    /// `load` refused what `save` had given, in these words.
    RefusesOwnState(String),
    /// `save` changed what it saved: two in a row differ.
    SaveChanges {
        /// Bytes of the first.
        first: usize,
        /// Bytes of the second.
        second: usize,
    },
    /// The call machine gave up on it.
    Restarted(String),
}

/// What one event was answered with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) now: Millis,
    pub(crate) event: Event,
    pub(crate) actions: Vec<Action>,
}

/// What the calls into a guest took, by their kind.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// By the event's name, or `start`, `save`, `load`.
    pub by_kind: BTreeMap<&'static str, Tally>,
    /// The most linear memory an instance held, in bytes.
    pub memory_bytes: usize,
    /// The largest request for memory that was refused, in bytes the guest would have had.
    pub memory_refused: Option<usize>,
    /// The largest state that was saved, in bytes.
    pub state_bytes: Option<usize>,
    /// Lines of log.
    pub log_lines: u64,
    /// Bytes of log.
    pub log_bytes: u64,
    /// Lines of log the sandbox left out.
    pub log_left_out: u64,
}

/// Fuel used by calls of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many there were.
    pub calls: u64,
    /// Fuel of all of them.
    pub fuel: u64,
    /// Fuel of the dearest.
    pub fuel_max: u64,
}

impl Meter {
    /// What swaps took, without the events around them, which were counted before.
    pub(crate) fn of_handover(&self) -> Self {
        let by_kind = ["start", "save", "load"]
            .into_iter()
            .filter_map(|kind| Some((kind, *self.by_kind.get(kind)?)))
            .collect();
        Self {
            by_kind,
            memory_bytes: self.memory_bytes,
            state_bytes: self.state_bytes,
            ..Self::default()
        }
    }

    /// Adds what another run took.
    pub fn add(&mut self, other: &Self) {
        for (kind, tally) in &other.by_kind {
            let mine = self.by_kind.entry(kind).or_default();
            mine.calls += tally.calls;
            mine.fuel += tally.fuel;
            mine.fuel_max = mine.fuel_max.max(tally.fuel_max);
        }
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.memory_refused = self.memory_refused.max(other.memory_refused);
        self.state_bytes = self.state_bytes.max(other.state_bytes);
        self.log_lines += other.log_lines;
        self.log_bytes += other.log_bytes;
        self.log_left_out += other.log_left_out;
    }
}

/// The driver.
pub(crate) struct Driver<'a> {
    runtime: &'a Runtime,
    info: CallInfo,
    mode: Mode,
    instance: Option<Instance>,
    companion: Option<Instance>,
    started: u64,
    pub(crate) asked: Vec<Asked>,
    meter: Meter,
    pub(crate) log: Arc<Log>,
}

impl<'a> Driver<'a> {
    /// Starts a call's first instance. It has not been told `started` yet.
    pub(crate) async fn open(
        runtime: &'a Runtime,
        info: CallInfo,
        mode: Mode,
    ) -> Result<Self, Failure> {
        let mut driver = Self {
            runtime,
            info,
            mode,
            instance: None,
            companion: None,
            started: 0,
            asked: Vec::new(),
            meter: Meter::default(),
            log: Arc::default(),
        };
        driver.instance = Some(driver.start(0).await?);
        if mode.beside {
            let log = Arc::default();
            driver.companion = runtime.start(0, &log).await.ok();
        }
        Ok(driver)
    }

    /// Has an event answered.
    pub(crate) async fn handle(
        &mut self,
        now: Millis,
        event: Event,
    ) -> Result<Vec<Action>, Failure> {
        if let Some(companion) = &mut self.companion {
            // What it answers, and whether it fails, is of no interest: it must not be noticed.
            drop(companion.handle(now, event.clone()).await);
        }
        let kind = event.kind();
        let instance = self.instance.as_mut().expect("a driver is not used after its failure");
        let answer = instance.handle(now, event.clone()).await;
        self.measure(kind);
        let actions = answer.map_err(|fault| self.failed(kind, now, How::Fault(fault)))?;
        self.asked.push(Asked { now, event, actions: actions.clone() });
        let count = self.asked.len() as u64;
        let ended = matches!(self.asked.last(), Some(Asked { event: Event::Ended(_), .. }));
        if self.mode.swap_every.is_some_and(|k| count.is_multiple_of(k)) && !ended {
            self.swap(now).await?;
        }
        Ok(actions)
    }

    /// Replaces the instance by a fresh one that loads its state. A tenant without `handover` stays.
    pub(crate) async fn swap(&mut self, now: Millis) -> Result<(), Failure> {
        let Some(state) = self.save(now).await? else { return Ok(()) };
        let again = self.save(now).await?.expect("a tenant that saved once has `save`");
        if again != state {
            let (first, second) = (state.len(), again.len());
            return Err(self.failed("save", now, How::SaveChanges { first, second }));
        }
        let mut successor = self.start(now).await?;
        let loaded = successor.load(now, self.info.clone(), &state).await;
        self.instance = Some(successor);
        self.measure("load");
        match loaded {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refusal)) => Err(self.failed("load", now, How::RefusesOwnState(refusal))),
            Err(fault) => Err(self.failed("load", now, How::Fault(fault))),
        }
    }

    /// Hands the present instance a state that is none; the call does not go on with it.
    pub(crate) async fn load(
        &mut self,
        now: Millis,
        state: &[u8],
    ) -> Result<Result<(), String>, Failure> {
        let info = self.info.clone();
        let instance = self.instance.as_mut().expect("a driver is not used after its failure");
        let loaded = instance.load(now, info, state).await;
        self.measure("load");
        loaded.map_err(|fault| self.failed("load", now, How::Fault(fault)))
    }

    async fn save(&mut self, now: Millis) -> Result<Option<Vec<u8>>, Failure> {
        let instance = self.instance.as_mut().expect("a driver is not used after its failure");
        if !instance.has_handover() {
            return Ok(None);
        }
        let saved = instance.save(now).await;
        self.measure("save");
        let state = saved.map_err(|fault| self.failed("save", now, How::Fault(fault)))?;
        self.meter.state_bytes = self.meter.state_bytes.max(state.as_ref().map(Vec::len));
        Ok(state)
    }

    async fn start(&mut self, now: Millis) -> Result<Instance, Failure> {
        let nth = self.started;
        self.started += 1;
        let instance = self
            .runtime
            .start(nth, &self.log)
            .await
            .map_err(|fault| self.failed("start", now, How::Fault(fault)))?;
        let fuel = instance.cost().fuel;
        self.tally("start", fuel);
        self.meter.memory_bytes = self.meter.memory_bytes.max(instance.cost().memory_bytes);
        Ok(instance)
    }

    fn measure(&mut self, kind: &'static str) {
        let Some(cost) = self.instance.as_ref().map(Instance::cost) else { return };
        self.tally(kind, cost.fuel);
        self.meter.memory_bytes = self.meter.memory_bytes.max(cost.memory_bytes);
        self.meter.memory_refused = self.meter.memory_refused.max(cost.memory_refused);
    }

    fn tally(&mut self, kind: &'static str, fuel: u64) {
        let tally = self.meter.by_kind.entry(kind).or_default();
        tally.calls += 1;
        tally.fuel += fuel;
        tally.fuel_max = tally.fuel_max.max(fuel);
    }

    /// Fuel of all calls so far.
    pub(crate) fn fuel(&self) -> u64 {
        self.meter.by_kind.values().map(|tally| tally.fuel).sum()
    }

    fn failed(&self, at: &'static str, at_ms: Millis, how: How) -> Failure {
        Failure { at, at_ms, how }
    }

    /// What it took so far.
    pub(crate) fn meter(&self) -> Meter {
        let lines = self.log.lines();
        Meter {
            log_lines: lines.count,
            log_bytes: lines.bytes,
            log_left_out: lines.left_out,
            ..self.meter.clone()
        }
    }
}
