//! The model's session, from its first configuration to its successor after a loss.

use serde_json::{Value, json};

use crate::agent::Notice;
use crate::limits::PARAMETERS_DROPPED_MAX;
use crate::responses::Wish;
use crate::session::Stage;
use crate::turns::Speaker;
use crate::wire::ErrorBody;
use crate::{Call, Dialect, Level, ModelInfo, Session, Turn};

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

    pub(crate) fn session_updated(&mut self, session: &Value) {
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

    /// A refused update is refused whole, formats included. The same without what the server named comes
    /// next, and the least that can work at last: a caller in front of a lesser agent is better off
    /// than one who hears nothing.
    pub(crate) fn session_refused(&mut self, error: &ErrorBody, minimal: bool) {
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
