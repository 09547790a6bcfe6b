//! What came of a call to a menu.

use serde::Serialize;

/// What a menu saw of a call. Times are ms since the call's first stream began, counted in audio.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MenuReport {
    /// Every key that was heard.
    pub keys: Vec<KeyHeard>,
    /// The places the caller was at, in order.
    pub visits: Vec<Visit>,
    /// How often nobody pressed anything in time.
    pub timeouts: u32,
    /// How often the stream was replaced by another: a caller hears that as an interruption of several hundred ms.
    pub restarts: usize,
    /// The person who answered.
    pub person: Option<PersonReport>,
    /// How it ended.
    pub outcome: Outcome,
}

impl MenuReport {
    /// Returns the keys in the order they were heard.
    pub fn pressed(&self) -> String {
        self.keys.iter().map(|heard| heard.key).collect()
    }

    /// Returns the names of the places, in order.
    pub fn path(&self) -> Vec<&str> {
        self.visits.iter().map(|visit| visit.place.as_str()).collect()
    }
}

/// A key that was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyHeard {
    /// Which.
    pub key: char,
    /// When it was recognised.
    pub at_ms: u64,
    /// Where the caller was.
    pub place: String,
    /// What it meant there.
    pub meaning: Meaning,
}

/// What a key means to a menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Meaning {
    /// It leads somewhere.
    Choice,
    /// It is no option here.
    Invalid,
    /// Nobody asked.
    Unasked,
}

/// A place and when the caller came there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Visit {
    /// Its name in the file.
    pub place: String,
    /// When.
    pub at_ms: u64,
}

/// What the person at the end saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PersonReport {
    /// When the person picked up.
    pub answered_ms: u64,
    /// How long after the end of their first line they heard the first word; 0 if it was before that end.
    pub first_word_after_ms: Option<u64>,
    /// How many of their lines were answered.
    pub lines_answered: usize,
}

/// How a call to a menu ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// The caller was gone before anybody answered, or is still there.
    #[default]
    Unfinished,
    /// The menu hung up after too many failures.
    GaveUp,
    /// A person answered and heard nobody.
    HeardNobody,
    /// A person and the caller have talked.
    Talked,
}
