//! The three audio formats of a session.

use serde_json::{Value, json};

use crate::audio::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};

/// What bytes of audio mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// PCM16 little-endian at 24 kHz.
    Pcm,
    /// Mu-law at 8 kHz.
    Pcmu,
    /// A-law at 8 kHz.
    Pcma,
}

impl Format {
    /// Reads `{"type": "audio/pcm", …}`.
    pub fn from_ga(value: &Value) -> Option<Self> {
        match value["type"].as_str()? {
            "audio/pcm" => Some(Self::Pcm),
            "audio/pcmu" => Some(Self::Pcmu),
            "audio/pcma" => Some(Self::Pcma),
            _ => None,
        }
    }

    /// Writes `{"type": "audio/pcm", …}`.
    pub fn to_ga(self) -> Value {
        match self {
            Self::Pcm => json!({ "type": "audio/pcm", "rate": 24000 }),
            Self::Pcmu => json!({ "type": "audio/pcmu" }),
            Self::Pcma => json!({ "type": "audio/pcma" }),
        }
    }

    /// Reads the flat name of older servers.
    pub fn from_beta(name: &str) -> Option<Self> {
        match name {
            "pcm16" => Some(Self::Pcm),
            "g711_ulaw" => Some(Self::Pcmu),
            "g711_alaw" => Some(Self::Pcma),
            _ => None,
        }
    }

    /// Writes the flat name of older servers.
    pub fn to_beta(self) -> &'static str {
        match self {
            Self::Pcm => "pcm16",
            Self::Pcmu => "g711_ulaw",
            Self::Pcma => "g711_alaw",
        }
    }

    /// Returns samples per second.
    pub fn rate(self) -> u32 {
        match self {
            Self::Pcm => 24_000,
            Self::Pcmu | Self::Pcma => 8000,
        }
    }

    /// Returns bytes per sample.
    pub fn sample_bytes(self) -> usize {
        match self {
            Self::Pcm => 2,
            Self::Pcmu | Self::Pcma => 1,
        }
    }

    /// Returns how long so many bytes last, in ms.
    pub fn duration_ms(self, bytes: usize) -> f64 {
        bytes as f64 * 1000.0 / f64::from(self.rate()) / self.sample_bytes() as f64
    }

    /// Turns bytes into samples. An odd byte at the end of PCM16 is ignored.
    pub fn decode(self, bytes: &[u8]) -> Vec<i16> {
        match self {
            Self::Pcm => {
                bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
            }
            Self::Pcmu => bytes.iter().map(|&code| ulaw_decode(code)).collect(),
            Self::Pcma => bytes.iter().map(|&code| alaw_decode(code)).collect(),
        }
    }

    /// Turns samples at this format's rate into bytes.
    pub fn encode(self, samples: &[i16]) -> Vec<u8> {
        match self {
            Self::Pcm => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
            Self::Pcmu => samples.iter().map(|&sample| ulaw_encode(sample)).collect(),
            Self::Pcma => samples.iter().map(|&sample| alaw_encode(sample)).collect(),
        }
    }
}
