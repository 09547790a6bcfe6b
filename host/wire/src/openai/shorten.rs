//! Makes an event small enough to be handed on.

use serde_json::Value;

/// The event with its long texts cut, within so many bytes; `None` when it is long in another way.
///
/// An event of megabytes holds a turn's audio, a picture or a text without end, and beside it the few
/// words that count: which response is done, which item it was. The longest texts go first, and no
/// shorter ones than needed.
pub fn shortened(json: &str, bytes_max: usize) -> Option<String> {
    let mut event: Value = serde_json::from_str(json).ok()?;
    TEXT_BYTES.into_iter().find_map(|text_bytes| {
        cut(&mut event, text_bytes);
        let json = event.to_string();
        (json.len() <= bytes_max).then_some(json)
    })
}

fn cut(value: &mut Value, bytes_max: usize) {
    match value {
        Value::String(text) => text.truncate(text.floor_char_boundary(bytes_max)),
        Value::Array(values) => values.iter_mut().for_each(|value| cut(value, bytes_max)),
        Value::Object(map) => map.values_mut().for_each(|value| cut(value, bytes_max)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Bytes a text may have, tried in turn; ids and names are shorter than the last.
const TEXT_BYTES: [usize; 4] = [64 * 1024, 16 * 1024, 4 * 1024, 512];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_counts_stays_and_the_long_texts_go() {
        let event = json!({"type": "response.done", "response": {"id": "resp_1", "status": "completed",
            "output": [{"audio": "A".repeat(9_000_000), "transcript": "\u{e4}".repeat(9_000)}]}});
        let short = shortened(&event.to_string(), 256 * 1024).expect("short enough");
        let short: Value = serde_json::from_str(&short).expect("JSON");
        assert_eq!(short["response"]["id"], "resp_1");
        let transcript = short["response"]["output"][0]["transcript"].as_str().expect("a text");
        assert_eq!(transcript.chars().count(), 9_000, "no shorter than needed");
        let many = json!({"type": "x", "list": vec![7; 400_000]});
        assert_eq!(shortened(&many.to_string(), 256 * 1024), None);
    }
}
