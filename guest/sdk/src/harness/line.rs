//! The carrier's end of a call under test: it plays at the speed of time and knows what was heard.

use std::collections::VecDeque;

use crate::{Event, Flushed, Heard, Play};

/// The carrier's end: what is queued, in order, and what of it was heard.
pub(super) struct Line {
    queue: VecDeque<Queued>,
    /// Every item not heard to its end, in playing order, with the bytes that were heard.
    open: Vec<(String, u64)>,
    reports: VecDeque<Event>,
    bytes_per_ms: u64,
}

enum Queued {
    Audio { item: String, bytes: u64, last: bool },
    Mark(String),
}

impl Line {
    pub(super) fn new(bytes_per_ms: u64) -> Line {
        let (queue, open, reports) = Default::default();
        Line { queue, open, reports, bytes_per_ms }
    }

    pub(super) fn mark(&mut self, name: String) {
        self.queue.push_back(Queued::Mark(name));
    }

    /// Nothing is queued.
    pub(super) fn is_silent(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn play(&mut self, play: Play) {
        let Play { item, audio, last } = play;
        if !self.open.iter().any(|(open, _)| *open == item) {
            self.open.push((item.clone(), 0));
        }
        self.queue.push_back(Queued::Audio { item, bytes: audio.len() as u64, last });
    }

    /// Plays for this long and notes what there is to report.
    pub(super) fn pass(&mut self, ms: u64) {
        let mut budget = ms * self.bytes_per_ms;
        while let Some(front) = self.queue.front_mut() {
            match front {
                Queued::Mark(name) => self.reports.push_back(Event::Mark(std::mem::take(name))),
                Queued::Audio { item, bytes, last } => {
                    let now = budget.min(*bytes);
                    budget -= now;
                    *bytes -= now;
                    let at = self.open.iter().position(|(open, _)| open == item);
                    let at = at.expect("an item stays open until its last audio was heard");
                    self.open[at].1 += now;
                    if *bytes > 0 {
                        return;
                    }
                    if *last {
                        let (item, heard) = self.open.remove(at);
                        let millis = (heard / self.bytes_per_ms) as u32;
                        self.reports.push_back(Event::Heard(Heard {
                            item,
                            millis,
                            complete: true,
                        }));
                    }
                }
            }
            self.queue.pop_front();
        }
    }

    /// The next thing to report by now.
    pub(super) fn due(&mut self) -> Option<Event> {
        self.pass(0);
        self.reports.pop_front()
    }

    /// Milliseconds until there is something to report.
    pub(super) fn next_ms(&self) -> Option<u64> {
        let mut ahead = 0;
        for queued in &self.queue {
            match queued {
                Queued::Mark(_) => return Some(ahead / self.bytes_per_ms),
                Queued::Audio { bytes, last, .. } => {
                    ahead += bytes;
                    if *last {
                        return Some(ahead.div_ceil(self.bytes_per_ms));
                    }
                }
            }
        }
        None
    }

    pub(super) fn flush(&mut self) -> Flushed {
        let marks = self.queue.drain(..).filter_map(|queued| match queued {
            Queued::Mark(name) => Some(name),
            Queued::Audio { .. } => None,
        });
        let marks = marks.collect();
        let bytes_per_ms = self.bytes_per_ms;
        let items = self.open.drain(..).map(|(item, heard)| Heard {
            item,
            millis: (heard / bytes_per_ms) as u32,
            complete: false,
        });
        Flushed { items: items.collect(), marks }
    }
}
