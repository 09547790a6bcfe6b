//! What the default tenant does beyond what the SDK does for everybody.

use cordboard_sdk::{Call, CallInfo, Level, Role, Session, Tenant};
use serde::Deserialize;
use serde_json::json;

use crate::settings::{self, Keys, Problem, Settings};

/// A voice agent made of settings.
pub struct DefaultTenant {
    settings: Settings,
    problems: Vec<Problem>,
    /// Keys the caller has pressed and may not have finished pressing.
    typed: String,
}

/// What an operator may send to a live call.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    /// The agent says exactly this.
    Say(String),
    /// The agent speaks by these instructions.
    Prompt(String),
    /// A note for the model; nothing is said.
    Tell(String),
    /// The agent says this, then the line is hung up.
    HangUp(String),
    /// The caller is put through.
    Transfer(String),
}

impl Tenant for DefaultTenant {
    fn new(info: &CallInfo) -> DefaultTenant {
        let (settings, problems) = settings::read(&info.settings);
        DefaultTenant { settings, problems, typed: String::new() }
    }

    fn session(&self, _: &CallInfo) -> Session {
        self.settings.session.clone()
    }

    fn started(&mut self, call: &mut Call) {
        if self.problems.is_empty() {
            return;
        }
        for problem in &self.problems {
            call.log(Level::Error, &problem.to_string());
        }
        let list: Vec<_> = self
            .problems
            .iter()
            .map(|problem| json!({"key": problem.key, "message": problem.message}))
            .collect();
        call.publish("settings.refused", &json!({"problems": list}));
    }

    fn caller_key(&mut self, call: &mut Call, key: char) {
        if self.settings.keys == Keys::Ignore {
            return;
        }
        if key == '#' && !self.typed.is_empty() {
            self.tell_keys(call);
            return;
        }
        if self.typed.len() < KEYS_MAX {
            self.typed.push(key);
        }
        call.set_timer(TYPING, TYPING_PAUSE_MS);
    }

    fn timer(&mut self, call: &mut Call, token: u64) {
        if token == TYPING {
            self.tell_keys(call);
        }
    }

    fn command(&mut self, call: &mut Call, json: &str) {
        match serde_json::from_str(json) {
            Ok(Command::Say(words)) => call.say(&words),
            Ok(Command::Prompt(instructions)) => call.prompt(&instructions),
            Ok(Command::Tell(text)) => call.tell(Role::System, &text),
            Ok(Command::HangUp(words)) => call.say_and_hang_up(&words, "an operator asked for it"),
            Ok(Command::Transfer(to)) => call.transfer(&to, None),
            Err(error) => {
                call.publish("command.refused", &json!({"reason": error.to_string()}));
            }
        }
    }

    fn save(&self) -> Vec<u8> {
        self.typed.clone().into_bytes()
    }

    fn load(info: &CallInfo, state: &[u8]) -> Result<DefaultTenant, String> {
        let typed = std::str::from_utf8(state).map_err(|_| "the typed keys are no text")?;
        if typed.len() > KEYS_MAX || !typed.bytes().all(|key| b"0123456789*#ABCD".contains(&key)) {
            return Err("the typed keys are no keys".into());
        }
        Ok(DefaultTenant { typed: typed.to_owned(), ..DefaultTenant::new(info) })
    }
}

impl DefaultTenant {
    /// Tells the model what the caller typed, as the caller's own words.
    fn tell_keys(&mut self, call: &mut Call) {
        call.cancel_timer(TYPING);
        let typed = std::mem::take(&mut self.typed);
        if typed.is_empty() {
            return;
        }
        call.flush();
        call.tell(Role::User, &format!("[The caller typed on the keypad: {typed}]"));
        call.respond();
    }
}

const TYPING: u64 = 1;
/// Longer than between two keys of a practised hand, short enough to feel like an answer.
const TYPING_PAUSE_MS: u64 = 1_500;
/// A card number with its code; more is no sensible input.
const KEYS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use cordboard_sdk::harness::{Harness, call_info};
    use cordboard_sdk::{Event, Instance};
    use serde_json::Value;

    use super::*;

    fn call(settings: Value) -> Harness<DefaultTenant> {
        let mut harness = Harness::with_settings(&settings.to_string());
        harness.model_ready();
        harness
    }

    fn last_instructions(harness: &Harness<DefaultTenant>) -> String {
        let create = harness.sent("response.create").pop().expect("something was said");
        create["response"]["instructions"].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn settings_become_the_session() {
        let harness = call(json!({
            "instructions": "Sell flowers.", "voice": "professional_male", "greeting": "Flowers!",
            "tools": [{"name": "bye", "description": "Ends it.", "does": "hang_up"}],
        }));
        let session = &harness.sent("session.update")[0]["session"];
        assert_eq!(session["instructions"], "Sell flowers.");
        assert_eq!(session["audio"]["output"]["voice"], "cedar");
        assert_eq!(session["tools"][0]["name"], "bye");
        assert!(session["tools"][0].get("does").is_none(), "the model sees a plain function");
        assert!(last_instructions(&harness).contains("Flowers!"));
    }

    #[test]
    fn bad_settings_are_published_and_the_caller_is_greeted_all_the_same() {
        for settings in [r#"{"voice": "nova"}"#, "no json"] {
            let mut harness = Harness::<DefaultTenant>::with_settings(settings);
            let published = harness.published("settings.refused");
            assert_eq!(published[0]["problems"].as_array().map(Vec::len), Some(1));
            harness.model_ready();
            assert!(last_instructions(&harness).contains("Greet"));
        }
    }

    #[test]
    fn typed_keys_reach_the_model_as_one_message_after_a_pause() {
        let mut harness = call(json!({"greeting": null}));
        for key in ['4', '7', '1'] {
            harness.key(key);
            harness.advance(1_000);
        }
        assert!(harness.sent("conversation.item.create").is_empty(), "still typing");
        harness.advance(600);
        let told = &harness.sent("conversation.item.create")[0]["item"];
        assert_eq!(told["role"], "user");
        assert!(told["content"][0]["text"].as_str().unwrap().contains("471"));
        assert_eq!(harness.sent("response.create").len(), 1);
    }

    #[test]
    fn the_hash_key_ends_the_typing_at_once() {
        let mut harness = call(json!({"greeting": null}));
        "12#".chars().for_each(|key| drop(harness.key(key)));
        assert_eq!(harness.sent("conversation.item.create").len(), 1);
        harness.advance(5_000);
        assert_eq!(harness.sent("conversation.item.create").len(), 1, "and is not repeated");
    }

    #[test]
    fn keys_that_cut_the_agent_off_are_answered_once_the_model_knows_what_was_heard() {
        let mut harness = call(json!({"greeting": null}));
        harness.model_says("Press one for flowers.", 3_000);
        harness.advance(1_000);
        harness.forget();
        "1#".chars().for_each(|key| drop(harness.key(key)));
        let sent = harness.sent_all();
        let kinds: Vec<_> = sent.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(
            kinds,
            ["conversation.item.create", "conversation.item.truncate", "response.create"]
        );
    }

    #[test]
    fn a_tool_that_answers_before_the_next_is_called_does_not_ask_for_the_answer_alone() {
        let tool = |name: &str| json!({"name": name, "url": "https://shop.example.com/"});
        let mut harness = call(json!({"greeting": null, "tools": [tool("price"), tool("stock")]}));
        harness.response_begins();
        harness.tool_item("price", "{}", "completed");
        harness.http_answers(200, "42");
        harness.tool_item("stock", "{}", "completed");
        harness.response_ends("completed");
        assert!(harness.sent("response.create").is_empty(), "the stock is not known yet");
        harness.http_answers(200, "7");
        assert_eq!(harness.sent("conversation.item.create").len(), 2);
        assert_eq!(harness.sent("response.create").len(), 1);
    }

    #[test]
    fn keys_can_be_ignored() {
        let mut harness = call(json!({"greeting": null, "keys": "ignore"}));
        harness.key('5');
        harness.advance(5_000);
        assert!(harness.sent("conversation.item.create").is_empty());
    }

    #[test]
    fn keys_half_typed_survive_a_swap() {
        let mut harness = call(json!({"greeting": null}));
        harness.swap_every(1);
        "4711#".chars().for_each(|key| drop(harness.key(key)));
        assert!(harness.sent("conversation.item.create")[0].to_string().contains("4711"));
    }

    #[test]
    fn an_operator_can_speak_through_the_agent_and_end_the_call() {
        let mut harness = call(json!({"greeting": null}));
        let command = |harness: &mut Harness<DefaultTenant>, json: Value| {
            harness.feed(Event::Command(json.to_string()));
        };
        command(&mut harness, json!({"say": "Please hold."}));
        assert!(last_instructions(&harness).contains("Please hold."));
        harness.model_says("Please hold.", 300);
        command(&mut harness, json!({"tell": "The stock is empty."}));
        assert!(harness.sent("conversation.item.create")[0].to_string().contains("stock"));
        command(&mut harness, json!({"hang_up": "We close now."}));
        harness.model_says("We close now.", 700);
        assert!(!harness.has_ended());
        harness.hear_all();
        assert!(harness.has_ended());
    }

    #[test]
    fn an_unknown_command_is_answered_with_what_there_is() {
        let mut harness = call(json!({}));
        harness.feed(Event::Command(r#"{"dance": true}"#.into()));
        let reason = harness.published("command.refused")[0]["reason"].to_string();
        assert!(reason.contains("dance") && reason.contains("transfer"), "{reason}");
    }

    #[test]
    fn hostile_typed_keys_in_a_state_are_refused() {
        for bytes in [&b"12x"[..], b"\xff\xfe", &[b'1'; 64]] {
            assert!(DefaultTenant::load(&call_info(), bytes).is_err());
        }
        assert!(Instance::<DefaultTenant>::load(0, call_info(), b"nonsense").is_err());
    }
}
