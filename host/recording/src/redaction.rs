//! What a recording leaves out, where its operator or tenant wants less kept.
//!
//! **One rule: what is left out is replaced by as much of nothing.** Audio becomes silence of the same length, a
//! string of JSON becomes its length in words, so a redacted call still has its events, times and amounts, and can be replayed:
//! what the replay answers is redacted in the same way before the two are compared. States may quote anything, so
//! any redaction withholds them.

use std::borrow::Cow;

use cordboard_call::contract::{Action, Event, HangUp, HttpRequest, HttpResponse, Publication};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::{Bytes, Failure};

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Redaction {
    /// Both voices.
    #[serde(default)]
    pub audio: bool,
    /// What was said, pressed, asked of tools and published, as text.
    #[serde(default)]
    pub transcripts: bool,
}

/// What audio is replaced by: no sound in mu-law, next to none in PCM16, and a constant in A-law.
const SILENCE: u8 = 0xff;

/// Keys of the model's events whose strings stay: the protocol's own words and ids. Any other string may be
/// somebody's words, and in a tenant's own JSON every string may.
const PROTOCOL: [&str; 16] = [
    "type",
    "event_id",
    "id",
    "item_id",
    "previous_item_id",
    "response_id",
    "call_id",
    "object",
    "role",
    "status",
    "voice",
    "model",
    "format",
    "code",
    "modality",
    "output_modalities",
];

impl Redaction {
    /// Whether anything is left out.
    #[must_use]
    pub fn is_any(self) -> bool {
        self.audio || self.transcripts
    }

    /// What a recording with this redaction can not prove any more.
    #[must_use]
    pub fn unprovable(self) -> Vec<&'static str> {
        let audio = "audio: only its amounts are compared, and every event's audio is silence";
        let words = "words: only the structure of JSON is compared, and a tenant that acts on what it reads acts differently";
        let states = "states: an instance that took over from a saved state is not replayed";
        let lines = [(self.audio, audio), (self.transcripts, words), (self.is_any(), states)];
        lines.into_iter().filter_map(|(applies, line)| applies.then_some(line)).collect()
    }

    /// An event without what is to be left out.
    #[must_use]
    pub fn event(self, event: &Event) -> Cow<'_, Event> {
        let redacted = match event {
            Event::CallerAudio(audio) if self.audio => Event::CallerAudio(silence(audio)),
            Event::ModelAudio(audio) if self.audio => {
                let mut audio = audio.clone();
                audio.data.fill(SILENCE);
                Event::ModelAudio(audio)
            }
            Event::CallerKey(keys) if self.transcripts => Event::CallerKey(stars(keys)),
            Event::ModelEvent(json) if self.transcripts => {
                Event::ModelEvent(structure(json, &PROTOCOL))
            }
            Event::Command(json) if self.transcripts => Event::Command(structure(json, &[])),
            Event::HttpDone(response) if self.transcripts => Event::HttpDone(HttpResponse {
                headers: names(&response.headers),
                body: blank(&response.body),
                ..response.clone()
            }),
            other => return Cow::Borrowed(other),
        };
        Cow::Owned(redacted)
    }

    /// Actions without what is to be left out.
    #[must_use]
    pub fn actions(self, actions: &[Action]) -> Cow<'_, [Action]> {
        if !self.is_any() {
            return Cow::Borrowed(actions);
        }
        Cow::Owned(actions.iter().map(|action| self.action(action)).collect())
    }

    fn action(self, action: &Action) -> Action {
        match action {
            Action::Play(play) if self.audio => {
                let mut play = play.clone();
                play.audio.fill(SILENCE);
                Action::Play(play)
            }
            Action::ModelAudio(audio) if self.audio => Action::ModelAudio(silence(audio)),
            Action::ModelEvent(json) if self.transcripts => {
                Action::ModelEvent(structure(json, &PROTOCOL))
            }
            Action::Publish(publication) if self.transcripts => Action::Publish(Publication {
                topic: publication.topic.clone(),
                json: structure(&publication.json, &[]),
            }),
            Action::Http(request) if self.transcripts => Action::Http(HttpRequest {
                url: request.url.split('?').next().unwrap_or_default().to_owned(),
                headers: names(&request.headers),
                body: blank(&request.body),
                ..request.clone()
            }),
            Action::HangUp(hang_up) if self.transcripts => {
                Action::HangUp(HangUp { reason: length(&hang_up.reason), ..hang_up.clone() })
            }
            Action::SendKeys(keys) if self.transcripts => Action::SendKeys(stars(keys)),
            other => other.clone(),
        }
    }

    /// A state, unless it may quote what is to be left out.
    #[must_use]
    pub fn state(self, state: &[u8]) -> Bytes<'_> {
        if self.is_any() {
            Bytes::Withheld(state.len() as u64)
        } else {
            Bytes::Kept(Cow::Borrowed(state))
        }
    }

    /// Why a tenant refused a state, in its own words, which may quote it.
    #[must_use]
    pub fn refusal(self, refusal: &str) -> String {
        if self.is_any() { length(refusal) } else { refusal.to_owned() }
    }

    /// A failure; its words may be a tenant's, and quote the call.
    #[must_use]
    pub fn failure(self, failure: Failure) -> Failure {
        if self.transcripts {
            Failure { message: length(&failure.message), ..failure }
        } else {
            failure
        }
    }
}

fn silence(audio: &[u8]) -> Vec<u8> {
    vec![SILENCE; audio.len()]
}

fn blank(body: &[u8]) -> Vec<u8> {
    vec![b'?'; body.len()]
}

fn stars(keys: &str) -> String {
    "*".repeat(keys.len())
}

fn length(text: &str) -> String {
    format!("[{} characters]", text.chars().count())
}

fn names(headers: &[(String, String)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.clone(), length(value))).collect()
}

/// JSON with every string replaced by its length, save those under a key that is `kept`. Numbers, truth values and
/// keys stay; what is no JSON becomes one string.
fn structure(json: &str, kept: &[&str]) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(json) else {
        return Value::String(length(json)).to_string();
    };
    strip(&mut value, kept, false);
    value.to_string()
}

fn strip(value: &mut Value, kept: &[&str], stays: bool) {
    match value {
        Value::String(text) if !stays => *text = length(text),
        Value::Array(values) => values.iter_mut().for_each(|value| strip(value, kept, stays)),
        Value::Object(fields) => {
            for (key, value) in fields {
                strip(value, kept, kept.contains(&key.as_str()));
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
