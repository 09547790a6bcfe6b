//! Versions: which there are, which one answers, and how that changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use cordboard_tenant::version_store::limits::COMPONENT_BYTES_MAX;
use cordboard_tenant::version_store::{self, Changed, Force, Refused, ReleaseState, Share, Staged};
use cordboard_tenant::{Deployment, Digest, rehearse};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::answers::{
    Deployed, Migrated, Migration, Part, Pauses, Policy, Stayed, Switched, Tenant, Tenants,
    VersionName, Versions,
};
use super::ask::{Asker, Json, OfTenant, Query, TenantPath, too_large};
use super::problem::{NotNow, Problem, Told, Unreadable};
use super::{Answer, blocking};
use crate::gateway::Gateway;
use crate::shared::directory;

/// The tenants this token may see
#[utoipa::path(get, path = "/v1/tenants")]
pub(super) async fn tenants(asker: Asker) -> Answer<Tenants> {
    let deployments = asker.admin.gateway.tenants.deployments();
    let tenants = deployments
        .filter(|deployment| asker.operator.may_touch(deployment.id().as_str()))
        .map(|deployment| Tenant::of(deployment));
    Ok(Json(Tenants { tenants: tenants.collect() }))
}

/// A tenant's versions, read afresh from its releases.toml
///
/// So this is also how a repair by hand is taken up.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/versions",
    params(TenantPath),
    responses(OfTenant, NotNow)
)]
pub(super) async fn versions(of: OfTenant) -> Answer<Versions> {
    let fresh = Arc::clone(&of.deployment);
    let releases = blocking(move || fresh.reread()).await?.map_err(|error| {
        let mut problem = Problem::from(error);
        let answering = match of.deployment.status().active {
            Some(version) => format!("; {version} answers meanwhile"),
            None => "; the tenant is out of service meanwhile".to_owned(),
        };
        problem.message.push_str(&answering);
        problem
    })?;
    Ok(Json(Versions::of(&of.deployment, &releases)))
}

/// What is to happen with an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Then {
    /// It stands in the store.
    #[default]
    Stage,
    /// It answers all new calls.
    Activate,
    /// It answers a share of them.
    Canary,
    /// It listens to a share of them.
    Shadow,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeployQuery {
    /// What happens with it
    #[serde(default)]
    #[param(inline)]
    then: Then,
    /// The share of new calls: of a canary 1 to 99, of a shadow 1 to 100 (all where it is left out)
    #[param(minimum = 1, maximum = 100)]
    percent: Option<u8>,
    /// What running calls do this time; the tenant's policy decides where this is left out
    #[param(inline)]
    running: Option<Policy>,
    /// Take it even if it was rolled back before
    #[serde(default)]
    force: bool,
    /// Kept with the version
    #[serde(default)]
    #[param(max_length = 1000)]
    note: String,
}

/// Vets, compiles and rehearses a component and stores it
///
/// Then it is active, a canary or a shadow, or waits.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/deploy",
    params(TenantPath, DeployQuery), request_body(content_type = "application/wasm", description = "The component"),
    responses(
        OfTenant, Unreadable, NotNow,
        (status = 408, description = "The upload took too long", body = Told),
        (status = 422, description = "No tenant's component, or one that fails its rehearsal; the \
            message says what to change", body = Told),
        (status = 429, description = "Too many uploads wait for the compiler", body = Told),
        (status = 503, description = "The compiler has no time for it now", body = Told),
    )
)]
pub(super) async fn deploy(
    of: OfTenant,
    Query(query): Query<DeployQuery>,
    request: Request,
) -> Answer<Deployed> {
    let share = match (query.then, query.percent) {
        (Then::Canary, Some(percent)) => Some(share(percent)?),
        (Then::Shadow, percent) => Some(shadows_share(percent.unwrap_or(100))?),
        (Then::Canary, None) => {
            return Err(Problem::bad_request("a canary needs its `percent`, 1 to 99"));
        }
        (Then::Stage | Then::Activate, None) => None,
        (Then::Stage | Then::Activate, Some(_)) => {
            let message = "`percent` goes with `then=canary` and `then=shadow`";
            return Err(Problem::bad_request(message));
        }
    };
    if query.running.is_some() && query.then != Then::Activate {
        let message = "`running` goes with `then=activate`: nobody moves to what is not active";
        return Err(Problem::bad_request(message));
    }
    let permit = of.asker.admin.uploads.permit(of.deployment.id().as_str()).await?;
    // Read only now, so that waiting uploads wait outside of this process's memory.
    let component = tokio::time::timeout(UPLOAD_WITHIN, uploaded(request))
        .await
        .map_err(|_| too_slow(&format!("took longer than {UPLOAD_WITHIN:?}")))??;

    let details = json!({
        "bytes": component.len(), "then": query.then,
        "percent": query.percent, "running": query.running, "force": query.force, "note": query.note,
        "component_sha256": Digest::of(&component).to_string(),
    });
    let (gateway, by) = (of.gateway(), of.asker.operator.who.clone());
    let deployment = Arc::clone(&of.deployment);
    let force = if query.force { Force::Yes } else { Force::No };
    let work = async move {
        // Kept to the end, even if the one who asked hangs up: until then the component is in
        // memory.
        let _permit = permit;
        let began = Instant::now();
        let stored = Stored::new(&deployment, component, by, query.note).await?;
        let name = stored.staged.name();
        let (mut live_in_ms, mut migration) = (None, None);
        match (query.then, share) {
            (Then::Stage, _) => {}
            (Then::Canary, Some(share)) => {
                change(&deployment, move |releases| releases.candidate(name, share, force)).await?;
                gateway.rollouts.reset_health(deployment.id().as_str(), name);
            }
            (Then::Shadow, Some(share)) => {
                change(&deployment, move |releases| releases.cast_shadow(name, share)).await?;
            }
            (Then::Activate | Then::Canary | Then::Shadow, _) => {
                let changed =
                    change(&deployment, move |releases| releases.activate(name, force)).await?;
                live_in_ms = Some(millis(began.elapsed()));
                gateway.rollouts.reset_health(deployment.id().as_str(), name);
                if migrates(query.running, &changed) {
                    migration = Some(migrate_all(&gateway, &deployment, None).await);
                }
            }
        }
        Ok(Deployed {
            tenant: deployment.id().as_str().to_owned(),
            version: VersionName(name),
            new: matches!(stored.staged, Staged::New(_)),
            part: Part::of(name, &deployment.status()),
            has_handover: stored.has_handover,
            compiled_in_ms: millis(stored.compiled_in),
            rehearsed_in_ms: millis(stored.rehearsed),
            live_in_ms,
            migration,
        })
    };
    of.audited("deploy", details, work).await
}

/// For a whole component to arrive. Its tenant has no other upload meanwhile, and all tenants
/// together have few.
pub(super) const UPLOAD_WITHIN: Duration = Duration::from_secs(120);
/// Between two pieces of it. A sender that went away without a word is not waited for any longer.
const UPLOAD_PAUSE_MAX: Duration = Duration::from_secs(10);

/// A component as it comes in.
async fn uploaded(request: Request) -> Result<Bytes, Problem> {
    let mut pieces = request.into_body().into_data_stream();
    let mut component = Vec::new();
    while let Some(piece) = tokio::time::timeout(UPLOAD_PAUSE_MAX, pieces.next())
        .await
        .map_err(|_| too_slow(&format!("paused for {UPLOAD_PAUSE_MAX:?}")))?
    {
        let cut = |error| Problem::bad_request(format!("the upload broke off: {error}"));
        let piece = piece.map_err(cut)?;
        if component.len() + piece.len() > COMPONENT_BYTES_MAX {
            return Err(too_large(COMPONENT_BYTES_MAX));
        }
        component.extend_from_slice(&piece);
    }
    Ok(component.into())
}

fn too_slow(what_it_did: &str) -> Problem {
    let message = format!("the upload {what_it_did}; the tenant's next one waits for it");
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", message)
}

/// What came of putting a component in the store.
struct Stored {
    staged: Staged,
    has_handover: bool,
    compiled_in: Duration,
    rehearsed: Duration,
}

impl Stored {
    async fn new(
        deployment: &Arc<Deployment>,
        component: Bytes,
        by: String,
        note: String,
    ) -> Result<Self, Problem> {
        let began = Instant::now();
        let (trying, bytes) = (Arc::clone(deployment), component.clone());
        let version = Arc::new(blocking(move || trying.try_out(&bytes)).await??);
        let compiled_in = began.elapsed();
        let rehearsed = Box::pin(rehearse(&version)).await?.took;
        let (staging, tried) = (Arc::clone(deployment), Arc::clone(&version));
        let staged = blocking(move || staging.stage(&tried, &component, &by, &note)).await??;
        let has_handover = version.component.has_handover();
        Ok(Self { staged, has_handover, compiled_in, rehearsed })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Activate {
    version: VersionName,
    /// Take it even if it was rolled back before
    #[serde(default)]
    force: bool,
    /// What running calls do this time; the tenant's policy decides where this is left out
    running: Option<Policy>,
}

/// Gives a version in the store all new calls
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/activate",
    params(TenantPath),
    responses(OfTenant, Unreadable, NotNow)
)]
pub(super) async fn activate(
    of: OfTenant,
    Json(Activate { version, force, running }): Json<Activate>,
) -> Answer<Switched> {
    let details = json!({ "version": version, "force": force, "running": running });
    let force = if force { Force::Yes } else { Force::No };
    let rule = move |releases: &ReleaseState| releases.activate(version.0, force);
    of.audited("activate", details, switch(&of, running, rule)).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Canary {
    version: VersionName,
    #[schema(minimum = 1, maximum = 99)]
    percent: u8,
    /// Take it even if it was rolled back before
    #[serde(default)]
    force: bool,
}

/// Gives a version in the store a share of the new calls
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/canary",
    params(TenantPath),
    responses(OfTenant, Unreadable, NotNow)
)]
pub(super) async fn canary(
    of: OfTenant,
    Json(Canary { version, percent, force }): Json<Canary>,
) -> Answer<Tenant> {
    let (name, share) = (version.0, share(percent)?);
    let details = json!({ "version": version, "percent": percent, "force": force });
    let force = if force { Force::Yes } else { Force::No };
    let (gateway, deployment) = (of.gateway(), Arc::clone(&of.deployment));
    let work = async move {
        change(&deployment, move |releases| releases.candidate(name, share, force)).await?;
        gateway.rollouts.reset_health(deployment.id().as_str(), name);
        Ok(Tenant::of(&deployment))
    };
    of.audited("canary", details, work).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Promote {
    /// What running calls do this time; the tenant's policy decides where this is left out
    running: Option<Policy>,
}

/// Gives the canary all new calls
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/promote",
    params(TenantPath),
    responses(OfTenant, Unreadable, NotNow)
)]
pub(super) async fn promote(
    of: OfTenant,
    Json(Promote { running }): Json<Promote>,
) -> Answer<Switched> {
    of.audited("promote", json!({}), switch(&of, running, ReleaseState::promote)).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    /// The version to take back; refused when the latest step is another's
    version: Option<VersionName>,
    /// Kept with the version that is taken back
    #[schema(max_length = 1000)]
    reason: Option<String>,
    /// What running calls do; they move where this is left out
    running: Option<Policy>,
}

/// Takes the latest step back, the canary or the active version, and marks its version
///
/// Calls that run on what is taken back move with it unless they are pinned.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/rollback",
    params(TenantPath),
    responses(OfTenant, Unreadable, NotNow)
)]
pub(super) async fn rollback(
    of: OfTenant,
    Json(Rollback { version, reason, running }): Json<Rollback>,
) -> Answer<Switched> {
    let reason = reason.unwrap_or_else(|| format!("by {}", of.asker.operator.who));
    let details = json!({ "version": version, "reason": reason });
    let (gateway, deployment) = (of.gateway(), Arc::clone(&of.deployment));
    let work = async move {
        let changed = change(&deployment, move |releases| match version {
            Some(version) => releases.rollback_of(version.0, &reason),
            None => releases.rollback(&reason),
        });
        let changed = changed.await?;
        let tenant = Tenant::of(&deployment);
        let mut migration = None;
        if migrates(running.or(Some(Policy::Migrate)), &changed) {
            let taken_back = changed.before.latest_step();
            migration = Some(migrate_all(&gateway, &deployment, taken_back).await);
        }
        Ok(Switched { tenant, before: changed.before.active().map(VersionName), migration })
    };
    of.audited("rollback", details, work).await
}

/// Moves the tenant's running calls to the version that a new call would get
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/migrate",
    params(TenantPath),
    responses(OfTenant)
)]
pub(super) async fn migrate(of: OfTenant) -> Answer<Migrated> {
    let (gateway, deployment) = (of.gateway(), Arc::clone(&of.deployment));
    let work = async move {
        let tenant = Tenant::of(&deployment);
        Ok(Migrated { tenant, migration: migrate_all(&gateway, &deployment, None).await })
    };
    of.audited("migrate", json!({}), work).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetPolicy {
    policy: Policy,
}

/// Decides what running calls do at the next activation
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/policy",
    params(TenantPath),
    responses(OfTenant, Unreadable, NotNow)
)]
pub(super) async fn policy(
    of: OfTenant,
    Json(SetPolicy { policy }): Json<SetPolicy>,
) -> Answer<Tenant> {
    let deployment = Arc::clone(&of.deployment);
    let work = async move {
        change(&deployment, move |releases| Ok(releases.set_policy(policy.into()))).await?;
        Ok(Tenant::of(&deployment))
    };
    of.audited("policy", json!({ "policy": policy }), work).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retire {
    version: VersionName,
}

/// Removes a version from the store
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/retire",
    params(TenantPath),
    responses(OfTenant, Unreadable, NotNow)
)]
pub(super) async fn retire(of: OfTenant, Json(Retire { version }): Json<Retire>) -> Answer<Tenant> {
    let deployment = Arc::clone(&of.deployment);
    let work = async move {
        change(&deployment, move |releases| releases.retire(version.0)).await?;
        Ok(Tenant::of(&deployment))
    };
    of.audited("retire", json!({ "version": version }), work).await
}

/// Changes which version is active, and moves the running calls if they are to move.
fn switch(
    of: &OfTenant,
    running: Option<Policy>,
    rule: impl Fn(&ReleaseState) -> Result<ReleaseState, Refused> + Send + 'static,
) -> impl Future<Output = Result<Switched, Problem>> + Send + 'static {
    let (gateway, deployment) = (of.gateway(), Arc::clone(&of.deployment));
    async move {
        let changed = change(&deployment, rule).await?;
        // Whoever activates a version knows what it did before.
        if let Some(active) = changed.after.active() {
            gateway.rollouts.reset_health(deployment.id().as_str(), active);
        }
        let tenant = Tenant::of(&deployment);
        let mut migration = None;
        if migrates(running, &changed) {
            migration = Some(migrate_all(&gateway, &deployment, None).await);
        }
        Ok(Switched { tenant, before: changed.before.active().map(VersionName), migration })
    }
}

pub(super) async fn change(
    deployment: &Arc<Deployment>,
    rule: impl Fn(&ReleaseState) -> Result<ReleaseState, Refused> + Send + 'static,
) -> Result<Changed, Problem> {
    let deployment = Arc::clone(deployment);
    Ok(blocking(move || deployment.change(rule)).await??)
}

/// What was asked for this time, else what the tenant's policy says.
fn migrates(asked: Option<Policy>, changed: &Changed) -> bool {
    asked.unwrap_or(changed.after.policy().into()) == Policy::Migrate
}

/// Moves every running call of a deployment to the active version, and says what came of it.
/// Those that `from` answers, where it is given.
pub(super) async fn migrate_all(
    gateway: &Arc<Gateway>,
    deployment: &Deployment,
    from: Option<version_store::VersionName>,
) -> Migration {
    let (to, began) = (deployment.active(), Instant::now());
    let from = from.map(|from| from.to_string());
    let outcomes = gateway.rollouts.migrate(deployment, from.as_deref()).await;
    let took = began.elapsed();
    let (mut pauses, mut stayed, mut ended) = (Vec::new(), Vec::new(), 0_usize);
    for (call, outcome) in outcomes {
        match outcome {
            directory::Migration::Moved { pause } => pauses.push(pause),
            directory::Migration::Failed { reason } => stayed.push(Stayed { call, reason }),
            directory::Migration::Ended => ended += 1,
        }
    }
    pauses.sort_unstable();
    let pause_us = |percent: usize| {
        let at = pauses.len().checked_sub(1)? * percent / 100;
        u64::try_from(pauses[at].as_micros()).ok()
    };
    Migration {
        to: to.map(|to| to.name.clone()),
        moved: pauses.len(),
        ended,
        took_ms: millis(took),
        pause_us: Pauses { p50: pause_us(50), p99: pause_us(99), max: pause_us(100) },
        stayed,
    }
}

fn share(percent: u8) -> Result<Share, Problem> {
    Share::percent(percent).map_err(|error| Problem::bad_request(error.to_string()))
}

pub(super) fn shadows_share(percent: u8) -> Result<Share, Problem> {
    Share::of_shadow(percent).map_err(|error| Problem::bad_request(error.to_string()))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use axum::response::IntoResponse as _;
    use futures_util::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stops_half_way_is_given_up_long_before_its_deadline() {
        let half = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"\0asm")) });
        let request = Request::new(Body::from_stream(half.chain(stream::pending())));
        let began = tokio::time::Instant::now();

        let refusal = uploaded(request).await.expect_err("the other half never comes");

        assert_eq!(refusal.into_response().status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(began.elapsed().as_secs(), UPLOAD_PAUSE_MAX.as_secs());
    }
}
