//! What a request says: who asks, about which tenant or call, in which words.
//!
//! **One rule: a handler's arguments are its opening.** What is wrong with a request is refused here, the same
//! way for all of them, and what a refusal may be stands beside it for the document.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use cordboard_tenant::Deployment;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, response};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::access::{Operator, Scope};
use super::problem::{Problem, refusals};
use super::{Admin, Answer, BODY_BYTES_MAX};
use crate::gateway::Gateway;

/// Somebody whose token is known, at the admin API.
pub(super) struct Asker {
    pub(super) admin: Arc<Admin>,
    pub(super) operator: Operator,
}

/// Somebody who may touch the tenant that the path names.
pub(super) struct OfTenant {
    pub(super) asker: Asker,
    pub(super) deployment: Arc<Deployment>,
}

/// Somebody who may touch the live call that the path names.
pub(super) struct OfCall {
    pub(super) asker: Asker,
    pub(super) call: String,
    tenant: String,
}

/// JSON, asked or answered. No body at all is an empty object.
pub(super) struct Json<T>(pub(super) T);

/// What stands behind the `?`.
pub(super) struct Query<T>(pub(super) T);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct TenantPath {
    /// The tenant's name, which is its folder's
    tenant: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct CallPath {
    /// The carrier's id of the call, for example CA..
    call: String,
}

impl Asker {
    /// The deployment of a tenant that they may touch. A foreign tenant is refused before it is looked for, so
    /// that nobody learns which ones there are.
    pub(super) fn deployment(&self, tenant: &str) -> Result<Arc<Deployment>, Problem> {
        if !self.operator.may_touch(tenant) {
            return Err(Problem::foreign(format!("this token is not for tenant `{tenant}`")));
        }
        let deployment = self.admin.gateway.tenants.deployment(tenant).cloned();
        deployment.ok_or_else(|| Problem::no_tenant(tenant))
    }

    /// Refuses those whose token is for one tenant.
    pub(super) fn for_all_tenants(&self, what: &str) -> Result<(), Problem> {
        match self.operator.scope {
            Scope::All => Ok(()),
            Scope::Tenant(_) => {
                Err(Problem::foreign(format!("{what}, and this token is for one of them")))
            }
        }
    }

    /// Writes down what is asked about a tenant, has it done and writes down what came of it.
    pub(super) async fn audited<T: Serialize + Send + 'static>(
        &self,
        tenant: &str,
        what: &'static str,
        details: Value,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Answer<T> {
        self.admin.audited(&self.operator, tenant, what, details, work).await
    }
}

impl OfTenant {
    pub(super) fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.asker.admin.gateway)
    }

    /// [`Asker::audited`], about this tenant.
    pub(super) async fn audited<T: Serialize + Send + 'static>(
        &self,
        what: &'static str,
        details: Value,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Answer<T> {
        self.asker.audited(self.deployment.id().as_str(), what, details, work).await
    }
}

impl OfCall {
    pub(super) fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.asker.admin.gateway)
    }

    /// [`Asker::audited`], about the tenant of this call.
    pub(super) async fn audited<T: Serialize + Send + 'static>(
        &self,
        what: &'static str,
        details: Value,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Answer<T> {
        self.asker.audited(&self.tenant, what, details, work).await
    }
}

impl FromRequestParts<Arc<Admin>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let operator = parts.extensions.get::<Operator>().cloned();
        let operator = operator.ok_or_else(|| Problem::ours("nobody looked at the token"))?;
        Ok(Self { admin: Arc::clone(admin), operator })
    }
}

impl FromRequestParts<Arc<Admin>> for OfTenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let TenantPath { tenant } = named(parts, admin).await?;
        let asker = Asker::from_request_parts(parts, admin).await?;
        Ok(Self { deployment: asker.deployment(&tenant)?, asker })
    }
}

impl FromRequestParts<Arc<Admin>> for OfCall {
    type Rejection = Problem;

    /// A foreign call is as unknown as none at all.
    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let CallPath { call } = named(parts, admin).await?;
        let asker = Asker::from_request_parts(parts, admin).await?;
        let tenant = admin.gateway.calls.tenant_of(&call);
        let tenant = tenant.filter(|tenant| asker.operator.may_touch(tenant));
        let tenant = tenant.ok_or_else(|| Problem::no_call(&call))?;
        Ok(Self { asker, call, tenant })
    }
}

async fn named<T: DeserializeOwned + Send>(
    parts: &mut Parts,
    admin: &Arc<Admin>,
) -> Result<T, Problem> {
    let path = Path::from_request_parts(parts, admin).await;
    let Path(names) = path.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    Ok(names)
}

impl<T: DeserializeOwned> FromRequestParts<Arc<Admin>> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let query = axum::extract::Query::from_request_parts(parts, admin).await;
        query
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Admin>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, admin).await;
        let body = body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(BODY_BYTES_MAX),
            _ => Problem::bad_request(rejection.body_text()),
        })?;
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            Problem::bad_request(format!("the request's JSON is not as expected: {error}"))
        })
    }
}

pub(super) fn too_large(max: usize) -> Problem {
    Problem::too_large(format!("the request's body is longer than the {max} bytes that are taken"))
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: ToSchema> IntoResponses for Json<T> {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        let schema = Ref::from_schema_name(T::name());
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let done = ResponseBuilder::new().description("Done").content("application/json", content);
        BTreeMap::from([("200".to_owned(), done.build().into())])
    }
}

impl IntoResponses for OfTenant {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        refusals([
            (StatusCode::FORBIDDEN, "The token is for another tenant"),
            (StatusCode::NOT_FOUND, "There is no such tenant or version"),
        ])
    }
}

impl IntoResponses for OfCall {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        refusals([(StatusCode::NOT_FOUND, "There is no such live call")])
    }
}
