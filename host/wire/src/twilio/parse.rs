//! Reads a message of the carrier.
//!
//! Media is nearly all of the traffic and has a path of its own: one pass over the text, borrowed
//! strings, one allocation for the decoded audio. Everything else, and any media message of a
//! shape that pass does not know, goes through a JSON tree, where each rule can name its reason.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::stream::{Encoding, FromCarrier, Malformed, MediaFormat, Start, Track};
use crate::json::{LooseU64, Text, decode_audio, loggable, loose_u64, where_broken};
use crate::limits::{MEDIA_BYTES_MAX, PARAMETERS_MAX};

impl FromCarrier {
    /// Reads one text message.
    ///
    /// Key order is free, numbers may be numbers or strings, unknown fields are passed over and an
    /// unknown event is [`FromCarrier::Unknown`].
    ///
    /// # Errors
    /// When the text is no JSON object with an `event`, or a field the event lives by is missing or
    /// broken. The reason quotes nothing.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        Self::parse_for(text, None)
    }

    /// Reads one text message of the stream `expected_stream`.
    ///
    /// # Errors
    /// As [`FromCarrier::parse`], and when media, a key, a mark or a stop names another stream. A
    /// message that names none is taken to be of this one.
    pub fn parse_for(text: &str, expected_stream: Option<&str>) -> Result<Self, Malformed> {
        if let Ok(message) = serde_json::from_str::<MediaMessage<'_>>(text)
            && message.event.0 == "media"
        {
            same_stream(message.stream_sid.as_ref().map(|sid| &*sid.0), expected_stream)?;
            return media(
                message.media.track.as_ref().map(|track| &*track.0),
                message.media.timestamp.0,
                &message.media.payload.0,
            );
        }
        let value: Value = serde_json::from_str(text).map_err(|e| malformed(where_broken(&e)))?;
        let Value::Object(message) = value else { return Err(malformed("not a JSON object")) };
        from_tree(&message, expected_stream)
    }
}

/// The shape of nearly every message: only what is used, everything else skipped.
#[derive(Deserialize)]
struct MediaMessage<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow, default, rename = "streamSid")]
    stream_sid: Option<Text<'a>>,
    #[serde(borrow)]
    media: MediaBody<'a>,
}

#[derive(Deserialize)]
struct MediaBody<'a> {
    #[serde(borrow, default)]
    track: Option<Text<'a>>,
    #[serde(default)]
    timestamp: LooseU64,
    #[serde(borrow)]
    payload: Text<'a>,
}

fn from_tree(
    message: &Map<String, Value>,
    expected_stream: Option<&str>,
) -> Result<FromCarrier, Malformed> {
    let event =
        text_in(message, "event").ok_or_else(|| malformed("`event` is missing or no string"))?;
    if matches!(event, "media" | "dtmf" | "mark" | "stop") {
        same_stream(text_in(message, "streamSid"), expected_stream)?;
    }
    match event {
        "connected" => Ok(FromCarrier::Connected {
            version: loggable(text_in(message, "version").unwrap_or_default()),
        }),
        "start" => start(message).map(|start| FromCarrier::Start(Box::new(start))),
        "media" => {
            let body = body_of(message, "media")?;
            let payload = text_in(body, "payload")
                .ok_or_else(|| malformed("`media.payload` is missing or no string"))?;
            media(text_in(body, "track"), body.get("timestamp").and_then(loose_u64), payload)
        }
        "dtmf" => {
            let digit = text_in(body_of(message, "dtmf")?, "digit").and_then(key);
            let digit = digit.ok_or_else(|| malformed("`dtmf.digit` is none of 0-9, *, #, A-D"))?;
            Ok(FromCarrier::Dtmf { digit })
        }
        "mark" => {
            let name = text_in(body_of(message, "mark")?, "name")
                .ok_or_else(|| malformed("`mark.name` is missing or no string"))?;
            Ok(FromCarrier::Mark { name: name.to_owned() })
        }
        "stop" => Ok(FromCarrier::Stop),
        unknown => Ok(FromCarrier::Unknown { event: loggable(unknown) }),
    }
}

fn media(
    track: Option<&str>,
    timestamp_ms: Option<u64>,
    payload: &str,
) -> Result<FromCarrier, Malformed> {
    let payload = decode_audio(payload, MEDIA_BYTES_MAX)
        .map_err(|why| malformed(format!("`media.payload` {why}")))?;
    // `dtmf` says `inbound_track` where `media` says `inbound`, so only the beginning counts; a
    // bidirectional stream has no other track than the caller's.
    let track = match track {
        Some(track) if track.starts_with("outbound") => Track::Outbound,
        Some(_) | None => Track::Inbound,
    };
    Ok(FromCarrier::Media { track, timestamp_ms, payload })
}

fn start(message: &Map<String, Value>) -> Result<Start, Malformed> {
    let body = body_of(message, "start")?;
    let inner = text_in(body, "streamSid");
    let outer = text_in(message, "streamSid");
    if let (Some(inner), Some(outer)) = (inner, outer)
        && inner != outer
    {
        return Err(malformed("`start.streamSid` and `streamSid` differ"));
    }
    let id = |given: Option<&str>, field: &str| match given {
        Some(text) if super::is_id(text) => Ok(text.to_owned()),
        Some(_) => Err(malformed(format!("`{field}` is no id"))),
        None => Err(malformed(format!("`{field}` is missing or no string"))),
    };
    let parameters = body.get("customParameters").and_then(Value::as_object);
    Ok(Start {
        account_sid: match text_in(body, "accountSid") {
            Some("") | None => String::new(),
            given => id(given, "start.accountSid")?,
        },
        call_sid: id(text_in(body, "callSid"), "start.callSid")?,
        stream_sid: id(inner.or(outer), "start.streamSid")?,
        format: format(body.get("mediaFormat")),
        parameters: parameters
            .into_iter()
            .flatten()
            .take(PARAMETERS_MAX)
            .map(|(name, value)| (name.clone(), parameter(value)))
            .collect(),
    })
}

/// Twilio's values are strings; look-alikes also send numbers, which stay as they are written.
fn parameter(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A format that is missing or unheard of is for the call to refuse: it knows what to tell whom.
fn format(value: Option<&Value>) -> MediaFormat {
    let number = |name: &str| value.and_then(|v| v.get(name)).and_then(loose_u64).unwrap_or(0);
    let encoding = value.and_then(|v| v.get("encoding")).and_then(Value::as_str);
    MediaFormat {
        encoding: encoding.map_or(Encoding::Unknown, encoding_named),
        sample_rate: u32::try_from(number("sampleRate")).unwrap_or(0),
        channels: u8::try_from(number("channels")).unwrap_or(0),
    }
}

fn encoding_named(name: &str) -> Encoding {
    // The part before `;` or `@` names the codec (`audio/l16;rate=16000`, `L16@16000h`).
    let name = name.split([';', '@']).next().unwrap_or_default().trim().to_ascii_lowercase();
    match name.strip_prefix("audio/").unwrap_or(&name) {
        "x-mulaw" | "mulaw" | "pcmu" => Encoding::Mulaw,
        "x-alaw" | "alaw" | "pcma" => Encoding::Alaw,
        "l16" | "x-l16" | "pcm" | "x-pcm" => Encoding::Pcm16,
        _ => Encoding::Unknown,
    }
}

fn key(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let (Some(digit), None) = (chars.next(), chars.next()) else { return None };
    let digit = digit.to_ascii_uppercase();
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D').then_some(digit)
}

fn same_stream(given: Option<&str>, expected: Option<&str>) -> Result<(), Malformed> {
    match (given, expected) {
        (Some(given), Some(expected)) if given != expected => {
            Err(malformed("`streamSid` is another stream's"))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

fn text_in<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn body_of<'a>(
    message: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a Map<String, Value>, Malformed> {
    message
        .get(name)
        .and_then(Value::as_object)
        .ok_or_else(|| malformed(format!("`{name}` is missing or no object")))
}

fn malformed(reason: impl Into<String>) -> Malformed {
    Malformed { reason: reason.into() }
}
