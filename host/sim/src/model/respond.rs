//! Giving a response: from `response.created` through its items to `response.done`, whatever happens in between.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::conversation::{Item, assistant_message};
use super::engine::{Engine, id_of};
use super::refusal::Refusal;
use super::script::Outcome;
use super::speaking::{Mode, Output, OutputKind, Speaking, Step};

impl Engine {
    /// Begins a response; one at a time.
    pub(super) fn respond(&mut self, now: Duration, options: &Value) -> Result<(), Refusal> {
        if let Some(active) = &self.speaking {
            let message = format!(
                "Conversation already has an active response in progress: {}. Wait until the response is finished before creating a new one.",
                active.id
            );
            let code = "conversation_already_has_active_response";
            return Err(Refusal::new(code, None, message));
        }
        self.idle_at = None;
        let in_conversation = options["conversation"] != "none";
        let answer = self.answer();
        let spoken = match options["output_modalities"][0].as_str() {
            Some(modality) => modality == "audio",
            None => self.session.speaks(),
        };
        let mode =
            Mode { speed: self.config.speed, format: self.session.output_format(), speaks: spoken };
        let id = self.id("resp");
        let mut ids = SmallRng::from_rng(&mut self.random);
        let mut speaking =
            Speaking::plan(id, &answer, mode, now, &mut self.random, |p| id_of(p, &mut ids));
        speaking.in_conversation = in_conversation;
        speaking.metadata = options["metadata"].clone();
        let response = self.response_object(&speaking, "in_progress", Value::Null);
        self.speaking = Some(speaking);
        self.say(json!({ "type": "response.created", "response": response }));
        Ok(())
    }

    /// Sends everything that has fallen due.
    pub(super) fn respond_due(&mut self, now: Duration) {
        loop {
            let Some(speaking) = &mut self.speaking else { return };
            match speaking.steps.front() {
                Some((at, _)) if *at <= now => {}
                _ => return,
            }
            let (_, step) = speaking.steps.pop_front().expect("front was just looked at");
            self.perform(now, step);
        }
    }

    /// Sends a few more pieces of sound that were on their way when the caller interrupted.
    pub(super) fn respond_late(&mut self, most: usize) {
        for _ in 0..most {
            let Some(speaking) = &mut self.speaking else { return };
            let open = |n: usize| speaking.outputs[n].open;
            let next = speaking
                .steps
                .iter()
                .position(|(_, step)| matches!(step, Step::Sound(n, _) if open(*n)));
            let Some(next) = next else { return };
            if let Some((_, step)) = speaking.steps.remove(next) {
                self.perform(Duration::ZERO, step);
            }
        }
    }

    /// Ends the active response before its time.
    pub(super) fn cancel(&mut self, now: Duration, reason: &str) {
        let Some(mut speaking) = self.speaking.take() else { return };
        speaking.steps.clear();
        for n in 0..speaking.outputs.len() {
            if speaking.outputs[n].open {
                self.end_item(&mut speaking, n, "incomplete");
            }
        }
        let details = json!({ "type": "cancelled", "reason": reason });
        self.finish(now, &speaking, "cancelled", details);
    }

    fn perform(&mut self, now: Duration, step: Step) {
        let Some(mut speaking) = self.speaking.take() else { return };
        match step {
            Step::Begin(n) => self.begin_item(&mut speaking, n),
            Step::Words(n, words) => {
                let spoken = has_sound(&speaking.outputs[n]);
                let kind = if spoken {
                    "response.output_audio_transcript.delta"
                } else {
                    "response.output_text.delta"
                };
                let mut event = part_event(kind, &speaking, n);
                event["delta"] = json!(words);
                self.obscure(&mut event);
                speaking.outputs[n].words.push_str(&words);
                self.say(event);
            }
            Step::Sound(n, range) => self.sound(&mut speaking, n, range),
            Step::Arguments(n, piece) => {
                let mut event = call_event("response.function_call_arguments.delta", &speaking, n);
                event["delta"] = json!(piece);
                self.obscure(&mut event);
                speaking.outputs[n].arguments_sent.push_str(&piece);
                self.say(event);
            }
            Step::End(n) => {
                let half = speaking.outcome == Outcome::OutOfTokens;
                let status = if half { "incomplete" } else { "completed" };
                self.end_item(&mut speaking, n, status);
            }
            Step::Finish => {
                let (status, details) = match &speaking.outcome {
                    Outcome::Complete | Outcome::BreakConnection => ("completed", Value::Null),
                    Outcome::OutOfTokens => (
                        "incomplete",
                        json!({ "type": "incomplete", "reason": "max_output_tokens" }),
                    ),
                    Outcome::Fail(code) => (
                        "failed",
                        json!({ "type": "failed", "error": {
                            "type": "invalid_request_error", "code": code, "message": format!("The response failed: {code}."),
                        } }),
                    ),
                };
                self.finish(now, &speaking, status, details);
                return;
            }
            Step::Break => {
                self.break_off();
                return;
            }
        }
        self.speaking = Some(speaking);
    }

    fn begin_item(&mut self, speaking: &mut Speaking, n: usize) {
        speaking.outputs[n].open = true;
        let item_id = speaking.outputs[n].item_id.clone();
        let item = match &speaking.outputs[n].kind {
            OutputKind::Message { .. } => assistant_message(&item_id),
            OutputKind::Call { call_id, name, .. } => json!({
                "id": item_id,
                "object": "realtime.item",
                "type": "function_call",
                "status": "in_progress",
                "name": name,
                "call_id": call_id,
                "arguments": "",
            }),
        };
        self.say(json!({
            "type": "response.output_item.added",
            "response_id": speaking.id,
            "output_index": n,
            "item": item,
        }));
        if speaking.in_conversation {
            let message = matches!(speaking.outputs[n].kind, OutputKind::Message { .. });
            let audio_ms = message.then_some(0.0);
            let previous = self.conversation.push(Item { value: item.clone(), audio_ms });
            self.say(json!({
                "type": "conversation.item.added",
                "item": item,
                "previous_item_id": previous,
            }));
        }
        if let OutputKind::Message { .. } = speaking.outputs[n].kind {
            let mut event = part_event("response.content_part.added", speaking, n);
            event["part"] = part(&speaking.outputs[n]);
            self.say(event);
        }
    }

    fn sound(&mut self, speaking: &mut Speaking, n: usize, range: std::ops::Range<usize>) {
        let OutputKind::Message { sound } = &speaking.outputs[n].kind else { return };
        let mut event = part_event("response.output_audio.delta", speaking, n);
        event["delta"] = json!(STANDARD.encode(&sound[range.clone()]));
        let ms = self.session.output_format().duration_ms(range.len());
        speaking.outputs[n].sound_sent += range.len();
        if let Some(item) = self.conversation.item_mut(&speaking.outputs[n].item_id) {
            item.audio_ms = Some(item.audio_ms.unwrap_or(0.0) + ms);
        }
        self.obscure(&mut event);
        self.say(event);
    }

    fn end_item(&mut self, speaking: &mut Speaking, n: usize, status: &str) {
        speaking.outputs[n].open = false;
        let output = speaking.outputs[n].clone();
        match &output.kind {
            OutputKind::Message { .. } if has_sound(&output) => {
                let done = part_event("response.output_audio.done", speaking, n);
                self.say(done);
                let mut done = part_event("response.output_audio_transcript.done", speaking, n);
                done["transcript"] = json!(output.words);
                self.say(done);
            }
            OutputKind::Message { .. } => {
                let mut done = part_event("response.output_text.done", speaking, n);
                done["text"] = json!(output.words);
                self.say(done);
            }
            OutputKind::Call { name, .. } => {
                let mut done = call_event("response.function_call_arguments.done", speaking, n);
                done["arguments"] = json!(output.arguments_sent);
                done["name"] = json!(name);
                self.say(done);
            }
        }
        if let OutputKind::Message { .. } = output.kind {
            let mut done = part_event("response.content_part.done", speaking, n);
            done["part"] = part(&output);
            self.say(done);
        }
        let item = finished_item(&output, status);
        let item_done = json!({
            "type": "response.output_item.done",
            "response_id": speaking.id,
            "output_index": n,
            "item": item,
        });
        let mut events = vec![item_done];
        if speaking.in_conversation {
            if let Some(known) = self.conversation.item_mut(&output.item_id) {
                known.value = item.clone();
            }
            let previous = self.conversation.previous_id(&output.item_id).map(str::to_owned);
            events.push(json!({
                "type": "conversation.item.done", "item": item, "previous_item_id": previous,
            }));
        }
        // Both orders have been seen live.
        if self.random.random_bool(0.5) {
            events.reverse();
        }
        for event in events {
            self.say(event);
        }
    }

    fn finish(&mut self, now: Duration, speaking: &Speaking, status: &str, details: Value) {
        let calls = speaking.outputs.iter().any(|o| matches!(o.kind, OutputKind::Call { .. }));
        if calls && status == "completed" {
            self.after_tools = speaking.after_tools.clone().map(|answer| *answer);
            self.tools_answered = false;
        }
        let mut response = self.response_object(speaking, status, details);
        response["usage"] = self.usage(speaking);
        self.say(json!({ "type": "response.done", "response": response }));
        if self.config.rate_limits {
            self.say(json!({
                "type": "rate_limits.updated",
                "rate_limits": [
                    { "name": "tokens", "limit": 40000, "remaining": 39000, "reset_seconds": 1.5 },
                ],
            }));
        }
        let sent: usize = speaking.outputs.iter().map(|output| output.sound_sent).sum();
        let playback_ms = self.session.output_format().duration_ms(sent);
        self.idle_at =
            self.session.turn_detection().and_then(|turns| turns.idle_timeout_ms).map(|ms| {
                now + Duration::from_millis(ms) + Duration::from_secs_f64(playback_ms / 1e3)
            });
    }

    fn response_object(&self, speaking: &Speaking, status: &str, details: Value) -> Value {
        let output: Vec<Value> = speaking
            .outputs
            .iter()
            .filter(|output| output.open || !untouched(output))
            .map(|output| {
                let complete = status == "completed";
                finished_item(output, if complete { "completed" } else { "incomplete" })
            })
            .collect();
        let modality = if self.session.speaks() { "audio" } else { "text" };
        json!({
            "object": "realtime.response",
            "id": speaking.id,
            "status": status,
            "status_details": details,
            "output": if status == "in_progress" { Vec::new() } else { output },
            "conversation_id": if speaking.in_conversation { json!(self.conversation_id) } else { Value::Null },
            "output_modalities": [modality],
            "max_output_tokens": "inf",
            "audio": { "output": {
                "format": self.session.output_format().to_ga(), "voice": self.session.voice(),
            } },
            "usage": null,
            "metadata": speaking.metadata,
        })
    }

    /// Counts tokens as the service does: input audio 1 per 100 ms, output audio 1 per 50 ms.
    fn usage(&self, speaking: &Speaking) -> Value {
        let format = self.session.output_format();
        let sent: usize = speaking.outputs.iter().map(|output| output.sound_sent).sum();
        let audio_out = (format.duration_ms(sent) / 50.0).ceil() as u64;
        let text_out: usize =
            speaking.outputs.iter().map(|o| o.words.len() / 4 + o.arguments_sent.len() / 4).sum();
        let (text_in, audio_in) = (120u64, 30 * self.turns as u64);
        json!({
            "total_tokens": text_in + audio_in + audio_out + text_out as u64,
            "input_tokens": text_in + audio_in,
            "output_tokens": audio_out + text_out as u64,
            "input_token_details": {
                "text_tokens": text_in, "audio_tokens": audio_in, "image_tokens": 0, "cached_tokens": 0,
                "cached_tokens_details": { "text_tokens": 0, "audio_tokens": 0, "image_tokens": 0 },
            },
            "output_token_details": { "text_tokens": text_out, "audio_tokens": audio_out },
        })
    }
}

fn has_sound(output: &Output) -> bool {
    matches!(&output.kind, OutputKind::Message { sound } if !sound.is_empty())
}

fn untouched(output: &Output) -> bool {
    output.words.is_empty() && output.sound_sent == 0 && output.arguments_sent.is_empty()
}

/// Parts use the short type names; item contents the long ones.
fn part(output: &Output) -> Value {
    match has_sound(output) {
        true => json!({ "type": "audio", "transcript": output.words }),
        false => json!({ "type": "text", "text": output.words }),
    }
}

fn finished_item(output: &Output, status: &str) -> Value {
    match &output.kind {
        OutputKind::Message { .. } => {
            let content = match has_sound(output) {
                true => json!({ "type": "output_audio", "transcript": output.words }),
                false => json!({ "type": "output_text", "text": output.words }),
            };
            let mut item = assistant_message(&output.item_id);
            item["status"] = json!(status);
            item["content"] = json!([content]);
            item
        }
        OutputKind::Call { call_id, name, .. } => json!({
            "id": output.item_id,
            "object": "realtime.item",
            "type": "function_call",
            "status": status,
            "name": name,
            "call_id": call_id,
            "arguments": output.arguments_sent,
        }),
    }
}

fn part_event(kind: &str, speaking: &Speaking, n: usize) -> Value {
    json!({
        "type": kind,
        "response_id": speaking.id,
        "item_id": speaking.outputs[n].item_id,
        "output_index": n,
        "content_index": 0,
    })
}

fn call_event(kind: &str, speaking: &Speaking, n: usize) -> Value {
    let call_id = match &speaking.outputs[n].kind {
        OutputKind::Call { call_id, .. } => call_id.as_str(),
        OutputKind::Message { .. } => "",
    };
    json!({
        "type": kind,
        "response_id": speaking.id,
        "item_id": speaking.outputs[n].item_id,
        "output_index": n,
        "call_id": call_id,
    })
}
