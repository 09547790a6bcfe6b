//! The clock that interrupts guests: an operating-system thread of its own, one tick a millisecond.
//!
//! Not a tokio timer: when a runaway guest holds the only worker, that timer would not fire, and the guest
//! would never be interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often a running guest is looked at, and gives way to its neighbours from the second time on.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Whether the ticker keeps time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Ticks since the engine was made; about a thousand a second.
    pub ticks: u64,
    /// Ticks that came more than ten milliseconds late: the machine is overloaded, and verdicts about slow
    /// guests should wait.
    pub late: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Ticker {
    ticks: AtomicU64,
    late: AtomicU64,
}

impl Ticker {
    /// Starts the thread, which ends by itself once the engine is gone.
    pub(crate) fn start(engine: &wasmtime::Engine) -> std::io::Result<Arc<Self>> {
        let ticker = Arc::new(Self::default());
        let (engine, beat) = (engine.weak(), Arc::clone(&ticker));
        thread::Builder::new().name("cordboard-ticker".into()).spawn(move || {
            loop {
                let before = Instant::now();
                thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
                beat.ticks.fetch_add(1, Ordering::Relaxed);
                if before.elapsed() > 11 * TICK {
                    beat.late.fetch_add(1, Ordering::Relaxed);
                }
            }
        })?;
        Ok(ticker)
    }

    pub(crate) fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            ticks: self.ticks.load(Ordering::Relaxed),
            late: self.late.load(Ordering::Relaxed),
        }
    }
}
