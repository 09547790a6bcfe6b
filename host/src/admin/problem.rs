//! What an operator is told when something was not done.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cordboard_tenant::version_store::{Refused, VersionStoreError};
use cordboard_tenant::{DeploymentError, Flaw, VetError};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, response};
use utoipa::{IntoResponses, ToSchema};

/// A refusal: for programs a kind, for people a sentence that says what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) message: String,
}

/// A refusal as it is answered
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Told {
    error: What,
}

/// What was not done
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemDetails)]
struct What {
    /// For programs
    kind: &'static str,
    /// For people: what to do instead
    message: String,
}

/// What an operation that reads a request's body may be refused with.
pub(super) enum Unreadable {}

/// What an operation that needs versions or a call in a certain state may be refused with.
pub(super) enum NotNow {}

/// What an operation about all tenants may be refused with.
pub(super) enum Foreign {}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into() }
    }

    pub(super) fn no_tenant(tenant: &str) -> Self {
        let message = format!(
            "there is no tenant `{tenant}`; make the folder {tenant}/ with a tenant.toml in the tenants \
             directory and restart, or ask `tenants` for those there are"
        );
        Self::new(StatusCode::NOT_FOUND, "unknown-tenant", message)
    }

    pub(super) fn no_call(call: &str) -> Self {
        let message = format!("there is no live call {call}; ask `calls` for those there are");
        Self::new(StatusCode::NOT_FOUND, "unknown-call", message)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    pub(super) fn ours(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "gateway-failed", message)
    }

    pub(super) fn foreign(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign-tenant", message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Told { error: What { kind: self.kind, message: self.message } };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer realm=\"cordboard\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// What the document says of refusals with these statuses.
pub(super) fn refusals<const N: usize>(
    all: [(StatusCode, &str); N],
) -> BTreeMap<String, RefOr<response::Response>> {
    let refusal = |(status, description): (StatusCode, &str)| {
        let schema = Ref::from_schema_name(Told::name());
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let told = ResponseBuilder::new().description(description);
        (status.as_str().to_owned(), told.content("application/json", content).build().into())
    };
    all.map(refusal).into()
}

/// What every operation may be refused with.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        refusals([
            (StatusCode::UNAUTHORIZED, "No token, or one that is not known"),
            (StatusCode::INTERNAL_SERVER_ERROR, "The gateway failed at it; see its log"),
        ])
    }
}

impl IntoResponses for Unreadable {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        refusals([
            (StatusCode::BAD_REQUEST, "The request makes no sense"),
            (StatusCode::PAYLOAD_TOO_LARGE, "The request's body is too long"),
        ])
    }
}

impl IntoResponses for NotNow {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        let what = "The state of the versions or of the call does not allow it";
        refusals([(StatusCode::CONFLICT, what)])
    }
}

impl IntoResponses for Foreign {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        refusals([(StatusCode::FORBIDDEN, "The token is for one tenant")])
    }
}

impl From<DeploymentError> for Problem {
    fn from(error: DeploymentError) -> Self {
        let message = error.to_string();
        match error {
            DeploymentError::Vet(error) => error.into(),
            DeploymentError::VersionStore(error) => error.into(),
            DeploymentError::Flawed(flaw) => flaw.into(),
            DeploymentError::Manifest(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "tenant-file", message)
            }
            DeploymentError::NoCapacity => {
                Self::new(StatusCode::CONFLICT, "no-tenants-directory", message)
            }
            DeploymentError::File { .. } => Self::ours(message),
        }
    }
}

impl From<VetError> for Problem {
    fn from(error: VetError) -> Self {
        let kind = match &error {
            VetError::NotWasm { .. } => "not-wasm",
            VetError::CoreModule => "core-module",
            VetError::Malformed(_) => "malformed-component",
            VetError::TooBig { .. } => return Self::too_large(error.to_string()),
            VetError::WrongWorld { .. } => "wrong-world",
            VetError::MissingExport => "missing-export",
            VetError::WrongVersion { .. } => "wrong-contract-version",
            VetError::UnknownImport { .. } => "unknown-import",
            VetError::WrongTypes(_) => "wrong-types",
            VetError::TooGreedy { .. } => "too-greedy",
            VetError::DoesNotCompile(_) => "does-not-compile",
            VetError::CompileTimeout(_) => "compile-timeout",
            VetError::CompileCpu(_) => "compile-cpu",
            VetError::CompileMemory { .. } => "compile-memory",
            VetError::CompiledTooBig { .. } => "compiled-too-big",
            VetError::CompilerFailed(_) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return Self::new(status, "compiler-failed", error.to_string());
            }
            VetError::TooManyWaiting(_) => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                return Self::new(status, "too-many-waiting", error.to_string());
            }
            VetError::CompilerBusy(_) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return Self::new(status, "compiler-busy", error.to_string());
            }
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, error.to_string())
    }
}

impl From<Flaw> for Problem {
    fn from(flaw: Flaw) -> Self {
        let message = format!("{flaw}. Nothing was deployed");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "rehearsal-failed", message)
    }
}

impl From<VersionStoreError> for Problem {
    fn from(error: VersionStoreError) -> Self {
        let message = error.to_string();
        match error {
            VersionStoreError::Refused(refused) => refused.into(),
            VersionStoreError::TooLarge { .. } => Self::too_large(message),
            VersionStoreError::Busy { .. } => Self::new(StatusCode::CONFLICT, "busy", message),
            VersionStoreError::Broken { .. } | VersionStoreError::Missing { .. } => {
                Self::new(StatusCode::CONFLICT, "broken-release-state", message)
            }
            VersionStoreError::Tampered { .. } => {
                Self::new(StatusCode::CONFLICT, "tampered", message)
            }
            VersionStoreError::Disk { .. } => Self::ours(message),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let (status, kind) = match &refused {
            Refused::NoSuchVersion { .. } => (StatusCode::NOT_FOUND, "unknown-version"),
            Refused::WasRolledBack { .. } => (StatusCode::CONFLICT, "was-rolled-back"),
            Refused::NothingActive(_) => (StatusCode::CONFLICT, "nothing-active"),
            Refused::ActiveAlready(_) => (StatusCode::CONFLICT, "active-already"),
            Refused::NoCandidate => (StatusCode::CONFLICT, "no-canary"),
            Refused::NotTheLatest { .. } => (StatusCode::CONFLICT, "not-the-latest"),
            Refused::NoShadow => (StatusCode::CONFLICT, "no-shadow"),
            Refused::NothingEarlier => (StatusCode::CONFLICT, "nothing-earlier"),
            Refused::InUse { .. } => (StatusCode::CONFLICT, "in-use"),
            Refused::TooLong { .. } => (StatusCode::BAD_REQUEST, "too-long"),
            Refused::NamesUsedUp => (StatusCode::CONFLICT, "names-used-up"),
        };
        Self::new(status, kind, refused.to_string())
    }
}
