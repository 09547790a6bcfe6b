//! Live calls: who is on, and what an operator may do about one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use super::access::{Operator, Scope};
use super::{Admin, Answer, Body, read};
use crate::admin::problem::Problem;
use crate::metrics::OPENMETRICS;
use crate::shared::directory::CallCommand;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    tenant: Option<String>,
}

/// The live calls this operator may see.
pub(super) async fn calls(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Query(which): Query<Which>,
) -> Answer {
    if let Some(tenant) = &which.tenant {
        admin.deployment(&operator, tenant)?;
    }
    let wanted = |tenant: &str| which.tenant.as_deref().is_none_or(|only| only == tenant);
    let mut calls = admin.gateway.calls.calls();
    calls.retain(|call| operator.may_touch(&call.tenant) && wanted(&call.tenant));
    calls.sort_by_key(|call| std::cmp::Reverse(call.age));
    let calls: Vec<_> = (calls.into_iter())
        .map(|call| {
            json!({
                "call": call.call_sid,
                "tenant": call.tenant,
                "version": call.version,
                "age_ms": u64::try_from(call.age.as_millis()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    Ok(Json(json!({ "calls": calls })))
}

/// Ends a call.
pub(super) async fn hang_up(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(call): Path<String>,
) -> Answer {
    let tenant = tenant_of(&admin, &operator, &call)?;
    let gateway = Arc::clone(&admin.gateway);
    let details = json!({ "call": call });
    admin
        .audited(&operator, &tenant, "hang-up", details, async move {
            commanded(gateway.calls.command(&call, CallCommand::HangUp), &call)?;
            Ok(json!({ "call": call, "ordered": "hang-up" }))
        })
        .await
}

/// Hands a JSON text to a call's tenant, as the event `command`.
pub(super) async fn command(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    Path(call): Path<String>,
    body: Body,
) -> Answer {
    let command: serde_json::Value = read(body)?;
    let tenant = tenant_of(&admin, &operator, &call)?;
    let gateway = Arc::clone(&admin.gateway);
    // Not the command itself: it may hold a caller's words, which stay out of logs.
    let details = json!({ "call": call });
    admin
        .audited(&operator, &tenant, "command", details, async move {
            commanded(
                gateway.calls.command(&call, CallCommand::Command(command.to_string())),
                &call,
            )?;
            Ok(json!({ "call": call, "ordered": "command" }))
        })
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drain {
    deadline_s: Option<u64>,
}

/// All figures, for whoever looks after all tenants.
pub(super) async fn metrics(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
) -> Result<Response, Problem> {
    if operator.scope != Scope::All {
        let message = "the metrics are about all tenants, and this token is for one of them";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-tenant", message));
    }
    let text = admin.gateway.metrics_text();
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

/// Refuses new calls from now on, and ends running ones at the deadline.
pub(super) async fn drain(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    body: Body,
) -> Answer {
    let Drain { deadline_s } = read(body)?;
    if operator.scope != Scope::All {
        let message = "draining ends the calls of all tenants, and this token is for one of them";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-tenant", message));
    }
    let usual = admin.gateway.config.calls.drain_deadline;
    let deadline = deadline_s.map_or(usual, Duration::from_secs).min(DRAIN_MAX);
    let gateway = Arc::clone(&admin.gateway);
    let details = json!({ "deadline_s": deadline.as_secs() });
    admin
        .audited(&operator, "*", "drain", details, async move {
            let calls = gateway.calls.len();
            tokio::spawn(async move { gateway.drain(deadline).await });
            Ok(json!({ "draining": true, "calls": calls, "deadline_s": deadline.as_secs() }))
        })
        .await
}

/// A day: longer than any call.
const DRAIN_MAX: Duration = Duration::from_secs(86_400);

/// A foreign call is as unknown as none at all.
fn tenant_of(admin: &Admin, operator: &Operator, call: &str) -> Result<String, Problem> {
    let tenant = admin.gateway.calls.tenant_of(call).filter(|tenant| operator.may_touch(tenant));
    tenant.ok_or_else(|| Problem::no_call(call))
}

fn commanded(taken: bool, call: &str) -> Result<(), Problem> {
    if taken {
        return Ok(());
    }
    let message = format!("call {call} has ended, or has too many commands waiting; try again");
    Err(Problem::new(StatusCode::CONFLICT, "not-taken", message))
}
