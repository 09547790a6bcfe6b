//! A hundred calls at once on one core: what the gateway adds to a plain bridge, in one run.
//!
//! `cargo bench --workspace --bench load [-- --calls N --seconds S]` starts, one after the other and
//! each pinned to the first core: the bridge (sockets and base64, no tenant), the gateway with a tenant
//! that passes mu-law through, and the gateway with the default tenant's two resamplers. The simulators
//! share the second core. Every frame of the first two is traced through carrier, gateway, model and
//! back, and compared byte by byte; through the third a tone is timed. Latency is for a whole round trip.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use serde_json::Value;

const PUBLIC_URL: &str = "https://load.cordboard.invalid";
const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";

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
    let program = build()?;
    let model = free_port()?;
    let model_url = format!("ws://127.0.0.1:{model}/v1/realtime");
    let _model = Program::start(
        &program,
        1,
        &["sim", "model", "--behaviour", "echo", "--listen", &format!("127.0.0.1:{model}")],
        &[],
        model,
    )?;

    let bridge_port = free_port()?;
    let bridge = Program::start(
        &program,
        0,
        &[
            "sim",
            "bridge",
            "--listen",
            &format!("127.0.0.1:{bridge_port}"),
            "--model",
            &format!("{model_url}?model=gpt-realtime-2.1"),
        ],
        &[],
        bridge_port,
    )?;
    let stream = format!("ws://127.0.0.1:{bridge_port}/media");
    let baseline =
        load(&program, &args, &["--stream", &stream, "--signal", "trace"], bridge.pid())?;
    drop(bridge);

    let pass_through = gateway(&program, &args, &model_url, "audio = \"pcmu\"", "trace")?;
    let resampled = gateway(&program, &args, &model_url, "audio = \"pcm16\"", "click")?;

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

fn figure(value: &Value) -> String {
    value.as_f64().map_or("-".to_owned(), |number| format!("{number:.2}"))
}

/// Runs one load against a gateway of its own.
fn gateway(
    program: &Path,
    args: &Args,
    model: &str,
    settings: &str,
    signal: &str,
) -> Result<Value> {
    let home = tempfile::tempdir()?;
    let tenant = home.path().join("default");
    std::fs::create_dir(&tenant)?;
    std::fs::write(tenant.join("tenant.toml"), format!("[settings]\n{settings}\n"))?;
    let port = free_port()?;
    let gateway = Program::start(
        program,
        0,
        &["serve"],
        &[
            ("PUBLIC_URL", PUBLIC_URL),
            ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
            ("OPENAI_API_KEY", "sk-load"),
            ("OPENAI_REALTIME_API_URL", model),
            ("CORDBOARD_TENANTS_DIR", &home.path().display().to_string()),
            ("CORDBOARD_LISTEN", &format!("127.0.0.1:{port}")),
            ("CORDBOARD_MAX_CALLS", &args.calls.to_string()),
            ("RUST_LOG", "warn"),
        ],
        port,
    )?;
    let webhook = format!("http://127.0.0.1:{port}/incoming-call");
    let how = [
        "--webhook",
        &webhook,
        "--public-origin",
        PUBLIC_URL,
        "--auth-token",
        AUTH_TOKEN,
        "--signal",
        signal,
    ];
    load(program, args, &how, gateway.pid())
}

/// Lets callers call, and returns their report.
fn load(program: &Path, args: &Args, how: &[&str], observed: u32) -> Result<Value> {
    let output = Command::new("taskset")
        .args(["-c", "1"])
        .arg(program)
        .args(["sim", "call", "--json", "--calls", &args.calls.to_string()])
        .args(["--seconds", &args.seconds.to_string(), "--pid", &observed.to_string()])
        .args(how)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(&text).with_context(|| format!("the callers report {text:?}"))
}

/// A program that runs until it is dropped.
struct Program(Child);

impl Program {
    fn start(
        program: &Path,
        core: u32,
        arguments: &[&str],
        environment: &[(&str, &str)],
        port: u16,
    ) -> Result<Self> {
        let child = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .arg(program)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .spawn()
            .context("taskset (util-linux) starts the programs")?;
        let program = Self(child);
        let until = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(Instant::now() < until, "{arguments:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(program)
    }

    /// `taskset` becomes the program it starts, so this is its pid.
    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It is ours and of no more use; when it is gone already, so much the better.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Builds the program as an operator would.
fn build() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--workspace", "--bin", "cordboard", "--message-format=json"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        bail!("the program does not build");
    }
    let lines = String::from_utf8(built.stdout)?;
    lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .find(|path| path.file_stem().is_some_and(|name| name == "cordboard"))
        .context("cargo names no program of ours")
}
