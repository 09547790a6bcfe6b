//! What `cordboard test` says of each guest: the fault, in words its author understands.
//!
//! One test per guest and by its name; a guest without a test fails the build.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use cordboard_isolation::{Choice, Report, Runtime, Scenario, run};
use cordboard_misbehaving_guests::{bytes, for_each_guest};
use cordboard_tenant::{Engine, Limits};

macro_rules! a_test_of_its_own {
    ($guest:ident) => {
        // Does not compile without a function of the guest's name in this file.
        const _: fn() = $guest;
    };
}
for_each_guest!(a_test_of_its_own);

macro_rules! misbehaving {
    ($($guest:ident => $words:expr;)*) => {$(
        #[test]
        fn $guest() {
            let report = tried(stringify!($guest), None, Choice::ALL);

            names_the_vice(&report, $words);
        }
    )*};
}

misbehaving! {
    answers_too_often => "too many actions in `timer`: 1000 for one event, 256 are allowed";
    exits => "calls exit(";
    floods_actions => "floods its own call";
    grows_memory => "over its memory in `caller-audio`";
    hoards_handles => "hoards handles in `started`";
    logs_a_novel => "hands over too much in `started`";
    loops => "over its CPU budget in `caller-audio`: more than 20 ms";
    loops_in_load => "over its CPU budget in `load`";
    loops_in_start => "over its CPU budget while it starts";
    panics => "panics in `started`: ";
    plays_too_much => "hands over too much in `timer`";
    reads_out_of_bounds => "reaches outside its memory in `started`: a wild pointer";
    saves_more_and_more => "`save` changes what it saves";
    saves_rubbish => "refuses the state that it saved itself: invalid utf-8";
    sleeps => "waits in `caller-key`";
    traps => "traps in `started`: it reached `unreachable`";
    traps_every_second => "traps in `caller-audio`: it reached `unreachable`";
    traps_in_load => "panics in `load`: ";
}

macro_rules! refusals {
    ($($guest:ident => $words:expr;)*) => {$(
        #[test]
        fn $guest() {
            let runtime = Runtime::new(engine(), &bytes(stringify!($guest)), Limits::default(), None);

            let refusal = runtime.expect_err("it is no tenant").to_string();

            assert!(refusal.contains($words), "{refusal}");
        }
    )*};
}

refusals! {
    exports_nothing => "the export `cordboard:tenant/handler@0.1.0` is missing";
    has_another_world => "this component is not a tenant: it exports `acme:weather/forecast@1.0.0`";
    has_wrong_types => "names are right, but not their types: `handle`";
    imports_too_much => "the import `acme:shop/db@1.0.0` is not given to tenants";
    speaks_another_version => "built for contract version 0.2.0";
}

#[test]
fn echoes() {
    let report = tried("echoes", None, Choice::ALL);

    assert!(report.has_passed(), "{}", report.text());
    assert_eq!(report.meter.state_bytes, Some(8));
}

/// It fails at no event and in no hand-over; only laying the two calls side by side shows it.
#[test]
fn forgets() {
    let steps = "steps:\n- wait: 300\n- caller_presses: '1'\n- wait: 300\n";
    let report = tried("forgets", Some(steps), Choice::ALL);

    names_the_vice(&report, "a swap changed what came out");
    let (case, finding) = report.findings().next().expect("there is one");
    assert_eq!(case.name, "a scenario, swapped after every event");
    assert!(finding.place.contains("`caller-key`"), "{finding:?}");
    assert!(finding.details[0].1.contains("publish"), "what the two said: {finding:?}");
    assert!(finding.hint.as_deref().unwrap_or_default().contains("`save`"), "{finding:?}");
}

#[test]
fn overflows_stack() {
    let report = tried("overflows_stack", None, Choice::ALL);

    // Its frames meet the end of one of its two stacks first.
    let (_, finding) = report.findings().next().expect("it fails");
    let title = &finding.title;
    assert!(title.contains("stack") && title.contains("`started`"), "{title}");
}

#[test]
fn is_slow() {
    let once = |rounds: &str| {
        let steps = format!("steps:\n- operator_sends: {rounds}\n");
        tried("is_slow", Some(&steps), SCENARIO_ONLY)
    };

    names_the_vice(&once("30000000"), "over its CPU budget in `command`: more than 20 ms");
    let half = once("3000000");
    assert!(half.has_passed(), "{}", half.text());
}

/// Twice the budget is too much and half of it is not, to the instruction and on every machine.
#[test]
fn a_tenant_that_is_slow_by_two_is_told_from_one_that_is_not() {
    let steps = Some("steps:\n- operator_sends: 3000000\n");
    let cost = tried("is_slow", steps, SCENARIO_ONLY).meter.by_kind["command"].fuel_max;
    let within = |budget: u64| {
        let micros = budget / (cordboard_tenant::FUEL_PER_MS / 1_000);
        let limits = Limits { event_cpu: Duration::from_micros(micros), ..Limits::default() };
        tried_with("is_slow", steps, SCENARIO_ONLY, limits)
    };

    names_the_vice(&within(cost / 2), "over its CPU budget in `command`");
    assert!(within(cost * 2).has_passed());
}

#[test]
fn lives_without_memory() {
    let report = tried("lives_without_memory", None, Choice::ALL);

    names_the_vice(&report, "panics in `timer`: ");
    notes(&report, "bytes of memory, was refused, and lived with it");
}

#[test]
fn floods_log() {
    let steps = "steps:\n- wait: 1500\n";
    let report = tried("floods_log", Some(steps), SCENARIO_ONLY);

    assert!(report.has_passed(), "{}", report.text());
    notes(&report, "floods its log: ");
}

/// Where the call was, and what the tenant said last, are half of what an author needs.
#[test]
fn a_fault_is_told_with_its_step_and_the_last_lines_of_log() {
    let steps = "steps:\n- wait: 30\n- operator_sends: no number\n";
    let report = tried("is_slow", Some(steps), SCENARIO_ONLY);

    names_the_vice(&report, "panics in `command`: ");
    let (_, finding) = report.findings().next().expect("there is one");
    assert_eq!(finding.place, "a scenario:3, at 30 ms");
    assert!(finding.details[0].1.contains("the test sends a number"), "{finding:?}");
}

/// It finds nothing, and so nothing is wrong: what it looks for is named all the same.
#[test]
fn looks_around() {
    let steps = "steps:\n- operator_sends: {}\n";
    let choice = Choice { abuse: false, ..Choice::ALL };
    let report = tried("looks_around", Some(steps), choice);

    assert!(report.has_passed(), "{}", report.text());
    for words in [
        "imports a clock: harmless",
        "imports random numbers: harmless",
        "imports files: harmless",
        "imports a network: harmless",
        "imports environment and arguments: harmless",
    ] {
        notes(&report, words);
    }
}

const SCENARIO_ONLY: Choice = Choice { abuse: false, swap: false, determinism: false };

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| cordboard_isolation::engine().expect("this machine can run guests"))
}

fn tried(guest: &str, scenario: Option<&str>, choice: Choice) -> Report {
    tried_with(guest, scenario, choice, Limits::default())
}

fn tried_with(guest: &str, scenario: Option<&str>, choice: Choice, limits: Limits) -> Report {
    let guest_runtime =
        Runtime::new(engine(), &bytes(guest), limits, None).expect("it passes vetting");
    let parse = |text| Scenario::parse(Path::new("a scenario"), text).expect("it is one");
    let scenarios: Vec<_> = scenario.map(parse).into_iter().collect();
    // A guest that sleeps needs timers to be ended for it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(run(&guest_runtime, guest, &scenarios, choice))
}

#[track_caller]
fn names_the_vice(report: &Report, words: &str) {
    let Some((_, finding)) = report.findings().next() else {
        panic!("nothing is found:\n{}", report.text())
    };
    assert!(finding.title.contains(words), "{:?}", finding.title);
    assert!(finding.hint.is_some(), "{finding:?}");
}

#[track_caller]
fn notes(report: &Report, words: &str) {
    let found = report.observations.iter().any(|note| note.contains(words));
    assert!(found, "{:#?}", report.observations);
}
