//! The forms the carrier posts: a call comes in, a call changes, a stream changes.
//!
//! The whole form is kept: the carrier adds parameters without notice, and the signature covers them.

use super::is_id;

/// A form about a call: the request for TwiML, or a status callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The call; the same over every stream and retry.
    pub call_sid: String,
    /// The account that owns the call, whose auth token signs.
    pub account_sid: String,
    /// Who calls: E.164 as a rule; `anonymous`, `client:..` and `sip:..` occur, and nothing at all.
    pub from: Option<String>,
    /// Who is called.
    pub to: Option<String>,
    /// Who began it.
    pub direction: CallDirection,
    /// Where the call stands.
    pub call_status: CallStatus,
    /// The same for every retry of one request: answer the same TwiML again.
    pub idempotency_token: Option<String>,
    /// Every pair as decoded, in the order sent.
    pub all: Vec<(String, String)>,
}

/// Who began a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallDirection {
    /// Somebody dialled our number.
    Inbound,
    /// We asked for the call over REST.
    OutboundApi,
    /// A `<Dial>` asked for it.
    OutboundDial,
    /// Not said, or something newer.
    Unknown,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStatus {
    /// Waiting for its turn.
    Queued,
    /// On its way.
    Initiated,
    /// Not answered yet; an inbound call asks for its TwiML like this.
    Ringing,
    /// Somebody answered.
    InProgress,
    /// Over.
    Completed,
    /// The line was taken.
    Busy,
    /// Could not be made.
    Failed,
    /// Nobody answered.
    NoAnswer,
    /// Given up before it was answered.
    Canceled,
    /// Not said, or something newer.
    Unknown,
}

impl CallStatus {
    /// Whether nothing comes after it.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled => true,
            Self::Queued | Self::Initiated | Self::Ringing | Self::InProgress | Self::Unknown => {
                false
            }
        }
    }
}

/// A form about a stream, from `<Stream statusCallback>`. The only place that shows a handshake that
/// failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStatus {
    /// The call.
    pub call_sid: String,
    /// The stream.
    pub stream_sid: String,
    /// What happened to it.
    pub event: StreamEvent,
    /// The carrier's code and words, on an error only.
    pub error: Option<String>,
}

/// What happened to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEvent {
    /// The socket is open.
    Started,
    /// It is over.
    Stopped,
    /// It failed; `error` says how.
    Error,
    /// Something newer.
    Unknown,
}

/// A form that cannot be used. The answer is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// A parameter that is always there is not.
    #[error("the form has no `{0}`")]
    Missing(&'static str),
    /// A parameter that names something is no id.
    #[error("`{0}` in the form is no id: letters and digits only")]
    NoId(&'static str),
}

impl Webhook {
    /// Reads the decoded pairs of a form, or of a GET's query. `idempotency_token` is the header
    /// `I-Twilio-Idempotency-Token`.
    ///
    /// # Errors
    /// When `CallSid` or `AccountSid` is missing or no id; all else is tolerated.
    pub fn parse(
        pairs: Vec<(String, String)>,
        idempotency_token: Option<String>,
    ) -> Result<Self, WebhookError> {
        let text = |name| find(&pairs, name).filter(|value| !value.is_empty());
        Ok(Self {
            call_sid: id_in(&pairs, "CallSid")?,
            account_sid: id_in(&pairs, "AccountSid")?,
            from: text("From").map(str::to_owned),
            to: text("To").map(str::to_owned),
            direction: match text("Direction") {
                Some("inbound") => CallDirection::Inbound,
                Some("outbound-api") => CallDirection::OutboundApi,
                Some("outbound-dial") => CallDirection::OutboundDial,
                Some(_) | None => CallDirection::Unknown,
            },
            call_status: status_named(text("CallStatus").unwrap_or_default()),
            idempotency_token: idempotency_token.filter(|token| !token.is_empty()),
            all: pairs,
        })
    }

    /// The first value of a parameter, empty ones included.
    pub fn find(&self, name: &str) -> Option<&str> {
        find(&self.all, name)
    }

    /// Whether this tells how a call goes and asks for no TwiML: the call is over, or the carrier
    /// says that it reports progress.
    pub fn is_status_callback(&self) -> bool {
        self.call_status.is_final() || self.find("CallbackSource").is_some()
    }

    /// The place of a status callback in its call, from 0: callbacks arrive out of order and twice.
    pub fn sequence_number(&self) -> Option<u64> {
        self.find("SequenceNumber")?.parse().ok()
    }
}

impl StreamStatus {
    /// Reads the decoded pairs of a stream's status callback.
    ///
    /// # Errors
    /// When `CallSid` or `StreamSid` is missing or no id, or `StreamEvent` is missing.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, WebhookError> {
        Ok(Self {
            call_sid: id_in(pairs, "CallSid")?,
            stream_sid: id_in(pairs, "StreamSid")?,
            event: match find(pairs, "StreamEvent") {
                Some("stream-started") => StreamEvent::Started,
                Some("stream-stopped") => StreamEvent::Stopped,
                Some("stream-error") => StreamEvent::Error,
                Some(_) => StreamEvent::Unknown,
                None => return Err(WebhookError::Missing("StreamEvent")),
            },
            error: find(pairs, "StreamError").filter(|e| !e.is_empty()).map(str::to_owned),
        })
    }
}

fn status_named(name: &str) -> CallStatus {
    match name {
        "queued" => CallStatus::Queued,
        "initiated" => CallStatus::Initiated,
        "ringing" => CallStatus::Ringing,
        "in-progress" => CallStatus::InProgress,
        "completed" => CallStatus::Completed,
        "busy" => CallStatus::Busy,
        "failed" => CallStatus::Failed,
        "no-answer" => CallStatus::NoAnswer,
        "canceled" => CallStatus::Canceled,
        _ => CallStatus::Unknown,
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

fn id_in(pairs: &[(String, String)], name: &'static str) -> Result<String, WebhookError> {
    match find(pairs, name) {
        None | Some("") => Err(WebhookError::Missing(name)),
        Some(text) if is_id(text) => Ok(text.to_owned()),
        Some(_) => Err(WebhookError::NoId(name)),
    }
}
