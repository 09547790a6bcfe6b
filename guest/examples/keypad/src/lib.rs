//! A keypad menu that may also be spoken to: the tutorial tenant. Read it from top to bottom.
//!
//! A tenant is told what happens on one call and answers with what to do; the SDK takes care of
//! greeting, interruptions, transcripts and everything else that is the same for everybody. What is
//! left to write is what makes this customer different: three choices, by key or by word.
//!
//! ```toml
//! # tenant.toml
//! [settings]
//! greeting = "Thank you for calling Ada's. For opening hours press 1, for orders 2, for a person 0."
//! hours = "We are open from nine to six, Monday to Saturday."
//! operator = "+15550100"
//! ```

use cordboard_sdk::{
    Call, CallInfo, Greeting, Idle, Role, Session, Tenant, Tool, ToolAnswer, ToolCall,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Step 1: say what may be set. `serde` refuses unknown keys by name, so a typo is noticed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    greeting: String,
    hours: String,
    operator: Option<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            greeting: "For opening hours press 1, for orders press 2, for a person press 0.".into(),
            hours: "We are open from nine to six, Monday to Saturday.".into(),
            operator: None,
        }
    }
}

/// Step 2: what the tenant remembers of one call. Here: the order number being typed, if any.
struct Keypad {
    settings: Settings,
    /// What was wrong with the settings; the call goes on with the defaults.
    complaint: Option<String>,
    order: Option<String>,
}

/// What the caller can ask for. Keys and words lead to the same three choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Hours,
    Order,
    Person,
}

impl Choice {
    fn of_key(key: char) -> Option<Choice> {
        match key {
            '1' => Some(Choice::Hours),
            '2' => Some(Choice::Order),
            '0' => Some(Choice::Person),
            _ => None,
        }
    }

    fn of_word(word: &str) -> Option<Choice> {
        match word {
            "hours" => Some(Choice::Hours),
            "order" => Some(Choice::Order),
            "person" => Some(Choice::Person),
            _ => None,
        }
    }
}

/// Step 3: the trait. Every method but `new` has a default; these are the ones that matter here.
impl Tenant for Keypad {
    fn new(info: &CallInfo) -> Keypad {
        let settings = match info.settings.trim() {
            "" => Ok(Settings::default()),
            json => serde_json::from_str(json).map_err(|error| error.to_string()),
        };
        let complaint = settings.as_ref().err().cloned();
        Keypad { settings: settings.unwrap_or_default(), complaint, order: None }
    }

    /// The agent: short instructions, the menu as its first words, and one tool through which a spoken
    /// request becomes the same choice as a key.
    fn session(&self, _: &CallInfo) -> Session {
        let parameters = json!({
            "type": "object",
            "properties": {"choice": {"type": "string", "enum": ["hours", "order", "person"]}},
            "required": ["choice"],
        });
        Session {
            instructions:
                "You are the telephone menu of a shop. As soon as the caller's request is \
                clear, call `choose`. Otherwise repeat the menu in one sentence."
                    .into(),
            greeting: Some(Greeting::Say(self.settings.greeting.clone())),
            tools: vec![Tool::new(
                "choose",
                "Takes the caller's choice from the menu.",
                parameters,
            )],
            idle: Some(Idle {
                nudge_after_ms: 8_000,
                nudge: "Repeat the menu in one sentence.".into(),
                hang_up_after_ms: Some(8_000),
                ..Idle::default()
            }),
            ..Session::default()
        }
    }

    fn started(&mut self, call: &mut Call) {
        if let Some(complaint) = &self.complaint {
            call.publish("settings.refused", &json!({"problems": [complaint]}));
        }
    }

    /// A key. While an order number is being typed, keys are its digits and `#` ends it.
    fn caller_key(&mut self, call: &mut Call, key: char) {
        // Whoever presses a key has heard enough.
        call.flush();
        match (&mut self.order, key) {
            (Some(_), '#') => self.order_complete(call),
            (Some(order), digit) if digit.is_ascii_digit() => {
                order.push(digit);
                if order.len() >= ORDER_DIGITS_MAX {
                    self.order_complete(call);
                } else {
                    call.set_timer(TYPING, TYPING_PAUSE_MS);
                }
            }
            (_, key) => match Choice::of_key(key) {
                Some(choice) => self.choose(call, choice),
                None => call.prompt("Say that this key means nothing, and repeat the menu."),
            },
        }
    }

    /// A spoken request. The output tells the model what has happened, so that it says it in its own words.
    fn tool_call(&mut self, call: &mut Call, tool: &ToolCall) -> ToolAnswer {
        let arguments: Value = serde_json::from_str(&tool.arguments).unwrap_or_default();
        match arguments["choice"].as_str().and_then(Choice::of_word) {
            Some(Choice::Hours) => ToolAnswer::Output(self.settings.hours.clone()),
            Some(choice) => {
                self.choose(call, choice);
                ToolAnswer::Output("The caller is being told.".into())
            }
            None => ToolAnswer::Output("There is no such choice.".into()),
        }
    }

    fn timer(&mut self, call: &mut Call, token: u64) {
        if token == TYPING {
            self.order_complete(call);
        }
    }

    /// Step 4: what a successor has to know when this tenant is replaced in the middle of a call.
    fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&self.order).expect("a text always has a JSON form")
    }

    fn load(info: &CallInfo, state: &[u8]) -> Result<Keypad, String> {
        let order: Option<String> =
            serde_json::from_slice(state).map_err(|error| error.to_string())?;
        Ok(Keypad { order, ..Keypad::new(info) })
    }
}

impl Keypad {
    fn choose(&mut self, call: &mut Call, choice: Choice) {
        call.publish("menu.choice", &json!({"choice": format!("{choice:?}").to_lowercase()}));
        match (choice, &self.settings.operator) {
            (Choice::Hours, _) => call.say(&self.settings.hours),
            (Choice::Order, _) => {
                self.order = Some(String::new());
                call.say("Please type your order number, then the hash key.");
            }
            (Choice::Person, Some(operator)) => call.transfer(operator, None),
            (Choice::Person, None) => call.say("I am sorry, nobody is free right now."),
        }
    }

    fn order_complete(&mut self, call: &mut Call) {
        call.cancel_timer(TYPING);
        let Some(order) = self.order.take().filter(|order| !order.is_empty()) else { return };
        call.publish("menu.order", &json!({"order": order}));
        call.tell(Role::User, &format!("[The caller typed the order number {order}]"));
        call.respond();
    }
}

const TYPING: u64 = 1;
const TYPING_PAUSE_MS: u64 = 3_000;
const ORDER_DIGITS_MAX: usize = 12;

// Step 5: the component's export. `cargo build --profile guest --target wasm32-wasip2` makes it.
cordboard_sdk::export!(Keypad);

/// Step 6: try it, without a phone and without a model.
#[cfg(test)]
mod tests {
    use super::*;
    use cordboard_sdk::harness::Harness;

    /// A call whose menu has just been read out.
    fn call() -> Harness<Keypad> {
        let mut call = Harness::with_settings(r#"{"operator": "+15550100"}"#);
        call.model_ready();
        call.model_says("For opening hours press 1 ...", 4_000);
        call
    }

    fn said(call: &Harness<Keypad>) -> String {
        call.sent("response.create").last().expect("something was said")["response"].to_string()
    }

    #[test]
    fn a_key_cuts_the_menu_short_and_is_answered() {
        let mut call = call();
        call.advance(700);
        call.key('1');
        assert_eq!(call.sent("conversation.item.truncate")[0]["audio_end_ms"], 700);
        assert!(said(&call).contains("nine to six"));
        assert_eq!(call.published("menu.choice")[0]["choice"], "hours");
    }

    #[test]
    fn a_spoken_wish_is_the_same_choice() {
        let mut call = call();
        call.hear_all();
        call.caller_says("when are you open?");
        call.model_calls("choose", r#"{"choice": "hours"}"#);
        let output = call.sent("conversation.item.create").pop().expect("an output");
        assert!(output["item"]["output"].as_str().expect("a text").contains("nine to six"));
    }

    #[test]
    fn an_order_number_ends_with_the_hash_key_or_with_a_pause() {
        for hash in [true, false] {
            let mut call = call();
            "2407".chars().for_each(|key| drop(call.key(key)));
            if hash {
                call.key('#');
            } else {
                call.advance(3_500);
            }
            assert_eq!(call.published("menu.order")[0]["order"], "407");
        }
    }

    #[test]
    fn zero_reaches_a_person() {
        let mut call = call();
        call.hear_all();
        call.key('0');
        assert_eq!(call.transfers(), ["+15550100"]);
    }

    #[test]
    fn a_swap_in_the_middle_of_an_order_number_loses_no_digit() {
        let mut call = call();
        call.swap_every(1);
        "2407#".chars().for_each(|key| drop(call.key(key)));
        assert_eq!(call.published("menu.order")[0]["order"], "407");
    }

    #[test]
    fn a_typo_in_the_settings_is_reported_and_the_caller_still_greeted() {
        let mut call = Harness::<Keypad>::with_settings(r#"{"gretting": "Hi"}"#);
        call.model_ready();
        assert!(call.published("settings.refused")[0].to_string().contains("gretting"));
        assert!(said(&call).contains("press 1"));
    }
}
