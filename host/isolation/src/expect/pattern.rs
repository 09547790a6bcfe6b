//! Patterns for JSON: an object matches what has at least its keys, a list what is as long, everything else what is
//! equal; and a few words beginning with `$` for what is not that plain.

use std::fmt;

use serde_json::Value;

use super::short;

/// Where a value first differs from a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mismatch {
    /// A JSON pointer to the place.
    pub(crate) at: String,
    /// What the pattern says there.
    pub(crate) expected: String,
    /// What was there; nothing at all if absent.
    pub(crate) found: Option<Value>,
    /// How many places of the pattern do match.
    pub(crate) matched: usize,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, expected, found, .. } = self;
        let at = if at.is_empty() { "it" } else { at };
        match found {
            Some(found) => write!(f, "{at} is {} and not {expected}", short(found)),
            None => write!(f, "{at} is missing; it was to be {expected}"),
        }
    }
}

/// Matches a value against a pattern.
pub(crate) fn matches(pattern: &Value, value: &Value) -> Result<(), Mismatch> {
    let mut walk = Walk { matched: 0, first: None };
    walk.compare(pattern, Some(value), String::new());
    match walk.first {
        None => Ok(()),
        Some((at, expected, found)) => Err(Mismatch { at, expected, found, matched: walk.matched }),
    }
}

struct Walk {
    matched: usize,
    first: Option<(String, String, Option<Value>)>,
}

impl Walk {
    fn compare(&mut self, pattern: &Value, value: Option<&Value>, at: String) {
        match (pattern, value) {
            (Value::Object(words), _) if words.keys().any(|key| key.starts_with('$')) => {
                for (word, operand) in words {
                    self.settle(holds(word, operand, value), pattern, value, &at);
                }
            }
            (Value::Object(keys), Some(Value::Object(there))) => {
                for (key, pattern) in keys {
                    self.compare(pattern, there.get(key), format!("{at}/{key}"));
                }
            }
            (Value::Array(patterns), Some(Value::Array(there)))
                if patterns.len() == there.len() =>
            {
                for (nth, (pattern, value)) in patterns.iter().zip(there).enumerate() {
                    self.compare(pattern, Some(value), format!("{at}/{nth}"));
                }
            }
            (pattern, value) => {
                let is_equal = value.is_some_and(|value| equal(pattern, value));
                self.settle(is_equal, pattern, value, &at);
            }
        }
    }

    fn settle(&mut self, holds: bool, pattern: &Value, value: Option<&Value>, at: &str) {
        if holds {
            self.matched += 1;
        } else if self.first.is_none() {
            self.first = Some((at.to_owned(), short(pattern), value.cloned()));
        }
    }
}

/// Numbers are equal by what they are worth: YAML does not tell 1 from 1.0.
fn equal(pattern: &Value, value: &Value) -> bool {
    match (pattern.as_f64(), value.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => pattern == value,
    }
}

/// Whether a value is as a `$` word says. An unknown word never holds.
fn holds(word: &str, operand: &Value, value: Option<&Value>) -> bool {
    let number = |value: &Value| value.as_f64();
    match (word, value) {
        ("$absent", value) => operand.as_bool().unwrap_or(true) == value.is_none(),
        ("$not", value) => value.is_none_or(|value| matches(operand, value).is_err()),
        (_, None) => false,
        ("$any", Some(_)) => true,
        ("$contains", Some(value)) => match (operand.as_str(), value) {
            (Some(part), Value::String(text)) => text.to_lowercase().contains(&part.to_lowercase()),
            (Some(part), value) => value.to_string().contains(part),
            (None, _) => false,
        },
        ("$has", Some(value)) => {
            let mut list = value.as_array().into_iter().flatten();
            list.any(|value| matches(operand, value).is_ok())
        }
        ("$above", Some(value)) => number(value) > number(operand),
        ("$below", Some(value)) => number(value).is_some() && number(value) < number(operand),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_matches_what_has_at_least_its_keys() {
        assert!(matches(&json!({"a": 1}), &json!({"a": 1.0, "b": 2})).is_ok());
        assert!(
            matches(&json!({"a": [1, {"b": 2}]}), &json!({"a": [1, {"b": 2, "c": 3}]})).is_ok()
        );
        assert!(matches(&json!({"a": [1]}), &json!({"a": [1, 2]})).is_err());
        assert!(matches(&json!({"a": null}), &json!({})).is_err());
    }

    #[test]
    fn the_words_say_what_is_not_plain() {
        let value = json!({"text": "We open at Nine", "ms": 40, "list": [{"id": 1}, {"id": 2}]});
        for pattern in [
            json!({"text": {"$contains": "nine"}}),
            json!({"ms": {"$above": 39, "$below": 41}}),
            json!({"list": {"$has": {"id": 2}}}),
            json!({"other": {"$absent": true}, "ms": {"$any": true}}),
            json!({"text": {"$not": "We"}, "other": {"$not": {"$any": true}}}),
        ] {
            assert_eq!(matches(&pattern, &value), Ok(()), "{pattern}");
        }
        for pattern in [
            json!({"text": {"$contains": "ten"}}),
            json!({"ms": {"$above": 40}}),
            json!({"text": {"$below": 3}}),
            json!({"list": {"$has": {"id": 3}}}),
            json!({"ms": {"$absent": true}}),
            json!({"other": {"$any": true}}),
            json!({"ms": {"$not": 40}}),
            json!({"ms": {"$abuve": 1}}),
        ] {
            assert!(matches(&pattern, &value).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_mismatch_says_where_and_how_near_it_came() {
        let pattern = json!({"type": "x", "session": {"voice": "ash", "speed": 1}});

        let miss =
            matches(&pattern, &json!({"type": "x", "session": {"voice": "ballad"}})).unwrap_err();

        assert_eq!(miss.matched, 1);
        assert_eq!(miss.to_string(), "/session/speed is missing; it was to be 1");
        let miss =
            matches(&pattern, &json!({"type": "x", "session": {"voice": "oak", "speed": 1}}));
        assert_eq!(miss.unwrap_err().to_string(), r#"/session/voice is "oak" and not "ash""#);
    }
}
