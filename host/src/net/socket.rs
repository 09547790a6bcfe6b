//! A WebSocket that is read and written from one place, without ever waiting for the peer to read.
//!
//! **One rule: [`Duplex::queue`] never blocks, and [`Duplex::next`] does the writing.** A call is one
//! task; if it waited for a slow model to take a message, the caller would hear a gap. So messages go
//! into the socket's own bounded buffer at once, and are pushed out whenever the task is idle. A peer
//! that takes nothing for [`STALL`] is lost, as is one whose buffer overflows.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Sink, Stream};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a peer may leave bytes in our buffer before it counts as gone. A call with 5 s of
/// backlog can not be saved, and TCP alone would wait for minutes.
pub const STALL: Duration = Duration::from_secs(5);

/// Why a socket is no longer of use.
#[derive(Debug, thiserror::Error)]
pub enum Lost<E> {
    /// The stream ended without a close frame or after one that was already reported.
    #[error("the peer closed the connection")]
    Ended,
    /// Bytes stayed in our buffer for longer than [`STALL`].
    #[error("the peer took nothing for {} s", STALL.as_secs())]
    Stalled,
    /// The transport or the protocol failed.
    #[error(transparent)]
    Failed(#[from] E),
}

/// A WebSocket with a write side that never waits.
pub struct Duplex<S> {
    socket: S,
    unflushed: bool,
    stall: Pin<Box<Sleep>>,
}

impl<S> Duplex<S> {
    /// Wraps an open socket.
    pub fn new(socket: S) -> Self {
        Self { socket, unflushed: false, stall: Box::pin(sleep_until(Instant::now())) }
    }

    /// Queues one message.
    ///
    /// # Errors
    /// The socket is closed or its buffer is full; either way it is of no more use.
    pub fn queue<M, E>(&mut self, message: M) -> Result<(), Lost<E>>
    where
        S: Sink<M, Error = E> + Unpin,
    {
        if !self.unflushed {
            self.unflushed = true;
            self.stall.as_mut().reset(Instant::now() + STALL);
        }
        Pin::new(&mut self.socket).start_send(message).map_err(Lost::Failed)
    }

    /// Waits for the next message while writing out what is queued. Safe to drop at any time.
    ///
    /// # Errors
    /// See [`Lost`].
    pub async fn next<M, E>(&mut self) -> Result<M, Lost<E>>
    where
        S: Sink<M, Error = E> + Stream<Item = Result<M, E>> + Unpin,
    {
        loop {
            if let Some(message) = self.next_or_written(false).await? {
                return Ok(message);
            }
        }
    }

    /// Like [`Duplex::next`]; with `until_written` it also returns, with nothing, once the last of what
    /// was queued is written and the peer has said nothing. For a sender that has time and more to say than
    /// a buffer holds; one that never stops still reads a message for each it sends.
    ///
    /// # Errors
    /// See [`Lost`].
    pub async fn next_or_written<M, E>(&mut self, until_written: bool) -> Result<Option<M>, Lost<E>>
    where
        S: Sink<M, Error = E> + Stream<Item = Result<M, E>> + Unpin,
    {
        poll_fn(|cx| {
            let mut failed = None;
            let mut written = false;
            if self.unflushed {
                match Pin::new(&mut self.socket).poll_flush(cx) {
                    Poll::Ready(Ok(())) => {
                        self.unflushed = false;
                        written = until_written;
                    }
                    // What the peer said before it went is read first: it may say why.
                    Poll::Ready(Err(error)) => failed = Some(Lost::Failed(error)),
                    Poll::Pending if self.stall.as_mut().poll(cx).is_ready() => {
                        failed = Some(Lost::Stalled);
                    }
                    Poll::Pending => {}
                }
            }
            match (Pin::new(&mut self.socket).poll_next(cx), failed) {
                (Poll::Ready(Some(Ok(message))), _) => Poll::Ready(Ok(Some(message))),
                (_, Some(lost)) => Poll::Ready(Err(lost)),
                (Poll::Ready(Some(Err(error))), None) => Poll::Ready(Err(Lost::Failed(error))),
                (Poll::Ready(None), None) => Poll::Ready(Err(Lost::Ended)),
                (Poll::Pending, None) if written => Poll::Ready(Ok(None)),
                (Poll::Pending, None) => Poll::Pending,
            }
        })
        .await
    }

    /// Returns whether everything queued is in the system's hands.
    pub fn all_written(&self) -> bool {
        !self.unflushed
    }

    /// Writes out what is queued and closes, waiting no longer than `deadline`.
    pub async fn close<M, E>(mut self, farewell: M, deadline: Duration)
    where
        S: Sink<M, Error = E> + Stream<Item = Result<M, E>> + Unpin,
    {
        let closing = async {
            if self.queue(farewell).is_err() {
                return;
            }
            // The peer's own close frame ends the stream; until then its messages are of no interest.
            while self.next().await.is_ok() {}
        };
        // A peer that does not answer the close frame is dropped; nothing is left to do for it.
        drop(tokio::time::timeout(deadline, closing).await);
    }
}
