//! The flight recorder: what passes the boundary of a call's instances, on disk within the second.
//!
//! **One rule: the call never waits for a recording.** A recorded call has a [`CallRecorder`], on which its instances' doings
//! are noted: a copy of bytes in memory. One thread for all calls comes by every 0.8 s, takes what is there,
//! compresses it and writes it. When the disk is slower than the calls, recorders reach their bound and the recording ends
//! there, saying so; the call does not notice.
//!
//! A killed process loses what was not yet collected: those 0.8 s. A machine that loses its power loses what was not yet
//! synced: five seconds.

mod call_recorder;
mod counters;
mod place;
mod retention;
mod writer;

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cordboard_call::contract::{CallInfo, Ended};
use cordboard_recording::{Header, Redaction};
use cordboard_tenant::{Observer, Version};

pub use crate::config::Recording as Settings;
use crate::metrics::Metrics;
use call_recorder::CallRecorder;
use counters::Counters;

/// Records the calls of one gateway.
#[derive(Debug)]
pub struct Recorder {
    /// Bytes that wait in all recorders.
    waiting: Arc<AtomicUsize>,
    counters: Counters,
    /// A lock, because any call's task may start a recording; held for one send. Absent after [`Recorder::close`].
    writer: Mutex<Option<Writer>>,
    settings: Settings,
}

#[derive(Debug)]
struct Writer {
    call_recorders: Sender<Arc<CallRecorder>>,
    thread: JoinHandle<()>,
}

/// The recording of one call. Dropped before [`Recording::finish`] it ends as abandoned.
#[derive(Debug)]
pub struct Recording(Arc<CallRecorder>);

impl Recorder {
    /// A recorder that has touched no disk yet: its thread starts with the first recording.
    #[must_use]
    pub fn new(settings: Settings, metrics: &Metrics) -> Self {
        Self {
            waiting: Arc::default(),
            counters: Counters::of(metrics),
            writer: Mutex::default(),
            settings,
        }
    }

    /// Begins a recording of a call, if its version's terms say that it is recorded.
    #[must_use]
    pub fn begin(
        &self,
        call: &CallInfo,
        version: &Version,
        began_unix_ms: u64,
    ) -> Option<Recording> {
        if !version.recording.records(&call.call_id) {
            return None;
        }
        let header = Header {
            call_id: call.call_id.clone(),
            tenant: call.tenant.clone(),
            began_unix_ms,
            gateway: env!("CARGO_PKG_VERSION").to_owned(),
            redaction: Redaction {
                audio: version.recording.without_audio,
                transcripts: version.recording.without_transcripts,
            },
        };
        let call_recorder = Arc::new(CallRecorder::new(header, Arc::clone(&self.waiting)));
        self.hand_over(Arc::clone(&call_recorder))?;
        self.counters.count(&call.tenant, "begun");
        Some(Recording(call_recorder))
    }

    /// Gives a recorder to the writer's thread, which is started if there is none.
    fn hand_over(&self, call_recorder: Arc<CallRecorder>) -> Option<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            let (call_recorders, inbox) = mpsc::channel();
            let (settings, counters) = (self.settings.clone(), self.counters.clone());
            let work = move || writer::run(&inbox, settings, &counters);
            let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(work);
            match thread {
                Ok(thread) => *writer = Some(Writer { call_recorders, thread }),
                Err(error) => {
                    tracing::error!(%error, "no thread for recordings: the call is not recorded");
                    return None;
                }
            }
        }
        // A writer that is gone has panicked; calls go on without recordings.
        writer.as_ref()?.call_recorders.send(call_recorder).ok()
    }

    /// Writes what is left and ends every recording. A recording that begins later has a thread of its own.
    pub fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Writer { call_recorders, thread }) = writer {
            drop(call_recorders);
            if thread.join().is_err() {
                tracing::error!("the recorder's thread panicked");
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

impl Recording {
    /// Who is to be told what passes the boundary of the call's instances.
    #[must_use]
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.0) as Arc<dyn Observer>
    }

    /// Ends the recording with the call.
    pub fn finish(self, ended: Ended) {
        self.0.finish(ended);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests;
