//! From an endpoint to an open WebSocket.

use std::net::SocketAddr;

use cordboard_wire::openai::classify_status;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::{ConnectError, ModelEndpoint, Stage};
use crate::net::tls;

/// What a model's socket runs over.
pub(super) type Transport = MaybeTlsStream<TcpStream>;

/// Opens the WebSocket, within the endpoint's deadline.
pub(super) async fn open(
    endpoint: &ModelEndpoint,
) -> Result<WebSocketStream<Transport>, ConnectError> {
    let request = endpoint.request()?;
    let mut stage = Stage::Lookup;
    match timeout(endpoint.connect_deadline, steps(request, endpoint, &mut stage)).await {
        Ok(opened) => opened,
        Err(_) => Err(ConnectError::Timeout { stage, after: endpoint.connect_deadline }),
    }
}

async fn steps(
    request: Request,
    endpoint: &ModelEndpoint,
    stage: &mut Stage,
) -> Result<WebSocketStream<Transport>, ConnectError> {
    let uri = request.uri();
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("ws") { 80 } else { 443 });
    let unreachable = |reason: String| ConnectError::Unreachable { reason };

    let addresses: Vec<SocketAddr> = lookup_host((host, port))
        .await
        .map_err(|error| unreachable(format!("the name {host} has no address: {error}")))?
        .collect();

    *stage = Stage::Tcp;
    let tcp = TcpStream::connect(&addresses[..])
        .await
        .map_err(|error| unreachable(format!("{host} port {port}: {error}")))?;
    // Without Nagle's algorithm: a frame every 20 ms would otherwise wait for the last one's receipt.
    tcp.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;

    *stage = Stage::Upgrade;
    // A plain connection never looks at the connector, so a `ws` URL costs no reading of roots.
    let connector = match uri.scheme_str() {
        Some("ws") => Connector::Plain,
        Some(_) | None => Connector::Rustls(tls::client_config()),
    };
    let upgrading = client_async_tls_with_config(request, tcp, Some(limits()), Some(connector));
    match upgrading.await {
        Ok((socket, _)) => Ok(socket),
        Err(WsError::Http(answer)) => Err(refused(&answer, endpoint)),
        Err(error) => Err(unreachable(endpoint.redact(&describe(&error)))),
    }
}

/// Bounds of the socket. A whole answer's audio may come in one message, and `retrieved` items carry
/// a turn's audio; the service's own bound on a client message is 15 MiB.
pub(super) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        // Allocated per call and at once; larger messages grow it for as long as they last.
        .read_buffer_size(16 * 1024)
        .write_buffer_size(16 * 1024)
        // A server that is this far behind its caller (a minute of speech) is lost.
        .max_write_buffer_size(WRITE_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// Says what a failed connection or message was about, in one line.
pub(super) fn describe(error: &WsError) -> String {
    match error {
        WsError::Io(error) => match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>())
        {
            Some(tls) => format!("TLS failed: {tls}"),
            None => error.to_string(),
        },
        WsError::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            format!("a message of {size} bytes is larger than {MESSAGE_BYTES_MAX}")
        }
        WsError::WriteBufferFull(_) => format!("the server is {WRITE_BYTES_MAX} bytes behind"),
        error => error.to_string(),
    }
}

fn refused(answer: &Response, endpoint: &ModelEndpoint) -> ConnectError {
    let status = answer.status();
    let words = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let verdict = classify_status(status.as_u16(), &words);
    let words = excerpt(&endpoint.redact(&words));
    let said = match words.as_str() {
        "" => format!("HTTP {}", name(status)),
        words => format!("HTTP {}: {words}", name(status)),
    };
    if verdict.retry {
        ConnectError::Unreachable { reason: said }
    } else {
        ConnectError::Refused { rejection: verdict.fatal, said }
    }
}

fn name(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// Cuts others' words to a length and an alphabet that suit a log.
pub(super) fn excerpt(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS_MAX).collect()
}

const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
const WRITE_BYTES_MAX: usize = 4 * 1024 * 1024;
const EXCERPT_CHARS_MAX: usize = 240;
