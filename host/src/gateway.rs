//! One gateway: the parts that serve its calls, put together.
//!
//! It owns nothing that changes: who may call is [`Admissions`]' to say, which calls are live is the
//! [`CallDirectory`]'s, and which version answers them is up to [`Rollouts`].

use std::borrow::Cow;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cordboard_call::contract::{CallInfo, Publication};
use cordboard_tenant::{
    CompileLimits, CompiledCache, Compiler, Engine, EngineConfig, TenantDirectory, VersionBuilder,
};
use cordboard_wire::twilio::SigningKey;

use crate::audit::Audit;
use crate::config::{Config, PublicUrl, Trust};
use crate::metrics::{Metrics, Tenant};
use crate::model::ModelEndpoint;
use crate::net::outbound_http::{Bounds, OutboundHttp};
use crate::recorder::Recorder;
use crate::renewable::Renewable;
use crate::rollout::Rollouts;
use crate::secret::Secret;
use crate::shared::admissions::Admissions;
use crate::shared::directory::CallDirectory;
use crate::shared::limits_reached::LimitsReached;
use crate::twilio::rest::TwilioRest;

/// Our last words to a caller: raw mu-law, 8 kHz (made by `apology.sh`).
pub static APOLOGY: &[u8] = include_bytes!("apology.ulaw");

/// The tenant that needs nothing but settings, so that nothing has to be deployed to start.
pub(crate) static DEFAULT_TENANT: &[u8] = include_bytes!(env!("DEFAULT_TENANT_COMPONENT"));

/// One gateway.
pub struct Gateway {
    /// As it was when the process started.
    pub config: Config,
    /// Runs components.
    pub engine: Engine,
    /// Who answers which number.
    pub tenants: Arc<TenantDirectory>,
    /// Who may call.
    pub admissions: Admissions,
    /// Which calls are live.
    pub calls: Arc<CallDirectory>,
    /// Which version answers them, and which comes next.
    pub rollouts: Arc<Rollouts>,
    /// The speech model to connect to.
    pub model: Renewable<ModelEndpoint>,
    /// Counters.
    pub metrics: Metrics,
    /// What tenants wanted beyond their operator's limits.
    pub limits_reached: LimitsReached,
    /// Records the calls whose tenants say so.
    pub recorder: Recorder,
    /// The carrier's REST interface, where credentials for it were given.
    pub rest: Renewable<Option<TwilioRest>>,
    /// Performs tenants' HTTP requests.
    pub http: Renewable<OutboundHttp>,
    /// Where the carrier reaches us, which is what it signs. Absent only without signature checks.
    pub origin: Option<PublicUrl>,
    /// Whose signatures are believed; absent when the operator turned the check off.
    pub signing_keys: Renewable<Option<Vec<SigningKey>>>,
    /// Who changed what; absent where nobody may.
    pub(crate) audit: Option<Arc<Audit>>,
    /// The tenants directory, locked against other gateways until this one drains.
    tenants_held: Mutex<Option<File>>,
}

impl Gateway {
    /// Opens everything that must work before a call can be answered; no port is open yet.
    ///
    /// # Errors
    /// Settings that only serving needs and that are missing, and whatever the engine or the tenants
    /// directory lack.
    pub async fn open(config: Config) -> anyhow::Result<Arc<Self>> {
        let trust = config.trust()?;
        let signing_keys = Self::signing_keys(&trust);
        let origin = match trust {
            Trust::Signed { origin, .. } => Some(origin),
            Trust::Anybody { origin } => origin,
        };
        // One that answers, one that takes over or recovers, and one that listens.
        let instances = u32::try_from(config.calls.max.saturating_mul(3)).unwrap_or(u32::MAX);
        let compiler = if config.compile.in_process {
            Compiler::InThisProcess
        } else {
            Compiler::Child(config.compile.process.clone())
        };
        let engine = Engine::with_compiler(&EngineConfig { instances_max: instances }, compiler)?;
        engine.memory().bound(config.calls.memory_bytes_max);
        for advice in engine.advice() {
            tracing::warn!("{advice}");
        }
        let tenants_dir = tenants_dir(&config)?;
        let tenants_held = tenants_dir.as_deref().map(hold).transpose()?.flatten();
        let (tenants, problems) = open_tenants(tenants_dir, &config, &engine).await?;
        for problem in problems {
            tracing::error!("{problem}");
        }
        let dir = &config.tenants_dir;
        let audit = (!config.admin.tokens.is_empty()).then(|| Audit::open(dir)).transpose();
        let audit = audit.with_context(|| {
            format!("can not open the audit log in {} (tenants_dir)", dir.display())
        })?;
        let most = config.calls.max;
        // Every remembered thing belongs to a call, so a few times the cap on calls is ample.
        let memories = most.saturating_mul(4).max(64);
        let metrics = Metrics::default();
        let tenants = Arc::new(tenants);
        let calls = Arc::new(CallDirectory::new(memories, metrics.calls_live.clone()));
        let audit = audit.map(Arc::new);
        let rollouts = Rollouts::new(
            Arc::clone(&tenants),
            Arc::clone(&calls),
            engine.clone(),
            audit.clone(),
            metrics.notes.clone(),
        );
        Ok(Arc::new(Self {
            limits_reached: LimitsReached::new(metrics.limits_reached.clone()),
            recorder: Recorder::new(config.recording.clone(), &metrics),
            model: Renewable::new(config.model.clone()),
            rest: Renewable::new(Self::rest_of(&config)?),
            http: Renewable::new(Self::http_of(&config)?),
            admissions: Admissions::new(most, memories),
            rollouts: Arc::new(rollouts.context("no thread for shadows")?),
            origin,
            signing_keys: Renewable::new(signing_keys),
            engine,
            tenants,
            calls,
            metrics,
            audit,
            config,
            tenants_held: Mutex::new(tenants_held),
        }))
    }

    /// Whose signatures are believed under a configuration.
    pub(crate) fn signing_keys(trust: &Trust) -> Option<Vec<SigningKey>> {
        let key = |(i, token): (usize, &Secret)| {
            SigningKey::auth_token(format!("auth token {}", i + 1), token.clone())
        };
        match trust {
            Trust::Signed { tokens, .. } => Some(tokens.iter().enumerate().map(key).collect()),
            Trust::Anybody { .. } => None,
        }
    }

    /// The carrier's REST interface under a configuration.
    pub(crate) fn rest_of(config: &Config) -> reqwest::Result<Option<TwilioRest>> {
        config.carrier.rest.clone().map(TwilioRest::new).transpose()
    }

    /// The client of tenants' HTTP requests under a configuration.
    pub(crate) fn http_of(config: &Config) -> reqwest::Result<OutboundHttp> {
        OutboundHttp::new(Bounds::default(), config.secrets.clone())
    }

    /// Refuses new calls, gives running ones until `deadline`, and returns when none is left. A call
    /// whose stream was announced and has not come yet is a running one.
    pub async fn drain(&self, deadline: Duration) {
        // Who takes the calls that are refused here from now on may begin.
        drop(self.tenants_held.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.admissions.drain(&self.calls, deadline).await;
    }

    /// Drops what is remembered for longer than anybody may ask for it.
    pub fn forget_expired(&self) {
        let now = Instant::now();
        for _ in 0..self.admissions.forget_expired(now) {
            self.metrics.refuse("stream-never-came");
        }
        self.calls.forget_expired(now);
        self.rollouts.is_lagging();
    }

    /// Takes stock of which tenants answer.
    fn count_troubles(&self) {
        for deployment in self.tenants.deployments() {
            let status = deployment.status();
            let trouble = match (&status.active, &status.trouble) {
                (Some(_), None) => 0,
                (Some(_), Some(_)) => 1,
                (None, _) => 2,
            };
            let tenant = Tenant { tenant: deployment.id().to_string() };
            self.metrics.tenant_trouble.get_or_create(&tenant).set(trouble);
        }
    }

    /// Gives up what was prepared for a call whose stream will not come.
    pub fn forget_pending(&self, call_sid: &str) {
        for _ in 0..self.admissions.forget_pending(call_sid) {
            self.metrics.refuse("stream-never-came");
        }
    }

    /// All figures in the OpenMetrics text format. They name tenants: not for everybody.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let beat = self.engine.heartbeat();
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.ticker_ticks.set(gauge(beat.ticks));
        self.metrics.ticker_late.set(gauge(beat.late));
        self.count_troubles();
        self.metrics.text()
    }

    /// Passes on what a tenant publishes about a call.
    pub fn publish(&self, call: &CallInfo, publication: &Publication) {
        // The topic only: the JSON may hold a caller's words, which stay out of the log above DEBUG.
        tracing::debug!(
            call = call.call_id,
            topic = publication.topic,
            json = publication.json,
            "published"
        );
    }
}

/// The tenants directory, where there is one.
fn tenants_dir(config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let dir = &config.tenants_dir;
    // Where somebody may deploy there must be a place for it.
    if !config.admin.tokens.is_empty() {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("can not make {} (tenants_dir)", dir.display()))?;
    }
    if dir.exists() && !dir.is_dir() {
        bail!("{} (tenants_dir) is no folder; name the one that holds the tenants", dir.display());
    }
    Ok(dir.is_dir().then(|| dir.clone()))
}

/// Locks a tenants directory until the answer is dropped or the process ends: a second gateway on it would serve
/// old versions, since nobody tells it of a deployment.
fn hold(dir: &Path) -> anyhow::Result<Option<File>> {
    let dir_is = dir.display();
    // The directory itself: it may be on a medium on which no file can be made.
    let locked = File::open(dir).map(|file| (file.try_lock(), file));
    match locked {
        Ok((Ok(()), file)) => Ok(Some(file)),
        Ok((Err(TryLockError::WouldBlock), _)) => bail!(
            "another gateway runs on {dir_is} (tenants_dir), and neither would see what is deployed through the \
             other. End it first, which lets it drain while this one answers, or give this one a directory \
             of its own"
        ),
        Ok((Err(TryLockError::Error(error)), _)) | Err(error) => {
            tracing::warn!("whether another gateway runs on {dir_is} can not be told: {error}");
            Ok(None)
        }
    }
}

/// Reads the tenants directory; components compile meanwhile, so off the runtime's threads.
async fn open_tenants(
    dir: Option<PathBuf>,
    config: &Config,
    engine: &Engine,
) -> anyhow::Result<(TenantDirectory, Vec<String>)> {
    let mut settings = serde_json::Map::new();
    if let Some(voice) = &config.voice {
        settings.insert("voice".to_owned(), voice.clone().into());
    }
    let calls = u32::try_from(config.calls.max_per_tenant).unwrap_or(u32::MAX);
    let engine = engine.clone();
    let limits =
        CompileLimits { compile_deadline: config.compile.wall, ..CompileLimits::default() };
    let opened = tokio::task::spawn_blocking(move || {
        let cache = dir.as_deref().and_then(|dir| CompiledCache::open_or_warn(&dir.join(".cache")));
        let builder = VersionBuilder {
            engine,
            limits,
            cache,
            default_component: Cow::Borrowed(DEFAULT_TENANT),
            default_settings: settings,
            max_calls: calls,
        };
        anyhow::Ok(TenantDirectory::open(dir.as_deref(), builder)?)
    });
    opened.await.context("reading the tenants directory did not end")?
}
