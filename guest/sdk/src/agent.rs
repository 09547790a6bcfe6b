//! The turn-taking: which event means what, between host, model and tenant.
//!
//! **The frame path comes first and does nothing it need not do**: caller and model audio are
//! converted and handed on without a look at any JSON. All else goes through [`Call::model_event_in`],
//! which reads an event's `type` before it parses anything.

use serde_json::{Value, json};

use crate::limits::{CREATE_WAIT_MS, OWN_RESPONSE_WAIT_MS, RETRY_WAIT_MS};
use crate::playback::{Played, Verdict};
use crate::responses::{AfterFailure, Request};
use crate::state::State;
use crate::tools::ToolCall;
use crate::turns::Speaker;
use crate::wire::{self, ErrorBody, Response, ServerEvent};
use crate::{Action, Call, Flushed, Heard, Level, ModelAudio, Play, Turn};

/// The SDK's own timers.
pub(crate) mod timers {
    use crate::limits::TOKEN_RESERVED;

    pub(crate) const OWN_RESPONSE: u64 = TOKEN_RESERVED + 1;
    pub(crate) const CREATE: u64 = TOKEN_RESERVED + 2;
    pub(crate) const RETRY: u64 = TOKEN_RESERVED + 3;
    pub(crate) const IDLE: u64 = TOKEN_RESERVED + 4;
    pub(crate) const TRANSFER: u64 = TOKEN_RESERVED + 5;
    pub(crate) const ENDING: u64 = TOKEN_RESERVED + 6;
    pub(crate) const SUSPECT: u64 = TOKEN_RESERVED + 7;
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
                if self.state.responses.caller_speaks() {
                    // Some servers do not say that the caller stopped; a turn that is taken is over.
                    self.speech_stopped();
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
                    if !self.state.tools.is_idle() {
                        // An earlier tool of this response may be answered already; the answer to all of
                        // them is asked for with the last.
                        self.state.responses.withdraw_answer();
                    }
                }
            }
            "response.done" => {
                self.response_done(ServerEvent::parse(json).response.unwrap_or_default());
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
        self.state.idle.nudges = 0;
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
        self.state.response_called = false;
        self.state.soundless = !ours && std::mem::take(&mut self.state.soundless_asked);
        self.state.greeted = true;
        let talks_over = ours && self.session.barge_in && self.state.responses.caller_speaks();
        self.state.responses.created(id.clone());
        if talks_over {
            // It was asked for just before the caller began; nobody would hear its first words.
            self.state.playback.discard(&id);
            self.state.responses.call_off();
            self.send("cancel", json!({"type": "response.cancel", "response_id": id}));
        }
    }

    fn response_done(&mut self, response: Response) {
        // One that does not say which it is can be no other.
        let active = || self.state.responses.active().map(str::to_owned);
        let Some(id) = response.id.or_else(active) else { return };
        let status = response.status.as_deref().unwrap_or("completed");
        // Said twice, or of a response that nobody announced, it is the end of nothing.
        let is_active = self.state.responses.active() == Some(&id);
        let is_dead = self.state.playback.is_dead(&id);
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
        if status != "cancelled" {
            self.state.responses.ran_its_course();
        }
        if let Some(usage) = response.usage {
            let usage: Value = serde_json::from_str(usage.get()).unwrap_or(Value::Null);
            self.publish("usage", &json!({"response": id, "status": status, "usage": usage}));
        }
        let spoke = std::mem::take(&mut self.state.response_spoke);
        let called = std::mem::take(&mut self.state.response_called);
        let soundless = std::mem::take(&mut self.state.soundless);
        let is_owed = is_active && status != "cancelled" && !is_dead && self.state.ending.is_none();
        if status == "failed" {
            let error = response.status_details.and_then(|details| details.error);
            self.response_failed(error.as_ref());
        } else if is_owed && !(spoke || called || soundless) {
            let reason = response.status_details.and_then(|details| details.reason);
            self.response_silent(status, reason.as_deref());
        } else {
            self.state.responses.succeeded();
            self.ending_response_done(spoke);
        }
        self.refresh_session();
    }

    /// A response nobody could hear: text alone, or cut off by a filter or a limit before its first
    /// sound. Asked for once more, with audio in so many words; then it counts as a failure.
    fn response_silent(&mut self, status: &str, reason: Option<&str>) {
        self.publish("response.silent", &json!({"status": status, "reason": reason}));
        crate::log(Level::Warn, &format!("a response without a sound: {status}, {reason:?}"));
        match self.state.responses.silent() {
            AfterFailure::Retry => self.timer_at(timers::RETRY, RETRY_WAIT_MS),
            AfterFailure::GiveUp => self.notices.push(Notice::ResponseFailed("no_audio".into())),
        }
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
        if !BENIGN.contains(&code) && self.session_error(error) {
            return;
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
            self.state.playback.discard(&active);
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
    pub(crate) fn last_of(&mut self, item: String) {
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
            // The farewell took too long to come.
            timers::ENDING => self.place_ending(),
            timers::SUSPECT => self.suspicion_confirmed(),
            _ => self.tool_timer(token),
        }
    }

    /// After every event but audio: what waited may go now, and silence may have begun or ended.
    pub(crate) fn drive(&mut self) {
        // Until the host has told what was heard of what is being cut off, the model would answer a
        // caller whom it believes to have heard all of it.
        if self.state.ready && !self.state.playback.is_flushing() {
            let State { responses, next_id, .. } = &mut self.state;
            let sent = responses.next(|| {
                *next_id = next_id.wrapping_add(1);
                format!("cb-create-{next_id}")
            });
            if let Some((id, request)) = sent {
                let mut create = json!({"type": "response.create", "event_id": id});
                if let Request::Spoken(instructions) = request {
                    create["response"] = json!({"instructions": instructions});
                }
                if self.state.responses.take_insistence() {
                    create["response"]["output_modalities"] = json!(["audio"]);
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
        let nudged_enough = self.state.idle.nudges >= idle.nudges_max;
        let wait = if nudged_enough { idle.hang_up_after_ms } else { Some(idle.nudge_after_ms) };
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
        if self.state.idle.nudges < idle.nudges_max {
            self.state.idle.nudges += 1;
            self.prompt(&idle.nudge);
            return;
        }
        match &idle.farewell {
            Some(words) => self.say_and_hang_up(words, SILENT),
            None => self.hang_up_when_played(SILENT),
        }
    }
}

/// Why the line was hung up, for the operator.
const SILENT: &str = "the caller was silent";

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
