//! The session object: its defaults, what an update may change, and both ways of writing it.
//!
//! One rule: an update is applied whole or not at all. The session is kept in GA form; the older flat form is translated at the door.

use serde_json::{Map, Value, json};

use super::format::Format;
use super::refusal::Refusal;
use super::vad::VadSettings;

/// A session's effective settings.
#[derive(Debug, Clone)]
pub struct Session {
    value: Value,
}

/// What decides about turns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TurnDetection {
    /// How speech is found.
    pub vad: VadSettings,
    /// Whether a response follows a turn.
    pub create_response: bool,
    /// Whether speech cancels a response.
    pub interrupt_response: bool,
    /// After how much silence the model speaks up.
    pub idle_timeout_ms: Option<u64>,
}

impl Session {
    /// Opens a session as the live service does: PCM16 at 24 kHz, server VAD with 200 ms of silence, voice alloy.
    pub fn new(id: &str, model: &str, expires_at: u64) -> Self {
        let value = json!({
            "type": "realtime",
            "object": "realtime.session",
            "id": id,
            "model": model,
            "output_modalities": ["audio"],
            "instructions": "You are a helpful, friendly voice. Answer briefly.",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": null,
            "truncation": "auto",
            "prompt": null,
            "expires_at": expires_at,
            "audio": {
                "input": {
                    "format": Format::Pcm.to_ga(),
                    "transcription": null,
                    "noise_reduction": null,
                    "turn_detection": server_vad(),
                },
                "output": { "format": Format::Pcm.to_ga(), "voice": "alloy", "speed": 1.0 },
            },
            "include": null,
        });
        Self { value }
    }

    /// Applies a checked `session.update` in GA form. `has_spoken` locks the voice.
    pub fn update(&mut self, update: &Value, has_spoken: bool) -> Result<(), Refusal> {
        if let Some(model) = update.get("model")
            && *model != self.value["model"]
        {
            let message = "The model of a session cannot be changed.";
            return Err(Refusal::new("invalid_value", Some("session.model"), message));
        }
        let voice = &update["audio"]["output"]["voice"];
        if has_spoken && !voice.is_null() && *voice != self.value["audio"]["output"]["voice"] {
            let message = "Cannot update a conversation's voice if assistant audio is present.";
            return Err(Refusal::new("cannot_update_voice", None, message));
        }
        let modalities = update.get("output_modalities").and_then(Value::as_array);
        if modalities.is_some_and(|list| list.len() != 1) {
            let message = "Invalid modalities: exactly one of 'audio' and 'text' is supported.";
            return Err(Refusal::new("invalid_value", Some("session.output_modalities"), message));
        }
        let mut value = self.value.clone();
        for (name, wanted) in update.as_object().into_iter().flatten() {
            if name != "audio" {
                value[name] = wanted.clone();
            }
        }
        for side in ["input", "output"] {
            for (name, wanted) in update["audio"][side].as_object().into_iter().flatten() {
                value["audio"][side][name] = match name.as_str() {
                    "turn_detection" => completed(wanted),
                    _ => wanted.clone(),
                };
            }
        }
        self.value = value;
        Ok(())
    }

    /// Returns the session as GA servers write it.
    pub fn ga(&self) -> Value {
        self.value.clone()
    }

    /// Returns the session as older servers write it.
    pub fn beta(&self) -> Value {
        let value = &self.value;
        let (input, output) = (&value["audio"]["input"], &value["audio"]["output"]);
        let modalities = match value["output_modalities"][0].as_str() {
            Some("text") => json!(["text"]),
            _ => json!(["text", "audio"]),
        };
        let name = |format: &Value| Format::from_ga(format).unwrap_or(Format::Pcm).to_beta();
        json!({
            "id": value["id"],
            "object": "realtime.session",
            "expires_at": value["expires_at"],
            "model": value["model"],
            "modalities": modalities,
            "instructions": value["instructions"],
            "voice": output["voice"],
            "speed": output["speed"],
            "input_audio_format": name(&input["format"]),
            "output_audio_format": name(&output["format"]),
            "input_audio_transcription": input["transcription"],
            "input_audio_noise_reduction": input["noise_reduction"],
            "turn_detection": input["turn_detection"],
            "tools": value["tools"],
            "tool_choice": value["tool_choice"],
            "temperature": value.get("temperature").cloned().unwrap_or(json!(0.8)),
            "max_response_output_tokens": value["max_output_tokens"],
            "tracing": value["tracing"],
            "client_secret": null,
        })
    }

    /// Returns what the caller's audio is.
    pub fn input_format(&self) -> Format {
        Format::from_ga(&self.value["audio"]["input"]["format"]).unwrap_or(Format::Pcm)
    }

    /// Returns what the model speaks.
    pub fn output_format(&self) -> Format {
        Format::from_ga(&self.value["audio"]["output"]["format"]).unwrap_or(Format::Pcm)
    }

    /// Returns whether answers are spoken; otherwise they are text.
    pub fn speaks(&self) -> bool {
        self.value["output_modalities"][0] != "text"
    }

    /// Returns whether the caller's words are transcribed.
    pub fn transcribes(&self) -> bool {
        !self.value["audio"]["input"]["transcription"].is_null()
    }

    /// Returns the voice.
    pub fn voice(&self) -> Value {
        self.value["audio"]["output"]["voice"].clone()
    }

    /// Returns how turns are found, or `None` if the client commits by itself.
    ///
    /// The semantic detector is played by the energy detector with a longer silence for less eagerness: 1200, 800 or 400 ms.
    pub fn turn_detection(&self) -> Option<TurnDetection> {
        let set = &self.value["audio"]["input"]["turn_detection"];
        let silence_duration_ms = match (set["type"].as_str()?, set["eagerness"].as_str()) {
            ("semantic_vad", Some("low")) => 1200,
            ("semantic_vad", Some("high")) => 400,
            ("semantic_vad", _) => 800,
            _ => set["silence_duration_ms"].as_u64().unwrap_or(200),
        };
        Some(TurnDetection {
            vad: VadSettings {
                threshold: set["threshold"].as_f64().unwrap_or(0.5),
                prefix_padding_ms: set["prefix_padding_ms"].as_u64().unwrap_or(300),
                silence_duration_ms,
            },
            create_response: set["create_response"].as_bool().unwrap_or(true),
            interrupt_response: set["interrupt_response"].as_bool().unwrap_or(true),
            idle_timeout_ms: set["idle_timeout_ms"].as_u64(),
        })
    }
}

fn server_vad() -> Value {
    json!({
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
        "idle_timeout_ms": null,
        "create_response": true,
        "interrupt_response": true,
    })
}

/// Fills the defaults into a turn detection that names only some of its fields.
fn completed(wanted: &Value) -> Value {
    let mut full = match wanted["type"].as_str() {
        None => return Value::Null,
        Some("semantic_vad") => json!({
            "type": "semantic_vad", "eagerness": "auto", "create_response": true, "interrupt_response": true,
        }),
        Some(_) => server_vad(),
    };
    for (name, value) in wanted.as_object().into_iter().flatten() {
        full[name] = value.clone();
    }
    full
}

/// Translates the flat session of an older client into the GA form.
pub fn from_beta(flat: &Value) -> Value {
    let mut ga = json!({ "type": "realtime" });
    let mut input = Map::new();
    let mut output = Map::new();
    let format =
        |value: &Value| value.as_str().and_then(Format::from_beta).unwrap_or(Format::Pcm).to_ga();
    for (name, value) in flat.as_object().into_iter().flatten() {
        match name.as_str() {
            "modalities" => {
                let spoken = value.as_array().is_some_and(|list| list.contains(&json!("audio")));
                ga["output_modalities"] = if spoken { json!(["audio"]) } else { json!(["text"]) };
            }
            "voice" | "speed" => {
                output.insert(name.clone(), value.clone());
            }
            "output_audio_format" => {
                output.insert("format".into(), format(value));
            }
            "input_audio_format" => {
                input.insert("format".into(), format(value));
            }
            "input_audio_transcription" => {
                input.insert("transcription".into(), value.clone());
            }
            "input_audio_noise_reduction" => {
                input.insert("noise_reduction".into(), value.clone());
            }
            "turn_detection" => {
                input.insert("turn_detection".into(), value.clone());
            }
            "max_response_output_tokens" => ga["max_output_tokens"] = value.clone(),
            _ => ga[name.as_str()] = value.clone(),
        }
    }
    ga["audio"] = json!({ "input": input, "output": output });
    ga
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_keys_change_and_null_clears() {
        let mut session = Session::new("sess_1", "m", 0);
        let update = json!({"type": "realtime", "audio": {"input": {
            "format": {"type": "audio/pcmu"}, "turn_detection": {"type": "server_vad", "silence_duration_ms": 500}}}});
        session.update(&update, false).unwrap();
        assert_eq!(session.input_format(), Format::Pcmu);
        assert_eq!(session.output_format(), Format::Pcm);
        let turn = session.turn_detection().unwrap();
        assert_eq!(turn.vad.silence_duration_ms, 500);
        assert_eq!(turn.vad.prefix_padding_ms, 300);
        let update = json!({"type": "realtime", "audio": {"input": {"turn_detection": null}}});
        session.update(&update, false).unwrap();
        assert_eq!(session.turn_detection(), None);
        assert_eq!(session.input_format(), Format::Pcmu);
    }

    #[test]
    fn a_refused_update_changes_nothing() {
        let mut session = Session::new("sess_1", "m", 0);
        let before = session.ga();
        let update = json!({"type": "realtime", "instructions": "new", "audio": {"output": {"voice": "marin"}}});
        assert_eq!(session.update(&update, true).unwrap_err().code, Some("cannot_update_voice"));
        assert_eq!(session.ga(), before);
        session.update(&update, false).unwrap();
        session.update(&update, true).expect("the same voice is fine");
    }

    #[test]
    fn the_flat_form_means_the_same() {
        let mut session = Session::new("sess_1", "m", 0);
        let flat = json!({"input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw", "voice": "coral",
            "modalities": ["audio", "text"], "turn_detection": null, "temperature": 0.7});
        session.update(&from_beta(&flat), false).unwrap();
        assert_eq!(session.output_format(), Format::Pcmu);
        assert!(session.speaks());
        let written = session.beta();
        for (name, value) in flat.as_object().unwrap() {
            if name != "modalities" {
                assert_eq!(written[name], *value, "{name}");
            }
        }
    }
}
