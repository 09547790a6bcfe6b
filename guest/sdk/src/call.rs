//! The handle a tenant works with: what is known of the call, and the verbs.
//!
//! A verb only notes an action; the host carries all of an event's actions out, in order, after the
//! tenant has answered.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ending::{Ending, What};
use crate::limits::{FAREWELL_MS_MAX, TOKEN_RESERVED};
use crate::paths::{Paths, UnknownFormat};
use crate::responses::Request;
use crate::session::ModelAudioFormat;
use crate::state::State;
use crate::{
    Action, CallInfo, Encoding, HangUp, HangUpWhen, HttpRequest, Level, Play, Publication, Session,
    Timer, Transfer, Turn,
};

/// One telephone call, as its tenant sees it.
pub struct Call {
    pub(crate) info: CallInfo,
    pub(crate) now: u64,
    pub(crate) session: Session,
    pub(crate) paths: Paths,
    pub(crate) state: State,
    pub(crate) actions: Vec<Action>,
    pub(crate) notices: Vec<crate::agent::Notice>,
}

/// Who a text in the conversation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The caller, for example their keys.
    User,
    /// The operator: a note the model should heed.
    System,
}

impl Role {
    /// A text of theirs as an item of the conversation.
    pub(crate) fn note(self, text: &str) -> Value {
        let role = match self {
            Role::User => "user",
            Role::System => "system",
        };
        let content = json!([{"type": "input_text", "text": text}]);
        json!({"type": "message", "role": role, "content": content})
    }
}

/// Whether the event asks for a response that nobody is to hear.
fn is_soundless_create(event: &Value) -> bool {
    let response = &event["response"];
    let modes = response["output_modalities"].as_array();
    event["type"] == "response.create"
        && (response["conversation"] == "none"
            || modes.is_some_and(|modes| !modes.iter().any(|mode| mode == "audio")))
}

/// What is known.
impl Call {
    /// Who calls whom, and the tenant's settings.
    pub fn info(&self) -> &CallInfo {
        &self.info
    }

    /// Milliseconds since the call began.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The agent as it is configured.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What was said so far, oldest first; bounded by [`limits`](crate::limits).
    pub fn turns(&self) -> impl Iterator<Item = Turn> + '_ {
        self.state.turns.lines()
    }

    /// True while the caller may still be hearing the agent.
    pub fn agent_is_audible(&self) -> bool {
        self.state.playback.is_unplayed()
    }

    /// True between the start and the end of the caller's speech, as the model server hears it.
    pub fn caller_is_speaking(&self) -> bool {
        self.state.responses.caller_speaks()
    }

    /// True once the model's session is configured.
    pub fn model_is_ready(&self) -> bool {
        self.state.ready
    }
}

/// Talking.
impl Call {
    /// Has the agent say exactly these words, after whatever it is saying now.
    pub fn say(&mut self, words: &str) {
        self.state.responses.request(Request::Spoken(self.session.saying(words)));
    }

    /// Has the agent speak by these instructions, after whatever it is saying now.
    pub fn prompt(&mut self, instructions: &str) {
        self.state.responses.request(Request::Spoken(self.session.prompting(instructions)));
    }

    /// Has the agent answer what is in the conversation by now.
    pub fn respond(&mut self) {
        self.state.responses.request(Request::Answer);
    }

    /// Adds a text to the conversation, without asking for an answer. A session that takes the place of
    /// a lost one is told of it too; while there is none, the next one is.
    pub fn tell(&mut self, role: Role, text: &str) {
        self.state.turns.told(role, text);
        if self.state.connected {
            self.send("item", json!({"type": "conversation.item.create", "item": role.note(text)}));
        }
    }

    /// Plays audio of the tenant's own, in the line's format. `last` ends the item: only then is it
    /// reported as heard.
    pub fn play(&mut self, item: &str, audio: Vec<u8>, last: bool) {
        self.state.playback.own(item, last);
        self.actions.push(Action::Play(Play { item: item.to_owned(), audio, last }));
    }

    /// Stops whatever the caller is hearing and tells the model how much was heard; nothing happens
    /// when nothing is unplayed.
    pub fn flush(&mut self) {
        self.cut_off();
    }

    /// Hands audio of the line to the model, in the line's format, as if it had just come: what was withheld
    /// and turned out to matter.
    pub fn model_hears(&mut self, audio: &[u8]) {
        self.caller_audio_in(audio.to_vec());
    }

    /// Asks to be told once everything played so far was heard.
    pub fn mark(&mut self, name: &str) {
        self.actions.push(Action::Mark(name.to_owned()));
    }

    /// Takes a line of the caller back, as if it had not been said: from the model's conversation and from
    /// what a new session would be told. For what a guard of [`blocks`](crate::blocks) has recognised as nobody's words.
    pub fn strike(&mut self, item: &str) {
        self.state.turns.strike(item);
        self.send("history", json!({"type": "conversation.item.delete", "item_id": item}));
    }

    /// Sends any client event; an `event_id` is added where it has none.
    pub fn model_event(&mut self, event: Value) {
        self.state.soundless_asked |= is_soundless_create(&event);
        self.send("own", event);
    }

    /// Changes the agent from here on. A voice cannot change once the agent has spoken.
    pub fn update_session(&mut self, change: impl FnOnce(&mut Session)) {
        change(&mut self.session);
        self.state.update_due = true;
        self.refresh_session();
    }
}

/// The call itself.
impl Call {
    /// Hangs up at once.
    pub fn hang_up(&mut self, reason: &str) {
        self.state.responses.clear();
        let reason = reason.to_owned();
        self.actions.push(Action::HangUp(HangUp { when: HangUpWhen::Now, deadline_ms: 0, reason }));
    }

    /// Hangs up once everything said so far was heard; a caller who interrupts keeps the line.
    pub fn hang_up_when_played(&mut self, reason: &str) {
        self.end(Ending::new(What::HangUp { reason: reason.to_owned() }));
    }

    /// Has the agent say these words, then hangs up once they were heard.
    pub fn say_and_hang_up(&mut self, words: &str, reason: &str) {
        self.say(words);
        self.end(Ending::after_farewell(What::HangUp { reason: reason.to_owned() }));
    }

    /// Puts the caller through, to E.164 or `sip:`, once everything said so far was heard.
    pub fn transfer(&mut self, to: &str, caller_id: Option<&str>) {
        let (to, caller_id) = (to.to_owned(), caller_id.map(str::to_owned));
        self.end(Ending::new(What::Transfer { to, caller_id }));
    }

    /// Gives up a hang-up or transfer that still waits.
    pub fn stay(&mut self) {
        self.cancel_ending();
    }

    /// Presses keys towards the far end: `0`-`9`, `*`, `#`, `A`-`D`, `w` waits half a second.
    pub fn send_keys(&mut self, keys: &str) {
        self.actions.push(Action::SendKeys(keys.to_owned()));
    }
}

/// The world outside.
impl Call {
    /// Publishes a JSON value under a topic of lower-case words with dots.
    pub fn publish(&mut self, topic: &str, value: &Value) {
        let (topic, json) = (topic.to_owned(), value.to_string());
        self.actions.push(Action::Publish(Publication { topic, json }));
    }

    /// Sets a timer, or moves it if the token is in use. Tokens from
    /// [`TOKEN_RESERVED`] up are the SDK's own and are lowered into the tenant's range.
    pub fn set_timer(&mut self, token: u64, after_ms: u64) {
        self.timer_at(token % TOKEN_RESERVED, after_ms);
    }

    /// Sets a timer to a time of the call, or cancels it: what a [building block](crate::blocks) wants after every event.
    pub fn wake_at(&mut self, token: u64, at_ms: Option<u64>) {
        match at_ms {
            Some(at) => self.set_timer(token, at.saturating_sub(self.now)),
            None => self.cancel_timer(token),
        }
    }

    /// Cancels a timer; nothing happens if it is not set.
    pub fn cancel_timer(&mut self, token: u64) {
        self.actions.push(Action::CancelTimer(token % TOKEN_RESERVED));
    }

    /// Makes an HTTP request; the answer comes to [`Tenant::http`](crate::Tenant::http).
    pub fn http(&mut self, mut request: HttpRequest) {
        request.token %= TOKEN_RESERVED;
        self.actions.push(Action::Http(request));
    }

    /// Writes to the tenant's log.
    pub fn log(&self, level: Level, message: &str) {
        crate::log(level, message);
    }
}

/// Inside.
impl Call {
    pub(crate) fn new(
        now: u64,
        info: CallInfo,
        session: Session,
        format: Option<ModelAudioFormat>,
    ) -> Call {
        let wanted = format.unwrap_or(session.audio.into());
        let paths = Paths::new(info.format, wanted, session.profile, session.path);
        let (paths, format, known) = match paths {
            Ok((paths, format)) => (paths, format, true),
            Err(UnknownFormat) => (Paths::Same, ModelAudioFormat::Pcmu, false),
        };
        let state = State::new(format, info.restarted);
        let (actions, notices) = (Vec::new(), Vec::new());
        let mut call = Call { info, now, session, paths, state, actions, notices };
        if !known {
            let format = call.info.format;
            let reason = format!("{format:?} is no line format this SDK can convert");
            call.publish("call.failed", &json!({"reason": reason}));
            call.hang_up("unknown audio format");
        }
        call
    }

    /// Sends a client event under an id of ours, so that an error can be attributed.
    pub(crate) fn send(&mut self, kind: &str, mut event: Value) -> String {
        let id = self.state.event_id(kind);
        if let Value::Object(fields) = &mut event {
            fields.entry("event_id").or_insert_with(|| Value::String(id.clone()));
        }
        self.actions.push(Action::ModelEvent(event.to_string()));
        id
    }

    pub(crate) fn timer_at(&mut self, token: u64, after_ms: u64) {
        let at = self.now.saturating_add(after_ms);
        self.actions.push(Action::SetTimer(Timer { token, at }));
    }

    pub(crate) fn untimer(&mut self, token: u64) {
        self.actions.push(Action::CancelTimer(token));
    }

    /// Three short tones that mean "this does not work" without a word of any language, then silence.
    pub(crate) fn play_failure_tone(&mut self) {
        let format = self.info.format;
        if format.sample_rate > LINE_RATE_MAX {
            return;
        }
        let pcm = crate::tone::three_beeps(format.sample_rate);
        let audio = match format.encoding {
            Encoding::Mulaw => cordboard_audio::encode_twilio_audio(&pcm),
            Encoding::Pcm16 => pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
            // There is no A-law encoder here; the hang-up that follows must do.
            Encoding::Alaw => return,
        };
        self.play("cordboard.tone", audio, true);
    }

    pub(crate) fn hang_up_action(reason: &str) -> Action {
        let reason = reason.to_owned();
        Action::HangUp(HangUp {
            when: HangUpWhen::WhenPlayed,
            deadline_ms: FAREWELL_MS_MAX,
            reason,
        })
    }

    pub(crate) fn transfer_action(to: &str, caller_id: Option<&str>) -> Action {
        Action::Transfer(Transfer { to: to.to_owned(), caller_id: caller_id.map(str::to_owned) })
    }
}

/// No line is sampled faster; a number beyond it is nobody's rate.
const LINE_RATE_MAX: u32 = 48_000;
