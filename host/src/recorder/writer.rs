//! The thread that writes all recordings.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use cordboard_recording::{End, Why, pack_end};
use tracing::{info, warn};

use super::call_recorder::{CallRecorder, Taken};
use super::counters::Counters;
use super::{Settings, place, retention};

/// From one round to the next: what a killed process loses, and less than the second that is promised.
const ROUND: Duration = Duration::from_millis(800);

/// From one wait for the disk to the next; a recording's end is waited for, too. What a machine that loses its power
/// loses. Waiting in every round was most of what the recorder's thread cost.
const SYNC: Duration = Duration::from_secs(5);

/// From one look at the whole directory to the next.
const SWEEP: Duration = Duration::from_secs(60);

/// A recording under way.
struct Open {
    call_recorder: Arc<CallRecorder>,
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Written to since it was last synced.
    dirty: bool,
    /// When it was last waited for.
    synced: Instant,
}

/// Writes until nobody can begin a recording any more, and what is left then.
pub(super) fn run(inbox: &Receiver<Arc<CallRecorder>>, settings: Settings, counters: &Counters) {
    let mut rounds = Rounds { settings, counters, open: Vec::new(), packed: Vec::new() };
    let (mut next, mut next_sweep) = (Instant::now() + ROUND, Instant::now());
    loop {
        let over = match inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(call_recorder) => {
                rounds.begin(call_recorder);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        rounds.round();
        if over {
            return rounds.abandon();
        }
        next = Instant::now() + ROUND;
        if Instant::now() >= next_sweep {
            rounds.sweep();
            next_sweep = Instant::now() + SWEEP;
        }
    }
}

struct Rounds<'a> {
    settings: Settings,
    counters: &'a Counters,
    open: Vec<Open>,
    /// Reused for every chunk.
    packed: Vec<u8>,
}

impl Rounds<'_> {
    fn begin(&mut self, call_recorder: Arc<CallRecorder>) {
        let created = place::create(&self.settings.dir, &call_recorder.header).and_then(
            |(path, mut file)| {
                let header = call_recorder.header.to_bytes();
                file.write_all(&header)?;
                Ok((path, file, header.len() as u64))
            },
        );
        match created {
            Ok((path, file, bytes)) => {
                info!(call = call_recorder.header.call_id, file = %path.display(), "recording");
                self.counters.bytes.inc_by(bytes);
                self.open.push(Open {
                    call_recorder,
                    path,
                    file,
                    bytes,
                    dirty: true,
                    synced: Instant::now(),
                });
            }
            Err(error) => {
                warn!(
                    call = call_recorder.header.call_id, dir = %self.settings.dir.display(), %error,
                    "a recording can not be made (recording.dir): the call is not recorded"
                );
                self.counters.count(&call_recorder.header.tenant, "disk-failed");
                call_recorder.stop(Why::DiskFailed);
            }
        }
    }

    /// Writes what every call has said since the last round, then waits for the disk where it is time.
    fn round(&mut self) {
        let Self { settings, counters, open, packed } = self;
        let mut over = Vec::new();
        for (at, recording) in open.iter_mut().enumerate() {
            let taken = recording.call_recorder.take();
            let before = recording.bytes;
            match recording.write(taken, settings.call_bytes_max, packed) {
                Ok(None) => {}
                Ok(Some(why)) => over.push((at, why)),
                Err(error) => {
                    warn!(
                        file = %recording.path.display(), %error,
                        "a recording ends early: its file can not be written to"
                    );
                    over.push((at, Why::DiskFailed));
                }
            }
            counters.bytes.inc_by(recording.bytes - before);
        }
        let is_over = |at: usize| over.iter().any(|(over, _)| *over == at);
        for (at, recording) in open.iter_mut().enumerate() {
            if !recording.dirty || !(is_over(at) || recording.synced.elapsed() >= SYNC) {
                continue;
            }
            (recording.dirty, recording.synced) = (false, Instant::now());
            if let Err(error) = recording.file.sync_data() {
                warn!(file = %recording.path.display(), %error, "the disk does not keep a recording");
            }
        }
        for (at, why) in over.into_iter().rev() {
            let recording = open.swap_remove(at);
            recording.call_recorder.stop(why.clone());
            counters.count(&recording.call_recorder.header.tenant, kind(&why));
        }
    }

    /// Ends what is still under way as the process does.
    fn abandon(&mut self) {
        for recording in &self.open {
            recording.call_recorder.abandon();
        }
        self.round();
    }

    fn sweep(&self) {
        let Settings { dir, keep, total_bytes_max, .. } = &self.settings;
        let under_way = |path: &Path| self.open.iter().any(|open| open.path == path);
        match retention::sweep(dir, *keep, *total_bytes_max, SystemTime::now(), under_way) {
            Ok(0) => {}
            Ok(deleted) => {
                info!(deleted, "old recordings were deleted (recording.keep_days, total_mib)")
            }
            Err(error) => {
                warn!(dir = %dir.display(), %error, "old recordings can not be deleted");
            }
        }
    }
}

impl Open {
    /// Appends what was taken. Says why, when nothing may follow.
    fn write(
        &mut self,
        taken: Taken,
        bytes_max: u64,
        packed: &mut Vec<u8>,
    ) -> io::Result<Option<Why>> {
        packed.clear();
        let Taken { chunks, now, mut end } = taken;
        for chunk in &chunks {
            let before = packed.len();
            chunk.pack(packed);
            if self.bytes + packed.len() as u64 > bytes_max {
                packed.truncate(before);
                end = Some(Why::Full);
                break;
            }
        }
        if let Some(why) = end.clone() {
            pack_end(&End { now, why }, packed);
        }
        if !packed.is_empty() {
            self.file.write_all(packed)?;
            self.bytes += packed.len() as u64;
            self.dirty = true;
        }
        Ok(end)
    }
}

/// A recording's end by the name it is counted under.
fn kind(why: &Why) -> &'static str {
    match why {
        Why::CallOver(_) => "complete",
        Why::SlowDisk => "slow-disk",
        Why::Full => "full",
        Why::Abandoned => "abandoned",
        Why::DiskFailed => "disk-failed",
    }
}
