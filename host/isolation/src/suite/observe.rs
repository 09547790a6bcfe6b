//! What is no failure and yet worth knowing.

use crate::report::Report;
use crate::runner::Played;
use crate::runtime::Runtime;
use crate::scenario::Scenario;

/// What a component may ask of WASI, and what it gets: the beginning of the import's name, and a sentence.
/// An import is no use: Rust's standard library brings the environment along wherever it goes.
const GIVEN: [(&str, &str); 5] = [
    (
        "wasi:clocks/",
        "imports a clock: harmless, it gets the call's own time, which stands still during an event",
    ),
    (
        "wasi:random/",
        "imports random numbers: harmless, they come from a seed of the call; another instance has another one",
    ),
    ("wasi:filesystem/", "imports files: harmless, there are none, and every attempt fails"),
    ("wasi:sockets/", "imports a network: harmless, there is none; use the action `http`"),
    (
        "wasi:cli/environment",
        "imports environment and arguments: harmless, both are empty; use `settings`",
    ),
];

/// Notes about the component itself and what it took.
pub(super) fn component(runtime: &Runtime, report: &mut Report) {
    for (prefix, words) in GIVEN {
        if runtime.imports().iter().any(|import| import.starts_with(prefix)) {
            report.observations.push(words.to_owned());
        }
    }
    let meter = &report.meter;
    if let Some(asked) = meter.memory_refused {
        report.observations.push(format!(
            "wanted {asked} bytes of memory, was refused, and lived with it; {} are allowed",
            runtime.limits().memory_bytes
        ));
    }
    if meter.log_left_out > 0 {
        report.observations.push(format!(
            "floods its log: {} lines were left out, because {} bytes a second are kept; use the levels, and do not \
             log every frame",
            meter.log_left_out,
            runtime.limits().log_bytes_per_second
        ));
    }
    let budget = runtime.limits().event_cpu.as_millis() as u64 * cordboard_tenant::FUEL_PER_MS;
    let dear: Vec<_> = meter
        .by_kind
        .iter()
        .filter(|(kind, tally)| {
            !matches!(**kind, "start" | "load" | "save") && tally.fuel_max > budget / 2
        })
        .map(|(kind, tally)| (*kind, tally.fuel_max * 100 / budget))
        .collect();
    for (kind, share) in dear {
        report.observations.push(format!("took {share} % of the CPU budget for one `{kind}`"));
    }
}

/// Notes about what went wrong in a conversation without being a failure of the component.
pub(super) fn conversation(notes: &mut Vec<String>, scenario: &Scenario, played: &Played) {
    for (who, refusals) in
        [("the model", &played.refused_by_model), ("the host", &played.refused_by_host)]
    {
        let Some(first) = refusals.first() else { continue };
        let also = match refusals.len() {
            1 => String::new(),
            n => format!(", and {} more", n - 1),
        };
        notes.push(format!("{who} refused in {:?}: {first}{also}", scenario.name));
    }
    if let Some(why) = &played.ended_badly {
        notes.push(format!("the call ended before its time in {:?}: {why}", scenario.name));
    }
}
