//! The model's side of a call: sessions of the simulated server, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cordboard_call::contract::{Dialect, ModelInfo};
use cordboard_call::{Input, ToModel};
use cordboard_sim::model::engine::{Cues, Engine, Output};
use cordboard_sim::model::{Answer, ModelConfig, ModelScript, Outcome};
use cordboard_wire::openai::{self, ServerEvent, append_audio};
use serde_json::Value;

use crate::scenario::Script;

/// What the model's session says its model is.
const MODEL: &str = "gpt-realtime";

/// Where the model is, and what it was asked.
pub(crate) struct ModelSide {
    config: Arc<ModelConfig>,
    session: Option<Session>,
    /// Answers and transcripts to come, while there is no session to hold them.
    cues: Cues,
    /// When the attempt to connect that is under way will succeed.
    connecting: Option<Duration>,
    /// Until when no attempt succeeds.
    away_until: Duration,
    sessions: u64,
    inbox: VecDeque<Input>,
    pub(super) counts: Counts,
    is_speech_begun: bool,
    text: String,
}

/// Responses of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Asked for.
    pub(crate) asked: usize,
    /// Whose voice began.
    pub(crate) begun: usize,
    /// Over, in whatever way.
    pub(crate) over: usize,
}

struct Session {
    engine: Engine,
    began: Duration,
}

impl ModelSide {
    pub(super) fn new(script: &Script) -> Self {
        let config = ModelConfig {
            speed: script.model.speed,
            late_deltas: script.model.late_pieces,
            obfuscation: false,
            ..ModelConfig::default()
        };
        Self {
            config: Arc::new(config),
            session: None,
            cues: Cues::default(),
            connecting: None,
            away_until: Duration::ZERO,
            sessions: 0,
            inbox: VecDeque::new(),
            counts: Counts::default(),
            is_speech_begun: false,
            text: String::new(),
        }
    }

    /// Plans the answer to the next response that has none.
    pub(crate) fn plan(&mut self, answer: Answer) {
        self.cues().answers.push_back(answer);
    }

    /// Plans what the caller's next turn will be understood as.
    pub(crate) fn understand(&mut self, words: String) {
        self.cues().words.push_back(words);
    }

    /// Whether there is a session.
    pub(crate) fn is_up(&self) -> bool {
        self.session.is_some()
    }

    /// Has the session do something at `now`; nothing without one.
    pub(crate) fn with_session(&mut self, now: Duration, act: impl FnOnce(&mut Engine, Duration)) {
        if let Some(session) = &mut self.session {
            act(&mut session.engine, now.saturating_sub(session.began));
            self.collect();
        }
    }

    /// An attempt to connect begins; it succeeds at once unless the model is away.
    pub(super) fn connect(&mut self, now: Duration) {
        self.connecting = Some(now.max(self.away_until));
    }

    pub(super) fn close(&mut self) {
        self.connecting = None;
        self.end_session();
    }

    pub(super) fn lose(&mut self, now: Duration, time: Duration) {
        self.away_until = now + time;
        let was_there = self.session.is_some() || self.connecting.is_some();
        self.close();
        if was_there {
            self.down("the connection was reset");
        }
    }

    pub(super) fn next_time(&self) -> Option<Duration> {
        let of_session = self
            .session
            .as_ref()
            .and_then(|session| session.engine.next_wake().map(|at| session.began + at));
        [self.connecting, of_session].into_iter().flatten().min()
    }

    pub(super) fn wake(&mut self, now: Duration) {
        if self.connecting.is_some_and(|at| at <= now) {
            self.connecting = None;
            self.sessions += 1;
            let script = ModelScript::always(nothing());
            let mut engine =
                Engine::new(Arc::clone(&self.config), script, MODEL, 1_700_000_000, self.sessions);
            engine.cues = std::mem::take(&mut self.cues);
            self.session = Some(Session { engine, began: now });
            self.collect();
        }
        self.with_session(now, Engine::wake);
    }

    /// Takes what the gateway sends; returns it as JSON unless it is audio.
    pub(super) fn tell(&mut self, now: Duration, message: &ToModel) -> Option<Value> {
        self.text.clear();
        match message {
            ToModel::Append(audio) => append_audio(audio, &mut self.text),
            ToModel::Event(event) => self.text.push_str(&event.encode(openai::Dialect::Ga)),
        }
        let text = std::mem::take(&mut self.text);
        self.with_session(now, |engine, now| {
            // A refusal comes back as an event as well.
            drop(engine.text(now, &text));
        });
        let sent = match message {
            ToModel::Append(_) => None,
            ToModel::Event(_) => serde_json::from_str(&text).ok(),
        };
        self.text = text;
        sent
    }

    pub(super) fn next_input(&mut self) -> Option<Input> {
        self.inbox.pop_front()
    }

    /// Takes up all that the session has to say.
    fn collect(&mut self) {
        while let Some(output) = self.session.as_mut().and_then(|it| it.engine.output()) {
            match output {
                Output::Event(event) => self.says(&event),
                Output::Close { reason, .. } => {
                    self.end_session();
                    self.down(&reason);
                }
                Output::Break => {
                    self.end_session();
                    self.down("the connection was reset");
                }
            }
        }
    }

    fn says(&mut self, event: &Value) {
        match event["type"].as_str().unwrap_or_default() {
            "response.created" => {
                self.counts.asked += 1;
                self.is_speech_begun = false;
            }
            "response.output_audio.delta" | "response.output_text.delta"
                if !self.is_speech_begun =>
            {
                self.is_speech_begun = true;
                self.counts.begun += 1;
            }
            "response.done" => self.end_response(),
            _ => {}
        }
        // What is malformed is dropped here as it is on the gateway.
        let events = ServerEvent::parse(&event.to_string(), openai::Dialect::Ga);
        self.inbox.extend(events.into_iter().flatten().map(|event| match event {
            ServerEvent::SessionCreated { session, model, .. } => {
                Input::ModelUp { info: ModelInfo { session, model, dialect: Dialect::Ga } }
            }
            other => Input::Model(other),
        }));
    }

    fn end_response(&mut self) {
        self.counts.over = self.counts.asked;
        self.counts.begun = self.counts.asked;
    }

    fn end_session(&mut self) {
        if let Some(session) = self.session.take() {
            self.cues = session.engine.cues;
            self.end_response();
        }
    }

    fn down(&mut self, reason: &str) {
        let reason = reason.to_owned();
        self.inbox.push_back(Input::ModelDown { reason, retry: true, refused: None });
    }

    fn cues(&mut self) -> &mut Cues {
        match &mut self.session {
            Some(session) => &mut session.engine.cues,
            None => &mut self.cues,
        }
    }
}

/// A response without a word: what a scenario plans no answer for gets.
fn nothing() -> Answer {
    Answer { parts: Vec::new(), delay_ms: 50, outcome: Outcome::Complete, after_tools: None }
}
