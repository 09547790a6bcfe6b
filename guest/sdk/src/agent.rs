//! The turn-taking: which event means what, between host, model and tenant.
//!
//! **The frame path comes first and does nothing it need not do**: caller and model audio are
//! converted and handed on without a look at any JSON. All else goes through [`Call::model_event_in`],
//! which reads an event's `type` before it parses anything.

use serde_json::{Value, json};

use crate::limits::{CREATE_WAIT_MS, OWN_RESPONSE_WAIT_MS, PARAMETERS_DROPPED_MAX, RETRY_WAIT_MS};
use crate::playback::{Played, Verdict};
use crate::responses::{AfterFailure, Wish};
use crate::session::Stage;
use crate::state::State;
use crate::tools::ToolCall;
use crate::turns::Speaker;
use crate::wire::{self, ErrorBody, Response, ServerEvent};
use crate::{
    Action, Call, Dialect, Flushed, Heard, Level, ModelAudio, ModelInfo, Play, Session, Turn,
};

/// The SDK's own timers.
pub(crate) mod timers {
    use crate::limits::TOKEN_RESERVED;

    pub(crate) const OWN_RESPONSE: u64 = TOKEN_RESERVED + 1;
    pub(crate) const CREATE: u64 = TOKEN_RESERVED + 2;
    pub(crate) const RETRY: u64 = TOKEN_RESERVED + 3;
    pub(crate) const IDLE: u64 = TOKEN_RESERVED + 4;
    pub(crate) const TRANSFER: u64 = TOKEN_RESERVED + 5;
}

/// Something a tenant may want to know, told after the SDK has done its part.
#[derive(Debug)]
pub(crate) enum Notice {
    Ready,
    Turn(Turn),
    Tool(ToolCall),
    Interrupted,
    ResponseFailed(String),
}

/// The frame path.
impl Call {
    pub(crate) fn caller_audio_in(&mut self, frame: Vec<u8>) {
        let audio = self.paths.up(frame);
        self.actions.reserve_exact(1);
        self.actions.push(Action::ModelAudio(audio));
    }

    pub(crate) fn model_audio_in(&mut self, audio: ModelAudio) {
        let ModelAudio { response, item, content_index, data } = audio;
        match self.state.playback.received(&response, &item, content_index, data.len()) {
            Verdict::Drop => return,
            Verdict::New => {
                self.state.turns.agent_item(&item);
                self.state.voice_fixed = true;
                self.state.response_spoke = true;
            }
            Verdict::More => {}
        }
        let audio = self.paths.down(data);
        if !audio.is_empty() {
            self.actions.push(Action::Play(Play { item, audio, last: false }));
        }
    }
}

/// The model's session.
impl Call {
    pub(crate) fn model_up(&mut self, model: &ModelInfo) {
        self.state.beta = model.dialect == Dialect::Beta;
        self.state.connected = true;
        self.state.ready = false;
        self.state.voice_fixed = false;
        self.configure(false);
    }

    pub(crate) fn model_restored(&mut self, model: &ModelInfo) {
        self.model_up(model);
        self.retell();
    }

    pub(crate) fn model_lost(&mut self) {
        self.state.owed |= self.state.responses.session_lost();
        for item in self.state.playback.session_lost() {
            self.last_of(item);
        }
        self.state.turns.session_lost();
        self.state.connected = false;
        self.state.ready = false;
        self.state.asked = None;
        // No farewell will come any more.
        self.place_ending();
    }

    /// Sends the configuration the session starts with, whole or at its least.
    fn configure(&mut self, minimal: bool) {
        let session = if minimal {
            self.session.minimal_json(self.state.format)
        } else {
            self.state.fingerprint = self.fingerprint();
            self.session_json(Stage::Fresh)
        };
        let id = self.send("session", json!({"type": "session.update", "session": session}));
        self.state.asked = Some((id, minimal));
    }

    /// Sends a changed configuration; the voice stays out once it is fixed.
    ///
    /// Until the server has confirmed it this is repeated at every turn: a successor that is still
    /// shadowing cannot know that its actions are not carried out.
    pub(crate) fn refresh_session(&mut self) {
        if !(self.state.update_due && self.state.ready) {
            return;
        }
        let stage = if self.state.voice_fixed { Stage::Running } else { Stage::Fresh };
        let session = self.session_json(stage);
        self.state.fingerprint = self.fingerprint();
        self.send("session", json!({"type": "session.update", "session": session}));
    }

    /// What to ask for, without what this server has refused before.
    fn session_json(&self, stage: Stage) -> Value {
        let mut session = self.session.json(self.dialect(), self.state.format, stage);
        for param in &self.state.dropped {
            Session::drop_parameter(&mut session, param);
        }
        session
    }

    fn dialect(&self) -> Dialect {
        if self.state.beta { Dialect::Beta } else { Dialect::Ga }
    }

    /// A number that changes with the session object; the voice does not count, for it cannot change.
    pub(crate) fn fingerprint(&self) -> u64 {
        let json = self.session.json(self.dialect(), self.state.format, Stage::Running).to_string();
        json.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        })
    }

    fn session_updated(&mut self, session: &Value) {
        // A server that has not taken our format is asked again by the host; until it has, nothing it
        // says could be played.
        let format = &session["audio"]["output"]["format"]["type"];
        if format.as_str().is_some_and(|name| name != self.state.format.name()) {
            return;
        }
        self.state.update_due = false;
        if self.state.asked.take().is_none() {
            return;
        }
        self.state.ready = true;
        self.notices.push(Notice::Ready);
        let unheard = !self.state.greeted && !self.state.turns.agent_has_spoken();
        match self.session.greeting_instructions() {
            Some(greeting) if unheard => self.state.responses.wish(Wish::Spoken(greeting)),
            Some(_) | None if self.state.owed => self.state.responses.wish(Wish::Answer),
            Some(_) | None => {}
        }
        self.state.owed = false;
    }

    /// Tells a new, empty session what was said so far. The agent's own audio cannot be put back, so
    /// its lines go as text, and only as far as the caller heard them.
    fn retell(&mut self) {
        let generation = self.state.event_id("history");
        let generation = generation.trim_start_matches("cb-history-").to_owned();
        let turns: Vec<Turn> = self.state.turns.lines().collect();
        for (at, turn) in turns.iter().enumerate() {
            let (role, kind, text) = match turn.speaker {
                Speaker::Caller => ("user", "input_text", turn.text.as_str()),
                Speaker::Agent => ("assistant", "output_text", turn.heard_text()),
            };
            if text.is_empty() {
                continue;
            }
            let item = json!({
                "id": format!("cb_{generation}_{at}"),
                "type": "message",
                "role": role,
                "content": [{"type": kind, "text": text}],
            });
            self.send("history", json!({"type": "conversation.item.create", "item": item}));
        }
        self.retell_tools();
    }
}

/// What the model says.
impl Call {
    pub(crate) fn model_event_in(&mut self, json: &str) {
        let Some(kind) = wire::event_type(json) else { return };
        match kind {
            "response.output_audio_transcript.delta" => {
                let event = ServerEvent::parse(json);
                if let (Some(item), Some(delta)) = (event.item_id, event.delta) {
                    self.state.turns.agent_delta(&item, &delta);
                }
            }
            "input_audio_buffer.speech_started" => self.speech_started(),
            "input_audio_buffer.speech_stopped" => self.speech_stopped(),
            "input_audio_buffer.timeout_triggered" => self.own_response_due(),
            "input_audio_buffer.committed" => {
                let event = ServerEvent::parse(json);
                if let Some(item) = event.item_id {
                    self.state.turns.caller_item(&item, event.previous_item_id.as_deref());
                }
            }
            "conversation.item.input_audio_transcription.completed" => {
                let event = ServerEvent::parse(json);
                if let (Some(item), Some(text)) = (event.item_id, event.transcript) {
                    let turn = self.state.turns.caller_text(&item, &text);
                    self.tell_turn(turn);
                }
            }
            "conversation.item.input_audio_transcription.failed" => {
                if let Some(item) = ServerEvent::parse(json).item_id {
                    self.state.turns.caller_text_failed(&item);
                }
            }
            "response.created" => {
                if let Some(id) = ServerEvent::parse(json).response.and_then(|r| r.id) {
                    self.response_created(id);
                }
            }
            "response.output_audio.done" => {
                if let Some(item) = ServerEvent::parse(json).item_id
                    && self.state.playback.finish(&item)
                {
                    self.last_of(item);
                }
            }
            "response.output_audio_transcript.done" => {
                let event = ServerEvent::parse(json);
                if let Some(item) = event.item_id {
                    let turn = self.state.turns.agent_text(&item, event.transcript.as_deref());
                    self.tell_turn(turn);
                }
            }
            "response.output_item.done" => {
                if let Some(item) = ServerEvent::parse(json).item {
                    self.output_item_done(item);
                }
            }
            "response.done" => {
                if let Some(response) = ServerEvent::parse(json).response {
                    self.response_done(response);
                }
            }
            "session.updated" => {
                let session = ServerEvent::parse(json).session.unwrap_or_default();
                self.session_updated(&session);
            }
            "error" => {
                if let Some(error) = ServerEvent::parse(json).error {
                    self.error(&error);
                }
            }
            _ => {}
        }
    }

    fn speech_started(&mut self) {
        if self.state.responses.is_own_due() {
            self.untimer(timers::OWN_RESPONSE);
        }
        self.state.responses.caller_started();
        self.state.idle.nudged = false;
        if self.session.barge_in {
            self.cut_off();
        }
    }

    fn speech_stopped(&mut self) {
        if self.session.creates_response() {
            self.own_response_due();
        } else {
            self.state.responses.caller_stopped(false);
        }
        self.refresh_session();
    }

    fn own_response_due(&mut self) {
        self.state.responses.caller_stopped(true);
        self.timer_at(timers::OWN_RESPONSE, OWN_RESPONSE_WAIT_MS);
    }

    fn response_created(&mut self, id: String) {
        let ours = self.state.responses.is_in_flight();
        if ours {
            self.untimer(timers::CREATE);
        }
        if self.state.responses.is_own_due() {
            self.untimer(timers::OWN_RESPONSE);
        }
        self.state.response_spoke = false;
        self.state.greeted = true;
        let talks_over = ours && self.session.barge_in && self.state.responses.caller_speaks();
        self.state.responses.created(id.clone());
        if talks_over {
            // It was asked for just before the caller began; nobody would hear its first words.
            self.state.playback.bury(&id);
            self.state.responses.call_off();
            self.send("cancel", json!({"type": "response.cancel", "response_id": id}));
        }
    }

    fn response_done(&mut self, response: Response) {
        let Some(id) = response.id else { return };
        let status = response.status.as_deref().unwrap_or("completed");
        for item in self.state.playback.finish_response(&id) {
            self.last_of(item);
        }
        for turn in self.state.turns.agent_texts_final() {
            self.tell_turn(Some(turn));
        }
        for played in self.state.playback.take_unheard(&id) {
            self.settle(played, true);
        }
        self.state.responses.done(&id);
        if let Some(usage) = response.usage {
            let usage: Value = serde_json::from_str(usage.get()).unwrap_or(Value::Null);
            self.publish("usage", &json!({"response": id, "status": status, "usage": usage}));
        }
        if status == "failed" {
            let error = response.status_details.and_then(|details| details.error);
            self.response_failed(error.as_ref());
        } else {
            self.state.responses.succeeded();
            let spoke = std::mem::take(&mut self.state.response_spoke);
            self.ending_response_done(spoke);
        }
        self.refresh_session();
    }

    /// One retry, for most failures are a moment's rate limit; then the tenant decides.
    fn response_failed(&mut self, error: Option<&ErrorBody>) {
        let code = error.and_then(|error| error.code.as_deref()).unwrap_or("unknown");
        let hopeless = HOPELESS.contains(&code);
        match self.state.responses.failed(hopeless) {
            AfterFailure::Retry => self.timer_at(timers::RETRY, RETRY_WAIT_MS),
            AfterFailure::GiveUp if self.state.ending.is_some() => self.place_ending(),
            AfterFailure::GiveUp => self.notices.push(Notice::ResponseFailed(code.to_owned())),
        }
        let message = error.and_then(|error| error.message.as_deref()).unwrap_or("");
        self.publish("response.failed", &json!({"code": code, "message": message}));
    }

    fn error(&mut self, error: &ErrorBody) {
        let code = error.code.as_deref().unwrap_or("");
        let named = error.event_id.as_deref();
        let about_session = error.param.as_deref().is_some_and(|p| p.starts_with("session"));
        if let Some((asked, minimal)) = self.state.asked.take() {
            if named == Some(&asked) || (named.is_none() && about_session) {
                self.session_refused(error, minimal);
                return;
            }
            self.state.asked = Some((asked, minimal));
        }
        let busy = code == "conversation_already_has_active_response";
        if self.state.responses.refused(named, busy) {
            self.untimer(timers::CREATE);
            if busy {
                if self.state.responses.is_own_due() {
                    self.timer_at(timers::OWN_RESPONSE, OWN_RESPONSE_WAIT_MS);
                }
            } else {
                self.response_failed(Some(error));
            }
            return;
        }
        let benign = BENIGN.contains(&code)
            || named.is_some_and(|id| BENIGN_SENDERS.iter().any(|sender| id.starts_with(sender)))
            || error.message.as_deref().is_some_and(|text| text.contains("already shorter than"));
        if benign {
            crate::log(Level::Debug, &format!("the model server declined something: {code}"));
            return;
        }
        if named.is_some_and(|id| id.starts_with("cb-session-")) {
            // An update in mid-call was refused whole: the session goes on as it was.
            self.state.update_due = false;
        }
        crate::log(Level::Warn, &format!("error of the model server: {code}"));
        let message = error.message.as_deref().unwrap_or("");
        self.publish("model.error", &json!({"code": code, "message": message}));
    }

    /// A refused update is refused whole, formats included. The same without what the server named comes
    /// next, and the least that can work at last: a caller in front of a lesser agent is better off
    /// than one who hears nothing.
    fn session_refused(&mut self, error: &ErrorBody, minimal: bool) {
        let message = error.message.as_deref().unwrap_or("");
        let param = error.param.as_deref();
        self.publish("session.refused", &json!({"message": message, "param": param}));
        crate::log(Level::Error, &format!("session.update refused: {message}"));
        if minimal {
            self.notices.push(Notice::ResponseFailed("session_refused".into()));
            return;
        }
        let droppable = self.state.dropped.len() < PARAMETERS_DROPPED_MAX
            && param.is_some_and(|param| {
                Session::drop_parameter(&mut self.session_json(Stage::Fresh), param)
            });
        if let (true, Some(param)) = (droppable, param) {
            self.state.dropped.push(param.to_owned());
        }
        self.configure(!droppable);
    }
}

/// Playing and not being heard.
impl Call {
    /// Stops the agent, if it is doing anything: the answer to a caller who begins to speak.
    ///
    /// Generation and playing end separately. Mostly the answer was finished long ago and is merely
    /// unplayed; then there is nothing to cancel, but a lot to flush.
    pub(crate) fn cut_off(&mut self) {
        // Before the flush: to a hang-up that waits for silence, a flushed line is silent.
        self.cancel_ending();
        if let Some(active) = self.state.responses.active().map(str::to_owned)
            && !self.state.playback.is_dead(&active)
        {
            self.state.playback.bury(&active);
            if !self.session.interrupts_response() {
                self.send("cancel", json!({"type": "response.cancel", "response_id": active}));
            }
        }
        if self.state.playback.is_unplayed() {
            self.state.playback.flush();
            self.paths.cut_off();
            self.actions.push(Action::Flush);
            self.notices.push(Notice::Interrupted);
        }
    }

    pub(crate) fn flushed_in(&mut self, flushed: Flushed) {
        let heard: Vec<_> = flushed.items.into_iter().map(|h| (h.item, h.millis)).collect();
        for played in self.state.playback.flushed(&heard, self.state.format.bytes_per_ms()) {
            let interrupted = played.heard_ms < played.audio_ms || played.truncate;
            self.settle(played, interrupted);
        }
    }

    pub(crate) fn heard_in(&mut self, heard: &Heard) {
        let played = self.state.playback.heard(&heard.item, self.state.format.bytes_per_ms());
        if let Some(played) = played {
            self.settle(played, false);
        }
    }

    fn settle(&mut self, played: Played, interrupted: bool) {
        if played.truncate && self.state.connected {
            self.send(
                "truncate",
                json!({
                    "type": "conversation.item.truncate",
                    "item_id": played.item,
                    "content_index": played.content_index,
                    "audio_end_ms": played.heard_ms,
                }),
            );
        }
        if !played.own {
            let (heard_ms, audio_ms) = (played.heard_ms, played.audio_ms);
            let turn = self.state.turns.agent_heard(&played.item, heard_ms, audio_ms, interrupted);
            self.tell_turn(turn);
        }
    }

    /// Ends an item: the last milliseconds out of the filter, and the word that nothing follows.
    fn last_of(&mut self, item: String) {
        let audio = self.paths.end_of_item();
        self.actions.push(Action::Play(Play { item, audio, last: true }));
    }

    fn tell_turn(&mut self, turn: Option<Turn>) {
        let Some(turn) = turn else { return };
        self.publish_turn(&turn, true);
        self.notices.push(Notice::Turn(turn));
    }

    /// `settled` is false for a line the end of the call left open: how much of it was heard is not
    /// known and not guessed.
    fn publish_turn(&mut self, turn: &Turn, settled: bool) {
        match turn.speaker {
            Speaker::Caller => {
                let json = json!({"item": turn.item, "text": turn.text});
                self.publish("transcript.caller", &json);
            }
            Speaker::Agent => {
                let json = json!({
                    "item": turn.item,
                    "text": turn.text,
                    "heard": settled.then(|| turn.heard_text()),
                    "heard_ms": settled.then_some(turn.heard_ms),
                    "audio_ms": settled.then_some(turn.audio_ms),
                    "interrupted": turn.interrupted || !settled,
                });
                self.publish("transcript.agent", &json);
            }
        }
    }

    pub(crate) fn publish_rest(&mut self) {
        for turn in self.state.turns.rest() {
            self.publish_turn(&turn, false);
        }
    }
}

/// Time.
impl Call {
    /// Takes one of the SDK's own timers.
    pub(crate) fn own_timer(&mut self, token: u64) {
        match token {
            timers::OWN_RESPONSE => self.state.responses.own_overdue(),
            timers::CREATE => {
                if self.state.responses.create_overdue() {
                    self.response_failed(None);
                }
            }
            timers::RETRY => self.state.responses.cooled(),
            timers::IDLE => self.idle_timer(),
            timers::TRANSFER => self.transfer_now(),
            _ => self.tool_timer(token),
        }
    }

    /// After every event but audio: what waited may go now, and silence may have begun or ended.
    pub(crate) fn drive(&mut self) {
        if self.state.ready {
            let State { responses, next_id, .. } = &mut self.state;
            let sent = responses.next(|| {
                *next_id = next_id.wrapping_add(1);
                format!("cb-create-{next_id}")
            });
            if let Some((id, wish)) = sent {
                let mut create = json!({"type": "response.create", "event_id": id});
                if let Wish::Spoken(instructions) = wish {
                    create["response"] = json!({"instructions": instructions});
                }
                self.actions.push(Action::ModelEvent(create.to_string()));
                self.timer_at(timers::CREATE, CREATE_WAIT_MS);
            }
        }
        self.watch_silence();
    }

    fn watch_silence(&mut self) {
        let Some(idle) = &self.session.idle else { return };
        let quiet = self.state.ready
            && self.state.responses.is_quiet()
            && !self.state.playback.is_unplayed()
            && self.state.tools.is_idle()
            && self.state.ending.is_none();
        let wait =
            if self.state.idle.nudged { idle.hang_up_after_ms } else { Some(idle.nudge_after_ms) };
        match (quiet, self.state.idle.armed, wait) {
            (true, false, Some(wait)) => {
                self.state.idle.armed = true;
                self.timer_at(timers::IDLE, wait.into());
            }
            (false, true, _) => {
                self.state.idle.armed = false;
                self.untimer(timers::IDLE);
            }
            (true, true, _) | (false, false, _) | (true, false, None) => {}
        }
    }

    fn idle_timer(&mut self) {
        let Some(idle) = self.session.idle.clone() else { return };
        if !std::mem::take(&mut self.state.idle.armed) {
            return;
        }
        if self.state.idle.nudged {
            self.hang_up_when_played("the caller was silent");
        } else {
            self.state.idle.nudged = true;
            self.prompt(&idle.nudge);
        }
    }
}

/// Errors that a race explains; the call goes on. See section 1.7 of the server's error catalogue.
const BENIGN: [&str; 8] = [
    "response_cancel_not_active",
    "conversation_already_has_active_response",
    "item_truncate_invalid_item_id",
    "item_delete_invalid_item_id",
    "item_retrieve_invalid_item_id",
    "input_audio_buffer_commit_empty",
    "invalid_tool_call_id",
    "unsupported_content_type",
];

/// Whatever the server has against one of these, the caller does not care.
const BENIGN_SENDERS: [&str; 3] = ["cb-truncate-", "cb-cancel-", "cb-history-"];

/// Failures of a response that a second try cannot mend.
const HOPELESS: [&str; 4] =
    ["insufficient_quota", "billing_hard_limit_reached", "account_deactivated", "invalid_api_key"];
