//! What goes into a call and what comes out of it.

use std::time::Duration;

use cordboard_wire::openai::{ClientEvent, Rejection, ServerEvent};
use cordboard_wire::twilio::FromCarrier;

use crate::contract::{
    Action, Ended, Event, HttpFailure, HttpRequest, HttpResponse, ModelInfo, Publication,
};

/// The time since the call began, that is since the carrier's `start` message.
pub type Now = Duration;

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// The call begins: always the first input. An attempt to reach the model is taken to be under
    /// way.
    Begin,
    /// The carrier said something. Its `start` was read by the shell to make the
    /// [`CallConfig`](crate::CallConfig) and is ignored here.
    Carrier(FromCarrier),
    /// The carrier's socket ended, with or without a `stop` before.
    CarrierClosed,
    /// The carrier came back with a new stream of the same call, after keys were sent. Nothing of
    /// the old stream may follow.
    CarrierBack,
    /// `session.created` was seen on the model's socket.
    ModelUp {
        /// Whose session it is.
        info: ModelInfo,
    },
    /// The model said something else.
    Model(ServerEvent),
    /// Connecting failed, or an open socket was lost. Not to be reported for a socket that
    /// [`Output::CloseModel`] asked to close.
    ModelDown {
        /// For the log and the tenant.
        reason: String,
        /// Whether another attempt can help.
        retry: bool,
        /// Why no attempt will ever help, when the model said so.
        refused: Option<Rejection>,
    },
    /// The tenant's answer to the last [`Output::Tenant`].
    Answered(Vec<Action>),
    /// The instance is gone: it trapped or exceeded what it may use. It may come in place of
    /// [`Input::Answered`] or at any other time.
    TenantFailed {
        /// Why.
        fault: TenantFault,
    },
    /// A fresh instance exists, as [`Output::RestartTenant`] asked.
    TenantReady,
    /// No fresh instance can be made.
    TenantGone {
        /// For the log.
        reason: String,
    },
    /// The answer to an [`Output::Http`].
    HttpDone(HttpResponse),
    /// There will be no answer to an [`Output::Http`].
    HttpFailed(HttpFailure),
    /// An operator's JSON for the tenant.
    Command(String),
    /// The carrier's REST interface did what an [`Output::Rest`] asked.
    RestDone(RestKind),
    /// The carrier's REST interface did not do it.
    RestFailed {
        /// What was asked.
        kind: RestKind,
        /// For the log and the tenant.
        reason: String,
    },
    /// What an [`Output::Rest`] asked for is beyond what the operator allows; nobody was asked.
    RestRefused {
        /// What was wanted.
        kind: RestKind,
        /// For the tenant.
        reason: String,
    },
    /// The call is to end.
    HangUp {
        /// Who wants it.
        by: HangUpBy,
        /// How long to wait for what is playing to be heard; zero is at once.
        grace: Duration,
    },
    /// The time of [`Call::wake_at`](crate::Call::wake_at) has come.
    Wake,
}

/// Why an instance is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantFault {
    /// It trapped.
    #[error("the tenant trapped: {0}")]
    Trapped(String),
    /// It used more processor time on one event than it may.
    #[error("the tenant exceeded its time for one event")]
    OverTime,
    /// It wanted more memory than it may have.
    #[error("the tenant exceeded its memory")]
    OverMemory,
    /// It answered its own echoes without end, or let its events pile up to the bound.
    #[error("the tenant does not keep up with its own events")]
    Flooded,
    /// Anything else the sandbox found wrong, for example an answer of impossible size.
    #[error("the tenant broke the contract: {0}")]
    Contract(String),
}

/// Who ends a call from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUpBy {
    /// Somebody with access to the admin interface.
    Operator,
    /// The process, which is about to stop.
    Drain,
}

/// A request to the carrier's REST interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// End the call (`Status=completed`).
    HangUp,
    /// Connect the caller to somebody else.
    Transfer {
        /// E.164 or `sip:`.
        to: String,
        /// What the called party sees, if not the default.
        caller_id: Option<String>,
    },
    /// Press keys, then open a new stream: [`Input::CarrierBack`] follows the old stream's end.
    Keys(String),
}

impl Rest {
    /// Which kind of request this is.
    pub fn kind(&self) -> RestKind {
        match self {
            Self::HangUp => RestKind::HangUp,
            Self::Transfer { .. } => RestKind::Transfer,
            Self::Keys(_) => RestKind::Keys,
        }
    }
}

/// A [`Rest`] without its particulars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestKind {
    /// [`Rest::HangUp`].
    HangUp,
    /// [`Rest::Transfer`].
    Transfer,
    /// [`Rest::Keys`].
    Keys,
}

/// Something to do outside.
#[derive(Debug)]
pub enum Output {
    /// Hand this to the tenant, then give back [`Input::Answered`] or [`Input::TenantFailed`]. No
    /// second one comes before that.
    Tenant(Event),
    /// Drop the instance and make a fresh one, then give back [`Input::TenantReady`] or
    /// [`Input::TenantGone`].
    RestartTenant {
        /// What was wrong with the last one.
        fault: TenantFault,
    },
    /// Send this to the carrier.
    Carrier(ToCarrier),
    /// Send this to the model.
    Model(ToModel),
    /// Open a socket to the model now, then give back [`Input::ModelUp`] or [`Input::ModelDown`].
    ConnectModel {
        /// Counted from 1 since the session was last stable.
        attempt: u32,
    },
    /// Close the model's socket, or give up opening one, and report nothing of it any more.
    CloseModel,
    /// Ask the carrier's REST interface.
    Rest(Rest),
    /// Make this request. After the end its answer has no taker.
    Http(HttpRequest),
    /// Tell the outside.
    Publish(Publication),
    /// Log or count this.
    Note(Note),
    /// The call is over: close the sockets, drop the instance. The last output.
    Ended(Summary),
}

/// A message for the carrier, without the stream's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToCarrier {
    /// One to five whole frames of 20 ms.
    Media {
        /// In the stream's own format.
        frames: Vec<u8>,
    },
    /// To be echoed once everything before it was played.
    Mark {
        /// Ours, with the generation in it; tenant names never reach the wire.
        name: String,
    },
    /// Forget what is queued.
    Clear,
}

/// A message for the model.
#[derive(Debug)]
pub enum ToModel {
    /// `input_audio_buffer.append`, in the session's input format.
    Append(Vec<u8>),
    /// A client event that was checked.
    Event(ClientEvent),
}

/// Something worth a log line or a counter, of no consequence to the call itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Media were missing by their timestamps, and silence was put in their place.
    GapFilled {
        /// Silence put in.
        ms: u32,
    },
    /// The caller's audio stalled in the middle of speech; silence follows.
    CallerStalled,
    /// The same media came twice, and once was enough.
    DuplicateMedia,
    /// A mark that was cleared, is not ours, or was echoed before.
    StaleMark,
    /// A mark's echo did not come in time; the audio before it counts as played.
    MarkOverdue,
    /// The carrier said something newer than this code.
    UnknownCarrierEvent(String),
    /// A wake-up came late enough to eat into the lead.
    LateWake {
        /// By how much.
        ms: u32,
    },
    /// An action was not carried out.
    Refused {
        /// The action's name in the contract.
        action: &'static str,
        /// Why.
        reason: String,
    },
    /// Caller audio waiting for the model's session reached its bound.
    HeldAudioDropped {
        /// How much went.
        bytes: usize,
    },
    /// The tenant's queue reached its bound.
    EventsDropped {
        /// Frames of the caller that went.
        caller_audio: u32,
        /// Pieces of the model's voice that went.
        model_audio: u32,
    },
    /// The model's session does not have the formats that were asked for; they are asked for again.
    FormatMismatch {
        /// What was asked for.
        asked: String,
        /// What the session has, in the server's words.
        got: String,
    },
    /// The model's server has something against what it was sent, and has not confirmed the session.
    SessionComplaint {
        /// Its words.
        reason: String,
    },
    /// A response of the model is over and the caller heard nothing of it.
    SilentResponse {
        /// How it ended, for example `incomplete`.
        status: String,
        /// Why, where the server said.
        reason: Option<String>,
    },
    /// An event of the model was too large for the tenant.
    ModelEventTooLarge {
        /// How large it was.
        bytes: usize,
        /// Cutting its texts was not enough, and the tenant did not see it.
        is_dropped: bool,
    },
    /// The model said more than a call can take; its session is exchanged.
    ModelFlooded,
    /// The model spoke in a format that was not asked for.
    ModelAudioDropped {
        /// How much went.
        bytes: usize,
    },
    /// The tenant failed and starts again.
    TenantRestarted {
        /// How often within the window, from 1.
        restart: u32,
        /// Why.
        fault: TenantFault,
    },
    /// The model's socket is gone.
    ModelLost {
        /// Why.
        reason: String,
    },
    /// The model's session is being exchanged before it expires.
    ModelRenewed,
    /// The REST interface refused or did not answer.
    RestFailed {
        /// What was asked.
        kind: RestKind,
        /// Why.
        reason: String,
    },
    /// An HTTP answer nobody waits for.
    OrphanedHttp,
    /// An operator's command was too large.
    CommandDropped,
    /// An input that cannot come now, for example an answer without a question: a bug in the shell.
    Unexpected(&'static str),
    /// The call is ending; the apology is played if there is one.
    Closing {
        /// Why, for the log.
        reason: String,
    },
}

/// How a call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What the tenant was told.
    pub reason: Ended,
    /// More about it, for the log.
    pub detail: String,
    /// From the carrier's `start` to the end.
    pub duration: Duration,
    /// What was counted.
    pub counts: Counts,
}

/// What a call counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Media messages of the caller that were handed on.
    pub caller_frames: u64,
    /// Frames of silence put in.
    pub frames_filled: u64,
    /// Bytes of the caller's audio and silence handed on.
    pub caller_bytes: u64,
    /// Frames sent to the carrier.
    pub frames_sent: u64,
    /// Times `clear` was sent.
    pub clears: u64,
    /// Echoes that told nothing.
    pub stale_marks: u64,
    /// Actions not carried out.
    pub refusals: u64,
    /// Events dropped at the bound.
    pub events_dropped: u64,
    /// Bytes of caller audio dropped while the model was not ready.
    pub held_bytes_dropped: u64,
    /// Fresh instances after a failure.
    pub restarts: u64,
    /// Attempts to reach the model again.
    pub reconnects: u64,
    /// Wake-ups asked for and given.
    pub wakes: u64,
}
