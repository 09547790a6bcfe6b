//! Why there is no connection, in words an operator can act on.

use std::fmt;
use std::time::Duration;

use cordboard_wire::openai::Rejection;

/// Why a connection could not be made. `Display` says what happened and what to do about it, and
/// never contains the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectError {
    /// The endpoint's own settings are no good; nothing was sent.
    Settings(String),
    /// The server will have nothing to do with us until an operator changes something.
    Refused {
        /// Why, where the server said so in a known way.
        rejection: Option<Rejection>,
        /// The server's words or status, with secrets taken out.
        said: String,
    },
    /// Nobody answers there, or not now; worth another attempt.
    Unreachable {
        /// What failed.
        reason: String,
    },
    /// Too slow; worth another attempt.
    Timeout {
        /// What was being waited for.
        stage: Stage,
        /// How long.
        after: Duration,
    },
    /// The connection was made and lost again before a session began.
    Closed {
        /// What the server said, with secrets taken out.
        reason: String,
        /// Whether another attempt makes sense.
        retry: bool,
    },
}

/// The steps of making a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Asking for the host's address.
    Lookup,
    /// Opening the TCP connection.
    Tcp,
    /// TLS and the WebSocket upgrade.
    Upgrade,
    /// Waiting for `session.created`.
    Session,
}

impl ConnectError {
    /// Returns whether another attempt can succeed without anybody changing anything.
    pub fn retry(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Refused { .. } => false,
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Closed { retry, .. } => *retry,
        }
    }

    /// Returns why the server refuses us for good, where it said so in a known way.
    pub fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::Refused { rejection, .. } => *rejection,
            Self::Settings(_)
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Closed { .. } => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(what) => write!(f, "the model's settings can not be used: {what}"),
            Self::Refused { rejection: Some(rejection), said } => {
                write!(f, "the model's server refused us ({said}): {}", rejection.advice())
            }
            Self::Refused { rejection: None, said } => write!(
                f,
                "the model's server refused us ({said}): see whether OPENAI_REALTIME_API_URL leads to a \
                 Realtime server, and what the server's operator says"
            ),
            Self::Unreachable { reason } => write!(
                f,
                "the model's server can not be reached ({reason}): check OPENAI_REALTIME_API_URL, the \
                 network and the provider's status page; another attempt may succeed"
            ),
            Self::Timeout { stage: stage @ Stage::Session, after } => write!(
                f,
                "the model's server took the connection but {stage} took more than {} ms: see whether \
                 OPENAI_REALTIME_API_URL leads to a Realtime server",
                after.as_millis()
            ),
            Self::Timeout { stage, after } => write!(
                f,
                "the model's server is too slow: {stage} took more than {} ms; check the network, another \
                 attempt may succeed",
                after.as_millis()
            ),
            Self::Closed { reason, retry: true } => write!(
                f,
                "the model's server closed the connection before a session began ({reason}): another \
                 attempt may succeed"
            ),
            Self::Closed { reason, retry: false } => write!(
                f,
                "the model's server closed the connection before a session began ({reason}): see whether \
                 OPENAI_REALTIME_API_URL and OPENAI_REALTIME_DIALECT suit it"
            ),
        }
    }
}

impl std::error::Error for ConnectError {}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookup => "looking up its name",
            Self::Tcp => "opening the TCP connection",
            Self::Upgrade => "TLS and the upgrade",
            Self::Session => "session.created",
        })
    }
}
