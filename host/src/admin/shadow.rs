//! A version that listens to live calls: who, to how many, and what was found.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Operator;
use super::deploy::{change, named, shadows_share, summary};
use super::problem::Problem;
use super::{Admin, Answer, Body, read};
use crate::rollout::Which;

/// What the tenant's shadow was found to do otherwise than the version that answers. Quotes calls.
pub(super) async fn findings(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let mut answer = summary(&deployment);
    let shadow = deployment.status().releases.shadow().ok_or_else(|| {
        let message = format!(
            "tenant `{tenant}` has no shadow; begin one with `cordboard shadow {tenant} VERSION`"
        );
        Problem::new(axum::http::StatusCode::CONFLICT, "no-shadow", message)
    })?;
    let which = Which { tenant, version: shadow.version.to_string() };
    answer["findings"] = serde_json::to_value(admin.gateway.rollouts.shadows.findings(&which))
        .map_err(|error| Problem::ours(error.to_string()))?;
    Ok(Json(answer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cast {
    /// None ends it.
    version: Option<String>,
    percent: Option<u8>,
}

/// Lets a version in the store listen to a share of the new calls, or ends that.
pub(super) async fn cast(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(tenant): Path<String>,
    body: Body,
) -> Answer {
    let deployment = admin.deployment(&operator, &tenant)?;
    let Cast { version, percent } = read(body)?;
    let details = json!({ "version": version, "percent": percent });
    let cast = match (version.as_deref(), percent) {
        (Some(version), percent) => Some((named(version)?, shadows_share(percent.unwrap_or(100))?)),
        (None, None) => None,
        (None, Some(_)) => return Err(Problem::bad_request("`percent` goes with a `version`")),
    };
    let (gateway, of) = (Arc::clone(&admin.gateway), tenant.clone());
    let work = async move {
        let changed = change(&deployment, move |releases| match cast {
            Some((version, share)) => releases.cast_shadow(version, share),
            None => releases.end_shadow(),
        });
        let changed = changed.await?;
        let [before, after] = [&changed.before, &changed.after]
            .map(|releases| releases.shadow().map(|shadow| shadow.version.to_string()));
        // Another share of the same version goes on with the same findings.
        if let Some(version) = after.filter(|after| before.as_ref() != Some(after)) {
            gateway.rollouts.shadows.forget(&Which { tenant: of, version });
        }
        Ok::<Value, Problem>(summary(&deployment))
    };
    admin.audited(&operator, &tenant, "shadow", details, work).await
}
