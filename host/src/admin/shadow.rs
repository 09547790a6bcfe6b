//! A version that listens to live calls: who, to how many, and what was found.

use std::sync::Arc;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::Answer;
use super::answers::{Tenant, VersionName};
use super::ask::{Json, OfTenant, TenantPath};
use super::deploy::{change, shadows_share};
use super::problem::{NotNow, Problem, Unreadable};
use crate::rollout::Which;
use crate::rollout::shadow::Findings;

/// A tenant, and what was found of its shadow since that began
#[derive(Serialize, ToSchema)]
pub(super) struct Shadow {
    #[serde(flatten)]
    tenant: Tenant,
    findings: Findings,
}

/// What the tenant's shadow was found to do otherwise than the version that answers
///
/// Quotes calls.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/shadow",
    operation_id = "shadow",
    params(TenantPath),
    responses(OfTenant, NotNow)
)]
pub(super) async fn findings(of: OfTenant) -> Answer<Shadow> {
    let shadow = of.deployment.status().releases.shadow().ok_or_else(|| {
        let tenant = of.deployment.id();
        let message = format!(
            "tenant `{tenant}` has no shadow; begin one with `cordboard shadow {tenant} VERSION`"
        );
        Problem::new(StatusCode::CONFLICT, "no-shadow", message)
    })?;
    let tenant = of.deployment.id().to_string();
    let which = Which { tenant, version: shadow.version.to_string() };
    let findings = of.gateway().rollouts.shadows.findings(&which);
    Ok(Json(Shadow { tenant: Tenant::of(&of.deployment), findings }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cast {
    /// None ends it
    version: Option<VersionName>,
    /// The share of new calls, 100 where it is left out
    #[schema(minimum = 1, maximum = 100)]
    percent: Option<u8>,
}

/// Lets a version listen to a share of the new calls beside the one that answers, or ends that
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/shadow",
    operation_id = "castShadow",
    params(TenantPath),
    responses(OfTenant, Unreadable, NotNow)
)]
pub(super) async fn cast(
    of: OfTenant,
    Json(Cast { version, percent }): Json<Cast>,
) -> Answer<Tenant> {
    let details = json!({ "version": version, "percent": percent });
    let cast = match (version, percent) {
        (Some(version), percent) => Some((version.0, shadows_share(percent.unwrap_or(100))?)),
        (None, None) => None,
        (None, Some(_)) => return Err(Problem::bad_request("`percent` goes with a `version`")),
    };
    let (gateway, deployment) = (of.gateway(), Arc::clone(&of.deployment));
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
            let tenant = deployment.id().to_string();
            gateway.rollouts.shadows.forget(&Which { tenant, version });
        }
        Ok(Tenant::of(&deployment))
    };
    of.audited("shadow", details, work).await
}
