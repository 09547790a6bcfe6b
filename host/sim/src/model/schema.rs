//! A small strict checker of JSON against a written shape.
//!
//! One rule: the first offence found is the error, worded and coded as the live service does: unknown field, missing field, wrong
//! type, value outside its range.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// The shape of a value.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Anything.
    Any,
    /// A string of at most so many characters.
    Text(usize),
    /// `true` or `false`.
    Flag,
    /// A whole number in a range.
    Integer(i64, i64),
    /// A number in a range.
    Number(f64, f64),
    /// One of these strings.
    Word(&'static [&'static str]),
    /// `null` or the shape.
    Maybe(&'static Shape),
    /// A list of the shape.
    List(&'static Shape),
    /// An object of any fields.
    Object,
    /// An object of exactly these fields.
    Record(&'static [Field]),
    /// An object whose `type` says which fields it has.
    Tagged(&'static [(&'static str, &'static [Field])]),
    /// Any of these shapes; the error is the first one's.
    Either(&'static [Shape]),
}

/// A field of a record.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    name: &'static str,
    required: bool,
    shape: Shape,
}

/// A field that must be there.
pub const fn need(name: &'static str, shape: Shape) -> Field {
    Field { name, required: true, shape }
}

/// A field that may be there.
pub const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, required: false, shape }
}

/// Checks `value`, which stands at `path` in the event (empty for the event itself).
pub fn check(value: &Value, shape: &Shape, path: &str) -> Result<(), Refusal> {
    match shape {
        Shape::Any => Ok(()),
        Shape::Text(most) => match value.as_str() {
            Some(text) if text.chars().count() > *most => Err(Refusal::new(
                "string_above_max_length",
                Some(path),
                format!(
                    "Invalid '{path}': string too long. Expected a string with maximum length {most}."
                ),
            )),
            Some(_) => Ok(()),
            None => Err(wrong_type(path, "a string", value)),
        },
        Shape::Flag => {
            value.as_bool().map(drop).ok_or_else(|| wrong_type(path, "a boolean", value))
        }
        Shape::Integer(least, most) => integer(value, *least, *most, path),
        Shape::Number(least, most) => match value.as_f64() {
            None => Err(wrong_type(path, "a number", value)),
            Some(x) if x < *least || x > *most => Err(Refusal::new(
                "invalid_value",
                Some(path),
                format!(
                    "Invalid '{path}': expected a value from {least} to {most}, but got {x} instead."
                ),
            )),
            Some(_) => Ok(()),
        },
        Shape::Word(words) => match value.as_str() {
            Some(word) if words.contains(&word) => Ok(()),
            Some(word) => Err(invalid_value(path, word, words)),
            None => Err(wrong_type(path, "a string", value)),
        },
        Shape::Maybe(inner) => {
            if value.is_null() {
                Ok(())
            } else {
                check(value, inner, path)
            }
        }
        Shape::List(inner) => match value.as_array() {
            Some(list) => list
                .iter()
                .enumerate()
                .try_for_each(|(n, value)| check(value, inner, &format!("{path}[{n}]"))),
            None => Err(wrong_type(path, "an array", value)),
        },
        Shape::Object => {
            value.as_object().map(drop).ok_or_else(|| wrong_type(path, "an object", value))
        }
        Shape::Record(fields) => match value.as_object() {
            Some(object) => record(object, fields, path),
            None => Err(wrong_type(path, "an object", value)),
        },
        Shape::Tagged(variants) => tagged(value, variants, path),
        Shape::Either(shapes) => {
            let mut first = None;
            for shape in *shapes {
                match check(value, shape, path) {
                    Ok(()) => return Ok(()),
                    Err(refusal) => first = first.or(Some(refusal)),
                }
            }
            Err(first.expect("a choice has at least one shape"))
        }
    }
}

fn integer(value: &Value, least: i64, most: i64, path: &str) -> Result<(), Refusal> {
    let Some(number) = value.as_number() else {
        return Err(wrong_type(path, "an integer", value));
    };
    let Some(number) = number.as_i64() else {
        return Err(Refusal::new(
            "invalid_type",
            Some(path),
            format!(
                "Invalid type for '{path}': expected an integer, but got a decimal number instead."
            ),
        ));
    };
    if number < least {
        return Err(Refusal::new(
            "integer_below_min_value",
            Some(path),
            format!(
                "Invalid '{path}': integer below minimum value. Expected a value >= {least}, but got {number} instead."
            ),
        ));
    }
    if number > most {
        return Err(Refusal::new(
            "integer_above_max_value",
            Some(path),
            format!(
                "Invalid '{path}': integer above maximum value. Expected a value <= {most}, but got {number} instead."
            ),
        ));
    }
    Ok(())
}

fn record(object: &Map<String, Value>, fields: &[Field], path: &str) -> Result<(), Refusal> {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    for name in object.keys() {
        if !fields.iter().any(|field| field.name == name) {
            let path = below(name);
            let message = format!("Unknown parameter: '{path}'.");
            return Err(Refusal::new("unknown_parameter", Some(&path), message));
        }
    }
    for field in fields {
        let path = below(field.name);
        match object.get(field.name) {
            Some(value) => check(value, &field.shape, &path)?,
            None if field.required => {
                let message = format!("Missing required parameter: '{path}'.");
                return Err(Refusal::new("missing_required_parameter", Some(&path), message));
            }
            None => {}
        }
    }
    Ok(())
}

fn tagged(value: &Value, variants: &[(&str, &[Field])], path: &str) -> Result<(), Refusal> {
    let Some(object) = value.as_object() else {
        return Err(wrong_type(path, "an object", value));
    };
    let tag_path = if path.is_empty() { "type".to_owned() } else { format!("{path}.type") };
    let Some(tag) = object.get("type").and_then(Value::as_str) else {
        let message = format!("Missing required parameter: '{tag_path}'.");
        return Err(Refusal::new("missing_required_parameter", Some(&tag_path), message));
    };
    match variants.iter().find(|(name, _)| *name == tag) {
        Some((_, fields)) => record(object, fields, path),
        None => {
            let names: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
            Err(invalid_value(&tag_path, tag, &names))
        }
    }
}

fn invalid_value(path: &str, got: &str, supported: &[&str]) -> Refusal {
    let list: Vec<String> = supported.iter().map(|word| format!("'{word}'")).collect();
    let message = format!("Invalid value: '{got}'. Supported values are: {}.", list.join(", "));
    Refusal::new("invalid_value", Some(path), message)
}

fn wrong_type(path: &str, expected: &str, value: &Value) -> Refusal {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("Invalid type for '{path}': expected {expected}, but got {got} instead.");
    Refusal::new("invalid_type", Some(path), message)
}
