//! A socket whose peer must read what it asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// A socket that fails with [`io::ErrorKind::TimedOut`] when its peer takes no byte for a time.
///
/// A write that is taken at once, as every frame of a call is, costs one look at an empty option.
pub(super) struct Impatient {
    socket: TcpStream,
    within: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
    forever: Arc<AtomicBool>,
}

/// Makes a socket patient again.
pub(super) struct Patience(Arc<AtomicBool>);

impl Patience {
    /// From now on the peer may take any time: the stream of a call has a limit of its own.
    pub(super) fn forever(self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Impatient {
    /// The peer must take a byte `within` this time from when it did not.
    pub(super) fn new(socket: TcpStream, within: Duration) -> (Self, Patience) {
        let forever = Arc::new(AtomicBool::new(false));
        let patience = Patience(Arc::clone(&forever));
        (Self { socket, within, stuck: None, forever }, patience)
    }

    fn limited<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        if self.forever.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(self.within)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.limited(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.limited(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket of TCP has nothing to flush.
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
