//! What both sides said, kept here because truncation erases it at the server.
//!
//! A line is complete once its text is final and, for the agent, once it is known how much of it was
//! heard. Lines stand in the order of the conversation, not in the order in which texts arrive.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::limits::{TURN_BYTES_MAX, TURNS_BYTES_MAX, TURNS_MAX};

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Speaker {
    /// The person on the phone.
    Caller,
    /// The model.
    Agent,
}

/// One line of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The model's item id.
    pub item: String,
    /// Who said it.
    pub speaker: Speaker,
    /// The whole text, also of a line that was cut off.
    pub text: String,
    /// Milliseconds of audio the caller heard; 0 for the caller's own lines.
    pub heard_ms: u32,
    /// Milliseconds of audio there were; 0 for the caller's own lines.
    pub audio_ms: u32,
    /// The caller cut it off.
    pub interrupted: bool,
}

impl Turn {
    /// The part of the text that was heard, estimated by time and cut at a word.
    ///
    /// Speech is no ruler, so this can be off by a word or two.
    pub fn heard_text(&self) -> &str {
        if !self.interrupted {
            return &self.text;
        }
        let share = u64::from(self.heard_ms) * self.text.len() as u64;
        let end = share.checked_div(u64::from(self.audio_ms)).unwrap_or(0) as usize;
        let end = self.text.floor_char_boundary(end.min(self.text.len()));
        if end == self.text.len() {
            return &self.text;
        }
        let cut = &self.text[..end];
        cut.rfind(char::is_whitespace).map_or("", |at| cut[..at].trim_end())
    }
}

/// The transcript of the call so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Turns {
    lines: VecDeque<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    item: String,
    speaker: Speaker,
    text: String,
    text_final: bool,
    heard: Option<Extent>,
    told: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Extent {
    heard_ms: u32,
    audio_ms: u32,
    interrupted: bool,
}

impl Turns {
    /// Keeps a place for what the caller is saying; its text comes later, if at all.
    pub(crate) fn caller_item(&mut self, item: &str, previous: Option<&str>) {
        if self.line(item).is_some() {
            return;
        }
        let at = previous
            .and_then(|previous| self.lines.iter().position(|line| line.item == previous))
            .map_or(self.lines.len(), |at| at + 1);
        self.insert(at, Line::new(item, Speaker::Caller));
    }

    /// The caller's words, final.
    pub(crate) fn caller_text(&mut self, item: &str, text: &str) -> Option<Turn> {
        if self.line(item).is_none() {
            self.insert(self.lines.len(), Line::new(item, Speaker::Caller));
        }
        self.complete(item, |line| {
            line.text = bounded(text.trim());
            line.text_final = true;
        })
    }

    /// No words of this item will ever come.
    pub(crate) fn caller_text_failed(&mut self, item: &str) {
        self.lines.retain(|line| line.item != item || line.text_final);
    }

    /// Forgets a line of the caller.
    pub(crate) fn strike(&mut self, item: &str) {
        self.lines.retain(|line| line.item != item || line.speaker == Speaker::Agent);
    }

    /// A piece of the agent's words.
    pub(crate) fn agent_delta(&mut self, item: &str, delta: &str) {
        let line = self.agent_line(item);
        if !line.text_final && line.text.len() + delta.len() <= TURN_BYTES_MAX {
            line.text.push_str(delta);
        }
    }

    /// The agent's words, final.
    pub(crate) fn agent_text(&mut self, item: &str, text: Option<&str>) -> Option<Turn> {
        self.agent_line(item);
        self.complete(item, |line| {
            if let Some(text) = text {
                line.text = bounded(text.trim());
            }
            line.text_final = true;
        })
    }

    /// How much of the agent's item was heard, final.
    pub(crate) fn agent_heard(
        &mut self,
        item: &str,
        heard_ms: u32,
        audio_ms: u32,
        interrupted: bool,
    ) -> Option<Turn> {
        self.agent_line(item);
        self.complete(item, |line| {
            line.heard = Some(Extent { heard_ms, audio_ms, interrupted });
        })
    }

    /// Keeps a place for what the agent is saying.
    pub(crate) fn agent_item(&mut self, item: &str) {
        self.agent_line(item);
    }

    /// The response is done, so what the agent's lines hold by now is all.
    pub(crate) fn agent_texts_final(&mut self) -> Vec<Turn> {
        let open = |line: &&Line| line.speaker == Speaker::Agent && !line.text_final;
        let items: Vec<String> = self.lines.iter().filter(open).map(|l| l.item.clone()).collect();
        items.iter().filter_map(|item| self.agent_text(item, None)).collect()
    }

    /// Takes the lines nobody was told of, because the call ends before they are complete.
    pub(crate) fn rest(&mut self) -> Vec<Turn> {
        let untold = self.lines.iter_mut().filter(|line| !line.told && !line.text.is_empty());
        untold
            .map(|line| {
                line.told = true;
                line.turn()
            })
            .collect()
    }

    /// No more text comes for anything the agent has begun to say.
    pub(crate) fn session_lost(&mut self) {
        for line in &mut self.lines {
            line.text_final |= line.speaker == Speaker::Agent;
        }
        self.lines.retain(|line| line.text_final);
    }

    /// The lines that have words, in the order of the conversation.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Turn> + '_ {
        self.lines.iter().filter(|line| !line.text.is_empty()).map(Line::turn)
    }

    /// True once the agent has said something audible.
    pub(crate) fn agent_has_spoken(&self) -> bool {
        self.lines.iter().any(|line| line.speaker == Speaker::Agent)
    }

    /// Whether a state from outside keeps the bounds.
    pub(crate) fn is_sound(&self) -> bool {
        self.lines.len() <= TURNS_MAX
            && self.lines.iter().all(|line| line.text.len() <= TURN_BYTES_MAX)
    }

    fn line(&mut self, item: &str) -> Option<&mut Line> {
        self.lines.iter_mut().rev().find(|line| line.item == item)
    }

    fn agent_line(&mut self, item: &str) -> &mut Line {
        if self.line(item).is_none() {
            self.insert(self.lines.len(), Line::new(item, Speaker::Agent));
        }
        self.line(item).expect("it was there or has just been added")
    }

    /// Applies a change and returns the line if that has completed it.
    fn complete(&mut self, item: &str, change: impl FnOnce(&mut Line)) -> Option<Turn> {
        let line = self.line(item)?;
        change(line);
        let known = line.text_final && (line.speaker == Speaker::Caller || line.heard.is_some());
        if !known || line.told {
            return None;
        }
        line.told = true;
        let turn = line.turn();
        self.trim();
        (!turn.text.is_empty()).then_some(turn)
    }

    fn insert(&mut self, at: usize, line: Line) {
        self.lines.insert(at, line);
        self.trim();
    }

    fn trim(&mut self) {
        let mut bytes: usize = self.lines.iter().map(|line| line.text.len()).sum();
        while self.lines.len() > TURNS_MAX || (bytes > TURNS_BYTES_MAX && self.lines.len() > 1) {
            let gone = self.lines.pop_front().map_or(0, |line| line.text.len());
            bytes -= gone;
        }
    }
}

impl Line {
    fn new(item: &str, speaker: Speaker) -> Line {
        Line {
            item: item.to_owned(),
            speaker,
            text: String::new(),
            text_final: false,
            heard: None,
            told: false,
        }
    }

    fn turn(&self) -> Turn {
        let extent = self.heard.unwrap_or(Extent { heard_ms: 0, audio_ms: 0, interrupted: false });
        Turn {
            item: self.item.clone(),
            speaker: self.speaker,
            text: self.text.clone(),
            heard_ms: extent.heard_ms,
            audio_ms: extent.audio_ms,
            interrupted: extent.interrupted,
        }
    }
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(TURN_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_agent_is_told_once_text_and_hearing_are_known_in_either_order() {
        let mut turns = Turns::default();
        assert_eq!(turns.agent_text("a", Some("Hello there")), None);
        let turn = turns.agent_heard("a", 900, 900, false).expect("both are known");
        assert_eq!(turn.text, "Hello there");
        assert_eq!(turns.agent_heard("b", 100, 900, true), None);
        let turn = turns.agent_text("b", Some("One two three")).expect("both are known");
        assert!(turn.interrupted);
        assert_eq!(turns.agent_text("b", Some("again")), None, "told once");
    }

    #[test]
    fn lines_stand_in_conversation_order_though_the_callers_text_comes_last() {
        let mut turns = Turns::default();
        turns.caller_item("u1", None);
        turns.agent_text("a1", Some("fine, and you?"));
        turns.caller_text("u1", "how are you?");
        let order: Vec<_> = turns.lines().map(|turn| turn.item).collect();
        assert_eq!(order, ["u1", "a1"]);
    }

    #[test]
    fn an_item_named_after_another_is_put_behind_it() {
        let mut turns = Turns::default();
        turns.caller_text("u1", "one");
        turns.agent_text("a1", Some("two"));
        turns.agent_text("a2", Some("four"));
        turns.caller_item("u2", Some("a1"));
        turns.caller_text("u2", "three");
        let texts: Vec<_> = turns.lines().map(|turn| turn.text).collect();
        assert_eq!(texts, ["one", "two", "three", "four"]);
    }

    #[test]
    fn the_heard_part_ends_at_a_word() {
        let turn = Turn {
            item: String::new(),
            speaker: Speaker::Agent,
            text: "Your balance is forty dollars".into(),
            heard_ms: 500,
            audio_ms: 1_000,
            interrupted: true,
        };
        assert_eq!(turn.heard_text(), "Your balance");
        assert_eq!(Turn { heard_ms: 0, ..turn.clone() }.heard_text(), "");
        assert_eq!(Turn { audio_ms: 0, ..turn.clone() }.heard_text(), "");
        assert_eq!(Turn { interrupted: false, ..turn.clone() }.heard_text(), turn.text);
    }

    #[test]
    fn deltas_stand_in_for_a_final_text_that_never_came() {
        let mut turns = Turns::default();
        turns.agent_delta("a", "Your bal");
        turns.agent_delta("a", "ance");
        turns.session_lost();
        assert_eq!(turns.lines().next().expect("the line is kept").text, "Your balance");
    }

    #[test]
    fn the_transcript_is_bounded_in_lines_and_bytes() {
        let mut turns = Turns::default();
        for n in 0..200 {
            turns.caller_text(&format!("u{n}"), &"ä".repeat(3_000));
        }
        assert!(turns.is_sound());
        let bytes: usize = turns.lines().map(|turn| turn.text.len()).sum();
        assert!(bytes <= TURNS_BYTES_MAX, "{bytes}");
        assert_eq!(turns.lines().last().expect("the newest stays").item, "u199");
    }
}
