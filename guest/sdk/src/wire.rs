//! Reads what the model server says: the `type` without parsing the rest, then one tolerant struct.
//!
//! Live events carry nulls, extra fields and the odd wrong type. A field that does not fit is read
//! as absent, so that nothing a server invents can end a call.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

/// The fields of all server events a tenant acts on; each is absent when it is missing or odd.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServerEvent {
    #[serde(deserialize_with = "lenient")]
    pub(crate) item_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) previous_item_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) response_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) transcript: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) delta: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) audio_start_ms: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) audio_end_ms: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) usage: Option<Box<RawValue>>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) response: Option<Response>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) item: Option<Item>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) session: Option<serde_json::Value>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) error: Option<ErrorBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Response {
    #[serde(deserialize_with = "lenient")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) status: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) status_details: Option<StatusDetails>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) usage: Option<Box<RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatusDetails {
    #[serde(deserialize_with = "lenient")]
    pub(crate) reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) error: Option<ErrorBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Item {
    #[serde(deserialize_with = "lenient")]
    pub(crate) id: Option<String>,
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(crate) kind: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) status: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) call_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) arguments: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorBody {
    #[serde(deserialize_with = "lenient")]
    pub(crate) code: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) message: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) param: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) event_id: Option<String>,
}

impl ServerEvent {
    /// Parses one event; anything that is not a JSON object reads as an event without fields.
    pub(crate) fn parse(json: &str) -> ServerEvent {
        serde_json::from_str(json).unwrap_or_default()
    }
}

/// Reads a field if it has the right type and takes it as absent otherwise.
fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str::<Option<T>>(raw.get()).ok().flatten())
}

/// Finds the value of the top-level `type` key, unparsed.
///
/// Transcript deltas come some twenty times a second while the model speaks and most event types
/// mean nothing to a tenant; this costs a few nanoseconds where a parse costs a microsecond.
pub(crate) fn event_type(json: &str) -> Option<&str> {
    let bytes = json.as_bytes();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    at += 1;
    loop {
        at = skip_space(bytes, at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(bytes, at)?;
        let key = json.get(at + 1..key_end - 1)?;
        at = skip_space(bytes, key_end);
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        at = skip_space(bytes, at + 1);
        let value_end = value_end(bytes, at)?;
        if key == "type" {
            return json.get(at..value_end)?.strip_prefix('"')?.strip_suffix('"');
        }
        at = value_end;
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The index after the closing quote of the string that opens at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut i = at + 1;
    loop {
        match bytes.get(i)? {
            b'"' => return Some(i + 1),
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
}

/// The index after the value that starts at `at`.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut i = at;
    loop {
        match bytes.get(i)? {
            b'"' => {
                i = string_end(bytes, i)?;
                if depth == 0 {
                    return Some(i);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return (i > at).then_some(i),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(i + 1);
                }
            }
            b',' if depth == 0 => return (i > at).then_some(i),
            _ => {}
        }
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_found_wherever_it_stands() {
        for (json, found) in [
            (r#"{"type":"a.b"}"#, Some("a.b")),
            (r#" { "event_id" : "x" , "type" : "a.b" , "z":1}"#, Some("a.b")),
            (
                r#"{"item":{"type":"message","content":[{"type":"audio"}]},"type":"real"}"#,
                Some("real"),
            ),
            (r#"{"delta":"\"type\":\"fake\" } ]","type":"real"}"#, Some("real")),
            (r#"{"n":12,"t":true,"nil":null,"type":"real"}"#, Some("real")),
            (r#"{"n":12}"#, None),
            (r#"{"type":12}"#, None),
            (r#"["type","x"]"#, None),
            (r#"{"type""#, None),
            (r#"{"a":"\"#, None),
            ("", None),
        ] {
            assert_eq!(event_type(json), found, "{json}");
        }
    }

    #[test]
    fn the_scanner_never_panics_on_cut_off_text() {
        let whole = r#"{"ü":"\\\"","item":{"x":[1,{"y":"}"}]},"type":"räsponse"}"#;
        for end in (0..=whole.len()).filter(|&end| whole.is_char_boundary(end)) {
            let cut = event_type(&whole[..end]);
            assert!(cut.is_none() || cut == Some("räsponse"));
        }
    }

    #[test]
    fn odd_and_null_fields_read_as_absent_without_losing_the_others() {
        let event = ServerEvent::parse(
            r#"{"item_id":7,"transcript":null,"response":{"id":"r","status":"failed","status_details":"gone"},
                "obfuscation":"xyz","error":{"code":null,"message":"m"}}"#,
        );
        assert_eq!(event.item_id, None);
        assert_eq!(event.transcript, None);
        let response = event.response.expect("the response is an object");
        assert_eq!(response.id.as_deref(), Some("r"));
        assert!(response.status_details.is_none());
        assert_eq!(event.error.expect("the error is an object").message.as_deref(), Some("m"));
    }
}
