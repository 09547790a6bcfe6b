//! Who is at the far end: a caller with a script, or a menu.

use super::CallPlan;
use super::menu::{Attendant, MenuReport};
use super::script::{Act, Director, Heard};

/// The far end of one call, over all its streams.
#[derive(Debug)]
pub(super) enum Party {
    Caller(Director),
    Menu(Box<Attendant>),
}

impl Party {
    pub(super) fn new(plan: &CallPlan) -> Self {
        match &plan.menu {
            Some(menu) => Self::Menu(Box::new(Attendant::new(menu.clone()))),
            None => Self::Caller(Director::new(plan.script.clone())),
        }
    }

    /// Takes in 20 ms: what was perceived, and the audio heard since the last time.
    pub(super) fn tick(&mut self, heard: Heard, audio: &[u8]) -> Vec<Act> {
        match self {
            Self::Caller(director) => director.tick(heard),
            Self::Menu(attendant) => {
                attendant.tick(audio, heard.speaking).into_iter().map(Act::Do).collect()
            }
        }
    }

    /// Hears keys that the carrier itself plays while no stream is up. A caller with a script takes no notice.
    pub(super) fn press(&mut self, digits: &str) {
        if let Self::Menu(attendant) = self {
            // `w` is half a second of nothing.
            digits.chars().filter(|key| *key != 'w').for_each(|key| attendant.press(key));
        }
    }

    pub(super) fn menu_report(&self, streams: usize) -> Option<MenuReport> {
        match self {
            Self::Caller(_) => None,
            Self::Menu(attendant) => Some(MenuReport {
                restarts: streams.saturating_sub(1),
                ..attendant.report().clone()
            }),
        }
    }
}
