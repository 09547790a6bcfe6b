//! What the operating system asks of the gateway: to end, or to read its configuration again.
//!
//! **One rule: a signal is heard while everything else is stuck.** A thread with a runtime of its own waits
//! for signals; it touches no lock that a call takes and waits for nobody. A process that was told to end
//! and does not is ended from here.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::logging::Logging;

/// For a drained gateway to say goodbye to its last calls, close its recordings and go.
const AFTER_DRAIN: Duration = Duration::from_secs(30);

/// The same for one that was told twice, and leaves its calls behind.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// How often the process was told to stop.
#[derive(Clone)]
pub(crate) struct Stops(watch::Receiver<u32>);

impl Stops {
    /// Waits until the process was told `times`.
    pub(crate) async fn told(&mut self, times: u32) {
        if self.0.wait_for(|told| *told >= times).await.is_err() {
            // The thread is gone, and with it whoever could tell.
            std::future::pending().await
        }
    }
}

/// Listens from now on. `on_hangup` is called for each SIGHUP, on the thread, and must not wait.
///
/// # Errors
/// The system gives no thread, or refuses a handler.
pub(crate) fn listen(
    log: &'static Logging,
    drain_deadline: Duration,
    on_hangup: impl Fn() + Send + 'static,
) -> io::Result<Stops> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let inside = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(inside);
    let (told, stops) = watch::channel(0);
    let mut stopping = Stopping::new(drain_deadline);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hangup.recv() => {
                        on_hangup();
                        continue;
                    }
                    () = until(stopping.ends_by()) => {
                        tracing::error!("told to stop and stuck: the process is ended");
                        log.close();
                        std::process::exit(STUCK);
                    }
                }
                stopping.told(Instant::now());
                told.send_modify(|times| *times += 1);
            }
        })
    })?;
    Ok(Stops(stops))
}

/// The exit code of a process that had to be ended from here.
const STUCK: i32 = 1;

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// By when a process that was told to stop has to be gone.
struct Stopping {
    drain_deadline: Duration,
    ends_by: Option<Instant>,
}

impl Stopping {
    fn new(drain_deadline: Duration) -> Self {
        Self { drain_deadline, ends_by: None }
    }

    fn told(&mut self, now: Instant) {
        self.ends_by = Some(match self.ends_by {
            None => now + self.drain_deadline + AFTER_DRAIN,
            Some(before) => before.min(now + LEAVE_WITHIN),
        });
    }

    fn ends_by(&self) -> Option<Instant> {
        self.ends_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_process_is_ended_after_its_drain_and_soon_when_told_twice() {
        let began = Instant::now();
        let mut stopping = Stopping::new(Duration::from_secs(600));
        assert_eq!(stopping.ends_by(), None);

        stopping.told(began);
        assert_eq!(stopping.ends_by(), Some(began + Duration::from_secs(630)));
        stopping.told(began + Duration::from_secs(10));
        assert_eq!(stopping.ends_by(), Some(began + Duration::from_secs(15)));
        // Whoever goes on telling does not put the end off.
        stopping.told(began + Duration::from_secs(14));
        assert_eq!(stopping.ends_by(), Some(began + Duration::from_secs(15)));
    }
}
