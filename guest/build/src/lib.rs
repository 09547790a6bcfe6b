//! Builds guest components from a build script, so that `cargo run` on the host is one command.
//!
//! **One rule: the nested cargo knows nothing of the outer one.** It has a target directory of its own
//! (`target/guests`, shared by all build scripts and always by its place in the workspace, so that no two
//! cargos wait for each other's lock in a circle), and its environment is cleaned of what the outer cargo
//! set for the build script: with the host's `RUSTFLAGS` the `simd128` flag of `.cargo/config.toml` would not
//! apply, and with clippy's wrapper the guest would not be built at all.
//!
//! All functions panic with a plain sentence when something is wrong: a build script has no better way to
//! speak to the person who started the build.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target every guest is built for.
const TARGET: &str = "wasm32-wasip2";

/// Builds the package's `cdylib` as an optimised component and returns the path of its `.wasm` file, a copy in
/// the calling build script's `OUT_DIR`.
///
/// A copy, because a build of another guest that depends on this package's crate writes the crate anew under
/// the same name, with the features that guest wants of it: without the exports, most likely.
///
/// Tells cargo to run the calling build script again when any source of the guest changes.
///
/// # Panics
///
/// When the target is not installed, or the guest does not build.
pub fn component(package: &str) -> PathBuf {
    let out = out_dir("guest");
    let _alone = alone();
    cargo(&["--package", package, "--lib", "--profile", "guest"], package);
    let wasm = out.join(format!("{}.wasm", package.replace('-', "_")));
    built(&wasm, package)
}

/// Builds every example of the package (each a `cdylib`) as a component, and returns names and paths in the
/// order of the names; the files are copies as [`component`]'s.
///
/// For test guests: the release profile, because whole-program optimisation of two dozen small guests costs
/// a minute and shows nothing.
///
/// # Panics
///
/// When the target is not installed, a guest does not build, or `names` and the example files differ.
pub fn examples(package: &str, examples_dir: &Path) -> Vec<(String, PathBuf)> {
    let out = out_dir("release").join("examples");
    println!("cargo::rerun-if-changed={}", examples_dir.display());
    let _alone = alone();
    cargo(&["--package", package, "--examples", "--release"], package);
    let mut names: Vec<String> = fs::read_dir(examples_dir)
        .unwrap_or_else(|e| panic!("cannot list {}: {e}", examples_dir.display()))
        .map(|entry| entry.expect("the directory was just opened").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let wasm = built(&out.join(format!("{name}.wasm")), &name);
            (name, wasm)
        })
        .collect()
}

/// Runs the nested cargo in the workspace.
fn cargo(arguments: &[&str], what: &str) {
    require_target();
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace())
        .args(["build", "--target", TARGET, "--target-dir"])
        .arg(target_dir())
        .args(arguments);
    for (name, _) in env::vars_os().filter(|(name, _)| set_by_the_outer_cargo(name)) {
        command.env_remove(name);
    }
    let status = command
        .status()
        .unwrap_or_else(|e| panic!("cannot start cargo to build the guest `{what}`: {e}"));
    assert!(status.success(), "the guest `{what}` does not build; cargo's own words are above");
}

/// Whether a variable belongs to the outer build and must not reach the nested one.
///
/// What names a registry, a proxy or the jobserver stays: the nested cargo needs those as much.
fn set_by_the_outer_cargo(name: &OsString) -> bool {
    const KEPT: [&str; 6] = [
        "CARGO_HOME",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_TERM_",
        "CARGO_MAKEFLAGS",
    ];
    let Some(name) = name.to_str() else { return false };
    if KEPT.iter().any(|kept| name.starts_with(kept)) {
        return false;
    }
    name.starts_with("CARGO_")
        || name.starts_with("RUSTC")
        || name.starts_with("RUSTDOC")
        || name == "RUSTFLAGS"
}

fn require_target() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .current_dir(workspace())
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .unwrap_or_else(|e| panic!("cannot start rustc: {e}"));
    let libraries = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && Path::new(libraries.trim()).is_dir(),
        "\n\nGuests are WebAssembly components, and this toolchain cannot build them yet. Run:\n\n    \
         rustup target add {TARGET}\n\n",
    );
}

/// Until this is dropped no other build script of ours builds a guest, and so none replaces what was built
/// before it is copied.
fn alone() -> File {
    let path = target_dir().join("build.lock");
    let locked = fs::create_dir_all(target_dir())
        .and_then(|()| File::create(&path))
        .and_then(|file| file.lock().map(|()| file));
    locked.unwrap_or_else(|e| panic!("cannot lock {}: {e}", path.display()))
}

/// The build script's own copy of the finished file, after cargo was told which sources it came from.
fn built(wasm: &Path, what: &str) -> PathBuf {
    assert!(
        wasm.is_file(),
        "the guest `{what}` was built, but {} is not there: is its crate-type cdylib?",
        wasm.display()
    );
    for source in sources(&wasm.with_extension("d")) {
        println!("cargo::rerun-if-changed={source}");
    }
    for file in ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"] {
        println!("cargo::rerun-if-changed={}", workspace().join(file).display());
    }
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    kept(wasm, Path::new(&out))
}

/// Copies a file into a directory, unless the very same is there: cargo takes a younger file for a change.
fn kept(file: &Path, dir: &Path) -> PathBuf {
    let copy = dir.join(file.file_name().expect("a component's file has a name"));
    let bytes = fs::read(file).unwrap_or_else(|e| panic!("cannot read {}: {e}", file.display()));
    if fs::read(&copy).ok().as_ref() != Some(&bytes) {
        fs::write(&copy, bytes).unwrap_or_else(|e| panic!("cannot write {}: {e}", copy.display()));
    }
    copy
}

/// The sources named in cargo's dep-info file, with the manifests of the crates they belong to.
///
/// Dep-info lists everything of ours that went in, path dependencies and the WIT files included.
fn sources(dep_info: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(dep_info)
        .unwrap_or_else(|e| panic!("cannot read {}: {e}", dep_info.display()));
    let (_, sources) = text.split_once(": ").unwrap_or(("", ""));
    // A space inside a path is written as `\ `.
    let mut found: BTreeSet<String> = sources
        .replace("\\ ", "\0")
        .split_whitespace()
        .map(|path| path.replace('\0', " "))
        .collect();
    let manifests: Vec<String> = found
        .iter()
        .filter_map(|source| {
            Path::new(source).ancestors().map(|dir| dir.join("Cargo.toml")).find(|it| it.is_file())
        })
        .map(|manifest| manifest.display().to_string())
        .collect();
    found.extend(manifests);
    found
}

fn out_dir(profile: &str) -> PathBuf {
    target_dir().join(TARGET).join(profile)
}

fn target_dir() -> PathBuf {
    workspace().join("target/guests")
}

/// The workspace this crate was built in; it sits in `guest/build`.
fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("guest/build has two parents").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_flags_do_not_reach_the_guest_but_its_registry_does() {
        let outer = |name: &str| set_by_the_outer_cargo(&OsString::from(name));
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_BUILD_TARGET",
        ] {
            assert!(outer(name), "{name} would change how the guest is built");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_REGISTRIES_MIRROR_INDEX",
            "CARGO_MAKEFLAGS",
            "PATH",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(!outer(name), "{name} is needed by the nested cargo too");
        }
    }

    #[test]
    fn what_a_caller_was_given_stays_when_the_guest_is_built_anew() {
        let dir = env::temp_dir().join(format!("cordboard-guest-kept-{}", std::process::id()));
        let [mine, others] = ["mine", "others"].map(|caller| dir.join(caller));
        for caller in [&mine, &others] {
            fs::create_dir_all(caller).unwrap();
        }
        let built = dir.join("guest.wasm");
        fs::write(&built, "with exports").unwrap();

        let given = kept(&built, &mine);
        fs::write(&built, "without exports").unwrap();
        kept(&built, &others);
        let found = fs::read_to_string(&given).unwrap();

        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(given, mine.join("guest.wasm"));
        assert_eq!(found, "with exports");
    }

    #[test]
    fn sources_with_spaces_are_read_from_dep_info() {
        let dir = env::temp_dir().join(format!("cordboard-guest-build-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let dep_info = dir.join("guest.d");
        fs::write(&dep_info, "/t/guest.wasm: /none/a.rs /none/with\\ space/b.rs\n").unwrap();

        let found = sources(&dep_info);

        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(
            found,
            BTreeSet::from(["/none/a.rs".to_owned(), "/none/with space/b.rs".to_owned()])
        );
    }
}
