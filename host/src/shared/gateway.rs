//! What all calls of one process share, and nothing more.
//!
//! **One rule: no lock is held across an await.** The maps here are the meeting points of tasks that
//! own nothing of each other: the webhook that promises a call, the stream that redeems it, the
//! operator who wants to end it. Ownership can not join those; a short lock can.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::ws::WebSocket;
use cordboard_call::contract::{CallInfo, Publication};
use cordboard_tenant::version_store::VersionName;
use cordboard_tenant::{
    Blame, CallSlot, CompileLimits, CompiledCache, CpuQuota, Deployment, Engine, EngineConfig,
    Fault, Incident, NoCapacity, TenantDirectory, Version, VersionBuilder,
};
use cordboard_wire::twilio::SigningKey;
use cordboard_wire::twilio::Start;
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::Audit;
use crate::config::{Config, PublicUrl, Trust};
use crate::metrics::{Metrics, TenantKind};
use crate::model::{Connecting, ModelEndpoint};
use crate::net::outbound_http::{Bounds, OutboundHttp};
use crate::net::socket::Duplex;
use crate::recorder::Recorder;
use crate::rollout::health::{Health, Which};
use crate::rollout::migration::{Migration, Moves, OnTheWay};
use crate::rollout::shadow::Shadows;
use crate::secret::Secret;
use crate::shared::expiring_map::{ExpiringMap, REDEEM_WITHIN, REMEMBER_FOR, StreamToken};
use crate::shared::renewable::Renewable;
use crate::twilio::rest::TwilioRest;

/// Our last words to a caller: raw mu-law, 8 kHz (made by `apology.sh`).
pub static APOLOGY: &[u8] = include_bytes!("apology.ulaw");

/// The tenant that needs nothing but settings, so that nothing has to be deployed to start.
pub(crate) static DEFAULT_TENANT: &[u8] = include_bytes!(env!("DEFAULT_TENANT_COMPONENT"));

/// From the command to end until a call is given up: its last words and the closing of its sockets.
const FAREWELL: Duration = Duration::from_secs(10);

/// For the carrier's webhooks after the last call.
const LAST_QUESTIONS: Duration = Duration::from_secs(2);

/// Commands waiting for one call; an operator types, so this is plenty.
const COMMANDS_WAITING: usize = 16;

/// A call the carrier has announced and whose stream has not come yet.
pub struct PendingCall {
    /// The carrier's id of the call.
    pub call_sid: String,
    /// The caller's number, as the carrier gave it.
    pub caller: Option<String>,
    /// The called number.
    pub callee: Option<String>,
    /// Who rang whom.
    pub outbound: bool,
    /// The model's session, opened while the carrier reads our answer.
    pub model: Connecting,
    /// The place under the caps that this call takes, and who answers it.
    pub permit: CallPermit,
}

/// What a stream's token stands for.
pub enum Admission {
    /// The first stream of a call.
    Call(Box<PendingCall>),
    /// The next stream of a call that is live: it was left to press keys.
    Return {
        /// The carrier's id of the call.
        call_sid: String,
    },
}

/// What an operator, or the end of the process, may ask of a live call.
pub enum CallCommand {
    /// End it and tell the caller nothing.
    HangUp,
    /// The process is going away; end at the deadline.
    Drain,
    /// A newer stream took the call over by a webhook of its own.
    Superseded,
    /// A JSON text for the tenant.
    Command(String),
    /// Let this version take over at the next event boundary; say what came of it.
    Migrate {
        /// Who is to answer.
        to: Arc<Version>,
        /// Dropped unused when the call ends first.
        outcome: oneshot::Sender<Migration>,
    },
    /// The carrier came back with the next stream of the same call, after keys were sent.
    NewStream {
        /// The new socket, `start` already read.
        socket: Box<Duplex<WebSocket>>,
        /// What the new stream's `start` said.
        start: Start,
    },
}

/// A live call, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSeen {
    /// The carrier's id of the call.
    pub call_sid: String,
    /// The tenant's id.
    pub tenant: String,
    /// Which version answers it now.
    pub version: String,
    /// How long its stream has been open.
    pub age: Duration,
}

/// A call whose stream is open.
pub struct Live {
    /// The tenant's id.
    pub tenant: String,
    /// Which version answers it now.
    pub version: String,
    /// When the stream began.
    pub since: Instant,
    /// Which of several streams of one call this is.
    pub stream_sid: String,
    pub(crate) on_the_way: Option<OnTheWay>,
    pub(crate) commands: mpsc::Sender<CallCommand>,
}

/// One gateway.
pub struct Gateway {
    /// As it was when the process started.
    pub config: Config,
    /// Runs components.
    pub engine: Engine,
    /// Who answers which number.
    pub tenants: TenantDirectory,
    /// The speech model to connect to.
    pub model: Renewable<ModelEndpoint>,
    /// Counters.
    pub metrics: Metrics,
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
    admitted: Mutex<ExpiringMap<StreamToken, Admission>>,
    answered: Mutex<ExpiringMap<String, String>>,
    /// Calls that came to their end, for the webhook that asks what comes after the stream.
    ended: Mutex<ExpiringMap<String, ()>>,
    pub(crate) live: Mutex<HashMap<String, Live>>,
    /// Taken before `live` where both are.
    pub(crate) moves: Mutex<Moves>,
    pub(crate) health: Mutex<Health>,
    pub(crate) shadows: Shadows,
    taken: Arc<AtomicUsize>,
    draining: watch::Sender<bool>,
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
        let engine = Engine::new(&EngineConfig { instances_max: instances })?;
        for advice in engine.advice() {
            tracing::warn!("{advice}");
        }
        let (tenants, problems) = open_tenants(&config, &engine).await?;
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
        let (promises, memories) = (most, most.saturating_mul(4).max(64));
        let metrics = Metrics::default();
        Ok(Arc::new(Self {
            recorder: Recorder::new(config.recording.clone(), &metrics),
            model: Renewable::new(config.model.clone()),
            rest: Renewable::new(Self::rest_of(&config)?),
            http: Renewable::new(Self::http_of(&config)?),
            origin,
            signing_keys: Renewable::new(signing_keys),
            engine,
            tenants,
            metrics,
            audit: audit.map(Arc::new),
            admitted: Mutex::new(ExpiringMap::new(REDEEM_WITHIN, promises)),
            answered: Mutex::new(ExpiringMap::new(REMEMBER_FOR, memories)),
            ended: Mutex::new(ExpiringMap::new(REMEMBER_FOR, memories)),
            live: Mutex::default(),
            moves: Mutex::default(),
            health: Mutex::default(),
            shadows: Shadows::new().context("no thread for shadows")?,
            taken: Arc::default(),
            draining: watch::Sender::new(false),
            config,
        }))
    }

    pub(crate) fn signing_keys(trust: &Trust) -> Option<Vec<SigningKey>> {
        let key = |(i, token): (usize, &Secret)| {
            SigningKey::auth_token(format!("auth token {}", i + 1), token.clone())
        };
        match trust {
            Trust::Signed { tokens, .. } => Some(tokens.iter().enumerate().map(key).collect()),
            Trust::Anybody { .. } => None,
        }
    }

    pub(crate) fn rest_of(config: &Config) -> reqwest::Result<Option<TwilioRest>> {
        config.carrier.rest.clone().map(TwilioRest::new).transpose()
    }

    pub(crate) fn http_of(config: &Config) -> reqwest::Result<OutboundHttp> {
        OutboundHttp::new(Bounds::default(), config.secrets.clone())
    }

    /// Takes a place under the caps for one more call of this tenant, with the version that answers it.
    ///
    /// # Errors
    /// Which cap is reached.
    pub fn take_permit(&self, deployment: &Deployment, call_sid: &str) -> Result<CallPermit, Full> {
        let most = self.config.calls.max;
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < most).then_some(taken + 1)
            })
            .map_err(|_| Full::Process)?;
        let process = CountedCall(Arc::clone(&self.taken));
        let slot = deployment.admit(call_sid).map_err(|no_place| match no_place {
            NoCapacity::AtCapacity { .. } => Full::Tenant,
            NoCapacity::ThrottledOut { .. } => Full::TenantCpu,
        })?;
        Ok(CallPermit { slot, _process: process })
    }

    /// Admits the stream that brings this token. False when there is no room.
    #[must_use]
    pub fn admit(&self, token: StreamToken, admission: Admission) -> bool {
        lock(&self.admitted).insert(Instant::now(), token, admission).is_ok()
    }

    /// What this token admits; a second time nothing.
    #[must_use]
    pub fn redeem(&self, token: &StreamToken) -> Option<Admission> {
        lock(&self.admitted).take(Instant::now(), token)
    }

    /// The answer given to a webhook with this idempotency token, if it came before.
    #[must_use]
    pub fn earlier_answer(&self, idempotency: &str) -> Option<String> {
        lock(&self.answered).peek(Instant::now(), &idempotency.to_owned()).cloned()
    }

    /// Remembers the answer to a webhook, in case the carrier asks again.
    pub fn remember_answer(&self, idempotency: String, twiml: String) {
        // Without room a repeated webhook is answered afresh, which costs one promise.
        drop(lock(&self.answered).insert(Instant::now(), idempotency, twiml));
    }

    /// Notes that a call came to its end, so that nothing more is to be said to its caller.
    pub fn note_ended(&self, call_sid: String) {
        // Without room the caller hears an apology too many.
        let _ = lock(&self.ended).insert(Instant::now(), call_sid, ());
    }

    /// Whether a call came to its end here; told once.
    #[must_use]
    pub fn has_ended(&self, call_sid: &str) -> bool {
        lock(&self.ended).take(Instant::now(), &call_sid.to_owned()).is_some()
    }

    /// Enters a call in the list of live ones. An older stream of the same call is told to end.
    pub fn enter(
        &self,
        call_sid: &str,
        version: &Version,
        stream_sid: &str,
    ) -> mpsc::Receiver<CallCommand> {
        let (commands, inbox) = mpsc::channel(COMMANDS_WAITING);
        let live = Live {
            tenant: version.tenant.to_string(),
            version: version.name.clone(),
            since: Instant::now(),
            stream_sid: stream_sid.to_owned(),
            on_the_way: None,
            commands,
        };
        let older = lock(&self.live).insert(call_sid.to_owned(), live);
        if let Some(older) = older {
            // A full inbox means the older task is busy or gone; its socket ends it soon enough.
            drop(older.commands.try_send(CallCommand::Superseded));
        } else {
            self.metrics.calls_live.inc();
        }
        inbox
    }

    /// ThrottledSeconds a call from the list, unless a newer stream of it stands there by now.
    pub fn leave(&self, call_sid: &str, stream_sid: &str) {
        let mut live = lock(&self.live);
        if live.get(call_sid).is_some_and(|entry| entry.stream_sid == stream_sid) {
            live.remove(call_sid);
            self.metrics.calls_live.dec();
        }
    }

    /// Gives an command to a live call. False when there is no such call or it can not take more.
    #[must_use]
    pub fn command(&self, call_sid: &str, command: CallCommand) -> bool {
        lock(&self.live).get(call_sid).is_some_and(|live| live.commands.try_send(command).is_ok())
    }

    /// The live calls, in no order.
    #[must_use]
    pub fn calls(&self) -> Vec<CallSeen> {
        let live = lock(&self.live);
        let seen = live.iter().map(|(call_sid, live)| CallSeen {
            call_sid: call_sid.clone(),
            tenant: live.tenant.clone(),
            version: live.version.clone(),
            age: live.since.elapsed(),
        });
        seen.collect()
    }

    /// Whose call this is, if it is live.
    #[must_use]
    pub fn tenant_of(&self, call_sid: &str) -> Option<String> {
        lock(&self.live).get(call_sid).map(|live| live.tenant.clone())
    }

    /// Notes that another version answers a call now.
    pub fn note_version(&self, call_sid: &str, version: &str) {
        if let Some(live) = lock(&self.live).get_mut(call_sid) {
            version.clone_into(&mut live.version);
        }
    }

    /// How many streams are open.
    #[must_use]
    pub fn calls_live(&self) -> usize {
        lock(&self.live).len()
    }

    /// Notes events that a version has answered.
    pub fn answered(&self, version: &Version, events: u64) {
        lock(&self.health).answered(Instant::now(), &Which::of(version), events);
    }

    /// Counts and logs what the supervisor of a call did about its tenant, and rolls a version back that does
    /// worse than the one before it.
    pub fn tenant_incident(self: &Arc<Self>, call: &CallInfo, incident: Incident<Arc<Version>>) {
        let kind = match &incident {
            Incident::Recovered { version, fault, replayed, skipped, pause } => {
                tracing::warn!(
                    tenant = call.tenant, version = version.name, %fault, replayed, skipped, ?pause,
                    "the tenant failed and carries on from its last good state"
                );
                "tenant-recovered"
            }
            Incident::FellBack { from, to, fault } => {
                self.note_version(&call.call_id, &to.name);
                tracing::error!(
                    tenant = call.tenant, from = from.name, to = to.name, %fault,
                    "a version fails over and over; the one before it carries on"
                );
                "tenant-fell-back"
            }
            Incident::Lost { version, fault } => {
                tracing::warn!(
                    tenant = call.tenant, version = version.name, %fault,
                    "the tenant failed and has no state to carry on from"
                );
                "tenant-lost"
            }
            Incident::Migrated { from, to, pause, state_bytes } => {
                self.note_version(&call.call_id, &to.name);
                tracing::info!(
                    tenant = call.tenant,
                    from = from.name,
                    to = to.name,
                    ?pause,
                    state_bytes,
                    "a new version took over"
                );
                "tenant-migrated"
            }
            Incident::MigrationFailed { wanted, reason, .. } => {
                tracing::warn!(
                    tenant = call.tenant,
                    wanted = wanted.name,
                    reason,
                    "a migration came to nothing"
                );
                "tenant-migration-failed"
            }
        };
        self.count(&call.tenant, kind);
        match incident {
            Incident::Recovered { version, fault, .. }
            | Incident::FellBack { from: version, fault, .. }
            | Incident::Lost { version, fault } => self.judge(&version, &fault),
            Incident::Migrated { .. } | Incident::MigrationFailed { .. } => {}
        }
    }

    /// Counts a version's fault, and rolls it back when it does worse than the one before it.
    fn judge(self: &Arc<Self>, version: &Arc<Version>, fault: &Fault) {
        if fault.blame() != Blame::Tenant {
            return;
        }
        // On a machine that is too slow every guest overruns; a trap is a trap on any machine.
        if matches!(fault, Fault::OverBudget { .. } | Fault::OverShare { .. }) && self.is_lagging()
        {
            return;
        }
        let Some(deployment) = self.tenants.deployment(version.tenant.as_str()).cloned() else {
            return;
        };
        let status = deployment.status();
        let control = match status.releases.previous() {
            // The canary is compared with the version that is active.
            _ if status.active != version.name => Some(status.active),
            before => before.map(|before| before.to_string()),
        };
        let which = Which::of(version);
        let control = control.map(|version| Which { version, ..which.clone() });
        // Counted even where nothing came before it that could take its place.
        let Ok(name) = version.name.parse::<VersionName>() else { return };
        if lock(&self.health).is_failing(Instant::now(), &which, control.as_ref()) {
            let reason = format!("by itself, after {fault}");
            tokio::spawn(Arc::clone(self).roll_back(deployment, name, reason));
        }
    }

    fn is_lagging(&self) -> bool {
        lock(&self.health).is_lagging(Instant::now(), self.engine.heartbeat().late)
    }

    /// Takes a version out of service and its calls to the one before it.
    async fn roll_back(
        self: Arc<Self>,
        deployment: Arc<Deployment>,
        bad: VersionName,
        reason: String,
    ) {
        let tenant = deployment.id().to_string();
        let changing = Arc::clone(&deployment);
        let audit = self.audit.clone();
        let changed = tokio::task::spawn_blocking(move || {
            let details = json!({ "version": bad.to_string(), "reason": reason });
            let change = || changing.change(|releases| releases.mark_bad(bad, &reason));
            match audit {
                Some(audit) => {
                    audit.by_itself(changing.id().as_str(), "rollback", &details, change)
                }
                None => change(),
            }
        });
        match changed.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                // Its next faults lead here again.
                self.reset_health(&tenant, bad);
                return tracing::error!(tenant, version = %bad, %error, "a failing version can not be rolled back");
            }
            Err(error) => {
                return tracing::error!(tenant, version = %bad, %error, "rolling back failed within this host");
            }
        }
        let to = deployment.active();
        tracing::error!(tenant, from = %bad, to = to.name, "a version failed too often and was rolled back");
        self.count(&tenant, "rolled-back");
        self.migrate(&deployment, Some(&bad.to_string())).await;
    }

    /// Gives a version another chance: somebody who knows activated it.
    pub fn reset_health(&self, tenant: &str, version: VersionName) {
        let which = Which { tenant: tenant.to_owned(), version: version.to_string() };
        lock(&self.health).reset_health(&which);
    }

    /// Holds it against a version that a call had to begin anew, because its actions brought it events without end.
    pub fn tenant_flooded(self: &Arc<Self>, version: &Arc<Version>) {
        self.judge(version, &Fault::Flood);
    }

    fn count(&self, tenant: &str, kind: &'static str) {
        let label = TenantKind { tenant: tenant.to_owned(), kind };
        self.metrics.notes.get_or_create(&label).inc();
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

    /// Counts the seconds in which a tenant's instances had to wait for CPU time against the version that answers, where
    /// there is only one.
    pub fn judge_shares(self: &Arc<Self>) {
        for deployment in self.tenants.deployments() {
            let throttled_seconds = deployment.cpu_quota().take_throttled_seconds();
            if throttled_seconds == 0 {
                continue;
            }
            let version = deployment.active();
            let fault = Fault::OverShare { per_call: version.limits.cpu_per_call };
            tracing::warn!(
                tenant = %deployment.id(), version = version.name, throttled_seconds,
                no_new_calls = deployment.cpu_quota().is_throttled_out(Instant::now()),
                "{fault}; make it cheaper, or raise `limits.cpu_ms_per_call_second` in its tenant.toml"
            );
            // The account is the tenant's: where several versions answer, nobody can say whose throttled_seconds these are.
            let is_alone = lock(&self.live).values().all(|live| {
                live.tenant != deployment.id().as_str() || live.version == version.name
            });
            for _ in 0..throttled_seconds {
                self.count(deployment.id().as_str(), "tenant-over-share");
                if is_alone {
                    self.judge(&version, &fault);
                }
            }
        }
    }

    /// Whether new calls are refused because the process is going away.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Refuses new calls, gives running ones until `deadline`, and returns when none is left. A call whose
    /// stream was promised and has not come yet is a running one.
    pub async fn drain(&self, deadline: Duration) {
        self.draining.send_replace(true);
        if self.taken.load(Ordering::Acquire) == 0 {
            return;
        }
        let ends = tokio::time::Instant::now() + deadline;
        let mut told = HashSet::new();
        while self.taken.load(Ordering::Acquire) > 0 {
            let late = tokio::time::Instant::now().checked_duration_since(ends);
            // A told call still says goodbye and closes its sockets, each with a deadline.
            if late.is_some_and(|late| late > FAREWELL) {
                return;
            }
            if late.is_some() {
                for live in lock(&self.live).values() {
                    if told.insert(live.stream_sid.clone()) {
                        drop(live.commands.try_send(CallCommand::Drain));
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The carrier asks once more, what comes after the stream.
        tokio::time::sleep(LAST_QUESTIONS).await;
    }

    /// Drops promises whose stream never came. Each closes its model session.
    pub fn forget_expired(&self) {
        let now = Instant::now();
        let forgotten = lock(&self.admitted).forget_expired(now);
        for _ in 0..forgotten {
            self.metrics.refuse("stream-never-came");
        }
        // Asked for now and then, so that a late tick is dated well.
        self.is_lagging();
        lock(&self.answered).forget_expired(now);
        lock(&self.ended).forget_expired(now);
    }
}

/// Which cap keeps a call out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// `calls_max` of the whole process.
    Process,
    /// `calls_max` of the tenant.
    Tenant,
    /// The tenant's share of the CPU: see [`CpuQuota`].
    TenantCpu,
}

/// A place under the caps, and the version it was given with; giving it up is dropping it.
pub struct CallPermit {
    slot: CallSlot,
    _process: CountedCall,
}

impl CallPermit {
    /// Who answers, pinned at the webhook so that a deployment in between changes nothing.
    #[must_use]
    pub fn version(&self) -> &Arc<Version> {
        self.slot.version()
    }

    /// Takes another version if the one it was given was rolled back since.
    pub fn take_again(&mut self, gateway: &Gateway, call_sid: &str) {
        if let Some(deployment) = gateway.tenants.deployment(self.slot.version().tenant.as_str()) {
            deployment.admit_again(&mut self.slot, call_sid);
        }
    }

    /// The CPU account of the tenant that answers.
    #[must_use]
    pub fn cpu_quota(&self) -> &Arc<CpuQuota> {
        self.slot.tenant().cpu_quota()
    }
}

/// One of the process's places.
struct CountedCall(Arc<AtomicUsize>);

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Reads the tenants directory; components compile meanwhile, so off the runtime's threads.
async fn open_tenants(
    config: &Config,
    engine: &Engine,
) -> anyhow::Result<(TenantDirectory, Vec<String>)> {
    let mut settings = serde_json::Map::new();
    if let Some(voice) = &config.voice {
        settings.insert("voice".to_owned(), voice.clone().into());
    }
    // Where somebody may deploy there must be a place for it.
    if !config.admin.tokens.is_empty() {
        std::fs::create_dir_all(&config.tenants_dir).with_context(|| {
            format!("can not make {} (tenants_dir)", config.tenants_dir.display())
        })?;
    }
    let dir = config.tenants_dir.is_dir().then(|| config.tenants_dir.clone());
    let calls = u32::try_from(config.calls.max_per_tenant).unwrap_or(u32::MAX);
    let engine = engine.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let cache = dir.as_deref().and_then(|dir| CompiledCache::open_or_warn(&dir.join(".cache")));
        let builder = VersionBuilder {
            engine,
            limits: CompileLimits::default(),
            cache,
            default_component: Cow::Borrowed(DEFAULT_TENANT),
            default_settings: settings,
            max_calls: calls,
        };
        anyhow::Ok(TenantDirectory::open(dir.as_deref(), builder)?)
    });
    opened.await.context("reading the tenants directory did not end")?
}

/// A panic while one of these locks was held left a whole map behind: every change is one insertion
/// or removal. So poisoning is not passed on to other calls.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
