//! Versions: which there are, which one answers, and how that changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use cordboard_tenant::version_store::limits::COMPONENT_BYTES_MAX;
use cordboard_tenant::version_store::{
    Candidate, Changed, Entry, Force, Part, Policy, Refused, ReleaseState, Share, Staged,
    VersionName,
};
use cordboard_tenant::{Deployment, Digest, rehearse};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Operator;
use super::problem::Problem;
use super::{Admin, Answer, Body, blocking, read, too_large};
use crate::gateway::Gateway;
use crate::shared::directory::Migration;

/// The tenants this operator may see.
pub(super) async fn tenants(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
) -> Answer {
    let deployments = admin
        .gateway
        .tenants
        .deployments()
        .filter(|deployment| operator.may_touch(deployment.id().as_str()));
    let tenants: Vec<Value> = deployments.map(|deployment| summary(deployment)).collect();
    Ok(Json(json!({ "tenants": tenants })))
}

/// A tenant's versions. The store is read again first, so this is also how a repair by hand is taken up.
pub(super) async fn versions(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let fresh = Arc::clone(&deployment);
    let releases = blocking(move || fresh.reread()).await??;
    let versions: Vec<Value> =
        releases.entries().iter().map(|entry| shown(entry, &releases)).collect();
    let mut answer = summary(&deployment);
    answer["versions"] = versions.into();
    Ok(Json(answer))
}

/// What is to happen with an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeployQuery {
    #[serde(default)]
    then: Then,
    percent: Option<u8>,
    running: Option<String>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    note: String,
}

/// Takes a component, vets and compiles it, rehearses a call with it, and puts it in the store; then it is
/// active, a canary, or waits.
pub(super) async fn deploy(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
    query: Result<Query<DeployQuery>, QueryRejection>,
    request: Request,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
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
    let running = running(query.running.as_deref())?;
    if running.is_some() && query.then != Then::Activate {
        let message = "`running` goes with `then=activate`: nobody moves to what is not active";
        return Err(Problem::bad_request(message));
    }
    let permit = admin.uploads.permit(&tenant).await?;
    // Read only now, so that waiting uploads wait outside of this process's memory.
    let component = tokio::time::timeout(UPLOAD_WITHIN, uploaded(request))
        .await
        .map_err(|_| too_slow(&format!("took longer than {UPLOAD_WITHIN:?}")))??;

    let details = json!({
        "bytes": component.len(), "then": format!("{:?}", query.then).to_lowercase(),
        "percent": query.percent, "running": query.running, "force": query.force, "note": query.note,
        "component_sha256": Digest::of(&component).to_string(),
    });
    let (gateway, by) = (Arc::clone(&admin.gateway), operator.who.clone());
    let force = if query.force { Force::Yes } else { Force::No };
    let work = async move {
        // Kept to the end, even if the one who asked hangs up: until then the component is in
        // memory.
        let _permit = permit;
        let began = Instant::now();
        let deployed = Deployed::store(&deployment, component, by, query.note).await?;
        let Deployed { staged, has_handover, compiled_in, rehearsed } = deployed;
        let name = staged.name();
        let mut answer = json!({
            "tenant": deployment.id().as_str(),
            "version": name.to_string(),
            "new": matches!(staged, Staged::New(_)),
            "has_handover": has_handover,
            "compiled_in_ms": millis(compiled_in),
            "rehearsed_in_ms": millis(rehearsed),
        });
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
                answer["live_in_ms"] = millis(began.elapsed()).into();
                gateway.rollouts.reset_health(deployment.id().as_str(), name);
                if migrates(running, &changed) {
                    answer["migration"] = migrate_all(&gateway, &deployment, None).await?;
                }
            }
        }
        answer["part"] = part(&deployment.status().releases, name);
        Ok(answer)
    };
    admin.audited(&operator, &tenant, "deploy", details, work).await
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
struct Deployed {
    staged: Staged,
    has_handover: bool,
    compiled_in: Duration,
    rehearsed: Duration,
}

impl Deployed {
    async fn store(
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Activate {
    version: String,
    #[serde(default)]
    force: bool,
    running: Option<String>,
}

/// Gives a version in the store all new calls.
pub(super) async fn activate(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
    body: Body,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let Activate { version, force, running: then } = read(body)?;
    let (name, then) = (named(&version)?, running(then.as_deref())?);
    let details =
        json!({ "version": version, "force": force, "running": then.map(|it| it.to_string()) });
    let force = if force { Force::Yes } else { Force::No };
    let gateway = Arc::clone(&admin.gateway);
    let work = switch(gateway, deployment, then, move |releases| releases.activate(name, force));
    admin.audited(&operator, &tenant, "activate", details, work).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Canary {
    version: String,
    percent: u8,
    #[serde(default)]
    force: bool,
}

/// Gives a version in the store a share of the new calls.
pub(super) async fn canary(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
    body: Body,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let Canary { version, percent, force } = read(body)?;
    let (name, share) = (named(&version)?, share(percent)?);
    let details = json!({ "version": version, "percent": percent, "force": force });
    let force = if force { Force::Yes } else { Force::No };
    let gateway = Arc::clone(&admin.gateway);
    let work = async move {
        change(&deployment, move |releases| releases.candidate(name, share, force)).await?;
        gateway.rollouts.reset_health(deployment.id().as_str(), name);
        Ok(summary(&deployment))
    };
    admin.audited(&operator, &tenant, "canary", details, work).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promote {
    running: Option<String>,
}

/// Gives the canary all new calls.
pub(super) async fn promote(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
    body: Body,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let Promote { running: then } = read(body)?;
    let then = running(then.as_deref())?;
    let work = switch(Arc::clone(&admin.gateway), deployment, then, ReleaseState::promote);
    admin.audited(&operator, &tenant, "promote", json!({}), work).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    /// Refused when the latest step is another version's.
    version: Option<String>,
    reason: Option<String>,
    running: Option<String>,
}

/// Takes the latest step back: the canary, or the active version. Calls that run on what was taken back
/// move with it unless they are to stay.
pub(super) async fn rollback(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
    body: Body,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let Rollback { version, reason, running: then } = read(body)?;
    let expected = version.as_deref().map(named).transpose()?;
    let then = running(then.as_deref())?.or(Some(Policy::Migrate));
    let reason = reason.unwrap_or_else(|| format!("by {}", operator.who));
    let details = json!({ "version": version, "reason": reason });
    let gateway = Arc::clone(&admin.gateway);
    let work = async move {
        let changed = change(&deployment, move |releases| match expected {
            Some(version) => releases.rollback_of(version, &reason),
            None => releases.rollback(&reason),
        });
        let changed = changed.await?;
        let mut answer = summary(&deployment);
        answer["before"] = named_or_null(changed.before.active());
        if migrates(then, &changed) {
            let taken_back = changed.before.latest_step();
            answer["migration"] = migrate_all(&gateway, &deployment, taken_back).await?;
        }
        Ok(answer)
    };
    admin.audited(&operator, &tenant, "rollback", details, work).await
}

/// Moves the tenant's running calls to the version that a new call would get.
pub(super) async fn migrate(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let gateway = Arc::clone(&admin.gateway);
    let work = async move {
        let mut answer = summary(&deployment);
        answer["migration"] = migrate_all(&gateway, &deployment, None).await?;
        Ok(answer)
    };
    admin.audited(&operator, &tenant, "migrate", json!({}), work).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetPolicy {
    policy: String,
}

/// Decides what running calls do at the next activation.
pub(super) async fn policy(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
    body: Body,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let SetPolicy { policy } = read(body)?;
    let wanted: Policy = parsed(&policy)?;
    let details = json!({ "policy": policy });
    let work = async move {
        change(&deployment, move |releases| Ok(releases.set_policy(wanted))).await?;
        Ok(summary(&deployment))
    };
    admin.audited(&operator, &tenant, "policy", details, work).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retire {
    version: String,
}

/// Takes a version off the store.
pub(super) async fn retire(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
    body: Body,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let Retire { version } = read(body)?;
    let name = named(&version)?;
    let work = async move {
        change(&deployment, move |releases| releases.retire(name)).await?;
        Ok(summary(&deployment))
    };
    admin.audited(&operator, &tenant, "retire", json!({ "version": version }), work).await
}

/// Changes which version is active, and moves the running calls if they are to move.
async fn switch(
    gateway: Arc<Gateway>,
    deployment: Arc<Deployment>,
    then: Option<Policy>,
    rule: impl Fn(&ReleaseState) -> Result<ReleaseState, Refused> + Send + 'static,
) -> Result<Value, Problem> {
    let changed = change(&deployment, rule).await?;
    // Whoever activates a version knows what it did before.
    if let Some(active) = changed.after.active() {
        gateway.rollouts.reset_health(deployment.id().as_str(), active);
    }
    let mut answer = summary(&deployment);
    answer["before"] = named_or_null(changed.before.active());
    if migrates(then, &changed) {
        answer["migration"] = migrate_all(&gateway, &deployment, None).await?;
    }
    Ok(answer)
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
    asked.unwrap_or(changed.after.policy()) == Policy::Migrate
}

/// Moves every running call of a deployment to the active version, and says what came of it.
/// Those that `from` answers, where it is given.
pub(super) async fn migrate_all(
    gateway: &Arc<Gateway>,
    deployment: &Deployment,
    from: Option<VersionName>,
) -> Result<Value, Problem> {
    let (to, began) = (deployment.active(), Instant::now());
    let from = from.map(|from| from.to_string());
    let outcomes = gateway.rollouts.migrate(deployment, from.as_deref()).await;
    let took = began.elapsed();
    let (mut pauses, mut stayed, mut ended) = (Vec::new(), Vec::new(), 0_usize);
    for (call, outcome) in outcomes {
        match outcome {
            Migration::Moved { pause } => pauses.push(pause),
            Migration::Failed { reason } => stayed.push(json!({ "call": call, "reason": reason })),
            Migration::Ended => ended += 1,
        }
    }
    pauses.sort_unstable();
    let pause_us = |percent: usize| {
        let at = pauses.len().checked_sub(1)? * percent / 100;
        u64::try_from(pauses[at].as_micros()).ok()
    };
    Ok(json!({
        "to": to.name,
        "moved": pauses.len(),
        "ended": ended,
        "took_ms": millis(took),
        "pause_us": { "p50": pause_us(50), "p99": pause_us(99), "max": pause_us(100) },
        "stayed": stayed,
    }))
}

pub(super) fn summary(deployment: &Deployment) -> Value {
    let status = deployment.status();
    let releases = &status.releases;
    let trial = |trial: Candidate| json!({ "version": trial.version.to_string(), "percent": trial.share.as_percent() });
    let (canary, shadow) = (releases.on_trial().map(trial), releases.shadow().map(trial));
    json!({
        "tenant": deployment.id().as_str(),
        "active": status.active,
        "previous": named_or_null(releases.previous()),
        "canary": canary,
        "shadow": shadow,
        "policy": releases.policy().to_string(),
        "versions": releases.entries().len(),
        "calls": deployment.live_calls(),
    })
}

fn shown(entry: &Entry, releases: &ReleaseState) -> Value {
    json!({
        "version": entry.name.to_string(),
        "part": part(releases, entry.name),
        "component_sha256": entry.component.to_string(),
        "settings_sha256": entry.settings.to_string(),
        "when": entry.when.to_string(),
        "by": entry.by,
        "note": entry.note,
        "rolled_back": entry.rolled_back,
    })
}

fn part(releases: &ReleaseState, version: VersionName) -> Value {
    releases.part_of(version).map_or(Value::Null, |part: Part| part.to_string().into())
}

fn named_or_null(version: Option<VersionName>) -> Value {
    version.map_or(Value::Null, |version| version.to_string().into())
}

pub(super) fn named(version: &str) -> Result<VersionName, Problem> {
    parsed(version)
}

fn share(percent: u8) -> Result<Share, Problem> {
    Share::percent(percent).map_err(|error| Problem::bad_request(error.to_string()))
}

pub(super) fn shadows_share(percent: u8) -> Result<Share, Problem> {
    Share::of_shadow(percent).map_err(|error| Problem::bad_request(error.to_string()))
}

fn running(text: Option<&str>) -> Result<Option<Policy>, Problem> {
    text.map(parsed).transpose()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::bad_request(format!("{text:?}: {error}")))
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
