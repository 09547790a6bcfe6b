//! Live calls: who is on, and what an operator may do about one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::openapi::{ContentBuilder, RefOr, ResponseBuilder, response};
use utoipa::{IntoParams, IntoResponses, PartialSchema as _, ToSchema};

use super::Answer;
use super::ask::{Asker, CallPath, Json, OfCall, OfTenant, Query};
use super::problem::{Foreign, NotNow, Problem, Told, Unreadable};
use crate::metrics::OPENMETRICS;
use crate::shared::directory::CallCommand;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only this tenant's
    tenant: Option<String>,
}

/// The live calls this token may see, the longest first
#[derive(Serialize, ToSchema)]
pub(super) struct Calls {
    calls: Vec<LiveCall>,
}

/// A call that runs
#[derive(Serialize, ToSchema)]
struct LiveCall {
    /// The carrier's id of it, for example CA..
    call: String,
    tenant: String,
    /// The version that answers it now
    version: String,
    age_ms: u64,
}

/// The live calls this token may see, the longest first
#[utoipa::path(
    get, path = "/v1/calls",
    params(Which),
    responses(OfTenant, (status = 400, description = "The query is wrong", body = Told))
)]
pub(super) async fn calls(asker: Asker, Query(which): Query<Which>) -> Answer<Calls> {
    if let Some(tenant) = &which.tenant {
        asker.deployment(tenant)?;
    }
    let wanted = |tenant: &str| which.tenant.as_deref().is_none_or(|only| only == tenant);
    let mut calls = asker.admin.gateway.calls.calls();
    calls.retain(|call| asker.operator.may_touch(&call.tenant) && wanted(&call.tenant));
    calls.sort_by_key(|call| std::cmp::Reverse(call.age));
    let calls = calls.into_iter().map(|call| LiveCall {
        call: call.call_sid,
        tenant: call.tenant,
        version: call.version,
        age_ms: u64::try_from(call.age.as_millis()).unwrap_or(u64::MAX),
    });
    Ok(Json(Calls { calls: calls.collect() }))
}

/// What a call was told to do
#[derive(Serialize, ToSchema)]
pub(super) struct Ordered {
    call: String,
    ordered: Order,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Order {
    HangUp,
    Command,
}

/// Ends a call
#[utoipa::path(
    post,
    path = "/v1/calls/{call}/hang-up",
    operation_id = "hang-up",
    params(CallPath),
    responses(OfCall, NotNow)
)]
pub(super) async fn hang_up(of: OfCall) -> Answer<Ordered> {
    let (gateway, call) = (of.gateway(), of.call.clone());
    let work = async move {
        commanded(gateway.calls.command(&call, CallCommand::HangUp), &call)?;
        Ok(Ordered { call, ordered: Order::HangUp })
    };
    of.audited("hang-up", json!({ "call": of.call }), work).await
}

/// Hands a JSON value to the call's tenant, as the event `command`
#[utoipa::path(
    post,
    path = "/v1/calls/{call}/command",
    params(CallPath),
    responses(OfCall, Unreadable, NotNow)
)]
pub(super) async fn command(of: OfCall, Json(command): Json<Value>) -> Answer<Ordered> {
    let (gateway, call) = (of.gateway(), of.call.clone());
    // Not the command itself: it may hold a caller's words, which stay out of logs.
    let details = json!({ "call": call });
    let work = async move {
        let command = CallCommand::Command(command.to_string());
        commanded(gateway.calls.command(&call, command), &call)?;
        Ok(Ordered { call, ordered: Order::Command })
    };
    of.audited("command", details, work).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drain {
    /// In seconds, at most a day; `CORDBOARD_DRAIN_DEADLINE` where it is left out
    deadline_s: Option<u64>,
}

/// Figures in the OpenMetrics text format.
pub(super) struct Figures(String);

impl IntoResponse for Figures {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, OPENMETRICS)], self.0).into_response()
    }
}

impl IntoResponses for Figures {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        let content = ContentBuilder::new().schema(Some(String::schema())).build();
        let figures = ResponseBuilder::new().description("Done");
        let figures = figures.content("application/openmetrics-text", content);
        BTreeMap::from([("200".to_owned(), figures.build().into())])
    }
}

/// All figures, for a token that is for all tenants
#[utoipa::path(get, path = "/metrics", responses(Foreign))]
pub(super) async fn metrics(asker: Asker) -> Result<Figures, Problem> {
    asker.for_all_tenants("the metrics are about all tenants")?;
    Ok(Figures(asker.admin.gateway.metrics_text()))
}

/// A gateway that takes no new calls
#[derive(Serialize, ToSchema)]
pub(super) struct Draining {
    /// Always true
    draining: bool,
    /// How many run
    calls: usize,
    /// When those that still run are ended
    deadline_s: u64,
}

/// Refuses new calls from now on, and ends the running ones at the deadline
#[utoipa::path(post, path = "/v1/drain", responses(Unreadable, Foreign))]
pub(super) async fn drain(
    asker: Asker,
    Json(Drain { deadline_s }): Json<Drain>,
) -> Answer<Draining> {
    asker.for_all_tenants("draining ends the calls of all tenants")?;
    let gateway = Arc::clone(&asker.admin.gateway);
    let usual = gateway.config.calls.drain_deadline;
    let deadline = deadline_s.map_or(usual, Duration::from_secs).min(DRAIN_MAX);
    let deadline_s = deadline.as_secs();
    let work = async move {
        let calls = gateway.calls.len();
        tokio::spawn(async move { gateway.drain(deadline).await });
        Ok(Draining { draining: true, calls, deadline_s })
    };
    asker.audited("*", "drain", json!({ "deadline_s": deadline_s }), work).await
}

/// A day: longer than any call.
const DRAIN_MAX: Duration = Duration::from_secs(86_400);

fn commanded(taken: bool, call: &str) -> Result<(), Problem> {
    if taken {
        return Ok(());
    }
    let message = format!("call {call} has ended, or has too many commands waiting; try again");
    Err(Problem::new(StatusCode::CONFLICT, "not-taken", message))
}
