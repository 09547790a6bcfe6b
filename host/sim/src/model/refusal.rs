//! An `error` event before it is written.

use serde_json::{Value, json};

/// What the server has against a client event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `invalid_request_error` mostly.
    pub kind: &'static str,
    /// The machine-readable code.
    pub code: Option<&'static str>,
    /// The offending field.
    pub param: Option<String>,
    /// Words.
    pub message: String,
}

impl Refusal {
    /// Makes an `invalid_request_error`.
    pub fn new(code: &'static str, param: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            kind: "invalid_request_error",
            code: Some(code),
            param: param.map(str::to_owned),
            message: message.into(),
        }
    }

    /// Writes the `error` event without its own id; `event_id` is the client event's.
    pub fn event(&self, event_id: Option<&str>) -> Value {
        json!({
            "type": "error",
            "error": {
                "type": self.kind,
                "code": self.code,
                "message": self.message,
                "param": self.param,
                "event_id": event_id,
            },
        })
    }
}
