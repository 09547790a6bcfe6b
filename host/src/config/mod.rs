//! What an operator decides: one struct, read and checked before a port opens.
//!
//! **One rule: every setting is parsed here, once, into a type that cannot be wrong, and all that is
//! wrong is said at once.** A setting is found in the environment, else in `.env`, else in
//! `cordboard.toml`, else it has the default of the example files, which list every setting.

mod dotenv;
mod fixed;
mod keys;
mod problem;
mod sources;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use axum::http::HeaderName;
use cordboard_tenant::{CompileLimits, CompilerProcess};
use cordboard_wire::openai::{self, Dialect};
use url::{Host, Url};

use crate::logging::LogFormat;
use crate::model::{Auth, ModelEndpoint};
use crate::net::proxies::{self, Proxies};
use crate::secret::Secret;
use keys::Key;
pub use problem::{Problem, Problems};
pub use sources::Sources;
use sources::{Found, Source};

/// Everything an operator decides. See `cordboard.example.toml` for the meaning of each.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where webhooks and the carrier's sockets are taken.
    pub listen: SocketAddr,
    /// The proxies that are believed whom they ask for.
    pub proxies: Proxies,
    /// Where the carrier finds us; signatures are checked against it.
    pub public_url: Option<PublicUrl>,
    /// A filter for `tracing_subscriber::EnvFilter`, known to parse.
    pub log: String,
    /// How a line of the log is written.
    pub log_format: LogFormat,
    /// Where the log goes; none for standard output.
    pub log_file: Option<PathBuf>,
    /// One folder per tenant; it exists if the operator named it, and need not otherwise.
    pub tenants_dir: PathBuf,
    /// The telephone side.
    pub carrier: Carrier,
    /// The speech model.
    pub model: ModelEndpoint,
    /// The voice for tenants that name none.
    pub voice: Option<String>,
    /// Caps on calls.
    pub calls: Calls,
    /// Where recordings go, and how many are kept.
    pub recording: Recording,
    /// What compiling a tenant's component may cost.
    pub compile: Compile,
    /// The operators' own interface.
    pub admin: Admin,
    /// Where `/metrics` is served without a token; none unless the operator says so.
    pub metrics_listen: Option<SocketAddr>,
    /// The operator's secrets for tenants' HTTP requests, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// What should be looked at, though it works.
    pub warnings: Vec<String>,
}

/// The carrier's account and how far it is trusted.
#[derive(Debug, Clone)]
pub struct Carrier {
    /// `AC..`, if configured.
    pub account_sid: Option<String>,
    /// Signing keys, the primary first; two during a rotation.
    pub auth_tokens: Vec<Secret>,
    /// Whether signatures are checked. False lets anybody start calls at the operator's cost.
    pub check_signatures: bool,
    /// For hanging up, transfers and keys; without it those are refused to tenants.
    pub rest: Option<RestAccess>,
}

/// What the carrier's REST API wants to see.
#[derive(Debug, Clone)]
pub struct RestAccess {
    /// The account the calls belong to, `AC..`.
    pub account_sid: String,
    /// The user of HTTP Basic: the account's SID or an API key's, `SK..`.
    pub user: String,
    /// The password of HTTP Basic.
    pub password: Secret,
    /// Origin without a slash at the end.
    pub base_url: String,
}

/// Caps on calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// Live calls at once; the next one hears that all lines are busy.
    pub max: usize,
    /// Live calls of one tenant at once.
    pub max_per_tenant: usize,
    /// Memory of all tenants' instances together, in bytes; the next call hears that none can be taken.
    pub memory_bytes_max: usize,
    /// A call that is longer is ended.
    pub length_max: Duration,
    /// How long running calls may go on after SIGTERM.
    pub drain_deadline: Duration,
}

/// Where recordings go, and how many are kept. Which calls are recorded is each tenant's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// A folder per tenant and day is made below it.
    pub dir: PathBuf,
    /// Older ones are deleted.
    pub keep: Duration,
    /// Size of all of them, in bytes; beyond it the oldest are deleted.
    pub total_bytes_max: u64,
    /// Size of one, in bytes; beyond it the rest of the call is not recorded.
    pub call_bytes_max: u64,
}

/// What compiling a tenant's component may cost, and who does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compile {
    /// The program and its bounds on memory and processor time.
    pub process: CompilerProcess,
    /// Wall time of one compilation.
    pub wall: Duration,
    /// Whether the process is used. `cordboard` does; a program that embeds the gateway says so
    /// once `process` names a program that compiles, and compiles on threads of its own until then.
    pub in_process: bool,
}

/// Who may deploy and look after calls, and where they ask.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where the admin API is served; on this machine alone unless the operator says otherwise.
    pub listen: SocketAddr,
    /// Who may ask. Without any the admin API is not served.
    pub tokens: Vec<AdminToken>,
}

/// One operator.
#[derive(Debug, Clone)]
pub struct AdminToken {
    /// What the audit log calls them.
    pub who: String,
    /// The one tenant they look after; none for all of them.
    pub tenant: Option<String>,
    /// What they show.
    pub secret: Secret,
}

/// Whom to believe that a request is the carrier's.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Requests must be signed for this origin with one of these keys.
    Signed {
        /// The origin the carrier signs.
        origin: PublicUrl,
        /// Never empty; the primary first.
        tokens: Vec<Secret>,
    },
    /// Anybody is believed. Without an origin, the request's `Host` is taken for it.
    Anybody {
        /// The origin for stream URLs.
        origin: Option<PublicUrl>,
    },
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its key and what to write.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        let mut reader = Reader { sources, problems: sources.problems(), warnings: Vec::new() };
        let config = reader.config();
        if reader.problems.0.is_empty() { Ok(config) } else { Err(reader.problems) }
    }

    /// Returns whom to believe, or what else must be configured before calls can be served.
    ///
    /// `cordboard doctor` and `demo` get by without these settings, hence they are asked for here.
    ///
    /// # Errors
    /// The settings that only serving needs and that are missing.
    pub fn trust(&self) -> Result<Trust, Problems> {
        let origin = self.public_url.clone();
        if !self.carrier.check_signatures {
            return Ok(Trust::Anybody { origin });
        }
        let mut problems = Problems::default();
        if self.carrier.auth_tokens.is_empty() {
            problems.0.push(missing(&keys::AUTH_TOKEN));
        }
        match origin {
            Some(origin) if problems.0.is_empty() => {
                Ok(Trust::Signed { origin, tokens: self.carrier.auth_tokens.clone() })
            }
            Some(_) => Err(problems),
            None => {
                problems.0.insert(0, missing(&keys::PUBLIC_URL));
                Err(problems)
            }
        }
    }
}

/// The origin, and perhaps a path before ours, at which the carrier reaches this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    secure: bool,
    /// Authority and path prefix, as written, without a slash at the end.
    rest: String,
}

impl PublicUrl {
    /// Returns the address of a page, as the carrier would call and sign it. `path` begins with a slash.
    pub fn http(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.secure { "https" } else { "http" }, self.rest)
    }

    /// Returns the address of a WebSocket, as the carrier would call and sign it.
    pub fn ws(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.secure { "wss" } else { "ws" }, self.rest)
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("{error}"))?;
        let secure = match url.scheme() {
            "https" => true,
            // Only for simulators: the carrier streams to wss alone.
            "http" if is_loopback(&url) => false,
            "http" => return Err("the carrier streams only to TLS: begin with https://".to_owned()),
            other => return Err(format!("`{other}:` is not a web address: begin with https://")),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a query or fragment has no place in it".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user or password has no place in it".to_owned());
        }
        // As written: the carrier signs the text it was given, not a normalised form of it.
        let (_, rest) = text.split_once("://").ok_or("`//` is missing")?;
        Ok(Self { secure, rest: rest.trim_end_matches('/').to_owned() })
    }
}

/// Reads settings one by one and remembers what was wrong.
struct Reader<'a> {
    sources: &'a Sources,
    problems: Problems,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn config(&mut self) -> Config {
        let mut listen = self
            .parsed(&keys::LISTEN, |text| {
                text.parse().map_err(|_| "not an address with a port".into())
            })
            .unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)));
        if let Some(port) = self.number(&keys::PORT, 1, u64::from(u16::MAX)) {
            listen.set_port(port as u16);
        }
        let config = Config {
            listen,
            proxies: self.proxies(),
            public_url: self.parsed(&keys::PUBLIC_URL, str::parse),
            log: self.parsed(&keys::LOG, log_filter).unwrap_or_else(|| "info".to_owned()),
            log_format: self.parsed(&keys::LOG_FORMAT, str::parse).unwrap_or_default(),
            log_file: self.text(&keys::LOG_FILE).map(PathBuf::from),
            tenants_dir: self
                .parsed(&keys::TENANTS_DIR, directory)
                .unwrap_or_else(|| PathBuf::from("tenants")),
            carrier: self.carrier(),
            model: self.model(),
            voice: self.text(&keys::MODEL_VOICE),
            calls: self.calls(),
            recording: self.recording(),
            compile: self.compile(),
            admin: self.admin(),
            metrics_listen: self.parsed(&keys::METRICS_LISTEN, |text| {
                text.parse().map_err(|_| "not an address with a port".into())
            }),
            secrets: self.secrets(),
            warnings: Vec::new(),
        };
        for name in self.sources.stray_names() {
            let meant = keys::nearest(&name, keys::ALL.iter().map(|key| key.env));
            let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            self.warnings.push(format!("{name} is set in the environment but means nothing{hint}"));
        }
        Config { warnings: std::mem::take(&mut self.warnings), ..config }
    }

    fn proxies(&mut self) -> Proxies {
        let networks = self.parsed(&keys::TRUSTED_PROXIES, Proxies::parse_networks);
        let header = self.parsed(&keys::CLIENT_HEADER, |text| {
            HeaderName::from_str(text).map_err(|_| "not a header's name".to_owned())
        });
        Proxies::new(networks.unwrap_or_default(), header.unwrap_or(proxies::CLIENT_HEADER))
    }

    fn carrier(&mut self) -> Carrier {
        let account_sid = self.parsed(&keys::ACCOUNT_SID, |text| sid("AC", text));
        let auth_tokens: Vec<Secret> = (self.text(&keys::AUTH_TOKEN).iter())
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|token| !token.is_empty())
            .map(Secret::new)
            .collect();
        let check_signatures = self.parsed(&keys::CHECK_SIGNATURES, truth).unwrap_or(true);
        if !check_signatures {
            self.warnings.push(format!(
                "{} is false: anybody who finds this host can start calls at your cost. Set it to true \
                 before the host can be reached from the internet",
                keys::CHECK_SIGNATURES.toml
            ));
        }
        let base_url = self
            .parsed(&keys::REST_URL, origin)
            .unwrap_or_else(|| "https://api.twilio.com".to_owned());
        let key_sid = self.parsed(&keys::API_KEY_SID, |text| sid("SK", text));
        let key_secret = self.text(&keys::API_KEY_SECRET).map(Secret::new);
        let login = match (key_sid, key_secret) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => account_sid.clone().zip(auth_tokens.first().cloned()),
            (Some(_), None) => {
                self.problems.0.push(missing(&keys::API_KEY_SECRET));
                None
            }
            (None, Some(_)) => {
                // A key SID that was written wrongly has its own problem already.
                if self.sources.find(&keys::API_KEY_SID).is_none() {
                    self.problems.0.push(missing(&keys::API_KEY_SID));
                }
                None
            }
        };
        let rest = account_sid.clone().zip(login).map(|(account_sid, (user, password))| {
            RestAccess { account_sid, user, password, base_url }
        });
        Carrier { account_sid, auth_tokens, check_signatures, rest }
    }

    fn model(&mut self) -> ModelEndpoint {
        let defaults = ModelEndpoint::default();
        let url = self.parsed(&keys::MODEL_URL, model_url).unwrap_or(defaults.url);
        let parsed = Url::parse(&url).expect("the default and every parsed model URL are URLs");
        let key = self.text(&keys::MODEL_KEY).map(Secret::new);
        let dialect = self.parsed(&keys::MODEL_DIALECT, dialect).unwrap_or(defaults.dialect);
        let model = self.text(&keys::MODEL_NAME).unwrap_or(defaults.model);
        let auth_header = self.parsed(&keys::MODEL_AUTH_HEADER, header_name);
        let auth_value = self.parsed(&keys::MODEL_AUTH_VALUE, |text| {
            if text.contains("{key}") {
                Ok(text.to_owned())
            } else {
                Err("{key} is missing".to_owned())
            }
        });
        let headers = (self.sources.free_table("model.headers"))
            .map(|(name, value)| (name.to_ascii_lowercase(), Secret::new(value)))
            .collect();

        let openai = parsed.host_str() == Some("api.openai.com");
        if key.is_none() && parsed.scheme() == "wss" {
            self.problems.0.push(missing(&keys::MODEL_KEY));
        }
        if key.is_some() && parsed.scheme() == "ws" && !is_loopback(&parsed) {
            self.warnings.push(format!(
                "{} begins with ws://, so the key and every word travel in clear; use wss:// unless the \
                 network is yours",
                keys::MODEL_URL.toml
            ));
        }
        if openai && dialect == Dialect::Beta {
            self.warnings.push(format!(
                "{} is beta, but api.openai.com has refused the beta events since May 2026; write ga",
                keys::MODEL_DIALECT.toml
            ));
        }
        if let Some(advice) = openai::retired(&model) {
            self.warnings.push(format!("{} is {model}: {advice}", keys::MODEL_NAME.toml));
        }
        ModelEndpoint {
            url,
            model,
            key,
            dialect,
            auth: Auth {
                header: auth_header.unwrap_or(defaults.auth.header),
                value: auth_value.unwrap_or(defaults.auth.value),
            },
            headers,
            connect_deadline: self
                .millis(&keys::CONNECT_DEADLINE)
                .unwrap_or(defaults.connect_deadline),
            session_deadline: self
                .millis(&keys::SESSION_DEADLINE)
                .unwrap_or(defaults.session_deadline),
        }
    }

    fn calls(&mut self) -> Calls {
        let max = self.number(&keys::CALLS_MAX, 1, 100_000).unwrap_or(CALLS_MAX);
        let seconds = |number: u64| Duration::from_secs(number);
        Calls {
            max: max as usize,
            max_per_tenant: self.number(&keys::CALLS_PER_TENANT_MAX, 1, 100_000).unwrap_or(max)
                as usize,
            memory_bytes_max: (self
                .number(&keys::CALLS_MEMORY, 16, 1 << 20)
                .unwrap_or(CALLS_MEMORY_MIB) as usize)
                << 20,
            length_max: self
                .number(&keys::CALL_LENGTH_MAX, 10, 86_400)
                .map_or(CALL_LENGTH_MAX, seconds),
            drain_deadline: self
                .number(&keys::DRAIN_DEADLINE, 0, 86_400)
                .map_or(DRAIN_DEADLINE, seconds),
        }
    }

    fn compile(&mut self) -> Compile {
        let seconds = |number: u64| Duration::from_secs(number);
        let usual = CompilerProcess::this_program([COMPILE_WORKER]);
        let memory = self.number(&keys::COMPILE_MEMORY_MIB, 64, 1 << 20).map(|mib| mib << 20);
        let cpu = self.number(&keys::COMPILE_CPU, 1, 3_600).map(seconds);
        let wall = self.number(&keys::COMPILE_WALL, 1, 3_600).map(seconds);
        let at_once = self.number(&keys::COMPILE_AT_ONCE, 1, 64).map(|number| number as usize);
        Compile {
            wall: wall.unwrap_or(CompileLimits::default().compile_deadline),
            in_process: true,
            process: CompilerProcess {
                memory_bytes: memory.unwrap_or(usual.memory_bytes),
                cpu: cpu.unwrap_or(usual.cpu),
                at_once: at_once.unwrap_or(usual.at_once),
                ..usual
            },
        }
    }

    fn recording(&mut self) -> Recording {
        let days = self.number(&keys::RECORDING_KEEP_DAYS, 1, 3_650).unwrap_or(RECORDING_KEEP_DAYS);
        let mut mib = |key, max, usual| self.number(key, 1, max).unwrap_or(usual) << 20;
        Recording {
            keep: Duration::from_secs(days * 86_400),
            total_bytes_max: mib(&keys::RECORDING_TOTAL_MIB, 100_000_000, RECORDING_TOTAL_MIB),
            call_bytes_max: mib(&keys::RECORDING_CALL_MIB, 1_024, RECORDING_CALL_MIB),
            dir: self
                .text(&keys::RECORDING_DIR)
                .map_or_else(|| PathBuf::from("recordings"), PathBuf::from),
        }
    }

    fn admin(&mut self) -> Admin {
        let listen = self.parsed(&keys::ADMIN_LISTEN, |text| {
            text.parse().map_err(|_| "not an address with a port".into())
        });
        let mut tokens: Vec<AdminToken> = (self.text(&keys::ADMIN_TOKEN).into_iter())
            .map(|text| AdminToken {
                who: "admin".to_owned(),
                tenant: None,
                secret: Secret::new(text),
            })
            .collect();
        for (who, token) in self.sources.free_table("admin.tokens") {
            tokens.push(AdminToken {
                who: who.to_owned(),
                tenant: None,
                secret: Secret::new(token),
            });
        }
        for (tenant, token) in self.sources.free_table("admin.tenant_tokens") {
            tokens.push(AdminToken {
                who: format!("tenant {tenant}"),
                tenant: Some(tenant.to_owned()),
                secret: Secret::new(token),
            });
        }
        for token in &tokens {
            if token.secret.expose().len() < ADMIN_TOKEN_BYTES_MIN {
                let what = format!(
                    "shorter than {ADMIN_TOKEN_BYTES_MIN} characters. Write {}",
                    keys::ADMIN_TOKEN.write
                );
                self.problems
                    .0
                    .push(Problem::new(format!("the admin token of {}", token.who), what));
            }
        }
        let listen = listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)));
        Admin { listen, tokens }
    }

    fn secrets(&mut self) -> BTreeMap<String, Secret> {
        // The file first: what comes later wins.
        let file: Vec<(&str, &str)> = self.sources.free_table("secrets").collect();
        let all = file.into_iter().chain(self.sources.secrets());
        let mut secrets = BTreeMap::new();
        for (name, value) in all {
            let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(legal) {
                self.problems.0.push(Problem::new(
                    format!("secrets.{name}"),
                    "a secret's name is made of upper-case letters, digits and _",
                ));
            } else if !value.is_empty() && value.len() < SECRET_BYTES_MIN {
                self.problems.0.push(Problem::new(
                    format!("the secret {name}"),
                    format!(
                        "shorter than {SECRET_BYTES_MIN} characters, so that it can not be told from other text \
                         and kept out of tenants' answers and logs. Write a longer one"
                    ),
                ));
            } else if !value.is_empty() {
                secrets.insert(name.to_owned(), Secret::new(value));
            }
        }
        secrets
    }

    fn text(&self, key: &Key) -> Option<String> {
        self.sources.find(key).map(|found| found.text)
    }

    /// Reads a setting; a wrong one becomes a problem and counts as absent.
    fn parsed<T>(&mut self, key: &Key, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let found = self.sources.find(key)?;
        match parse(&found.text) {
            Ok(value) => Some(value),
            Err(what) => {
                self.problems.0.push(wrong(key, &found, &what));
                None
            }
        }
    }

    fn number(&mut self, key: &Key, min: u64, max: u64) -> Option<u64> {
        self.parsed(key, |text| match text.parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            Ok(number) => Err(format!("{number} is outside {min} to {max}")),
            Err(_) => Err("not a whole number".to_owned()),
        })
    }

    fn millis(&mut self, key: &Key) -> Option<Duration> {
        self.number(key, 100, 60_000).map(Duration::from_millis)
    }
}

fn wrong(key: &Key, found: &Found, what: &str) -> Problem {
    let name = match found.place {
        Source::Environment | Source::Dotenv => key.env,
        Source::File(_) => key.toml,
    };
    Problem::new(format!("{name} in {}", found.place), format!("{what}. Write {}", key.write))
}

fn missing(key: &Key) -> Problem {
    Problem::new(
        key.env,
        format!("not set (nor `{}` in cordboard.toml). Write {}", key.toml, key.write),
    )
}

fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

fn dialect(text: &str) -> Result<Dialect, String> {
    match text {
        "ga" => Ok(Dialect::Ga),
        "beta" => Ok(Dialect::Beta),
        _ => Err("neither ga nor beta".to_owned()),
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A slip in the path would have the default tenant answer everybody's calls.
fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err(format!("`{text}` is no directory")) }
}

/// The text is not quoted: a token pasted in the wrong line is the usual slip.
fn sid(prefix: &str, text: &str) -> Result<String, String> {
    let legal = |rest: &str| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit());
    match text.strip_prefix(prefix) {
        Some(rest) if legal(rest) => Ok(text.to_owned()),
        Some(_) => Err(format!("{prefix} is not followed by 32 hexadecimal digits")),
        None if prefix == "AC" && text.starts_with("SK") => {
            Err(format!("this is an API key's SID; it belongs in {}", keys::API_KEY_SID.env))
        }
        None => Err(format!("it does not begin with {prefix}")),
    }
}

fn header_name(text: &str) -> Result<String, String> {
    match axum::http::HeaderName::from_str(text) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err("not a header's name".to_owned()),
    }
}

fn origin(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" if url.path() == "/" && url.query().is_none() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        "http" | "https" => Err("only scheme, host and port belong here".to_owned()),
        _ => Err("it does not begin with https://".to_owned()),
    }
}

fn model_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "ws" | "wss" if url.has_host() => Ok(text.to_owned()),
        "http" | "https" => Err(format!(
            "`{}:` is not a WebSocket's scheme; begin with ws:// or wss://",
            url.scheme()
        )),
        _ => Err("it does not begin with wss:// or ws://".to_owned()),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// What redaction can look for without blotting out half of every answer.
const SECRET_BYTES_MIN: usize = 6;
/// A token travels with every request and is never rotated by itself, so it must not be guessed.
const ADMIN_TOKEN_BYTES_MIN: usize = 16;
/// Beside the one for calls.
const ADMIN_PORT: u16 = 8081;
/// What most hosting services forward to.
const PORT: u16 = 8080;
/// What the load test shows one core to carry with room to spare.
const CALLS_MAX: u64 = 100;
/// A hundred calls of tenants in Python, which hold about 30 MiB each, and some that move.
const CALLS_MEMORY_MIB: u64 = 4096;
/// The command that makes this program a compiler.
pub(crate) const COMPILE_WORKER: &str = "compile-worker";
/// The carrier's own limit on a call.
const CALL_LENGTH_MAX: Duration = Duration::from_secs(4 * 60 * 60);
/// As long as a month's bill is talked about.
const RECORDING_KEEP_DAYS: u64 = 30;
/// A few days of a busy line, on the smallest disks that are sold.
const RECORDING_TOTAL_MIB: u64 = 10_240;
/// An hour of the longest-winded model.
const RECORDING_CALL_MIB: u64 = 256;
/// Longer than most calls, shorter than most deployments' patience.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests;
