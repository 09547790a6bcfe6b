//! Finds the way through a telephone menu: reads what is offered, chooses, presses when it is time.
//!
//! Feed it the far end's words and the time; it says when to press which key and why. It keeps quiet while the menu
//! is still being read unless an option fits too well to wait for another, presses nothing twice in a hurry, tries again after
//! "that is invalid", notices that it has come back to a menu it knows, and has a last resort.
//!
//! **The score.** A [`Want`] is one thing looked for, in several words for it. An option scores the share of the words of the best fitting
//! phrase that it names, times the want's weight; a plural counts as the singular. "billing and payments" has all of
//! "billing" (1.0) and half of "billing dispute" (0.5). The best want decides, and of two options with the same score the
//! one that was offered first. Every [`Move`] carries this as a sentence.
//!
//! ```
//! use cordboard_sdk::blocks::menu::{Menu, MenuSettings, Move, Want};
//! use cordboard_sdk::{Call, CallInfo, Session, Speaker, Tenant, Turn, harness::Harness};
//!
//! const MENU: u64 = 1;
//!
//! struct Payer {
//!     menu: Menu,
//! }
//!
//! impl Tenant for Payer {
//!     fn new(_: &CallInfo) -> Payer {
//!         let wants = vec![Want::new(["billing", "pay a bill"]), Want::new(["operator", "agent"]).weighing(0.6)];
//!         Payer { menu: Menu::new(MenuSettings { wants, ..MenuSettings::default() }) }
//!     }
//!
//!     fn session(&self, _: &CallInfo) -> Session {
//!         Session { greeting: None, ..Session::default() }
//!     }
//!
//!     fn turn(&mut self, call: &mut Call, turn: &Turn) {
//!         if turn.speaker == Speaker::Caller {
//!             let step = self.menu.heard(call.now(), &turn.text);
//!             self.follow(call, step);
//!         }
//!     }
//!
//!     fn timer(&mut self, call: &mut Call, token: u64) {
//!         if token == MENU {
//!             let step = self.menu.due(call.now());
//!             self.follow(call, step);
//!         }
//!     }
//! }
//!
//! impl Payer {
//!     fn follow(&mut self, call: &mut Call, step: Option<Move>) {
//!         if let Some(step) = step {
//!             step.carry_out(call);
//!         }
//!         call.wake_at(MENU, self.menu.wake_at());
//!     }
//! }
//!
//! let mut call = Harness::<Payer>::start();
//! call.model_ready();
//! call.caller_says("Welcome to Acme. For sales, press 1. For a question about a bill, press 2.");
//! assert_eq!(call.played_ms(), 0, "the menu may go on");
//! call.advance(1_500);
//! assert_eq!(call.played_ms(), 200, "one key");
//! ```

mod parse;
mod phrases;
mod plan;
#[cfg(test)]
mod tests;

pub use parse::Choice;
pub use phrases::MenuWords;
pub use plan::{Menu, MenuState, Move};

use serde::{Deserialize, Serialize};

use super::Phrases;

/// Something looked for in menus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Want {
    /// Words for it, each of one word or a few: "billing", "pay a bill".
    pub phrases: Phrases,
    /// How much it is wanted, 0 to 1. Give what would do as well less: an operator, when billing is looked for.
    #[serde(default = "whole")]
    pub weight: f32,
}

impl Want {
    /// Something fully wanted.
    pub fn new<S: AsRef<str>>(phrases: impl IntoIterator<Item = S>) -> Want {
        Want { phrases: Phrases::new(phrases), weight: 1.0 }
    }

    /// The same, wanted this much.
    pub fn weighing(self, weight: f32) -> Want {
        Want { weight, ..self }
    }
}

/// What to do when no option fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastResort {
    /// Press these keys; in most menus `0` is a person.
    Press(String),
    /// Hang up, giving this as the reason.
    HangUp(String),
}

/// How to go through menus. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MenuSettings {
    /// What is looked for.
    pub wants: Vec<Want>,
    /// The least score worth a key, 0 to 1.
    pub score_min: f32,
    /// The score from which a key is pressed while the menu is still being read.
    pub score_sure: f32,
    /// How long nothing more must be heard before the menu counts as read out. Counted from the last words, which come
    /// some half a second after they were spoken.
    pub pause_ms: u64,
    /// How long nothing is pressed after a key, and the rest of the old menu is ignored.
    pub cooldown_ms: u64,
    /// How often a key is tried again after "invalid", before it is given up.
    pub retries_max: u8,
    /// How often the same menu may come back before it is given up.
    pub loops_max: u8,
    /// How many keys are pressed in all.
    pub presses_max: u8,
    /// What to do when a menu has nothing that fits, one after the other. After the last, or at one of the limits, the
    /// line is hung up.
    pub last_resorts: Vec<LastResort>,
    /// The words of menus.
    pub words: MenuWords,
}

impl Default for MenuSettings {
    fn default() -> MenuSettings {
        MenuSettings {
            wants: Vec::new(),
            score_min: 0.5,
            score_sure: 0.95,
            pause_ms: 1_200,
            cooldown_ms: 1_500,
            retries_max: 2,
            loops_max: 2,
            presses_max: 12,
            last_resorts: vec![LastResort::Press("0".into())],
            words: MenuWords::english(),
        }
    }
}

fn whole() -> f32 {
    1.0
}
