//! What a component was found to be, for people and for programs.

mod json;
mod junit;
mod text;

use std::fmt;

use crate::driver::Meter;

/// One of the suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// Scenario files, or the built-in conversation.
    Scenario,
    /// Everything that should never be sent and is.
    Abuse,
    /// `save` and `load` in between change nothing.
    Swap,
    /// The same again gives the same again.
    Determinism,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scenario => "scenario",
            Self::Abuse => "abuse",
            Self::Swap => "swap",
            Self::Determinism => "determinism",
        })
    }
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Which suite it belongs to.
    pub suite: Suite,
    /// What was tried.
    pub name: String,
    /// How it went.
    pub outcome: Outcome,
}

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed(Box<Finding>),
    /// It was not tried, for this reason.
    Skipped(String),
}

/// What went wrong, where, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finding {
    /// The fault in one line.
    pub title: String,
    /// Where: file and line, or the point of the call.
    pub place: String,
    /// What was expected, what came instead, and so on: label and text.
    pub details: Vec<(&'static str, String)>,
    /// What to change in the tenant.
    pub hint: Option<String>,
}

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The component, as it was given.
    pub component: String,
    /// The component's size, in bytes.
    pub component_bytes: usize,
    /// What was tried, in order.
    pub cases: Vec<Case>,
    /// What is no failure and yet worth knowing.
    pub observations: Vec<String>,
    /// What conversations took; abuse is not counted.
    pub meter: Meter,
    /// Events that conversations brought, for scale.
    pub events: u64,
}

impl Report {
    /// Whether nothing failed.
    pub fn has_passed(&self) -> bool {
        self.findings().next().is_none()
    }

    /// What failed, in the order to act on it.
    pub fn findings(&self) -> impl Iterator<Item = (&Case, &Finding)> {
        self.cases.iter().filter_map(|case| match &case.outcome {
            Outcome::Failed(finding) => Some((case, &**finding)),
            Outcome::Passed | Outcome::Skipped(_) => None,
        })
    }

    /// For a person at a terminal.
    pub fn text(&self) -> String {
        text::write(self)
    }

    /// For a program.
    pub fn json(&self) -> serde_json::Value {
        json::write(self)
    }

    /// For a CI server: JUnit's XML.
    pub fn junit(&self) -> String {
        junit::write(self)
    }
}
