//! The sources of ours that come along in a new project.
//!
//! They lie in `cordboard/` as they lie in this repository, with a workspace of their own above them, so that a
//! project's author can compare, patch or replace them. The manifests lose what a project has no use for: our lints,
//! tests and benches.

use anyhow::Context as _;
use toml::{Table, Value};

use super::embedded::SDK;

const WORKSPACE: &str = include_str!("../../../Cargo.toml");
const LOCK: &str = include_str!("../../../Cargo.lock");
/// The crates that come along, by their folder.
const CRATES: [(&str, &str); 2] = [
    ("guest/sdk", include_str!("../../../guest/sdk/Cargo.toml")),
    ("guest/audio", include_str!("../../../guest/audio/Cargo.toml")),
];

/// The contract, for the languages whose tools make their bindings of it.
pub(super) fn contract() -> (String, String) {
    let contract = SDK.iter().find(|(path, _)| *path == "wit/tenant.wit");
    let (path, text) = contract.expect("the build script lists wit/");
    ((*path).to_owned(), (*text).to_owned())
}

/// The SDK with all it stands on, and the versions of foreign crates that it was tested with.
///
/// # Errors
///
/// When our own manifests have become something this does not understand.
pub(super) fn sdk() -> anyhow::Result<Vec<(String, String)>> {
    let mut files: Vec<(String, String)> =
        SDK.iter().map(|(path, text)| (format!("cordboard/{path}"), (*text).to_owned())).collect();
    let mut needed = Vec::new();
    for (folder, manifest) in CRATES {
        let mut manifest: Table = manifest.parse().context("a crate's own manifest")?;
        for key in ["lints", "dev-dependencies", "bench", "test", "example"] {
            manifest.remove(key);
        }
        let dependencies = manifest.get("dependencies").and_then(Value::as_table);
        needed.extend(dependencies.into_iter().flatten().map(|(name, _)| name.clone()));
        files.push((format!("cordboard/{folder}/Cargo.toml"), manifest.to_string()));
    }
    files.push(("cordboard/Cargo.toml".to_owned(), workspace(&needed)?));
    // Cargo takes from it what the project needs, and leaves out the rest at the first build.
    files.push(("Cargo.lock".to_owned(), LOCK.to_owned()));
    Ok(files)
}

/// Our workspace, as far as these crates need it.
fn workspace(needed: &[String]) -> anyhow::Result<String> {
    let ours: Table = WORKSPACE.parse().context("the workspace's own manifest")?;
    let ours = ours["workspace"].as_table().context("[workspace]")?;
    let dependencies = ours["dependencies"].as_table().context("[workspace.dependencies]")?;
    let mut workspace = Table::new();
    workspace.insert("resolver".into(), ours["resolver"].clone());
    workspace.insert("members".into(), CRATES.map(|(folder, _)| folder).to_vec().into());
    workspace.insert("package".into(), ours["package"].clone());
    let kept = dependencies.iter().filter(|(name, _)| needed.contains(name));
    let kept: Table = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    workspace.insert("dependencies".into(), kept.into());
    let mut manifest = Table::new();
    manifest.insert("workspace".into(), workspace.into());
    Ok(manifest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_that_comes_along_names_every_dependency_of_its_crates_and_no_other() {
        let files = sdk().unwrap();
        let of = |path: &str| -> Table {
            let (_, text) = files.iter().find(|(it, _)| it == path).unwrap();
            text.parse().unwrap()
        };
        let workspace = of("cordboard/Cargo.toml");
        let offered = workspace["workspace"]["dependencies"].as_table().unwrap();

        let asked = CRATES.map(|(folder, _)| of(&format!("cordboard/{folder}/Cargo.toml")));
        let asked: Vec<&String> =
            asked.iter().flat_map(|it| it["dependencies"].as_table().unwrap().keys()).collect();

        assert!(asked.iter().all(|name| offered.contains_key(*name)), "{asked:?}");
        assert!(offered.keys().all(|name| asked.contains(&name)), "{offered:?}");
    }
}
