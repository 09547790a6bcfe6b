//! The sockets of the model.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use url::Url;

use super::echo::Echo;
use super::engine::{Engine, Output};
use super::log::{ModelLog, Received, Sent, SessionLog};
use super::refusal::Refusal;
use super::{Behaviour, Dialect, ModelConfig, ModelScript, Refuse};

/// A server that is up. It ends, with all its sessions, when dropped.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    log: ModelLog,
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

struct Shared {
    config: Arc<ModelConfig>,
    log: ModelLog,
    connections: AtomicUsize,
    sessions: AtomicUsize,
}

impl ModelServer {
    /// Listens on a free loopback port.
    pub async fn start(config: ModelConfig) -> std::io::Result<Self> {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), config).await
    }

    /// Listens on `address`.
    pub async fn listen(address: SocketAddr, config: ModelConfig) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let log = ModelLog::default();
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            log: log.clone(),
            connections: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared, stopped));
        Ok(Self { address, log, stop, accepting })
    }

    /// Returns the address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL a client connects to, without a query.
    pub fn url(&self) -> String {
        format!("ws://{}/v1/realtime", self.address)
    }

    /// Returns the log.
    pub fn log(&self) -> ModelLog {
        self.log.clone()
    }

    /// Breaks every open connection and accepts no more.
    pub fn kill(&self) {
        self.accepting.abort();
        // No session is left to hear it when all are over.
        let _ = self.stop.send(true);
    }

    /// Waits until the server ends, which it does not by itself.
    pub async fn run(mut self) {
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        let _ = tcp.set_nodelay(true);
        let shared = shared.clone();
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = Box::pin(connection(tcp, shared)) => {}
                _ = stopped.changed() => {}
            }
        });
    }
}

/// What a handshake carries.
#[derive(Debug, Default, Clone)]
struct Hello {
    target: String,
    headers: Vec<(String, String)>,
    key: Option<String>,
}

impl Hello {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn query(&self, name: &str) -> Option<String> {
        let url = Url::parse("ws://model").ok()?.join(&self.target).ok()?;
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}

async fn connection(tcp: TcpStream, shared: Arc<Shared>) {
    let n = shared.connections.fetch_add(1, Ordering::Relaxed);
    let refuse = shared.config.refuse.get(n).copied();
    if refuse == Some(Refuse::Hangup) {
        return;
    }
    let mut hello = Hello::default();
    let config = shared.config.clone();
    let limits =
        WebSocketConfig::default().max_message_size(Some(32 << 20)).max_frame_size(Some(32 << 20));
    let socket = tokio_tungstenite::accept_hdr_async_with_config(
        tcp,
        #[expect(clippy::result_large_err, reason = "the type is tungstenite's")]
        |request: &Request, response: Response| {
            shake(request, response, &config, refuse, &mut hello)
        },
        Some(limits),
    )
    .await;
    let Ok(socket) = socket else { return };
    let log = SessionLog {
        target: hello.target.clone(),
        headers: hello.headers.clone(),
        ..SessionLog::default()
    };
    let session = shared.log.open(log);
    tracing::info!(session, target_url = hello.target, "a client connected");
    let ended = match refusal_after_101(&hello, &config) {
        Some((refusal, code)) => turn_away(socket, &refusal, code).await,
        None => serve(socket, &shared, session, &hello).await,
    };
    tracing::info!(session, ended, "a session is over");
    shared.log.with(session, |log| log.ended = Some(ended));
}

#[expect(clippy::result_large_err, reason = "the type is tungstenite's")]
fn shake(
    request: &Request,
    mut response: Response,
    config: &ModelConfig,
    refuse: Option<Refuse>,
    hello: &mut Hello,
) -> Result<Response, ErrorResponse> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    hello.target = request.uri().to_string();
    for (name, value) in request.headers() {
        if name != "authorization" && name != "api-key" {
            hello.headers.push((name.to_string(), text(value)));
        }
    }
    let bearer = request.headers().get("authorization").map(text);
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let protocols = hello.header("sec-websocket-protocol").unwrap_or_default().to_owned();
    let protocols: Vec<&str> = protocols.split(',').map(str::trim).collect();
    let by_protocol = protocols
        .iter()
        .find_map(|p| p.strip_prefix("openai-insecure-api-key."))
        .map(str::to_owned);
    hello.key = bearer.or(by_protocol).or_else(|| request.headers().get("api-key").map(text));
    let status = match refuse {
        Some(Refuse::Http(status)) => StatusCode::from_u16(status).ok(),
        _ if !request.uri().path().ends_with("/realtime") => Some(StatusCode::NOT_FOUND),
        _ if config.http_401 && !key_is_good(hello, config) => Some(StatusCode::UNAUTHORIZED),
        _ => None,
    };
    if let Some(status) = status {
        let mut refused = ErrorResponse::new(Some(format!("{status}")));
        *refused.status_mut() = status;
        return Err(refused);
    }
    if protocols.contains(&"realtime") {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("realtime"));
    }
    Ok(response)
}

fn key_is_good(hello: &Hello, config: &ModelConfig) -> bool {
    match (&hello.key, &config.key) {
        (Some(given), Some(wanted)) => given == wanted,
        (Some(given), None) => !given.is_empty(),
        (None, _) => false,
    }
}

/// Returns why a session is refused although the upgrade was granted, with the close code.
fn refusal_after_101(hello: &Hello, config: &ModelConfig) -> Option<(Refusal, u16)> {
    if !key_is_good(hello, config) {
        let message = "Incorrect API key provided.";
        return Some((Refusal::new("invalid_api_key", None, message), 3000));
    }
    let beta = hello.header("openai-beta").is_some_and(|value| value.contains("realtime"))
        || hello.header("sec-websocket-protocol").is_some_and(|p| p.contains("openai-beta."));
    if beta && config.dialect == Dialect::Ga {
        let message =
            "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.";
        return Some((Refusal::new("beta_api_shape_disabled", None, message), 4000));
    }
    let model = hello.query("model").or_else(|| hello.query("deployment"));
    match model.as_deref() {
        None | Some("") => {
            let message = "You must provide a model parameter.";
            Some((Refusal::new("missing_model", None, message), 4000))
        }
        Some(model) if !["realtime", "grok-voice", "sim"].iter().any(|w| model.contains(w)) => {
            let message = format!("Model \"{model}\" is not supported in realtime mode.");
            Some((Refusal::new("invalid_model", None, message), 4000))
        }
        Some(_) => None,
    }
}

async fn turn_away(mut socket: WebSocketStream<TcpStream>, refusal: &Refusal, code: u16) -> String {
    let mut event = refusal.event(None);
    event["event_id"] = json!("event_refused");
    let reason = format!("{}.{}", refusal.kind, refusal.code.unwrap_or_default());
    let _ = socket.send(Message::text(event.to_string())).await;
    close(&mut socket, code, &reason).await;
    format!("server {code}")
}

/// Closes and waits a moment for the other side to answer.
async fn close(socket: &mut WebSocketStream<TcpStream>, code: u16, reason: &str) {
    let reason: String = reason.chars().take(120).collect();
    let frame = CloseFrame { code: code.into(), reason: reason.into() };
    let closing = async {
        let _ = socket.close(Some(frame)).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), closing).await;
}

async fn serve(
    mut socket: WebSocketStream<TcpStream>,
    shared: &Shared,
    session: usize,
    hello: &Hello,
) -> String {
    let config = &shared.config;
    tokio::time::sleep(config.created_delay).await;
    let n = shared.sessions.fetch_add(1, Ordering::Relaxed);
    let model = hello.query("model").or_else(|| hello.query("deployment")).unwrap_or_default();
    let unix =
        SystemTime::now().duration_since(UNIX_EPOCH).map(|t| t.as_secs()).unwrap_or_default();
    let began = Instant::now();
    let breaks_at = config.break_after.get(n).map(|after| began + *after);
    let seed = config.seed.wrapping_add(n as u64);
    let mut brain = match config.behaviour {
        Behaviour::Converse => {
            let script = config.scripts.get(n).or(config.scripts.last());
            let script = script.cloned().unwrap_or_else(ModelScript::default);
            Brain::Converse(Box::new(Engine::new(config.clone(), script, &model, unix, seed)))
        }
        Behaviour::Echo => {
            let (echo, first) = Echo::new(config.dialect, &model, unix, seed);
            for text in first {
                if socket.send(Message::text(text)).await.is_err() {
                    return "broken".into();
                }
            }
            Brain::Echo(Box::new(echo))
        }
    };
    let mut ping_at = began + config.ping_every;
    loop {
        if let Brain::Converse(engine) = &mut brain
            && let Some(ended) = drain(&mut socket, engine, shared, session, began).await
        {
            return ended;
        }
        let wake_at = match &brain {
            Brain::Converse(engine) => engine.next_wake().map(|at| began + at),
            Brain::Echo(_) => None,
        };
        let far = began + Duration::from_secs(86_400 * 365);
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if let Some(ended) =
                        take(&mut socket, &mut brain, shared, session, began, text.as_str()).await
                    {
                        return ended;
                    }
                }
                Some(Ok(Message::Binary(_))) => {
                    if let Brain::Converse(engine) = &mut brain {
                        engine.binary();
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    let _ = socket.close(None).await;
                    let code = frame.map_or(1005, |frame| frame.code.into());
                    return format!("client {code}");
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return "broken".into(),
            },
            () = sleep_until(wake_at.unwrap_or(far)) => {
                if let Brain::Converse(engine) = &mut brain {
                    engine.wake(began.elapsed());
                }
            }
            () = sleep_until(ping_at) => {
                ping_at += config.ping_every;
                if socket.send(Message::Ping(b"sim".to_vec().into())).await.is_err() {
                    return "broken".into();
                }
            }
            () = sleep_until(breaks_at.unwrap_or(far)) => return "broken by the script".into(),
        }
    }
}

enum Brain {
    Converse(Box<Engine>),
    Echo(Box<Echo>),
}

async fn take(
    socket: &mut WebSocketStream<TcpStream>,
    brain: &mut Brain,
    shared: &Shared,
    session: usize,
    began: Instant,
    text: &str,
) -> Option<String> {
    let now = began.elapsed();
    match brain {
        Brain::Converse(engine) => {
            let outcome = engine.text(now, text);
            let record = shared.config.record;
            if let Err(refusal) = &outcome {
                let code = refusal.code.unwrap_or("error");
                tracing::warn!(session, code, message = refusal.message, "refused a client event");
            }
            shared.log.with(session, |log| {
                log.received_count += 1;
                let refused = outcome.as_ref().err().map(|refusal| {
                    format!("{}: {}", refusal.code.unwrap_or("error"), refusal.message)
                });
                let event = match outcome {
                    Ok(event) => event,
                    Err(_) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
                };
                if let Some(audio) = event["audio"].as_str() {
                    log.appended_bytes += STANDARD.decode(audio).map_or(0, |b| b.len() as u64);
                }
                if record || refused.is_some() {
                    log.received.push(Received { at_ms: ms(now), event, refused });
                }
            });
        }
        Brain::Echo(echo) => {
            let mut out = Vec::new();
            let bytes = echo.text(text, &mut out);
            shared.log.with(session, |log| {
                log.received_count += 1;
                log.appended_bytes += bytes as u64;
            });
            for text in out {
                if socket.send(Message::text(text)).await.is_err() {
                    return Some("broken".into());
                }
            }
        }
    }
    None
}

async fn drain(
    socket: &mut WebSocketStream<TcpStream>,
    engine: &mut Engine,
    shared: &Shared,
    session: usize,
    began: Instant,
) -> Option<String> {
    while let Some(output) = engine.output() {
        match output {
            Output::Event(event) => {
                let text = event.to_string();
                if shared.config.record {
                    let at_ms = ms(began.elapsed());
                    shared
                        .log
                        .with(session, |log| log.sent.push(Sent { at_ms, event: slim(event) }));
                }
                if socket.send(Message::text(text)).await.is_err() {
                    return Some("broken".into());
                }
            }
            Output::Close { code, reason } => {
                close(socket, code, &reason).await;
                return Some(format!("server {code}"));
            }
            Output::Break => return Some("broken by the script".into()),
        }
    }
    None
}

/// Replaces sent audio by its length: a log is read by people.
fn slim(mut event: Value) -> Value {
    let is_audio = event["type"].as_str().is_some_and(|kind| kind.ends_with("audio.delta"));
    if is_audio {
        let bytes =
            event["delta"].as_str().map_or(0, |d| STANDARD.decode(d).map_or(0, |b| b.len()));
        event["delta"] = Value::Null;
        event["delta_bytes"] = json!(bytes);
    }
    event
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
