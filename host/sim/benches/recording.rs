//! What recording costs: the same calls through the same gateway without and with it, in one run.
//!
//! `cargo bench --workspace --bench recording [-- --calls N --seconds S --rounds R]` runs the gateway, pinned to the
//! first core, with a tenant that passes mu-law through and with the default tenant's two resamplers; each without and
//! with every call recorded, in turn, so that a machine that is slower for a while is so for both. CPU time is the
//! process's, the recorder's thread and the kernel's work for it included. Callers and model share the second core. The callers send noise all the
//! time and it all comes back: as much audio as a call can have, and none of it can be compressed.

mod stand;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use stand::{Callers, Gateway, Program, free_port, model_url};

/// Options after `--`.
#[derive(Parser)]
struct Args {
    /// Calls at once
    #[arg(long, default_value_t = 50)]
    calls: u32,
    /// How long each lasts
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// How often each is measured; the figure is the middle one
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// One run.
struct Run {
    cpu_ms: f64,
    recorded_bytes: u64,
    trouble: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let program = stand::program()?;
    let model_port = free_port()?;
    let model = model_url(model_port);
    let _model = Program::echoing_model(&program, model_port)?;

    println!(
        "{} calls for {} s, {} rounds, each program on one core, release build",
        args.calls, args.seconds, args.rounds
    );
    println!(
        "{:<8}{:>22}{:>22}{:>10}{:>16}",
        "tenant", "CPU ms/call-s without", "with recording", "ratio", "KB/call-s"
    );
    for tenant in ["pcmu", "pcm16"] {
        let settings = format!("audio = \"{tenant}\"");
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds.max(1) {
            without.push(run(&program, &args, &model, &settings)?);
            let recorded = format!("{settings}\n\n[recording]\nmode = \"on\"");
            with.push(run(&program, &args, &model, &recorded)?);
        }
        ensure!(without.iter().all(|run| run.recorded_bytes == 0), "recorded unasked");
        ensure!(with.iter().all(|run| run.recorded_bytes > 0), "nothing was recorded");
        let call_seconds = f64::from(args.calls) * f64::from(args.seconds);
        let bytes = with[0].recorded_bytes as f64 / call_seconds;
        let (without_ms, with_ms) = (middle(&without), middle(&with));
        let [without_cell, with_cell, ratio, kilobytes] =
            [without_ms, with_ms, with_ms / without_ms, bytes / 1_000.0]
                .map(|number| stand::figure(&number.into()));
        println!("{tenant:<8}{without_cell:>22}{with_cell:>22}{ratio:>10}{kilobytes:>16}");
        let trouble: u64 = without.iter().chain(&with).map(|run| run.trouble).sum();
        println!(
            "        lost, repeated or changed frames, gaps heard, calls not completed: {trouble}"
        );
    }
    Ok(())
}

fn run(program: &Path, args: &Args, model: &str, settings: &str) -> Result<Run> {
    let place = tempfile::tempdir()?;
    let dir = place.path().display().to_string();
    let more = [("CORDBOARD_RECORDING_DIR", dir.as_str())];
    let gateway = Gateway::start(program, settings, model, args.calls, &more)?;
    let how = gateway.how("noise");
    let load = (args.calls, args.seconds);
    let report = Callers::start(program, load, &how, &gateway.program)?.report()?;
    let cpu_ms = report["observed"]["cpu_ms_per_call_second"].as_f64();
    let count = |name: &str| report[name].as_u64().unwrap_or(0);
    let troubles = ["lost", "repeated", "changed", "gaps"].map(count);
    let unfinished = count("calls") - count("completed").min(count("calls"));
    Ok(Run {
        cpu_ms: cpu_ms.context("the callers saw no CPU time")?,
        recorded_bytes: bytes_below(place.path())?,
        trouble: troubles.iter().sum::<u64>() + unfinished,
    })
}

/// The middle one of several runs.
fn middle(runs: &[Run]) -> f64 {
    let mut all: Vec<f64> = runs.iter().map(|run| run.cpu_ms).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn bytes_below(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        bytes += if path.is_dir() { bytes_below(&path)? } else { path.metadata()?.len() };
    }
    Ok(bytes)
}
