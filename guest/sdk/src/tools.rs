//! What the agent can do, and the ledger that answers every call of a tool exactly once.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::limits::{ID_BYTES_MAX, TOOL_OUTPUT_BYTES_MAX, TOOLS_OPEN_MAX, TOOLS_SEEN_MAX};

/// A function the model may call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// The function's name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// When to call it, for the model to read.
    #[serde(default)]
    pub description: String,
    /// The arguments, as a JSON schema of type `object`.
    #[serde(default = "no_parameters")]
    pub parameters: Value,
    /// Only `function` is known here; may be left out.
    #[serde(default, rename = "type")]
    pub kind: ToolKind,
    /// Where the arguments are posted; the answer's body is the output.
    #[serde(default)]
    pub url: Option<String>,
    /// Headers of that request; a value may hold `{{secret:NAME}}`.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Milliseconds the request may take.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u32,
    /// What the agent says when the output takes longer than `hold_after_ms`.
    #[serde(default)]
    pub hold_phrase: Option<String>,
    /// Milliseconds before the hold phrase.
    #[serde(default = "hold_after_ms")]
    pub hold_after_ms: u32,
    /// Something the gateway itself does.
    #[serde(default)]
    pub does: Option<Deed>,
    /// With `does: "transfer"`: where it may go (E.164 or `sip:`), one or a list; of several the model chooses by
    /// its argument `to`. Never anywhere else: a caller who could talk the model into a number would have the
    /// operator pay for it.
    #[serde(default, deserialize_with = "one_or_more")]
    pub to: Vec<String>,
}

/// The kinds of tools; there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// A function.
    #[default]
    Function,
}

/// What a tool can do without a URL and without code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Says goodbye and hangs up once that was heard.
    HangUp,
    /// Puts the caller through once the announcement was heard.
    Transfer,
    /// Presses the keys in the argument `keys`.
    SendKeys,
}

impl Tool {
    /// A tool that the tenant answers in [`Tenant::tool_call`](crate::Tenant::tool_call).
    pub fn new(name: &str, description: &str, parameters: Value) -> Tool {
        Tool {
            name: name.to_owned(),
            description: description.to_owned(),
            parameters,
            kind: ToolKind::Function,
            url: None,
            headers: Map::new(),
            timeout_ms: timeout_ms(),
            hold_phrase: None,
            hold_after_ms: hold_after_ms(),
            does: None,
            to: Vec::new(),
        }
    }

    /// Lets the agent end the call.
    pub fn hang_up(name: &str, description: &str) -> Tool {
        Tool { does: Some(Deed::HangUp), ..Tool::new(name, description, no_parameters()) }
    }

    /// Lets the agent put the caller through to one number (E.164 or `sip:`).
    pub fn transfer(name: &str, description: &str, to: &str) -> Tool {
        Tool {
            does: Some(Deed::Transfer),
            to: vec![to.to_owned()],
            ..Tool::new(name, description, no_parameters())
        }
    }

    /// Checks what the model server, or the first call of the tool, would refuse.
    ///
    /// # Errors
    ///
    /// Says what is wrong with which field.
    pub fn check(&self) -> Result<(), String> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(good) {
            return Err("name must be 1 to 64 letters, digits, `_` or `-`".into());
        }
        if self.parameters["type"] != "object" {
            return Err("parameters must be a JSON schema with \"type\": \"object\"".into());
        }
        if let Some((name, _)) = self.headers.iter().find(|(_, value)| !value.is_string()) {
            return Err(format!("headers.{name} must be a string"));
        }
        if self.url.is_some() && self.does.is_some() {
            return Err("has both `url` and `does`; one says what it does".into());
        }
        let url_known = |url: &str| url.starts_with("https://") || url.starts_with("http://");
        if self.url.as_deref().is_some_and(|url| !url_known(url)) {
            return Err("url must begin with https:// (or http://)".into());
        }
        match self.does {
            Some(Deed::Transfer) if self.to.is_empty() => {
                return Err("`to` is missing: `does: \"transfer\"` needs the number, or a list of those the model \
                     may choose from"
                    .into());
            }
            Some(Deed::Transfer) => {}
            Some(Deed::HangUp | Deed::SendKeys) | None if !self.to.is_empty() => {
                return Err("`to` belongs to `does: \"transfer\"`".into());
            }
            Some(Deed::HangUp | Deed::SendKeys) | None => {}
        }
        if let Some(to) = self.to.iter().find(|to| !is_target(to)) {
            return Err(format!("to: {to:?} is neither a number such as \"+15550100\" nor `sip:`"));
        }
        Ok(())
    }

    /// Where a transfer goes when the model named `chosen`: the only place there is, or one of those there are.
    pub(crate) fn target(&self, chosen: Option<String>) -> Result<String, String> {
        match (&self.to[..], chosen) {
            ([], _) => Err("no number was set up for this".to_owned()),
            ([only], _) => Ok(only.clone()),
            (listed, Some(to)) if listed.contains(&to) => Ok(to),
            (listed, _) => Err(format!("`to` must be one of {}", listed.join(", "))),
        }
    }

    /// The tool as the model sees it. A deed brings its own arguments where none were given.
    pub(crate) fn json(&self) -> Value {
        let argument = |name: &str, schema: Value| json!({"type": "object", "properties": {name: schema}, "required": [name]});
        let own = self.parameters != no_parameters();
        let parameters = match self.does {
            Some(Deed::Transfer) if self.to.len() > 1 && !own => {
                argument("to", json!({"type": "string", "enum": self.to}))
            }
            Some(Deed::SendKeys) if !own => {
                let description = "0-9, *, #; w waits half a second";
                argument("keys", json!({"type": "string", "description": description}))
            }
            _ => self.parameters.clone(),
        };
        json!({
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": parameters,
        })
    }
}

/// Whether the carrier could take it for somebody to call.
fn is_target(to: &str) -> bool {
    match to.strip_prefix('+') {
        Some(digits) => {
            (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        }
        None => to.strip_prefix("sip:").is_some_and(|address| !address.is_empty()),
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`to` must be a number or a list of numbers")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(from)? {
        OneOrMore::One(to) => vec![to],
        OneOrMore::More(list) => list,
    })
}

/// A tool the model has called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Answer by this id, once.
    pub call_id: String,
    /// The tool's name, as the model wrote it.
    pub name: String,
    /// The arguments, a JSON object; invalid JSON was answered before it could come here.
    pub arguments: String,
}

/// How a tenant answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolAnswer {
    /// The output, at once.
    Output(String),
    /// By [`Call::answer_tool`](crate::Call::answer_tool), later.
    Later,
}

/// Which calls were seen, and which still wait for their output.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    seen: VecDeque<String>,
    open: Vec<OpenCall>,
    next_token: u64,
}

/// A call that waits for its output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenCall {
    pub(crate) call_id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
    /// Names its timers and its request.
    pub(crate) token: u64,
    pub(crate) asked_at: u64,
    /// A request of ours is on its way.
    pub(crate) http: bool,
    /// The session that knows this call still exists.
    pub(crate) known: bool,
}

/// What to do about a call of a tool.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Run(OpenCall),
    /// It was seen before, or its id cannot be one.
    Ignore,
    /// Answer with this text at once.
    Refuse(&'static str),
}

impl Ledger {
    /// Admits each call id once.
    pub(crate) fn admit(&mut self, call: &ToolCall, now: u64) -> Admission {
        let id = call.call_id.as_str();
        let odd = id.is_empty() || id.len() > ID_BYTES_MAX;
        if odd || self.seen.iter().any(|seen| seen == id) {
            return Admission::Ignore;
        }
        if self.seen.len() >= TOOLS_SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(id.to_owned());
        if self.open.len() >= TOOLS_OPEN_MAX {
            return Admission::Refuse("too many tools are running; try again when one is done");
        }
        if serde_json::from_str::<Map<String, Value>>(&call.arguments).is_err() {
            return Admission::Refuse(
                "the arguments are not a JSON object; call again with valid ones",
            );
        }
        // Kept short, for it becomes part of a timer's token.
        self.next_token = (self.next_token.wrapping_add(1)) & 0xFFFF_FFFF;
        let open = OpenCall {
            call_id: id.to_owned(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            token: self.next_token,
            asked_at: now,
            http: false,
            known: true,
        };
        self.open.push(open.clone());
        Admission::Run(open)
    }

    /// Closes a call; `None` when it is unknown or was answered before.
    pub(crate) fn close(&mut self, call_id: &str) -> Option<OpenCall> {
        let at = self.open.iter().position(|open| open.call_id == call_id)?;
        Some(self.open.remove(at))
    }

    pub(crate) fn by_token(&self, token: u64) -> Option<&OpenCall> {
        self.open.iter().find(|open| open.token == token)
    }

    pub(crate) fn mark_http(&mut self, token: u64) {
        self.open.iter_mut().filter(|open| open.token == token).for_each(|open| open.http = true);
    }

    /// Notes whether the present session knows this call.
    pub(crate) fn set_known(&mut self, token: u64, known: bool) {
        self.open.iter_mut().filter(|open| open.token == token).for_each(|open| open.known = known);
    }

    /// The request that a refusal without a token most likely means.
    pub(crate) fn latest_http(&self) -> Option<String> {
        let latest = self.open.iter().filter(|open| open.http).max_by_key(|open| open.token);
        latest.map(|open| open.call_id.clone())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn open(&self) -> &[OpenCall] {
        &self.open
    }

    /// Whether a state from outside keeps the bounds.
    pub(crate) fn is_sound(&self) -> bool {
        self.open.len() <= TOOLS_OPEN_MAX && self.seen.len() <= TOOLS_SEEN_MAX
    }
}

/// Cuts an output to what the model may see.
pub(crate) fn bounded_output(output: &str) -> &str {
    &output[..output.floor_char_boundary(TOOL_OUTPUT_BYTES_MAX)]
}

pub(crate) fn error_output(reason: &str) -> String {
    json!({"error": reason}).to_string()
}

fn no_parameters() -> Value {
    json!({"type": "object", "properties": {}})
}

fn timeout_ms() -> u32 {
    10_000
}

fn hold_after_ms() -> u32 {
    1_500
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, arguments: &str) -> ToolCall {
        ToolCall { call_id: id.into(), name: "f".into(), arguments: arguments.into() }
    }

    #[test]
    fn a_call_is_run_once_and_answered_once() {
        let mut ledger = Ledger::default();
        assert!(matches!(ledger.admit(&call("c1", "{}"), 0), Admission::Run(_)));
        assert_eq!(ledger.admit(&call("c1", "{}"), 0), Admission::Ignore);
        assert!(ledger.close("c1").is_some());
        assert!(ledger.close("c1").is_none());
        assert_eq!(ledger.admit(&call("c1", "{}"), 0), Admission::Ignore, "not even afterwards");
    }

    #[test]
    fn arguments_that_are_no_object_are_refused_in_words() {
        let mut ledger = Ledger::default();
        for (id, arguments) in [("a", ""), ("b", "{"), ("c", "[1]"), ("d", "null")] {
            assert!(matches!(ledger.admit(&call(id, arguments), 0), Admission::Refuse(_)), "{id}");
        }
        assert!(ledger.is_idle());
    }

    #[test]
    fn the_ledger_is_bounded() {
        let mut ledger = Ledger::default();
        for n in 0..200 {
            ledger.admit(&call(&format!("c{n}"), "{}"), 0);
        }
        assert!(ledger.is_sound());
        assert!(matches!(ledger.admit(&call("more", "{}"), 0), Admission::Refuse(_)));
    }

    #[test]
    fn a_tool_that_cannot_work_says_why() {
        let tool = |json: Value| serde_json::from_value::<Tool>(json).unwrap();
        for (json, word) in [
            (json!({"name": "a b"}), "name"),
            (json!({"name": "a", "parameters": {"type": "string"}}), "parameters"),
            (json!({"name": "a", "url": "ftp://x"}), "url"),
            (json!({"name": "a", "url": "https://x", "does": "hang_up"}), "does"),
            (json!({"name": "a", "headers": {"x": 1}}), "headers.x"),
            (json!({"name": "a", "to": "+15550100"}), "belongs to"),
            (json!({"name": "a", "does": "hang_up", "to": ["+15550100"]}), "belongs to"),
            (json!({"name": "a", "does": "transfer"}), "`to` is missing"),
            (json!({"name": "a", "does": "transfer", "to": []}), "`to` is missing"),
            (json!({"name": "a", "does": "transfer", "to": "reception"}), "reception"),
            (json!({"name": "a", "does": "transfer", "to": ["+15550100", ""]}), "neither"),
        ] {
            let error = tool(json).check().unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        for json in [
            json!({"name": "a", "type": "function"}),
            json!({"name": "a", "does": "transfer", "to": "+15550100"}),
            json!({"name": "a", "does": "transfer", "to": ["+15550100", "sip:desk@example.com"]}),
        ] {
            assert_eq!(tool(json).check(), Ok(()));
        }
    }
}
