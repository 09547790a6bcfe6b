//! Hundreds of live calls, moved to another version three times in a row and back: what the callers notice.
//!
//! `cargo bench --workspace --bench swap [-- --calls N --seconds S]` lets the same callers talk twice through
//! a gateway on the first core, the simulators on the second. The first time nothing happens. The second
//! time an operator uploads three new versions one after the other, each with `--activate --migrate`, and
//! rolls the last one back. The new versions are the default tenant's component with other bytes in it, so
//! that what is heard must be the same to the last bit. The whole is done for a tenant that passes mu-law
//! through, whose frames are traced there and back one by one, and with half as many calls for one that
//! resamples both ways, whose filters must cross the swap: there, all that a caller hears is compared with
//! the run in which nobody was swapped.
//!
//! Exits with an error when a promise is broken: a frame not answered exactly once, lost, repeated or
//! changed; a gap; a call that did not move; a pause of 1 ms at the median or of 2 ms at the 99th percentile.

mod stand;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::Value;
use stand::{Callers, Gateway, Program, SIMULATORS, built, figure, free_port, model_url, on_core};

const ADMIN_TOKEN: &str = "the-token-of-the-operator";

/// What a pause may last, in ms: at the median, and at the 99th percentile of each migration.
const PAUSE_MS: (f64, f64) = (1.0, 2.0);

/// Options after `--`.
#[derive(Parser)]
struct Args {
    /// Calls at once through the tenant that passes audio through; half as many through the one that resamples
    #[arg(long, default_value_t = 200)]
    calls: u32,
    /// How long each lasts
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let stand = Stand::open(&args)?;
    let pcmu = stand.pair("pcmu", "trace", args.calls)?;
    let pcm16 = stand.pair("pcm16", "noise", args.calls.div_ceil(2))?;

    println!(
        "{} s; moved to v2, v3, v4 and back to v3 while they talk; each program on one core, release build",
        args.seconds
    );
    println!("{:<40}{:>10}{:>10}{:>10}{:>10}", "", "pcmu", "swapped", "pcm16", "swapped");
    let all = [&pcmu, &pcm16];
    row("calls completed", all, |it| it.report["completed"].to_string());
    row("frames sent by callers", all, |it| it.report["frames_sent"].to_string());
    row("frames handed to a tenant", all, |it| it.frames_in.to_string());
    row("frames traced there and back", all, |it| it.traced("traced"));
    row("  lost", all, |it| it.traced("lost"));
    row("  repeated", all, |it| it.traced("repeated"));
    row("  changed", all, |it| it.traced("changed"));
    row("gaps heard", all, |it| it.report["gaps"].to_string());
    row("round trip p50, ms", all, |it| figure(&it.report["latency_ms"]["p50"]));
    row("round trip p99, ms", all, |it| figure(&it.report["latency_ms"]["p99"]));
    row("  p99 of the worst second", all, |it| it.worst("latency_ms", "p99", |_| true));
    row("  p99 of the worst second, moving", all, |it| {
        it.worst("latency_ms", "p99", |s| it.moves_in(s))
    });
    row("  longest, moving", all, |it| it.worst("latency_ms", "max", |s| it.moves_in(s)));
    row("the callers' own lateness p99, ms", all, |it| {
        figure(&it.report["own_lateness_ms"]["p99"])
    });
    row("  longest, moving", all, |it| it.worst("own_lateness_ms", "max", |s| it.moves_in(s)));
    row("CPU per call-second, ms", all, |it| {
        figure(&it.report["observed"]["cpu_ms_per_call_second"])
    });
    row("memory before, MiB", all, |it| it.memory(0));
    row("memory at most, MiB", all, |it| it.memory(1));
    row("memory after, MiB", all, |it| it.memory(2));
    for pair in all {
        let same = pair.heard_alike();
        println!(
            "{}: {same} of {} calls heard the same bytes with swaps as without",
            pair.audio, pair.calls
        );
        println!(
            "  {:<28}{:>7}{:>9}{:>9}{:>9}{:>9}",
            "", "moved", "in s", "p50 ms", "p99 ms", "max ms"
        );
        for step in &pair.swapped.steps {
            let migration = &step.answer["migration"];
            let pause = |which: &str| format!("{:.2}", pause_ms(migration, which));
            println!(
                "  {:<28}{:>7}{:>9.2}{:>9}{:>9}{:>9}",
                step.what(),
                migration["moved"].to_string(),
                migration["took_ms"].as_f64().unwrap_or(f64::NAN) / 1000.0,
                pause("p50"),
                pause("p99"),
                pause("max"),
            );
        }
    }
    for pair in all {
        pair.keeps_its_promises()?;
    }
    println!("every promise was kept");
    Ok(())
}

fn row(name: &str, pairs: [&Pair; 2], cell: impl Fn(&Run) -> String) {
    print!("{name:<40}");
    for run in pairs.iter().flat_map(|pair| [&pair.quiet, &pair.swapped]) {
        print!("{:>10}", cell(run));
    }
    println!();
}

fn pause_ms(migration: &Value, which: &str) -> f64 {
    migration["pause_us"][which].as_f64().map_or(f64::NAN, |micros| micros / 1000.0)
}

/// Everything that is built and started once.
struct Stand {
    program: PathBuf,
    component: Vec<u8>,
    home: tempfile::TempDir,
    model_url: String,
    seconds: u32,
    _model: Program,
}

impl Stand {
    fn open(args: &Args) -> Result<Self> {
        let program = stand::program()?;
        let guest = [
            "--profile",
            "guest",
            "--target",
            "wasm32-wasip2",
            "-p",
            "cordboard-default-tenant",
            "--lib",
        ];
        let component = std::fs::read(built(&guest, "filenames", "cordboard_default_tenant")?)?;
        let port = free_port()?;
        Ok(Self {
            _model: Program::echoing_model(&program, port)?,
            program,
            component,
            home: tempfile::tempdir()?,
            model_url: model_url(port),
            seconds: args.seconds,
        })
    }

    fn pair(&self, audio: &'static str, signal: &str, calls: u32) -> Result<Pair> {
        let quiet = self.run(audio, signal, calls, false)?;
        let swapped = self.run(audio, signal, calls, true)?;
        Ok(Pair { audio, calls, quiet, swapped })
    }

    fn run(&self, audio: &str, signal: &str, calls: u32, swap: bool) -> Result<Run> {
        let (admin, metrics) = (free_port()?, free_port()?);
        let metrics_listen = format!("127.0.0.1:{metrics}");
        let admin_listen = format!("127.0.0.1:{admin}");
        let gateway = Gateway::start(
            &self.program,
            &format!("audio = \"{audio}\""),
            &self.model_url,
            calls,
            &[
                ("CORDBOARD_ADMIN_LISTEN", &admin_listen),
                ("CORDBOARD_ADMIN_TOKEN", ADMIN_TOKEN),
                ("CORDBOARD_METRICS_LISTEN", &metrics_listen),
            ],
        )?;
        let pid = gateway.program.pid();
        let operator = Operator { stand: self, url: format!("http://{admin_listen}") };
        let callers = Callers::start(
            &self.program,
            (calls, self.seconds),
            &gateway.how(signal),
            &gateway.program,
        )?;
        operator.wait_for(calls)?;
        std::thread::sleep(Duration::from_secs(3));
        let before = memory_kib(pid)?;
        let (most, over) = (AtomicU64::new(before), AtomicBool::new(false));
        let steps = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    most.fetch_max(memory_kib(pid).unwrap_or(0), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let steps = if swap { operator.swaps() } else { Ok(Vec::new()) };
            over.store(true, Ordering::Relaxed);
            steps
        })?;
        std::thread::sleep(Duration::from_secs(2));
        let memory_kib = [before, most.into_inner(), memory_kib(pid)?];
        let report = callers.report()?;
        let frames_in = frames_in(metrics)?;
        Ok(Run { report, steps, memory_kib, frames_in })
    }
}

/// Somebody at a terminal.
struct Operator<'a> {
    stand: &'a Stand,
    url: String,
}

impl Operator<'_> {
    /// Three new versions, each of which all calls move to, and back from the last to the one before.
    fn swaps(&self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for mark in ["two", "three", "four"] {
            let file = self.stand.home.path().join(format!("{mark}.wasm"));
            std::fs::write(&file, marked(&self.stand.component, mark))?;
            let file = file.display().to_string();
            steps.push(self.step(&["deploy", "default", &file, "--activate", "--migrate"])?);
        }
        steps.push(self.step(&["rollback", "default"])?);
        Ok(steps)
    }

    fn wait_for(&self, calls: u32) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let live = self.ask(&["calls"])?;
            if live["calls"].as_array().is_some_and(|live| live.len() == calls as usize) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "{calls} calls do not come about");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn step(&self, words: &[&str]) -> Result<Step> {
        let answer = self.ask(words)?;
        Ok(Step { answer, ended: SystemTime::now().duration_since(UNIX_EPOCH)? })
    }

    fn ask(&self, words: &[&str]) -> Result<Value> {
        let output = on_core(SIMULATORS, &self.stand.program)
            .args(words)
            .args(["--json", "--admin", &self.url])
            .env("CORDBOARD_ADMIN_TOKEN", ADMIN_TOKEN)
            .stdout(Stdio::piped())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "cordboard {words:?}: {text}");
        serde_json::from_str(&text).with_context(|| format!("cordboard {words:?}: {text}"))
    }
}

/// What an operator did, and what the gateway said.
struct Step {
    answer: Value,
    /// Since 1970.
    ended: Duration,
}

impl Step {
    fn what(&self) -> String {
        let to = self.answer["migration"]["to"].as_str().unwrap_or("?");
        match self.answer["live_in_ms"].as_u64() {
            Some(live_in) => format!("deploy {to} (live in {live_in} ms)"),
            None => format!("roll-back to {to}"),
        }
    }
}

/// One load.
struct Run {
    report: Value,
    steps: Vec<Step>,
    /// Before the first step, at most, and after the last.
    memory_kib: [u64; 3],
    /// What the gateway counted.
    frames_in: u64,
}

impl Run {
    fn traced(&self, what: &str) -> String {
        if self.report["traced"] == 0 { "-".into() } else { self.report[what].to_string() }
    }

    fn memory(&self, which: usize) -> String {
        format!("{:.1}", self.memory_kib[which] as f64 / 1024.0)
    }

    /// The worst of some seconds.
    fn worst(&self, what: &str, which: &str, wanted: impl Fn(u64) -> bool) -> String {
        let seconds = self.report["seconds_one_by_one"].as_array().into_iter().flatten();
        let worst = seconds
            .zip(0_u64..)
            .filter(|(_, n)| wanted(*n))
            .filter_map(|(second, _)| second[what][which].as_f64())
            .reduce(f64::max);
        worst.map_or("-".into(), |worst| format!("{worst:.2}"))
    }

    /// Whether calls were moving in a second of the load.
    fn moves_in(&self, second: u64) -> bool {
        let began = self.report["began_unix_ms"].as_u64().unwrap_or(0);
        let (from, to) = (began + second * 1000, began + second * 1000 + 1000);
        self.steps.iter().any(|step| {
            let ended = u64::try_from(step.ended.as_millis()).unwrap_or(u64::MAX);
            let took = step.answer["migration"]["took_ms"].as_u64().unwrap_or(0);
            ended.saturating_sub(took) < to && from < ended
        })
    }
}

/// The same load twice.
struct Pair {
    audio: &'static str,
    calls: u32,
    quiet: Run,
    swapped: Run,
}

impl Pair {
    fn heard_alike(&self) -> usize {
        let heard = |run: &Run| run.report["heard"].as_array().cloned().unwrap_or_default();
        let (quiet, swapped) = (heard(&self.quiet), heard(&self.swapped));
        quiet.iter().zip(&swapped).filter(|(one, other)| one.is_string() && one == other).count()
    }

    fn keeps_its_promises(&self) -> Result<()> {
        let audio = self.audio;
        self.nothing_happens_to(&self.quiet).with_context(|| {
            format!(
                "{audio}: even without a swap; this machine is too busy for {} calls",
                self.calls
            )
        })?;
        self.nothing_happens_to(&self.swapped).with_context(|| format!("{audio}, swapped"))?;
        let alike = self.heard_alike();
        ensure!(
            alike == self.calls as usize,
            "{audio}: only {alike} calls heard what they hear without a swap"
        );
        for step in &self.swapped.steps {
            let (what, migration) = (step.what(), &step.answer["migration"]);
            ensure!(migration["moved"] == self.calls, "{audio}, {what}: {migration}");
            let (half, most) = (pause_ms(migration, "p50"), pause_ms(migration, "p99"));
            ensure!(half < PAUSE_MS.0, "{audio}, {what}: a call waits {half} ms at the median");
            ensure!(most < PAUSE_MS.1, "{audio}, {what}: a call in a hundred waits {most} ms");
        }
        Ok(())
    }

    fn nothing_happens_to(&self, Run { report, frames_in, .. }: &Run) -> Result<()> {
        let (sent, errors) = (&report["frames_sent"], &report["errors"]);
        ensure!(report["completed"] == self.calls, "not every call was completed: {errors}");
        ensure!(sent == frames_in, "{sent} frames sent, {frames_in} handed to a tenant");
        if report["traced"].as_u64().is_some_and(|traced| traced > 0) {
            for trouble in ["lost", "repeated", "changed"] {
                ensure!(report[trouble] == 0, "{trouble} {}", report[trouble]);
            }
        }
        ensure!(report["gaps"] == 0, "{} gaps heard", report["gaps"]);
        Ok(())
    }
}

/// A component with a custom section more: other bytes, the same behaviour.
fn marked(component: &[u8], mark: &str) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let length = u8::try_from(mark.len()).expect("a mark is a word");
    bytes.extend([0, 1 + length, length]);
    bytes.extend(mark.as_bytes());
    bytes
}

/// A process's resident memory.
fn memory_kib(pid: u32) -> Result<u64> {
    /// Linux on every machine this is measured on.
    const PAGE_KIB: u64 = 4;
    let statm = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("statm"))?;
    let pages: u64 = statm.split(' ').nth(1).context("statm has a second field")?.parse()?;
    Ok(pages * PAGE_KIB)
}

/// The caller frames a gateway has handed to its tenant.
fn frames_in(port: u16) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(async {
        let client = cordboard_sim::http::client().build()?;
        client.get(format!("http://127.0.0.1:{port}/metrics")).send().await?.text().await
    })?;
    let line = text.lines().find_map(|line| line.strip_prefix("cordboard_frames_in_total{"));
    let count = line.and_then(|line| line.rsplit(' ').next()).context("frames are counted")?;
    Ok(count.parse()?)
}
