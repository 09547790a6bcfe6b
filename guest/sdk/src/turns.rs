//! What both sides said, kept here because truncation erases it at the server.
//!
//! A line is complete once its text is final and, for the agent, once it is known how much of it was
//! heard. Lines stand in the order of the conversation, not in the order in which texts arrive. Between
//! them stands what nobody said and a new session has to know all the same: notes to the model, such as
//! keys the caller typed, and tools that were called, with their outputs.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Role;
use crate::limits::{TOOL_TOLD_BYTES_MAX, TURN_BYTES_MAX, TURNS_BYTES_MAX, TURNS_MAX};

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

/// Something the conversation holds, for a session that has to be told of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remembered<'a> {
    Said(Turn),
    Told { role: Role, text: &'a str },
    Called { call_id: &'a str, name: &'a str, arguments: &'a str },
    Answered { call_id: &'a str, output: &'a str },
}

/// The transcript of the call so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Turns {
    lines: VecDeque<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// The model's item, or the id of a tool's call.
    item: String,
    what: What,
    text: String,
    text_final: bool,
    heard: Option<Extent>,
    told: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    Said(Speaker),
    Told(Role),
    /// The text is the arguments.
    Called {
        name: String,
    },
    /// The text is the output.
    Answered,
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
        self.insert(at, Line::said(item, Speaker::Caller));
    }

    /// The caller's words, final.
    pub(crate) fn caller_text(&mut self, item: &str, text: &str) -> Option<Turn> {
        if self.line(item).is_none() {
            self.insert(self.lines.len(), Line::said(item, Speaker::Caller));
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
        self.lines.retain(|line| line.item != item || line.what != What::Said(Speaker::Caller));
    }

    /// A note for the model.
    pub(crate) fn told(&mut self, role: Role, text: &str) {
        self.note("", What::Told(role), bounded(text));
    }

    /// The model called a tool. Arguments too long to be kept are left out, for half of them is none.
    pub(crate) fn called(&mut self, call_id: &str, name: &str, arguments: &str) {
        let arguments = if arguments.len() > TURN_BYTES_MAX { "{}" } else { arguments };
        self.note(call_id, What::Called { name: name.to_owned() }, arguments.to_owned());
    }

    /// A tool brought its output.
    pub(crate) fn answered(&mut self, call_id: &str, output: &str) {
        let output = &output[..output.floor_char_boundary(TOOL_TOLD_BYTES_MAX)];
        self.note(call_id, What::Answered, output.to_owned());
    }

    /// All that a new session has to be told, in the order of the conversation.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = Remembered<'_>> {
        self.lines.iter().filter_map(|line| {
            let (id, text) = (line.item.as_str(), line.text.as_str());
            Some(match &line.what {
                What::Said(_) => Remembered::Said(line.turn()?),
                What::Told(role) => Remembered::Told { role: *role, text },
                What::Called { name } => Remembered::Called { call_id: id, name, arguments: text },
                What::Answered => Remembered::Answered { call_id: id, output: text },
            })
        })
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
        let open = |line: &&Line| line.is_by(Speaker::Agent) && !line.text_final;
        let items: Vec<String> = self.lines.iter().filter(open).map(|l| l.item.clone()).collect();
        items.iter().filter_map(|item| self.agent_text(item, None)).collect()
    }

    /// Takes the lines nobody was told of, because the call ends before they are complete.
    pub(crate) fn rest(&mut self) -> Vec<Turn> {
        let untold = self.lines.iter_mut().filter(|line| !line.told && !line.text.is_empty());
        untold
            .filter_map(|line| {
                line.told = true;
                line.turn()
            })
            .collect()
    }

    /// No more text comes for anything the agent has begun to say.
    pub(crate) fn session_lost(&mut self) {
        for line in &mut self.lines {
            line.text_final |= line.is_by(Speaker::Agent);
        }
        self.lines.retain(|line| line.text_final);
    }

    /// The lines that have words, in the order of the conversation.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Turn> + '_ {
        self.lines.iter().filter(|line| !line.text.is_empty()).filter_map(Line::turn)
    }

    /// True once the agent has said something audible.
    pub(crate) fn agent_has_spoken(&self) -> bool {
        self.lines.iter().any(|line| line.is_by(Speaker::Agent))
    }

    /// Whether a state from outside keeps the bounds.
    pub(crate) fn is_sound(&self) -> bool {
        self.lines.len() <= TURNS_MAX
            && self.lines.iter().all(|line| match line.what {
                What::Answered => line.text.len() <= TOOL_TOLD_BYTES_MAX,
                What::Said(_) | What::Told(_) | What::Called { .. } => {
                    line.text.len() <= TURN_BYTES_MAX
                }
            })
    }

    fn line(&mut self, item: &str) -> Option<&mut Line> {
        let is_said = |line: &&mut Line| matches!(line.what, What::Said(_));
        self.lines.iter_mut().rev().filter(is_said).find(|line| line.item == item)
    }

    fn agent_line(&mut self, item: &str) -> &mut Line {
        if self.line(item).is_none() {
            self.insert(self.lines.len(), Line::said(item, Speaker::Agent));
        }
        self.line(item).expect("it was there or has just been added")
    }

    /// Applies a change and returns the line if that has completed it.
    fn complete(&mut self, item: &str, change: impl FnOnce(&mut Line)) -> Option<Turn> {
        let line = self.line(item)?;
        change(line);
        let known = line.text_final && (line.is_by(Speaker::Caller) || line.heard.is_some());
        if !known || line.told {
            return None;
        }
        line.told = true;
        let turn = line.turn()?;
        self.trim();
        (!turn.text.is_empty()).then_some(turn)
    }

    /// Adds what nobody said.
    fn note(&mut self, id: &str, what: What, text: String) {
        let line = Line { text, text_final: true, told: true, ..Line::new(id, what) };
        self.insert(self.lines.len(), line);
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
    fn said(item: &str, speaker: Speaker) -> Line {
        Line::new(item, What::Said(speaker))
    }

    fn new(item: &str, what: What) -> Line {
        Line {
            item: item.to_owned(),
            what,
            text: String::new(),
            text_final: false,
            heard: None,
            told: false,
        }
    }

    fn is_by(&self, speaker: Speaker) -> bool {
        self.what == What::Said(speaker)
    }

    /// The line as somebody said it; `None` for what nobody did.
    fn turn(&self) -> Option<Turn> {
        let What::Said(speaker) = self.what else { return None };
        let extent = self.heard.unwrap_or(Extent { heard_ms: 0, audio_ms: 0, interrupted: false });
        Some(Turn {
            item: self.item.clone(),
            speaker,
            text: self.text.clone(),
            heard_ms: extent.heard_ms,
            audio_ms: extent.audio_ms,
            interrupted: extent.interrupted,
        })
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
    fn what_nobody_said_stands_in_its_place_and_is_no_line_of_the_transcript() {
        let mut turns = Turns::default();
        turns.caller_item("u1", None);
        turns.called("c1", "balance", r#"{"account":12}"#);
        turns.told(Role::User, "[The caller typed 4711]");
        turns.answered("c1", "40");
        turns.agent_text("a1", Some("You have forty."));
        turns.caller_text("u1", "How much do I have?");
        assert_eq!(turns.lines().count(), 2);
        assert_eq!(turns.rest().len(), 1, "the agent's, which was not heard yet");
        turns.session_lost();
        let kinds: Vec<_> = turns
            .remembered()
            .map(|remembered| match remembered {
                Remembered::Said(turn) => turn.text,
                Remembered::Told { text, .. } => text.to_owned(),
                Remembered::Called { arguments, .. } => arguments.to_owned(),
                Remembered::Answered { output, .. } => output.to_owned(),
            })
            .collect();
        assert_eq!(
            kinds,
            [
                "How much do I have?",
                r#"{"account":12}"#,
                "[The caller typed 4711]",
                "40",
                "You have forty."
            ]
        );
    }

    #[test]
    fn the_transcript_is_bounded_in_lines_and_bytes() {
        let mut turns = Turns::default();
        for n in 0..200 {
            turns.caller_text(&format!("u{n}"), &"ä".repeat(3_000));
            turns.told(Role::User, &"ä".repeat(3_000));
            turns.called("c", "f", &"ä".repeat(3_000));
            turns.answered("c", &"ä".repeat(3_000));
        }
        turns.caller_text("u200", "the last");
        assert!(turns.is_sound());
        let bytes: usize = turns.lines().map(|turn| turn.text.len()).sum();
        assert!(bytes <= TURNS_BYTES_MAX, "{bytes}");
        assert_eq!(turns.lines().last().expect("the newest stays").item, "u200");
    }
}
