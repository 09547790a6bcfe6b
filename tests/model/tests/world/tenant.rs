//! A tenant that does its work, has whims, and forgets everything when it is restarted.

use std::collections::BTreeSet;
use std::time::Duration;

use cordboard_call::contract::{
    Action, Event, HangUp, HangUpWhen, HttpRequest, Play, Publication, Timer, Transfer,
};
use cordboard_model_tests::Dice;

const UPDATE: &str = r#"{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcmu"}}}}}"#;
const CREATE: &str = r#"{"type":"response.create"}"#;

#[derive(Debug, Default)]
pub(crate) struct Tenant {
    dead: BTreeSet<String>,
    /// Counts everything it ever named, over restarts too, so that no name is used twice.
    named: u64,
}

impl Tenant {
    pub(crate) fn forget(&mut self) {
        self.dead.clear();
    }

    pub(crate) fn answer(
        &mut self,
        now: Duration,
        event: &Event,
        dice: &mut Dice,
        whim: u64,
    ) -> Vec<Action> {
        let mut actions = match event {
            Event::CallerAudio(audio) => vec![Action::ModelAudio(audio.clone())],
            Event::ModelReady(_) | Event::ModelRestored(_) => {
                vec![Action::ModelEvent(UPDATE.to_owned()), Action::ModelEvent(CREATE.to_owned())]
            }
            Event::ModelAudio(audio) if !self.dead.contains(&audio.item) => {
                vec![play(&audio.item, audio.data.clone(), false)]
            }
            Event::ModelEvent(json) => self.heed(json),
            Event::Flushed(flushed) => {
                let dead = flushed.items.iter().map(|heard| heard.item.clone());
                self.dead.extend(dead);
                let truncate = |heard: &cordboard_call::contract::Heard| {
                    Action::ModelEvent(format!(
                        r#"{{"type":"conversation.item.truncate","item_id":"{}","content_index":0,"audio_end_ms":{}}}"#,
                        heard.item, heard.millis
                    ))
                };
                flushed.items.iter().map(truncate).collect()
            }
            Event::Ended(_) => vec![self.publication()],
            _ => Vec::new(),
        };
        if dice.chance(whim) {
            actions.extend(self.whim(now, dice));
        }
        actions
    }

    fn heed(&mut self, json: &str) -> Vec<Action> {
        if json.contains("speech_started") {
            return vec![Action::Flush, Action::CancelHangUp];
        }
        match json.split_once("\"done\":\"").and_then(|(_, rest)| rest.split_once('"')) {
            Some((item, _)) if !item.is_empty() && !self.dead.contains(item) => {
                vec![play(item, Vec::new(), true)]
            }
            _ => Vec::new(),
        }
    }

    fn whim(&mut self, now: Duration, dice: &mut Dice) -> Vec<Action> {
        let now_ms = now.as_millis() as u64;
        self.named += 1;
        let name = format!("own{}", self.named);
        match dice.between(0, 15) {
            0 | 1 => {
                let audio = vec![dice.between(1, 250) as u8; dice.between(0, 5_000) as usize];
                let last = dice.chance(700);
                vec![play(&name, audio, last), Action::Mark(format!("m{name}"))]
            }
            2 => vec![Action::Mark(name)],
            3 => vec![Action::Flush],
            4 => {
                let at = now_ms + dice.between(0, 2_000);
                vec![Action::SetTimer(Timer { token: self.named, at })]
            }
            5 => vec![Action::CancelTimer(self.named.saturating_sub(dice.between(1, 5)))],
            6 => vec![Action::Http(HttpRequest {
                token: self.named,
                method: "GET".to_owned(),
                url: "https://example.org".to_owned(),
                headers: Vec::new(),
                body: Vec::new(),
                timeout_ms: 500,
            })],
            7 => vec![self.publication()],
            8 => vec![Action::ModelEvent("{ not json".to_owned())],
            9 => vec![Action::ModelEvent(r#"{"type":"input_audio_buffer.commit"}"#.to_owned())],
            10 => vec![Action::ModelEvent(UPDATE.to_owned())],
            11 if dice.chance(200) => {
                let deadline_ms = dice.between(0, 5_000) as u32;
                vec![hang_up(HangUpWhen::WhenPlayed, deadline_ms)]
            }
            12 if dice.chance(100) => vec![hang_up(HangUpWhen::Now, 0)],
            13 if dice.chance(100) => {
                vec![Action::Transfer(Transfer { to: "+15550100".to_owned(), caller_id: None })]
            }
            14 if dice.chance(300) => vec![Action::SendKeys("1w2".to_owned())],
            15 => vec![Action::CancelHangUp],
            _ => Vec::new(),
        }
    }

    fn publication(&mut self) -> Action {
        self.named += 1;
        Action::Publish(Publication { topic: "note".to_owned(), json: self.named.to_string() })
    }
}

fn play(item: &str, audio: Vec<u8>, last: bool) -> Action {
    Action::Play(Play { item: item.to_owned(), audio, last })
}

fn hang_up(when: HangUpWhen, deadline_ms: u32) -> Action {
    Action::HangUp(HangUp { when, deadline_ms, reason: "whim".to_owned() })
}
