//! `cordboard new`: a tenant's project that builds, tests and deploys with the commands it prints.
//!
//! **One rule: what is written needs this binary and the language's own tools, and nothing else.** No crate and no package
//! of ours is published anywhere, so the contract comes along in every project, and the SDK in those written in Rust:
//! the very sources this binary was built beside. The templates are whole projects under `templates/`, with
//! `my-tenant` for a name; the tests write each of them anew and run every command that is printed.

mod embedded;
mod name;
mod vendored;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

/// The name every template is written with.
const PLACEHOLDER: &str = "my-tenant";
/// How the templates call this program.
const PROGRAM: &str = "cordboard";

/// What to make.
#[derive(Args)]
pub(crate) struct NewArgs {
    /// The tenant's name: 1 to 63 of a-z, 0-9 and -, beginning with a letter
    name: String,
    /// What it is written in
    #[arg(long, value_enum)]
    lang: Language,
    /// Where to put the project [default: a folder of its name, here]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What a tenant can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Python,
    Javascript,
}

/// Writes the project and says how to go on.
///
/// # Errors
///
/// A name that can not be one, a folder that is not empty, a disk that does not take it.
pub(crate) fn run(args: &NewArgs) -> anyhow::Result<()> {
    name::vet(&args.name)?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let program = program();
    require_empty(&dir)?;
    for (path, text) in project(args.lang, &args.name, &program)? {
        let file = dir.join(&path);
        let folder = file.parent().expect("a file is in a folder");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&file, text))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    print!("{}", how_to_go_on(args, &dir, &program));
    Ok(())
}

/// Every file of the project, by its path in it.
fn project(language: Language, name: &str, program: &str) -> anyhow::Result<Vec<(String, String)>> {
    let template = match language {
        Language::Rust => embedded::RUST,
        Language::Python => embedded::PYTHON,
        Language::Javascript => embedded::JAVASCRIPT,
    };
    let mut files: Vec<(String, String)> = template
        .iter()
        .map(|(path, text)| ((*path).to_owned(), named(text, name, program)))
        .collect();
    match language {
        Language::Rust => files.extend(vendored::sdk()?),
        Language::Python | Language::Javascript => files.push(vendored::contract()),
    }
    Ok(files)
}

/// A template's text with the tenant's name in it.
fn named(text: &str, name: &str, program: &str) -> String {
    let named =
        text.replace(PLACEHOLDER, name).replace(&underscored(PLACEHOLDER), &underscored(name));
    // Cargo starts the runner by itself, so that has to be found wherever this program is. It takes one line
    // and splits it at spaces; with a space in the path only the name is left, and the path to put it on.
    if program.contains(char::is_whitespace) {
        return named;
    }
    named.replace(&format!("\"{PROGRAM} run-wasm\""), &format!("\"{program} run-wasm\""))
}

fn underscored(name: &str) -> String {
    name.replace('-', "_")
}

/// This program as a shell finds it: by its name where it is on the path, by its place otherwise.
fn program() -> String {
    let on_path = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(PROGRAM).is_file())
    });
    let here = std::env::current_exe().ok().map(|path| path.display().to_string());
    if on_path { PROGRAM.to_owned() } else { here.unwrap_or_else(|| PROGRAM.to_owned()) }
}

fn require_empty(dir: &Path) -> anyhow::Result<()> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => bail!(
            "{} is there already and not empty: choose another name, or another place with --dir",
            dir.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => bail!("cannot use {}: {error}", dir.display()),
    }
}

/// The compiler of Python tenants, as the project has it.
const COMPONENTIZE_PY: &str = ".venv/bin/componentize-py -d wit -w tenant-handover";

/// What is printed in the end. Every line that is indented is a command, in its order.
fn how_to_go_on(args: &NewArgs, dir: &Path, program: &str) -> String {
    let NewArgs { name, lang, .. } = args;
    let dir = dir.display();
    let program =
        if program.contains(char::is_whitespace) { &format!("'{program}'") } else { program };
    let wasm = format!("{name}.wasm");
    let (language, edit, commands, component) = match lang {
        Language::Rust => (
            "Rust",
            "src/lib.rs",
            vec![
                "rustup target add wasm32-wasip2".to_owned(),
                "cargo test".to_owned(),
                "cargo test --target wasm32-wasip2".to_owned(),
                "cargo build --release --target wasm32-wasip2".to_owned(),
            ],
            format!("target/wasm32-wasip2/release/{}.wasm", underscored(name)),
        ),
        Language::Python => (
            "Python",
            "tenant.py",
            vec![
                "python3 -m venv .venv".to_owned(),
                ".venv/bin/pip install --quiet -r requirements.txt".to_owned(),
                format!("{COMPONENTIZE_PY} bindings bindings"),
                ".venv/bin/python -m unittest".to_owned(),
                format!("{COMPONENTIZE_PY} componentize --stub-wasi app -o {wasm}"),
            ],
            wasm,
        ),
        Language::Javascript => (
            "JavaScript",
            "src/tenant.js",
            vec!["npm install".to_owned(), "npm test".to_owned(), "npm run build".to_owned()],
            wasm,
        ),
    };
    let commands: String = commands.iter().map(|it| format!("  {it}\n")).collect();
    let memory = if *lang == Language::Rust { "" } else { " --memory-mib 64" };
    format!(
        "\
Wrote {name}, a tenant in {language}, to {dir}/. Edit {edit}; then test and build it:

  cd {dir}
{commands}  {program} test {component} --scenario scenarios{memory}

The gateway needs the tenant's folder before it starts (here it would run beside the project), and
takes components while it runs:

  mkdir -p ../tenants/{name}
  cp tenant.toml ../tenants/{name}/
  {program} deploy {name} {component} --activate

{dir}/README.md tells the rest, and how to call it here without a telephone or an account.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(language: Language) -> Vec<(String, String)> {
        project(language, "front-supervisor", "cordboard").unwrap()
    }

    #[test]
    fn nothing_of_the_placeholder_is_left_in_any_language() {
        for language in Language::value_variants() {
            for (path, text) in written(*language) {
                assert!(!text.contains(PLACEHOLDER), "{path}");
                assert!(!text.contains("my_tenant"), "{path}");
            }
        }
    }

    #[test]
    fn every_project_has_the_contract_and_says_how_to_build_it() {
        for language in Language::value_variants() {
            let files = written(*language);
            let has = |end: &str| files.iter().any(|(path, _)| path.ends_with(end));
            assert!(
                has("wit/tenant.wit") && has("README.md") && has("tenant.toml"),
                "{language:?}"
            );
        }
    }

    #[test]
    fn the_runner_is_this_program_wherever_it_is() {
        let config = |program: &str| {
            let files = project(Language::Rust, "a", program).unwrap();
            files.into_iter().find(|(path, _)| path == ".cargo/config.toml").unwrap().1
        };
        assert!(config("/opt/bin/cordboard").contains("runner = \"/opt/bin/cordboard run-wasm\""));
        // Cargo would take this for a program `/opt/my`.
        assert!(config("/opt/my bin/cordboard").contains("runner = \"cordboard run-wasm\""));
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(require_empty(dir.path()).is_ok());
        fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();

        let refused = require_empty(dir.path()).unwrap_err().to_string();

        assert!(refused.contains("not empty") && refused.contains("--dir"), "{refused}");
    }
}
