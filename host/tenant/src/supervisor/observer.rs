//! Somebody who hears all that passes between a call and its instances.

use std::sync::Arc;

use cordboard_call::contract::{Action, CallInfo, Event, Millis};

use super::SupervisedInstance;
use crate::fault::Fault;
use crate::instance::{Instance, InstanceConfig};
use crate::tenant_table::Version;

/// Is told what passes the boundary of each of a call's instances, in the order it happens.
///
/// An instance depends on nothing else, so whoever keeps all of this can run each again. Instances are numbered
/// from 0 as they are started. The call waits for every one of these, so they should do no more than note it down.
pub trait Observer: Send + Sync {
    /// An instance was started, or did not survive its start.
    fn started(
        &self,
        instance: u64,
        version: &Version,
        config: &InstanceConfig,
        outcome: Result<(), &Fault>,
    );
    /// From here on this instance's answers are carried out, and no other's.
    fn activated(&self, instance: u64);
    /// An instance is about to be told an event.
    fn asked(&self, instance: u64, now: Millis, event: &Event);
    /// It answered the event it was told last.
    fn answered(&self, instance: u64, now: Millis, answer: Result<&[Action], &Fault>);
    /// It was asked for its state.
    fn saved(&self, instance: u64, now: Millis, answer: Result<Option<&[u8]>, &Fault>);
    /// It was handed a state; the inner error is its refusal.
    fn loaded(
        &self,
        instance: u64,
        now: Millis,
        info: &CallInfo,
        state: &[u8],
        answer: Result<Result<(), &str>, &Fault>,
    );
}

/// An instance at the supervisor, and whoever watches it. Without a observer it costs one comparison per event.
#[derive(Debug)]
pub struct Observed {
    instance: Instance,
    watch: Option<Watch>,
}

/// Who watches, and which of the call's instances this is.
struct Watch {
    observer: Arc<dyn Observer>,
    number: u64,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Observed {
    /// Starts an instance, the `number`th of its call.
    pub(super) async fn start(
        version: &Version,
        number: u64,
        config: InstanceConfig,
        observer: Option<&Arc<dyn Observer>>,
    ) -> Result<Self, Fault> {
        let Some(observer) = observer else {
            let instance = Instance::start(&version.component, config).await?;
            return Ok(Self { instance, watch: None });
        };
        let started = Instance::start(&version.component, config.clone()).await;
        observer.started(number, version, &config, started.as_ref().map(|_| ()));
        let watch = Watch { observer: Arc::clone(observer), number };
        Ok(Self { instance: started?, watch: Some(watch) })
    }
}

impl SupervisedInstance for Observed {
    fn activate(&mut self) {
        if let Some(Watch { observer, number }) = &self.watch {
            observer.activated(*number);
        }
    }

    async fn handle(&mut self, now: Millis, event: Event) -> Result<Vec<Action>, Fault> {
        if let Some(Watch { observer, number }) = &self.watch {
            observer.asked(*number, now, &event);
        }
        let answer = self.instance.handle(now, event).await;
        if let Some(Watch { observer, number }) = &self.watch {
            observer.answered(*number, now, answer.as_deref());
        }
        answer
    }

    fn has_handover(&self) -> bool {
        self.instance.has_handover()
    }

    async fn save(&mut self, now: Millis) -> Result<Option<Vec<u8>>, Fault> {
        let state = self.instance.save(now).await;
        if let Some(Watch { observer, number }) = &self.watch {
            observer.saved(*number, now, state.as_ref().map(Option::as_deref));
        }
        state
    }

    async fn load(
        &mut self,
        now: Millis,
        info: CallInfo,
        state: &[u8],
    ) -> Result<Result<(), String>, Fault> {
        let Some(Watch { observer, number }) = &self.watch else {
            return self.instance.load(now, info, state).await;
        };
        let answer = self.instance.load(now, info.clone(), state).await;
        let told = answer.as_ref().map(|answer| answer.as_ref().copied().map_err(String::as_str));
        observer.loaded(*number, now, &info, state, told);
        answer
    }
}
