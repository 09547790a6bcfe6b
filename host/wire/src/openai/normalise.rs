//! From the beta's names to GA's, on the way in.
//!
//! Each function says whether it changed anything, so that an event in good order goes on as the
//! text it came as.

use serde_json::{Map, Value, json};

use super::Dialect;
use super::audio::AudioFormat;

/// How an event is handled, by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A piece of the model's voice.
    Audio,
    /// Handed on as it is.
    Verbatim,
    /// Something in it is of interest, or may have to be rewritten.
    Tree,
}

/// Where an event of this name goes.
pub(crate) fn place(kind: &str) -> Place {
    match kind {
        "response.output_audio.delta" | "response.audio.delta" => Place::Audio,
        "session.created"
        | "session.updated"
        | "error"
        | "conversation.item.created"
        | "conversation.item.added"
        | "conversation.item.done"
        | "conversation.item.retrieved"
        | "response.output_item.added"
        | "response.output_item.done"
        | "response.function_call_arguments.done"
        | "response.created"
        | "response.done" => Place::Tree,
        _ if renamed(kind).is_some() => Place::Tree,
        _ => Place::Verbatim,
    }
}

/// GA's name for an event of the beta, where it is another.
pub(crate) fn renamed(kind: &str) -> Option<&'static str> {
    match kind {
        "response.audio.delta" => Some("response.output_audio.delta"),
        "response.audio.done" => Some("response.output_audio.done"),
        "response.audio_transcript.delta" => Some("response.output_audio_transcript.delta"),
        "response.audio_transcript.done" => Some("response.output_audio_transcript.done"),
        "response.text.delta" => Some("response.output_text.delta"),
        "response.text.done" => Some("response.output_text.done"),
        _ => None,
    }
}

/// Normalises `event.session`. A client secret in it is taken out in either dialect: what comes of
/// this goes to a tenant.
pub(crate) fn session(event: &mut Map<String, Value>, dialect: Dialect) -> bool {
    let Some(Value::Object(session)) = event.get_mut("session") else { return false };
    let mut changed = session.remove("client_secret").is_some();
    if dialect == Dialect::Beta {
        changed |= nested(session);
    }
    changed
}

/// Normalises every item in the event, and in the beta the response object.
pub(crate) fn content(event: &mut Map<String, Value>, dialect: Dialect) -> bool {
    let mut changed = event.get_mut("arguments").is_some_and(arguments);
    if let Some(item) = event.get_mut("item") {
        changed |= whole_item(item);
    }
    if let Some(Value::Object(response)) = event.get_mut("response") {
        if let Some(Value::Array(items)) = response.get_mut("output") {
            for item in items {
                changed |= whole_item(item);
            }
        }
        if dialect == Dialect::Beta {
            changed |= nested_response(response);
        }
    }
    changed
}

fn whole_item(item: &mut Value) -> bool {
    let told = item.get_mut("arguments").is_some_and(arguments);
    item_content(item) | told
}

/// A function's arguments are a string that holds an object. Some servers send the object itself,
/// others encode it once more than they should. Null stays: it says that there are none.
fn arguments(value: &mut Value) -> bool {
    let string = match value {
        Value::Null => return false,
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(Value::String(inner)) if holds_object(&inner) => inner,
            Ok(_) | Err(_) => return false,
        },
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    *value = Value::String(string);
    true
}

fn holds_object(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Value::Object(_)))
}

/// Long content types in items: `text` is `output_text` from the assistant and `input_text` from
/// anybody else. Parts of `content_part` events keep the short ones; GA has it so.
pub(crate) fn item_content(item: &mut Value) -> bool {
    let assistant = item.get("role").and_then(Value::as_str) == Some("assistant");
    let Some(Value::Array(parts)) = item.get_mut("content") else { return false };
    let mut changed = false;
    for part in parts {
        let long = match (part.get("type").and_then(Value::as_str), assistant) {
            (Some("text"), true) => "output_text",
            (Some("audio"), true) => "output_audio",
            (Some("text"), false) => "input_text",
            (Some("audio"), false) => "input_audio",
            _ => continue,
        };
        part["type"] = Value::from(long);
        changed = true;
    }
    changed
}

/// The flat session of the beta becomes the nested one of GA. A server that has both shapes at once
/// keeps what it said in the nested one.
fn nested(session: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    if !session.contains_key("type") {
        session.insert("type".to_owned(), Value::from("realtime"));
        changed = true;
    }
    changed |= modalities(session);
    for (flat, side, name) in [
        ("input_audio_transcription", "input", "transcription"),
        ("input_audio_noise_reduction", "input", "noise_reduction"),
        ("turn_detection", "input", "turn_detection"),
        ("voice", "output", "voice"),
        ("speed", "output", "speed"),
    ] {
        changed |= moved(session, flat, side, name, |value| value);
    }
    changed |= moved(session, "input_audio_format", "input", "format", format);
    changed |= moved(session, "output_audio_format", "output", "format", format);
    if let Some(tokens) = session.remove("max_response_output_tokens") {
        session.entry("max_output_tokens").or_insert(tokens);
        changed = true;
    }
    changed
}

fn nested_response(response: &mut Map<String, Value>) -> bool {
    let mut changed = modalities(response);
    changed |= moved(response, "voice", "output", "voice", |value| value);
    changed |= moved(response, "output_audio_format", "output", "format", format);
    changed
}

/// The beta lists what may be said (`text` and `audio`), GA the one way of saying it.
fn modalities(object: &mut Map<String, Value>) -> bool {
    let Some(list) = object.remove("modalities") else { return false };
    let speaks = list.as_array().is_some_and(|list| list.iter().any(|mode| mode == "audio"));
    let one = if speaks { "audio" } else { "text" };
    object.entry("output_modalities").or_insert_with(|| json!([one]));
    true
}

fn moved(
    object: &mut Map<String, Value>,
    flat: &str,
    side: &str,
    name: &str,
    rewritten: impl Fn(Value) -> Value,
) -> bool {
    let Some(value) = object.remove(flat) else { return false };
    let audio = object.entry("audio").or_insert_with(|| json!({}));
    // A server whose `audio` is no object loses the flat field with it; nothing could read either.
    if let Some(audio) = audio.as_object_mut()
        && let Some(side) = audio.entry(side).or_insert_with(|| json!({})).as_object_mut()
    {
        side.entry(name).or_insert_with(|| rewritten(value));
    }
    true
}

/// An unheard-of format stays as it is, and is then read as none.
fn format(value: Value) -> Value {
    let known = value.as_str().and_then(AudioFormat::from_beta);
    known.map_or(value, AudioFormat::to_ga)
}
