//! WASI for guests that use a standard library, with nothing granted.
//!
//! No files, no sockets, no environment, no arguments, an empty stdin; stdout and stderr go to the tenant's
//! log. The clocks show the call's `now`, and random numbers come from the instance's seed: a guest that
//! uses all of it still answers the same events with the same actions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use tokio::io::AsyncWrite;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use crate::guest_log::{GuestLog, Stream};
use crate::limits::fixed;
use crate::state::GuestState;

/// Everything a component may import.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    // The synchronous variant would panic on a tokio worker as soon as a guest writes to stderr.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    crate::abi::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// The clock of one call, as its guest sees it.
#[derive(Debug, Clone)]
pub(crate) struct CallClock {
    now_ms: Arc<AtomicU64>,
    began_unix_ms: u64,
}

impl CallClock {
    pub(crate) fn new(began_unix_ms: u64) -> Self {
        Self { now_ms: Arc::default(), began_unix_ms }
    }

    /// Moves the clock; it never goes back.
    pub(crate) fn set(&self, now_ms: u64) {
        self.now_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }
}

impl HostWallClock for CallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.began_unix_ms.saturating_add(self.now_ms()))
    }
}

impl HostMonotonicClock for CallClock {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        self.now_ms().saturating_mul(1_000_000)
    }
}

/// The WASI of one instance.
pub(crate) fn context(seed: [u8; 32], clock: &CallClock, log: &GuestLog) -> WasiCtx {
    let random = |stream| {
        let mut random = ChaCha8Rng::from_seed(seed);
        random.set_stream(stream);
        random
    };
    let mut insecure_seed = [0; 16];
    random(2).fill_bytes(&mut insecure_seed);
    WasiCtxBuilder::new()
        .stdout(LogStream { log: log.clone(), stream: Stream::Stdout })
        .stderr(LogStream { log: log.clone(), stream: Stream::Stderr })
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .wall_clock(clock.clone())
        .monotonic_clock(clock.clone())
        .secure_random(random(0))
        .insecure_random(random(1))
        .insecure_random_seed(u128::from_le_bytes(insecure_seed))
        .max_random_size(fixed::RANDOM_BYTES_MAX)
        .build()
}

/// A guest's stdout or stderr: always ready, never full.
#[derive(Clone)]
struct LogStream {
    log: GuestLog,
    stream: Stream,
}

/// Bytes a guest may write at once; also what `write-zeroes` makes the host allocate.
const WRITE_BYTES_MAX: usize = 4 << 10;

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // WASI 0.3 would ask for this one; only 0.2 is linked.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}
