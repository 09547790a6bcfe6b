//! Model names that are on their way out, and what to use instead (state of November 2026).

use std::fmt;

/// The model a new installation uses.
pub const DEFAULT_MODEL: &str = "gpt-realtime-2.1";

/// What to say of a model that should no longer be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// The model to use instead.
    pub replacement: &'static str,
    /// The day it is switched off, where one was announced (ISO 8601).
    pub shutdown: Option<&'static str>,
    /// What is wrong with the old one.
    pub because: &'static str,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the model {}; use {}", self.because, self.replacement)?;
        self.shutdown.map_or(Ok(()), |day| write!(f, " (it is switched off on {day})"))
    }
}

/// Advice on a model that is retired or about to be; `None` for every other, also unknown ones,
/// which may well exist at a compatible server.
pub fn retired(name: &str) -> Option<Advice> {
    const BETA: &str = "belongs to the beta, which OpenAI ended in May 2026";
    const ENDING: &str = "is announced to end";
    const OTHER_KIND: &str = "does not hold conversations";
    let (replacement, shutdown, because) = match name {
        "gpt-realtime" | "gpt-realtime-2025-08-28" => (DEFAULT_MODEL, Some("2027-01-20"), ENDING),
        "gpt-realtime-mini" | "gpt-realtime-mini-2025-10-06" | "gpt-realtime-mini-2025-12-15" => {
            ("gpt-realtime-2.1-mini", Some("2027-01-20"), ENDING)
        }
        "gpt-realtime-translate" | "gpt-realtime-whisper" => (DEFAULT_MODEL, None, OTHER_KIND),
        name if name.starts_with("gpt-4o-mini-realtime-preview") => {
            ("gpt-realtime-2.1-mini", None, BETA)
        }
        name if name.starts_with("gpt-4o-realtime-preview") => (DEFAULT_MODEL, None, BETA),
        name if name.starts_with("gpt-audio") => (DEFAULT_MODEL, None, OTHER_KIND),
        _ => return None,
    };
    Some(Advice { replacement, shutdown, because })
}
