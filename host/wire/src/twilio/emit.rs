//! The three messages a server may send on a Media Streams socket.
//!
//! Twilio refuses (31951) any message with a field missing or one too many, so each is written out
//! by hand and holds what the documentation names, nothing else. The caller owns the buffer.

use crate::json::{push_base64, push_string};

/// Appends a `media` message: raw audio in the stream's format, without any header.
///
/// The payload should be whole 160-byte frames for 8 kHz mu-law; part frames make words begin with a
/// crackle. Nothing is allocated when `out` has room.
pub fn media(stream_sid: &str, payload: &[u8], out: &mut String) {
    out.push_str("{\"event\":\"media\",\"streamSid\":");
    push_string(stream_sid, out);
    out.push_str(",\"media\":{\"payload\":\"");
    push_base64(payload, out);
    out.push_str("\"}}");
}

/// Appends a `mark` message; the carrier echoes the name once all audio before it was played.
pub fn mark(stream_sid: &str, name: &str, out: &mut String) {
    out.push_str("{\"event\":\"mark\",\"streamSid\":");
    push_string(stream_sid, out);
    out.push_str(",\"mark\":{\"name\":");
    push_string(name, out);
    out.push_str("}}");
}

/// Appends a `clear` message; the carrier drops what it has buffered and echoes every pending mark.
pub fn clear(stream_sid: &str, out: &mut String) {
    out.push_str("{\"event\":\"clear\",\"streamSid\":");
    push_string(stream_sid, out);
    out.push('}');
}
