//! Reads what the server says.
//!
//! Audio deltas are most of the traffic, and the text deltas beside them most of the rest. One pass
//! with borrowed strings recognises both; the audio is decoded straight from the message, any other
//! event nobody here has to look into goes on as the text it came as. The few that are looked into
//! go through a JSON tree: sessions, errors, items, and the names of the beta.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::normalise::{self, Place};
use super::verdict::{ErrorKind, classify_error, without_keys};
use super::{Dialect, SessionAudio};
use crate::json::{LooseU64, Text, decode_audio, loggable, loose_u64, where_broken};
use crate::limits::DELTA_BYTES_MAX;
use crate::mend::mended;

/// An event of the server, in GA names whatever the dialect.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEvent {
    /// The first event: only now is the connection up.
    SessionCreated {
        /// `sess_..`; empty when a compatible server has none.
        session: String,
        /// The model that answers; empty when the server does not say.
        model: String,
        /// When the session ends, in seconds since 1970.
        expires_at: Option<u64>,
        /// The formats it starts with.
        audio: SessionAudio,
    },
    /// The session as it now is, whole. Its formats are to be compared with those asked for.
    SessionUpdated {
        /// The formats in force.
        audio: SessionAudio,
        /// The event.
        json: String,
    },
    /// A piece of the model's voice.
    AudioDelta {
        /// The response it belongs to; deltas of a dead one may still arrive.
        response: String,
        /// The item it belongs to.
        item: String,
        /// The part within the item.
        content_index: u32,
        /// Decoded, in the session's output format, of any length.
        audio: Vec<u8>,
    },
    /// Something went wrong; most errors leave the session open.
    Error {
        /// What it means for the call.
        kind: ErrorKind,
        /// The server's code.
        code: Option<String>,
        /// The server's words, with anything that looks like a key taken out.
        message: String,
        /// The client event at fault, when the server says. Not always echoed.
        event_id: Option<String>,
        /// The event, with keys taken out as well.
        json: String,
    },
    /// Everything else, also what is newer than this code.
    Other {
        /// The event's `type`, cut to a length and an alphabet that are safe to log.
        kind: String,
        /// The event: JSON by its grammar, which allows `1e999`.
        json: String,
    },
}

/// The events in one message: one, or two where GA has split what the beta said at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// The first.
    pub first: ServerEvent,
    /// The second, to be handled right after it.
    pub second: Option<ServerEvent>,
}

impl IntoIterator for Events {
    type Item = ServerEvent;
    type IntoIter =
        std::iter::Chain<std::iter::Once<ServerEvent>, std::option::IntoIter<ServerEvent>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.second)
    }
}

impl From<ServerEvent> for Events {
    fn from(first: ServerEvent) -> Self {
        Self { first, second: None }
    }
}

/// A message that breaks the protocol; the session goes on without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, without quoting the message.
    pub reason: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the model server sent a malformed message: {}", self.reason)
    }
}

impl std::error::Error for Malformed {}

impl ServerEvent {
    /// Reads one text message.
    ///
    /// The old names of events and content are understood in either dialect, since no name means two
    /// things. The flat session and response objects are rewritten in [`Dialect::Beta`] only: a
    /// server that shows them on a GA connection does not understand GA, and the missing formats
    /// are how that is noticed. Faults of the server's encoder that leave one reading are mended.
    ///
    /// # Errors
    /// When the text is no JSON object with a `type`, or an audio delta holds no audio. The reason
    /// quotes nothing.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Events, Malformed> {
        Self::parse_noting(text, dialect).map(|(events, _)| events)
    }

    /// As [`ServerEvent::parse`], and whether all ids such an event may have are known to be there.
    pub(super) fn parse_noting(text: &str, dialect: Dialect) -> Result<(Events, bool), Malformed> {
        if let Ok(delta) = serde_json::from_str::<Delta<'_>>(text) {
            match normalise::place(&delta.kind.0) {
                Place::Audio => return Ok((delta.into_audio()?.into(), false)),
                Place::Verbatim => {
                    let is_named = delta.is_named();
                    let kind = loggable(&delta.kind.0);
                    // Skipped fields were not looked at; only an escape can hide a fault in them.
                    let mended = if text.contains('\\') { mended(text) } else { None };
                    let json = mended.unwrap_or_else(|| text.to_owned());
                    return Ok((Self::Other { kind, json }.into(), is_named));
                }
                Place::Tree => {}
            }
        }
        let (value, mended) = tree(text)?;
        let Value::Object(event) = value else { return Err(malformed("not a JSON object")) };
        let text = mended.as_deref().unwrap_or(text);
        from_tree(event, text, dialect).map(|events| (events, false))
    }
}

/// The message as a tree, and its text where that had to be mended.
fn tree(text: &str) -> Result<(Value, Option<String>), Malformed> {
    let broken = match serde_json::from_str(text) {
        Ok(value) => return Ok((value, None)),
        Err(broken) => malformed(where_broken(&broken)),
    };
    let Some(mended) = mended(text) else { return Err(broken) };
    let value = serde_json::from_str(&mended).map_err(|e| malformed(where_broken(&e)))?;
    Ok((value, Some(mended)))
}

/// What most messages have; other fields are skipped.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    response_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    item_id: Option<Text<'a>>,
    #[serde(default)]
    content_index: LooseU64,
    #[serde(borrow, default)]
    delta: Option<Text<'a>>,
}

impl Delta<'_> {
    fn is_named(&self) -> bool {
        let has = |text: &Option<Text<'_>>| text.as_ref().is_some_and(|text| !text.0.is_empty());
        has(&self.response_id) && has(&self.item_id)
    }

    fn into_audio(self) -> Result<ServerEvent, Malformed> {
        let own = |text: Option<Text<'_>>| text.map(|t| t.0.into_owned()).unwrap_or_default();
        let delta = self.delta.as_ref().map(|delta| &*delta.0);
        audio_delta(own(self.response_id), own(self.item_id), self.content_index.0, delta)
    }
}

fn audio_delta(
    response: String,
    item: String,
    content_index: Option<u64>,
    delta: Option<&str>,
) -> Result<ServerEvent, Malformed> {
    let delta = delta.ok_or_else(|| malformed("`delta` is missing or no string"))?;
    let audio =
        decode_audio(delta, DELTA_BYTES_MAX).map_err(|why| malformed(format!("`delta` {why}")))?;
    let content_index = u32::try_from(content_index.unwrap_or(0)).unwrap_or(0);
    Ok(ServerEvent::AudioDelta { response, item, content_index, audio })
}

fn from_tree(
    mut event: Map<String, Value>,
    text: &str,
    dialect: Dialect,
) -> Result<Events, Malformed> {
    let kind =
        text_in(&event, "type").ok_or_else(|| malformed("`type` is missing or no string"))?;
    let kind = kind.to_owned();
    match kind.as_str() {
        "session.created" => {
            normalise::session(&mut event, dialect);
            let session = event.get("session").unwrap_or(&Value::Null);
            let text = |name| session.get(name).and_then(Value::as_str).unwrap_or_default();
            let created = ServerEvent::SessionCreated {
                session: text("id").to_owned(),
                model: text("model").to_owned(),
                expires_at: session.get("expires_at").and_then(loose_u64),
                audio: SessionAudio::in_session(session),
            };
            Ok(created.into())
        }
        "session.updated" => {
            let changed = normalise::session(&mut event, dialect);
            let audio = event.get("session").map(SessionAudio::in_session).unwrap_or_default();
            let json = written(event, text, changed);
            Ok(ServerEvent::SessionUpdated { audio, json }.into())
        }
        "error" => Ok(error(event, text).into()),
        "conversation.item.created" => Ok(item_created(event, dialect)),
        _ if normalise::place(&kind) == Place::Audio => {
            let own = |name| event.get(name).and_then(id_text).unwrap_or_default();
            let index = event.get("content_index").and_then(loose_u64);
            audio_delta(own("response_id"), own("item_id"), index, text_in(&event, "delta"))
                .map(Events::from)
        }
        _ => {
            let mut changed = normalise::content(&mut event, dialect);
            let kind = match normalise::renamed(&kind) {
                Some(name) => {
                    event.insert("type".to_owned(), Value::from(name));
                    changed = true;
                    name.to_owned()
                }
                None => loggable(&kind),
            };
            let json = written(event, text, changed);
            Ok(ServerEvent::Other { kind, json }.into())
        }
    }
}

/// The beta says once that an item exists, GA says that it was added and, later, that it is done. An
/// item still in progress is therefore only added: its end shows in `response.output_item.done`.
fn item_created(mut event: Map<String, Value>, dialect: Dialect) -> Events {
    normalise::content(&mut event, dialect);
    let in_progress = event
        .get("item")
        .and_then(|item| item.get("status"))
        .is_some_and(|status| status == "in_progress");
    let mut named = |name: &str| {
        event.insert("type".to_owned(), Value::from(name));
        let json = serde_json::to_string(&event).expect("a tree of JSON can be written");
        ServerEvent::Other { kind: name.to_owned(), json }
    };
    let first = named("conversation.item.added");
    let second = (!in_progress).then(|| named("conversation.item.done"));
    Events { first, second }
}

/// Compatible servers also say `"error": "words"`; both are an error without further ado.
fn error(mut event: Map<String, Value>, text: &str) -> ServerEvent {
    let mut changed = false;
    let said = match event.get_mut("error") {
        Some(Value::Object(error)) => error.get_mut("message"),
        Some(words @ Value::String(_)) => Some(words),
        Some(_) | None => None,
    };
    let mut message = String::new();
    if let Some(Value::String(words)) = said {
        if let Some(clean) = without_keys(words) {
            *words = clean;
            changed = true;
        }
        message.clone_from(words);
    }
    let detail = |name: &str| {
        let value = event.get("error").and_then(|error| error.get(name));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let (code, param, event_id) = (detail("code"), detail("param"), detail("event_id"));
    let kind = classify_error(code.as_deref(), param.as_deref(), &message);
    ServerEvent::Error { kind, code, message, event_id, json: written(event, text, changed) }
}

/// The original text where nothing had to be rewritten.
fn written(event: Map<String, Value>, text: &str, changed: bool) -> String {
    if changed { Value::Object(event).to_string() } else { text.to_owned() }
}

/// An id, if there is one: others number theirs, and some write an empty string for none.
pub(super) fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

fn text_in<'a>(event: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    event.get(name).and_then(Value::as_str)
}

fn malformed(reason: impl Into<String>) -> Malformed {
    Malformed { reason: reason.into() }
}
