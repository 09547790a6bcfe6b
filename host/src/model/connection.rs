//! A conversation with a model for programs: send audio, be called back, no telephone.
//!
//! ```no_run
//! # async fn example(endpoint: cordboard::model::ModelEndpoint, audio: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//! use cordboard::model::RealtimeConnection;
//! use cordboard_wire::openai::ServerEvent;
//!
//! let model = RealtimeConnection::connect(&endpoint).await?;
//! model.on_message_type("response.output_audio.delta", |event| {
//!     if let ServerEvent::AudioDelta { audio, .. } = event {
//!         println!("{} bytes of speech", audio.len());
//!     }
//! }).await?;
//! model.send_config("Answer in one sentence.").await?;
//! model.send_audio(&audio).await?;
//! model.commit().await?;
//! model.request_response().await?;
//! # Ok(())
//! # }
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cordboard_call::contract::ModelInfo;
use cordboard_wire::openai::{ClientEvent, Refusal, ServerEvent};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tracing::debug;

use super::{ConnectError, Down, ModelEndpoint, ModelIn, ModelSocket};

/// A connection that a task of its own keeps alive. Dropping it closes the session.
///
/// Handlers run in that task, in the order they were added, one event at a time: a handler that
/// takes long delays the next event, and one that blocks stops the conversation.
#[derive(Debug)]
pub struct RealtimeConnection {
    info: ModelInfo,
    commands: mpsc::Sender<Command>,
    handlers: AtomicU64,
    down: watch::Receiver<Option<Down>>,
}

/// Names a handler, so that it can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HandlerId(u64);

/// The connection is gone; [`RealtimeConnection::closed`] says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection to the model is closed")]
pub struct ConnectionClosed;

/// Why instructions were not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The server would not take them.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is nobody to send them to.
    #[error(transparent)]
    Closed(#[from] ConnectionClosed),
}

type Handler = Box<dyn FnMut(&ServerEvent) + Send>;

enum Command {
    Append(Vec<u8>),
    Event(Box<ClientEvent>),
    Add { id: HandlerId, kind: String, handler: Handler },
    Remove(HandlerId),
    Close,
}

impl RealtimeConnection {
    /// Connects and waits for the session.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(endpoint: &ModelEndpoint) -> Result<Self, ConnectError> {
        let (socket, info) = ModelSocket::connect(endpoint).await?;
        Ok(Self::over(socket, info))
    }

    /// Takes over a socket that is up.
    pub(super) fn over<S>(socket: ModelSocket<S>, info: ModelInfo) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (commands, inbox) = mpsc::channel(COMMANDS_WAITING);
        let (tell_down, down) = watch::channel(None);
        tokio::spawn(converse(socket, inbox, tell_down));
        Self { info, commands, handlers: AtomicU64::new(0), down }
    }

    /// Returns whose session it is.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Sets the model's instructions, PCM16 at 24 kHz both ways, and turns that end by
    /// [`RealtimeConnection::commit`]. For anything else, such as turn detection by the server, see
    /// [`RealtimeConnection::send_event`].
    ///
    /// # Errors
    /// The connection is gone, or the instructions are longer than the server takes. What it thinks of
    /// them comes as `session.updated` or `error`.
    pub async fn send_config(&self, instructions: &str) -> Result<(), ConfigError> {
        let pcm = serde_json::json!({"type": "audio/pcm", "rate": 24_000});
        let event = serde_json::json!({
            "type": "session.update",
            "session": {
                "type": "realtime",
                "instructions": instructions,
                "output_modalities": ["audio"],
                "audio": {"input": {"format": pcm, "turn_detection": null}, "output": {"format": pcm}},
            },
        });
        Ok(self.send_event(ClientEvent::parse(&event.to_string())?).await?)
    }

    /// Appends to what the model hears, in the session's input format, in whole samples. Waits while the
    /// network takes less than is sent.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_audio(&self, audio: &[u8]) -> Result<(), ConnectionClosed> {
        for chunk in audio.chunks(CHUNK_BYTES) {
            self.command(Command::Append(chunk.to_vec())).await?;
        }
        Ok(())
    }

    /// Ends the turn: what was appended becomes a message of the user.
    ///
    /// # Errors
    /// The connection is gone. With less than 100 ms of audio the server answers with an `error`.
    pub async fn commit(&self) -> Result<(), ConnectionClosed> {
        self.send_event(ClientEvent::commit()).await
    }

    /// Asks the model to answer.
    ///
    /// # Errors
    /// The connection is gone. While an answer is under way the server answers with an `error`.
    pub async fn request_response(&self) -> Result<(), ConnectionClosed> {
        self.send_event(ClientEvent::create_response()).await
    }

    /// Stops the answer that is under way; late pieces of it may still arrive.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn cancel(&self) -> Result<(), ConnectionClosed> {
        self.send_event(ClientEvent::cancel_response(None)).await
    }

    /// Sends any other event.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_event(&self, event: ClientEvent) -> Result<(), ConnectionClosed> {
        self.command(Command::Event(Box::new(event))).await
    }

    /// Calls `handler` for every event of a type, by its GA name whatever the dialect, for example
    /// `response.output_audio.delta`; `*` stands for all. Events that were already read when the
    /// handler is added are not repeated.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn on_message_type(
        &self,
        kind: &str,
        handler: impl FnMut(&ServerEvent) + Send + 'static,
    ) -> Result<HandlerId, ConnectionClosed> {
        // Only uniqueness matters, not the order in which two threads draw their numbers.
        let id = HandlerId(self.handlers.fetch_add(1, Ordering::Relaxed));
        let handler = Box::new(handler);
        self.command(Command::Add { id, kind: kind.to_owned(), handler }).await?;
        Ok(id)
    }

    /// Removes a handler; one that was removed before is no error. It is not called for any event read
    /// after this returned and everything sent before was written.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn remove_handler(&self, id: HandlerId) -> Result<(), ConnectionClosed> {
        self.command(Command::Remove(id)).await
    }

    /// Waits until the connection is gone, and says why.
    pub async fn closed(&self) -> Down {
        let mut down = self.down.clone();
        match down.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(down)) => down.clone(),
            // A handler panicked and took the task with it.
            Ok(None) | Err(_) => Down {
                reason: "a handler ended the connection's task".to_owned(),
                retry: true,
                refused: None,
            },
        }
    }

    /// Sends what is queued, says goodbye and waits for the end, a few seconds at most.
    pub async fn close(self) {
        // If the command finds no task, the connection is gone already.
        match self.command(Command::Close).await {
            Ok(()) | Err(ConnectionClosed) => self.closed().await,
        };
    }

    async fn command(&self, command: Command) -> Result<(), ConnectionClosed> {
        self.commands.send(command).await.map_err(|_| ConnectionClosed)
    }
}

/// Returns the GA name of an event's type.
fn kind(event: &ServerEvent) -> &str {
    match event {
        ServerEvent::SessionCreated { .. } => "session.created",
        ServerEvent::SessionUpdated { .. } => "session.updated",
        ServerEvent::AudioDelta { .. } => "response.output_audio.delta",
        ServerEvent::Error { .. } => "error",
        ServerEvent::Other { kind, .. } => kind,
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: ModelSocket<S>,
    mut inbox: mpsc::Receiver<Command>,
    tell_down: watch::Sender<Option<Down>>,
) {
    let mut handlers: Vec<(HandlerId, String, Handler)> = Vec::new();
    let down = loop {
        let said = tokio::select! {
            biased;
            // One message at a time: a program that sends faster than the network waits here.
            command = inbox.recv(), if socket.all_written() => {
                let queued = match command {
                    Some(Command::Append(audio)) => socket.queue_append(&audio),
                    Some(Command::Event(event)) => socket.queue_event(&event),
                    Some(Command::Add { id, kind, handler }) => {
                        handlers.push((id, kind, handler));
                        Ok(())
                    }
                    Some(Command::Remove(id)) => {
                        handlers.retain(|(other, ..)| *other != id);
                        Ok(())
                    }
                    Some(Command::Close) | None => {
                        socket.close(CLOSE_DEADLINE).await;
                        let reason = "closed by this program".to_owned();
                        break Down { reason, retry: true, refused: None };
                    }
                };
                match queued {
                    Ok(()) => continue,
                    Err(down) => break down,
                }
            }
            said = socket.turn(true) => said,
        };
        match said {
            Some(ModelIn::Event(event)) => {
                let name = kind(&event);
                let concerned =
                    |(_, kind, _): &&mut (HandlerId, String, Handler)| kind == name || kind == "*";
                for (_, _, handler) in handlers.iter_mut().filter(concerned) {
                    handler(&event);
                }
            }
            Some(ModelIn::Malformed(malformed)) => debug!(%malformed, "ignored"),
            Some(ModelIn::Down(down)) => break down,
            None => {}
        }
    };
    tell_down.send_replace(Some(down));
}

/// Two thirds of a second of PCM16 at 24 kHz: small enough to be written between two looks at what
/// the server says.
const CHUNK_BYTES: usize = 32 * 1024;

/// Commands that may wait for the task; the next sender waits.
const COMMANDS_WAITING: usize = 16;

/// For the server to answer our close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);
