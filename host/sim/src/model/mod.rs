//! OpenAI's Realtime API, played from its documentation: handshake, session, turn detection, responses, refusals.
//!
//! [`ModelServer::start`] listens on a loopback port; a [`ModelScript`] says what is answered; a [`ModelLog`] says what passed. The decisions are in
//! [`engine`], which has no clock and no socket.

mod at_menu;
pub mod client;
pub mod conversation;
pub mod dialect;
pub mod echo;
pub mod engine;
pub mod format;
mod hearing;
mod log;
pub mod refusal;
mod respond;
pub mod schema;
mod script;
mod server;
pub mod session;
pub mod speaking;
pub mod vad;

use std::time::Duration;

pub use log::{ModelLog, Received, Sent, SessionLog};
pub use script::{Answer, Exchange, Known, ModelScript, Outcome, Part, Voice};
pub use server::ModelServer;

/// Which protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Dialect {
    /// The present one.
    #[default]
    Ga,
    /// The older names, as compatible servers still speak them.
    Beta,
}

/// What the server does with the caller's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Behaviour {
    /// Converses by the script.
    #[default]
    Converse,
    /// Sends all audio back as it comes, in one endless response: for measuring.
    Echo,
}

/// How a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refuse {
    /// By an HTTP status instead of 101, as Azure does.
    Http(u16),
    /// By nothing: the connection is closed without an answer.
    Hangup,
}

/// What the server is like.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The protocol.
    pub dialect: Dialect,
    /// What is done with audio.
    pub behaviour: Behaviour,
    /// The only key accepted; any key when `None`.
    pub key: Option<String>,
    /// The conversation of the first session, the second, and so on; the last one serves all later sessions.
    pub scripts: Vec<ModelScript>,
    /// How many times faster than it plays audio is sent.
    pub speed: f64,
    /// Refuses connections; the first entry the first connection, and so on, until the list is used up.
    pub refuse: Vec<Refuse>,
    /// Answers a bad key with HTTP 401, as Azure does, instead of 101, error, close 3000.
    pub http_401: bool,
    /// How long a session lasts. The service: 60 minutes.
    pub session_max: Duration,
    /// How often the server pings. The service: about every 20 s.
    pub ping_every: Duration,
    /// From the handshake to `session.created`.
    pub created_delay: Duration,
    /// From a turn's commit to its transcription.
    pub transcription_delay: Duration,
    /// How many more pieces of audio follow `speech_started` when a response is interrupted.
    pub late_deltas: usize,
    /// How much less audio the server believes to have sent than it did, in ms.
    pub undercount_ms: f64,
    /// Answers `session.update` with the old session: the formats a gateway asked for do not come.
    pub ignores_formats: bool,
    /// Puts `obfuscation` on deltas.
    pub obfuscation: bool,
    /// Sends `rate_limits.updated` after each response.
    pub rate_limits: bool,
    /// Throws unknown events in between.
    pub unknown_events: bool,
    /// Breaks the TCP connection of a session after so long; one entry per session, in order.
    pub break_after: Vec<Duration>,
    /// Records every event in the [`ModelLog`]; otherwise only counts.
    pub record: bool,
    /// Where ids and sizes come from.
    pub seed: u64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            dialect: Dialect::Ga,
            behaviour: Behaviour::Converse,
            key: None,
            scripts: vec![ModelScript::default()],
            speed: 5.0,
            refuse: Vec::new(),
            http_401: false,
            session_max: Duration::from_secs(3600),
            ping_every: Duration::from_secs(20),
            created_delay: Duration::ZERO,
            transcription_delay: Duration::from_millis(150),
            late_deltas: 2,
            undercount_ms: 0.0,
            ignores_formats: false,
            obfuscation: true,
            rate_limits: true,
            unknown_events: false,
            break_after: Vec::new(),
            record: true,
            seed: 1,
        }
    }
}

impl ModelConfig {
    /// A server with one conversation; everything else is ordinary.
    pub fn with_script(script: ModelScript) -> Self {
        Self { scripts: vec![script], ..Self::default() }
    }
}
