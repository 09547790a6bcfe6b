//! A second WebSocket for a call that already has one, as has been seen in the field: same URL, same signature, a new stream id.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::ids::sid;
use super::upgrade;
use super::wire::{Ids, Writer};

/// How long the second socket is watched.
const WATCHED: Duration = Duration::from_secs(10);

/// What is needed to open it.
#[derive(Debug, Clone)]
pub(super) struct SecondSocket {
    pub(super) public: Url,
    pub(super) actual: Url,
    pub(super) signature: Option<String>,
    pub(super) ids: Ids,
    pub(super) parameters: Vec<(String, String)>,
}

impl SecondSocket {
    /// Opens it; the task's result says in words how it ended.
    pub(super) fn open(self) -> JoinHandle<String> {
        tokio::spawn(async move {
            match tokio::time::timeout(WATCHED, self.live()).await {
                Ok(outcome) => outcome,
                Err(_) => "open".into(),
            }
        })
    }

    async fn live(self) -> String {
        let mut socket = match upgrade::open(&self.public, &self.actual, self.signature).await {
            Ok(socket) => socket,
            Err(no) => return format!("refused {}", no.status.unwrap_or_default()),
        };
        let mut writer = Writer::new(Ids { stream_sid: sid("MZ"), ..self.ids }, 120);
        for text in [writer.connected(), writer.start(&self.parameters)] {
            if socket.send(Message::text(text)).await.is_err() {
                return "closed".into();
            }
        }
        while let Some(message) = socket.next().await {
            match message {
                Ok(Message::Close(Some(frame))) => return format!("closed {}", frame.code),
                Ok(Message::Close(None)) => return "closed".into(),
                Ok(_) => {}
                Err(e) => return format!("broken: {e}"),
            }
        }
        "closed".into()
    }
}
