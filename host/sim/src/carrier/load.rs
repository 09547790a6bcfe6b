//! Many calls at once, as cheaply as possible: the load shares the machine with what it loads.
//!
//! Each call is one task with one timer. A frame costs a few numbers written into a text, and what comes back is read in place.
//! Calls begin evenly spread over a second, so that their frames do not all fall into one moment.

mod call;
mod figures;
mod probe;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use figures::{LoadReport, Percentiles, Second};

use super::CarrierConfig;

/// Where a load goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// A webhook: each call asks for its TwiML and opens the stream in it.
    Webhook(String),
    /// A WebSocket.
    Stream(String),
}

/// What the callers' lines carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Signal {
    /// Numbered frames. With an echoing model and untouched mu-law every frame is found again, compared byte by byte and timed.
    #[default]
    Trace,
    /// A short tone each second. With an echoing model its return is timed, whatever was done to the samples on the way.
    Click,
    /// Noise of each call's own. What comes back is compared, as a digest, with another load's: for an echoing model and any conversion.
    Noise,
    /// The spoken clips, one every eight seconds, for a model that converses.
    Speech,
}

/// A load to put on a gateway.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The account that calls.
    pub carrier: CarrierConfig,
    /// Where the calls go.
    pub target: Target,
    /// The caller's number.
    pub from: String,
    /// The called number.
    pub to: String,
    /// How many calls.
    pub calls: u32,
    /// How long each carries its signal.
    pub length: Duration,
    /// What the callers' lines carry.
    pub signal: Signal,
    /// From `start` to the first frame. A model session that is not ready yet makes its gateway hold audio, and audio held once stays
    /// late for the whole of an echoed call: this is set so that the figures speak of the steady state.
    pub media_after: Duration,
    /// A process whose CPU time and memory are measured alongside (Linux).
    pub observe_pid: Option<u32>,
}

/// Runs the load and waits for its end.
pub async fn run(plan: LoadPlan) -> LoadReport {
    let before = figures::Usage::read(plan.observe_pid);
    let own_before = figures::Usage::read(Some(std::process::id()));
    let mut peak_rss = before.map_or(0, |usage| usage.rss_bytes);
    let http = super::Carrier::new(plan.carrier.clone());
    let mut tasks = tokio::task::JoinSet::new();
    let (began, unix) = (tokio::time::Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH));
    for n in 0..plan.calls {
        let (plan, http) = (plan.clone(), http.clone());
        tasks.spawn(async move {
            let spread = Duration::from_secs(1) * n / plan.calls;
            tokio::time::sleep(spread).await;
            call::run(&plan, &http, began, n).await
        });
    }
    let mut report = figures::Sum::beginning(unix.unwrap_or_default());
    let mut look = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            call = tasks.join_next() => match call {
                Some(call) => report.add(call.expect("a call's task does not panic")),
                None => break,
            },
            _ = look.tick() => {
                let usage = figures::Usage::read(plan.observe_pid);
                peak_rss = peak_rss.max(usage.map_or(0, |usage| usage.rss_bytes));
            }
        }
    }
    let after = figures::Usage::read(plan.observe_pid);
    let own_after = figures::Usage::read(Some(std::process::id()));
    report.finish(&plan, (before, after, peak_rss), (own_before, own_after))
}
