//! my-tenant: a voice agent on the telephone.
//!
//! A tenant is told what happens on one call and answers with what to do. The SDK takes care of what is the same for
//! everybody: audio, greeting, interruptions, transcripts, the handing over of a running call. What is written here
//! is what makes this one different.

use cordboard_sdk::{Call, CallInfo, Greeting, Session, Tenant, Tool, ToolAnswer, ToolCall};
use serde::Deserialize;
use serde_json::json;

/// The first words of every call.
const GREETING: &str = "Hello, this is my-tenant. How can I help you?";

/// What the agent is told to be.
const INSTRUCTIONS: &str = "You answer the telephone. Be brief and friendly. When the caller wants to \
    leave a message, take it with the tool `take_message`.";

/// What an operator may set under `[settings]` in tenant.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    /// Who is rung when the caller presses 0.
    operator: Option<String>,
    /// Where messages are posted; without it they are kept for as long as the call lasts.
    message_url: Option<String>,
}

/// What is remembered of one call.
struct MyTenant {
    settings: Settings,
    messages: Vec<String>,
}

impl Tenant for MyTenant {
    fn new(info: &CallInfo) -> MyTenant {
        let settings = serde_json::from_str(&info.settings).unwrap_or_else(|error| {
            cordboard_sdk::log(cordboard_sdk::Level::Error, &format!("settings: {error}"));
            Settings::default()
        });
        MyTenant { settings, messages: Vec::new() }
    }

    fn session(&self, _: &CallInfo) -> Session {
        let parameters = json!({
            "type": "object",
            "properties": {"text": {"type": "string", "description": "the message, word for word"}},
            "required": ["text"],
        });
        let take_message = Tool {
            // With a URL the SDK asks that server, and its answer becomes the tool's; `tool_call` is for the others.
            url: self.settings.message_url.clone(),
            hold_phrase: Some("One moment, I am passing that on.".into()),
            ..Tool::new("take_message", "Takes a message.", parameters)
        };
        Session {
            instructions: INSTRUCTIONS.into(),
            greeting: Some(Greeting::Say(GREETING.into())),
            tools: vec![take_message],
            ..Session::default()
        }
    }

    fn caller_key(&mut self, call: &mut Call, key: char) {
        match (key, &self.settings.operator) {
            ('0', Some(operator)) => call.transfer(operator, None),
            ('0', None) => call.say("I am sorry, nobody is free right now."),
            _ => {}
        }
    }

    fn tool_call(&mut self, call: &mut Call, tool: &ToolCall) -> ToolAnswer {
        #[derive(Deserialize)]
        struct Message {
            text: String,
        }
        match serde_json::from_str::<Message>(&tool.arguments) {
            Ok(Message { text }) => {
                // Of a publication the gateway's log has the topic, and its words at DEBUG alone.
                call.publish("message.taken", &json!({"text": text}));
                self.messages.push(text);
                ToolAnswer::Output(json!({"taken": self.messages.len()}).to_string())
            }
            Err(error) => ToolAnswer::Output(json!({"error": error.to_string()}).to_string()),
        }
    }

    /// What a new version has to know when it takes over in the middle of a call.
    fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&self.messages).expect("texts always have a JSON form")
    }

    fn load(info: &CallInfo, state: &[u8]) -> Result<MyTenant, String> {
        let messages = serde_json::from_slice(state).map_err(|error| error.to_string())?;
        Ok(MyTenant { messages, ..MyTenant::new(info) })
    }
}

cordboard_sdk::export!(MyTenant);

#[cfg(test)]
mod tests {
    use super::*;
    use cordboard_sdk::harness::Harness;

    /// A call that has just been greeted.
    fn greeted() -> Harness<MyTenant> {
        let mut call = Harness::with_settings(r#"{"operator": "+15550100"}"#);
        call.model_ready();
        call.model_says(GREETING, 3_000);
        call
    }

    #[test]
    fn the_caller_is_greeted_in_these_very_words() {
        let call = greeted();
        assert!(call.sent("response.create")[0].to_string().contains(GREETING));
    }

    #[test]
    fn who_interrupts_is_listened_to_and_the_model_learns_what_was_heard() {
        let mut call = greeted();
        call.advance(1_200);
        call.caller_interrupts();
        assert_eq!(call.sent("conversation.item.truncate")[0]["audio_end_ms"], 1_200);
    }

    #[test]
    fn zero_rings_the_operator() {
        let mut call = greeted();
        call.hear_all();
        call.key('0');
        assert_eq!(call.transfers(), ["+15550100"]);
    }

    #[test]
    fn messages_are_taken_and_survive_a_new_version_in_the_middle_of_the_call() {
        let mut call = greeted();
        call.hear_all();
        call.model_calls("take_message", r#"{"text": "the first"}"#);
        call.swap();
        call.model_calls("take_message", r#"{"text": "the second"}"#);
        let outputs = call.sent("conversation.item.create");
        assert!(outputs.last().expect("an answer")["item"]["output"] == r#"{"taken":2}"#);
    }
}
