//! Opening the stream's WebSocket with the carrier's own header set.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls};
use url::Url;

use super::http::host_header;

/// The stream's socket.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long connecting and the handshake may take together. The carrier publishes no figure.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Why there is no socket: the carrier's code, the HTTP status if there was an answer, and words.
#[derive(Debug)]
pub(super) struct NoSocket {
    pub(super) code: u16,
    pub(super) status: Option<u16>,
    pub(super) text: String,
}

/// Opens the socket named `public` (signed by the caller of this function) at `actual`.
pub(super) async fn open(
    public: &Url,
    actual: &Url,
    signature: Option<String>,
) -> Result<Socket, NoSocket> {
    match tokio::time::timeout(HANDSHAKE_MAX, handshake(public, actual, signature)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(NoSocket { code: 31901, status: None, text: "connect timeout".into() }),
    }
}

async fn handshake(
    public: &Url,
    actual: &Url,
    signature: Option<String>,
) -> Result<Socket, NoSocket> {
    let refused = |e: std::io::Error| NoSocket { code: 31902, status: None, text: e.to_string() };
    let host = actual.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = actual.port_or_known_default().unwrap_or(443);
    let tcp = TcpStream::connect((host, port)).await.map_err(refused)?;
    tcp.set_nodelay(true).map_err(refused)?;
    // The request names the public host; tungstenite picks TLS by the URI, so the URI keeps the actual scheme.
    let mut uri = actual.clone();
    uri.set_path(public.path());
    let mut request = Request::builder()
        .method("GET")
        .uri(uri.as_str())
        .header("Host", host_header(public))
        .header("User-Agent", "Twilio.TmeWs/1.0")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", generate_key())
        .header("Sec-WebSocket-Version", "13")
        .header("Upgrade", "websocket")
        .header("Accept-Encoding", "gzip");
    if let Some(signature) = signature {
        request = request.header("X-Twilio-Signature", signature);
    }
    let malformed =
        |text: String| NoSocket { code: 31923, status: None, text: format!("{public}: {text}") };
    let request = request
        .body(())
        .map_err(|e| malformed(e.to_string()))?
        .into_client_request()
        .map_err(|e| malformed(e.to_string()))?;
    match client_async_tls(request, tcp).await {
        Ok((socket, response)) => {
            for forbidden in ["sec-websocket-extensions", "sec-websocket-protocol"] {
                if response.headers().contains_key(forbidden) {
                    let text = format!("the answer carries {forbidden}, which was not offered");
                    return Err(NoSocket { code: 31920, status: Some(101), text });
                }
            }
            Ok(socket)
        }
        Err(WsError::Http(response)) => {
            let status = response.status().as_u16();
            let text = format!("handshake answered with {status}, not 101");
            Err(NoSocket { code: 31920, status: Some(status), text })
        }
        Err(WsError::Tls(e)) => Err(NoSocket { code: 31910, status: None, text: e.to_string() }),
        Err(e) => Err(NoSocket { code: 31920, status: None, text: e.to_string() }),
    }
}
