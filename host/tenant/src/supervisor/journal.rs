//! The last good state of a tenant, and what it was told since.

use std::collections::VecDeque;
use std::time::Duration;

use cordboard_call::contract::{Event, Millis};

/// Events kept, in bytes of what they carry. A second of a call brings 8 KB of the caller's voice and, in a
/// burst, a few hundred of the model's; a full journal makes a snapshot due.
const BYTES_MAX: usize = 512 << 10;

/// Events kept. A second brings about a hundred.
const EVENTS_MAX: usize = 1_024;

/// What a successor needs: a state, and the events since.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// When it was saved, and what.
    state: Option<(Millis, Vec<u8>)>,
    events: VecDeque<(Millis, Event)>,
    bytes: usize,
    /// When a snapshot was last taken or tried.
    taken: Option<Millis>,
    /// What the last one cost.
    cost: Duration,
}

impl Journal {
    pub(super) fn push(&mut self, now: Millis, event: Event) {
        self.bytes += weight(&event);
        self.events.push_back((now, event));
    }

    /// A good state: what came before it need not be heard again.
    pub(super) fn restart_from(&mut self, now: Millis, state: Vec<u8>, cost: Duration) {
        self.state = Some((now, state));
        self.events.clear();
        self.bytes = 0;
        self.taken = Some(now);
        self.cost = cost;
    }

    /// Whether it is time for a snapshot: `every` milliseconds after the last, later for a tenant that
    /// saves slowly, at once when the journal is full.
    pub(super) fn is_due(&self, now: Millis, every: Millis, share: u32) -> bool {
        let Some(taken) = self.taken else { return !self.events.is_empty() };
        let affordable = Millis::try_from((self.cost * share).as_millis()).unwrap_or(Millis::MAX);
        now >= taken.saturating_add(every.max(affordable)) || self.is_full()
    }

    /// Puts the next snapshot off, after one that failed.
    pub(super) fn put_off(&mut self, now: Millis) {
        self.taken = Some(now);
    }

    pub(super) fn has_state(&self) -> bool {
        self.state.is_some()
    }

    pub(super) fn state(&self) -> Option<(Millis, &[u8])> {
        self.state.as_ref().map(|(at, state)| (*at, state.as_slice()))
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &(Millis, Event)> {
        self.events.iter()
    }

    pub(super) fn last(&self) -> Option<&Event> {
        self.events.back().map(|(_, event)| event)
    }

    pub(super) fn forget_last(&mut self) {
        if let Some((_, event)) = self.events.pop_back() {
            self.bytes -= weight(&event);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX || self.events.len() >= EVENTS_MAX
    }
}

/// What an event takes here: itself, and what it holds on the heap.
fn weight(event: &Event) -> usize {
    64 + event.heap_bytes()
}
