//! An open connection to a model, event by event.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cordboard_call::contract::{self, ModelInfo};
use cordboard_wire::openai::{
    ClientEvent, Dialect, ErrorKind, EventReader, Malformed, Rejection, ServerEvent, append_audio,
    classify_close,
};
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use super::connect::{self, Transport, describe, excerpt};
use super::{ConnectError, ModelEndpoint, Stage};
use crate::net::socket::{Duplex, Lost};

/// What comes from a model.
#[derive(Debug)]
pub enum ModelIn {
    /// One event, in GA names whatever the dialect.
    Event(ServerEvent),
    /// A message that breaks the protocol; to be counted, the session goes on.
    Malformed(Malformed),
    /// The connection is gone; the socket is to be dropped.
    Down(Down),
}

/// Why a connection is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// For the log and the tenant; secrets taken out.
    pub reason: String,
    /// Whether another connection can be had without anybody changing anything. It is a new and
    /// empty conversation.
    pub retry: bool,
    /// Why the server will have nothing more to do with us, where it said so.
    pub refused: Option<Rejection>,
}

/// A connection whose session exists.
///
/// Writing never waits; [`ModelSocket::next`] writes out what was queued.
pub struct ModelSocket<S = Transport> {
    socket: Duplex<WebSocketStream<S>>,
    endpoint: ModelEndpoint,
    reader: EventReader,
    /// The second of two events in one message, and what came before the session did.
    waiting: VecDeque<ServerEvent>,
    /// When the last frame of any kind came.
    heard: Instant,
    pinged: Instant,
    watch: Pin<Box<Sleep>>,
    /// The last error that no further attempt will overcome; the close that follows may not say.
    refused: Option<Rejection>,
}

impl ModelSocket {
    /// Connects and waits for the session. What the server says beyond `session.created` comes
    /// from [`ModelSocket::next`].
    ///
    /// # Errors
    /// See [`ConnectError`]; each says whether another attempt makes sense.
    pub async fn connect(endpoint: &ModelEndpoint) -> Result<(Self, ModelInfo), ConnectError> {
        let socket = connect::open(endpoint).await?;
        Self::begin(socket, endpoint).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ModelSocket<S> {
    /// Waits for the session on an upgraded socket.
    pub(super) async fn begin(
        socket: WebSocketStream<S>,
        endpoint: &ModelEndpoint,
    ) -> Result<(Self, ModelInfo), ConnectError> {
        let now = Instant::now();
        let mut this = Self {
            socket: Duplex::new(socket),
            endpoint: endpoint.clone(),
            // Only uniqueness matters, not the order in which two calls draw their numbers.
            reader: EventReader::new(endpoint.dialect, SESSIONS.fetch_add(1, Ordering::Relaxed)),
            waiting: VecDeque::new(),
            heard: now,
            pinged: now,
            watch: Box::pin(sleep_until(now + PING_EVERY)),
            refused: None,
        };
        let info = this.greeted().await?;
        Ok((this, info))
    }

    async fn greeted(&mut self) -> Result<ModelInfo, ConnectError> {
        let session = self.endpoint.session_deadline;
        let mut deadline = Instant::now() + session;
        let mut complaint: Option<String> = None;
        let mut early = VecDeque::new();
        loop {
            let said = match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(said) => said,
                Err(_) => {
                    return Err(match complaint {
                        Some(said) => ConnectError::Refused { rejection: self.refused, said },
                        None => ConnectError::Timeout { stage: Stage::Session, after: session },
                    });
                }
            };
            match said {
                ModelIn::Event(ServerEvent::SessionCreated { session, model, .. }) => {
                    self.waiting.extend(early);
                    return Ok(ModelInfo {
                        session,
                        model: if model.is_empty() { self.endpoint.model.clone() } else { model },
                        dialect: match self.endpoint.dialect {
                            Dialect::Ga => contract::Dialect::Ga,
                            Dialect::Beta => contract::Dialect::Beta,
                        },
                    });
                }
                ModelIn::Event(ServerEvent::Error { code, message, kind, .. }) => {
                    let words = excerpt(&self.endpoint.redact(&message));
                    complaint = Some(match code {
                        Some(code) => format!("{code}: {words}"),
                        None => words,
                    });
                    if kind == ErrorKind::Fatal {
                        // Its close follows within the second; without it the error is enough.
                        deadline = deadline.min(Instant::now() + CLOSE_AFTER_ERROR);
                    }
                }
                ModelIn::Event(event) if early.len() < EARLY_EVENTS_MAX => early.push_back(event),
                ModelIn::Event(_) | ModelIn::Malformed(_) => {}
                ModelIn::Down(down) => return Err(never_up(down, complaint)),
            }
        }
    }

    /// Waits for what the model says next, while writing out what is queued, answering pings and
    /// sending our own. Safe to drop at any time.
    pub async fn next(&mut self) -> ModelIn {
        loop {
            if let Some(said) = self.turn(false).await {
                return said;
            }
        }
    }

    /// Like [`ModelSocket::next`], but with `until_written` also returns, with nothing, once
    /// everything queued is written.
    pub(super) async fn turn(&mut self, until_written: bool) -> Option<ModelIn> {
        if let Some(event) = self.waiting.pop_front() {
            return Some(ModelIn::Event(event));
        }
        loop {
            let message = tokio::select! {
                message = self.socket.next_or_written(until_written) => message,
                () = &mut self.watch => match self.look() {
                    Some(down) => return Some(ModelIn::Down(down)),
                    None => continue,
                },
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return None,
                Err(lost) => return Some(ModelIn::Down(self.lost(&lost))),
            };
            self.heard = Instant::now();
            match message {
                Message::Text(text) => return Some(self.read(&text)),
                Message::Binary(_) => {
                    let reason = "a binary message".to_owned();
                    return Some(ModelIn::Malformed(Malformed { reason }));
                }
                Message::Close(frame) => {
                    // The answer to a close frame was queued by the library, and reading writes it.
                    drop(self.socket.next::<Message, WsError>().now_or_never());
                    return Some(ModelIn::Down(self.closed(frame)));
                }
                // The library answers pings by itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Returns whether everything queued is in the system's hands.
    pub(super) fn all_written(&self) -> bool {
        self.socket.all_written()
    }

    /// Queues caller audio, in the session's input format and in whole samples.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub fn queue_append(&mut self, audio: &[u8]) -> Result<(), Down> {
        let mut text = String::with_capacity(audio.len().div_ceil(3) * 4 + 64);
        append_audio(audio, &mut text);
        self.queue(text)
    }

    /// Queues an event that was checked, in the server's dialect.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub fn queue_event(&mut self, event: &ClientEvent) -> Result<(), Down> {
        self.queue(event.encode(self.endpoint.dialect))
    }

    /// Writes out what is queued and says goodbye, waiting no longer than `deadline`.
    pub async fn close(self, deadline: Duration) {
        let farewell = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
        self.socket.close::<Message, WsError>(Message::Close(Some(farewell)), deadline).await;
    }

    fn queue(&mut self, text: String) -> Result<(), Down> {
        self.socket.queue(Message::text(text)).map_err(|lost| self.lost(&lost))
    }

    /// Pings, or finds that the server has fallen silent.
    fn look(&mut self) -> Option<Down> {
        let now = Instant::now();
        if now >= self.heard + SILENCE_MAX {
            return Some(Down {
                reason: format!(
                    "nothing came for {} s, not even an answer to a ping",
                    SILENCE_MAX.as_secs()
                ),
                retry: true,
                refused: None,
            });
        }
        if now >= self.pinged + PING_EVERY {
            self.pinged = now;
            if let Err(lost) = self.socket.queue::<_, WsError>(Message::Ping(Vec::new().into())) {
                return Some(self.lost(&lost));
            }
        }
        let next = (self.pinged + PING_EVERY).min(self.heard + SILENCE_MAX);
        self.watch.as_mut().reset(next);
        None
    }

    fn read(&mut self, text: &str) -> ModelIn {
        let events = match self.reader.read(text) {
            Ok(events) => events,
            Err(malformed) => return ModelIn::Malformed(malformed),
        };
        self.waiting.extend(events.second);
        if let ServerEvent::Error { kind: ErrorKind::Fatal, code: Some(code), .. } = &events.first {
            self.refused = Rejection::from_code(code);
        }
        ModelIn::Event(events.first)
    }

    fn closed(&self, frame: Option<CloseFrame>) -> Down {
        let (code, words) = match &frame {
            Some(frame) => (Some(u16::from(frame.code)), frame.reason.as_str()),
            None => (Some(1005), ""),
        };
        let verdict = classify_close(code, words);
        let refused = verdict.fatal.or(self.refused);
        let words = excerpt(&self.endpoint.redact(words));
        let reason = match (code, words.as_str()) {
            (Some(code), "") => format!("the server closed the connection with code {code}"),
            (Some(code), words) => {
                format!("the server closed the connection with code {code}: {words}")
            }
            (None, _) => "the server closed the connection".to_owned(),
        };
        Down { reason, retry: verdict.retry && refused.is_none(), refused }
    }

    fn lost(&self, lost: &Lost<WsError>) -> Down {
        let reason = match lost {
            Lost::Failed(error) => self.endpoint.redact(&describe(error)),
            Lost::Ended | Lost::Stalled => lost.to_string(),
        };
        Down { reason, retry: self.refused.is_none(), refused: self.refused }
    }
}

/// A connection that went down before it was up.
fn never_up(down: Down, complaint: Option<String>) -> ConnectError {
    let said = match complaint {
        Some(complaint) => format!("{complaint}; {}", down.reason),
        None => down.reason,
    };
    match (down.refused, down.retry) {
        (Some(rejection), _) => ConnectError::Refused { rejection: Some(rejection), said },
        (None, retry) => ConnectError::Closed { reason: said, retry },
    }
}

/// Sessions begun by this process: tells their made-up ids apart.
static SESSIONS: AtomicU64 = AtomicU64::new(1);

/// As often as the service itself pings; routers forget quiet connections after a minute or more.
pub(super) const PING_EVERY: Duration = Duration::from_secs(20);

/// Two pings of either side unanswered, and some.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(45);

/// The service closes at once after the error that refuses a key; half a second was seen.
const CLOSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Events before `session.created` that are kept; none was ever seen.
const EARLY_EVENTS_MAX: usize = 16;
