//! The operators' interface: JSON over HTTP on an address of its own.
//!
//! **One rule: what was asked is written down before it is done, done whole or not at all, and answered with
//! what came of it.** The words are those of the command line (`crate::cli::operator`), and
//! `openapi.json`, served at `/openapi.json`, describes them.
//!
//! [`access`] knows who asks, [`deploy`] changes versions, [`calls`] looks after live calls, [`audit`] writes
//! down, [`problem`] refuses in sentences, [`watch`] deploys what changes on disk.

mod access;
mod calls;
mod deploy;
mod problem;
mod shadow;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cordboard_tenant::Deployment;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::audit::Audit;
use crate::config::AdminToken;
use crate::gateway::Gateway;
use crate::net::listen::Connection;
use crate::renewable::Renewable;
use access::{Operator, Tokens};
use problem::Problem;
pub(crate) use watch::Folders;
pub use watch::watch;

/// The admin API of one gateway.
pub struct Admin {
    gateway: Arc<Gateway>,
    tokens: Renewable<Tokens>,
    audit: Arc<Audit>,
    uploads: Uploads,
}

/// Uploads in memory at once; the next one waits with its bytes still on the wire.
///
/// **A tenant has one at a time**, so one that sends slowly, or often, is in nobody's way but its
/// own.
struct Uploads {
    all: Arc<Semaphore>,
    /// As many as there are tenants.
    of_tenant: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The right to have one upload in memory.
struct UploadPermit {
    _of_tenant: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Uploads of all tenants in memory at once. Eight: of the largest components they take 256 MiB.
const UPLOADS_MAX: usize = 8;

impl Uploads {
    fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(UPLOADS_MAX)), of_tenant: Mutex::default() }
    }

    /// Waits first for the tenant's other upload, then for other tenants'.
    async fn permit(&self, tenant: &str) -> Result<UploadPermit, Problem> {
        let of_tenant = {
            // A panic while it was held can only have left a semaphore too few.
            let mut all = self.of_tenant.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(tenant.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))))
        };
        let closing = |_| Problem::ours("the gateway is closing");
        Ok(UploadPermit {
            _of_tenant: of_tenant.acquire_owned().await.map_err(closing)?,
            _of_all: Arc::clone(&self.all).acquire_owned().await.map_err(closing)?,
        })
    }
}

/// Bytes of a request that is no upload, an operator's command to a call among them: as long as a tenant's
/// settings may be.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// An answer, or why there is none.
type Answer = Result<Json<Value>, Problem>;

impl Admin {
    /// Puts the admin API of a gateway together; no port is open yet.
    ///
    /// # Errors
    /// Nobody may ask: the configuration has no token.
    pub fn open(gateway: Arc<Gateway>) -> anyhow::Result<Arc<Self>> {
        let audit = gateway.audit.clone().context("the configuration has no admin token")?;
        Ok(Arc::new(Self {
            tokens: Renewable::new(Tokens::new(&gateway.config.admin.tokens)),
            audit,
            uploads: Uploads::new(),
            gateway,
        }))
    }

    /// Lets in those who show one of these tokens from now on, and nobody else.
    pub(crate) fn renew(&self, tokens: &[AdminToken]) {
        self.tokens.renew(Tokens::new(tokens));
    }

    /// All routes.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v1/tenants", get(deploy::tenants))
            .route("/v1/tenants/{tenant}/versions", get(deploy::versions))
            .route("/v1/tenants/{tenant}/activate", post(deploy::activate))
            .route("/v1/tenants/{tenant}/canary", post(deploy::canary))
            .route("/v1/tenants/{tenant}/shadow", get(shadow::findings).post(shadow::cast))
            .route("/v1/tenants/{tenant}/promote", post(deploy::promote))
            .route("/v1/tenants/{tenant}/rollback", post(deploy::rollback))
            .route("/v1/tenants/{tenant}/migrate", post(deploy::migrate))
            .route("/v1/tenants/{tenant}/policy", post(deploy::policy))
            .route("/v1/tenants/{tenant}/retire", post(deploy::retire))
            .route("/v1/calls", get(calls::calls))
            .route("/v1/calls/{call}/hang-up", post(calls::hang_up))
            .route("/v1/calls/{call}/command", post(calls::command))
            .route("/v1/drain", post(calls::drain))
            .route("/metrics", get(calls::metrics))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            // It bounds its body itself.
            .route("/v1/tenants/{tenant}/deploy", post(deploy::deploy))
            .fallback(|| async {
                Problem::new(
                    StatusCode::NOT_FOUND,
                    "no-such-path",
                    "there is no such path; see /openapi.json",
                )
            })
            .method_not_allowed_fallback(|| async {
                let message = "this path takes another method; see /openapi.json";
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", message)
            })
            .layer(middleware::from_fn_with_state(Arc::clone(&self), authenticate))
            .route("/openapi.json", get(openapi))
            .with_state(self)
    }

    /// The deployment of a tenant that this operator may touch. A foreign tenant is refused before it is looked
    /// for, so that nobody learns which ones there are.
    fn deployment(&self, operator: &Operator, tenant: &str) -> Result<Arc<Deployment>, Problem> {
        if !operator.may_touch(tenant) {
            let message = format!("this token is not for tenant `{tenant}`");
            return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-tenant", message));
        }
        self.gateway.tenants.deployment(tenant).cloned().ok_or_else(|| Problem::no_tenant(tenant))
    }

    /// Writes down what is asked, has it done to its end even if the one who asked hangs up, and writes
    /// down what came of it.
    async fn audited(
        &self,
        operator: &Operator,
        tenant: &str,
        what: &'static str,
        details: Value,
        work: impl Future<Output = Result<Value, Problem>> + Send + 'static,
    ) -> Answer {
        let (audit, who, tenant) =
            (Arc::clone(&self.audit), operator.who.clone(), tenant.to_owned());
        tracing::info!(who, tenant, what, %details, "an operator asks");
        let done = tokio::spawn(async move {
            let log = Arc::clone(&audit);
            let asked = blocking(move || log.asked(&who, &tenant, what, &details)).await?;
            let asked = asked.map_err(|error| {
                Problem::ours(format!(
                    "nothing was done, since the audit log can not be written: {error}"
                ))
            })?;
            let result = work.await;
            let outcome = match &result {
                Ok(answer) => json!({ "done": answer }),
                Err(problem) => json!({ "refused": problem.kind, "message": problem.message }),
            };
            blocking(move || audit.came_of_it(&asked, &outcome)).await?;
            result.map(Json)
        });
        done.await.map_err(|_| Problem::ours("the gateway failed at it; see its log"))?
    }
}

/// Lets in only who shows a token that is known.
async fn authenticate(
    State(admin): State<Arc<Admin>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let Some(token) = token else {
        let message = "show a token: `Authorization: Bearer ..` (the command deployment takes CORDBOARD_ADMIN_TOKEN)";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "no-token", message));
    };
    let Some(operator) = admin.tokens.now().recognise(token).cloned() else {
        let message =
            "this token is not known here; it is one of [admin] in the gateway's configuration";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong-token", message));
    };
    if let Some(connection) = request.extensions().get::<Connection>() {
        connection.proven();
    }
    request.extensions_mut().insert(operator);
    Ok(next.run(request).await)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

/// A body that was read, or why it was not.
type Body = Result<Bytes, BytesRejection>;

fn too_large(max: usize) -> Problem {
    Problem::too_large(format!("the request's body is longer than the {max} bytes that are taken"))
}

/// Reads a JSON body; an empty one is an empty object.
fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(BODY_BYTES_MAX),
        _ => Problem::bad_request(rejection.body_text()),
    })?;
    let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
    serde_json::from_slice(text).map_err(|error| {
        Problem::bad_request(format!("the request's JSON is not as expected: {error}"))
    })
}

/// Does what waits for a disk or the compiler where waiting is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Problem::ours("the gateway failed at it; see its log"))
}

#[cfg(test)]
mod upload_tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_tenants_uploads_are_not_in_anothers_way() {
        let uploads = Uploads::new();
        let half_sent = uploads.permit("a").await.unwrap();
        let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(uploads.permit("a"))).collect();
        assert!(waiting.iter_mut().all(|it| it.now_or_never().is_none()));

        assert!(uploads.permit("b").now_or_never().is_some(), "b waits for a");
        drop(half_sent);
        let served = waiting.iter_mut().filter_map(|it| it.now_or_never()).count();
        assert_eq!(served, 20, "each of a's was taken after the other");
    }
}
