//! Whether what was expected came, and what to say when it did not.
//!
//! **One rule: a failure says what came instead, and what to change.** The nearest miss is the thing of the same
//! kind with the most in common with what was expected; the hint is about the tenant, not about the test.

mod hint;
mod listen;
mod pattern;

pub(crate) use listen::watch_ms;

use serde_json::{Value, json};

use crate::scenario::{Expectation, Since};
use crate::world::{Kind, Record};

/// What an expectation looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// All that came out of the call.
    pub(crate) records: &'a [Record],
    /// How many of those came before the last step that is no expectation.
    pub(crate) before: usize,
    /// What the caller heard.
    pub(crate) heard: &'a [u8],
    /// When that step began, in milliseconds.
    pub(crate) since_ms: u64,
    /// The present, in milliseconds.
    pub(crate) now_ms: u64,
}

/// What was not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Miss {
    /// What was expected, in words.
    pub(crate) expected: String,
    /// What came instead.
    pub(crate) got: String,
    /// What to change in the tenant.
    pub(crate) hint: Option<String>,
}

impl<'a> View<'a> {
    fn from(&self, since: Since) -> Self {
        match since {
            Since::Step => *self,
            Since::Start => View { before: 0, since_ms: 0, ..*self },
        }
    }

    /// What came out in the window, with the kind.
    fn of(&self, kind: Kind) -> impl Iterator<Item = (usize, &'a Record)> + use<'a> {
        let from = self.before;
        let records = self.records.iter().enumerate().skip(from);
        records.filter(move |(_, record)| record.kind == kind)
    }
}

/// Judges one expectation.
pub(crate) fn judge(expectation: &Expectation, view: &View<'_>) -> Result<(), Miss> {
    let view = view.from(expectation.since);
    if let Some(sound) = &expectation.hears {
        return listen::sound(sound, &view);
    }
    if let Some(silence) = &expectation.silence {
        return listen::silence(silence, &view);
    }
    if !expectation.in_order.is_empty() {
        return in_order(expectation, &view);
    }
    let (kind, pattern) = wanted(expectation);
    let found = view.of(kind).filter(|(_, it)| pattern::matches(&pattern, &it.value).is_ok());
    let count = found.count();
    match expectation.times {
        Some(times) if count != times => Err(Miss {
            expected: format!("{} {}", words_of(kind, &pattern), how_often(times)),
            got: format!("it came {}", how_often(count)),
            hint: hint::times(kind, count, times),
        }),
        None if count == 0 => Err(nearest(kind, &pattern, &view)),
        _ => Ok(()),
    }
}

/// Whether something that must not come has come: what it was.
pub(crate) fn violation(expectation: &Expectation, view: &View<'_>) -> Option<Miss> {
    let window = view.from(expectation.since);
    let said =
        |what: String, got: String| Miss { expected: format!("never {what}"), got, hint: None };
    if expectation.hears.is_some() || expectation.silence.is_some() {
        let what = if expectation.hears.is_some() { "such a sound" } else { "such a silence" };
        judge(expectation, view).ok()?;
        return Some(said(what.to_owned(), "the caller heard it".to_owned()));
    }
    if !expectation.in_order.is_empty() {
        judge(expectation, view).ok()?;
        return Some(said("this order".to_owned(), "it came".to_owned()));
    }
    let (kind, pattern) = wanted(expectation);
    let (_, found) =
        window.of(kind).find(|(_, it)| pattern::matches(&pattern, &it.value).is_ok())?;
    let got = format!("at {} ms it was {}", found.at_ms, short(&found.value));
    Some(said(words_of(kind, &pattern), got))
}

fn in_order(expectation: &Expectation, view: &View<'_>) -> Result<(), Miss> {
    let mut view = *view;
    for (nth, one) in expectation.in_order.iter().enumerate() {
        let (kind, pattern) = wanted(&one.value);
        let found = view.of(kind).find(|(_, it)| pattern::matches(&pattern, &it.value).is_ok());
        let Some((at, record)) = found else {
            let miss = nearest(kind, &pattern, &view);
            let expected = match nth {
                0 => miss.expected,
                nth => format!("{}, after the {nth} before it in the list", miss.expected),
            };
            return Err(Miss { expected, ..miss });
        };
        view = View { before: at + 1, since_ms: record.at_ms, ..view };
    }
    Ok(())
}

/// What is looked for, with its short form written out.
fn wanted(expectation: &Expectation) -> (Kind, Value) {
    let it = expectation;
    let kinds = [
        (Kind::Action, &it.action, "type"),
        (Kind::ModelGets, &it.model_gets, "type"),
        (Kind::Publishes, &it.publishes, "topic"),
        (Kind::Http, &it.http, "url"),
        (Kind::Refused, &it.refused, "action"),
        (Kind::Logs, &it.logs, "line"),
        (Kind::Ends, &it.call_ends, "reason"),
    ];
    let (kind, pattern, key) = kinds
        .into_iter()
        .find_map(|(kind, pattern, key)| Some((kind, pattern.as_ref()?, key)))
        .expect("a scenario with an expectation of nothing, or a sound in an order, is refused when it is read");
    let long = match (pattern, kind) {
        (Value::String(text), Kind::Logs) => json!({key: {"$contains": text}}),
        (Value::String(text), _) => json!({key: text}),
        (pattern, _) => pattern.clone(),
    };
    (kind, long)
}

/// What came nearest to a pattern.
fn nearest(kind: Kind, pattern: &Value, view: &View<'_>) -> Miss {
    let expected = words_of(kind, pattern);
    let misses = view.of(kind).filter_map(|(_, record)| {
        let miss = pattern::matches(pattern, &record.value).err()?;
        Some((miss, record))
    });
    // Of several that come equally near, the last.
    let nearest = misses.max_by_key(|(miss, _)| miss.matched);
    let hint = hint::missing(kind, pattern, nearest.as_ref().map(|(miss, _)| miss), view);
    let got = match &nearest {
        Some((miss, record)) if miss.matched > 0 => {
            let name = name_of(kind, &record.value);
            format!("at {} ms there was {name}, in which {miss}", record.at_ms)
        }
        _ => others(kind, view),
    };
    Miss { expected, got, hint }
}

/// What there was of a kind when nothing was near.
fn others(kind: Kind, view: &View<'_>) -> String {
    let mut names: Vec<String> = Vec::new();
    for (_, record) in view.of(kind) {
        let name = name_of(kind, &record.value);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let since = format!("between {} and {} ms", view.since_ms, view.now_ms);
    match names.len() {
        0 => format!("nothing of the kind came {since}"),
        _ => {
            names.truncate(8);
            format!("{since} there was: {}", names.join(", "))
        }
    }
}

fn name_of(kind: Kind, value: &Value) -> String {
    let key = match kind {
        Kind::Action | Kind::ModelGets => "type",
        Kind::Publishes => "topic",
        Kind::Http => "url",
        Kind::Refused => "action",
        Kind::Logs => "line",
        Kind::Ends => "reason",
        Kind::ModelRefuses => "message",
    };
    value[key].as_str().map_or_else(|| short(value), str::to_owned)
}

fn words_of(kind: Kind, pattern: &Value) -> String {
    let what = match kind {
        Kind::Action => "the action",
        Kind::ModelGets => "that the model gets",
        Kind::Publishes => "the publication",
        Kind::Http => "the HTTP request",
        Kind::Refused => "that the host refuses",
        Kind::Logs => "the line of log",
        Kind::Ends => "that the call ends with",
        Kind::ModelRefuses => "that the model refuses",
    };
    format!("{what} {}", short(pattern))
}

fn how_often(times: usize) -> String {
    match times {
        0 => "not at all".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

/// JSON on one line, cut where a reader has seen enough.
pub(crate) fn short(value: &Value) -> String {
    const BYTES_MAX: usize = 400;
    let text = value.to_string();
    match text.len() {
        0..=BYTES_MAX => text,
        _ => format!("{}...", &text[..text.floor_char_boundary(BYTES_MAX)]),
    }
}
