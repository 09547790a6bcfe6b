//! How a new version of a tenant takes over, and how a bad one is taken back.
//!
//! **One rule: what happens in calls comes in as incidents; what is done about it goes out as
//! commands.** No call waits for anything here.

mod health;
mod migration;
pub(crate) mod shadow;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use cordboard_call::contract::CallInfo;
use cordboard_tenant::version_store::VersionName;
use cordboard_tenant::{Blame, Deployment, Engine, Fault, Incident, TenantDirectory, Version};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde_json::json;

use crate::audit::Audit;
use crate::metrics::TenantKind;
use crate::shared::directory::{CallDirectory, Migration};
use crate::shared::lock;
use health::Health;
pub(crate) use health::Which;
use migration::Migrations;
use shadow::Shadows;

/// Judges versions by what they do in calls, moves calls, and takes failing versions back.
pub struct Rollouts {
    tenants: Arc<TenantDirectory>,
    calls: Arc<CallDirectory>,
    engine: Engine,
    /// Absent where nobody may change anything.
    audit: Option<Arc<Audit>>,
    /// What went off the happy path inside calls, by tenant and kind.
    notes: Family<TenantKind, Counter>,
    health: Mutex<Health>,
    migrations: Migrations,
    pub(crate) shadows: Shadows,
}

impl Rollouts {
    /// # Errors
    /// The system has no thread left for shadows.
    pub(crate) fn new(
        tenants: Arc<TenantDirectory>,
        calls: Arc<CallDirectory>,
        engine: Engine,
        audit: Option<Arc<Audit>>,
        notes: Family<TenantKind, Counter>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            migrations: Migrations::new(Arc::clone(&calls)),
            shadows: Shadows::new()?,
            health: Mutex::default(),
            tenants,
            calls,
            engine,
            audit,
            notes,
        })
    }

    /// Lets the version that a new call of the same id would get take over in every live call of a
    /// tenant that another one answers, or in those that `from` answers or is about to, and says what
    /// came of each, by call.
    ///
    /// Returns once every one of them has moved, stayed or ended: after about a second for a hundred
    /// calls. When another version is asked for meanwhile, the calls that have not moved stay for it.
    pub async fn migrate(
        &self,
        deployment: &Deployment,
        from: Option<&str>,
    ) -> Vec<(String, Migration)> {
        self.migrations.migrate(deployment, from).await
    }

    /// Notes events that a version has answered.
    pub fn answered(&self, version: &Version, events: u64) {
        lock(&self.health).answered(Instant::now(), &Which::of(version), events);
    }

    /// Gives a version another chance: somebody who knows activated it.
    pub fn reset_health(&self, tenant: &str, version: VersionName) {
        let which = Which { tenant: tenant.to_owned(), version: version.to_string() };
        lock(&self.health).reset_health(&which);
    }

    /// Counts and logs what the supervisor of a call did about its tenant, and rolls a version back
    /// that does worse than the one before it.
    pub fn incident(self: &Arc<Self>, call: &CallInfo, incident: Incident<Arc<Version>>) {
        self.count(&call.tenant, describe(call, &incident));
        match incident {
            Incident::FellBack { to, from, fault } => {
                self.calls.note_version(&call.call_id, &to.name);
                self.judge(&from, &fault);
            }
            Incident::Recovered { version, fault, .. } | Incident::Lost { version, fault } => {
                self.judge(&version, &fault);
            }
            Incident::Migrated { to, .. } => self.calls.note_version(&call.call_id, &to.name),
            Incident::MigrationFailed { .. } => {}
        }
    }

    /// Holds it against a version that a call had to begin anew, because its actions brought it
    /// events without end.
    pub fn flooded(self: &Arc<Self>, version: &Arc<Version>) {
        self.judge(version, &Fault::Flood);
    }

    /// Counts the seconds in which a tenant's instances had to wait for CPU time against the version
    /// that answers, where there is only one.
    pub fn judge_cpu(self: &Arc<Self>) {
        for deployment in self.tenants.deployments() {
            let throttled_seconds = deployment.cpu_quota().take_throttled_seconds();
            if throttled_seconds == 0 {
                continue;
            }
            let Some(version) = deployment.active() else { continue };
            let fault = Fault::OverShare { per_call: version.limits.cpu_per_call };
            tracing::warn!(
                tenant = %deployment.id(), version = version.name, throttled_seconds,
                no_new_calls = deployment.cpu_quota().is_throttled_out(Instant::now()),
                "{fault}; make it cheaper, or raise `limits.cpu_ms_per_call_second` in its tenant.toml"
            );
            // The account is the tenant's: where several versions answer, nobody can say whose it was.
            let is_alone = self.calls.is_alone(&version);
            for _ in 0..throttled_seconds {
                self.count(deployment.id().as_str(), "tenant-over-share");
                if is_alone {
                    self.judge(&version, &fault);
                }
            }
        }
    }

    /// Whether the machine is too slow for anybody to be blamed. Asked for now and then, so that a
    /// late tick is dated well.
    pub(crate) fn is_lagging(&self) -> bool {
        lock(&self.health).is_lagging(Instant::now(), self.engine.heartbeat().late)
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
        let deployment = self.tenants.deployment(version.tenant.as_str());
        let Some(deployment) = deployment.cloned() else { return };
        let status = deployment.status();
        let control = match status.releases.previous() {
            // The canary is compared with the version that is active.
            _ if status.active.as_ref() != Some(&version.name) => status.active,
            before => before.map(|before| before.to_string()),
        };
        let which = Which::of(version);
        let control = control.map(|version| Which { version, ..which.clone() });
        // Counted even where nothing came before it that could take its place.
        let Ok(name) = version.name.parse::<VersionName>() else { return };
        if lock(&self.health).is_failing(Instant::now(), &which, control.as_ref()) {
            let reason = format!("by the gateway, after {fault}");
            tokio::spawn(Arc::clone(self).roll_back(deployment, name, reason));
        }
    }

    /// Takes a version out of service and its calls to the one before it.
    async fn roll_back(
        self: Arc<Self>,
        deployment: Arc<Deployment>,
        bad: VersionName,
        reason: String,
    ) {
        let tenant = deployment.id().to_string();
        let (changing, audit) = (Arc::clone(&deployment), self.audit.clone());
        let changed = tokio::task::spawn_blocking(move || {
            let details = json!({ "version": bad.to_string(), "reason": reason });
            let change = || changing.change(|releases| releases.mark_bad(bad, &reason));
            match audit {
                Some(audit) => {
                    audit.by_the_gateway(changing.id().as_str(), "rollback", &details, change)
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
        match deployment.active() {
            Some(to) => tracing::error!(
                tenant, from = %bad, to = to.name,
                "a version failed too often and was rolled back"
            ),
            None => tracing::error!(
                tenant, from = %bad,
                "a version failed too often and was rolled back, and there is none before it: the tenant is \
                 out of service"
            ),
        }
        self.count(&tenant, "rolled-back");
        self.migrate(&deployment, Some(&bad.to_string())).await;
    }

    fn count(&self, tenant: &str, kind: &'static str) {
        let label = TenantKind { tenant: tenant.to_owned(), kind };
        self.notes.get_or_create(&label).inc();
    }
}

/// Says an incident in the log, and under which name it is counted.
fn describe(call: &CallInfo, incident: &Incident<Arc<Version>>) -> &'static str {
    let tenant = &call.tenant;
    match incident {
        Incident::Recovered { version, fault, replayed, skipped, pause } => {
            tracing::warn!(
                tenant, version = version.name, %fault, replayed, skipped, ?pause,
                "the tenant failed and carries on from its last good state"
            );
            "tenant-recovered"
        }
        Incident::FellBack { from, to, fault } => {
            tracing::error!(
                tenant, from = from.name, to = to.name, %fault,
                "a version fails over and over; the one before it carries on"
            );
            "tenant-fell-back"
        }
        Incident::Lost { version, fault } => {
            tracing::warn!(
                tenant, version = version.name, %fault,
                "the tenant failed and has no state to carry on from"
            );
            "tenant-lost"
        }
        Incident::Migrated { from, to, pause, state_bytes } => {
            tracing::info!(
                tenant,
                from = from.name,
                to = to.name,
                ?pause,
                state_bytes,
                "a new version took over"
            );
            "tenant-migrated"
        }
        Incident::MigrationFailed { wanted, reason, .. } => {
            tracing::warn!(tenant, wanted = wanted.name, reason, "a migration failed");
            "tenant-migration-failed"
        }
    }
}
