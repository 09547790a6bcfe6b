//! The operator's commands: the admin API from a terminal, in the same words.
//!
//! **One rule: what a person reads and what a program reads say the same.** `--json` prints the gateway's
//! answer as it came; without it the same answer is put into lines. Exit codes: 0 done, 1 refused (the message
//! says what to do instead), 2 used wrongly, 3 no gateway answered, or it failed.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::replay::{DryRun, dry_run};
use crate::secret::Secret;

/// What an operator can ask of a running gateway.
#[derive(Subcommand)]
pub(crate) enum OperatorCommand {
    /// List the tenants of a running gateway
    Tenants(Tenants),
    /// List a tenant's versions, and take up a repaired releases.toml
    Versions(Versions),
    /// Upload a component: vet, compile, rehearse; then --activate it, --canary 10%, or let it wait
    Deploy(Deploy),
    /// Give a version all new calls
    Activate(Activate),
    /// Give a version a share of the new calls
    Canary(Canary),
    /// Let a version listen to live calls beside the one that answers, and list how it would have differed
    Shadow(Shadow),
    /// Give the canary all new calls
    Promote(Promote),
    /// Take the latest step back: the canary, or the active version
    Rollback(Rollback),
    /// Move a tenant's running calls to its active version
    Migrate(Migrate),
    /// Decide what running calls do at the next activation
    Policy(Policy),
    /// Remove a stored version
    Retire(Retire),
    /// List live calls
    Calls(Calls),
    /// End a live call
    HangUp(HangUp),
    /// Hand a JSON value to a live call's tenant
    Command(Command),
    /// Refuse new calls, and end the running ones at a deadline
    Drain(Drain),
}

/// Where the gateway is and how it answers.
#[derive(Args)]
struct Console {
    /// The gateway's admin address
    #[arg(
        long,
        value_name = "URL",
        env = "CORDBOARD_ADMIN_URL",
        default_value = "http://127.0.0.1:8081"
    )]
    admin: String,
    /// A token of the gateway's [admin] configuration; better in the environment than on the command line
    #[arg(long, value_name = "TOKEN", env = "CORDBOARD_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print the gateway's answer as JSON
    #[arg(long)]
    json: bool,
}

/// What running calls do.
#[derive(Args)]
#[group(multiple = false)]
struct Running {
    /// Move the running calls, too
    #[arg(long)]
    migrate: bool,
    /// Let running calls keep their version
    #[arg(long)]
    pin: bool,
}

#[derive(Args)]
pub(crate) struct Tenants {
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Versions {
    /// The tenant's name
    tenant: String,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Deploy {
    /// The tenant's name
    tenant: String,
    /// The component, as `cargo build --target wasm32-wasip2` makes it
    file: PathBuf,
    /// Give it all new calls
    #[arg(long, conflicts_with = "canary")]
    activate: bool,
    /// Give it a share of the new calls, for example 10%
    #[arg(long, value_name = "SHARE", value_parser = percent)]
    canary: Option<u8>,
    /// Let it listen to a share of the new calls, for example 100%; see `cordboard shadow`
    #[arg(long, value_name = "SHARE", value_parser = shadows_percent, conflicts_with_all = ["activate", "canary"])]
    shadow: Option<u8>,
    #[command(flatten)]
    running: Running,
    /// Take it even if it was rolled back before
    #[arg(long)]
    force: bool,
    /// First tell it the tenant's recorded calls below this directory, here and now; upload it only if it survives them
    ///
    /// The recordings are read where this command runs, and nothing is sent to the gateway if the component fails
    /// where the recorded one answered, needs more than the limits of those calls, or sends another amount of audio for the
    /// same event. Other differences are listed and do not stop it; `cordboard replay --component` shows them.
    #[arg(long, value_name = "DIR")]
    dry_run_with: Option<PathBuf>,
    /// Kept with the version
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Activate {
    /// The tenant's name
    tenant: String,
    /// The version, for example v3
    // Every command has a `--version` already, under that very id.
    #[arg(id = "which", value_name = "VERSION")]
    version: String,
    /// Take it even if it was rolled back before
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Canary {
    /// The tenant's name
    tenant: String,
    /// The version, for example v3
    // Every command has a `--version` already, under that very id.
    #[arg(id = "which", value_name = "VERSION")]
    version: String,
    /// Its share of the new calls, for example 10%
    #[arg(value_parser = percent)]
    share: u8,
    /// Take it even if it was rolled back before
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Shadow {
    /// The tenant's name
    tenant: String,
    /// The version that is to listen, for example v3; without one, what was found is listed
    // Every command has a `--version` already, under that very id.
    #[arg(id = "which", value_name = "VERSION")]
    version: Option<String>,
    /// To how many of the new calls
    #[arg(long, value_name = "SHARE", value_parser = shadows_percent, requires = "which")]
    share: Option<u8>,
    /// End it; calls that run keep theirs until they are over
    #[arg(long, conflicts_with = "which")]
    off: bool,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Promote {
    /// The tenant's name
    tenant: String,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Rollback {
    /// The tenant's name
    tenant: String,
    /// The version to take back; refused when somebody did so before
    // Every command has a `--version` already, under that very id.
    #[arg(id = "which", value_name = "VERSION")]
    version: Option<String>,
    /// Why; kept with the version that is taken back
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Let running calls keep the version that is taken back
    #[arg(long)]
    pin: bool,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Migrate {
    /// The tenant's name
    tenant: String,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Policy {
    /// The tenant's name
    tenant: String,
    /// pin: each call keeps its version; migrate: calls move
    #[arg(value_parser = ["pin", "migrate"])]
    policy: String,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Retire {
    /// The tenant's name
    tenant: String,
    /// The version, for example v3
    // Every command has a `--version` already, under that very id.
    #[arg(id = "which", value_name = "VERSION")]
    version: String,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Calls {
    /// Only this tenant's
    tenant: Option<String>,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct HangUp {
    /// The call's id, as `calls` lists it
    call: String,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Command {
    /// The call's id, as `calls` lists it
    call: String,
    /// Any JSON value; `-` reads it from standard input
    command: String,
    #[command(flatten)]
    console: Console,
}

#[derive(Args)]
pub(crate) struct Drain {
    /// Seconds until running calls are ended; the gateway's own setting where this is left out
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u64>,
    #[command(flatten)]
    console: Console,
}

impl OperatorCommand {
    /// Asks the gateway, prints what it answers, and returns the exit code.
    pub(crate) async fn run(self) -> ExitCode {
        if let Self::Deploy(Deploy { tenant, file, dry_run_with: Some(dir), .. }) = &self {
            match Box::pin(dry_run(tenant, file, dir)).await {
                Ok(DryRun { text, objections: 0 }) => eprint!("{text}"),
                Ok(DryRun { text, .. }) => {
                    eprint!("{text}");
                    eprintln!(
                        "cordboard: not uploaded: the component does not survive the recorded calls"
                    );
                    return ExitCode::from(REFUSED);
                }
                Err(error) => {
                    eprintln!("cordboard: {error:#}");
                    return ExitCode::from(USED_WRONGLY);
                }
            }
        }
        let (console, asked) = match self.asked() {
            Ok(both) => both,
            Err(wrong) => {
                eprintln!("cordboard: {wrong}");
                return ExitCode::from(USED_WRONGLY);
            }
        };
        match console.ask(asked.method, &asked.path, &asked.query, asked.body).await {
            Ok(answer) if console.json => {
                println!("{answer:#}");
                ExitCode::SUCCESS
            }
            Ok(answer) => {
                print!("{}", (asked.print)(&answer));
                ExitCode::SUCCESS
            }
            Err(failure) => failure.report(console.json),
        }
    }

    fn asked(self) -> Result<(Console, Asked), String> {
        let tenants = |tenant: &str, word: &str| format!("/v1/tenants/{}/{word}", segment(tenant));
        let calls = |call: &str, word: &str| format!("/v1/calls/{}/{word}", segment(call));
        Ok(match self {
            Self::Tenants(Tenants { console }) => {
                (console, Asked::get("/v1/tenants", print_tenants))
            }
            Self::Versions(Versions { tenant, console }) => {
                (console, Asked::get(tenants(&tenant, "versions"), print_versions))
            }
            Self::Deploy(deploy) => {
                let Deploy {
                    tenant,
                    file,
                    activate,
                    canary,
                    shadow,
                    running,
                    force,
                    note,
                    console,
                    dry_run_with: _,
                } = deploy;
                let component =
                    std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
                let then = match (activate, canary, shadow) {
                    (true, _, _) => "activate",
                    (false, Some(_), _) => "canary",
                    (false, None, Some(_)) => "shadow",
                    (false, None, None) => "stage",
                };
                let mut query = vec![("then", then.to_owned()), ("force", force.to_string())];
                query.extend(canary.or(shadow).map(|percent| ("percent", percent.to_string())));
                query.extend(running.word().map(|word| ("running", word.to_owned())));
                query.push(("note", note));
                let path = tenants(&tenant, "deploy");
                let body = Body::Component(component);
                (console, Asked { method: Method::POST, path, query, body, print: print_deployed })
            }
            Self::Activate(Activate { tenant, version, force, running, console }) => {
                let body = json!({ "version": version, "force": force, "running": running.word() });
                (console, Asked::post(tenants(&tenant, "activate"), body, print_tenant))
            }
            Self::Canary(Canary { tenant, version, share, force, console }) => {
                let body = json!({ "version": version, "percent": share, "force": force });
                (console, Asked::post(tenants(&tenant, "canary"), body, print_tenant))
            }
            Self::Shadow(Shadow { tenant, version: None, off: false, console, .. }) => {
                (console, Asked::get(tenants(&tenant, "shadow"), print_shadow))
            }
            Self::Shadow(Shadow { tenant, version, share, console, .. }) => {
                let body = json!({ "version": version, "percent": share });
                (console, Asked::post(tenants(&tenant, "shadow"), body, print_tenant))
            }
            Self::Promote(Promote { tenant, running, console }) => {
                let body = json!({ "running": running.word() });
                (console, Asked::post(tenants(&tenant, "promote"), body, print_tenant))
            }
            Self::Rollback(Rollback { tenant, version, reason, pin, console }) => {
                let body = json!({ "version": version, "reason": reason, "running": pin.then_some("pin") });
                (console, Asked::post(tenants(&tenant, "rollback"), body, print_tenant))
            }
            Self::Migrate(Migrate { tenant, console }) => {
                (console, Asked::post(tenants(&tenant, "migrate"), json!({}), print_tenant))
            }
            Self::Policy(Policy { tenant, policy, console }) => {
                let body = json!({ "policy": policy });
                (console, Asked::post(tenants(&tenant, "policy"), body, print_tenant))
            }
            Self::Retire(Retire { tenant, version, console }) => {
                let body = json!({ "version": version });
                (console, Asked::post(tenants(&tenant, "retire"), body, print_tenant))
            }
            Self::Calls(Calls { tenant, console }) => {
                let mut asked = Asked::get("/v1/calls", print_calls);
                asked.query.extend(tenant.map(|tenant| ("tenant", tenant)));
                (console, asked)
            }
            Self::HangUp(HangUp { call, console }) => {
                (console, Asked::post(calls(&call, "hang-up"), json!({}), print_ordered))
            }
            Self::Command(Command { call, command, console }) => {
                let text = if command == "-" { from_stdin()? } else { command };
                let body: Value = serde_json::from_str(&text)
                    .map_err(|error| format!("the command is not JSON: {error}"))?;
                (console, Asked::post(calls(&call, "command"), body, print_ordered))
            }
            Self::Drain(Drain { deadline, console }) => {
                let body = json!({ "deadline_s": deadline });
                (console, Asked::post("/v1/drain", body, print_drain))
            }
        })
    }
}

/// One request, and how its answer is told to a person.
struct Asked {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Body,
    print: fn(&Value) -> String,
}

enum Body {
    Nothing,
    Json(Value),
    Component(Vec<u8>),
}

impl Asked {
    fn get(path: impl Into<String>, print: fn(&Value) -> String) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: Body::Nothing,
            print,
        }
    }

    fn post(path: impl Into<String>, body: Value, print: fn(&Value) -> String) -> Self {
        let body = Body::Json(body);
        Self { method: Method::POST, path: path.into(), query: Vec::new(), body, print }
    }
}

impl Running {
    fn word(&self) -> Option<&'static str> {
        match (self.migrate, self.pin) {
            (true, _) => Some("migrate"),
            (false, true) => Some("pin"),
            (false, false) => None,
        }
    }
}

/// Why there is no answer.
enum Failure {
    /// The gateway refuses.
    Refused { kind: String, message: String },
    /// Nobody answers, or not like a gateway, or it failed.
    Failed(String),
    /// The command was used wrongly.
    Usage(String),
}

impl Failure {
    fn report(self, as_json: bool) -> ExitCode {
        let (code, kind, message) = match self {
            Self::Refused { kind, message } => (REFUSED, kind, message),
            Self::Failed(message) => (FAILED, "failed".to_owned(), message),
            Self::Usage(message) => (USED_WRONGLY, "usage".to_owned(), message),
        };
        if as_json {
            println!("{:#}", json!({ "error": { "kind": kind, "message": message } }));
        } else {
            eprintln!("cordboard: {message}");
        }
        ExitCode::from(code)
    }
}

impl Console {
    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&'static str, String)],
        body: Body,
    ) -> Result<Value, Failure> {
        let Some(token) = self.token.clone().map(Secret::new) else {
            let message =
                "no token: set CORDBOARD_ADMIN_TOKEN to one of the gateway's [admin] tokens";
            return Err(Failure::Usage(message.to_owned()));
        };
        let failed = |error: reqwest::Error| {
            let at = &self.admin;
            let why =
                std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
            let error = error.without_url();
            Failure::Failed(format!(
                "no answer from {at}: {error}{why}. Is the gateway running with CORDBOARD_ADMIN_TOKEN set, and \
                 is this its admin address (--admin)?"
            ))
        };
        // The default provider of this build is ring, as for every other connection.
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .tls_backend_preconfigured((*crate::net::tls::client_config()).clone())
            .build()
            .map_err(failed)?;
        let url = format!("{}{path}", self.admin.trim_end_matches('/'));
        let request = client.request(method, url).query(query).bearer_auth(token.expose());
        let request = match body {
            Body::Nothing => request,
            Body::Json(body) => request.json(&body),
            Body::Component(bytes) => {
                request.header("content-type", "application/wasm").body(bytes)
            }
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let answer: Value = response.json().await.map_err(|_| {
            Failure::Failed(format!(
                "{} answers {status}, and not like a gateway's admin API",
                self.admin
            ))
        })?;
        if status.is_success() {
            return Ok(answer);
        }
        let text = |field: &str| answer["error"][field].as_str().unwrap_or_default().to_owned();
        let (kind, message) = (text("kind"), text("message"));
        Err(if status.is_server_error() || kind.is_empty() {
            Failure::Failed(format!("the gateway failed ({status}): {message}"))
        } else if status == StatusCode::BAD_REQUEST {
            Failure::Usage(message)
        } else {
            Failure::Refused { kind, message }
        })
    }
}

const REFUSED: u8 = 1;
const USED_WRONGLY: u8 = 2;
const FAILED: u8 = 3;

/// The admin address is near.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A Python component compiles in up to half a minute on an idle machine, and two may stand before it.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);

/// Reads `10%` or `10`.
fn percent(text: &str) -> Result<u8, String> {
    let share: cordboard_tenant::version_store::Share =
        text.parse().map_err(|error| format!("{error}"))?;
    Ok(share.as_percent())
}

/// Reads `100%` or `100`.
fn shadows_percent(text: &str) -> Result<u8, String> {
    let number: Option<u8> = text.strip_suffix('%').unwrap_or(text).parse().ok();
    let share = cordboard_tenant::version_store::Share::of_shadow(number.unwrap_or_default());
    share.map(|share| share.as_percent()).map_err(|error| error.to_string())
}

/// A name as one segment of a path, whatever is in it.
fn segment(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

fn from_stdin() -> Result<String, String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(text)
}

fn print_tenants(answer: &Value) -> String {
    let mut rows = vec![row(["TENANT", "ACTIVE", "CANARY", "POLICY", "VERSIONS", "CALLS"])];
    for tenant in list(&answer["tenants"]) {
        let mut cells = row(["tenant", "active", "canary", "policy", "versions", "calls"]
            .map(|it| said(&tenant[it])));
        cells[2] = trial(&tenant["canary"]).unwrap_or_else(|| "-".to_owned());
        rows.push(cells);
    }
    table(&rows) + &list(&answer["tenants"]).iter().map(trouble).collect::<String>()
}

/// What keeps a tenant's active version, or all of them, from answering.
fn trouble(tenant: &Value) -> String {
    let Some(_) = tenant["trouble"].as_str() else { return String::new() };
    let answers = match tenant["active"].as_str() {
        Some(_) => format!("{} answers in its place", said(&tenant["active"])),
        None => "OUT OF SERVICE".to_owned(),
    };
    format!("{}: {answers}: {}\n", said(&tenant["tenant"]), said(&tenant["trouble"]))
}

fn print_versions(answer: &Value) -> String {
    let mut rows = vec![row(["VERSION", "PART", "SHA256", "WHEN", "BY", "NOTE"])];
    for version in list(&answer["versions"]) {
        let mut cells = row(["version", "part", "component_sha256", "when", "by", "note"]
            .map(|it| said(&version[it])));
        cells[2].truncate(12);
        if version["rolled_back"].is_string() {
            cells[5] = format!("ROLLED BACK ({}) {}", said(&version["rolled_back"]), cells[5]);
        }
        rows.push(cells);
    }
    table(&rows) + &trouble(answer)
}

fn print_deployed(answer: &Value) -> String {
    let (tenant, version) = (said(&answer["tenant"]), said(&answer["version"]));
    let part = match answer["part"].as_str() {
        None => "stored".to_owned(),
        Some(part) => format!("is {part}"),
    };
    let again = if answer["new"] == false { " (the same bytes were deployed before)" } else { "" };
    let mut out = format!("{tenant} {version} {part}{again}: compiled in ");
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "{} ms, rehearsed in {} ms",
        answer["compiled_in_ms"], answer["rehearsed_in_ms"]
    );
    if answer["live_in_ms"].is_number() {
        let _ = write!(out, ", live after {} ms", answer["live_in_ms"]);
    }
    out.push('\n');
    if answer["has_handover"] == false {
        out += "it has no `handover`, so running calls can not move to it\n";
    }
    out + &migration(&answer["migration"])
}

fn print_tenant(answer: &Value) -> String {
    let mut out = format!("{}: active {}", said(&answer["tenant"]), said(&answer["active"]));
    for part in ["canary", "shadow"] {
        if let Some(trial) = trial(&answer[part]) {
            let _ = write!(out, ", {part} {trial}");
        }
    }
    let _ = writeln!(out, ", policy {}", said(&answer["policy"]));
    out + &trouble(answer) + &migration(&answer["migration"])
}

fn print_calls(answer: &Value) -> String {
    let mut rows = vec![row(["CALL", "TENANT", "VERSION", "SECONDS"])];
    for call in list(&answer["calls"]) {
        let seconds = call["age_ms"].as_u64().unwrap_or_default() / 1000;
        let [sid, tenant, version] = ["call", "tenant", "version"].map(|it| said(&call[it]));
        rows.push(row([sid, tenant, version, seconds.to_string()]));
    }
    table(&rows)
}

fn print_ordered(answer: &Value) -> String {
    format!("{}: {}\n", said(&answer["call"]), said(&answer["ordered"]))
}

fn print_drain(answer: &Value) -> String {
    let (calls, seconds) = (said(&answer["calls"]), said(&answer["deadline_s"]));
    format!("draining: no new calls; {calls} running, ended in {seconds} s at the latest\n")
}

fn migration(migration: &Value) -> String {
    if migration.is_null() {
        return String::new();
    }
    let (to, moved) = (said(&migration["to"]), said(&migration["moved"]));
    let mut out = format!("{moved} running calls moved to {to}");
    if migration["pause_us"]["max"].is_number() {
        let pause =
            |which: &str| migration["pause_us"][which].as_f64().unwrap_or_default() / 1000.0;
        let (half, most, worst) = (pause("p50"), pause("p99"), pause("max"));
        let took = migration["took_ms"].as_f64().unwrap_or_default() / 1000.0;
        let _ = write!(
            out,
            " in {took:.2} s (pause p50 {half:.2} ms, p99 {most:.2} ms, worst {worst:.2} ms)"
        );
    }
    out.push('\n');
    for call in list(&migration["stayed"]) {
        let _ = writeln!(out, "{} stayed: {}", said(&call["call"]), said(&call["reason"]));
    }
    out
}

/// A canary or a shadow.
fn trial(trial: &Value) -> Option<String> {
    let version = trial["version"].as_str()?;
    Some(format!("{version} {}%", trial["percent"]))
}

fn print_shadow(answer: &Value) -> String {
    let (tenant, found) = (said(&answer["tenant"]), &answer["findings"]);
    let shadow = trial(&answer["shadow"]).unwrap_or_default();
    let mut out = format!(
        "{tenant}: shadow {shadow}, behind {}: {} calls, {} events, {} answered otherwise\n",
        said(&answer["active"]),
        found["calls"],
        found["events"],
        found["differing"],
    );
    let counts = |title: &str, counts: &Value| {
        let each = counts.as_object().into_iter().flatten();
        let each: Vec<String> = each.map(|(what, count)| format!("{count} {what}")).collect();
        if each.is_empty() { String::new() } else { format!("{title}: {}\n", each.join(", ")) }
    };
    out += &counts("  answered otherwise, by event", &found["by_event"]);
    out += &counts("  shadows dropped", &found["dropped"]);
    if found["last_dropped"].is_string() {
        let _ = writeln!(out, "  the last one: {}", said(&found["last_dropped"]));
    }
    for finding in list(&found["differences"]) {
        let at = finding["at_ms"].as_f64().unwrap_or_default() / 1000.0;
        let _ = writeln!(
            out,
            "\n{} at {at:.2} s, {}:",
            said(&finding["call"]),
            said(&finding["event"])
        );
        for line in finding["difference"].as_str().unwrap_or_default().lines() {
            let _ = writeln!(out, "  {}", said(&line.into()));
        }
    }
    out
}

fn row<const N: usize>(cells: [impl Into<String>; N]) -> Vec<String> {
    cells.map(Into::into).into()
}

/// Rows of equal length, each column as wide as its widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value as a person reads it; what others wrote can not steer the terminal.
fn said(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_told_in_sentences() {
        let answer = json!({
            "tenant": "acme", "version": "v4", "new": true, "part": "active", "has_handover": true,
            "compiled_in_ms": 120, "rehearsed_in_ms": 3, "live_in_ms": 130,
            "migration": {
                "to": "v4", "moved": 2, "ended": 0, "took_ms": 130,
                "pause_us": { "p50": 310, "p99": 900, "max": 900 },
                "stayed": [{ "call": "CA1", "reason": "trapped in `load`" }],
            },
        });
        assert_eq!(
            print_deployed(&answer),
            "acme v4 is active: compiled in 120 ms, rehearsed in 3 ms, live after 130 ms\n\
             2 running calls moved to v4 in 0.13 s (pause p50 0.31 ms, p99 0.90 ms, worst 0.90 ms)\n\
             CA1 stayed: trapped in `load`\n"
        );
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let answer = json!({ "tenants": [
            { "tenant": "a-tenant-with-a-long-name", "active": "v2", "canary": null,
              "policy": "pin", "versions": 2, "calls": 0 },
            { "tenant": "b", "active": "v11", "canary": { "version": "v12", "percent": 10 },
              "policy": "migrate", "versions": 12, "calls": 31 },
        ] });
        assert_eq!(
            print_tenants(&answer),
            "TENANT                     ACTIVE  CANARY   POLICY   VERSIONS  CALLS\n\
             a-tenant-with-a-long-name  v2      -        pin      2         0\n\
             b                          v11     v12 10%  migrate  12        31\n"
        );
    }

    #[test]
    fn a_tenant_in_trouble_says_why_and_who_answers() {
        let answer = json!({ "tenants": [
            { "tenant": "a", "active": "v1", "canary": null, "policy": "pin", "versions": 2,
              "calls": 0, "trouble": "v2 can not answer: it was changed" },
            { "tenant": "b", "active": null, "canary": null, "policy": "pin", "versions": 1,
              "calls": 0, "trouble": "v1 can not answer: it was changed" },
        ] });
        assert_eq!(
            print_tenants(&answer),
            "TENANT  ACTIVE  CANARY  POLICY  VERSIONS  CALLS\n\
             a       v1      -       pin     2         0\n\
             b       -       -       pin     1         0\n\
             a: v1 answers in its place: v2 can not answer: it was changed\n\
             b: OUT OF SERVICE: v1 can not answer: it was changed\n"
        );
    }

    #[test]
    fn what_others_wrote_does_not_steer_the_terminal() {
        assert_eq!(said(&json!("a\u{1b}[31mred\r\n")), "a[31mred");
    }

    #[test]
    fn a_name_stays_one_segment_of_the_path() {
        assert_eq!(segment("../x y?z"), "..%2Fx%20y%3Fz");
    }
}
