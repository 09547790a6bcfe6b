//! A recording taken apart: the trace of each instance, and what the call made of them.

use std::collections::HashMap;

use cordboard_call::contract::{Action, CallInfo, Event, Millis};

use crate::entry::{Bounds, Bytes, Entry, Failure};

/// All that passed the boundary of one instance, in order.
#[derive(Debug, Clone)]
pub struct InstanceTrace<'a> {
    /// How it began.
    pub start: Start<'a>,
    /// What happened to it then.
    pub steps: Vec<Step<'a>>,
}

/// How an instance began.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// Its number in the call.
    pub instance: u64,
    /// Its version's name.
    pub version: &'a str,
    /// SHA-256 of its component.
    pub component: &'a [u8; 32],
    /// Where its random numbers came from.
    pub seed: &'a [u8; 32],
    /// What its wall clock showed as the call began, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// What it was allowed.
    pub bounds: &'a Bounds,
    /// Why it did not start, if it did not.
    pub failure: Option<&'a Failure>,
}

/// One thing that happened to an instance.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// It was handed a state.
    Loaded {
        /// When.
        now: Millis,
        /// What it was told of the call.
        info: &'a CallInfo,
        /// The state.
        state: &'a Bytes<'a>,
        /// What it made of it.
        answer: &'a Result<Result<(), String>, Failure>,
    },
    /// It was told an event.
    Asked {
        /// When.
        now: Millis,
        /// What happened.
        event: &'a Event,
        /// What it answered; none where the recording ends before that.
        answer: Option<Result<&'a [Action], &'a Failure>>,
    },
    /// It was asked for its state.
    Saved {
        /// When.
        now: Millis,
        /// The state.
        answer: &'a Result<Option<Bytes<'a>>, Failure>,
    },
}

/// An event of the call and the one answer to it that was carried out.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// When.
    pub now: Millis,
    /// What happened.
    pub event: &'a Event,
    /// What was carried out.
    pub actions: &'a [Action],
    /// How the instance began that answered.
    pub by: Start<'a>,
}

/// The traces of all instances, in the order they began.
#[must_use]
pub fn instance_traces<'a>(entries: &'a [Entry<'a>]) -> Vec<InstanceTrace<'a>> {
    let mut traces: Vec<InstanceTrace<'a>> = Vec::new();
    // A number is given again when the one before it did not even start.
    let mut latest: HashMap<u64, usize> = HashMap::new();
    for entry in entries {
        if let Some(start) = start(entry) {
            latest.insert(start.instance, traces.len());
            traces.push(InstanceTrace { start, steps: Vec::new() });
            continue;
        }
        let trace = latest.get(&entry.instance()).and_then(|&at| traces.get_mut(at));
        let Some(trace) = trace else { continue };
        match entry {
            Entry::Started { .. } | Entry::Activated { .. } => {}
            Entry::Loaded { now, info, state, answer, .. } => {
                trace.steps.push(Step::Loaded { now: *now, info, state, answer });
            }
            Entry::Asked { now, event, .. } => {
                trace.steps.push(Step::Asked { now: *now, event, answer: None });
            }
            Entry::Answered { answer: given, .. } => {
                if let Some(Step::Asked { answer, .. }) = trace.steps.last_mut() {
                    *answer = Some(given.as_deref());
                }
            }
            Entry::Saved { now, answer, .. } => {
                trace.steps.push(Step::Saved { now: *now, answer });
            }
        }
    }
    traces
}

/// The events whose answers were carried out, in order.
#[must_use]
pub fn turns<'a>(entries: &'a [Entry<'a>]) -> Vec<Turn<'a>> {
    let mut turns = Vec::new();
    let mut starts: HashMap<u64, Start<'a>> = HashMap::new();
    let mut asked: HashMap<u64, (Millis, &'a Event)> = HashMap::new();
    let mut answering = None;
    for entry in entries {
        let instance = entry.instance();
        match entry {
            Entry::Started { .. } => starts.extend(start(entry).map(|it| (instance, it))),
            Entry::Activated { .. } => answering = Some(instance),
            Entry::Asked { now, event, .. } => {
                asked.insert(instance, (*now, event));
            }
            Entry::Answered { answer: Ok(actions), .. } if answering == Some(instance) => {
                if let Some((now, event)) = asked.remove(&instance)
                    && let Some(&by) = starts.get(&instance)
                {
                    turns.push(Turn { now, event, actions, by });
                }
            }
            Entry::Answered { .. } | Entry::Loaded { .. } | Entry::Saved { .. } => {}
        }
    }
    turns
}

fn start<'a>(entry: &'a Entry<'a>) -> Option<Start<'a>> {
    match entry {
        Entry::Started { instance, version, component, seed, began_unix_ms, bounds, failure } => {
            Some(Start {
                instance: *instance,
                version,
                component,
                seed,
                began_unix_ms: *began_unix_ms,
                bounds,
                failure: failure.as_ref(),
            })
        }
        _ => None,
    }
}
