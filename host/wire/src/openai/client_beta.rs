//! From GA's names to the beta's, on the way out.
//!
//! What the beta never had is left out: its servers refuse an update whole for one unknown key, and
//! a call without `truncation` is better than one without instructions.

use serde_json::{Map, Value, json};

use super::audio::AudioFormat;

/// Rewrites a checked GA event of this name.
pub(crate) fn rewrite(kind: &str, event: &mut Map<String, Value>) {
    match kind {
        "session.update" => {
            if let Some(Value::Object(session)) = event.get_mut("session") {
                flatten_session(session);
            }
        }
        "response.create" => {
            if let Some(Value::Object(response)) = event.get_mut("response") {
                flatten_response(response);
            }
        }
        "conversation.item.create" => {
            if let Some(item) = event.get_mut("item") {
                shorten_content(item);
            }
        }
        _ => {}
    }
}

fn flatten_session(session: &mut Map<String, Value>) {
    for newer in
        ["type", "model", "truncation", "reasoning", "parallel_tool_calls", "prompt", "include"]
    {
        session.remove(newer);
    }
    if let Some(mut audio) = session.remove("audio") {
        for (side, name, flat) in [
            ("input", "transcription", "input_audio_transcription"),
            ("input", "noise_reduction", "input_audio_noise_reduction"),
            ("input", "turn_detection", "turn_detection"),
            ("output", "voice", "voice"),
            ("output", "speed", "speed"),
        ] {
            if let Some(value) = taken(&mut audio, side, name) {
                session.insert(flat.to_owned(), value);
            }
        }
        for (side, flat) in [("input", "input_audio_format"), ("output", "output_audio_format")] {
            insert_format(&mut audio, side, flat, session);
        }
    }
    flatten_common(session);
}

fn flatten_response(response: &mut Map<String, Value>) {
    for newer in ["reasoning", "parallel_tool_calls", "prompt"] {
        response.remove(newer);
    }
    if let Some(mut audio) = response.remove("audio") {
        if let Some(voice) = taken(&mut audio, "output", "voice") {
            response.insert("voice".to_owned(), voice);
        }
        insert_format(&mut audio, "output", "output_audio_format", response);
    }
    if let Some(Value::Array(items)) = response.get_mut("input") {
        items.iter_mut().for_each(shorten_content);
    }
    flatten_common(response);
}

fn flatten_common(object: &mut Map<String, Value>) {
    if let Some(modalities) = object.remove("output_modalities") {
        let speaks = modalities.as_array().is_some_and(|all| all.iter().any(|m| m == "audio"));
        // The beta never speaks without writing.
        let modalities = if speaks { json!(["text", "audio"]) } else { json!(["text"]) };
        object.insert("modalities".to_owned(), modalities);
    }
    if let Some(tokens) = object.remove("max_output_tokens") {
        object.insert("max_response_output_tokens".to_owned(), tokens);
    }
}

fn taken(audio: &mut Value, side: &str, name: &str) -> Option<Value> {
    audio.get_mut(side)?.as_object_mut()?.remove(name)
}

fn insert_format(audio: &mut Value, side: &str, flat: &str, into: &mut Map<String, Value>) {
    // Checked when the event was read, so a format that is there is a known one.
    if let Some(format) = taken(audio, side, "format").as_ref().and_then(AudioFormat::from_ga) {
        into.insert(flat.to_owned(), Value::from(format.to_beta()));
    }
}

/// The assistant's own content has short types in the beta; everybody else's is the same.
fn shorten_content(item: &mut Value) {
    let Some(Value::Array(parts)) = item.get_mut("content") else { return };
    for part in parts {
        let short = match part.get("type").and_then(Value::as_str) {
            Some("output_text") => "text",
            Some("output_audio") => "audio",
            _ => continue,
        };
        part["type"] = Value::from(short);
    }
}
