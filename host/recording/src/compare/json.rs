//! Where two JSON values differ.

use std::fmt;

use serde_json::Value;

use super::How;
use crate::describe;

/// Paths that are told of one pair of values: 8. Who needs more looks at the two values.
pub const PATHS_MAX: usize = 8;

/// Characters that are quoted of a value.
const QUOTED: usize = 60;

/// One place at which two JSON values differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonDifference {
    /// A JSON pointer (RFC 6901): `/session/voice`; empty for the whole value.
    pub path: String,
    /// What the original has there, shortened; none when it has nothing there.
    pub original: Option<String>,
    /// What the other has there.
    pub other: Option<String>,
}

impl fmt::Display for JsonDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        match (&self.original, &self.other) {
            (Some(original), Some(other)) => write!(f, "{path}: {original} -> {other}"),
            (Some(original), None) => write!(f, "{path}: {original} is gone"),
            (None, Some(other)) => write!(f, "{path}: {other} is new"),
            (None, None) => f.write_str(path),
        }
    }
}

/// How two texts that are not equal differ as JSON; texts that are none differ as fields do.
pub(super) fn how(one: &str, two: &str) -> How {
    let parsed = |text| serde_json::from_str::<Value>(text);
    let (Ok(one), Ok(two)) = (parsed(one), parsed(two)) else { return How::Fields };
    let mut found = Vec::new();
    walk(&mut String::new(), Some(&one), Some(&two), &mut found);
    if found.is_empty() { How::Spelling } else { How::Json(found) }
}

fn walk(
    path: &mut String,
    one: Option<&Value>,
    two: Option<&Value>,
    found: &mut Vec<JsonDifference>,
) {
    if one == two || found.len() == PATHS_MAX {
        return;
    }
    let length = path.len();
    match (one, two) {
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            let only_two = two.keys().filter(|key| !one.contains_key(*key));
            for key in one.keys().chain(only_two) {
                path.push('/');
                path.push_str(&key.replace('~', "~0").replace('/', "~1"));
                walk(path, one.get(key), two.get(key), found);
                path.truncate(length);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => {
            for at in 0..one.len().max(two.len()) {
                path.push_str(&format!("/{at}"));
                walk(path, one.get(at), two.get(at), found);
                path.truncate(length);
            }
        }
        _ => {
            let quoted =
                |value: Option<&Value>| value.map(|it| describe::cut(&it.to_string(), QUOTED));
            let (original, other) = (quoted(one), quoted(two));
            found.push(JsonDifference { path: path.clone(), original, other });
        }
    }
}
