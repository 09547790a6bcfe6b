//! `cordboard run-wasm`: the runner behind `cargo test --target wasm32-wasip2` and `cargo component test`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

/// What to run.
#[derive(Args)]
pub(crate) struct RunWasmArgs {
    /// The component, as cargo built it
    component: PathBuf,
    /// What the program is given, as a test suite is given names of tests
    // `cargo component test` puts a `--` before the arguments; clap takes that one away.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the program and ends as it does.
///
/// # Errors
///
/// Why it did not run, or not to its end.
pub(crate) fn run(args: &RunWasmArgs) -> anyhow::Result<ExitCode> {
    let name = args.component.display().to_string();
    let bytes = std::fs::read(&args.component).with_context(|| format!("cannot read {name}"))?;
    let code = cordboard_tenant::run_program(&name, &bytes, &args.arguments)?;
    // Beyond a byte there is no exit code; what is left of one must not read as success.
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
