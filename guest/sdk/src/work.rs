//! Carries out what the model's tool calls ask for, and brings every output back exactly once.

use serde_json::{Map, Value, json};

use crate::ending::{Ending, What};
use crate::limits::{TOKEN_RESERVED, TOOL_GRACE_MS};
use crate::tools::{Admission, Deed, OpenCall, Tool, ToolCall, bounded_output, error_output};
use crate::wire::Item;
use crate::{Action, Call, HttpFailure, HttpRequest, HttpResponse, Level, Role};

use crate::agent::Notice;
use crate::responses::Request;

/// What a timer or request of a tool is for; the tool's own number stands above these bits.
const HOLD: u64 = 1;
const DEADLINE: u64 = 2;
const REQUEST: u64 = 3;
const KIND_BITS: u32 = 8;

fn token_of(open: u64, kind: u64) -> u64 {
    TOKEN_RESERVED | open << KIND_BITS | kind
}

fn open_of(token: u64) -> (u64, u64) {
    ((token & !TOKEN_RESERVED) >> KIND_BITS, token & ((1 << KIND_BITS) - 1))
}

impl Call {
    /// Answers a tool; nothing happens when it was answered before or is not known.
    pub fn answer_tool(&mut self, call_id: &str, output: &str) {
        let Some(open) = self.state.tools.close(call_id) else {
            self.log(Level::Debug, "a tool was answered that nobody waits for");
            return;
        };
        self.bring(&open, output);
        let ms = self.now.saturating_sub(open.asked_at);
        self.publish("tool.answered", &json!({"call": open.call_id, "name": open.name, "ms": ms}));
        if self.state.tools.is_idle() && self.state.ending.is_none() {
            self.state.responses.request(Request::Answer);
        }
    }

    /// A finished output item: only a completed function call is of interest here. One that was cut
    /// off has half its arguments and must not run.
    pub(crate) fn output_item_done(&mut self, item: Item) {
        let is_call = item.kind.as_deref() == Some("function_call");
        let completed = item.status.as_deref().is_none_or(|status| status == "completed");
        let (true, true, Some(call_id), Some(name)) = (is_call, completed, item.call_id, item.name)
        else {
            return;
        };
        let arguments = match item.arguments {
            Some(arguments) if !arguments.trim().is_empty() => arguments,
            Some(_) | None => "{}".into(),
        };
        let call = ToolCall { call_id, name, arguments };
        match self.state.tools.admit(&call, self.now) {
            Admission::Ignore => {}
            Admission::Refuse(reason) => {
                self.state.response_called = true;
                self.state.turns.called(&call.call_id, &call.name, "{}");
                let output = error_output(reason);
                self.send_output(&call.call_id, &output);
                if self.state.tools.is_idle() {
                    self.state.responses.request(Request::Answer);
                }
            }
            Admission::Run(open) => {
                self.state.response_called = true;
                self.state.turns.called(&call.call_id, &call.name, &call.arguments);
                let json = json!({"call": call.call_id, "name": call.name});
                self.publish("tool.called", &json);
                self.run(open, call);
            }
        }
    }

    fn run(&mut self, open: OpenCall, call: ToolCall) {
        let tool = self.session.tools.iter().find(|tool| tool.name == open.name).cloned();
        let Some(tool) = tool else {
            self.notices.push(Notice::Tool(call));
            return;
        };
        if let Some(deed) = tool.does {
            self.perform(deed, &tool, &open);
            return;
        }
        if tool.hold_phrase.is_some() {
            self.timer_at(token_of(open.token, HOLD), tool.hold_after_ms.into());
        }
        if let Some(url) = &tool.url {
            self.request(url, &tool, &open);
        } else {
            self.notices.push(Notice::Tool(call));
        }
    }

    fn request(&mut self, url: &str, tool: &Tool, open: &OpenCall) {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let own = tool.headers.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        headers.extend(own.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())));
        self.state.tools.mark_http(open.token);
        self.actions.push(Action::Http(HttpRequest {
            token: token_of(open.token, REQUEST),
            method: "POST".into(),
            url: url.to_owned(),
            headers,
            body: open.arguments.clone().into_bytes(),
            timeout_ms: tool.timeout_ms,
        }));
        let deadline_ms = u64::from(tool.timeout_ms).saturating_add(TOOL_GRACE_MS);
        self.timer_at(token_of(open.token, DEADLINE), deadline_ms);
    }

    fn perform(&mut self, deed: Deed, tool: &Tool, open: &OpenCall) {
        let arguments: Map<String, Value> =
            serde_json::from_str(&open.arguments).unwrap_or_default();
        let text = |name: &str| arguments.get(name).and_then(Value::as_str).map(str::to_owned);
        match deed {
            Deed::HangUp => {
                let reason = text("reason").unwrap_or_else(|| "the agent said goodbye".into());
                self.close_with(open, "The call ends once your farewell was heard.");
                self.end(Ending::new(What::HangUp { reason }));
            }
            Deed::Transfer => match tool.target(text("to")) {
                Ok(to) => {
                    self.close_with(open, "The caller is put through once you were heard.");
                    self.end(Ending::new(What::Transfer { to, caller_id: None }));
                }
                Err(reason) => self.answer_tool(&open.call_id, &error_output(&reason)),
            },
            Deed::SendKeys => match text("keys") {
                Some(keys) => {
                    self.send_keys(&keys);
                    self.answer_tool(&open.call_id, r#"{"sent":true}"#);
                }
                None => self.answer_tool(&open.call_id, &error_output("`keys` is missing")),
            },
        }
    }

    /// Answers a call whose answer needs no words of the model.
    fn close_with(&mut self, open: &OpenCall, output: &str) {
        if let Some(open) = self.state.tools.close(&open.call_id) {
            self.bring(&open, output);
        }
    }

    /// Sends an output and stops the tool's timers.
    fn bring(&mut self, open: &OpenCall, output: &str) {
        let timed = self.session.tools.iter().find(|tool| tool.name == open.name);
        let (held, requested) =
            timed.map_or((false, false), |t| (t.hold_phrase.is_some(), t.url.is_some()));
        if held {
            self.untimer(token_of(open.token, HOLD));
        }
        if requested {
            self.untimer(token_of(open.token, DEADLINE));
        }
        if open.known {
            self.send_output(&open.call_id, output);
        } else {
            let text = format!("Result of {}: {}", open.name, bounded_output(output));
            self.tell(Role::System, &text);
        }
    }

    fn send_output(&mut self, call_id: &str, output: &str) {
        self.state.turns.answered(call_id, output);
        if !self.state.connected {
            return;
        }
        self.send(
            "tool",
            json!({
                "type": "conversation.item.create",
                "item": {
                    "type": "function_call_output",
                    "call_id": call_id,
                    "output": bounded_output(output),
                },
            }),
        );
    }

    /// Notes which of the open calls a new session knows by its id, because it was told of them.
    pub(crate) fn set_known_calls(&mut self, told: &[String]) {
        let open: Vec<OpenCall> = self.state.tools.open().to_vec();
        for open in open {
            self.state.tools.set_known(open.token, told.contains(&open.call_id));
        }
    }

    pub(crate) fn tool_timer(&mut self, token: u64) {
        let (open, kind) = open_of(token);
        let Some(open) = self.state.tools.by_token(open).cloned() else { return };
        match kind {
            HOLD => {
                let tool = self.session.tools.iter().find(|tool| tool.name == open.name);
                if let Some(phrase) = tool.and_then(|tool| tool.hold_phrase.clone()) {
                    self.say(&phrase);
                }
            }
            DEADLINE => {
                self.answer_tool(
                    &open.call_id,
                    &error_output("the service did not answer in time"),
                );
            }
            _ => {}
        }
    }

    pub(crate) fn tool_http_done(&mut self, response: &HttpResponse) {
        let (open, _) = open_of(response.token);
        let Some(open) = self.state.tools.by_token(open).cloned() else { return };
        let body = String::from_utf8_lossy(&response.body);
        if (200..300).contains(&response.status) {
            self.answer_tool(&open.call_id, &body);
        } else {
            let reason = format!("the service answered {}: {}", response.status, cut(&body, 500));
            self.answer_tool(&open.call_id, &error_output(&reason));
        }
    }

    pub(crate) fn tool_http_failed(&mut self, failure: &HttpFailure) {
        let (open, _) = open_of(failure.token);
        let Some(open) = self.state.tools.by_token(open).cloned() else { return };
        let reason = format!("the service could not be reached: {}", failure.reason);
        self.answer_tool(&open.call_id, &error_output(&reason));
    }

    /// A refused request names no token; the latest is the one.
    pub(crate) fn tool_http_refused(&mut self, reason: &str) {
        if let Some(call_id) = self.state.tools.latest_http() {
            self.answer_tool(&call_id, &error_output(&format!("not allowed here: {reason}")));
        }
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
