//! Gives a name to what the server left without one.
//!
//! Everything behind this module tells responses, items and calls apart by their ids: which audio is
//! dead after a barge-in, which turn has ended, which call an output answers. Compatible servers send
//! null, an empty string, a number, or leave the field out, some in every event and some in a few.
//! **One rule: events come in order, so the order names what the server did not.** An id that is
//! there is never changed, save where a response was named here first and its server names it later.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::server::{Events, Malformed, ServerEvent, id_text};
use super::{Dialect, MADE_UP};
use crate::limits::{ITEMS_NAMED_MAX, TRANSCRIPTS_AWAITED_MAX};

/// Reads one session's messages in order; see [`ServerEvent::parse`] for what one message is worth.
#[derive(Debug)]
pub struct EventReader {
    dialect: Dialect,
    names: Names,
}

impl EventReader {
    /// A reader for a new session. `session` tells its made-up ids from those of other sessions of
    /// the same call, whose audio may still be playing.
    pub fn new(dialect: Dialect, session: u64) -> Self {
        Self { dialect, names: Names { session, ..Names::default() } }
    }

    /// Reads one text message; every response, item and call in it has an id.
    ///
    /// # Errors
    /// As [`ServerEvent::parse`].
    pub fn read(&mut self, text: &str) -> Result<Events, Malformed> {
        let (events, is_named) = ServerEvent::parse_noting(text, self.dialect)?;
        Ok(if is_named { events } else { self.names.give(events) })
    }
}

#[derive(Debug, Default)]
struct Names {
    session: u64,
    made: u64,
    /// The response under way.
    active: Option<String>,
    /// The response under way was made up just now, and nobody was told that it began.
    unannounced: Option<String>,
    /// The response that ended last: late pieces without a name are its.
    last: Option<String>,
    /// The latest output items, newest last.
    items: VecDeque<Item>,
    /// What the caller is saying.
    speech: Option<String>,
    /// Turns of the caller whose transcript is to come, oldest first.
    awaited: VecDeque<String>,
}

#[derive(Debug)]
struct Item {
    id: String,
    response: String,
    is_done: bool,
}

impl Names {
    fn give(&mut self, events: Events) -> Events {
        let Events { first, second } = events;
        match first {
            ServerEvent::AudioDelta { response, item, content_index, audio } => {
                let (response, item) = self.output(filled(response), filled(item));
                self.announced(ServerEvent::AudioDelta { response, item, content_index, audio })
            }
            ServerEvent::Other { kind, json } if second.is_none() => {
                let json = self.event(&kind, &json).unwrap_or(json);
                self.announced(ServerEvent::Other { kind, json })
            }
            first => Events { first, second },
        }
    }

    /// The event, behind the announcement of its response where the server made none.
    fn announced(&mut self, event: ServerEvent) -> Events {
        match self.unannounced.take() {
            Some(response) => Events { first: response_begun(&response), second: Some(event) },
            None => event.into(),
        }
    }

    /// The event with its names, or `None` when it has them already.
    fn event(&mut self, kind: &str, json: &str) -> Option<String> {
        let is_output = kind.starts_with("response.");
        if !is_output
            && !kind.starts_with("input_audio_buffer.")
            && !kind.starts_with(TRANSCRIPTION)
        {
            return None;
        }
        let Ok(Value::Object(mut event)) = serde_json::from_str(json) else { return None };
        let changed = match kind {
            "response.created" => self.response_created(&mut event),
            "response.done" => self.response_done(&mut event),
            "response.output_item.added" | "response.output_item.done" => {
                self.output_item(&mut event, kind.ends_with(".done"))
            }
            _ if is_output => {
                let (response, item) =
                    self.output(id(&event, "response_id"), id(&event, "item_id"));
                named(&mut event, "response_id", &response) | named(&mut event, "item_id", &item)
            }
            _ => self.caller_item(kind, &mut event),
        };
        changed.then(|| Value::Object(event).to_string())
    }

    fn response_created(&mut self, event: &mut Map<String, Value>) -> bool {
        let given = response_id(event);
        let id = given.unwrap_or_else(|| self.make());
        self.active = Some(id.clone());
        name_response(event, &id)
    }

    fn response_done(&mut self, event: &mut Map<String, Value>) -> bool {
        let given = response_id(event).map(|id| self.renamed(id));
        let known = given.or_else(|| self.active.clone()).or_else(|| self.last.clone());
        let id = known.unwrap_or_else(|| self.make());
        if self.active.as_ref() == Some(&id) {
            self.active = None;
        }
        self.last = Some(id.clone());
        self.items
            .iter_mut()
            .filter(|item| item.response == id)
            .for_each(|item| item.is_done = true);
        name_response(event, &id)
    }

    fn output_item(&mut self, event: &mut Map<String, Value>, is_done: bool) -> bool {
        let given = event.get("item").and_then(|item| item.get("id")).and_then(id_text);
        let response = id(event, "response_id");
        let (response, id) = match (&given, is_done) {
            // Nothing went before that this could be.
            (None, false) => {
                let response = self.response_of(response, None);
                (response.clone(), self.follow(response))
            }
            (Some(_), _) | (None, true) => self.output(response, given),
        };
        for item in self.items.iter_mut().filter(|item| is_done && item.id == id) {
            item.is_done = true;
        }
        let mut changed = named(event, "response_id", &response);
        let Some(Value::Object(item)) = event.get_mut("item") else { return changed };
        changed |= named(item, "id", &id);
        let is_call = item.get("type").is_some_and(|kind| kind == "function_call");
        if is_call {
            let call = item.get("call_id").and_then(id_text);
            // Named after its item, so that it has the same name each time it is shown.
            let call = call.unwrap_or_else(|| format!("{MADE_UP}{:x}-{id}", self.session));
            changed |= named(item, "call_id", &call);
        }
        changed
    }

    /// Names of an item of the model's, and of the response it belongs to.
    fn output(&mut self, response: Option<String>, item: Option<String>) -> (String, String) {
        let response = self.response_of(response, item.as_deref());
        let Some(item) = item else {
            let open = self.items.iter().rev().find(|item| item.response == response);
            return match open {
                Some(item) if !item.is_done || self.active.as_ref() != Some(&response) => {
                    (response, item.id.clone())
                }
                Some(_) | None => (response.clone(), self.follow(response)),
            };
        };
        if !self.items.iter().rev().any(|known| known.id == item) {
            self.add(Item { id: item.clone(), response: response.clone(), is_done: false });
        }
        (response, item)
    }

    /// The response an event belongs to: as it says, or its item's, or the one under way, or the last.
    fn response_of(&mut self, given: Option<String>, item: Option<&str>) -> String {
        if let Some(given) = given {
            return self.renamed(given);
        }
        let items = &self.items;
        let its = item.and_then(|id| items.iter().rev().find(|known| known.id == id));
        let its = its.map(|known| known.response.clone());
        if let Some(known) = its.or_else(|| self.active.clone()).or_else(|| self.last.clone()) {
            return known;
        }
        // A response that nobody announced.
        let made = self.make();
        self.active = Some(made.clone());
        self.unannounced = Some(made.clone());
        made
    }

    /// The name a response goes by: one that was named here keeps that name to its end.
    fn renamed(&self, given: String) -> String {
        match &self.active {
            Some(active) if active.starts_with(MADE_UP) => {
                let is_other = self.last.as_ref() == Some(&given)
                    || self.items.iter().any(|item| item.response == given);
                if is_other { given } else { active.clone() }
            }
            Some(_) | None => given,
        }
    }

    /// What the caller says has an id too, shared by the events about it.
    fn caller_item(&mut self, kind: &str, event: &mut Map<String, Value>) -> bool {
        let given = id(event, "item_id");
        let id = match kind {
            "input_audio_buffer.speech_started" => {
                let id = given.unwrap_or_else(|| self.make());
                self.speech = Some(id.clone());
                id
            }
            "input_audio_buffer.speech_stopped" => {
                given.or_else(|| self.speech.clone()).unwrap_or_else(|| self.make())
            }
            "input_audio_buffer.committed" => {
                let speech = self.speech.take();
                let id = given.or(speech).unwrap_or_else(|| self.make());
                if self.awaited.len() >= TRANSCRIPTS_AWAITED_MAX {
                    self.awaited.pop_front();
                }
                self.awaited.push_back(id.clone());
                // What comes now without a name is no late piece of the last response.
                self.last = None;
                id
            }
            _ if kind.starts_with(TRANSCRIPTION) => {
                let known = given.or_else(|| self.awaited.front().cloned());
                let id = known.unwrap_or_else(|| self.make());
                if kind.ends_with(".completed") || kind.ends_with(".failed") {
                    self.awaited.retain(|awaited| *awaited != id);
                }
                id
            }
            _ => return false,
        };
        named(event, "item_id", &id)
    }

    /// Follows a new item without a name of its own, and names it.
    fn follow(&mut self, response: String) -> String {
        let id = self.make();
        self.add(Item { id: id.clone(), response, is_done: false });
        id
    }

    fn add(&mut self, item: Item) {
        if self.items.len() >= ITEMS_NAMED_MAX {
            self.items.pop_front();
        }
        self.items.push_back(item);
    }

    fn make(&mut self) -> String {
        self.made += 1;
        format!("{MADE_UP}{:x}-{:x}", self.session, self.made)
    }
}

fn response_begun(id: &str) -> ServerEvent {
    let kind = "response.created".to_owned();
    let response = json!({"object": "realtime.response", "id": id, "status": "in_progress"});
    let json = json!({"type": kind, "response": response}).to_string();
    ServerEvent::Other { kind, json }
}

fn filled(id: String) -> Option<String> {
    (!id.is_empty()).then_some(id)
}

fn id(event: &Map<String, Value>, name: &str) -> Option<String> {
    event.get(name).and_then(id_text)
}

fn response_id(event: &Map<String, Value>) -> Option<String> {
    let own = event.get("response").and_then(|response| response.get("id"));
    own.and_then(id_text).or_else(|| id(event, "response_id"))
}

fn name_response(event: &mut Map<String, Value>, id: &str) -> bool {
    if !matches!(event.get("response"), Some(Value::Object(_))) {
        event.insert("response".to_owned(), json!({}));
    }
    match event.get_mut("response") {
        Some(Value::Object(response)) => named(response, "id", id),
        Some(_) | None => false,
    }
}

/// Sets the name; true when it was not there as it is.
fn named(object: &mut Map<String, Value>, name: &str, id: &str) -> bool {
    if object.get(name).is_some_and(|there| there == id) {
        return false;
    }
    object.insert(name.to_owned(), Value::from(id));
    true
}

const TRANSCRIPTION: &str = "conversation.item.input_audio_transcription.";
