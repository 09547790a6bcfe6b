//! The tenants these tests put on the line.

use cordboard_sdk::harness::Harness;
use cordboard_sdk::{
    Audio, Call, CallInfo, Greeting, Idle, Role, Session, Tenant, Tool, ToolAnswer, ToolCall, Turn,
    TurnDetection,
};
use serde_json::{Value, json};

/// An agent whose settings name the few things that these tests vary.
pub(crate) struct Agent {
    settings: Value,
    pub(crate) turns: Vec<Turn>,
    pub(crate) interruptions: u32,
}

impl Tenant for Agent {
    fn new(info: &CallInfo) -> Agent {
        let settings = serde_json::from_str(&info.settings).expect("tests write valid settings");
        Agent { settings, turns: Vec::new(), interruptions: 0 }
    }

    fn session(&self, _: &CallInfo) -> Session {
        let flag = |name: &str| self.settings[name].as_bool().unwrap_or_default();
        let mut session = Session {
            instructions: self.settings["instructions"].as_str().unwrap_or("Be kind.").into(),
            greeting: flag("greet").then(|| Greeting::Say("Welcome!".into())),
            audio: if flag("pcmu") { Audio::Pcmu } else { Audio::Pcm16 },
            barge_in: !flag("no_barge_in"),
            ..Session::default()
        };
        if let Some(TurnDetection::ServerVad { interrupt_response, create_response, .. }) =
            &mut session.turn_detection
        {
            *interrupt_response = !flag("no_interrupt");
            *create_response = !flag("no_create");
        }
        if flag("idle") {
            session.idle = Some(Idle {
                nudge_after_ms: 5_000,
                nudge: "Ask whether they are there.".into(),
                hang_up_after_ms: Some(4_000),
                ..Idle::default()
            });
        }
        let any = json!({"type": "object", "properties": {}});
        session.tools = vec![
            Tool::new("now", "Answered at once.", any.clone()),
            Tool::new("later", "Answered by a key.", any.clone()),
            Tool {
                url: Some("https://crm.example/lookup".into()),
                headers: serde_json::from_value(json!({"Authorization": "Bearer {{secret:CRM}}"}))
                    .expect("a map"),
                hold_phrase: Some("One moment.".into()),
                ..Tool::new("lookup", "Answered by a service.", any)
            },
            Tool::hang_up("goodbye", "Ends the call."),
            Tool::transfer("human", "Puts the caller through.", "+15550100"),
            Tool {
                to: vec!["+15550101".into(), "+15550102".into()],
                ..Tool::transfer("branch", "Puts the caller through.", "+15550101")
            },
        ];
        session
    }

    fn tool_call(&mut self, _: &mut Call, tool: &ToolCall) -> ToolAnswer {
        match tool.name.as_str() {
            "now" => ToolAnswer::Output("done".into()),
            _ => ToolAnswer::Later,
        }
    }

    fn turn(&mut self, _: &mut Call, turn: &Turn) {
        self.turns.push(turn.clone());
    }

    fn interrupted(&mut self, _: &mut Call) {
        self.interruptions += 1;
    }

    fn command(&mut self, call: &mut Call, json: &str) {
        let command: Value = serde_json::from_str(json).expect("tests write valid commands");
        if let Some(words) = command["say"].as_str() {
            call.say(words);
        }
        if let Some(id) = command["answer"].as_str() {
            call.answer_tool(id, "late output");
        }
        if let Some(words) = command["hang_up"].as_str() {
            call.say_and_hang_up(words, "told to");
        }
        if let Some(text) = command["tell"].as_str() {
            call.tell(Role::User, text);
        }
        if command["model_event"].is_object() {
            call.model_event(command["model_event"].clone());
        }
        if command["flush"] == true {
            call.flush();
        }
    }
}

/// A call whose model is ready, with nothing noted yet.
pub(crate) fn call(settings: Value) -> Harness<Agent> {
    let mut harness = Harness::with_settings(&settings.to_string());
    harness.model_ready();
    harness.forget();
    harness
}

/// An operator's command.
pub(crate) fn command(harness: &mut Harness<Agent>, json: Value) {
    harness.feed(cordboard_sdk::Event::Command(json.to_string()));
}

/// Item and time of each truncation sent.
pub(crate) fn truncations(harness: &Harness<Agent>) -> Vec<(String, u64)> {
    harness
        .sent("conversation.item.truncate")
        .iter()
        .map(|event| {
            let item = event["item_id"].as_str().expect("item_id is a text").to_owned();
            (item, event["audio_end_ms"].as_u64().expect("audio_end_ms is a whole number"))
        })
        .collect()
}
