//! One step of the examination, and how it is printed.

use std::fmt;

use serde::Serialize;

/// One step of the examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// A word: `config`, `carrier`, `tenants`, `key`, `connect`, `session`, `audio`, `response`.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// What was found.
    pub found: String,
    /// What to do about it; empty when nothing needs to be done.
    pub todo: Vec<String>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing to do.
    Ok,
    /// It works, and should be looked at.
    Warning,
    /// Calls will not be answered.
    Failed,
    /// An earlier step failed.
    Skipped,
}

impl Step {
    /// A step that found nothing to do.
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Ok, found: found.into(), todo: Vec::new() }
    }

    /// A step that keeps calls from being answered, with what to do.
    pub(super) fn failed(name: &'static str, found: impl Into<String>, todo: Vec<String>) -> Self {
        Self { name, outcome: Outcome::Failed, found: found.into(), todo }
    }

    /// The step as a warning, if there is something to look at.
    pub(super) fn with_warnings(self, todo: Vec<String>) -> Self {
        let outcome = if todo.is_empty() { self.outcome } else { Outcome::Warning };
        Self { outcome, todo, ..self }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Warning => "look",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "-",
        };
        writeln!(f, "{:<9} {outcome:<7} {}", self.name, self.found)?;
        self.todo.iter().try_for_each(|todo| writeln!(f, "{:17} -> {todo}", ""))
    }
}
