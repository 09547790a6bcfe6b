//! Builds the default tenant, so that the binary answers calls with nothing deployed, and embeds what
//! `cordboard new` writes, so that it can write it with no checkout at hand.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What a template's folder may hold after somebody tried it in place.
const LEFTOVERS: [&str; 6] =
    ["target", "node_modules", ".venv", "bindings", "__pycache__", "Cargo.lock"];

fn main() {
    let component = cordboard_guest_build::component("cordboard-default-tenant");
    println!("cargo::rustc-env=DEFAULT_TENANT_COMPONENT={}", component.display());
    embed();
}

/// Writes `embedded.rs`: for each language and for the SDK the files, by their path in a new project.
fn embed() {
    let host = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = host.parent().expect("host/ is in the workspace").to_owned();
    let mut code = String::new();
    for language in ["rust", "python", "javascript"] {
        let folder = host.join("templates").join(language);
        list(&mut code, &language.to_uppercase(), &[(folder, String::new())]);
    }
    let sdk = ["guest/sdk/src", "guest/audio/src", "wit"]
        .map(|folder| (root.join(folder), format!("{folder}/")));
    list(&mut code, "SDK", &sdk);
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("embedded.rs"), code).expect("the build's own folder can be written");
}

/// Writes one list: every file below these folders, each under the path it has with its prefix.
fn list(code: &mut String, name: &str, folders: &[(PathBuf, String)]) {
    let mut entries = Vec::new();
    for (folder, prefix) in folders {
        println!("cargo::rerun-if-changed={}", folder.display());
        for file in files(folder) {
            let inside = file.strip_prefix(folder).expect("it was found below this folder");
            entries.push((format!("{prefix}{}", inside.display()), file));
        }
    }
    entries.sort();
    writeln!(code, "pub(super) static {name}: &[(&str, &str)] = &[").expect("a text can grow");
    for (path, file) in entries {
        writeln!(code, "    ({path:?}, include_str!({:?})),", file.display().to_string())
            .expect("a text can grow");
    }
    code.push_str("];\n");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display()));
    entries
        .map(|entry| entry.expect("the folder was just opened").path())
        .filter(|path| !LEFTOVERS.iter().any(|leftover| path.ends_with(leftover)))
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}
