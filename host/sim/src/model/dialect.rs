//! Server events under their older names, for compatible servers that never moved on.

use serde_json::{Value, json};

use super::format::Format;

/// Rewrites one GA server event into the events an older server sends for it (none, one).
pub fn to_beta(mut event: Value) -> Option<Value> {
    let kind = event["type"].as_str()?.to_owned();
    let renamed = match kind.as_str() {
        // The older protocol knows one event where GA has two.
        "conversation.item.added" => "conversation.item.created".to_owned(),
        "conversation.item.done" => return None,
        other => other.replacen("response.output_audio", "response.audio", 1).replacen(
            "response.output_text",
            "response.text",
            1,
        ),
    };
    event["type"] = json!(renamed);
    if let Some(item) = event.get_mut("item") {
        short_parts(item);
    }
    if let Some(response) = event.get_mut("response") {
        flatten_response(response);
    }
    Some(event)
}

/// Turns `output_audio` and `output_text` content into `audio` and `text`.
fn short_parts(item: &mut Value) {
    for part in item["content"].as_array_mut().into_iter().flatten() {
        match part["type"].as_str() {
            Some("output_audio") => part["type"] = json!("audio"),
            Some("output_text") => part["type"] = json!("text"),
            _ => {}
        }
    }
}

fn flatten_response(response: &mut Value) {
    for item in response["output"].as_array_mut().into_iter().flatten() {
        short_parts(item);
    }
    let Some(fields) = response.as_object_mut() else { return };
    if let Some(modalities) = fields.remove("output_modalities") {
        let spoken = modalities[0] == "audio";
        let flat = if spoken { json!(["text", "audio"]) } else { json!(["text"]) };
        fields.insert("modalities".into(), flat);
    }
    if let Some(audio) = fields.remove("audio") {
        let format = Format::from_ga(&audio["output"]["format"]).unwrap_or(Format::Pcm);
        fields.insert("voice".into(), audio["output"]["voice"].clone());
        fields.insert("output_audio_format".into(), json!(format.to_beta()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_contents_become_those_of_the_older_protocol() {
        let delta = json!({"type": "response.output_audio.delta", "delta": "x"});
        assert_eq!(to_beta(delta).unwrap()["type"], "response.audio.delta");
        let transcript = json!({"type": "response.output_audio_transcript.done"});
        assert_eq!(to_beta(transcript).unwrap()["type"], "response.audio_transcript.done");
        let added = json!({"type": "conversation.item.added", "item": {"content": [{"type": "output_audio"}]}});
        let created = to_beta(added).unwrap();
        assert_eq!(created["type"], "conversation.item.created");
        assert_eq!(created["item"]["content"][0]["type"], "audio");
        assert_eq!(to_beta(json!({"type": "conversation.item.done"})), None);
        let kept = json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 1});
        assert_eq!(to_beta(kept.clone()), Some(kept));
    }
}
