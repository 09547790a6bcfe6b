//! The model's session, from its first configuration to its successor after a loss.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::agent::{Notice, timers};
use crate::limits::{PARAMETERS_DROPPED_MAX, SUSPECT_WAIT_MS};
use crate::responses::Request;
use crate::session::Stage;
use crate::turns::{Remembered, Speaker};
use crate::wire::ErrorBody;
use crate::{Call, Dialect, Level, ModelInfo, Session, Turn};

impl Call {
    pub(crate) fn model_up(&mut self, model: &ModelInfo) {
        self.state.beta = model.dialect == Dialect::Beta;
        self.state.connected = true;
        self.state.ready = false;
        self.state.voice_fixed = false;
        self.configure(false);
        // At the first session there is nothing to tell, unless something was told to nobody.
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
        self.forget_asked();
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
        if !self.forget_asked() {
            return;
        }
        self.state.ready = true;
        self.notices.push(Notice::Ready);
        let unheard = !self.state.greeted && !self.state.turns.agent_has_spoken();
        match self.session.greeting_instructions() {
            Some(greeting) if unheard => self.state.responses.request(Request::Spoken(greeting)),
            Some(_) | None if self.state.owed => self.state.responses.request(Request::Answer),
            Some(_) | None => {}
        }
        self.state.owed = false;
    }

    /// Tells a new, empty session what happened so far: what was said, what the model was told, which
    /// tools it called and what they brought. The agent's own audio cannot be put back, so its lines go
    /// as text, and only as far as the caller heard them.
    fn retell(&mut self) {
        let generation = self.state.event_id("history");
        let generation = generation.trim_start_matches("cb-history-").to_owned();
        let (items, open) = self.history(&generation);
        for item in items {
            self.send("history", json!({"type": "conversation.item.create", "item": item}));
        }
        self.set_known_calls(&open);
    }

    /// The items of that history, and the calls among them that still wait for their output.
    fn history(&self, generation: &str) -> (Vec<Value>, Vec<String>) {
        let is_open = |id: &str| self.state.tools.open().iter().any(|open| open.call_id == id);
        // Answered calls get ids of ours: the lost session's may be longer than a server takes.
        let mut answered: HashMap<&str, String> = HashMap::new();
        let (mut items, mut open) = (Vec::new(), Vec::new());
        for (at, remembered) in self.state.turns.remembered().enumerate() {
            let id = format!("cb_{generation}_{at}");
            let mut item = match remembered {
                Remembered::Said(turn) => match spoken(&turn) {
                    Some(item) => item,
                    None => continue,
                },
                Remembered::Told { role, text } => role.note(text),
                Remembered::Called { call_id, name, arguments } => {
                    let call = if is_open(call_id) {
                        if call_id.len() > OWN_ID_BYTES_MAX {
                            continue;
                        }
                        open.push(call_id.to_owned());
                        call_id.to_owned()
                    } else {
                        answered.insert(call_id, id.clone());
                        id.clone()
                    };
                    json!({"type": "function_call", "call_id": call, "name": name, "arguments": arguments})
                }
                Remembered::Answered { call_id, output } => match answered.get(call_id) {
                    Some(call) => {
                        json!({"type": "function_call_output", "call_id": call, "output": output})
                    }
                    None => continue,
                },
            };
            item["id"] = Value::String(id);
            items.push(item);
        }
        (items, open)
    }

    /// No answer to a `session.update` is awaited any more; true when one was.
    fn forget_asked(&mut self) -> bool {
        if self.state.suspect.take().is_some() {
            self.untimer(timers::SUSPECT);
        }
        self.state.asked.take().is_some()
    }

    /// Takes an error that may be about the `session.update` under way; true when it is.
    ///
    /// One that names neither an event nor a parameter is about it if no confirmation follows: servers
    /// answer in order, and this was the first thing they were asked.
    pub(crate) fn session_error(&mut self, error: &ErrorBody) -> bool {
        let Some((asked, minimal)) = self.state.asked.clone() else { return false };
        let ours = error.event_id.as_deref().filter(|id| id.starts_with("cb-"));
        let param = error.param.clone().or_else(|| named_parameter(error.message.as_deref()?));
        let of_session = |param: &str| {
            param.starts_with("session")
                || Session::drop_parameter(&mut self.session_json(Stage::Fresh), param)
        };
        let message = error.message.clone().unwrap_or_default();
        match (ours, &param) {
            (Some(named), _) if named != asked => return false,
            (Some(_), _) => {}
            (None, Some(param)) if of_session(param) => {}
            (None, Some(param)) if OTHERS.iter().any(|other| param.starts_with(other)) => {
                return false;
            }
            (None, _) => {
                self.state.suspect = Some((message, param));
                self.timer_at(timers::SUSPECT, SUSPECT_WAIT_MS);
                return false;
            }
        }
        self.forget_asked();
        self.session_refused(&message, param.as_deref(), minimal);
        true
    }

    /// No confirmation followed the error.
    pub(crate) fn suspicion_confirmed(&mut self) {
        let Some((message, param)) = self.state.suspect.take() else { return };
        let Some((_, minimal)) = self.state.asked.take() else { return };
        self.session_refused(&message, param.as_deref(), minimal);
    }

    /// A refused update is refused whole, formats included. The same without what the server named comes
    /// next, and the least that can work at last: a caller in front of a lesser agent is better off
    /// than one who hears nothing.
    fn session_refused(&mut self, message: &str, param: Option<&str>, minimal: bool) {
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

/// A line of the transcript as an item; `None` when nobody heard a word of it.
fn spoken(turn: &Turn) -> Option<Value> {
    let (role, kind, text) = match turn.speaker {
        Speaker::Caller => ("user", "input_text", turn.text.as_str()),
        Speaker::Agent => ("assistant", "output_text", turn.heard_text()),
    };
    let content = json!([{"type": kind, "text": text}]);
    (!text.is_empty()).then(|| json!({"type": "message", "role": role, "content": content}))
}

/// The session's parameter that an error's words name, for a server that names it nowhere else.
fn named_parameter(message: &str) -> Option<String> {
    let named = &message[message.find("session.")?..];
    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '[' | ']');
    let end = named.find(|c| !is_path(c)).unwrap_or(named.len());
    let path = named[..end].trim_end_matches('.');
    (path.len() > "session.".len()).then(|| path.to_owned())
}

/// Parameters of events that are not a `session.update`.
const OTHERS: [&str; 5] = ["item", "previous_item_id", "content_index", "audio_end_ms", "response"];

/// The server takes ids of ours up to this length; its own may be longer.
const OWN_ID_BYTES_MAX: usize = 32;
