//! The server's side of one session, without a socket and without a clock.
//!
//! Hand it what arrived ([`Engine::text`], [`Engine::binary`]) or that time has passed ([`Engine::wake`]), then **take every output** until
//! there is none; [`Engine::next_wake`] says when to come back. Time is the time since the session began.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::conversation::{Conversation, Item, unknown_item};
use super::format::Format;
use super::hearing::Ear;
use super::refusal::Refusal;
use super::script::{Answer, ModelScript};
use super::session::{Session, from_beta};
use super::speaking::Speaking;
use super::vad::{Vad, VadEvent};
use super::{Dialect, ModelConfig, client, dialect};

/// The least audio a manual commit takes.
const COMMIT_MS_MIN: f64 = 100.0;

/// What the server does.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Sends an event.
    Event(Value),
    /// Closes the WebSocket.
    Close {
        /// The close code.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// Breaks the connection without a close.
    Break,
}

/// What is to be answered and understood next, before the script is asked: for whoever leads a conversation
/// step by step. It may be carried from one session to the next.
#[derive(Debug, Clone, Default)]
pub struct Cues {
    /// Answers to the next responses, in order.
    pub answers: VecDeque<Answer>,
    /// Transcripts of the caller's next turns, in order.
    pub words: VecDeque<String>,
}

/// One session.
#[derive(Debug)]
pub struct Engine {
    pub(super) config: Arc<ModelConfig>,
    script: ModelScript,
    /// What goes before the script.
    pub cues: Cues,
    pub(super) session: Session,
    pub(super) conversation: Conversation,
    pub(super) speaking: Option<Speaking>,
    vad: Option<Vad>,
    ear: Ear,
    /// The answer to what was known again in the last turn.
    known_answer: Option<Answer>,
    format: Format,
    appended_ms: f64,
    uncommitted_ms: f64,
    open_turn: Option<String>,
    pub(super) turns: usize,
    pub(super) after_tools: Option<Answer>,
    pub(super) tools_answered: bool,
    later: Vec<(Duration, Value)>,
    pub(super) idle_at: Option<Duration>,
    expires_at: Duration,
    over: bool,
    outputs: VecDeque<Output>,
    pub(super) random: SmallRng,
    pub(super) conversation_id: String,
}

impl Engine {
    /// Opens a session; `session.created` is the first output. `unix_seconds` is the wall clock, for `expires_at` alone.
    pub fn new(
        config: Arc<ModelConfig>,
        script: ModelScript,
        model: &str,
        unix_seconds: u64,
        seed: u64,
    ) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let expires_at = config.session_max;
        let session =
            Session::new(&id_of("sess", &mut random), model, unix_seconds + expires_at.as_secs());
        let conversation_id = id_of("conv", &mut random);
        let mut engine = Self {
            ear: Ear::new(&script.known),
            known_answer: None,
            script,
            cues: Cues::default(),
            format: session.input_format(),
            vad: None,
            session,
            conversation: Conversation::default(),
            speaking: None,
            appended_ms: 0.0,
            uncommitted_ms: 0.0,
            open_turn: None,
            turns: 0,
            after_tools: None,
            tools_answered: false,
            later: Vec::new(),
            idle_at: None,
            expires_at,
            over: false,
            outputs: VecDeque::new(),
            random,
            conversation_id,
            config,
        };
        engine.settle_vad();
        let shown = engine.shown_session();
        engine.say(json!({ "type": "session.created", "session": shown }));
        engine
    }

    /// Returns the next thing to do.
    pub fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when [`Engine::wake`] wants to be called.
    pub fn next_wake(&self) -> Option<Duration> {
        let step = self.speaking.as_ref().and_then(|s| s.steps.front()).map(|(at, _)| *at);
        let later = self.later.iter().map(|(at, _)| *at).min();
        [step, later, self.idle_at, Some(self.expires_at)].into_iter().flatten().min()
    }

    /// Does what has fallen due at `now`.
    pub fn wake(&mut self, now: Duration) {
        if self.over {
            return;
        }
        if now >= self.expires_at {
            let minutes = self.expires_at.as_secs_f64() / 60.0;
            let message = format!("Your session hit the maximum duration of {minutes} minutes.");
            let refusal = Refusal::new("session_expired", None, message.clone());
            self.refuse(&refusal, None);
            self.finish_session(1001, &message);
            return;
        }
        self.respond_due(now);
        let due: Vec<Value> = {
            let (due, later) = self.later.drain(..).partition(|(at, _)| *at <= now);
            self.later = later;
            Vec::from_iter(due).into_iter().map(|(_, event): (Duration, Value)| event).collect()
        };
        for event in due {
            self.say(event);
        }
        if self.idle_at.is_some_and(|at| at <= now) {
            self.idle_at = None;
            self.speak_up(now);
        }
    }

    /// Takes a text message.
    pub fn text(&mut self, now: Duration, text: &str) -> Result<Value, Refusal> {
        let read = client::read(text, self.config.dialect);
        match &read {
            Ok(event) => {
                let event_id = event["event_id"].as_str().map(str::to_owned);
                if let Err(refusal) = self.handle_event(now, event) {
                    self.refuse(&refusal, event_id.as_deref());
                    return Err(refusal);
                }
            }
            Err(refusal) => {
                let event: Value = serde_json::from_str(text).unwrap_or_default();
                self.refuse(refusal, event["event_id"].as_str());
            }
        }
        read
    }

    /// Takes a binary message, which is always an error.
    pub fn binary(&mut self) {
        let message =
            "Invalid event: expected a text WebSocket message; binary messages are not supported.";
        self.refuse(&Refusal::new("invalid_event", None, message), None);
    }

    /// Returns whether a response is being given.
    pub fn is_speaking(&self) -> bool {
        self.speaking.is_some()
    }

    /// Sends an event that nothing here has caused.
    pub fn interject(&mut self, event: Value) {
        self.say(event);
    }

    /// Takes speech to have begun, whatever the audio is like.
    pub fn begin_speech(&mut self, now: Duration) {
        self.speech_started(now, self.appended_ms as u64);
    }

    /// Takes speech to have ended, whatever the audio is like.
    pub fn end_speech(&mut self, now: Duration) {
        self.speech_stopped(now, self.appended_ms as u64);
    }

    /// Ends the response being given, if there is one, as a content filter does.
    pub fn cut_off(&mut self, now: Duration) {
        self.cancel(now, "content_filter");
    }

    fn handle_event(&mut self, now: Duration, event: &Value) -> Result<(), Refusal> {
        let id = |name: &str| event[name].as_str().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "session.update" => self.update(&event["session"]),
            "input_audio_buffer.append" => self.append(now, id("audio")),
            "input_audio_buffer.commit" => self.commit_by_client(now),
            "input_audio_buffer.clear" => {
                self.uncommitted_ms = 0.0;
                self.open_turn = None;
                if let Some(vad) = &mut self.vad {
                    vad.reset();
                }
                self.say(json!({ "type": "input_audio_buffer.cleared" }));
                Ok(())
            }
            "conversation.item.create" => self.create_item(event),
            "conversation.item.truncate" => {
                let audio_end_ms = event["audio_end_ms"].as_u64().unwrap_or_default();
                let undercount = self.config.undercount_ms;
                self.conversation.truncate(id("item_id"), audio_end_ms, undercount)?;
                self.say(json!({
                    "type": "conversation.item.truncated",
                    "item_id": id("item_id"),
                    "content_index": event["content_index"],
                    "audio_end_ms": audio_end_ms,
                }));
                Ok(())
            }
            "conversation.item.delete" => {
                self.conversation.delete(id("item_id"))?;
                self.say(json!({ "type": "conversation.item.deleted", "item_id": id("item_id") }));
                Ok(())
            }
            "conversation.item.retrieve" => {
                let item = self
                    .conversation
                    .item(id("item_id"))
                    .ok_or_else(|| unknown_item("retrieve", id("item_id")))?;
                let item = item.value.clone();
                self.say(json!({ "type": "conversation.item.retrieved", "item": item }));
                Ok(())
            }
            "response.create" => self.respond(now, &event["response"]),
            "response.cancel" => {
                let wanted = event["response_id"].as_str();
                match &self.speaking {
                    Some(speaking) if wanted.is_none_or(|id| id == speaking.id) => {
                        self.cancel(now, "client_cancelled");
                        Ok(())
                    }
                    _ => {
                        let message = "Cancellation failed: no active response found";
                        Err(Refusal::new("response_cancel_not_active", None, message))
                    }
                }
            }
            other => unreachable!("the reader refuses {other}"),
        }
    }

    fn update(&mut self, update: &Value) -> Result<(), Refusal> {
        let translated;
        let update = match self.config.dialect {
            Dialect::Ga => update,
            Dialect::Beta => {
                translated = from_beta(update);
                &translated
            }
        };
        if !self.config.ignores_formats {
            self.session.update(update, self.conversation.has_assistant_audio())?;
        }
        self.format = self.session.input_format();
        self.settle_vad();
        let shown = self.shown_session();
        self.say(json!({ "type": "session.updated", "session": shown }));
        Ok(())
    }

    fn settle_vad(&mut self) {
        let Some(turns) = self.session.turn_detection() else {
            self.vad = None;
            return;
        };
        let position = self.appended_ms as u64;
        let same_rate = self.vad.as_ref().is_some_and(|vad| vad.rate() == self.format.rate());
        match &mut self.vad {
            Some(vad) if same_rate => vad.set(turns.vad),
            _ => self.vad = Some(Vad::new(self.format.rate(), turns.vad, position)),
        }
    }

    fn shown_session(&self) -> Value {
        match self.config.dialect {
            Dialect::Ga => self.session.ga(),
            Dialect::Beta => self.session.beta(),
        }
    }

    fn append(&mut self, now: Duration, audio: &str) -> Result<(), Refusal> {
        let bytes = STANDARD.decode(audio).map_err(|_| {
            let message = "Invalid 'audio'. Expected base64-encoded audio bytes.";
            Refusal::new("invalid_value", Some("audio"), message)
        })?;
        if bytes.len() % self.format.sample_bytes() != 0 {
            let message = "Invalid 'audio'. Expected a whole number of samples.";
            return Err(Refusal::new("invalid_value", Some("audio"), message));
        }
        let ms = self.format.duration_ms(bytes.len());
        self.appended_ms += ms;
        self.uncommitted_ms += ms;
        let samples = self.format.decode(&bytes);
        self.ear.push(self.format.rate(), &samples);
        let noticed = match &mut self.vad {
            Some(vad) => vad.push(&samples),
            None => Vec::new(),
        };
        for event in noticed {
            match event {
                VadEvent::Started { audio_start_ms } => self.speech_started(now, audio_start_ms),
                VadEvent::Stopped { audio_end_ms } => self.speech_stopped(now, audio_end_ms),
            }
        }
        Ok(())
    }

    fn speech_started(&mut self, now: Duration, audio_start_ms: u64) {
        self.idle_at = None;
        let item_id = self.id("item");
        self.open_turn = Some(item_id.clone());
        self.say(json!({
            "type": "input_audio_buffer.speech_started",
            "audio_start_ms": audio_start_ms,
            "item_id": item_id,
        }));
        let interrupts = self.session.turn_detection().is_some_and(|t| t.interrupt_response);
        if interrupts && self.speaking.is_some() {
            self.respond_late(self.config.late_deltas);
            self.cancel(now, "turn_detected");
        }
    }

    fn speech_stopped(&mut self, now: Duration, audio_end_ms: u64) {
        let item_id = self.open_turn.take().unwrap_or_else(|| self.id("item"));
        self.say(json!({
            "type": "input_audio_buffer.speech_stopped",
            "audio_end_ms": audio_end_ms,
            "item_id": item_id,
        }));
        self.commit(now, item_id);
        if self.session.turn_detection().is_some_and(|turns| turns.create_response)
            && let Err(refusal) = self.respond(now, &Value::Null)
        {
            self.refuse(&refusal, None);
        }
    }

    fn commit_by_client(&mut self, now: Duration) -> Result<(), Refusal> {
        if self.uncommitted_ms < COMMIT_MS_MIN {
            let message = format!(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has {:.2}ms of audio.",
                self.uncommitted_ms
            );
            return Err(Refusal::new("input_audio_buffer_commit_empty", None, message));
        }
        if let Some(vad) = &mut self.vad {
            vad.reset();
        }
        let item_id = self.open_turn.take().unwrap_or_else(|| self.id("item"));
        self.commit(now, item_id);
        Ok(())
    }

    fn commit(&mut self, now: Duration, item_id: String) {
        let item = json!({
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{ "type": "input_audio", "transcript": null }],
        });
        let previous = self.conversation.last_id().map(str::to_owned);
        self.say(json!({
            "type": "input_audio_buffer.committed",
            "item_id": item_id,
            "previous_item_id": previous,
        }));
        let audio_ms = std::mem::take(&mut self.uncommitted_ms);
        self.conversation.push(Item { value: item.clone(), audio_ms: Some(audio_ms) });
        self.announce(&item, previous.as_deref());
        self.turns += 1;
        self.after_tools = None;
        let words = self.words_of_turn(audio_ms);
        if self.session.transcribes() {
            self.transcribe(now, &item_id, audio_ms, words);
        }
    }

    /// Returns what was said in the turn that ends now, and notes how it is to be answered.
    fn words_of_turn(&mut self, audio_ms: f64) -> String {
        self.known_answer = None;
        if let Some(words) = self.cues.words.pop_front() {
            return words;
        }
        if self.script.known.is_empty() {
            return self.script.heard(self.turns).to_owned();
        }
        let recognised = self.ear.recognise(audio_ms);
        let Some(last) = recognised.last() else { return self.script.misheard.clone() };
        self.known_answer = self.script.known[last.known].answer.clone();
        let words: Vec<String> = recognised.into_iter().map(|it| it.words).collect();
        words.join(" ")
    }

    fn transcribe(&mut self, now: Duration, item_id: &str, audio_ms: f64, words: String) {
        let kind = "conversation.item.input_audio_transcription";
        let mut at = now + self.config.transcription_delay;
        let middle = words.find(' ').unwrap_or(words.len());
        for piece in [&words[..middle], &words[middle..]] {
            if piece.is_empty() {
                continue;
            }
            let mut delta = json!({
                "type": format!("{kind}.delta"),
                "item_id": item_id,
                "content_index": 0,
                "delta": piece,
            });
            self.obscure(&mut delta);
            self.later.push((at, delta));
            at += Duration::from_millis(20);
        }
        let completed = json!({
            "type": format!("{kind}.completed"),
            "item_id": item_id,
            "content_index": 0,
            "transcript": words,
            "usage": { "type": "duration", "seconds": audio_ms / 1000.0 },
        });
        self.later.push((at, completed));
        if let Some(item) = self.conversation.item_mut(item_id) {
            item.value["content"][0]["transcript"] = json!(words);
        }
    }

    fn create_item(&mut self, event: &Value) -> Result<(), Refusal> {
        let mut value = event["item"].clone();
        let output = value["type"] == "function_call_output";
        if output && !self.conversation.has_call(value["call_id"].as_str().unwrap_or_default()) {
            let message = format!("Tool call ID {} not found in conversation.", value["call_id"]);
            return Err(Refusal::new("invalid_tool_call_id", Some("item.call_id"), message));
        }
        let id = match value["id"].as_str() {
            Some(id) if self.conversation.item(id).is_some() => {
                let message = format!("Error adding item: an item with id '{id}' already exists.");
                return Err(Refusal::new("item_create_duplicate_id", Some("item.id"), message));
            }
            Some(id) => id.to_owned(),
            None => self.id("item"),
        };
        value["id"] = json!(id);
        value["object"] = json!("realtime.item");
        value["status"] = json!("completed");
        let item = Item { value: value.clone(), audio_ms: None };
        let previous = self.conversation.insert(item, event["previous_item_id"].as_str())?;
        if value["role"] == "user" {
            self.turns += 1;
            self.known_answer = None;
            self.after_tools = None;
        }
        self.tools_answered |= output;
        self.announce(&value, previous.as_deref());
        Ok(())
    }

    /// Says that an item is there and complete.
    fn announce(&mut self, item: &Value, previous: Option<&str>) {
        for kind in ["conversation.item.added", "conversation.item.done"] {
            self.say(json!({ "type": kind, "item": item, "previous_item_id": previous }));
        }
    }

    fn speak_up(&mut self, now: Duration) {
        let item_id = self.id("item");
        let audio_ms = self.appended_ms as u64;
        self.say(json!({
            "type": "input_audio_buffer.timeout_triggered",
            "audio_start_ms": audio_ms,
            "audio_end_ms": audio_ms,
            "item_id": item_id,
        }));
        self.commit(now, item_id);
        if let Err(refusal) = self.respond(now, &Value::Null) {
            self.refuse(&refusal, None);
        }
    }

    /// Returns what is answered now.
    pub(super) fn answer(&mut self) -> Answer {
        if let Some(answer) = self.cues.answers.pop_front() {
            return answer;
        }
        if std::mem::take(&mut self.tools_answered)
            && let Some(answer) = self.after_tools.take()
        {
            return answer;
        }
        if let Some(answer) = &self.known_answer {
            return answer.clone();
        }
        self.script.answer(self.turns).clone()
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal, event_id: Option<&str>) {
        self.say(refusal.event(event_id));
    }

    /// Sends an event with a fresh id, in the session's dialect.
    pub(super) fn say(&mut self, mut event: Value) {
        event["event_id"] = json!(self.id("event"));
        let event = match self.config.dialect {
            Dialect::Ga => Some(event),
            Dialect::Beta => dialect::to_beta(event),
        };
        self.outputs.extend(event.map(Output::Event));
        if self.config.unknown_events && self.random.random_ratio(1, 8) {
            let event_id = self.id("event");
            self.outputs.push_back(Output::Event(json!({
                "type": "response.weather.forecast",
                "event_id": event_id,
                "cloud": { "cover": null, "list": [1, "two", 3.5] },
            })));
        }
    }

    pub(super) fn break_off(&mut self) {
        self.over = true;
        self.outputs.push_back(Output::Break);
    }

    fn finish_session(&mut self, code: u16, reason: &str) {
        self.over = true;
        self.outputs.push_back(Output::Close { code, reason: reason.into() });
    }

    /// Adds the noise field the live service puts on deltas.
    pub(super) fn obscure(&mut self, event: &mut Value) {
        if self.config.obfuscation {
            let length = self.random.random_range(1..16);
            let noise: String =
                (0..length).map(|_| char::from(self.random.random_range(b'a'..=b'z'))).collect();
            event["obfuscation"] = json!(noise);
        }
    }

    pub(super) fn id(&mut self, prefix: &str) -> String {
        id_of(prefix, &mut self.random)
    }
}

/// Makes an id as the service does: at most 32 characters.
pub(super) fn id_of(prefix: &str, random: &mut SmallRng) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let tail: String =
        (0..21).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect();
    format!("{prefix}_{tail}")
}
