//! `cordboard test` as its author's shell and CI see it: exit codes, and what is printed where.

use std::path::Path;
use std::process::{Command, Output};

const COMPONENT: &str = env!("DEFAULT_TENANT_COMPONENT");

#[test]
fn a_scenario_that_holds_is_success() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = write(
        folder.path(),
        "good.yaml",
        "steps:\n- wait: 300\n- expect: {model_gets: session.update, since: start}\n",
    );

    let output = test(&[COMPONENT, "--scenarios-only", "--scenario", &scenario]);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said(&output).ends_with("\npassed\n"), "{}", said(&output));
}

#[test]
fn a_folder_stands_for_all_scenarios_in_it() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "b.yaml", "steps:\n- caller_hangs_up\n");
    write(folder.path(), "a.yml", "steps:\n- wait: 100\n");
    write(folder.path(), "notes.txt", "not a scenario");
    let path = folder.path().display().to_string();

    let output = test(&[COMPONENT, "--scenarios-only", "--format", "json", "--scenario", &path]);

    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> =
        report["cases"].as_array().unwrap().iter().map(|case| &case["name"]).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn one_that_does_not_is_a_failure_for_people_and_for_ci() {
    let folder = tempfile::tempdir().unwrap();
    let scenario =
        write(folder.path(), "bad.yaml", "steps:\n- wait: 300\n- expect: {action: transfer}\n");
    let junit = folder.path().join("report.xml");
    let arguments = [COMPONENT, "--scenarios-only", "--scenario", &scenario, "--junit"];

    let for_people = test(&[&arguments[..], &[&junit.display().to_string()]].concat());
    let for_programs = test(&[&arguments[..4], &["--format", "json"]].concat());

    assert_eq!(for_people.status.code(), Some(1), "{for_people:?}");
    assert!(said(&for_people).starts_with("FAILED scenario: bad\n"), "{}", said(&for_people));
    assert!(said(&for_people).contains(&format!("{scenario}:3, at 300 ms")));
    assert!(std::fs::read_to_string(junit).unwrap().contains("failures=\"1\""));
    let report: serde_json::Value = serde_json::from_slice(&for_programs.stdout).unwrap();
    assert_eq!(for_programs.status.code(), Some(1));
    assert_eq!(report["passed"], false);
    assert_eq!(report["cases"][0]["finding"]["title"], "not as expected");
}

#[test]
fn what_can_not_be_tried_is_neither() {
    let folder = tempfile::tempdir().unwrap();
    let typo = write(folder.path(), "typo.yaml", "steps:\n- wiat: 300\n");
    let text = write(folder.path(), "no.wasm", "(module)");

    for (arguments, words) in [
        (
            vec![COMPONENT, "--scenario", &typo],
            "typo.yaml:2: there is no `wiat`; did you mean `wait`?",
        ),
        (vec![COMPONENT, "--scenario", "none.yaml"], "none.yaml: cannot be read"),
        (vec![text.as_str()], "no.wasm can not be used: not WebAssembly"),
        (vec!["none.wasm"], "cannot read none.wasm"),
    ] {
        let output = test(&arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains(words), "{complaint}");
        assert!(output.stdout.is_empty());
    }
}

fn test(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordboard"));
    command.arg("test").args(arguments).output().expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a temporary folder can be written");
    path.display().to_string()
}
