//! The design's arrows, read from cargo's own view of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Direct, normal dependencies of each workspace member: ours and foreign alike.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo runs, since it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let members = metadata["packages"].as_array().expect("packages is a list");
    members
        .iter()
        .map(|package| {
            let name = package["name"].as_str().expect("a package has a name").to_owned();
            let normal = package["dependencies"]
                .as_array()
                .expect("dependencies is a list")
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| dependency["name"].as_str().expect("named").to_owned())
                .collect();
            (name, normal)
        })
        .collect()
}

fn ours(all: &BTreeMap<String, BTreeSet<String>>, member: &str) -> BTreeSet<String> {
    let members: BTreeSet<_> = all.keys().cloned().collect();
    all.get(member).unwrap_or_else(|| panic!("no member {member}")) & &members
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn arrows_point_from_the_shell_inwards() {
    let all = dependencies();
    assert_eq!(ours(&all, "cordboard-wire"), set([]));
    assert_eq!(ours(&all, "cordboard-call"), set(["cordboard-wire"]));
    assert_eq!(ours(&all, "cordboard-recording"), set(["cordboard-call"]));
    assert!(ours(&all, "cordboard-tenant").is_subset(&set(["cordboard-call", "cordboard-wire"])));
    let outside_of_a_tenant = set([
        "cordboard-wire",
        "cordboard-call",
        "cordboard-tenant",
        "cordboard-recording",
        "cordboard-sim",
    ]);
    assert!(ours(&all, "cordboard-isolation").is_subset(&outside_of_a_tenant));
    assert_eq!(ours(&all, "cordboard-audio"), set([]));
    assert_eq!(ours(&all, "cordboard-sdk"), set(["cordboard-audio"]));
    assert!(
        ours(&all, "cordboard-default-tenant")
            .is_subset(&set(["cordboard-sdk", "cordboard-audio"]))
    );
    let on_the_sdk = set(["cordboard-sdk", "cordboard-audio", "cordboard-default-tenant"]);
    assert!(ours(&all, "cordboard-megaphone").is_subset(&on_the_sdk));
    assert!(ours(&all, "cordboard-keypad").is_subset(&set(["cordboard-sdk", "cordboard-audio"])));
}

#[test]
fn simulators_share_no_type_with_what_they_test() {
    assert_eq!(ours(&dependencies(), "cordboard-sim"), set([]));
}

#[test]
fn pure_crates_know_no_runtime_clock_or_randomness() {
    let all = dependencies();
    let forbidden = set([
        "tokio",
        "wasmtime",
        "wasmtime-wasi",
        "axum",
        "reqwest",
        "rand",
        "getrandom",
        "tracing",
    ]);
    for pure in ["cordboard-wire", "cordboard-call", "cordboard-recording", "cordboard-audio"] {
        let found = &all[pure] & &forbidden;
        assert!(found.is_empty(), "{pure} is pure and may not depend on {found:?}");
    }
}

#[test]
fn only_the_tenant_crate_knows_wasmtime() {
    for (member, dependencies) in dependencies() {
        let knows = dependencies.contains("wasmtime") || dependencies.contains("wasmtime-wasi");
        assert!(!knows || member == "cordboard-tenant", "{member} may not depend on wasmtime");
    }
}

#[test]
fn only_the_wire_knows_the_two_protocols_types() {
    // A serde type of a protocol is recognised by its field names; the host may build plain JSON of its
    // own, but never spell these.
    let spelled =
        ["\"streamSid\"", "\"sequenceNumber\"", "\"audio_end_ms\"", "\"previous_item_id\""];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for part in ["host/src", "host/call/src", "host/tenant/src"] {
        for (path, text) in sources(&root.join(part)) {
            // The demo reads what the simulators recorded of the wires, as a test does.
            if path.contains("/demo/") {
                continue;
            }
            for word in spelled {
                assert!(
                    !code_of(&text).contains(word),
                    "{path} spells {word}; that belongs in host/wire"
                );
            }
        }
    }
}

#[test]
fn pure_crates_read_no_clock() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for part in [
        "host/wire/src",
        "host/call/src",
        "host/recording/src",
        "guest/audio/src",
        "guest/sdk/src",
        "guest/src",
    ] {
        for (path, text) in sources(&root.join(part)) {
            for word in
                ["Instant::now", "SystemTime", "std::thread::", "std::net", "std::fs", "std::env"]
            {
                assert!(
                    !code_of(&text).contains(word),
                    "{path} uses {word}, and is meant to be pure"
                );
            }
        }
    }
}

/// All Rust files below `folder`, with their paths; at least one, or the test would prove nothing.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is part of the tree") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                found.push((path.display().to_string(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{} holds no Rust", folder.display());
    found
}

/// The text before the unit tests and without comments: tests may quote anybody's JSON.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}
