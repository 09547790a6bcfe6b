//! The plainest possible gateway: one carrier socket, one model socket, and the audio carried between them.
//!
//! No tenant, no pacing, no marks, no turn-taking: what it costs is what sockets and JSON cost, so it is the baseline beside which every load
//! figure of the real gateway stands. It asks the model for `audio/pcmu` on both sides, so that not a byte of audio changes.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A bridge that is up. It ends when dropped.
#[derive(Debug)]
pub struct Bridge {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Bridge {
    /// Listens on `address` and joins every carrier stream to a session of its own at `model_url` (with its `model` query).
    pub async fn start(
        address: SocketAddr,
        model_url: String,
        key: String,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { continue };
                let (model_url, key) = (model_url.clone(), key.clone());
                tokio::spawn(async move {
                    if let Err(e) = Box::pin(join(tcp, &model_url, &key)).await {
                        tracing::warn!(error = %e, "a bridged call ended badly");
                    }
                });
            }
        });
        Ok(Self { address, task })
    }

    /// Returns the stream URL a carrier connects to.
    pub fn url(&self) -> String {
        format!("ws://{}/stream", self.address)
    }

    /// Waits until the bridge ends, which it does not by itself.
    pub async fn run(mut self) {
        // Only dropping the bridge ends the task, and that drops this future too.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Deserialize)]
struct FromCarrier<'a> {
    #[serde(borrow)]
    event: &'a str,
    #[serde(rename = "streamSid", borrow)]
    stream_sid: Option<&'a str>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
}

#[derive(Deserialize)]
struct Media<'a> {
    #[serde(borrow)]
    payload: &'a str,
}

#[derive(Deserialize)]
struct FromModel<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    #[serde(borrow)]
    delta: Option<std::borrow::Cow<'a, str>>,
}

const SESSION: &str = concat!(
    r#"{"type":"session.update","session":{"type":"realtime","audio":{"#,
    r#""input":{"format":{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcmu"}}}}}"#
);

async fn join(tcp: TcpStream, model_url: &str, key: &str) -> Result<()> {
    tcp.set_nodelay(true)?;
    let mut carrier = tokio_tungstenite::accept_async(tcp).await.context("carrier handshake")?;
    let mut model = connect(model_url, key).await?;
    let mut stream_sid = String::new();
    loop {
        tokio::select! {
            message = carrier.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let from: FromCarrier<'_> = serde_json::from_str(text.as_str())?;
                    match (from.event, from.media, from.stream_sid) {
                        ("media", Some(media), _) => {
                            let append = format!(
                                r#"{{"type":"input_audio_buffer.append","audio":"{}"}}"#,
                                media.payload
                            );
                            model.send(Message::text(append)).await?;
                        }
                        ("start", _, Some(sid)) => stream_sid = sid.to_owned(),
                        ("stop", ..) => break,
                        _ => {}
                    }
                }
                Some(Ok(Message::Close(_))) | None => break,
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(e).context("carrier socket"),
            },
            message = model.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let from: FromModel<'_> = serde_json::from_str(text.as_str())?;
                    if let ("response.output_audio.delta", Some(delta)) = (from.kind, from.delta) {
                        let media = format!(
                            r#"{{"event":"media","streamSid":"{stream_sid}","media":{{"payload":"{delta}"}}}}"#
                        );
                        carrier.send(Message::text(media)).await?;
                    }
                }
                Some(Ok(Message::Close(_))) | None => break,
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(e).context("model socket"),
            },
        }
    }
    // Both sides may be gone already; there is nobody left to tell.
    let _ = model.close(None).await;
    let _ = carrier.close(None).await;
    Ok(())
}

async fn connect(model_url: &str, key: &str) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>> {
    let mut request = model_url.into_client_request()?;
    let bearer = format!("Bearer {key}").parse().context("the key is no header value")?;
    request.headers_mut().insert("Authorization", bearer);
    let (mut model, _) = tokio_tungstenite::connect_async_with_config(request, None, true)
        .await
        .context("model handshake")?;
    model.send(Message::text(SESSION)).await?;
    Ok(model)
}
