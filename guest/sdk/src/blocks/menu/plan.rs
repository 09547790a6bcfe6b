//! Decides what to press, and when.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::parse::{Choice, offer};
use super::{LastResort, MenuSettings};
use crate::Call;
use crate::blocks::phrases::{append_bounded, same, tokens, words};

/// Something to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Press these keys.
    Press {
        /// The keys.
        keys: String,
        /// Why these, for a log.
        why: String,
    },
    /// Give up.
    HangUp {
        /// Why, for a log.
        why: String,
    },
}

impl Move {
    /// Does it: plays the keys within the audio of the call, or hangs up.
    ///
    /// The keys go by the carrier where the line's format allows no tones.
    pub fn carry_out(&self, call: &mut Call) {
        match self {
            Move::Press { keys, .. } => {
                // An item of its own each time: a key may still be sounding when the next is pressed.
                let item = format!("cordboard.menu.{}", call.now());
                if call.play_keys(&item, keys).is_err() {
                    call.send_keys(keys);
                }
            }
            Move::HangUp { why } => call.hang_up_when_played(why),
        }
    }
}

/// A way through a menu.
#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
    settings: MenuSettings,
    state: MenuState,
}

/// All that a [`Menu`] remembers, for a successor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MenuState {
    /// What was said since the last key.
    text: String,
    /// When the present menu counts as read out.
    due: Option<u64>,
    /// The far end is speaking.
    speaking: bool,
    /// Nothing is pressed before.
    cool_until: u64,
    /// The last key was pressed before its menu was read out.
    early: bool,
    /// The last key was refused in words.
    complained: bool,
    /// The menus that were answered, oldest first.
    visited: VecDeque<Visit>,
    presses: u8,
    resorts: u8,
}

/// A menu that was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Visit {
    choices: Vec<Choice>,
    /// The keys that were tried there, the last one at the end.
    tried: Vec<String>,
    /// How often the last one was refused.
    refused: u8,
    /// How often the menu came back.
    returns: u8,
}

impl Menu {
    /// Begins at the first menu.
    pub fn new(settings: MenuSettings) -> Menu {
        Menu { settings, state: MenuState::default() }
    }

    /// Goes on where another left off.
    pub fn resume(settings: MenuSettings, mut state: MenuState) -> Menu {
        state.visited.truncate(VISITED_MAX);
        Menu { settings, state }
    }

    /// What a successor needs.
    pub fn state(&self) -> &MenuState {
        &self.state
    }

    /// When [`due`](Menu::due) wants to be asked, in milliseconds of the call.
    pub fn wake_at(&self) -> Option<u64> {
        self.state.due
    }

    /// What is offered by now, as far as it was heard.
    pub fn choices(&self) -> Vec<Choice> {
        offer(&self.state.text, &self.settings.words).choices
    }

    /// The far end begins or ends to speak: while it speaks, a menu does not count as read out. Optional; without it the pause is
    /// counted from the words alone.
    pub fn speaking(&mut self, now: u64, speaking: bool) {
        self.state.speaking = speaking;
        if self.state.due.is_some() {
            let wait = if speaking { SPEAKING_MS_MAX } else { self.settings.pause_ms };
            self.state.due = Some(now.saturating_add(wait));
        }
    }

    /// Takes what the far end has said: a sentence, or a piece of one.
    pub fn heard(&mut self, now: u64, text: &str) -> Option<Move> {
        let text = self.after_complaint(now, text);
        if now < self.state.cool_until && self.is_rest_of_last(&text) {
            return None;
        }
        append_bounded(&mut self.state.text, &text, TEXT_BYTES_MAX);
        let offer = offer(&self.state.text, &self.settings.words);
        if offer.choices.is_empty() {
            return None;
        }
        let at = now.saturating_add(self.settings.pause_ms).max(self.state.cool_until);
        self.state.due = Some(at);
        let best = self.best(&offer.choices);
        let sure = best.as_ref().is_some_and(|best| best.score >= self.settings.score_sure);
        if sure && offer.certain && now >= self.state.cool_until {
            let step = self.answer(now);
            self.state.early = true;
            return step;
        }
        None
    }

    /// Decides once the menu counts as read out; nothing happens before.
    pub fn due(&mut self, now: u64) -> Option<Move> {
        if self.state.due.is_none_or(|due| now < due) {
            return None;
        }
        self.answer(now)
    }

    /// Presses what fits best, or does what is left to do.
    fn answer(&mut self, now: u64) -> Option<Move> {
        (self.state.due, self.state.early) = (None, false);
        let mut choices = self.choices();
        if choices.is_empty() {
            // "Please try again", and the menu is not read again.
            choices = self.state.visited.back().map(|visit| visit.choices.clone())?;
        }
        self.state.text.clear();
        self.state.speaking = false;
        self.visit(choices);
        let visit = self.state.visited.back().expect("the menu was just put there");
        if visit.returns > self.settings.loops_max {
            let why = format!("the same menu came back {} times", visit.returns);
            return Some(Move::HangUp { why });
        }
        match self.best(&visit.choices) {
            Some(best) if best.choice.keys.is_empty() => None,
            Some(best) => self.press(now, best.choice.keys, best.why),
            None => self.last_resort(now),
        }
    }

    fn press(&mut self, now: u64, keys: String, why: String) -> Option<Move> {
        if self.state.presses >= self.settings.presses_max {
            let why = format!("pressed {} keys and not there yet", self.state.presses);
            return Some(Move::HangUp { why });
        }
        self.state.presses += 1;
        self.state.cool_until = now.saturating_add(self.settings.cooldown_ms);
        let visit = self.state.visited.back_mut().expect("a key is pressed in a menu");
        if visit.tried.last() != Some(&keys) {
            visit.tried.retain(|tried| *tried != keys);
            visit.tried.push(keys.clone());
            visit.refused = 0;
        }
        Some(Move::Press { keys, why })
    }

    fn last_resort(&mut self, now: u64) -> Option<Move> {
        let resort = self.settings.last_resorts.get(usize::from(self.state.resorts)).cloned();
        self.state.resorts = self.state.resorts.saturating_add(1);
        match resort {
            Some(LastResort::Press(keys)) => {
                self.press(now, keys, "no option fits; this is the last resort".into())
            }
            Some(LastResort::HangUp(why)) => Some(Move::HangUp { why }),
            None => Some(Move::HangUp { why: "no option fits".into() }),
        }
    }

    /// Notes the menu that is about to be answered: a new one, or one that has come back.
    fn visit(&mut self, choices: Vec<Choice>) {
        let known = self.state.visited.iter().rposition(|visit| alike(&visit.choices, &choices));
        let last = known.is_some_and(|at| at + 1 == self.state.visited.len());
        let complained = std::mem::take(&mut self.state.complained);
        let visit = match known.and_then(|at| self.state.visited.remove(at)) {
            Some(visit) if visit.tried.is_empty() || complained => visit,
            // Read again at once: the key was not understood, though nobody says so.
            Some(visit) if last => Visit { refused: visit.refused.saturating_add(1), ..visit },
            Some(visit) => Visit { returns: visit.returns.saturating_add(1), ..visit },
            None => Visit { choices, tried: Vec::new(), refused: 0, returns: 0 },
        };
        if self.state.visited.len() >= VISITED_MAX {
            self.state.visited.pop_front();
        }
        self.state.visited.push_back(visit);
    }

    /// What was said after a complaint about the last key, if there was one.
    fn after_complaint(&mut self, now: u64, text: &str) -> String {
        let said = tokens(text);
        let plain: Vec<String> = said.iter().map(|token| token.word.clone()).collect();
        let end = self.settings.words.refused.last_end_in(&plain);
        let (Some(end), Some(visit)) = (end, self.state.visited.back_mut()) else {
            return text.to_owned();
        };
        if !self.state.complained {
            visit.refused = visit.refused.saturating_add(1);
        }
        self.state.complained = true;
        self.state.text.clear();
        self.state.cool_until = 0;
        self.state.due = Some(now.saturating_add(self.settings.pause_ms + MENU_AGAIN_MS));
        said.get(end).map(|rest| text[rest.start..].to_owned()).unwrap_or_default()
    }

    /// Options that come late and belong to the menu that was just answered.
    fn is_rest_of_last(&self, text: &str) -> bool {
        let Some(visit) = self.state.visited.back() else { return false };
        let late = offer(text, &self.settings.words).choices;
        let known = late.iter().all(|choice| visit.choices.contains(choice));
        !late.is_empty() && (known || self.state.early)
    }

    /// The best option that is not spent.
    fn best(&self, choices: &[Choice]) -> Option<Scored> {
        let known = self.state.visited.iter().rposition(|visit| alike(&visit.choices, choices));
        let spent = |keys: &str| {
            let Some(at) = known else { return false };
            let visit = &self.state.visited[at];
            // A key that led back here from elsewhere is spent; one that was not understood is tried again.
            let last =
                at + 1 == self.state.visited.len() && visit.tried.last().is_some_and(|k| k == keys);
            let again = last && visit.returns == 0 && visit.refused <= self.settings.retries_max;
            visit.tried.iter().any(|tried| tried == keys) && !again
        };
        let mut best: Option<Scored> = None;
        for choice in choices.iter().filter(|choice| !spent(&choice.keys)) {
            let Some(scored) = self.score(choice) else { continue };
            let better = best.as_ref().is_none_or(|best| scored.score > best.score);
            if better && scored.score >= self.settings.score_min {
                best = Some(scored);
            }
        }
        best
    }

    fn score(&self, choice: &Choice) -> Option<Scored> {
        let label = words(&choice.label);
        let filler = |word: &&String| !self.settings.words.filler.contains(*word);
        let mut best: Option<Scored> = None;
        for want in &self.settings.wants {
            for phrase in want.phrases.iter() {
                let telling: Vec<&String> = phrase.iter().filter(filler).collect();
                let named = |word: &&&String| label.iter().any(|said| same(said, word));
                let found = telling.iter().filter(named).count();
                if found == 0 {
                    continue;
                }
                let share = found as f32 / telling.len() as f32;
                let score = share * want.weight;
                if best.as_ref().is_none_or(|best| score > best.score) {
                    let (label, phrase, of) = (&choice.label, phrase.join(" "), telling.len());
                    let weight = want.weight;
                    let why = format!(
                        "\"{label}\" names {found} of {of} words of \"{phrase}\", weight {weight}: {score:.2}"
                    );
                    best = Some(Scored { choice: choice.clone(), score, why });
                }
            }
        }
        best
    }
}

struct Scored {
    choice: Choice,
    score: f32,
    why: String,
}

/// The same menu, perhaps not heard in full: most options of the shorter one are in the other.
fn alike(a: &[Choice], b: &[Choice]) -> bool {
    let (shorter, longer) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let common = shorter.iter().filter(|choice| longer.contains(choice)).count();
    !shorter.is_empty() && common * 3 >= shorter.len() * 2
}

/// Bytes of a menu that are kept; a minute of reading.
const TEXT_BYTES_MAX: usize = 2_048;
/// Menus that are remembered.
const VISITED_MAX: usize = 16;
/// How long somebody may go on speaking without a word written down.
const SPEAKING_MS_MAX: u64 = 10_000;
/// How long a menu that complained gets to be read again, before the key is pressed without that.
const MENU_AGAIN_MS: u64 = 3_000;
