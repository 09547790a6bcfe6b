//! Events and actions by their names in the contract, and as JSON to be matched and shown.

use cordboard_call::contract::{Action, HangUpWhen};
use serde_json::{Value, json};

/// Bytes of the line in a millisecond: mu-law at 8 kHz.
pub(crate) const LINE_BYTES_PER_MS: usize = 8;

/// An action as a pattern sees it: its name as `type`, its fields; audio as bytes and milliseconds, JSON
/// inside of it as JSON.
pub(crate) fn action_json(action: &Action) -> Value {
    match action {
        Action::Play(it) => json!({
            "type": "play", "item": it.item, "last": it.last, "bytes": it.audio.len(),
            "ms": it.audio.len() / LINE_BYTES_PER_MS,
        }),
        Action::Mark(name) => json!({"type": "mark", "name": name}),
        Action::Flush => json!({"type": "flush"}),
        Action::ModelAudio(audio) => json!({"type": "model-audio", "bytes": audio.len()}),
        Action::ModelEvent(json) => json!({"type": "model-event", "event": read(json)}),
        Action::SetTimer(it) => json!({"type": "set-timer", "token": it.token, "at": it.at}),
        Action::CancelTimer(token) => json!({"type": "cancel-timer", "token": token}),
        Action::Http(it) => {
            let headers: serde_json::Map<_, _> =
                it.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            json!({
                "type": "http", "token": it.token, "method": it.method, "url": it.url,
                "headers": headers, "body": read(&String::from_utf8_lossy(&it.body)),
                "timeout_ms": it.timeout_ms,
            })
        }
        Action::HangUp(it) => {
            let when = match it.when {
                HangUpWhen::Now => "now",
                HangUpWhen::WhenPlayed => "when-played",
            };
            json!({
                "type": "hang-up", "when": when, "deadline_ms": it.deadline_ms, "reason": it.reason,
            })
        }
        Action::CancelHangUp => json!({"type": "cancel-hang-up"}),
        Action::Transfer(it) => json!({"type": "transfer", "to": it.to, "caller_id": it.caller_id}),
        Action::SendKeys(keys) => json!({"type": "send-keys", "keys": keys}),
        Action::Publish(it) => {
            json!({"type": "publish", "topic": it.topic, "json": read(&it.json)})
        }
    }
}

/// Text that should be JSON, as JSON; as a text where it is none.
pub(crate) fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}
