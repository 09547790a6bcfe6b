//! Runs a recording again and compares.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cordboard_call::contract::{Action, Event, Millis};
use cordboard_recording::AudioFormats;
use cordboard_recording::compare::{Comparison, compare};
use cordboard_recording::{
    Bounds, Bytes, Failure, InstanceTrace, Recording, Redaction, Start, Step, describe,
    instance_traces, turns,
};
use cordboard_tenant::{
    Component, CpuQuota, Digest, Fault, Instance, InstanceConfig, Limits, LogLevel, LogSink,
};

use super::components::{Components, NoComponent};

/// Differences that are kept with their tables: 1,000. Further ones are counted, but the first failure is kept wherever it is.
const KEPT_MAX: usize = 1_000;

/// How much more CPU time a replay may take than the call: the machine may be slower, or busy.
pub const PATIENCE: u32 = 10;

/// What came of a replay.
#[derive(Debug, Default)]
pub struct Replay {
    /// Instances that were run again.
    pub instances: usize,
    /// Answers that were compared.
    pub answers: usize,
    /// Saved states that were compared.
    pub states: usize,
    /// What could not be replayed, in sentences.
    pub left_out: Vec<String>,
    /// What differed, in order, the first thousand.
    pub differences: Vec<Difference>,
    /// How much differed in all.
    pub differing: usize,
    /// The first event for which another component sent more or less audio, in a sentence.
    pub amount: Option<String>,
}

/// One thing that differed.
#[derive(Debug)]
pub struct Difference {
    /// Which instance of the call.
    pub instance: u64,
    /// When, in milliseconds of the call.
    pub now: Millis,
    /// The event, in one line.
    pub event: String,
    /// How.
    pub what: What,
}

/// How something differed.
#[derive(Debug)]
pub enum What {
    /// The actions.
    Actions(Comparison),
    /// One side failed, or both did but not alike: recorded, replayed.
    Outcome(String, String),
}

impl What {
    /// What the replay came to, in words.
    pub(super) fn replayed(&self) -> &str {
        match self {
            Self::Actions(_) => "other actions",
            Self::Outcome(_, replayed) => replayed,
        }
    }
}

impl Replay {
    /// Whether everything that was replayed is equal to the byte, and there was something.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.differing == 0 && !self.is_empty()
    }

    /// Whether there was nothing to compare: a recording that ends before its first answer, or keeps none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.answers + self.states == 0 && self.differing == 0
    }

    /// Where one side failed and the other did not, or otherwise.
    pub fn failures(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|it| matches!(it.what, What::Outcome(..)))
    }

    fn differs(&mut self, difference: Difference) {
        self.differing += 1;
        let first_failure =
            matches!(difference.what, What::Outcome(..)) && self.failures().next().is_none();
        if self.differences.len() < KEPT_MAX || first_failure {
            self.differences.push(difference);
        }
    }
}

/// Runs every instance of a call again, each with the component it had.
///
/// # Errors
/// A component is not to be had.
pub async fn again(
    recording: &Recording,
    components: &mut Components,
) -> Result<Replay, NoComponent> {
    let mut replay = Replay::default();
    for trace in instance_traces(&recording.entries) {
        let digest = Digest::from_bytes(*trace.start.component);
        let component = components.find(&recording.header.tenant, &digest)?;
        live_again(&trace, &component, recording.header.redaction, &mut replay).await;
    }
    Ok(replay)
}

async fn live_again(
    trace: &InstanceTrace<'_>,
    component: &Component,
    redaction: Redaction,
    to: &mut Replay,
) {
    let Start { instance, .. } = trace.start;
    let mut left_out = |what: String| to.left_out.push(format!("instance {instance} from {what}"));
    if trace.steps.is_empty() {
        return;
    }
    if let Some(Step::Loaded { now, state: Bytes::Withheld(bytes), .. }) = trace.steps.first() {
        return left_out(format!("{}: its state ({bytes} bytes) was withheld", seconds(*now)));
    }
    let mut formats = AudioFormats::TELEPHONE;
    to.instances += 1;
    let mut guest = match start(component, &trace.start, PATIENCE).await {
        Ok(guest) => guest,
        Err(fault) => {
            let what = What::Outcome("started".to_owned(), fault.to_string());
            let event = "its start".to_owned();
            return to.differs(Difference { instance, now: 0, event, what });
        }
    };
    for step in &trace.steps {
        let (now, event, what) = match *step {
            Step::Loaded { now, info, state, answer } => {
                formats = AudioFormats::new(info.format);
                let Bytes::Kept(state) = state else { continue };
                let given = guest.load(now, info.clone(), state).await;
                let (then, again) = (told_load(answer), told_load(&as_failure(given, redaction)));
                let what = (then != again).then_some(What::Outcome(then, again));
                (now, "load".to_owned(), what)
            }
            Step::Asked { now, event, answer } => {
                if let Event::Started(info) = event {
                    formats = AudioFormats::new(info.format);
                }
                let Some(answer) = answer else { continue };
                if answer.is_err_and(Failure::depends_on_the_machine) {
                    let failure = answer.expect_err("it was just seen to be one");
                    let at = seconds(now);
                    return to.left_out.push(format!(
                        "instance {instance} at {at}: it failed for want of time or room ({failure})"
                    ));
                }
                let given = guest.handle(now, event.clone()).await;
                to.answers += 1;
                let what = difference(answer, &given, redaction, &formats);
                let line =
                    what.as_ref().map_or_else(String::new, |_| describe::event(event, &formats));
                if let Ok(actions) = &given {
                    formats.follow(actions);
                }
                (now, line, what)
            }
            Step::Saved { now, answer } => {
                let given = guest.save(now).await;
                if answer.as_ref().is_err_and(Failure::depends_on_the_machine) {
                    return;
                }
                to.states += 1;
                let again = as_failure(given, redaction).map(|state| {
                    state.map(|state| match redaction.state(&state) {
                        Bytes::Kept(state) => Bytes::Kept(state.into_owned().into()),
                        Bytes::Withheld(bytes) => Bytes::Withheld(bytes),
                    })
                });
                let what = (*answer != again)
                    .then(|| What::Outcome(format!("{answer:?}"), format!("{again:?}")));
                (now, "save".to_owned(), what)
            }
        };
        if let Some(what) = what {
            to.differs(Difference { instance, now, event, what });
        }
    }
}

/// Tells the whole call to one component, and compares with the answers that were carried out. `patience` is
/// how many times the recorded CPU time it may take; the gate of a deployment has none.
pub async fn with(recording: &Recording, component: &Component, patience: u32) -> Replay {
    let redaction = recording.header.redaction;
    let mut replay = Replay::default();
    let mut guest = None;
    let mut formats = AudioFormats::TELEPHONE;
    for turn in turns(&recording.entries) {
        if let Event::Started(info) = turn.event {
            formats = AudioFormats::new(info.format);
            replay.instances += 1;
            guest = match start(component, &turn.by, patience).await {
                Ok(guest) => Some(guest),
                Err(fault) => {
                    let what = What::Outcome("started".to_owned(), fault.to_string());
                    let (instance, now, event) =
                        (turn.by.instance, turn.now, "its start".to_owned());
                    replay.differs(Difference { instance, now, event, what });
                    None
                }
            };
        }
        let Some(instance) = &mut guest else { continue };
        let given = instance.handle(turn.now, turn.event.clone()).await;
        replay.answers += 1;
        if let Some(what) = difference(Ok(turn.actions), &given, redaction, &formats) {
            replay.differs(Difference {
                instance: turn.by.instance,
                now: turn.now,
                event: describe::event(turn.event, &formats),
                what,
            });
        }
        formats.follow(turn.actions);
        if let Ok(actions) = &given
            && replay.amount.is_none()
        {
            replay.amount = amount(turn.actions, actions)
                .map(|what| format!("at {} it sends {what}", seconds(turn.now)));
        }
        if given.is_err() {
            guest = None;
            replay
                .left_out
                .push(format!("everything after {}, where it failed", seconds(turn.now)));
        }
    }
    replay
}

fn difference(
    then: Result<&[Action], &Failure>,
    again: &Result<Vec<Action>, Fault>,
    redaction: Redaction,
    formats: &AudioFormats,
) -> Option<What> {
    match (then, again) {
        (Ok(then), Ok(again)) => {
            let comparison = compare(then, &redaction.actions(again), formats);
            (!comparison.is_identical()).then_some(What::Actions(comparison))
        }
        (Err(then), Err(again)) if then.kind == again.label() => None,
        (then, again) => {
            let then = then.map_or_else(ToString::to_string, |it| format!("{} actions", it.len()));
            let again = match again {
                Ok(actions) => format!("{} actions", actions.len()),
                Err(fault) => fault.to_string(),
            };
            Some(What::Outcome(then, again))
        }
    }
}

/// How the amounts of audio differ, if they do.
fn amount(recorded: &[Action], replayed: &[Action]) -> Option<String> {
    let sum = |actions: &[Action]| {
        let (mut to_caller, mut to_model) = (0, 0);
        for action in actions {
            match action {
                Action::Play(play) => to_caller += play.audio.len(),
                Action::ModelAudio(audio) => to_model += audio.len(),
                _ => {}
            }
        }
        [("the caller", to_caller), ("the model", to_model)]
    };
    let mut pairs = sum(recorded).into_iter().zip(sum(replayed));
    pairs.find(|((_, then), (_, now))| then != now).map(|((whom, then), (_, now))| {
        format!("{whom} {now} bytes of audio, the recorded answer {then}")
    })
}

fn as_failure<T>(given: Result<T, Fault>, redaction: Redaction) -> Result<T, Failure> {
    given.map_err(|fault| {
        let failure = Failure { kind: fault.label().to_owned(), message: fault.to_string() };
        redaction.failure(failure)
    })
}

fn told_load(answer: &Result<Result<(), String>, Failure>) -> String {
    match answer {
        Ok(Ok(())) => "taken".to_owned(),
        Ok(Err(refusal)) => format!("refused: {refusal}"),
        Err(failure) => format!("failed: {}", failure.kind),
    }
}

async fn start(component: &Component, start: &Start<'_>, patience: u32) -> Result<Instance, Fault> {
    let limits = limits(start.bounds, patience);
    let config = InstanceConfig {
        seed: *start.seed,
        began_unix_ms: start.began_unix_ms,
        log: Arc::new(Unheard),
        // A replay is as fast as the machine; no call waits for it.
        cpu_quota: Arc::new(CpuQuota::new(Duration::from_secs(3_600))),
        limits: Arc::new(limits),
    };
    Instance::start(component, config).await
}

fn limits(bounds: &Bounds, patience: u32) -> Limits {
    let time = |ms| Duration::from_millis(ms) * patience;
    let size = |size| usize::try_from(size).unwrap_or(usize::MAX);
    Limits {
        event_cpu: time(bounds.event_cpu_ms),
        start_cpu: time(bounds.start_cpu_ms),
        handover_cpu: time(bounds.handover_cpu_ms),
        memory_bytes: size(bounds.memory_bytes).min(cordboard_tenant::MEMORY_BYTES_CEILING),
        actions_max: size(bounds.actions_max),
        answer_bytes_max: size(bounds.answer_bytes_max),
        ..Limits::default()
    }
}

/// The log of a replayed tenant, which said it all before.
struct Unheard;

impl LogSink for Unheard {
    fn line(&self, _level: LogLevel, _text: &str) {}
}

/// A time of the call, for people.
pub(super) fn seconds(now: Millis) -> String {
    format!("{:.3} s", now as f64 / 1_000.0)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, event) = (seconds(self.now), describe::cut(&self.event, 100));
        writeln!(f, "at {at}, {event}:")?;
        match &self.what {
            What::Actions(comparison) => f.write_str(&comparison.table(["recorded", "replayed"])),
            What::Outcome(then, again) => {
                let [then, again] = [then, again].map(|text| describe::cut(text, 400));
                writeln!(f, "recorded: {then}\nreplayed: {again}")
            }
        }
    }
}
