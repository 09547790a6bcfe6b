//! A hundred calls at once on one core: what the gateway adds to a plain bridge, in one run.
//!
//! `cargo bench --workspace --bench load [-- --calls N --seconds S]` starts, one after the other and
//! each pinned to the first core: the bridge (sockets and base64, no tenant), the gateway with a tenant
//! that passes mu-law through, and the gateway with the default tenant's two resamplers. The simulators
//! share the second core. Every frame of the first two is traced through carrier, gateway, model and
//! back, and compared byte by byte; through the third a tone is timed. Latency is for a whole round trip.

mod stand;

use std::path::Path;

use anyhow::{Result, ensure};
use clap::Parser;
use serde_json::Value;
use stand::{Callers, Gateway, MEASURED, Program, figure, free_port, model_url};

/// Options after `--`.
#[derive(Parser)]
struct Args {
    /// Calls at once
    #[arg(long, default_value_t = 100)]
    calls: u32,
    /// How long each lasts
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let program = stand::program()?;
    let model_port = free_port()?;
    let model = model_url(model_port);
    let _model = Program::echoing_model(&program, model_port)?;

    let baseline = bridge(&program, &args, &model)?;
    let pass_through = gateway(&program, &args, &model, "audio = \"pcmu\"", "trace")?;
    let resampled = gateway(&program, &args, &model, "audio = \"pcm16\"", "click")?;

    println!(
        "{} calls for {} s, each program on one core, release build",
        args.calls, args.seconds
    );
    println!("{:<34}{:>12}{:>12}{:>12}", "", "bridge", "pcmu", "pcm16");
    let all = [&baseline, &pass_through, &resampled];
    row("calls completed", all, |it| it["completed"].to_string());
    row("frames sent by callers", all, |it| it["frames_sent"].to_string());
    row("frames traced there and back", all, |it| it["traced"].to_string());
    row("lost", all, |it| it["lost"].to_string());
    row("repeated", all, |it| it["repeated"].to_string());
    row("changed", all, |it| it["changed"].to_string());
    row("gaps heard", all, |it| it["gaps"].to_string());
    row("round trip p50, ms", all, |it| figure(&it["latency_ms"]["p50"]));
    row("round trip p99, ms", all, |it| figure(&it["latency_ms"]["p99"]));
    row("the callers' own lateness p99, ms", all, |it| figure(&it["own_lateness_ms"]["p99"]));
    row("CPU per call-second, ms", all, |it| figure(&it["observed"]["cpu_ms_per_call_second"]));
    row("  as a multiple of the bridge", all, |it| {
        let of = |it: &Value| it["observed"]["cpu_ms_per_call_second"].as_f64().unwrap_or(f64::NAN);
        format!("{:.2}", of(it) / of(&baseline))
    });
    row("memory per call, KiB", all, |it| figure(&it["observed"]["rss_kib_per_call"]));
    for (name, report) in [("bridge", &baseline), ("pcmu", &pass_through), ("pcm16", &resampled)] {
        ensure!(report["completed"] == report["calls"], "{name}: calls were not completed");
        for trouble in ["lost", "repeated", "changed", "gaps"] {
            ensure!(report[trouble] == 0, "{name}: {trouble} {}", report[trouble]);
        }
    }
    let p99 = |it: &Value| it["latency_ms"]["p99"].as_f64().unwrap_or(f64::NAN);
    println!("added to the bridge's p99: pcmu {:.2} ms", p99(&pass_through) - p99(&baseline));
    for (name, report) in [("bridge", &baseline), ("pcmu", &pass_through), ("pcm16", &resampled)] {
        let errors = report["errors"].as_object().map_or(0, serde_json::Map::len);
        if errors > 0 {
            println!("{name}: errors {}", report["errors"]);
        }
    }
    Ok(())
}

fn row(name: &str, reports: [&Value; 3], cell: impl Fn(&Value) -> String) {
    let [bridge, pcmu, pcm16] = reports.map(cell);
    println!("{name:<34}{bridge:>12}{pcmu:>12}{pcm16:>12}");
}

/// Runs one load against the bridge.
fn bridge(program: &Path, args: &Args, model: &str) -> Result<Value> {
    let port = free_port()?;
    let (listen, model) = (format!("127.0.0.1:{port}"), format!("{model}?model=gpt-realtime-2.1"));
    let arguments = ["sim", "bridge", "--listen", &listen, "--model", &model];
    let bridge = Program::start(program, MEASURED, &arguments, &[], port)?;
    let stream = format!("ws://127.0.0.1:{port}/media");
    let how = ["--stream", &stream, "--signal", "trace"].map(str::to_owned);
    Callers::start(program, (args.calls, args.seconds), &how, &bridge)?.report()
}

/// Runs one load against a gateway of its own.
fn gateway(
    program: &Path,
    args: &Args,
    model: &str,
    settings: &str,
    signal: &str,
) -> Result<Value> {
    let gateway = Gateway::start(program, settings, model, args.calls, &[])?;
    let how = gateway.how(signal);
    Callers::start(program, (args.calls, args.seconds), &how, &gateway.program)?.report()
}
