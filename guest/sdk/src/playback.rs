//! What the caller still has to hear, and which responses are dead.
//!
//! The one rule: **the server owns nothing of playback**. This side knows what it handed over to be
//! played, the host tells what was heard, and after a barge-in the server is told the difference.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::limits::{DEAD_RESPONSES_MAX, ITEMS_MAX, UNHEARD_MAX};

/// The items handed over for playing and not yet known to be heard.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Playback {
    items: VecDeque<Item>,
    dead: VecDeque<String>,
    /// Items of dead responses whose audio came too late to be played at all.
    unheard: VecDeque<Unheard>,
    /// Items that were cut off lately: the rest of their audio is no news.
    cut: VecDeque<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Item {
    id: String,
    response: String,
    /// The tenant made this audio itself.
    own: bool,
    content_index: u32,
    received_bytes: u64,
    /// Nothing more follows.
    finished: bool,
    /// A `flush` is on its way to it.
    flushing: bool,
    /// The session that knows this item still exists.
    known: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Unheard {
    id: String,
    response: String,
    content_index: u32,
}

/// What became of one item's audio.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) item: String,
    pub(crate) content_index: u32,
    /// Milliseconds the caller heard, never more than were received.
    pub(crate) heard_ms: u32,
    /// Milliseconds received.
    pub(crate) audio_ms: u32,
    /// The server has to be told, because it believes more was heard.
    pub(crate) truncate: bool,
    /// The tenant made this audio itself.
    pub(crate) own: bool,
}

/// Whether a piece of the model's voice is to be played.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first audio of a new item.
    New,
    More,
    /// It belongs to a dead response, or to an item whose end was announced.
    Drop,
}

impl Playback {
    /// Counts a piece of the model's voice and says whether the caller shall hear it.
    pub(crate) fn received(
        &mut self,
        response: &str,
        item: &str,
        content_index: u32,
        bytes: usize,
    ) -> Verdict {
        if self.is_dead(response) {
            self.note_unheard(response, item, content_index);
            return Verdict::Drop;
        }
        // Audio comes in runs of one item, so the last one is nearly always it.
        if let Some(open) = self.items.iter_mut().rev().find(|open| open.id == item) {
            if open.finished {
                return Verdict::Drop;
            }
            open.received_bytes = open.received_bytes.saturating_add(bytes as u64);
            return Verdict::More;
        }
        self.add(Item {
            id: item.to_owned(),
            response: response.to_owned(),
            own: false,
            content_index,
            received_bytes: bytes as u64,
            finished: false,
            flushing: false,
            known: true,
        });
        Verdict::New
    }

    /// Follows audio the tenant made itself; the server never hears of it.
    pub(crate) fn own(&mut self, item: &str, last: bool) {
        if let Some(open) = self.items.iter_mut().rev().find(|open| open.id == item) {
            open.finished |= last;
            return;
        }
        self.add(Item {
            id: item.to_owned(),
            response: String::new(),
            own: true,
            content_index: 0,
            received_bytes: 0,
            finished: last,
            flushing: false,
            known: false,
        });
    }

    /// Notes that no more audio follows; true when the host has to be told.
    pub(crate) fn finish(&mut self, item: &str) -> bool {
        match self.items.iter_mut().rev().find(|open| open.id == item) {
            Some(open) if !open.finished => {
                open.finished = true;
                !open.flushing
            }
            _ => false,
        }
    }

    /// Finishes whatever of this response is still open; some servers forget the `.done` events.
    pub(crate) fn finish_response(&mut self, response: &str) -> Vec<String> {
        let of_it = |item: &&mut Item| !item.finished && item.response == response;
        let mut finished = Vec::new();
        for item in self.items.iter_mut().filter(of_it) {
            item.finished = true;
            if !item.flushing {
                finished.push(item.id.clone());
            }
        }
        finished
    }

    /// True while the caller may still be hearing something: the condition for a barge-in.
    pub(crate) fn is_unplayed(&self) -> bool {
        self.items.iter().any(|item| !item.flushing)
    }

    /// True until the host has told what was heard of what is being cut off.
    pub(crate) fn is_flushing(&self) -> bool {
        self.items.iter().any(|item| item.flushing)
    }

    pub(crate) fn is_dead(&self, response: &str) -> bool {
        self.dead.iter().any(|dead| dead == response)
    }

    /// Drops all that this response may still send.
    pub(crate) fn discard(&mut self, response: &str) {
        if response.is_empty() || self.is_dead(response) {
            return;
        }
        if self.dead.len() >= DEAD_RESPONSES_MAX {
            self.dead.pop_front();
        }
        self.dead.push_back(response.to_owned());
    }

    /// Marks everything unplayed as being flushed and its responses as dead.
    pub(crate) fn flush(&mut self) {
        let responses: Vec<String> = self.items.iter().map(|item| item.response.clone()).collect();
        responses.iter().for_each(|response| self.discard(response));
        self.items.iter_mut().for_each(|item| item.flushing = true);
    }

    /// Settles an item that was heard to its end.
    pub(crate) fn heard(&mut self, item: &str, bytes_per_ms: u32) -> Option<Played> {
        let at = self.items.iter().position(|open| open.id == item)?;
        let item = self.items.remove(at).expect("the position was just found");
        let audio_ms = item.audio_ms(bytes_per_ms);
        Some(Played {
            own: item.own,
            item: item.id,
            content_index: item.content_index,
            heard_ms: audio_ms,
            audio_ms,
            truncate: false,
        })
    }

    /// Settles a flush: `heard` lists what was not heard to its end.
    ///
    /// The server's length is what it sent, so the heard time is clamped to that; an item that was
    /// heard whole needs no truncation, which would only erase its transcript.
    pub(crate) fn flushed(&mut self, heard: &[(String, u32)], bytes_per_ms: u32) -> Vec<Played> {
        let (gone, kept) = self.items.drain(..).partition(|item| item.flushing);
        self.items = kept;
        let gone: VecDeque<Item> = gone;
        for item in &gone {
            if self.cut.len() >= DEAD_RESPONSES_MAX {
                self.cut.pop_front();
            }
            self.cut.push_back(item.id.clone());
        }
        gone.into_iter()
            .map(|item| {
                let audio_ms = item.audio_ms(bytes_per_ms);
                let heard_ms = heard
                    .iter()
                    .find(|(id, _)| *id == item.id)
                    .map_or(audio_ms, |(_, heard_ms)| (*heard_ms).min(audio_ms));
                let whole = item.finished && heard_ms == audio_ms;
                Played {
                    truncate: item.known && !whole,
                    own: item.own,
                    item: item.id,
                    content_index: item.content_index,
                    heard_ms,
                    audio_ms,
                }
            })
            .collect()
    }

    /// Takes the items of a dead response that were never played, for truncation to nothing.
    pub(crate) fn take_unheard(&mut self, response: &str) -> Vec<Played> {
        let (gone, kept): (VecDeque<Unheard>, VecDeque<Unheard>) =
            self.unheard.drain(..).partition(|unheard| unheard.response == response);
        self.unheard = kept;
        gone.into_iter()
            .map(|unheard| Played {
                item: unheard.id,
                content_index: unheard.content_index,
                heard_ms: 0,
                audio_ms: 0,
                truncate: true,
                own: false,
            })
            .collect()
    }

    /// The session is gone: what is queued plays on, but no server knows these items any more.
    pub(crate) fn session_lost(&mut self) -> Vec<String> {
        self.dead.clear();
        self.unheard.clear();
        let mut finished = Vec::new();
        for item in &mut self.items {
            item.known = false;
            if !item.finished && !item.flushing {
                item.finished = true;
                finished.push(item.id.clone());
            }
        }
        finished
    }

    /// Whether a state from outside keeps the bounds.
    pub(crate) fn is_sound(&self) -> bool {
        self.items.len() <= ITEMS_MAX
            && self.dead.len() <= DEAD_RESPONSES_MAX
            && self.unheard.len() <= UNHEARD_MAX
            && self.cut.len() <= DEAD_RESPONSES_MAX
    }

    fn add(&mut self, item: Item) {
        if self.items.len() >= ITEMS_MAX {
            self.items.pop_front();
        }
        self.items.push_back(item);
    }

    fn note_unheard(&mut self, response: &str, item: &str, content_index: u32) {
        // The late rest of an item that was cut belongs to its own truncation.
        let noted = self.items.iter().any(|open| open.id == item)
            || self.unheard.iter().any(|unheard| unheard.id == item);
        let cut_before = self.cut.iter().any(|cut| cut == item);
        if noted || cut_before || self.unheard.len() >= UNHEARD_MAX {
            return;
        }
        self.unheard.push_back(Unheard {
            id: item.to_owned(),
            response: response.to_owned(),
            content_index,
        });
    }
}

impl Item {
    fn audio_ms(&self, bytes_per_ms: u32) -> u32 {
        u32::try_from(self.received_bytes / u64::from(bytes_per_ms.max(1))).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PCMU: u32 = 8;

    fn speaking(items: &[(&str, &str, usize)]) -> Playback {
        let mut playback = Playback::default();
        for (response, item, ms) in items {
            playback.received(response, item, 0, ms * PCMU as usize);
        }
        playback
    }

    #[test]
    fn nothing_is_unplayed_before_and_after_speech() {
        let mut playback = Playback::default();
        assert!(!playback.is_unplayed());
        playback.received("r", "a", 0, 80);
        assert!(playback.is_unplayed());
        playback.finish("a");
        playback.heard("a", PCMU);
        assert!(!playback.is_unplayed());
    }

    #[test]
    fn a_partly_heard_item_and_the_one_behind_it_are_both_cut() {
        let mut playback = speaking(&[("r1", "a", 900), ("r1", "b", 300)]);
        playback.flush();
        let played = playback.flushed(&[("a".into(), 400), ("b".into(), 0)], PCMU);
        let told: Vec<_> =
            played.iter().map(|p| (p.item.as_str(), p.heard_ms, p.truncate)).collect();
        assert_eq!(told, [("a", 400, true), ("b", 0, true)]);
    }

    #[test]
    fn the_heard_time_never_exceeds_what_was_received() {
        let mut playback = speaking(&[("r1", "a", 100)]);
        playback.flush();
        assert_eq!(playback.flushed(&[("a".into(), 120)], PCMU)[0].heard_ms, 100);
    }

    #[test]
    fn an_item_heard_whole_is_not_truncated_because_that_would_erase_its_transcript() {
        let mut playback = speaking(&[("r1", "a", 100)]);
        playback.finish("a");
        playback.flush();
        assert!(!playback.flushed(&[("a".into(), 120)], PCMU)[0].truncate);
    }

    #[test]
    fn late_audio_of_a_dead_response_is_dropped_and_of_the_next_one_played() {
        let mut playback = speaking(&[("r1", "a", 100)]);
        playback.flush();
        assert_eq!(playback.received("r1", "a", 0, 80), Verdict::Drop);
        assert_eq!(playback.received("r2", "b", 0, 80), Verdict::New);
        assert_eq!(playback.flushed(&[("a".into(), 10)], PCMU).len(), 1);
        assert!(playback.is_unplayed(), "the next response is not touched by the flush");
    }

    #[test]
    fn an_item_that_came_too_late_is_truncated_to_nothing_and_a_cut_one_only_once() {
        let mut playback = speaking(&[("r1", "a", 100)]);
        playback.flush();
        playback.received("r1", "a", 0, 80);
        playback.flushed(&[("a".into(), 10)], PCMU);
        playback.received("r1", "a", 0, 80);
        playback.received("r1", "b", 0, 80);
        playback.received("r1", "b", 0, 80);
        let unheard = playback.take_unheard("r1");
        assert_eq!(unheard.len(), 1);
        assert_eq!((unheard[0].item.as_str(), unheard[0].heard_ms), ("b", 0));
        assert!(playback.take_unheard("r1").is_empty());
    }

    #[test]
    fn items_of_a_lost_session_are_never_truncated() {
        let mut playback = speaking(&[("r1", "a", 100)]);
        assert_eq!(playback.session_lost(), ["a"]);
        playback.flush();
        assert!(!playback.flushed(&[("a".into(), 10)], PCMU)[0].truncate);
    }

    #[test]
    fn what_is_followed_stays_bounded() {
        let mut playback = Playback::default();
        for n in 0..1_000 {
            playback.received(&format!("r{n}"), &format!("i{n}"), 0, 8);
            playback.discard(&format!("dead{n}"));
            playback.received(&format!("dead{n}"), &format!("late{n}"), 0, 8);
        }
        assert!(playback.is_sound());
    }
}
