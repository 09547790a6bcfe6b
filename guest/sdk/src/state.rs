//! All that a call remembers, in one value, so that a successor can take it over.
//!
//! A saved state is `CBS`, the format's version, the tenant's own version, then one postcard message.
//! Bytes that are anything else are refused with a reason; they come from another version of
//! somebody's code and are not trusted.

use serde::{Deserialize, Serialize};

use crate::ending::Ending;
use crate::limits::{PARAMETERS_DROPPED_MAX, STATE_BYTES_MAX};
use crate::playback::Playback;
use crate::responses::Responses;
use crate::session::ModelAudioFormat;
use crate::tools::Ledger;
use crate::turns::Turns;

/// The state of a call's turn-taking.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) playback: Playback,
    pub(crate) responses: Responses,
    pub(crate) turns: Turns,
    pub(crate) tools: Ledger,
    pub(crate) ending: Option<Ending>,
    pub(crate) idle: IdleWatch,
    /// The audio format of the running session; it never changes within one.
    pub(crate) format: ModelAudioFormat,
    pub(crate) beta: bool,
    /// The model has a session.
    pub(crate) connected: bool,
    /// The session is configured.
    pub(crate) ready: bool,
    /// The `session.update` under way, and whether it is the minimal one.
    pub(crate) asked: Option<(String, bool)>,
    /// Parameters this server has refused; no update of this call has them again.
    pub(crate) dropped: Vec<String>,
    /// The session is to be changed at the next turn.
    pub(crate) update_due: bool,
    /// Of the session object last sent, to notice that a successor wants another.
    pub(crate) fingerprint: u64,
    /// Nobody has to be greeted any more.
    pub(crate) greeted: bool,
    /// The agent's voice is fixed by now.
    pub(crate) voice_fixed: bool,
    /// The active response has said something.
    pub(crate) response_spoke: bool,
    /// The active response has called a tool that was run or refused.
    pub(crate) response_called: bool,
    /// The tenant has asked for a response of its own making, without sound.
    pub(crate) soundless_asked: bool,
    /// The active response was meant to be without sound.
    pub(crate) soundless: bool,
    /// An error that names nothing, while the `session.update` is unanswered: its words and parameter.
    pub(crate) suspect: Option<(String, Option<String>)>,
    /// The caller waits for an answer the lost session did not give.
    pub(crate) owed: bool,
    pub(crate) next_id: u32,
}

/// Watches for a silent caller.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct IdleWatch {
    pub(crate) armed: bool,
    /// How often the caller was asked since they were last heard.
    pub(crate) nudges: u8,
}

impl State {
    pub(crate) fn new(format: ModelAudioFormat, restarted: bool) -> State {
        State {
            playback: Playback::default(),
            responses: Responses::default(),
            turns: Turns::default(),
            tools: Ledger::default(),
            ending: None,
            idle: IdleWatch::default(),
            format,
            beta: false,
            connected: false,
            ready: false,
            asked: None,
            dropped: Vec::new(),
            update_due: false,
            fingerprint: 0,
            greeted: restarted,
            voice_fixed: false,
            response_spoke: false,
            response_called: false,
            soundless_asked: false,
            soundless: false,
            suspect: None,
            owed: false,
            next_id: 0,
        }
    }

    /// An event id nobody else uses.
    pub(crate) fn event_id(&mut self, kind: &str) -> String {
        self.next_id = self.next_id.wrapping_add(1);
        format!("cb-{kind}-{}", self.next_id)
    }

    fn is_sound(&self) -> bool {
        self.playback.is_sound()
            && self.turns.is_sound()
            && self.tools.is_sound()
            && self.dropped.len() <= PARAMETERS_DROPPED_MAX
    }
}

/// Everything a saved state holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved<S> {
    pub(crate) state: S,
    pub(crate) up: Vec<u8>,
    pub(crate) down: Vec<u8>,
    pub(crate) tenant: Vec<u8>,
}

/// Why saved bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    TooLong,
    NotAState,
    Version(u8),
    TenantVersion { found: u32, expected: u32 },
    Corrupt,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::TooLong => write!(f, "the state is longer than {STATE_BYTES_MAX} bytes"),
            Refused::NotAState => f.write_str("these bytes are no state of this SDK"),
            Refused::Version(found) => {
                write!(f, "the state has format {found}, this build reads {FORMAT}")
            }
            Refused::TenantVersion { found, expected } => {
                write!(f, "the tenant's state has version {found}, this build reads {expected}")
            }
            Refused::Corrupt => f.write_str("the state is cut off or corrupt"),
        }
    }
}

pub(crate) fn encode(tenant_version: u32, saved: &Saved<&State>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(FORMAT);
    bytes.extend(tenant_version.to_le_bytes());
    postcard::to_extend(saved, bytes).expect("plain values of known length always have a form")
}

pub(crate) fn decode(tenant_version: u32, bytes: &[u8]) -> Result<Saved<State>, Refused> {
    if bytes.len() > STATE_BYTES_MAX {
        return Err(Refused::TooLong);
    }
    let bytes = bytes.strip_prefix(MAGIC).ok_or(Refused::NotAState)?;
    let (&format, bytes) = bytes.split_first().ok_or(Refused::NotAState)?;
    if format != FORMAT {
        return Err(Refused::Version(format));
    }
    let (found, bytes) = bytes.split_first_chunk::<4>().ok_or(Refused::Corrupt)?;
    let found = u32::from_le_bytes(*found);
    if found != tenant_version {
        return Err(Refused::TenantVersion { found, expected: tenant_version });
    }
    match postcard::take_from_bytes::<Saved<State>>(bytes) {
        Ok((saved, [])) if saved.state.is_sound() => Ok(saved),
        Ok(_) | Err(_) => Err(Refused::Corrupt),
    }
}

const MAGIC: &[u8] = b"CBS";
/// Rises with every change to [`State`] or [`Saved`].
const FORMAT: u8 = 3;
