//! Audio formats of a session, and the one client event that is sent fifty times a second.

use std::fmt;

use serde_json::{Value, json};

use crate::json::{loggable, loose_u64, push_base64};

/// A format the service takes and gives; one channel each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioFormat {
    /// Signed 16 bit little endian at 24 kHz, the only PCM rate there is.
    Pcm24k,
    /// G.711 mu-law at 8 kHz: a telephone call's own.
    Pcmu,
    /// G.711 A-law at 8 kHz.
    Pcma,
}

impl AudioFormat {
    /// Bytes in one millisecond.
    pub fn bytes_per_ms(self) -> u32 {
        match self {
            Self::Pcm24k => 48,
            Self::Pcmu | Self::Pcma => 8,
        }
    }

    /// The format's object in a GA session. G.711 takes no `rate`.
    pub(crate) fn to_ga(self) -> Value {
        match self {
            Self::Pcm24k => json!({"type": "audio/pcm", "rate": 24_000}),
            Self::Pcmu => json!({"type": "audio/pcmu"}),
            Self::Pcma => json!({"type": "audio/pcma"}),
        }
    }

    /// The format's name in a beta session.
    pub(crate) fn to_beta(self) -> &'static str {
        match self {
            Self::Pcm24k => "pcm16",
            Self::Pcmu => "g711_ulaw",
            Self::Pcma => "g711_alaw",
        }
    }

    /// Reads a GA format object; `None` for one this gateway cannot count milliseconds in.
    pub(crate) fn from_ga(value: &Value) -> Option<Self> {
        match value.get("type")?.as_str()? {
            "audio/pcm" => {
                let rate = value.get("rate").filter(|rate| !rate.is_null());
                rate.is_none_or(|rate| loose_u64(rate) == Some(24_000)).then_some(Self::Pcm24k)
            }
            "audio/pcmu" => Some(Self::Pcmu),
            "audio/pcma" => Some(Self::Pcma),
            _ => None,
        }
    }

    /// Reads a beta format name.
    pub(crate) fn from_beta(name: &str) -> Option<Self> {
        match name {
            "pcm16" => Some(Self::Pcm24k),
            "g711_ulaw" => Some(Self::Pcmu),
            "g711_alaw" => Some(Self::Pcma),
            _ => None,
        }
    }
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcm24k => "audio/pcm at 24000 Hz",
            Self::Pcmu => "audio/pcmu",
            Self::Pcma => "audio/pcma",
        })
    }
}

/// The formats of a session; `None` where a message does not say, or says something unheard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionAudio {
    /// What the model is sent.
    pub input: Option<AudioFormat>,
    /// What the model answers in.
    pub output: Option<AudioFormat>,
}

impl SessionAudio {
    /// Reads a GA session object.
    pub(crate) fn in_session(session: &Value) -> Self {
        let format = |pointer| session.pointer(pointer).and_then(AudioFormat::from_ga);
        Self { input: format("/audio/input/format"), output: format("/audio/output/format") }
    }

    /// Whether a session with these formats has all that `asked` asks for. A session that goes on in
    /// another format than the one fed to it hears noise, and sees speech begin but never end.
    pub fn confirms(&self, asked: &SessionAudio) -> bool {
        let side =
            |got: Option<AudioFormat>, asked: Option<AudioFormat>| asked.is_none() || got == asked;
        side(self.input, asked.input) && side(self.output, asked.output)
    }
}

impl fmt::Display for SessionAudio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |format: Option<AudioFormat>| format.map_or("any".to_owned(), |f| f.to_string());
        write!(f, "input {}, output {}", name(self.input), name(self.output))
    }
}

/// The formats of a session's event in the server's own words, for a log: also those that nobody here
/// can count milliseconds in.
pub fn formats_named(json: &str) -> String {
    let event: Value = serde_json::from_str(json).unwrap_or_default();
    let session = &event["session"];
    let side = |side: &str| {
        let format = &session["audio"][side]["format"];
        let flat = &session[format!("{side}_audio_format")];
        let named = [&format["type"], format, flat].into_iter().find_map(Value::as_str);
        match (named, loose_u64(&format["rate"])) {
            (Some(name), Some(rate)) => format!("{} at {rate} Hz", loggable(name)),
            (Some(name), None) => loggable(name),
            (None, _) => "not said".to_owned(),
        }
    };
    format!("input {}, output {}", side("input"), side("output"))
}

/// Appends an `input_audio_buffer.append` event, the same in both dialects. Whole samples only; the
/// server never answers it. Nothing is allocated when `out` has room.
pub fn append_audio(audio: &[u8], out: &mut String) {
    out.push_str("{\"type\":\"input_audio_buffer.append\",\"audio\":\"");
    push_base64(audio, out);
    out.push_str("\"}");
}
