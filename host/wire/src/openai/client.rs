//! What a tenant asks the model for, checked and put into the server's dialect.
//!
//! A tenant writes GA, whatever the server speaks. Checked here is what the host itself depends on
//! (formats it must count in, the model it connected to, audio that must take the frame path) and
//! what servers refuse over a trifle: an update is refused whole, so one stale key costs all of it.

use serde_json::{Map, Value, json};

use super::audio::{AudioFormat, SessionAudio};
use super::{Dialect, client_beta, normalise};
use crate::json::where_broken;
use crate::limits::{
    CLIENT_EVENT_BYTES_MAX, EVENT_ID_CHARS_MAX, ITEM_ID_CHARS_MAX, NAME_CHARS_MAX,
};

/// An event for the server, in GA names until it is encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientEvent {
    /// The event's `type`.
    pub kind: String,
    /// The formats a `session.update` asks for; the next `session.updated` must confirm them.
    pub asks_audio: Option<SessionAudio>,
    json: Map<String, Value>,
}

/// An event that is not sent, and the rule it breaks. The tenant's fault, and told to the tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The rule, without quoting the event.
    pub reason: String,
}

impl ClientEvent {
    /// Reads a tenant's event, without knowing the session's model.
    ///
    /// # Errors
    /// As [`ClientEvent::parse_for`].
    pub fn parse(json: &str) -> Result<Self, Refusal> {
        Self::parse_for(json, None)
    }

    /// Reads a tenant's event for a session with this model.
    ///
    /// Repairs what has one meaning: `session.type` is `realtime`, `audio_end_ms` a whole number and
    /// not negative, short content types become long ones, G.711 takes no `rate`. An unknown `type`
    /// is passed on.
    ///
    /// # Errors
    /// When the text is no JSON object with a `type`; for audio, which goes by another way; for
    /// another model, a format nobody here can count in, a name of the beta, an id the server would
    /// refuse, or more bytes than the server takes.
    pub fn parse_for(json: &str, model: Option<&str>) -> Result<Self, Refusal> {
        if json.len() > CLIENT_EVENT_BYTES_MAX {
            return Err(refused(format!("the event has more than {CLIENT_EVENT_BYTES_MAX} bytes")));
        }
        let value: Value = serde_json::from_str(json)
            .map_err(|e| refused(format!("the event is {}", where_broken(&e))))?;
        let Value::Object(mut event) = value else {
            return Err(refused("the event is not a JSON object"));
        };
        let kind = match event.get("type").and_then(Value::as_str) {
            Some(kind) if !kind.is_empty() && kind.len() <= NAME_CHARS_MAX => kind.to_owned(),
            Some(_) => return Err(refused("`type` is empty or too long")),
            None => return Err(refused("`type` is missing or no string")),
        };
        check_event_id(&event)?;
        let mut asks_audio = None;
        match kind.as_str() {
            "input_audio_buffer.append" | "session.input_audio_buffer.append" => {
                return Err(refused("audio is sent by the action `model-audio`, not as an event"));
            }
            "output_audio_buffer.clear" => {
                return Err(refused(
                    "`output_audio_buffer.clear` is for WebRTC; the action `flush` stops playing",
                ));
            }
            "transcription_session.update" => {
                return Err(refused("a call's session cannot become one for transcription"));
            }
            "session.update" => asks_audio = Some(check_session(&mut event, model)?),
            "response.create" => check_response(&mut event)?,
            "conversation.item.create" => check_item(&mut event)?,
            "conversation.item.truncate" => check_truncate(&mut event)?,
            "conversation.item.delete" | "conversation.item.retrieve" => {
                check_item_id(&event)?;
            }
            _ => {}
        }
        Ok(Self { kind, asks_audio, json: event })
    }

    /// The event's own id, which the server echoes in an error about it.
    pub fn event_id(&self) -> Option<&str> {
        self.json.get("event_id").and_then(Value::as_str)
    }

    /// The event as the server wants it, without ids that were made up for what the server had left
    /// without one: the output of such a call goes as a message, for a model that has no call to put it
    /// to. `temperature` exists in the beta alone and is left out for
    /// GA, which refuses an update that has it.
    pub fn encode(&self, dialect: Dialect) -> String {
        let mut event = self.json.clone();
        without_made_up(&self.kind, &mut event);
        match dialect {
            Dialect::Ga => {
                for holder in ["session", "response"] {
                    if let Some(Value::Object(object)) = event.get_mut(holder) {
                        object.remove("temperature");
                    }
                }
            }
            Dialect::Beta => client_beta::rewrite(&self.kind, &mut event),
        }
        Value::Object(event).to_string()
    }

    /// A `session.update` with instructions, formats and, if given, a voice; everything else stays
    /// as the session has it.
    pub fn configure(instructions: &str, audio: SessionAudio, voice: Option<&str>) -> Self {
        let mut input = Map::new();
        let mut output = Map::new();
        if let Some(format) = audio.input {
            input.insert("format".to_owned(), format.to_ga());
        }
        if let Some(format) = audio.output {
            output.insert("format".to_owned(), format.to_ga());
        }
        if let Some(voice) = voice {
            output.insert("voice".to_owned(), Value::from(voice));
        }
        let session = json!({
            "type": "realtime",
            "instructions": instructions,
            "output_modalities": ["audio"],
            "audio": {"input": input, "output": output},
        });
        Self { asks_audio: Some(audio), ..Self::named("session.update", "session", session) }
    }

    /// Ends a turn by hand, in a session without turn detection.
    pub fn commit() -> Self {
        Self::bare("input_audio_buffer.commit")
    }

    /// Throws the audio away that was appended since the last turn.
    pub fn clear_input() -> Self {
        Self::bare("input_audio_buffer.clear")
    }

    /// Asks for an answer. While one is under way the server refuses, and does not queue it.
    pub fn create_response() -> Self {
        Self::bare("response.create")
    }

    /// Stops the answer under way. Having just ended is an error, and a harmless one.
    pub fn cancel_response(response: Option<&str>) -> Self {
        response.map_or_else(
            || Self::bare("response.cancel"),
            |id| Self::named("response.cancel", "response_id", Value::from(id)),
        )
    }

    fn bare(kind: &str) -> Self {
        let mut json = Map::new();
        json.insert("type".to_owned(), Value::from(kind));
        Self { kind: kind.to_owned(), asks_audio: None, json }
    }

    fn named(kind: &str, name: &str, value: Value) -> Self {
        let mut event = Self::bare(kind);
        event.json.insert(name.to_owned(), value);
        event
    }
}

/// Says without an id what the server has no id for.
fn without_made_up(kind: &str, event: &mut Map<String, Value>) {
    let is_made_up = |id: Option<&Value>| {
        id.and_then(Value::as_str).is_some_and(|id| id.starts_with(super::MADE_UP))
    };
    match kind {
        "response.cancel" if is_made_up(event.get("response_id")) => {
            event.remove("response_id");
        }
        "conversation.item.create" => {
            let Some(Value::Object(item)) = event.get_mut("item") else { return };
            if item.get("type").is_some_and(|kind| kind == "function_call_output")
                && is_made_up(item.get("call_id"))
            {
                let output = item.get("output").and_then(Value::as_str).unwrap_or_default();
                let text = format!("Result of the function you called: {output}");
                let content = json!([{"type": "input_text", "text": text}]);
                *item = Map::from_iter([
                    ("type".to_owned(), Value::from("message")),
                    ("role".to_owned(), Value::from("system")),
                    ("content".to_owned(), content),
                ]);
            }
        }
        _ => {}
    }
}

fn check_event_id(event: &Map<String, Value>) -> Result<(), Refusal> {
    match event.get("event_id") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(id)) if id.chars().count() <= EVENT_ID_CHARS_MAX => Ok(()),
        Some(_) => {
            Err(refused(format!("`event_id` must be a string of at most {EVENT_ID_CHARS_MAX}")))
        }
    }
}

fn check_session(
    event: &mut Map<String, Value>,
    model: Option<&str>,
) -> Result<SessionAudio, Refusal> {
    let Some(Value::Object(session)) = event.get_mut("session") else {
        return Err(refused("`session` is missing or no object"));
    };
    match session.get("type").and_then(Value::as_str) {
        None | Some("realtime") => {
            session.insert("type".to_owned(), Value::from("realtime"));
        }
        Some(_) => return Err(refused("`session.type` can only be `realtime` in a call")),
    }
    if let (Some(asked), Some(model)) = (session.get("model"), model)
        && asked != model
    {
        return Err(refused("`session.model` cannot change: the host has connected to another"));
    }
    for (old, new) in [
        ("modalities", "output_modalities"),
        ("voice", "audio.output.voice"),
        ("speed", "audio.output.speed"),
        ("input_audio_format", "audio.input.format"),
        ("output_audio_format", "audio.output.format"),
        ("input_audio_transcription", "audio.input.transcription"),
        ("input_audio_noise_reduction", "audio.input.noise_reduction"),
        ("turn_detection", "audio.input.turn_detection"),
        ("max_response_output_tokens", "max_output_tokens"),
    ] {
        if session.contains_key(old) {
            return Err(refused(format!("`session.{old}` is a beta name; use `session.{new}`")));
        }
    }
    Ok(SessionAudio {
        input: check_format(session, "session", "input")?,
        output: check_format(session, "session", "output")?,
    })
}

/// Checks `audio.<side>.format` and writes it as GA has it.
fn check_format(
    object: &mut Map<String, Value>,
    holder: &str,
    side: &str,
) -> Result<Option<AudioFormat>, Refusal> {
    let format = object
        .get_mut("audio")
        .and_then(|audio| audio.get_mut(side))
        .and_then(|side| side.get_mut("format"));
    let Some(format) = format else { return Ok(None) };
    let known = AudioFormat::from_ga(format).ok_or_else(|| {
        refused(format!(
            "`{holder}.audio.{side}.format` must be audio/pcm at 24000, audio/pcmu or audio/pcma"
        ))
    })?;
    *format = known.to_ga();
    Ok(Some(known))
}

fn check_response(event: &mut Map<String, Value>) -> Result<(), Refusal> {
    let response = match event.get_mut("response") {
        None => return Ok(()),
        Some(Value::Object(response)) => response,
        Some(_) => return Err(refused("`response` is no object")),
    };
    for (old, new) in [
        ("modalities", "output_modalities"),
        ("voice", "audio.output.voice"),
        ("output_audio_format", "audio.output.format"),
        ("max_response_output_tokens", "max_output_tokens"),
    ] {
        if response.contains_key(old) {
            return Err(refused(format!("`response.{old}` is a beta name; use `response.{new}`")));
        }
    }
    check_format(response, "response", "output")?;
    if let Some(Value::Array(items)) = response.get_mut("input") {
        for item in items {
            normalise::item_content(item);
        }
    }
    Ok(())
}

fn check_item(event: &mut Map<String, Value>) -> Result<(), Refusal> {
    let Some(item @ Value::Object(_)) = event.get_mut("item") else {
        return Err(refused("`item` is missing or no object"));
    };
    if let Some(id) = item.get("id").and_then(Value::as_str)
        && id.chars().count() > ITEM_ID_CHARS_MAX
    {
        return Err(refused(format!("`item.id` has more than {ITEM_ID_CHARS_MAX} characters")));
    }
    normalise::item_content(item);
    Ok(())
}

fn check_truncate(event: &mut Map<String, Value>) -> Result<(), Refusal> {
    check_item_id(event)?;
    event.entry("content_index").or_insert_with(|| Value::from(0));
    let end = match event.get("audio_end_ms").and_then(Value::as_f64) {
        Some(end) => end,
        None => return Err(refused("`audio_end_ms` is missing or no number")),
    };
    // The cast rounds down and saturates, so a negative end is 0; servers refuse it and decimals.
    event.insert("audio_end_ms".to_owned(), Value::from(end.min(f64::from(u32::MAX)) as u32));
    Ok(())
}

fn check_item_id(event: &Map<String, Value>) -> Result<(), Refusal> {
    match event.get("item_id").and_then(Value::as_str) {
        Some(id) if !id.is_empty() => Ok(()),
        Some(_) | None => Err(refused("`item_id` is missing or no string")),
    }
}

fn refused(reason: impl Into<String>) -> Refusal {
    Refusal { reason: reason.into() }
}
