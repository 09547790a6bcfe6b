//! What the carrier accepts from a gateway, and nothing else.
//!
//! One rule: three messages are legal (`media`, `mark`, `clear`), each with exactly its documented fields and this stream's id. Everything
//! else is the warning 31951, and the message has no effect.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// The warning for a message the carrier cannot use.
pub const INVALID_MESSAGE: u16 = 31951;

/// A message the carrier acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromGateway {
    /// Audio to play: mu-law bytes.
    Media(Vec<u8>),
    /// A mark to send back.
    Mark(String),
    /// Drop what waits.
    Clear,
}

/// Checks one text message against the documented rules; the error says which one it breaks.
pub fn check(text: &str, stream_sid: &str) -> Result<FromGateway, String> {
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    match wire.stream_sid.as_deref() {
        None => return Err("streamSid is missing".into()),
        Some(sid) if sid != stream_sid => return Err(format!("streamSid {sid} is another stream")),
        Some(_) => {}
    }
    match (&*wire.event, wire.media, wire.mark) {
        ("media", Some(media), None) => payload(&media.payload).map(FromGateway::Media),
        ("mark", None, Some(mark)) if mark.name.is_empty() => Err("mark.name is empty".into()),
        ("mark", None, Some(mark)) => Ok(FromGateway::Mark(mark.name.into_owned())),
        ("clear", None, None) => Ok(FromGateway::Clear),
        ("media" | "mark" | "clear", ..) => {
            Err(format!("{} has a field missing or a field too many", wire.event))
        }
        (event, ..) => Err(format!("unknown event {event}")),
    }
}

fn payload(base64: &str) -> Result<Vec<u8>, String> {
    let bytes = STANDARD.decode(base64).map_err(|e| format!("media.payload is not base64: {e}"))?;
    if bytes.is_empty() {
        return Err("media.payload is empty".into());
    }
    if bytes.starts_with(b"RIFF") {
        return Err("media.payload begins with a WAV header".into());
    }
    let looks_encoded = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    if bytes.len() >= 160 && bytes.len() % 4 == 0 && bytes.iter().all(looks_encoded) {
        return Err("media.payload is base64 twice".into());
    }
    Ok(bytes)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(rename = "streamSid", borrow)]
    stream_sid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    #[serde(borrow)]
    mark: Option<Mark<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Media<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_documented_messages_are_accepted() {
        let media = r#"{"event":"media","streamSid":"MZ1","media":{"payload":"/////w=="}}"#;
        assert_eq!(check(media, "MZ1"), Ok(FromGateway::Media(vec![0xFF; 4])));
        let mark = r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"a \"b\""}}"#;
        assert_eq!(check(mark, "MZ1"), Ok(FromGateway::Mark("a \"b\"".into())));
        let clear = r#"{"event":"clear","streamSid":"MZ1"}"#;
        assert_eq!(check(clear, "MZ1"), Ok(FromGateway::Clear));
    }

    #[test]
    fn everything_else_breaks_a_rule() {
        for bad in [
            "hello",
            "[]",
            r#"{"event":"clear"}"#,
            r#"{"event":"clear","streamSid":"MZ2"}"#,
            r#"{"event":"clear","stream_sid":"MZ1"}"#,
            r#"{"event":"clear","streamSid":"MZ1","extra":1}"#,
            r#"{"event":"clear","streamSid":"MZ1","mark":{"name":"a"}}"#,
            r#"{"event":"mark","streamSid":"MZ1"}"#,
            r#"{"event":"mark","streamSid":"MZ1","mark":{}}"#,
            r#"{"event":"mark","streamSid":"MZ1","mark":{"name":""}}"#,
            r#"{"event":"media","streamSid":"MZ1","media":{"payload":""}}"#,
            r#"{"event":"media","streamSid":"MZ1","media":{"payload":"%%"}}"#,
            r#"{"event":"media","streamSid":"MZ1","media":{"payload":"/w==","track":"outbound"}}"#,
            r#"{"event":"media","streamSid":"MZ1","media":{"payload":"UklGRgAAAAA="}}"#,
            r#"{"event":"stop","streamSid":"MZ1"}"#,
        ] {
            assert!(check(bad, "MZ1").is_err(), "accepted: {bad}");
        }
        let twice = STANDARD.encode(STANDARD.encode([0x41u8; 160]));
        let message =
            format!(r#"{{"event":"media","streamSid":"MZ1","media":{{"payload":"{twice}"}}}}"#);
        assert_eq!(check(&message, "MZ1"), Err("media.payload is base64 twice".into()));
    }
}
