//! The contract of `wit/tenant.wit` as plain Rust values.
//!
//! Field meanings, units and limits are those of the WIT file; only `tenant` translates between
//! these and the bindings, so that this crate needs no wasmtime.
//!
//! Recordings consist of them (host/recording), so their order counts: a variant may be added at the end of its
//! list, anything else means another version of that format.
#![expect(
    missing_docs,
    reason = "wit/tenant.wit documents every field once; two texts would drift"
)]

use serde::{Deserialize, Serialize};

/// Milliseconds since the call began.
pub type Millis = u64;
/// A number of the tenant's own choosing.
pub type Token = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    Inbound,
    Outbound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    Mulaw,
    Alaw,
    Pcm16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFormat {
    pub encoding: Encoding,
    pub sample_rate: u32,
    pub channels: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallInfo {
    pub call_id: String,
    pub stream_id: String,
    pub tenant: String,
    pub version: String,
    pub direction: Direction,
    pub caller: Option<String>,
    pub callee: Option<String>,
    pub format: AudioFormat,
    pub parameters: Vec<(String, String)>,
    pub settings: String,
    pub restarted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    Ga,
    Beta,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    pub session: String,
    pub model: String,
    pub dialect: Dialect,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelAudio {
    pub response: String,
    pub item: String,
    pub content_index: u32,
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    pub item: String,
    pub millis: u32,
    pub complete: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flushed {
    pub items: Vec<Heard>,
    pub marks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    pub token: Token,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpFailure {
    pub token: Token,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub action: String,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    CallerHungUp,
    TenantHungUp,
    OperatorHungUp,
    Transferred,
    CarrierLost,
    ModelLost,
    Drained,
    Failed,
}

/// What a tenant is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Started(CallInfo),
    CallerAudio(#[serde(with = "serde_bytes")] Vec<u8>),
    CallerKey(String),
    ModelReady(ModelInfo),
    ModelAudio(ModelAudio),
    ModelEvent(String),
    ModelLost(String),
    ModelRestored(ModelInfo),
    Heard(Heard),
    Mark(String),
    Flushed(Flushed),
    Timer(Token),
    HttpDone(HttpResponse),
    HttpFailed(HttpFailure),
    Command(String),
    Refused(Refusal),
    Ended(Ended),
}

impl Ended {
    /// Its name as in `wit/tenant.wit`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CallerHungUp => "caller-hung-up",
            Self::TenantHungUp => "tenant-hung-up",
            Self::OperatorHungUp => "operator-hung-up",
            Self::Transferred => "transferred",
            Self::CarrierLost => "carrier-lost",
            Self::ModelLost => "model-lost",
            Self::Drained => "drained",
            Self::Failed => "failed",
        }
    }
}

impl Event {
    /// About what it holds on the heap, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::CallerAudio(audio) => audio.len(),
            Self::ModelAudio(audio) => audio.data.len(),
            Self::ModelEvent(json) | Self::Command(json) => json.len(),
            Self::HttpDone(response) => response.body.len(),
            Self::Started(info) => info.settings.len(),
            Self::CallerKey(_)
            | Self::ModelReady(_)
            | Self::ModelLost(_)
            | Self::ModelRestored(_)
            | Self::Heard(_)
            | Self::Mark(_)
            | Self::Flushed(_)
            | Self::Timer(_)
            | Self::HttpFailed(_)
            | Self::Refused(_)
            | Self::Ended(_) => 0,
        }
    }

    /// Its name as in `wit/tenant.wit`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::CallerAudio(_) => "caller-audio",
            Self::CallerKey(_) => "caller-key",
            Self::ModelReady(_) => "model-ready",
            Self::ModelAudio(_) => "model-audio",
            Self::ModelEvent(_) => "model-event",
            Self::ModelLost(_) => "model-lost",
            Self::ModelRestored(_) => "model-restored",
            Self::Heard(_) => "heard",
            Self::Mark(_) => "mark",
            Self::Flushed(_) => "flushed",
            Self::Timer(_) => "timer",
            Self::HttpDone(_) => "http-done",
            Self::HttpFailed(_) => "http-failed",
            Self::Command(_) => "command",
            Self::Refused(_) => "refused",
            Self::Ended(_) => "ended",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Play {
    pub item: String,
    #[serde(with = "serde_bytes")]
    pub audio: Vec<u8>,
    pub last: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    pub token: Token,
    pub at: Millis,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    pub token: Token,
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    pub timeout_ms: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HangUpWhen {
    Now,
    WhenPlayed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HangUp {
    pub when: HangUpWhen,
    pub deadline_ms: u32,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    pub to: String,
    pub caller_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    pub topic: String,
    pub json: String,
}

/// What a tenant may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    Play(Play),
    Mark(String),
    Flush,
    ModelAudio(#[serde(with = "serde_bytes")] Vec<u8>),
    ModelEvent(String),
    SetTimer(Timer),
    CancelTimer(Token),
    Http(HttpRequest),
    HangUp(HangUp),
    CancelHangUp,
    Transfer(Transfer),
    SendKeys(String),
    Publish(Publication),
}

impl Action {
    /// Its name as in `wit/tenant.wit`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Play(_) => "play",
            Self::Mark(_) => "mark",
            Self::Flush => "flush",
            Self::ModelAudio(_) => "model-audio",
            Self::ModelEvent(_) => "model-event",
            Self::SetTimer(_) => "set-timer",
            Self::CancelTimer(_) => "cancel-timer",
            Self::Http(_) => "http",
            Self::HangUp(_) => "hang-up",
            Self::CancelHangUp => "cancel-hang-up",
            Self::Transfer(_) => "transfer",
            Self::SendKeys(_) => "send-keys",
            Self::Publish(_) => "publish",
        }
    }

    /// About what it holds on the heap, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Play(play) => play.audio.len(),
            Self::ModelAudio(audio) => audio.len(),
            Self::ModelEvent(json) => json.len(),
            Self::Http(request) => request.body.len(),
            Self::Publish(publication) => publication.json.len(),
            Self::Mark(_)
            | Self::Flush
            | Self::SetTimer(_)
            | Self::CancelTimer(_)
            | Self::HangUp(_)
            | Self::CancelHangUp
            | Self::Transfer(_)
            | Self::SendKeys(_) => 0,
        }
    }
}
