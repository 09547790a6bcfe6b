//! Everything any gateway of this process sent to a model, for the official client's own types to judge.

use std::sync::{Mutex, PoisonError};

use cordboard_sim::model::{Dialect, SessionLog};

// Scenarios end on threads of their own; the lock is held for one append.
static EVENTS: Mutex<[String; 2]> = Mutex::new([String::new(), String::new()]);

/// Adds all a session received.
pub fn keep(dialect: Dialect, session: &SessionLog) {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner)[index(dialect)]
        .push_str(&session.received_json_lines());
}

/// All events so far, one JSON object per line.
pub fn events(dialect: Dialect) -> String {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner)[index(dialect)].clone()
}

fn index(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Ga => 0,
        Dialect::Beta => 1,
    }
}
