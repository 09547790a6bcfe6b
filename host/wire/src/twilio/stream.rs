//! The messages of one Media Streams WebSocket.

use std::fmt;

/// A message from the carrier, with every number parsed and every payload decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromCarrier {
    /// The socket is up; the version is informative only (`0.2.0` and `1.0.0` were seen).
    Connected {
        /// As sent.
        version: String,
    },
    /// The stream begins; comes exactly once and before any media.
    Start(Box<Start>),
    /// One piece of the caller's voice.
    Media {
        /// Whose voice.
        track: Track,
        /// Presentation time in milliseconds since the stream began; the first is rarely 0.
        timestamp_ms: Option<u64>,
        /// Raw audio in the stream's format, 160 bytes as a rule, any size by contract.
        payload: Vec<u8>,
    },
    /// One key press: `0`-`9`, `*`, `#`, `A`-`D`.
    Dtmf {
        /// The key.
        digit: char,
    },
    /// All audio sent before this mark was played, or was cleared.
    Mark {
        /// The name given when it was sent.
        name: String,
    },
    /// The stream was stopped or the call ended; the socket closes next.
    Stop,
    /// Something newer than this code; to be counted and ignored.
    Unknown {
        /// The `event` field, cut to a loggable length.
        event: String,
    },
}

/// What the carrier says of the call as the stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// `AC` and 32 hexadecimal digits; empty when a look-alike leaves it out.
    pub account_sid: String,
    /// `CA` and 32 hexadecimal digits.
    pub call_sid: String,
    /// `MZ` and 32 hexadecimal digits.
    pub stream_sid: String,
    /// The audio's format, both ways.
    pub format: MediaFormat,
    /// From the TwiML's `<Parameter>`s, at most [`crate::limits::PARAMETERS_MAX`] of them.
    pub parameters: Vec<(String, String)>,
}

/// `mediaFormat` of the start message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaFormat {
    /// How samples are coded.
    pub encoding: Encoding,
    /// Samples per second and channel; 0 when the message does not say.
    pub sample_rate: u32,
    /// 1, as far as anybody has seen; 0 when the message does not say.
    pub channels: u8,
}

/// How samples are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `audio/x-mulaw`, G.711.
    Mulaw,
    /// `audio/x-alaw`, G.711.
    Alaw,
    /// `audio/l16` and kin: signed 16 bit.
    Pcm16,
    /// Anything else: the call is refused with a clear error.
    Unknown,
}

/// Which party a piece of audio comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// The caller.
    Inbound,
    /// The far side; only unidirectional streams have it.
    Outbound,
}

/// A message that breaks the protocol; the call goes on without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, without quoting the message (it may hold a caller's words).
    pub reason: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the carrier sent a malformed message: {}", self.reason)
    }
}

impl std::error::Error for Malformed {}
