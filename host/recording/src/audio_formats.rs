//! How to hear the audio in a call's actions.

use cordboard_call::contract::{Action, AudioFormat, Encoding};
use serde_json::Value;

/// How to hear the audio in a call's actions, which do not say it themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioFormats {
    to_caller: AudioFormat,
    to_model: AudioFormat,
}

impl AudioFormats {
    /// For a call of which nothing is known: mu-law at 8 kHz.
    pub const TELEPHONE: Self = Self {
        to_caller: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
        to_model: AudioFormat { encoding: Encoding::Pcm16, sample_rate: 24_000, channels: 1 },
    };

    /// For a call whose carrier uses `format`. The model takes 24 kHz PCM16 until a session asks for something else.
    #[must_use]
    pub fn new(format: AudioFormat) -> Self {
        Self { to_caller: format, to_model: model_format(Encoding::Pcm16) }
    }

    /// Follows the input format that a `session.update` among these actions asks for. Call it with every answer
    /// that counts, after it was compared.
    pub fn follow(&mut self, actions: &[Action]) {
        for action in actions {
            let Action::ModelEvent(text) = action else { continue };
            // Most events are none; they are not worth parsing.
            if !text.contains("session.update") {
                continue;
            }
            let Ok(event) = serde_json::from_str::<Value>(text) else { continue };
            match event.pointer("/session/audio/input/format/type").and_then(Value::as_str) {
                Some("audio/pcm") => self.to_model = model_format(Encoding::Pcm16),
                Some("audio/pcmu") => self.to_model = model_format(Encoding::Mulaw),
                Some("audio/pcma") => self.to_model = model_format(Encoding::Alaw),
                _ => {}
            }
        }
    }

    /// The format of `play`.
    #[must_use]
    pub fn to_caller(&self) -> AudioFormat {
        self.to_caller
    }

    /// The format of `model-audio`.
    #[must_use]
    pub fn to_model(&self) -> AudioFormat {
        self.to_model
    }
}

/// The model's three formats: PCM16 at 24 kHz, the companded ones at 8 kHz, one channel each.
fn model_format(encoding: Encoding) -> AudioFormat {
    let sample_rate = match encoding {
        Encoding::Pcm16 => 24_000,
        Encoding::Mulaw | Encoding::Alaw => 8_000,
    };
    AudioFormat { encoding, sample_rate, channels: 1 }
}
