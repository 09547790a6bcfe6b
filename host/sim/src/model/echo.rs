//! The echoing model: every piece of the caller's audio comes back at once, in one endless response.
//!
//! For measuring. The path of a frame builds no JSON tree: the audio is found in the text, checked by nobody, and put into a text made
//! beforehand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde::Deserialize;
use serde_json::{Value, json};

use super::engine::id_of;
use super::format::Format;
use super::session::{Session, from_beta};
use super::{Dialect, client};

/// One echoing session.
#[derive(Debug)]
pub struct Echo {
    dialect: Dialect,
    session: Session,
    begun: bool,
    conversion: Option<(Format, Format)>,
    prefix: String,
    response: Value,
    item: Value,
    events: u64,
}

#[derive(Deserialize)]
struct Append<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    audio: &'a str,
}

impl Echo {
    /// Opens a session and returns it with the texts to send first.
    pub fn new(dialect: Dialect, model: &str, unix_seconds: u64, seed: u64) -> (Self, Vec<String>) {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut id = |prefix: &str| id_of(prefix, &mut random);
        let (response_id, item_id) = (id("resp"), id("item"));
        let name = match dialect {
            Dialect::Ga => "response.output_audio.delta",
            Dialect::Beta => "response.audio.delta",
        };
        let mut echo = Self {
            dialect,
            session: Session::new(&id("sess"), model, unix_seconds + 3600),
            begun: false,
            conversion: None,
            prefix: format!(
                r#"{{"type":"{name}","response_id":"{response_id}","item_id":"{item_id}","output_index":0,"content_index":0,"event_id":"event_"#
            ),
            response: json!({
                "object": "realtime.response", "id": response_id, "status": "in_progress", "status_details": null,
                "output": [], "conversation_id": id("conv"), "usage": null, "metadata": null,
            }),
            item: json!({
                "id": item_id, "object": "realtime.item", "type": "message", "status": "in_progress",
                "role": "assistant", "content": [],
            }),
            events: 0,
        };
        let shown = echo.shown();
        let created = echo.event(json!({ "type": "session.created", "session": shown }));
        (echo, created)
    }

    /// Takes a message and adds what is to be sent to `out`. Returns the bytes of audio in it.
    pub fn text(&mut self, text: &str, out: &mut Vec<String>) -> usize {
        if let Ok(append) = serde_json::from_str::<Append<'_>>(text)
            && append.kind == "input_audio_buffer.append"
        {
            self.begin(out);
            let returned = self.returned(append.audio);
            self.events += 1;
            let audio = returned.as_deref().unwrap_or(append.audio);
            let mut delta = String::with_capacity(self.prefix.len() + audio.len() + 40);
            delta.push_str(&self.prefix);
            delta.push_str(&self.events.to_string());
            delta.push_str("\",\"delta\":\"");
            delta.push_str(audio);
            delta.push_str("\"}");
            out.push(delta);
            return append.audio.len() / 4 * 3;
        }
        match client::read(text, self.dialect) {
            Err(refusal) => out.extend(self.event(refusal.event(None))),
            Ok(event) if event["type"] == "session.update" => {
                let update = match self.dialect {
                    Dialect::Ga => event["session"].clone(),
                    Dialect::Beta => from_beta(&event["session"]),
                };
                match self.session.update(&update, false) {
                    Err(refusal) => out.extend(self.event(refusal.event(None))),
                    Ok(()) => {
                        let (input, output) =
                            (self.session.input_format(), self.session.output_format());
                        self.conversion = (input != output).then_some((input, output));
                        let shown = self.shown();
                        out.extend(
                            self.event(json!({ "type": "session.updated", "session": shown })),
                        );
                    }
                }
            }
            Ok(event) if event["type"] == "response.create" => self.begin(out),
            Ok(_) => {}
        }
        0
    }

    /// Converts between formats of the same rate; between rates nothing can be echoed, and silence of the right length is.
    fn returned(&self, audio: &str) -> Option<String> {
        let (input, output) = self.conversion?;
        let samples = input.decode(&STANDARD.decode(audio).unwrap_or_default());
        let returned = if input.rate() == output.rate() {
            samples
        } else {
            vec![0; samples.len() * output.rate() as usize / input.rate() as usize]
        };
        Some(STANDARD.encode(output.encode(&returned)))
    }

    fn begin(&mut self, out: &mut Vec<String>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let (response, item) = (self.response.clone(), self.item.clone());
        let (response_id, item_id) = (response["id"].clone(), item["id"].clone());
        for event in [
            json!({ "type": "response.created", "response": response }),
            json!({ "type": "response.output_item.added", "response_id": response_id, "output_index": 0, "item": item }),
            json!({ "type": "conversation.item.added", "item": item, "previous_item_id": null }),
            json!({
                "type": "response.content_part.added", "response_id": response_id, "item_id": item_id,
                "output_index": 0, "content_index": 0, "part": { "type": "audio", "transcript": "" },
            }),
        ] {
            out.extend(self.event(event));
        }
    }

    fn shown(&self) -> Value {
        match self.dialect {
            Dialect::Ga => self.session.ga(),
            Dialect::Beta => self.session.beta(),
        }
    }

    fn event(&mut self, mut event: Value) -> Vec<String> {
        self.events += 1;
        event["event_id"] = json!(format!("event_{}", self.events));
        let event = match self.dialect {
            Dialect::Ga => Some(event),
            Dialect::Beta => super::dialect::to_beta(event),
        };
        event.into_iter().map(|event| event.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_comes_back_unchanged_in_one_response() {
        let (mut echo, first) = Echo::new(Dialect::Ga, "m", 0, 1);
        assert!(first[0].contains("session.created"));
        let mut out = Vec::new();
        let append = r#"{"type":"input_audio_buffer.append","audio":"AQIDBA=="}"#;
        echo.text(append, &mut out);
        echo.text(append, &mut out);
        let events: Vec<Value> = out.iter().map(|t| serde_json::from_str(t).unwrap()).collect();
        assert_eq!(events[0]["type"], "response.created");
        assert_eq!(events[4]["type"], "response.output_audio.delta");
        assert_eq!(events[4]["delta"], "AQIDBA==");
        assert_eq!(events[5]["delta"], "AQIDBA==");
        assert_eq!(events.len(), 6);
    }
}
