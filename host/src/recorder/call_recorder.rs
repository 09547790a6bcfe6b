//! What a recorded call has said and nobody has written yet.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cordboard_call::contract::{Action, CallInfo, Ended, Event, Millis};
use cordboard_recording::{Bounds, Chunk, Chunks, Entry, Failure, Header, Why};
use cordboard_tenant::{Fault, InstanceConfig, Limits, Observer, Version};

/// Bytes that may wait in one recorder: 8 MiB, a minute of the busiest call. The largest event has four.
const TAPE_BYTES_MAX: usize = 8 << 20;

/// Bytes that may wait in all recorders together: 256 MiB, two seconds of a thousand such calls.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// What one call has recorded and the writer has not taken yet.
#[derive(Debug)]
pub(super) struct CallRecorder {
    pub(super) header: Header,
    /// A lock, because the call's task notes and the writer's thread takes. Either holds it for a copy.
    state: Mutex<State>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct State {
    chunks: Chunks,
    /// The call's time, as far as it was told.
    now: Millis,
    /// Set once; nothing is noted after it.
    end: Option<Why>,
}

/// What the writer took from a recorder.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) chunks: Vec<Chunk>,
    /// The call's time.
    pub(super) now: Millis,
    /// Why nothing follows, if so.
    pub(super) end: Option<Why>,
}

impl CallRecorder {
    pub(super) fn new(header: Header, waiting: Arc<AtomicUsize>) -> Self {
        Self { header, state: Mutex::default(), waiting }
    }

    /// The call is over, as it should be.
    pub(super) fn finish(&self, ended: Ended) {
        self.lock().end.get_or_insert(Why::CallOver(ended));
    }

    /// Whoever ran the call is gone.
    pub(super) fn abandon(&self) {
        self.lock().end.get_or_insert(Why::Abandoned);
    }

    /// Nothing more is noted, for want of room on the disk or in the file.
    pub(super) fn stop(&self, why: Why) {
        let mut state = self.lock();
        state.end = Some(why);
        self.forget(&mut state);
    }

    /// Takes all that waits.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.lock();
        self.waiting.fetch_sub(state.chunks.bytes(), Ordering::Relaxed);
        Taken { chunks: state.chunks.take(), now: state.now, end: state.end.clone() }
    }

    fn note(&self, now: Option<Millis>, entry: &Entry<'_>) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        state.now = state.now.max(now.unwrap_or(0));
        let (now, before) = (state.now, state.chunks.bytes());
        state.chunks.push(now, entry);
        let added = state.chunks.bytes() - before;
        let all = self.waiting.fetch_add(added, Ordering::Relaxed) + added;
        // What was noted so far is whole, and stays; from here on something would be missing.
        if state.chunks.bytes() > TAPE_BYTES_MAX || all > WAITING_BYTES_MAX {
            state.end = Some(Why::SlowDisk);
        }
    }

    fn forget(&self, state: &mut State) {
        self.waiting.fetch_sub(state.chunks.bytes(), Ordering::Relaxed);
        state.chunks = Chunks::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What it guards is appended to or replaced as a whole, so a panic leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self, fault: &Fault) -> Failure {
        let failure = Failure { kind: fault.label().to_owned(), message: fault.to_string() };
        self.header.redaction.failure(failure)
    }
}

impl Drop for CallRecorder {
    fn drop(&mut self) {
        let mut state = self.lock();
        self.forget(&mut state);
    }
}

impl Observer for CallRecorder {
    fn started(
        &self,
        instance: u64,
        version: &Version,
        config: &InstanceConfig,
        outcome: Result<(), &Fault>,
    ) {
        let entry = Entry::Started {
            instance,
            version: Cow::Borrowed(&version.name),
            component: *version.component.digest().as_bytes(),
            seed: config.seed,
            began_unix_ms: config.began_unix_ms,
            bounds: bounds(&config.limits),
            failure: outcome.err().map(|fault| self.failure(fault)),
        };
        self.note(None, &entry);
    }

    fn activated(&self, instance: u64) {
        self.note(None, &Entry::Activated { instance });
    }

    fn asked(&self, instance: u64, now: Millis, event: &Event) {
        let event = self.header.redaction.event(event);
        self.note(Some(now), &Entry::Asked { instance, now, event });
    }

    fn answered(&self, instance: u64, now: Millis, answer: Result<&[Action], &Fault>) {
        let answer = match answer {
            Ok(actions) => Ok(self.header.redaction.actions(actions)),
            Err(fault) => Err(self.failure(fault)),
        };
        self.note(Some(now), &Entry::Answered { instance, answer });
    }

    fn saved(&self, instance: u64, now: Millis, answer: Result<Option<&[u8]>, &Fault>) {
        let answer = match answer {
            Ok(state) => Ok(state.map(|state| self.header.redaction.state(state))),
            Err(fault) => Err(self.failure(fault)),
        };
        self.note(Some(now), &Entry::Saved { instance, now, answer });
    }

    fn loaded(
        &self,
        instance: u64,
        now: Millis,
        info: &CallInfo,
        state: &[u8],
        answer: Result<Result<(), &str>, &Fault>,
    ) {
        let answer = match answer {
            Ok(taken) => Ok(taken.map_err(|refusal| self.header.redaction.refusal(refusal))),
            Err(fault) => Err(self.failure(fault)),
        };
        let (info, state) = (Cow::Borrowed(info), self.header.redaction.state(state));
        self.note(Some(now), &Entry::Loaded { instance, now, info, state, answer });
    }
}

fn bounds(limits: &Limits) -> Bounds {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Bounds {
        event_cpu_ms: millis(limits.event_cpu),
        start_cpu_ms: millis(limits.start_cpu),
        handover_cpu_ms: millis(limits.handover_cpu),
        memory_bytes: limits.memory_bytes as u64,
        actions_max: limits.actions_max as u64,
        answer_bytes_max: limits.answer_bytes_max as u64,
    }
}
