//! The shipped guests pass all that `cordboard test` tries, and the scenarios beside their sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cordboard_contract_tests::SHIPPED;
use cordboard_isolation::{Choice, Outcome, Report, Runtime, Scenario, Suite, run};
use cordboard_tenant::Limits;

#[test]
fn every_shipped_guest_passes_the_suites() {
    for (name, _) in SHIPPED {
        let report = tried(name, &[], Choice::ALL);

        assert!(report.has_passed(), "{}", report.text());
        let was_tried = |suite| {
            let mut cases = report.cases.iter().filter(|case| case.suite == suite);
            cases.all(|case| case.outcome == Outcome::Passed)
        };
        for suite in [Suite::Scenario, Suite::Abuse, Suite::Swap, Suite::Determinism] {
            assert!(was_tried(suite), "{name}: {suite}");
        }
        assert!(report.meter.by_kind["caller-audio"].calls > 300, "{name}");
    }
}

#[test]
fn the_scenarios_of_the_default_tenant_hold() {
    holds("default", "guest/scenarios");
}

#[test]
fn the_scenarios_of_the_keypad_hold() {
    holds("keypad", "guest/examples/keypad/scenarios");
}

/// What scenarios can say that those of the shipped guests have no use for.
#[test]
fn every_kind_of_step_and_expectation_does_what_its_table_says() {
    holds("default", "tests/contract/scenarios");
}

/// A report is the same to the byte, whenever and wherever it is made.
#[test]
fn the_same_run_gives_the_same_report() {
    let scenarios = scenarios("guest/examples/keypad/scenarios");
    let report = || tried("keypad", &scenarios, SCENARIOS_ONLY);
    let (one, two) = (report(), report());

    assert_eq!(one.json(), two.json());
    assert_eq!(one.text(), two.text());
}

#[test]
fn a_failing_scenario_says_where_what_instead_and_what_to_change() {
    for (steps, place, expected, got, change) in [
        (
            "steps:\n- wait: 500\n- expect:\n    model_gets:\n      type: session.update\n      session: {audio: {output: {voice: ash}}}\n",
            "mine.yaml:3",
            "session.update",
            r#"/session/audio/output/voice is "marin" and not "ash""#,
            "change it there, or in the settings",
        ),
        (
            "steps:\n- wait: 500\n- model_answers: {text: hi, ms: 300}\n- model_answers: {text: again, within_ms: 700}\n",
            "mine.yaml:4",
            "asked for a response",
            "within 700 ms it was not asked",
            "send `response.create`",
        ),
        (
            "steps:\n- wait: 500\n- expect: {http: 'https://example.org'}\n",
            "mine.yaml:3",
            "the HTTP request",
            "nothing of the kind",
            "action `http`",
        ),
        (
            "steps:\n- model_answers: {text: hi, ms: 3000}\n- wait: 500\n- expect:\n    silence: {for_ms: 400}\n",
            "mine.yaml:4",
            "silence from",
            "the caller heard something until",
            "answer `flush`",
        ),
        (
            "steps:\n- wait: 500\n- never: {model_gets: session.update, since: start}\n",
            "mine.yaml:3",
            "never that the model gets",
            "it was {",
            "",
        ),
    ] {
        let scenario = Scenario::parse(Path::new("mine.yaml"), steps).expect("it is one");
        let report = tried("default", &[scenario], SCENARIOS_ONLY);

        let (_, finding) = report.findings().next().unwrap_or_else(|| panic!("{steps} passes"));
        assert!(finding.place.starts_with(place), "{finding:#?}");
        let details = format!("{:?}", finding.details).replace('\\', "");
        assert!(details.contains(expected) && details.contains(got), "{finding:#?}");
        assert!(finding.hint.clone().unwrap_or_default().contains(change), "{finding:#?}");
        // Nothing else stands above it.
        assert!(report.text().starts_with("FAILED scenario: mine"), "{}", report.text());
    }
}

#[test]
fn a_report_for_ci_is_xml_with_every_case_and_failure() {
    let steps = "steps:\n- wait: 500\n- expect: {publishes: \"<&>\\u0001\"}\n";
    let scenario = Scenario::parse(Path::new("a \"call\".yaml"), steps).expect("it is one");
    let xml = tried("keypad", &[scenario], SCENARIOS_ONLY).junit();

    assert!(
        xml.contains(r#"<testsuites name="keypad" tests="1" failures="1" errors="0" skipped="0">"#)
    );
    assert!(xml.contains(r#"name="a &quot;call&quot;""#), "{xml}");
    assert!(xml.contains("<failure message=") && xml.contains("&lt;&amp;&gt;"), "{xml}");
    assert!(!xml.contains('\u{1}'));
}

const SCENARIOS_ONLY: Choice = Choice { abuse: false, swap: false, determinism: false };

fn holds(guest: &str, folder: &str) {
    let scenarios = scenarios(folder);
    let choice = Choice { abuse: false, ..Choice::ALL };

    let report = tried(guest, &scenarios, choice);

    assert!(report.has_passed(), "{}", report.text());
}

fn scenarios(folder: &str) -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let entries = fs::read_dir(&folder).expect("it is part of the tree");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{} holds no scenario", folder.display());
    let read = |file: &PathBuf| Scenario::read(file).unwrap_or_else(|problem| panic!("{problem}"));
    files.iter().map(read).collect()
}

/// Each guest compiled once, for an engine of all tests in this process.
fn prepared(guest: &str) -> &'static Runtime {
    static RUNTIMES: OnceLock<Vec<(&str, Runtime)>> = OnceLock::new();
    let runtimes = RUNTIMES.get_or_init(|| {
        let engine = cordboard_isolation::engine().expect("this machine can run guests");
        let compiled = |path| {
            let bytes = fs::read(path).expect("the build script has just made it");
            Runtime::new(&engine, &bytes, Limits::default(), None).expect("it is a tenant")
        };
        SHIPPED.map(|(name, path)| (name, compiled(path))).into()
    });
    &runtimes.iter().find(|(name, _)| *name == guest).expect("it is shipped").1
}

fn tried(name: &str, scenarios: &[Scenario], choice: Choice) -> Report {
    let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    tokio.block_on(run(prepared(name), name, scenarios, choice))
}
