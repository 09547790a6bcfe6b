//! How a response ended.

use serde_json::Value;

/// What a `response.done` says of its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseEnd {
    /// `completed` where the server does not say.
    pub status: String,
    /// Why it is incomplete or was cancelled, where the server says.
    pub reason: Option<String>,
    /// It called a function, so that its answer is still to come.
    pub calls_function: bool,
}

impl ResponseEnd {
    /// Reads a `response.done`; what it does not say is absent.
    pub fn read(json: &str) -> Self {
        let event: Value = serde_json::from_str(json).unwrap_or_default();
        let response = &event["response"];
        let output = response["output"].as_array();
        Self {
            status: response["status"].as_str().unwrap_or("completed").to_owned(),
            reason: response["status_details"]["reason"].as_str().map(str::to_owned),
            calls_function: output
                .is_some_and(|items| items.iter().any(|item| item["type"] == "function_call")),
        }
    }

    /// The caller was to hear something of it.
    pub fn is_audible(&self) -> bool {
        !self.calls_function && !matches!(self.status.as_str(), "cancelled" | "failed")
    }
}
