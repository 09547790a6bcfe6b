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
