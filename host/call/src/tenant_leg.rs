//! The tenant's side: one event at a time, the rest in line.
//!
//! **One rule: an instance has at most one event to answer, and the next waits its turn.** Only the
//! answer to a `flush` goes before the line: until the tenant has it, it cannot tell which of the
//! waiting audio is dead. The line is bounded. At its bound the oldest caller audio goes first,
//! then the oldest audio of the model; a tenant behind which nothing but other events pile up has
//! failed.

use std::collections::VecDeque;

use crate::contract::{Event, Token};
use crate::io::Now;
use crate::limits::Limits;

#[derive(Debug)]
pub(crate) struct TenantLeg {
    instance: Instance,
    has_answered: bool,
    /// What goes before the line. The actions of one answer bound it.
    first: VecDeque<Event>,
    line: VecDeque<Event>,
    line_bytes: usize,
    /// Times of the last restarts, oldest first.
    restarts: VecDeque<Now>,
    echoes: Rate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instance {
    Idle,
    /// An event was handed out. `last` says that it was the last of all.
    Busy {
        last: bool,
    },
    Starting {
        until: Now,
    },
    Gone,
}

/// What had to go so that an event could join the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dropped {
    pub(crate) caller_audio: u32,
    pub(crate) model_audio: u32,
    /// Nothing was left that may go.
    pub(crate) is_overrun: bool,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ladder {
    /// A fresh instance; so many within the window.
    Restart(u32),
    /// Too many.
    Exhausted,
}

/// Counts happenings within one second of the call.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    second: u64,
    count: u32,
}

impl Rate {
    /// True while there are at most `max` in this second.
    pub(crate) fn allow(&mut self, now: Now, max: u32) -> bool {
        if self.second != now.as_secs() {
            *self = Self { second: now.as_secs(), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= max
    }

    /// How many there were in this second.
    pub(crate) fn count(&self, now: Now) -> u32 {
        if self.second == now.as_secs() { self.count } else { 0 }
    }
}

impl TenantLeg {
    pub(crate) fn new() -> Self {
        Self {
            instance: Instance::Idle,
            has_answered: false,
            first: VecDeque::new(),
            line: VecDeque::new(),
            line_bytes: 0,
            restarts: VecDeque::new(),
            echoes: Rate::default(),
        }
    }

    pub(crate) fn push(&mut self, event: Event, limits: &Limits) -> Dropped {
        self.line_bytes += size(&event);
        self.line.push_back(event);
        let mut dropped = Dropped::default();
        while self.line.len() > limits.events_max || self.line_bytes > limits.events_bytes_max {
            if self.remove_oldest(|event| matches!(event, Event::CallerAudio(_))) {
                dropped.caller_audio += 1;
            } else if self.remove_oldest(|event| matches!(event, Event::ModelAudio(_))) {
                dropped.model_audio += 1;
            } else {
                dropped.is_overrun = true;
                break;
            }
        }
        dropped
    }

    /// Takes what is in line about playing to the front, so that it stays in the order of playing
    /// when the answer to a `flush` goes before the line.
    pub(crate) fn bring_reports_first(&mut self) {
        let is_report = |event: &Event| matches!(event, Event::Heard(_) | Event::Mark(_));
        if self.line.iter().any(is_report) {
            let (reports, rest) = self.line.drain(..).partition(is_report);
            self.line = rest;
            self.line_bytes = self.line.iter().map(size).sum();
            self.first.extend::<VecDeque<Event>>(reports);
        }
    }

    /// Puts an event before the line, behind others that were.
    pub(crate) fn push_first(&mut self, event: Event) {
        self.first.push_back(event);
    }

    /// Counts an event the tenant caused itself; false when these never end.
    pub(crate) fn allow_echo(&mut self, now: Now, limits: &Limits) -> bool {
        self.echoes.allow(now, limits.echoes_per_second_max)
    }

    /// Takes the echoes of this second as somebody else's doing.
    pub(crate) fn forgive_echoes(&mut self) {
        self.echoes = Rate::default();
    }

    /// The next event, if the instance is free to take it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        if self.instance != Instance::Idle {
            return None;
        }
        let event = match self.first.pop_front() {
            Some(event) => event,
            None => {
                let event = self.line.pop_front()?;
                self.line_bytes -= size(&event);
                event
            }
        };
        self.instance = Instance::Busy { last: matches!(event, Event::Ended(_)) };
        Some(event)
    }

    /// False when there was nothing to answer.
    pub(crate) fn answered(&mut self) -> bool {
        match self.instance {
            Instance::Busy { last } => {
                self.instance = if last { Instance::Gone } else { Instance::Idle };
                self.has_answered = true;
                true
            }
            Instance::Idle | Instance::Starting { .. } | Instance::Gone => false,
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.instance == Instance::Gone
    }

    /// Some instance has answered an event of this call.
    pub(crate) fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// An instance exists and has answered all it was asked.
    pub(crate) fn is_idle(&self) -> bool {
        self.instance == Instance::Idle
    }

    pub(crate) fn has_instance(&self) -> bool {
        matches!(self.instance, Instance::Idle | Instance::Busy { .. })
    }

    /// The instance is lost. What only it knew of the model is taken out of the line.
    pub(crate) fn failed(&mut self, now: Now, limits: &Limits) -> Ladder {
        while self.restarts.pop_front_if(|at| *at + limits.restart_window <= now).is_some() {}
        if self.restarts.len() as u64 >= u64::from(limits.restarts_max) {
            self.gone();
            return Ladder::Exhausted;
        }
        self.restarts.push_back(now);
        self.echoes = Rate::default();
        self.instance = Instance::Starting { until: now + limits.tenant_start_max };
        self.keep(|event| {
            !matches!(
                event,
                Event::Started(_)
                    | Event::ModelReady(_)
                    | Event::ModelRestored(_)
                    | Event::ModelLost(_)
                    | Event::Timer(_)
                    | Event::HttpDone(_)
                    | Event::HttpFailed(_)
                    | Event::Refused(_)
            )
        });
        Ladder::Restart(self.restarts.len() as u32)
    }

    /// A fresh instance exists; these two come first. False when none was asked for.
    pub(crate) fn ready(&mut self, started: Event, model: Option<Event>) -> bool {
        if !matches!(self.instance, Instance::Starting { .. }) {
            return false;
        }
        self.instance = Instance::Idle;
        self.first.clear();
        self.first.extend([started].into_iter().chain(model));
        true
    }

    /// Most of what waits was said by the model.
    pub(crate) fn is_line_the_models(&self) -> bool {
        self.line.iter().filter(|event| is_the_models(event)).count() * 2 > self.line.len()
    }

    /// Takes out of the line what the model said.
    pub(crate) fn forget_model(&mut self) {
        self.keep(|event| !is_the_models(event));
    }

    /// Takes a timer that has fired back out of the line: its token was cancelled or set anew.
    pub(crate) fn withdraw_timer(&mut self, token: Token) {
        self.remove_oldest(|event| *event == Event::Timer(token));
    }

    /// Puts the last event in line. Audio before it is of no use any more.
    pub(crate) fn end(&mut self, ended: Event) {
        self.keep(|event| !matches!(event, Event::CallerAudio(_) | Event::ModelAudio(_)));
        self.line_bytes += size(&ended);
        self.line.push_back(ended);
    }

    pub(crate) fn gone(&mut self) {
        self.instance = Instance::Gone;
        self.first.clear();
        self.line.clear();
        self.line_bytes = 0;
    }

    pub(crate) fn start_deadline(&self) -> Option<Now> {
        match self.instance {
            Instance::Starting { until } => Some(until),
            Instance::Idle | Instance::Busy { .. } | Instance::Gone => None,
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.first.len() + self.line.len()
    }

    fn keep(&mut self, may_stay: impl Fn(&Event) -> bool) {
        self.line.retain(may_stay);
        self.line_bytes = self.line.iter().map(size).sum();
    }

    fn remove_oldest(&mut self, is_kind: impl Fn(&Event) -> bool) -> bool {
        let place = self.line.iter().position(is_kind);
        let removed = place.and_then(|place| self.line.remove(place));
        self.line_bytes -= removed.as_ref().map_or(0, size);
        removed.is_some()
    }
}

fn is_the_models(event: &Event) -> bool {
    matches!(event, Event::ModelEvent(_) | Event::ModelAudio(_))
}

/// Bytes an event holds, about.
fn size(event: &Event) -> usize {
    match event {
        Event::CallerAudio(audio) => audio.len(),
        Event::ModelAudio(audio) => audio.data.len() + audio.item.len() + audio.response.len(),
        Event::ModelEvent(json) | Event::Command(json) => json.len(),
        Event::HttpDone(response) => response.body.len(),
        Event::Started(_)
        | Event::CallerKey(_)
        | Event::ModelReady(_)
        | Event::ModelLost(_)
        | Event::ModelRestored(_)
        | Event::Heard(_)
        | Event::Mark(_)
        | Event::Flushed(_)
        | Event::Timer(_)
        | Event::HttpFailed(_)
        | Event::Refused(_)
        | Event::Ended(_) => 64,
    }
}
