//! The gateway between both simulators.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cordboard::config::{Config, Sources};
use cordboard::gateway::Gateway;
use cordboard::serve;
use cordboard_sim::carrier::{
    CallHandle, CallPlan, CallReport, CallerScript, Carrier, CarrierConfig, RestServer, Step,
};
use cordboard_sim::model::{Dialect, ModelConfig, ModelLog, ModelScript, ModelServer, SessionLog};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{checks, recorder};

/// What a world is like. Everything can be left as it is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The model's server.
    pub model: ModelConfig,
    /// The key the gateway presents to the model.
    pub key: String,
    /// Added to the default tenant's `tenant.toml`: tools, limits, an allowlist.
    pub tenant: String,
    /// More tenants: name and `tenant.toml`.
    pub tenants: Vec<(String, String)>,
    /// Components beside a `tenant.toml`: tenant, file name, bytes.
    pub components: Vec<(String, String, Vec<u8>)>,
    /// More settings, as environment variables.
    pub settings: Vec<(String, String)>,
    /// Whether the gateway has credentials for the carrier's REST interface.
    pub rest: bool,
    /// How many of the gateway's events the model may refuse at most.
    pub refusals: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            model: ModelConfig::default(),
            key: "sk-test".into(),
            tenant: String::new(),
            tenants: Vec::new(),
            components: Vec::new(),
            settings: Vec::new(),
            rest: false,
            refusals: 0,
        }
    }
}

impl Plan {
    /// A world whose model converses by this script.
    pub fn script(script: ModelScript) -> Self {
        Self::model(ModelConfig::with_script(script))
    }

    /// A world with this model.
    pub fn model(model: ModelConfig) -> Self {
        Self { model, ..Self::default() }
    }

    /// Adds to the default tenant's `tenant.toml`.
    #[must_use]
    pub fn tenant(mut self, toml: &str) -> Self {
        self.tenant.push_str(toml);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Starts everything.
    pub async fn open(self) -> World {
        World::open(self).await
    }
}

/// A caller who says and does what the script says, and whose waiting never takes a test beyond its minute.
pub fn caller() -> CallerScript {
    CallerScript::new().patience(25_000)
}

/// Waits until something is so. Nothing here guesses how long it takes; the deadline only keeps a
/// failing test from hanging.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2400 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("waited in vain until {what}");
}

/// A gateway that is up, with its carrier and its model.
#[derive(Debug)]
pub struct World {
    /// The telephone company.
    pub carrier: Carrier,
    /// The model's server.
    pub model: ModelServer,
    rest: Option<RestServer>,
    gateway: GatewayHandle,
    address: SocketAddr,
    dialect: Dialect,
    refusals: usize,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _tenants: TempDir,
}

/// A gateway, which has nothing to print of itself.
struct GatewayHandle(Arc<Gateway>);

impl std::fmt::Debug for GatewayHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}

impl World {
    /// What the carrier calls the gateway; `.invalid` is never a real name (RFC 2606).
    pub const ORIGIN: &'static str = "https://gateway.cordboard.invalid";
    /// What the carrier signs with.
    pub const AUTH_TOKEN: &'static str = "0123456789abcdef0123456789abcdef";
    /// The number of the tenant `bits`, whose sessions are in `audio/pcmu`: its bytes are never touched.
    pub const BITS_NUMBER: &'static str = "+15550100777";
    /// The default tenant's session: short silences end a turn, so that calls are short.
    pub const TENANT: &'static str = r#"
[settings]
instructions = "You answer the telephone."
voice = "marin"
greeting_prompt = "Say hello."

[settings.turn_detection]
type = "server_vad"
silence_duration_ms = 300

[settings.transcription]
model = "gpt-transcribe"
"#;
    /// The `tenant.toml` of `bits`.
    pub const BITS: &'static str = r#"
numbers = ["+15550100777"]

[settings]
instructions = "You keep every bit."
audio = "pcmu"
greeting_prompt = "Say hello."

[settings.turn_detection]
type = "server_vad"
silence_duration_ms = 300
"#;

    /// Starts everything.
    pub async fn open(plan: Plan) -> Self {
        let dialect = plan.model.dialect;
        let model = ModelServer::start(plan.model).await.expect("loopback has a free port");
        let tenants = tempfile::tempdir().expect("this machine has a place for temporary files");
        write_tenant(tenants.path(), "default", &format!("{}{}", Self::TENANT, plan.tenant));
        write_tenant(tenants.path(), "bits", Self::BITS);
        for (name, toml) in &plan.tenants {
            write_tenant(tenants.path(), name, toml);
        }
        for (tenant, file, bytes) in &plan.components {
            std::fs::write(tenants.path().join(tenant).join(file), bytes)
                .expect("the tenant's directory is there");
        }
        let carrier = Carrier::new(CarrierConfig {
            auth_token: Self::AUTH_TOKEN.into(),
            public_origin: Some(Self::ORIGIN.into()),
            ..CarrierConfig::default()
        });
        let mut sources = Sources::default()
            .env("PUBLIC_URL", Self::ORIGIN)
            .env("TWILIO_AUTH_TOKEN", Self::AUTH_TOKEN)
            .env("OPENAI_REALTIME_API_URL", &model.url())
            .env("OPENAI_API_KEY", &plan.key)
            .env("CORDBOARD_TENANTS_DIR", &tenants.path().display().to_string());
        if dialect == Dialect::Beta {
            sources = sources.env("OPENAI_REALTIME_DIALECT", "beta");
        }
        let mut rest = None;
        if plan.rest {
            let server = carrier.start_rest().await.expect("loopback has a free port");
            sources = sources
                .env("TWILIO_ACCOUNT_SID", &carrier.config().account_sid)
                .env("CORDBOARD_TWILIO_REST_URL", &server.origin());
            rest = Some(server);
        }
        for (name, value) in &plan.settings {
            sources = sources.env(name, value);
        }
        let config = Config::load(&sources).expect("the settings are right");
        let gateway = Gateway::open(config).await.expect("the gateway starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let running = Arc::clone(&gateway);
        let serving = tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            serve::run(running, listener, stopped).await;
        });
        let (stop, gateway) = (Some(stop), GatewayHandle(gateway));
        let refusals = plan.refusals;
        Self {
            carrier,
            model,
            rest,
            gateway,
            address,
            dialect,
            refusals,
            stop,
            serving,
            _tenants: tenants,
        }
    }

    /// The gateway itself, for what its operator does.
    pub fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.gateway.0)
    }

    /// The carrier's REST interface; the plan asked for one.
    pub fn rest(&self) -> &RestServer {
        self.rest.as_ref().expect("the plan asked for one")
    }

    /// The actual URL of a page of the gateway.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The actual URL of a socket of the gateway.
    pub fn ws_url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Places a call to the default tenant and waits for its end. The script must have come to its end.
    pub async fn call(&self, script: CallerScript) -> CallReport {
        self.placed(CallPlan::new(script)).await
    }

    /// Places a call and waits for its end. The script must have come to its end.
    pub async fn placed(&self, plan: CallPlan) -> CallReport {
        let report = self.start(plan).finished().await;
        checked(report)
    }

    /// Places a call that is looked at later; hand its report to [`checks::call`].
    pub fn start(&self, plan: CallPlan) -> CallHandle {
        self.carrier.start(&self.url("/incoming-call"), plan)
    }

    /// Places a call to `bits` that listens, speaks twice and hangs up by itself, some five seconds long.
    pub fn neighbour(&self) -> Neighbour {
        let answer = Step::WaitAnswer { quiet_ms: 300 };
        let script = caller()
            .then(answer.clone())
            .wait(1000)
            .say(crate::said("neighbour", 600))
            .then(answer.clone())
            .say(crate::said("neighbour again", 600))
            .then(answer)
            .hang_up();
        let plan = CallPlan { to: Self::BITS_NUMBER.into(), ..CallPlan::new(script) };
        Neighbour { handle: self.start(plan), log: self.log() }
    }

    /// A page of the gateway: status and text.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let client = cordboard_sim::http::client().build().expect("a plain client builds");
        let answer = client.get(self.url(path)).send().await.expect("the gateway answers");
        (answer.status().as_u16(), answer.text().await.expect("the answer has an end"))
    }

    /// A counter of the metrics, named with its labels as it is written there without the prefix;
    /// 0 if it is not there.
    pub fn counted(&self, series: &str) -> u64 {
        let text = self.gateway().metrics_text();
        text.lines()
            .find_map(|line| {
                line.strip_prefix("cordboard_")?.strip_prefix(series)?.strip_prefix(' ')
            })
            .map_or(0, |value| value.parse().expect("a counter is a whole number"))
    }

    /// What the model's server saw so far.
    pub fn log(&self) -> ModelLog {
        self.model.log()
    }

    /// Waits until every call and every session is over, stops, and returns the sessions.
    pub async fn close(mut self) -> Vec<SessionLog> {
        let (gateway, log) = (self.gateway(), self.log());
        until("every call is over", || gateway.calls.is_empty()).await;
        let over = || log.sessions().iter().all(|session| session.ended.is_some());
        until("every session is over", over).await;
        if let Some(stop) = self.stop.take() {
            // The gateway stopped by itself when nobody listens any more.
            let _ = stop.send(());
        }
        (&mut self.serving).await.expect("the gateway does not panic");
        let sessions = log.sessions();
        let mut refusals = Vec::new();
        for session in &sessions {
            checks::session(session);
            recorder::keep(self.dialect, session);
            refusals.extend(session.refusals().into_iter().map(str::to_owned));
        }
        assert!(refusals.len() <= self.refusals, "the model refused: {refusals:?}");
        sessions
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let closed = self.stop.is_none();
        assert!(closed || std::thread::panicking(), "a world was not closed, so not checked");
    }
}

/// A call beside the one a scenario is about, to which nothing may happen.
#[derive(Debug)]
pub struct Neighbour {
    handle: CallHandle,
    log: ModelLog,
}

impl Neighbour {
    /// Waits for its end and checks every bit of it in both directions, given the tones it was told: the greeting and two answers.
    pub async fn ends_unharmed(self, tones_ms: [u32; 3]) {
        let report = checked(self.handle.finished().await);
        let of_bits = |session: &SessionLog| {
            let updates = session.received_of("session.update");
            updates.iter().any(|it| it.event["session"]["instructions"] == "You keep every bit.")
        };
        let session = || self.log.sessions().into_iter().find(of_bits);
        until("its session is over", || session().is_some_and(|s| s.ended.is_some())).await;
        checks::caller_reaches_model_bit_by_bit(&report, &session().expect("it is over"));
        checks::caller_hears(&report, &tones_ms.map(crate::tone));
    }

    /// Waits for its end and checks that the caller heard every bit, where there are more such calls than this and
    /// nobody can tell their sessions apart.
    ///
    /// # Panics
    ///
    /// When a bit is missing, changed or one too many.
    pub async fn hears_unharmed(self, tones_ms: [u32; 3]) {
        let report = checked(self.handle.finished().await);
        checks::caller_hears(&report, &tones_ms.map(crate::tone));
    }
}

fn checked(report: CallReport) -> CallReport {
    assert_eq!(report.script_failure, None, "{:?}", report.debugger);
    checks::call(&report);
    report
}

fn write_tenant(tenants: &Path, name: &str, toml: &str) {
    let home = tenants.join(name);
    std::fs::create_dir_all(&home).expect("the directory for tenants is there");
    std::fs::write(home.join("tenant.toml"), toml).expect("the tenant's directory is there");
}
