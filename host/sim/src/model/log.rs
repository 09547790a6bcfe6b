//! What the model's server saw and said, for assertions.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// Every session of a server, in the order they were opened. Cheap to clone; all clones show the same.
#[derive(Debug, Clone, Default)]
pub struct ModelLog {
    // Written by each session's task, read by a test: the lock is held for one push or one clone.
    sessions: Arc<Mutex<Vec<SessionLog>>>,
}

/// One WebSocket session.
#[derive(Debug, Clone, Default)]
pub struct SessionLog {
    /// The request's path and query.
    pub target: String,
    /// The request's headers but `Authorization`, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Every text message from the client, in order.
    pub received: Vec<Received>,
    /// Every event sent, in order.
    pub sent: Vec<Sent>,
    /// Messages received, counted even when nothing is recorded.
    pub received_count: u64,
    /// Audio appended, in bytes, counted even when nothing is recorded.
    pub appended_bytes: u64,
    /// Why the session is over: `client 1000`, `server 3000`, `broken`; `None` while it is open.
    pub ended: Option<String>,
}

/// A message from the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// ms since the session began.
    pub at_ms: f64,
    /// The event; a string if it was no JSON.
    pub event: Value,
    /// Code and words of the refusal, if it was refused.
    pub refused: Option<String>,
}

/// An event to the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// ms since the session began.
    pub at_ms: f64,
    /// The event.
    pub event: Value,
}

impl ModelLog {
    /// Returns how many sessions there were.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns whether there was no session.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Returns a copy of session `n`, counted from 0.
    pub fn session(&self, n: usize) -> Option<SessionLog> {
        self.lock().get(n).cloned()
    }

    /// Returns copies of all sessions.
    pub fn sessions(&self) -> Vec<SessionLog> {
        self.lock().clone()
    }

    pub(super) fn open(&self, session: SessionLog) -> usize {
        let mut sessions = self.lock();
        sessions.push(session);
        sessions.len() - 1
    }

    pub(super) fn with(&self, n: usize, change: impl FnOnce(&mut SessionLog)) {
        if let Some(session) = self.lock().get_mut(n) {
            change(session);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SessionLog>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionLog {
    /// Returns the received events of one type.
    pub fn received_of(&self, kind: &str) -> Vec<&Received> {
        self.received.iter().filter(|r| r.event["type"] == kind).collect()
    }

    /// Returns the sent events of one type.
    pub fn sent_of(&self, kind: &str) -> Vec<&Sent> {
        self.sent.iter().filter(|s| s.event["type"] == kind).collect()
    }

    /// Returns the types of all received events but audio, in order.
    pub fn received_types(&self) -> Vec<&str> {
        self.received
            .iter()
            .filter_map(|r| r.event["type"].as_str())
            .filter(|kind| *kind != "input_audio_buffer.append")
            .collect()
    }

    /// Returns every refusal, in words.
    pub fn refusals(&self) -> Vec<&str> {
        self.received.iter().filter_map(|r| r.refused.as_deref()).collect()
    }

    /// Returns the received events as JSON lines, as `clients/python/validate_events.py` reads them.
    pub fn received_json_lines(&self) -> String {
        self.received.iter().map(|r| format!("{}\n", r.event)).collect()
    }
}
