//! A version that listens to live calls beside the one that answers them, and is compared with it.
//!
//! **One rule: a shadow costs the call nothing.** The call puts copies of its events and answers into a queue,
//! and waits for nobody: it takes no lock that a thread of low priority may hold. The shadow's instances run on one thread of their own, of the lowest priority, on a CPU
//! account of their own; a shadow that falls behind, overruns or traps is dropped, and counted.
//!
//! A shadow is the twin of the call's first instance: it begins with the same random numbers and the same clock,
//! so the same component answers the same, byte for byte, and every difference is the new version's doing.
//! It hears what became of the *live* version's actions. So a difference early in a call may bring others after it, and what
//! is kept of each call are its first few.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cordboard_call::contract::{Action, CallInfo, Event, Millis};
use cordboard_recording::AudioFormats;
use cordboard_recording::compare::compare;
use cordboard_tenant::{
    CallInstanceFactory, InstanceFactory as _, SupervisedInstance as _, Version,
};
use serde::Serialize;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc::{self, error::TrySendError};
use utoipa::ToSchema;

use crate::rollout::Which;

/// Events of one call that wait for its shadow: about a second. Beyond that the shadow is dropped.
const QUEUE_MAX: usize = 128;

/// What they may hold on the heap together, in bytes.
const QUEUE_BYTES_MAX: usize = 2 << 20;

/// Differences told of each call.
const TOLD_PER_CALL: usize = 5;

/// Differences told of each version; the oldest go first.
const TOLD_MAX: usize = 100;

/// Bytes of one difference, as text.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Versions remembered; beyond that the one with the fewest events goes.
const VERSIONS_MAX: usize = 256;

/// The least the kernel can give a thread that is to run at all.
const NICENESS: i32 = 19;

/// All shadows of one gateway.
pub(crate) struct Shadows {
    /// Taken out when the gateway is dropped, which may happen where nothing may block.
    runtime: Option<Runtime>,
    handle: Handle,
    findings: Arc<Mutex<HashMap<Which, Findings>>>,
}

/// What was found of one version.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct Findings {
    /// Calls it listened to.
    calls: u64,
    /// Events it answered.
    events: u64,
    /// Events it answered otherwise than the version that was live.
    differing: u64,
    /// Those by the event's kind.
    by_event: BTreeMap<&'static str, u64>,
    /// Shadows that were dropped, by the reason in a word.
    dropped: BTreeMap<&'static str, u64>,
    /// The last reason, in full.
    #[schema(required)]
    last_dropped: Option<String>,
    /// The latest differences, the oldest first.
    #[schema(value_type = Vec<Finding>)]
    differences: VecDeque<Finding>,
}

/// One event that two versions answered differently.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Finding {
    call: String,
    /// Since the call began.
    #[schema(value_type = u64)]
    at_ms: Millis,
    event: &'static str,
    /// Side by side, as text.
    difference: String,
}

/// One call's end of the queue to its shadow.
pub(crate) struct Shadow {
    queue: mpsc::Sender<Heard>,
    queued_bytes: Arc<AtomicUsize>,
    given_up: Arc<OnceLock<GivenUp>>,
}

/// Why the call wants no shadow any more, in a word and in full.
type GivenUp = (&'static str, String);

/// What happened in the call.
struct Heard {
    now: Millis,
    event: Event,
    answer: Vec<Action>,
    bytes: usize,
}

impl Shadows {
    /// Starts the thread; it sleeps while there is no shadow.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cordboard-shadow")
            .enable_time()
            .on_thread_start(|| {
                if let Err(error) = rustix::process::nice(NICENESS) {
                    tracing::warn!("shadows compete with calls: {error}");
                }
            })
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle, findings: Arc::default() })
    }

    /// Puts a shadow behind a call that begins. `factory` must be like the call's own, but for the CPU account.
    pub(crate) fn follow(
        &self,
        factory: CallInstanceFactory,
        version: Arc<Version>,
        info: &CallInfo,
    ) -> Shadow {
        let (queue, heard) = mpsc::channel(QUEUE_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let which = Which::of(&version);
        let notebook = Notebook { findings: Arc::clone(&self.findings), which };
        let given_up = Arc::new(OnceLock::new());
        let listener = Listener {
            factory,
            version,
            info: info.clone(),
            notebook,
            given_up: Arc::clone(&given_up),
            told: 0,
            heard,
            queued_bytes: Arc::clone(&queued_bytes),
        };
        self.handle.spawn(listener.listen());
        Shadow { queue, queued_bytes, given_up }
    }

    /// What was found of a version so far.
    pub(crate) fn findings(&self, which: &Which) -> Findings {
        lock(&self.findings).get(which).cloned().unwrap_or_default()
    }

    /// Forgets what was found of a version: its trial begins anew.
    pub(crate) fn forget(&self, which: &Which) {
        lock(&self.findings).remove(which);
    }
}

impl Drop for Shadows {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shadow {
    /// Hands the shadow an event and how it was answered. False when it cannot keep up or has ended: drop it.
    #[must_use]
    pub(crate) fn hears(&self, now: Millis, event: Event, answer: &[Action]) -> bool {
        let bytes = event.heap_bytes() + answer.iter().map(Action::heap_bytes).sum::<usize>();
        if self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX {
            return self.give_up("behind", format!("{QUEUE_BYTES_MAX} bytes behind at {now} ms"));
        }
        match self.queue.try_send(Heard { now, event, answer: answer.to_vec(), bytes }) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.give_up("behind", format!("{QUEUE_MAX} events behind at {now} ms"))
            }
            // It ended and said why.
            Err(TrySendError::Closed(_)) => false,
        }
    }

    /// The live instance began anew, without its memory of the call; there is nothing to compare any more.
    pub(crate) fn lose(self) {
        self.give_up("restarted", "the live instance began the call anew".to_owned());
    }

    /// Leaves the reason for the listener, who finds it when the queue has ended.
    fn give_up(&self, kind: &'static str, why: String) -> bool {
        // The first reason is the reason.
        let _ = self.given_up.set((kind, why));
        false
    }
}

/// Where one shadow writes.
struct Notebook {
    findings: Arc<Mutex<HashMap<Which, Findings>>>,
    which: Which,
}

impl Notebook {
    fn write(&self, note: impl FnOnce(&mut Findings)) {
        let mut all = lock(&self.findings);
        if all.len() >= VERSIONS_MAX && !all.contains_key(&self.which) {
            let least = all.iter().min_by_key(|(_, findings)| findings.events);
            if let Some(least) = least.map(|(which, _)| which.clone()) {
                all.remove(&least);
            }
        }
        note(all.entry(self.which.clone()).or_default());
    }

    fn dropped(&self, kind: &'static str, why: String) {
        self.write(|findings| {
            *findings.dropped.entry(kind).or_default() += 1;
            findings.last_dropped = Some(why);
        });
    }
}

/// One shadow: an instance that hears a call and whose answers go nowhere.
struct Listener {
    factory: CallInstanceFactory,
    version: Arc<Version>,
    info: CallInfo,
    notebook: Notebook,
    given_up: Arc<OnceLock<GivenUp>>,
    told: usize,
    heard: mpsc::Receiver<Heard>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Listener {
    async fn listen(mut self) {
        self.notebook.write(|findings| findings.calls += 1);
        // The number of the call's first instance, for the same random numbers.
        let mut instance = match self.factory.start(&self.version, 0).await {
            Ok(instance) => instance,
            Err(fault) => return self.notebook.dropped(fault.label(), fault.to_string()),
        };
        let mut formats = AudioFormats::new(self.info.format);
        while let Some(Heard { now, mut event, answer: live, bytes }) = self.heard.recv().await {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            if let Event::Started(info) = &mut event {
                self.factory.describe(&self.version, info);
            }
            let kind = event.kind();
            match instance.handle(now, event).await {
                Ok(own) => {
                    self.compare(now, kind, &live, &own, &formats);
                    formats.follow(&live);
                }
                Err(fault) => {
                    let why = format!("in {kind}, {now} ms into the call: {fault}");
                    return self.notebook.dropped(fault.label(), why);
                }
            }
        }
        if let Some((kind, why)) = self.given_up.get() {
            self.notebook.dropped(kind, why.clone());
        }
    }

    fn compare(
        &mut self,
        now: Millis,
        event: &'static str,
        live: &[Action],
        own: &[Action],
        formats: &AudioFormats,
    ) {
        if live == own {
            return self.notebook.write(|findings| findings.events += 1);
        }
        self.told += 1;
        let finding = (self.told <= TOLD_PER_CALL).then(|| {
            let mut difference = compare(live, own, formats).table(["live", "shadow"]);
            difference.truncate(difference.floor_char_boundary(TEXT_BYTES_MAX));
            Finding { call: self.info.call_id.clone(), at_ms: now, event, difference }
        });
        self.notebook.write(|findings| {
            findings.events += 1;
            findings.differing += 1;
            *findings.by_event.entry(event).or_default() += 1;
            findings.differences.extend(finding);
            if findings.differences.len() > TOLD_MAX {
                findings.differences.pop_front();
            }
        });
    }
}

#[cfg(test)]
mod tests;

/// Each write is a few additions, so a panic while one was made leaves a number off by one at worst.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
