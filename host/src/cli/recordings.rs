//! The commands about recordings, which need no gateway: they read a file and print.
//!
//! Exit codes: 0 done, or identical; 1 different; 2 the file, or what the command was given, can not be used.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use cordboard_recording::{
    Hearing, Moment, Recording, Tail, Transcript, describe, timeline, turns,
};

use crate::replay::{self, Components};

/// What can be done with a recording.
#[derive(Subcommand)]
pub(crate) enum RecordingCommand {
    /// Run a recorded call again and say "identical", or what differs
    ///
    /// Each instance of the call is told again what it was told, by the component that answered it then: from
    /// the tenant's stored versions, or its tenant.toml, or the built-in one. A --component of another digest is told the whole call
    /// from its beginning instead, and compared with what was carried out; the events stay as they were, so after the
    /// first difference they are no longer those that this component would have met.
    Replay(ReplayArgs),
    /// Write a recorded call as sound (call.wav, the caller left), transcript (.txt, .json, .vtt) and timeline.jsonl
    Export(ExportArgs),
    /// Show a recorded call: what it was, what was said, and everything that happened with --timeline
    Inspect(InspectArgs),
}

#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// The recording, a .cbr file
    recording: PathBuf,
    /// Answer with this component
    #[arg(long, value_name = "WASM")]
    component: Option<PathBuf>,
    /// Where the tenants' folders are
    #[arg(long, value_name = "DIR", env = "CORDBOARD_TENANTS_DIR", default_value = "tenants")]
    tenants_dir: PathBuf,
    /// Show every difference in full
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The recording, a .cbr file
    recording: PathBuf,
    /// A directory for the files, which is made if it is not there; files of these names are replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// The recording, a .cbr file
    recording: PathBuf,
    /// List every event and action, audio frames left out
    #[arg(long)]
    timeline: bool,
    /// List audio frames, too
    #[arg(long, requires = "timeline")]
    audio: bool,
    /// List only events and actions of this name, for example model-event; may be given more than once
    #[arg(long, value_name = "NAME", requires = "timeline")]
    kind: Vec<String>,
    /// List only what happened from this second of the call on
    #[arg(long, value_name = "SECONDS", requires = "timeline", default_value_t = 0.0)]
    from: f64,
    /// List only what happened before this second of the call
    #[arg(long, value_name = "SECONDS", requires = "timeline", default_value_t = f64::INFINITY)]
    to: f64,
}

impl RecordingCommand {
    /// Does it, and returns the exit code.
    pub(crate) async fn run(self) -> ExitCode {
        let done = match self {
            Self::Replay(args) => replay(args).await,
            Self::Export(args) => export(&args),
            Self::Inspect(args) => inspect(&args),
        };
        done.unwrap_or_else(|error| {
            eprintln!("cordboard: {error:#}");
            ExitCode::from(UNUSABLE)
        })
    }
}

const DIFFERENT: u8 = 1;
const UNUSABLE: u8 = 2;

/// Reads a recording. One that is damaged is used as far as it is whole, and the exit code says so.
pub(crate) fn open(path: &Path) -> anyhow::Result<Recording> {
    let file = std::fs::read(path).with_context(|| path.display().to_string())?;
    Recording::read(&file).with_context(|| path.display().to_string())
}

async fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let recording = open(&args.recording)?;
    let mut components = Components::new(Some(args.tenants_dir))?;
    let given = args.component.map(|path| components.add(&path)).transpose()?;
    let of_the_call = |digest: &[u8; 32]| {
        let traces = cordboard_recording::instance_traces(&recording.entries);
        traces.iter().any(|trace| trace.start.component == digest)
    };
    let replay = match given {
        Some(component) if !of_the_call(component.digest().as_bytes()) => {
            replay::with(&recording, &component, replay::PATIENCE).await
        }
        _ => replay::again(&recording, &mut components).await?,
    };
    print!("{}", replay::report(&recording, &replay, args.all));
    let whole = whole(&recording, &args.recording);
    Ok(if replay.is_empty() {
        ExitCode::from(UNUSABLE)
    } else if replay.is_identical() {
        whole
    } else {
        ExitCode::from(DIFFERENT)
    })
}

/// The exit code of what was done with a recording as far as it is whole: a file that was cut off is, one that was
/// changed is not.
fn whole(recording: &Recording, path: &Path) -> ExitCode {
    match &recording.tail {
        Tail::Ended(_) | Tail::CutOff { .. } => ExitCode::SUCCESS,
        tail @ Tail::Damaged { .. } => {
            eprintln!("cordboard: {} {tail}", path.display());
            ExitCode::from(UNUSABLE)
        }
    }
}

fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let recording = open(&args.recording)?;
    let turns = turns(&recording.entries);
    let hearing = Hearing::of(&turns);
    let transcript = Transcript::of(&turns, &hearing);
    let mut lines = String::new();
    for moment in timeline(&recording.entries) {
        lines += &serde_json::to_string(&moment).context("a moment is JSON")?;
        lines.push('\n');
    }
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let write = |name: &str, bytes: &[u8]| {
        let path = args.out.join(name);
        private_file(&path, bytes).with_context(|| path.display().to_string())
    };
    write("call.wav", &wav(&hearing)?)?;
    write("transcript.txt", transcript.text().as_bytes())?;
    write("transcript.json", transcript.json().as_bytes())?;
    write("transcript.vtt", transcript.web_vtt().as_bytes())?;
    write("timeline.jsonl", lines.as_bytes())?;
    print!("{}", replay::head(&recording));
    println!(
        "written    call.wav, transcript.txt, transcript.json, transcript.vtt, timeline.jsonl in {}",
        args.out.display()
    );
    Ok(whole(&recording, &args.recording))
}

/// A file for nobody else to read, as the recording was.
fn private_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}

/// Both voices as a WAV file: the caller left, the agent right.
fn wav(hearing: &Hearing) -> anyhow::Result<Vec<u8>> {
    let spec = hound::WavSpec {
        channels: 2,
        // The file says it; what no telephone or model uses would overflow the header's fields.
        sample_rate: hearing.sample_rate.clamp(8_000, 48_000),
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut wav = hound::WavWriter::new(&mut file, spec)?;
    for at in 0..hearing.caller.len().max(hearing.agent.len()) {
        for voice in [&hearing.caller, &hearing.agent] {
            wav.write_sample(voice.get(at).copied().unwrap_or(0))?;
        }
    }
    wav.finalize()?;
    Ok(file.into_inner())
}

fn inspect(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let recording = open(&args.recording)?;
    let mut text = replay::head(&recording);
    if args.timeline {
        let at = |moment: &Moment| moment.at_ms as f64 / 1_000.0;
        let chosen = |moment: &Moment| {
            let of_kind = |kind: &str| args.kind.iter().any(|name| name == kind);
            let by_kind = match moment.kind {
                _ if args.kind.is_empty() => args.audio || !moment.is_audio(),
                kind => kind.is_some_and(of_kind),
            };
            by_kind && (args.from..args.to).contains(&at(moment))
        };
        for moment in timeline(&recording.entries).filter(chosen) {
            let silent = if moment.counts { ' ' } else { '(' };
            let line = describe::cut(&moment.text, LINE_MAX);
            let (what, instance) = (moment.what, moment.instance);
            writeln!(text, "{:>10.3} {silent}{instance} {what:<8} {line}", at(&moment))?;
        }
    } else {
        let turns = turns(&recording.entries);
        for unprovable in recording.header.redaction.unprovable() {
            writeln!(text, "redacted   {unprovable}")?;
        }
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for moment in timeline(&recording.entries) {
            *counts.entry((moment.what, moment.kind.unwrap_or_default())).or_default() += 1;
        }
        for what in ["event", "action", "failure", "save"] {
            let of = counts.iter().filter(|((of, _), _)| *of == what);
            let each: Vec<String> = of
                .map(|((_, kind), count)| format!("{count} {kind}").trim_end().to_owned())
                .collect();
            if !each.is_empty() {
                writeln!(text, "{:<10} {}", format!("{what}s"), each.join(", "))?;
            }
        }
        text += "\n";
        text += &Transcript::of(&turns, &Hearing::of(&turns)).text();
    }
    // Whoever reads only the first lines closes the pipe.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(whole(&recording, &args.recording))
}

/// Characters of one line of a timeline.
const LINE_MAX: usize = 160;
