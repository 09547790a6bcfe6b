//! The suites, and the order they are run in.
//!
//! A conversation is played once as it is; everything after builds on that: it is played again, and with swaps, and
//! what comes out is compared; what it told the tenant is the beginning that abuse is added to. A conversation
//! that fails by itself is the first thing to mend, so nothing is built on it.

mod abuse;
mod events;
mod observe;
mod same;
mod supervisor;

use crate::driver::{Failure, Mode};
use crate::report::{Case, Finding, Outcome, Report, Suite};
use crate::runner::{Played, play};
use crate::runtime::Runtime;
use crate::scenario::Scenario;
use crate::verdict::verdict;

/// Events between two swaps.
const SWAP_EVERY: [u64; 3] = [1, 7, 50];

/// Which suites are run besides the scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// [`Suite::Abuse`].
    pub abuse: bool,
    /// [`Suite::Swap`].
    pub swap: bool,
    /// [`Suite::Determinism`].
    pub determinism: bool,
}

impl Choice {
    /// All of them.
    pub const ALL: Self = Self { abuse: true, swap: true, determinism: true };
}

/// Tries a component: the scenarios, or without any the built-in conversation, and the suites that are chosen.
///
/// The future needs a tokio runtime with timers around it, and never waits for anything outside.
pub async fn run(runtime: &Runtime, name: &str, scenarios: &[Scenario], choice: Choice) -> Report {
    let built_in;
    let conversations = match scenarios {
        [] => {
            built_in = [builtin()];
            &built_in[..]
        }
        scenarios => scenarios,
    };
    let mut report = Report {
        component: name.to_owned(),
        component_bytes: runtime.component_bytes(),
        ..Report::default()
    };
    let mut sound = Vec::new();
    for scenario in conversations {
        let played = play(runtime, scenario, Mode::default()).await;
        report.events += played.asked.len() as u64;
        report.meter.add(&played.meter);
        observe::conversation(&mut report.observations, scenario, &played);
        let outcome = outcome_of(scenario, &played);
        let has_passed = outcome == Outcome::Passed;
        let name = scenario.name.clone();
        report.cases.push(Case { suite: Suite::Scenario, name, outcome });
        // What a scenario misses is no reason to trust its events less.
        if has_passed || played.failure.is_none() {
            sound.push((scenario, played));
        }
    }
    if choice.abuse {
        abuse::run(runtime, &sound, &mut report).await;
    }
    if choice.swap {
        swaps(runtime, conversations, &sound, &mut report).await;
    }
    if choice.determinism {
        repeats(runtime, conversations, &sound, &mut report).await;
    }
    observe::component(runtime, &mut report);
    report
}

/// The conversation of a component that has no scenario.
fn builtin() -> Scenario {
    let text = include_str!("../builtin.yaml");
    Scenario::parse("the built-in conversation".as_ref(), text).expect("it is a scenario")
}

type Sound<'a> = [(&'a Scenario, Played)];

async fn swaps(
    runtime: &Runtime,
    conversations: &[Scenario],
    sound: &Sound<'_>,
    report: &mut Report,
) {
    for scenario in conversations {
        for every in SWAP_EVERY {
            let name = match every {
                1 => format!("{}, swapped after every event", scenario.name),
                k => format!("{}, swapped after every {k}th event", scenario.name),
            };
            let outcome = match base_of(scenario, sound) {
                _ if !runtime.has_handover() => not_without_handover(),
                None => not_on_failure(),
                Some(base) => {
                    let mode = Mode { swap_every: Some(every), ..Mode::default() };
                    let other = play(runtime, scenario, mode).await;
                    report.meter.add(&other.meter.of_handover());
                    same::outcome(base, &other, same::Why::Swapped)
                }
            };
            report.cases.push(Case { suite: Suite::Swap, name, outcome });
        }
        let name = format!("{}, migrated by the gateway's supervisor", scenario.name);
        let outcome = match base_of(scenario, sound) {
            _ if !runtime.has_handover() => not_without_handover(),
            None => not_on_failure(),
            Some(base) => supervisor::outcome(runtime, base).await,
        };
        report.cases.push(Case { suite: Suite::Swap, name, outcome });
    }
}

fn not_without_handover() -> Outcome {
    let why = "it does not export `handover`: it is never swapped in mid-call, and starts anew after a trap";
    Outcome::Skipped(why.to_owned())
}

async fn repeats(
    runtime: &Runtime,
    conversations: &[Scenario],
    sound: &Sound<'_>,
    report: &mut Report,
) {
    let ways = [
        ("again", Mode::default(), same::Why::Again),
        ("again beside another call", Mode { beside: true, ..Mode::default() }, same::Why::Beside),
    ];
    for scenario in conversations {
        for (how, mode, why) in ways {
            let name = format!("{}, {how}", scenario.name);
            let outcome = match base_of(scenario, sound) {
                None => not_on_failure(),
                Some(base) => same::outcome(base, &play(runtime, scenario, mode).await, why),
            };
            report.cases.push(Case { suite: Suite::Determinism, name, outcome });
        }
    }
}

fn base_of<'a>(scenario: &Scenario, sound: &'a Sound<'_>) -> Option<&'a Played> {
    sound.iter().find(|(it, _)| std::ptr::eq(*it, scenario)).map(|(_, played)| played)
}

fn not_on_failure() -> Outcome {
    Outcome::Skipped("the conversation itself fails".to_owned())
}

fn outcome_of(scenario: &Scenario, played: &Played) -> Outcome {
    let said = || match played.last_said.as_slice() {
        [] => None,
        lines => Some(("log", lines.join("\n"))),
    };
    let file = scenario.file.display();
    if let Some(failure) = &played.failure {
        let place = match played.line {
            0 => format!("{file}, before its first step"),
            line => format!("{file}:{line}, at {} ms", failure.at_ms),
        };
        let verdict = verdict(failure);
        return Outcome::Failed(Box::new(Finding {
            title: verdict.title,
            place,
            details: said().into_iter().collect(),
            hint: Some(verdict.hint),
        }));
    }
    match &played.missed {
        None => Outcome::Passed,
        Some(missed) => Outcome::Failed(Box::new(Finding {
            title: "not as expected".to_owned(),
            place: format!("{file}:{}, at {} ms", missed.line, missed.at_ms),
            details: [("expected", missed.miss.expected.clone()), ("but", missed.miss.got.clone())]
                .into_iter()
                .chain(said())
                .collect(),
            hint: missed.miss.hint.clone(),
        })),
    }
}

fn failed(failure: &Failure, place: String) -> Outcome {
    let verdict = verdict(failure);
    Outcome::Failed(Box::new(Finding {
        title: verdict.title,
        place,
        details: Vec::new(),
        hint: Some(verdict.hint),
    }))
}
