//! `sim call`: a caller, or hundreds of them, for any gateway.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde_json::json;

use crate::audio::wav;
use crate::carrier::load::{self, LoadPlan, Signal, Target};
use crate::carrier::menu::{Menu, Outcome};
use crate::carrier::{CallPlan, CallReport, CallerScript, Carrier, CarrierConfig, End, Utterance};

/// Options of `cordboard sim call`.
#[derive(Debug, Clone, Args)]
pub struct CallArgs {
    /// The gateway's webhook, at its actual address
    #[arg(long, value_name = "URL", required_unless_present = "stream", conflicts_with = "stream")]
    pub webhook: Option<String>,
    /// A media stream's WebSocket, without a webhook before it
    #[arg(long, value_name = "URL")]
    pub stream: Option<String>,
    /// What the caller says, once, after the greeting (16-bit WAV); without it, the bicycle shop's customer calls
    #[arg(long, value_name = "FILE")]
    pub wav: Option<PathBuf>,
    /// A telephone menu that the gateway has called, in place of a caller; host/sim/menus has one and explains the format
    #[arg(long, value_name = "FILE", conflicts_with_all = ["wav", "calls", "seconds"])]
    pub menu: Option<PathBuf>,
    /// How many calls at once; more than one prints a load report
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub calls: u32,
    /// How long each call of a load lasts
    #[arg(long, value_name = "S")]
    pub seconds: Option<u64>,
    /// What the lines of a load carry
    #[arg(long, value_enum, default_value_t)]
    pub signal: Signal,
    /// Ms from the start of a load's stream to its first frame
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub media_after: u64,
    /// Also measure this process's CPU time and memory (Linux)
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Where to write the call: caller left, gateway right
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// The auth token requests are signed with
    #[arg(long, value_name = "T", env = "TWILIO_AUTH_TOKEN", hide_env_values = true)]
    pub auth_token: Option<String>,
    /// The account that calls
    #[arg(long, value_name = "SID", env = "TWILIO_ACCOUNT_SID")]
    pub account_sid: Option<String>,
    /// The origin the gateway is configured with, such as https://gw.example.com: signed and named, but reached at the webhook's address
    #[arg(long, value_name = "URL")]
    pub public_origin: Option<String>,
    /// The caller's number
    #[arg(long, value_name = "NUMBER", default_value = "+15550100001")]
    pub from: String,
    /// The called number
    #[arg(long, value_name = "NUMBER", default_value = "+15550100002")]
    pub to: String,
}

/// Places one call or a load of them and prints the report.
///
/// # Errors
/// The arguments make no sense, a file cannot be read or written, or the call did not go well (the report is printed all the same).
pub async fn run_call(args: CallArgs) -> Result<()> {
    let mut config = CarrierConfig {
        public_origin: args.public_origin.clone(),
        // A gateway without a public origin has no TLS to offer on loopback.
        allow_ws: args.public_origin.is_none(),
        ..CarrierConfig::default()
    };
    if let Some(token) = &args.auth_token {
        config.auth_token.clone_from(token);
    }
    if let Some(sid) = &args.account_sid {
        config.account_sid.clone_from(sid);
    }
    let target = match (&args.webhook, &args.stream) {
        (Some(webhook), None) => Target::Webhook(webhook.clone()),
        (None, Some(stream)) => Target::Stream(stream.clone()),
        _ => bail!("either --webhook or --stream says where to call"),
    };
    if args.calls > 1 || args.seconds.is_some() {
        return put_load(&args, config, target).await;
    }
    let script = match &args.wav {
        None => CallerScript::demo(),
        Some(path) => {
            let utterance = Utterance {
                name: path.display().to_string(),
                ulaw: wav::read_as_ulaw(path)?.into(),
            };
            CallerScript::new().wait_answer().say(utterance).wait_answer().hang_up()
        }
    };
    let plan = match &args.menu {
        None => CallPlan::new(script),
        Some(path) => CallPlan::to_menu(Menu::read(path)?),
    };
    let plan = CallPlan { from: args.from.clone(), to: args.to.clone(), ..plan };
    let carrier = Carrier::new(config);
    let call = match &target {
        Target::Webhook(url) => carrier.start(url, plan),
        Target::Stream(url) => carrier.start_stream(url, Vec::new(), plan),
    };
    let report = call.finished().await;
    if let (Some(path), Some(stream)) = (&args.record, report.streams.last()) {
        wav::write_call(path, &stream.said, &stream.heard)?;
    }
    if args.json {
        println!("{}", call_json(&report));
    } else {
        print!("{}", call_text(&report, args.record.as_deref()));
    }
    if let Some(failure) = &report.script_failure {
        bail!("the call did not go as the script wanted: {failure}");
    }
    if let Some(menu) = &report.menu {
        ensure!(menu.outcome == Outcome::Talked, "nobody was reached: {:?}", menu.outcome);
        ensure!(menu.restarts == 0, "the stream was restarted {} times", menu.restarts);
    }
    match report.end {
        End::CallerHungUp | End::GatewayHungUp | End::CompletedByRest | End::Dialled(_) => Ok(()),
        end => bail!("the call ended badly: {end:?}"),
    }
}

async fn put_load(args: &CallArgs, carrier: CarrierConfig, target: Target) -> Result<()> {
    if args.wav.is_some() || args.record.is_some() {
        bail!("--wav and --record are for a single call without --seconds");
    }
    let plan = LoadPlan {
        carrier,
        target,
        from: args.from.clone(),
        to: args.to.clone(),
        calls: args.calls,
        length: Duration::from_secs(args.seconds.unwrap_or(10)),
        signal: args.signal,
        media_after: Duration::from_millis(args.media_after),
        observe_pid: args.pid,
    };
    let report = load::run(plan).await;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    if report.completed < report.calls {
        bail!("{} of {} calls failed", report.calls - report.completed, report.calls);
    }
    Ok(())
}

fn call_json(report: &CallReport) -> String {
    let streams: Vec<_> = report
        .streams
        .iter()
        .map(|stream| json!({ "turns": stream.turns(), "barge_ins": stream.barge_ins() }))
        .collect();
    serde_json::to_string_pretty(&json!({ "call": report, "figures": streams }))
        .expect("a report has string keys and finite numbers")
}

fn call_text(report: &CallReport, recorded: Option<&std::path::Path>) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect("a String takes every write");
    for request in &report.requests {
        line(format!(
            "{:<15}{} -> {:?} in {:.0} ms",
            request.purpose, request.url, request.status, request.elapsed_ms
        ));
    }
    for stream in &report.streams {
        line(format!("stream         {} opened in {:.0} ms", stream.url, stream.upgrade_ms));
        line(format!(
            "media          {} frames sent, {} messages received, {:.1} s heard",
            stream.frames_sent,
            stream.frames_received,
            stream.heard_ms() as f64 / 1000.0
        ));
        // What a menu says is no turn that anybody answers.
        for turn in stream.turns().into_iter().filter(|_| report.menu.is_none()) {
            let answer = match turn.latency_ms {
                Some(ms) => format!("answered after {ms:.0} ms"),
                None => "not answered".into(),
            };
            line(format!("caller said    {:<14} {answer}", turn.said));
        }
        for barge_in in stream.barge_ins() {
            let clear = match barge_in.stop_after_clear_ms {
                Some(ms) => format!("{ms:.0} ms after clear"),
                None => "no clear came".into(),
            };
            line(format!(
                "interrupted by {:<14} silent {:.0} ms after the first word, {clear}",
                barge_in.said, barge_in.stop_after_onset_ms
            ));
        }
        line(format!("audible gaps   {}", stream.gaps.len()));
    }
    if let Some(menu) = &report.menu {
        line(format!("way            {}", menu.path().join(" > ")));
        for heard in &menu.keys {
            line(format!(
                "key heard      {} at {} ({:.1} s, {:?})",
                heard.key,
                heard.place,
                heard.at_ms as f64 / 1000.0,
                heard.meaning
            ));
        }
        line(format!("restarts       {}", menu.restarts));
        if let Some(person) = &menu.person {
            let word = match person.first_word_after_ms {
                Some(ms) => format!("heard the first word after {ms} ms"),
                None => "heard nobody".into(),
            };
            line(format!(
                "person         answered at {:.1} s, {word}, {} lines answered",
                person.answered_ms as f64 / 1000.0,
                person.lines_answered
            ));
        }
    }
    for entry in &report.debugger {
        line(format!("debugger       {} {}", entry.code, entry.text));
    }
    line(format!("ended          {:?}", report.end));
    if let Some(path) = recorded {
        line(format!("recording      {}", path.display()));
    }
    text
}
