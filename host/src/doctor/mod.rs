//! `cordboard doctor`: finds out, step by step, what keeps calls from being answered.
//!
//! **One rule: every step that fails says what to do next.** The steps are those of a call's first
//! seconds: the settings, the carrier's side of them, the tenants' files, the key, the connection, the session and its formats,
//! audio in, an answer out. The last one makes the model speak a few words, which costs what that
//! costs.

mod conversation;
mod step;
#[cfg(test)]
mod tests;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use cordboard_tenant::{CompileLimits, TenantDirectory, TenantReport};
use cordboard_wire::openai::Rejection;
use serde::Serialize;

use crate::config::{Config, Sources, Trust};
use crate::model::{ConnectError, ModelEndpoint, ModelSocket};
use conversation::Patience;
pub use step::{Outcome, Step};

/// What to examine and how to tell.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DoctorArgs {
    /// The configuration file; without it, ./cordboard.toml if there is one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON object at the end instead of a line per step
    #[arg(long)]
    pub json: bool,
}

/// The whole examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether no step failed.
    pub ok: bool,
    /// In the order they were taken.
    pub steps: Vec<Step>,
}

/// Examines and prints; the exit code is 0 when no step failed.
pub async fn run(args: DoctorArgs) -> ExitCode {
    let sources = Sources::from_process(args.config.as_deref());
    let report = examine(&sources, |step| {
        if !args.json {
            say(&step.to_string());
        }
    })
    .await;
    if args.json {
        let json = serde_json::to_string_pretty(&report).expect("a report is plain data");
        say(&format!("{json}\n"));
    } else if report.ok {
        say("\nEverything a call needs is in place.\n");
    } else {
        say("\nCalls will not be answered until the failed steps are put right.\n");
    }
    if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints. Somebody who has read enough (`cordboard doctor | head`) is no error, and the exit code still counts.
fn say(text: &str) {
    drop(io::stdout().write_all(text.as_bytes()));
}

/// Takes all steps, telling each as it is done.
pub async fn examine(sources: &Sources, tell: impl FnMut(&Step)) -> Report {
    examine_with(sources, Patience::default(), tell).await
}

async fn examine_with(sources: &Sources, patience: Patience, tell: impl FnMut(&Step)) -> Report {
    let mut chart = Chart { steps: Vec::new(), tell };
    if let Some(config) = chart.settings(sources) {
        chart.carrier(&config);
        chart.tenants(&config);
        if let Some((socket, model)) = chart.connection(&config.model).await {
            Box::pin(conversation::hold(socket, &model, patience, |step| chart.enter(step))).await;
        }
    }
    chart.skip_the_rest();
    let ok = chart.steps.iter().all(|step| step.outcome != Outcome::Failed);
    Report { ok, steps: chart.steps }
}

/// All steps, in their order.
const STEPS: [&str; 8] =
    ["config", "carrier", "tenants", "key", "connect", "session", "audio", "response"];

struct Chart<F> {
    steps: Vec<Step>,
    tell: F,
}

impl<F: FnMut(&Step)> Chart<F> {
    fn enter(&mut self, step: Step) {
        (self.tell)(&step);
        self.steps.push(step);
    }

    fn settings(&mut self, sources: &Sources) -> Option<Config> {
        match Config::load(sources) {
            Ok(config) => {
                let found = format!("model {} at {}", config.model.model, shown(&config.model.url));
                self.enter(Step::ok("config", found).with_warnings(config.warnings.clone()));
                Some(config)
            }
            Err(problems) => {
                let todo = problems.0.iter().map(ToString::to_string).collect();
                self.enter(Step::failed("config", "the settings can not be used", todo));
                None
            }
        }
    }

    fn carrier(&mut self, config: &Config) {
        let step = match config.trust() {
            Ok(Trust::Signed { origin, tokens }) => {
                let rest = match config.carrier.rest {
                    Some(_) => "hang-up and transfer by REST are possible",
                    None => "without TWILIO_ACCOUNT_SID no transfer is possible",
                };
                let keys = if tokens.len() == 1 { "one key" } else { "several keys" };
                Step::ok("carrier", format!("signatures for {} by {keys}; {rest}", origin.http("")))
            }
            // The configuration's own warning says what to do.
            Ok(Trust::Anybody { .. }) => Step {
                outcome: Outcome::Warning,
                ..Step::ok("carrier", "signatures are not checked")
            },
            Err(problems) => {
                let todo = problems.0.iter().map(ToString::to_string).collect();
                Step::failed("carrier", "`cordboard serve` would not start", todo)
            }
        };
        self.enter(step);
    }

    /// Reads what `cordboard serve` would read, without the minute that compiling may take.
    fn tenants(&mut self, config: &Config) {
        let dir = config.tenants_dir.display();
        if !config.tenants_dir.exists() {
            let found = format!("there is no {dir}; the built-in tenant answers every call");
            return self.enter(Step::ok("tenants", found));
        }
        let limits = CompileLimits::default();
        let (tenants, errors) = TenantDirectory::survey(&config.tenants_dir, &limits);
        let found = match &tenants[..] {
            [] if errors.is_empty() => {
                format!("none in {dir}; the built-in tenant answers every call")
            }
            [] => format!("none that is sound in {dir}"),
            tenants => {
                let answers = tenants.iter().filter(|tenant| tenant.answers).map(named);
                let names: Vec<String> = answers.collect();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                let unclaimed = match tenants.iter().any(|it| it.id.as_str() == "default") {
                    true => "",
                    false => "; numbers that none of them claims are answered by nobody",
                };
                format!("{names} in {dir}{unclaimed}")
            }
        };
        let troubles = tenants.iter().filter_map(|tenant| {
            let TenantReport { id, version, answers, trouble } = tenant;
            let answers = match (answers, version) {
                (true, Some(version)) => format!("{version} answers in its place"),
                (true, None) => "what its tenant.toml names answers in its place".to_owned(),
                (false, _) => "it is out of service".to_owned(),
            };
            Some(format!("tenant `{id}`: {}; {answers}", trouble.as_ref()?))
        });
        let todo = errors.iter().map(ToString::to_string).chain(troubles).collect::<Vec<_>>();
        self.enter(match todo.is_empty() {
            true => Step::ok("tenants", found),
            false => Step::failed("tenants", found, todo),
        });
    }

    /// Key and connection are told apart only by what the server says to the attempt.
    async fn connection(&mut self, endpoint: &ModelEndpoint) -> Option<(ModelSocket, String)> {
        let shape = match &endpoint.key {
            None => "none is set, and the server may ask for none",
            Some(key)
                if key.expose().contains(|c: char| c.is_whitespace() || c == '"' || c == '\'') =>
            {
                let todo = "write OPENAI_API_KEY without blanks and quotation marks inside";
                self.enter(Step::failed("key", "it is not pasted cleanly", vec![todo.to_owned()]));
                return None;
            }
            Some(_) => "the server took it",
        };
        match ModelSocket::connect(endpoint).await {
            Ok((socket, info)) => {
                self.enter(Step::ok("key", shape));
                self.enter(Step::ok(
                    "connect",
                    format!("session {} of {}", info.session, info.model),
                ));
                Some((socket, info.model))
            }
            Err(error) if is_about_the_key(&error) => {
                self.enter(Step::failed("key", "the server refused it", vec![error.to_string()]));
                None
            }
            Err(error) => {
                let key = if endpoint.key.is_some() {
                    "set; whether it is right is not known yet"
                } else {
                    shape
                };
                self.enter(Step::ok("key", key));
                self.enter(Step::failed("connect", "there is no session", vec![error.to_string()]));
                None
            }
        }
    }

    fn skip_the_rest(&mut self) {
        for name in &STEPS[self.steps.len()..] {
            self.enter(Step {
                outcome: Outcome::Skipped,
                ..Step::ok(name, "an earlier step failed")
            });
        }
    }
}

/// A tenant with the version that would answer for it.
fn named(tenant: &TenantReport) -> String {
    match tenant.version {
        Some(version) => format!("{} ({version})", tenant.id),
        None => tenant.id.to_string(),
    }
}

fn is_about_the_key(error: &ConnectError) -> bool {
    match error.rejection() {
        Some(
            Rejection::InvalidKey
            | Rejection::NoQuota
            | Rejection::AccountDeactivated
            | Rejection::BillingLimit,
        ) => true,
        Some(
            Rejection::BetaDisabled
            | Rejection::MissingModel
            | Rejection::InvalidModel
            | Rejection::UnknownModel,
        )
        | None => false,
    }
}

/// Some providers take a key in the URL's query.
fn shown(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}
