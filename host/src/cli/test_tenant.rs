//! `cordboard test`: a tenant's component tried alone, before anybody calls it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use cordboard_isolation::{Choice, Report, Runtime, Scenario};
use cordboard_tenant::{CompiledCache, Limits};

/// What is tried, and how it is told.
#[derive(Args)]
pub(crate) struct TestArgs {
    /// The component, as `cargo build --target wasm32-wasip2` makes it
    component: PathBuf,
    /// A scenario file, or a folder of them; may be given several times. Without any, a built-in conversation
    /// is played
    #[arg(long = "scenario", value_name = "FILE")]
    scenarios: Vec<PathBuf>,
    /// Try nothing but the scenarios
    #[arg(long)]
    scenarios_only: bool,
    /// Leave a suite out; may be given several times
    #[arg(long, value_name = "SUITE")]
    skip: Vec<Skip>,
    /// What the report is printed as
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Write a report for a CI server as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Memory an instance may have, in MiB; 64 for Python and JavaScript
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    memory_mib: usize,
    /// CPU time for one event, in ms of the kind that is counted here
    #[arg(long, value_name = "MS", default_value_t = 20)]
    event_cpu_ms: u64,
    /// Keep compiled components in this directory, which only you can write to
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Skip {
    Abuse,
    Swap,
    Determinism,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The component or a scenario could not be used at all.
const UNUSABLE: u8 = 2;

/// Tries the component. Exit codes: 0 all passed, 1 something failed, 2 nothing could be tried.
pub(crate) async fn run(args: TestArgs) -> ExitCode {
    let report = match Box::pin(report(&args)).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("cordboard test: {error:#}");
            return ExitCode::from(UNUSABLE);
        }
    };
    match args.format {
        Format::Text => print!("{}", report.text()),
        Format::Json => println!("{:#}", report.json()),
    }
    if let Some(file) = &args.junit
        && let Err(error) = std::fs::write(file, report.junit())
    {
        eprintln!("cordboard test: cannot write {}: {error}", file.display());
        return ExitCode::from(UNUSABLE);
    }
    ExitCode::from(u8::from(!report.has_passed()))
}

async fn report(args: &TestArgs) -> anyhow::Result<Report> {
    let name = args.component.display().to_string();
    // Scenarios first: they are read in no time, and a component may take half a minute to compile.
    let mut scenarios = Vec::new();
    for path in &args.scenarios {
        for file in files_of(path)? {
            scenarios.push(Scenario::read(&file)?);
        }
    }
    let bytes = std::fs::read(&args.component).with_context(|| format!("cannot read {name}"))?;
    let limits = Limits {
        memory_bytes: args.memory_mib.saturating_mul(1 << 20),
        event_cpu: std::time::Duration::from_millis(args.event_cpu_ms),
        ..Limits::default()
    };
    let cache = args.cache.as_deref().map(CompiledCache::open).transpose().context("cache")?;
    let engine = cordboard_isolation::engine()?;
    let runtime = Runtime::new(&engine, &bytes, limits, cache.as_ref())
        .with_context(|| format!("{name} can not be used"))?;
    Ok(cordboard_isolation::run(&runtime, &name, &scenarios, args.choice()).await)
}

/// A file itself, or the YAML files of a folder in the order of their names.
fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries =
        std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"));
    files.sort();
    if files.is_empty() {
        bail!("{} holds no scenario: a file ending in .yaml", path.display());
    }
    Ok(files)
}

impl TestArgs {
    fn choice(&self) -> Choice {
        let wants = |suite| !self.scenarios_only && !self.skip.contains(&suite);
        Choice {
            abuse: wants(Skip::Abuse),
            swap: wants(Skip::Swap),
            determinism: wants(Skip::Determinism),
        }
    }
}
