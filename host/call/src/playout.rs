//! What the caller hears, and how much of it.
//!
//! **One rule: a position is heard when the carrier echoed a mark behind it; the clock only guesses
//! in between, and never past what was sent.** Audio is one stream of bytes cut into whole frames.
//! The ends of items and the tenant's marks are positions in that stream, reported once a position
//! at or behind them was heard. A `flush` starts a new generation with a stream of its own; marks
//! of an older generation say nothing, because a cleared mark is echoed just like a played one.
//!
//! Pacing follows the carrier's queue, not a metronome: `queued_until` is the time at which the
//! carrier will have played all it was given. It moves by what was sent and by nothing else, so no
//! delay of ours adds up.

use std::collections::VecDeque;
use std::time::Duration;

use crate::contract::{Event, Flushed, Heard, Play};
use crate::framing::{FRAME, Framing};
use crate::io::{Now, ToCarrier};
use crate::limits::Limits;

/// One stream of audio towards the carrier, with its accounts.
#[derive(Debug)]
pub(crate) struct Playout {
    framing: Framing,
    generation: u32,
    marks_made: u64,

    /// Not yet sent, in order.
    queue: VecDeque<Entry>,
    unsent: u64,
    items: VecDeque<Item>,
    items_made: u64,
    tenant_marks: usize,

    /// Sent and not yet heard, in order; padding belongs to no item.
    spans: VecDeque<Span>,
    /// What to report, by position.
    ends: VecDeque<End>,
    /// Our marks under way.
    marks: VecDeque<Underway>,

    /// Bytes sent in this generation.
    sent: u64,
    /// Bytes up to which a mark was echoed.
    confirmed: u64,
    /// Bytes up to which items were credited: the greatest position ever told.
    credited: u64,
    /// The position of the last mark sent.
    marked: u64,
    /// A position and when it was reached, for reading the clock.
    anchor: (u64, Now),
    /// When the carrier will have played all it was given.
    queued_until: Now,
    /// When audio came last: what has just come may go on at once.
    fed: Now,
}

/// What became of something the tenant played or marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    Heard(Heard),
    Mark(String),
}

/// What an echoed mark meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    Played,
    Stale,
}

#[derive(Debug)]
enum Entry {
    Audio { item: u64, data: Vec<u8>, from: usize },
    ItemEnd(u64),
    Mark(String),
}

#[derive(Debug)]
struct Item {
    key: u64,
    name: String,
    given: u64,
    sent: u64,
    heard: u64,
    closed: bool,
}

#[derive(Debug)]
struct Span {
    item: Option<u64>,
    bytes: u64,
}

#[derive(Debug)]
struct End {
    at: u64,
    what: Ending,
}

#[derive(Debug)]
enum Ending {
    Item(u64),
    Mark(String),
}

#[derive(Debug, Clone, Copy)]
struct Underway {
    number: u64,
    at: u64,
}

impl Playout {
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            generation: 1,
            marks_made: 0,
            queue: VecDeque::new(),
            unsent: 0,
            items: VecDeque::new(),
            items_made: 0,
            tenant_marks: 0,
            spans: VecDeque::new(),
            ends: VecDeque::new(),
            marks: VecDeque::new(),
            sent: 0,
            confirmed: 0,
            credited: 0,
            marked: 0,
            anchor: (0, Now::ZERO),
            queued_until: Now::ZERO,
            fed: Now::ZERO,
        }
    }

    /// Queues audio for an item. An error says why nothing of it was queued.
    pub(crate) fn play(
        &mut self,
        play: Play,
        now: Now,
        limits: &Limits,
    ) -> Result<(), &'static str> {
        let Play { item, audio, last } = play;
        if item.len() > limits.name_bytes_max {
            return Err("the item's name is too long");
        }
        let bytes = audio.len() as u64;
        if self.unsent + bytes > self.framing.bytes(limits.playout_max) {
            return Err("too much audio is waiting to be played");
        }
        if self.queue.len() >= limits.pieces_max {
            return Err("too many pieces of audio are waiting to be played");
        }
        let open = self.items.iter().rposition(|known| !known.closed && known.name == item);
        let place = match open {
            Some(place) => place,
            None => self.begin_item(item, limits)?,
        };
        let item = &mut self.items[place];
        item.given += bytes;
        item.closed = last;
        let key = item.key;
        if bytes > 0 {
            self.fed = now;
            self.unsent += bytes;
            self.queue.push_back(Entry::Audio { item: key, data: audio, from: 0 });
        }
        if last {
            self.queue.push_back(Entry::ItemEnd(key));
        }
        Ok(())
    }

    fn begin_item(&mut self, name: String, limits: &Limits) -> Result<usize, &'static str> {
        if self.items.len() >= limits.items_max {
            // One that was never ended and has nothing left to play is most likely forgotten.
            let is_idle = |item: &Item| !item.closed && item.heard == item.given;
            let idle = self.items.iter().position(is_idle).ok_or("too many items are playing")?;
            self.items.remove(idle);
        }
        self.items_made += 1;
        let key = self.items_made;
        self.items.push_back(Item { key, name, given: 0, sent: 0, heard: 0, closed: false });
        Ok(self.items.len() - 1)
    }

    /// Queues a mark of the tenant behind everything played so far.
    pub(crate) fn mark(&mut self, name: String, limits: &Limits) -> Result<(), &'static str> {
        if name.len() > limits.name_bytes_max {
            return Err("the mark's name is too long");
        }
        if self.tenant_marks >= limits.marks_max {
            return Err("too many marks are waiting");
        }
        self.tenant_marks += 1;
        self.queue.push_back(Entry::Mark(name));
        Ok(())
    }

    /// Sends what may be sent now and reports what is known to be heard.
    pub(crate) fn pump(
        &mut self,
        now: Now,
        limits: &Limits,
        send: &mut impl FnMut(ToCarrier),
        report: &mut impl FnMut(Report),
    ) {
        let full = limits.frames_per_message_max * self.framing.frame_bytes();
        self.place_ends();
        loop {
            let lead = self.lead(now);
            let room = limits.lead_max.saturating_sub(lead).as_nanos() / FRAME.as_nanos();
            let room = usize::try_from(room).unwrap_or(usize::MAX) * self.framing.frame_bytes();
            // Above the floor there is time to wait for a full message.
            if lead > limits.lead_min && (room < full || self.unsent < full as u64) {
                break;
            }
            let pad = self.is_dry(now, limits);
            let idle = self.position(now) >= self.sent;
            let from = self.sent;
            let frames = self.cut(room.min(full), pad);
            if frames.is_empty() {
                break;
            }
            if idle {
                self.anchor = (from, now);
            }
            self.queued_until = self.queued_until.max(now) + self.framing.time(self.sent - from);
            send(ToCarrier::Media { frames });
            let is_end = self.ends.back().is_some_and(|end| end.at == self.sent);
            let is_grid = self.framing.time(self.sent - self.marked) >= limits.mark_grid;
            if is_end || is_grid || pad {
                self.send_mark(send);
            }
        }
        // An end that became known after its audio was sent, or audio nobody called the last.
        let is_late_end = self.ends.back().is_some_and(|end| end.at > self.marked);
        let is_loose = self.sent > self.marked && self.is_dry(now, limits);
        if is_late_end || is_loose {
            self.send_mark(send);
        }
        self.report_heard(report);
    }

    /// Gives up waiting for echoes whose time is long past. True when there was one.
    pub(crate) fn settle_overdue(&mut self, now: Now, limits: &Limits) -> bool {
        let before = self.marks.len();
        while let Some(mark) = self.marks.front().copied()
            && self.overdue_at(mark, limits) <= now
        {
            self.marks.pop_front();
            self.confirmed = self.confirmed.max(mark.at);
        }
        self.marks.len() < before
    }

    /// Takes the echo of a mark.
    pub(crate) fn echoed(&mut self, name: &str, now: Now) -> Echo {
        let known = parse_mark(name).filter(|(generation, number)| {
            let oldest = self.marks.front().map_or(u64::MAX, |mark| mark.number);
            *generation == self.generation && (oldest..=self.marks_made).contains(number)
        });
        let Some((_, number)) = known else { return Echo::Stale };
        // The carrier echoes in order, so an echo vouches for those before it.
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.number <= number) {
            self.confirmed = self.confirmed.max(mark.at);
        }
        self.anchor = (self.confirmed, now);
        Echo::Played
    }

    /// Throws away what was not heard, and says what that was. Nothing is cleared at the carrier
    /// when it has nothing left to play.
    pub(crate) fn flush(
        &mut self,
        now: Now,
        send: &mut impl FnMut(ToCarrier),
        report: &mut impl FnMut(Report),
    ) -> Flushed {
        self.place_ends();
        let heard = self.position(now);
        let at_carrier = heard < self.sent;
        if !at_carrier && self.unsent == 0 {
            return Flushed::default();
        }
        self.credit(heard);
        if at_carrier {
            self.confirmed = heard;
            self.report_heard(report);
        }
        let mut marks = Vec::new();
        if at_carrier {
            marks.extend(self.ends.drain(..).filter_map(|end| end.what.mark()));
        }
        marks.extend(self.queue.drain(..).filter_map(Entry::mark));
        self.tenant_marks -= marks.len();
        self.unsent = 0;
        let items = self.drop_unheard(at_carrier, report);
        if at_carrier {
            self.begin_generation(now);
            send(ToCarrier::Clear);
            // Its echo proves that the carrier has cleared.
            self.send_mark(send);
        }
        Flushed { items, marks }
    }

    /// Forgets what was not yet sent; what the carrier has plays on.
    pub(crate) fn forget_unsent(&mut self) {
        let lost = self.queue.drain(..).filter_map(Entry::mark).count();
        self.tenant_marks -= lost;
        self.unsent = 0;
        for item in &mut self.items {
            item.given = item.sent;
        }
    }

    /// The carrier has a new, empty stream. What the old one still had counts as heard; what was
    /// not sent yet is still to play.
    pub(crate) fn begin_stream(&mut self, now: Now, report: &mut impl FnMut(Report)) {
        self.confirmed = self.sent;
        self.report_heard(report);
        self.begin_generation(now);
    }

    /// All that was given was sent, and its last mark came back.
    pub(crate) fn is_played_out(&self) -> bool {
        self.queue.is_empty() && self.confirmed >= self.sent
    }

    /// Audio the carrier still has to play, by the clock.
    pub(crate) fn lead(&self, now: Now) -> Duration {
        self.queued_until.saturating_sub(now)
    }

    /// Audio that waits behind the lead.
    pub(crate) fn waiting(&self) -> Duration {
        self.framing.time(self.unsent)
    }

    /// By how much the next message is late, if it is.
    pub(crate) fn lateness(&self, now: Now, limits: &Limits) -> Duration {
        self.send_at(limits).map_or(Duration::ZERO, |due| now.saturating_sub(due))
    }

    pub(crate) fn wake_at(&self, limits: &Limits) -> Option<Now> {
        let is_loose = self.unsent > 0 || self.sent > self.marked;
        let dry_at = is_loose.then(|| self.dry_at(limits));
        let overdue_at = self.marks.front().map(|mark| self.overdue_at(*mark, limits));
        self.send_at(limits).or(dry_at).into_iter().chain(overdue_at).min()
    }

    fn send_at(&self, limits: &Limits) -> Option<Now> {
        self.is_frame_ready(false).then(|| self.queued_until.saturating_sub(limits.lead_min))
    }

    /// What the caller has heard: the last echo and the time since, never past what was sent, and
    /// never less than was said before.
    fn position(&self, now: Now) -> u64 {
        let (at, since) = self.anchor;
        let guess = at + self.framing.bytes(now.saturating_sub(since));
        guess.min(self.sent).max(self.credited).max(self.confirmed)
    }

    fn overdue_at(&self, mark: Underway, limits: &Limits) -> Now {
        let (at, since) = self.anchor;
        since + self.framing.time(mark.at.saturating_sub(at)) + limits.mark_grace
    }

    fn is_dry(&self, now: Now, limits: &Limits) -> bool {
        now >= self.dry_at(limits)
    }

    /// When a remainder has waited long enough. A line that was quiet for long says nothing about audio
    /// that has just begun: its first piece is rarely whole frames, and the next is on its way.
    fn dry_at(&self, limits: &Limits) -> Now {
        self.queued_until.max(self.fed) + limits.remainder_wait
    }

    /// Whether a frame can be cut: whole, closed by an item's end, or else padded.
    fn is_frame_ready(&self, pad: bool) -> bool {
        let mut have = 0;
        for entry in &self.queue {
            match entry {
                Entry::Audio { data, from, .. } => have += data.len() - from,
                Entry::ItemEnd(_) if have > 0 => return true,
                Entry::ItemEnd(_) | Entry::Mark(_) => {}
            }
            if have >= self.framing.frame_bytes() {
                return true;
            }
        }
        pad && have > 0
    }

    /// Cuts a message of at most `room` bytes in whole frames; it ends where an item or a tenant's
    /// mark does, so that a mark of ours can follow exactly there.
    fn cut(&mut self, room: usize, pad: bool) -> Vec<u8> {
        let mut frames = Vec::new();
        while frames.len() < room && self.is_frame_ready(pad) {
            // A piece is taken out of the queue by looking at it, so only while there is nothing to join it to.
            match frames.is_empty().then(|| self.take_whole(room)).flatten() {
                Some(whole) => frames = whole,
                None => self.cut_frame(&mut frames),
            }
            self.place_ends();
            if self.ends.back().is_some_and(|end| end.at == self.sent) {
                break;
            }
        }
        frames
    }

    /// The next piece itself, when it is whole frames as it stands.
    fn take_whole(&mut self, room: usize) -> Option<Vec<u8>> {
        let frame_bytes = self.framing.frame_bytes();
        let entry = self.queue.pop_front_if(|entry| {
            matches!(entry, Entry::Audio { data, from: 0, .. }
                if data.len() <= room && data.len().is_multiple_of(frame_bytes))
        })?;
        let Entry::Audio { item, data, .. } = entry else { unreachable!("only audio was matched") };
        self.count_sent(Some(item), data.len());
        Some(data)
    }

    fn cut_frame(&mut self, frames: &mut Vec<u8>) {
        let end = frames.len() + self.framing.frame_bytes();
        while frames.len() < end {
            let missing = end - frames.len();
            match self.queue.front_mut() {
                Some(Entry::Audio { item, data, from }) => {
                    let piece = &data[*from..][..missing.min(data.len() - *from)];
                    frames.extend_from_slice(piece);
                    *from += piece.len();
                    let (item, bytes, is_used_up) = (*item, piece.len(), *from == data.len());
                    self.count_sent(Some(item), bytes);
                    if is_used_up {
                        self.queue.pop_front();
                    }
                }
                Some(Entry::Mark(_)) => {
                    let name = self.queue.pop_front().and_then(Entry::mark);
                    let what = Ending::Mark(name.expect("the front is a mark"));
                    self.ends.push_back(End { at: self.sent + missing as u64, what });
                }
                Some(Entry::ItemEnd(_)) | None => {
                    frames.resize(end, self.framing.silence());
                    self.count_sent(None, missing);
                }
            }
        }
    }

    fn count_sent(&mut self, key: Option<u64>, bytes: usize) {
        let bytes = bytes as u64;
        self.sent += bytes;
        if let Some(item) = key.and_then(|key| self.items.iter_mut().find(|item| item.key == key)) {
            item.sent += bytes;
            self.unsent -= bytes;
        }
        match self.spans.back_mut() {
            Some(span) if span.item == key => span.bytes += bytes,
            _ => self.spans.push_back(Span { item: key, bytes }),
        }
    }

    /// Gives a position to the ends that have nothing unsent before them.
    fn place_ends(&mut self) {
        while let Some(entry) = self.queue.pop_front_if(|entry| !entry.is_audio()) {
            let what = match entry {
                Entry::ItemEnd(key) => Ending::Item(key),
                Entry::Mark(name) => Ending::Mark(name),
                Entry::Audio { .. } => unreachable!("audio stays in the queue"),
            };
            self.ends.push_back(End { at: self.sent, what });
        }
    }

    fn send_mark(&mut self, send: &mut impl FnMut(ToCarrier)) {
        self.marks_made += 1;
        self.marked = self.sent;
        self.marks.push_back(Underway { number: self.marks_made, at: self.sent });
        send(ToCarrier::Mark { name: format!("g{}.{}", self.generation, self.marks_made) });
    }

    /// Credits items with what was heard up to a position.
    fn credit(&mut self, position: u64) {
        while self.credited < position {
            let span = self.spans.front_mut().expect("spans cover all that was sent");
            let heard = span.bytes.min(position - self.credited);
            span.bytes -= heard;
            let (key, is_used_up) = (span.item, span.bytes == 0);
            self.credited += heard;
            if is_used_up {
                self.spans.pop_front();
            }
            if let Some(item) = self.items.iter_mut().find(|item| Some(item.key) == key) {
                item.heard += heard;
            }
        }
    }

    fn report_heard(&mut self, report: &mut impl FnMut(Report)) {
        self.credit(self.confirmed);
        while let Some(end) = self.ends.pop_front_if(|end| end.at <= self.confirmed) {
            match end.what {
                Ending::Mark(name) => {
                    self.tenant_marks -= 1;
                    report(Report::Mark(name));
                }
                Ending::Item(key) => {
                    let place = self.items.iter().position(|item| item.key == key);
                    if let Some(item) = place.and_then(|place| self.items.remove(place)) {
                        report(Report::Heard(item.heard(self.framing, true)));
                    }
                }
            }
        }
    }

    /// Drops every item that was not heard whole. With `all`, an item that lacks only padding is
    /// reported as complete; without, its mark is still under way.
    fn drop_unheard(&mut self, all: bool, report: &mut impl FnMut(Report)) -> Vec<Heard> {
        let framing = self.framing;
        let mut unheard = Vec::new();
        self.items.retain(|item| {
            if item.heard < item.given {
                unheard.push(item.heard(framing, false));
                return false;
            }
            let is_complete = item.closed && all;
            if is_complete {
                report(Report::Heard(item.heard(framing, true)));
            }
            !is_complete
        });
        unheard
    }

    fn begin_generation(&mut self, now: Now) {
        self.generation += 1;
        self.spans.clear();
        self.marks.clear();
        (self.sent, self.confirmed, self.credited, self.marked) = (0, 0, 0, 0);
        self.anchor = (0, now);
        self.queued_until = now;
    }
}

impl Entry {
    fn is_audio(&self) -> bool {
        matches!(self, Self::Audio { .. })
    }

    fn mark(self) -> Option<String> {
        match self {
            Self::Mark(name) => Some(name),
            Self::Audio { .. } | Self::ItemEnd(_) => None,
        }
    }
}

impl From<Report> for Event {
    fn from(report: Report) -> Self {
        match report {
            Report::Heard(heard) => Self::Heard(heard),
            Report::Mark(name) => Self::Mark(name),
        }
    }
}

impl Ending {
    fn mark(self) -> Option<String> {
        match self {
            Self::Mark(name) => Some(name),
            Self::Item(_) => None,
        }
    }
}

impl Item {
    fn heard(&self, framing: Framing, complete: bool) -> Heard {
        Heard { item: self.name.clone(), millis: framing.millis(self.heard), complete }
    }
}

/// Reads a name made by [`Playout::send_mark`]: the generation and the mark's number.
fn parse_mark(name: &str) -> Option<(u32, u64)> {
    let (generation, number) = name.strip_prefix('g')?.split_once('.')?;
    Some((generation.parse().ok()?, number.parse().ok()?))
}
