//! The operators' interface: JSON over HTTP on an address of its own.
//!
//! **One rule: what was asked is written down before it is done, done whole or not at all, and answered with
//! what came of it.** The words are those of the command line (`crate::cli::operator`), and
//! the document at `/openapi.json` describes them. It is made of the handlers' own types.
//!
//! [`access`] knows who may ask, [`ask`] reads what they ask, [`deploy`] changes versions, [`shadow`] has them
//! compared, [`calls`] looks after live calls, [`answers`] tells of tenants, [`problem`] refuses in sentences,
//! [`watch`] deploys what changes on disk.

mod access;
mod answers;
mod ask;
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
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi, RefOr, Required};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::audit::Audit;
use crate::config::AdminToken;
use crate::gateway::Gateway;
use crate::net::listen::Connection;
use crate::renewable::Renewable;
use access::{Operator, Tokens};
use ask::Json;
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
type Answer<T> = Result<Json<T>, Problem>;

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
        let (router, document) = described().split_for_parts();
        let document = document.to_json().expect("a document of strings and numbers is JSON");
        let served = move || {
            let document = document.clone();
            async move { ([(header::CONTENT_TYPE, "application/json")], document) }
        };
        router
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
            .route("/openapi.json", get(served))
            .with_state(self)
    }

    /// Writes down what is asked, has it done to its end even if the one who asked hangs up, and writes
    /// down what came of it.
    async fn audited<T: Serialize + Send + 'static>(
        &self,
        operator: &Operator,
        tenant: &str,
        what: &'static str,
        details: Value,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Answer<T> {
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

/// Everything that needs a token, and the document that describes it: what is added with `routes!` is in both.
fn described() -> OpenApiRouter<Arc<Admin>> {
    let mut described = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(deploy::tenants))
        .routes(routes!(deploy::versions))
        .routes(routes!(deploy::activate))
        .routes(routes!(deploy::canary))
        .routes(routes!(shadow::findings, shadow::cast))
        .routes(routes!(deploy::promote))
        .routes(routes!(deploy::rollback))
        .routes(routes!(deploy::migrate))
        .routes(routes!(deploy::policy))
        .routes(routes!(deploy::retire))
        .routes(routes!(calls::calls))
        .routes(routes!(calls::hang_up))
        .routes(routes!(calls::command))
        .routes(routes!(calls::drain))
        .routes(routes!(calls::metrics))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        // It bounds its body itself.
        .routes(routes!(deploy::deploy));
    bodies_may_be_left_out(described.get_openapi_mut());
    described
}

/// What the document says beside its operations.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Cordboard's admin API",
        version = "1",
        description = "Deploy tenants and look after live calls. The words are those of the command \
                       line. Every change is written to audit.jsonl in the tenants directory.",
    ),
    components(schemas(
        answers::Deployed, answers::Migrated, answers::Switched, answers::Tenant, answers::Tenants,
        answers::Versions, calls::Calls, calls::Draining, calls::Ordered, problem::Told,
        shadow::Shadow,
    )),
    security(("token" = [])),
    modifiers(&Token),
)]
struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut OpenApi) {
        let what = "A token of [admin] in the gateway's configuration, for all tenants or for one";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(what));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    }
}

/// No body is an empty object, so a body without a required field is itself not required.
fn bodies_may_be_left_out(document: &mut OpenApi) {
    let Some(components) = &document.components else { return };
    for path in document.paths.paths.values_mut() {
        let body = path.post.as_mut().and_then(|post| post.request_body.as_mut());
        let Some(RefOr::T(body)) = body else { continue };
        let schema = body.content.get("application/json").and_then(|json| match json {
            RefOr::T(json) => json.schema.as_ref(),
            RefOr::Ref(_) => None,
        });
        if schema.is_some_and(|schema| takes_an_empty_object(schema, components)) {
            body.required = Some(Required::False);
        }
    }
}

fn takes_an_empty_object(schema: &RefOr<Schema>, components: &Components) -> bool {
    let schema = match schema {
        RefOr::T(schema) => schema,
        RefOr::Ref(named) => {
            let name = named.ref_location.rsplit('/').next().unwrap_or_default();
            match components.schemas.get(name) {
                Some(RefOr::T(schema)) => schema,
                _ => return false,
            }
        }
    };
    matches!(schema, Schema::Object(object) if object.required.is_empty())
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
