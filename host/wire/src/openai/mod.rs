//! OpenAI Realtime: server events, client events, refusals, models and the URL.
//!
//! Two dialects share one protocol. [`Dialect::Ga`] is what OpenAI speaks; [`Dialect::Beta`] has the
//! names of 2024, dead at OpenAI since May 2026 and alive at compatible servers. Events are
//! normalised on the way in and rewritten on the way out, so that everything behind this module
//! knows GA alone.

mod audio;
mod client;
mod client_beta;
mod models;
mod names;
mod normalise;
mod response;
mod server;
mod shorten;
mod url;
mod verdict;

pub use audio::{AudioFormat, SessionAudio, append_audio, formats_named};
pub use client::{ClientEvent, Refusal};
pub use models::{Advice, DEFAULT_MODEL, retired};
pub use names::EventReader;
pub use response::ResponseEnd;
pub use server::{Events, Malformed, ServerEvent};
pub use shorten::shortened;
pub use url::{UrlError, realtime_url};
pub use verdict::{Closed, ErrorKind, Rejection, classify_close, classify_error, classify_status};

/// Which names the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// The current names, nested session objects.
    #[default]
    Ga,
    /// The names of 2024 and a flat session object, for compatible servers.
    Beta,
}

/// What an id begins with that was made up here because the server had left it out. No server knows
/// such an id, so none is ever sent to one.
const MADE_UP: &str = "gw-named-";
