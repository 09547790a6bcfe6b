//! The carrier's HTTP requests: a call is coming, its stream, what comes afterwards.
//!
//! **One rule: nothing is believed, and nothing is opened, before the signature is right.** The
//! signature covers the URL the carrier was given, so it is checked against the configured public
//! origin and the raw path and query, never against headers a proxy or a stranger may set.

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Path, Request, State, WebSocketUpgrade};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use cordboard_tenant::Deployment;
use cordboard_wire::twilio::{
    self, CallDirection, ConnectStream, Rejection, StreamEvent, StreamStatus, Webhook, WebhookError,
};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::calls::stream as calls;
use crate::config::PublicUrl;
use crate::gateway::Gateway;
use crate::logging::OUTSIDE;
use crate::model::Connecting;
use crate::net::listen::Connection;
use crate::shared::admissions::{Admission, Full, PendingCall};
use crate::shared::expiring_map::StreamToken;
use crate::twilio::stream_paths::StreamPaths;

const NO_MEMORY: &str = "We can not take another call at the moment. Please try again later.";

/// Twilio's forms are a few hundred bytes; StirPassport and CallToken may add some kilobytes.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// The carrier sends a form in one packet or two, and waits 15 s for the whole answer.
const FORM_WITHIN: Duration = Duration::from_secs(5);

/// The carrier's messages are under 1 KiB; 64 KiB is what Twilio's own samples allow.
const STREAM_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// About 1,000 frames, 20 s of speech: a carrier that far behind is lost.
const STREAM_WRITE_BYTES_MAX: usize = 256 * 1024;

/// All routes the carrier uses.
pub(crate) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/incoming-call", get(incoming_call).post(incoming_call))
        .route("/api/webhooks/twilio/voice", get(incoming_call).post(incoming_call))
        .route(
            "/t/{tenant}/incoming-call",
            get(incoming_call_for_tenant).post(incoming_call_for_tenant),
        )
        .route("/media/{token}", get(stream))
        .route("/stream-status", post(stream_status))
        .route("/after-stream", post(after_stream))
}

async fn incoming_call(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (webhook, origin) = match announced(&gateway, request).await {
        Ok(both) => both,
        Err(answer) => return answer,
    };
    // Of a call that we placed, the number called is a stranger's.
    let ours = match webhook.direction {
        CallDirection::Inbound | CallDirection::Unknown => &webhook.to,
        CallDirection::OutboundApi | CallDirection::OutboundDial => &webhook.from,
    };
    let Some(deployment) = gateway.tenants.for_number(ours.as_deref().unwrap_or_default()) else {
        gateway.metrics.refuse("unknown-number");
        warn!(
            target: OUTSIDE,
            call = webhook.call_sid,
            "a call was turned away: no tenant claims its number"
        );
        return not_in_service();
    };
    promise(&gateway, webhook, &origin, deployment)
}

async fn incoming_call_for_tenant(
    State(gateway): State<Arc<Gateway>>,
    Path(tenant): Path<String>,
    request: Request,
) -> Response {
    let (webhook, origin) = match announced(&gateway, request).await {
        Ok(both) => both,
        Err(answer) => return answer,
    };
    let Some(deployment) = gateway.tenants.deployment(&tenant) else {
        gateway.metrics.refuse("unknown-tenant");
        warn!(
            target: OUTSIDE,
            call = webhook.call_sid,
            "a call was turned away: no tenant has the id in its path"
        );
        return (StatusCode::NOT_FOUND, "no tenant has this id\n").into_response();
    };
    promise(&gateway, webhook, &origin, deployment)
}

/// Receives what was sent to a voice URL. An error is the answer to what announces no call.
async fn announced(gateway: &Gateway, request: Request) -> Result<(Webhook, PublicUrl), Response> {
    let received = SignedForm::receive(gateway, request).await.and_then(SignedForm::webhook);
    let (webhook, origin) = received.map_err(IntoResponse::into_response)?;
    if !webhook.is_status_callback() {
        return Ok((webhook, origin));
    }
    // A number's status callback is often set to its voice URL. It must not open anything.
    debug!(call = webhook.call_sid, status = ?webhook.call_status, "call status");
    if webhook.call_status.is_final() {
        gateway.forget_pending(&webhook.call_sid);
    }
    Err(StatusCode::NO_CONTENT.into_response())
}

/// Answers with TwiML that connects the call to us, and starts connecting the model.
fn promise(
    gateway: &Arc<Gateway>,
    webhook: Webhook,
    origin: &PublicUrl,
    deployment: &Deployment,
) -> Response {
    let earlier =
        webhook.idempotency_token.as_deref().and_then(|key| gateway.admissions.earlier_answer(key));
    if let Some(twiml) = earlier {
        return xml(twiml);
    }
    if gateway.admissions.is_draining() {
        gateway.metrics.refuse("draining");
        return (StatusCode::SERVICE_UNAVAILABLE, "draining: send new calls elsewhere\n")
            .into_response();
    }
    let permit = match gateway.admissions.permit(deployment, &webhook.call_sid) {
        Ok(permit) => permit,
        Err(full) => {
            gateway.metrics.refuse(match full {
                Full::Process => "process-full",
                Full::Tenant => "tenant-full",
                Full::TenantCpu => "tenant-over-share",
                Full::OutOfService => "tenant-broken",
                Full::TenantMemory => "tenant-memory",
                Full::ProcessMemory => "process-memory",
            });
            warn!(
                target: OUTSIDE,
                tenant = %deployment.id(),
                ?full,
                "a call was turned away"
            );
            return match full {
                Full::Process | Full::Tenant | Full::TenantCpu => {
                    xml(twilio::reject(Rejection::Busy))
                }
                Full::OutOfService => not_in_service(),
                // It may last as long as the calls that hold the memory, so words tell more than a tone.
                Full::TenantMemory | Full::ProcessMemory => xml(twilio::say_and_hang_up(NO_MEMORY)
                    .expect("the sentence is shorter than the longest allowed")),
            };
        }
    };
    let token = match StreamToken::draw() {
        Ok(token) => token,
        Err(error) => {
            return broken(gateway, &format!("no randomness for a stream token: {error}"));
        }
    };
    let parameters = [("tenant".to_owned(), deployment.id().to_string())];
    let paths = StreamPaths::new(origin, &token);
    let twiml =
        match twilio::connect_stream(&ConnectStream { parameters: &parameters, ..paths.connect() })
        {
            Ok(twiml) => twiml,
            Err(error) => return broken(gateway, &error.to_string()),
        };
    info!(call = webhook.call_sid, tenant = %deployment.id(), version = permit.version().name, "a call comes in");
    let pending = PendingCall {
        model: Connecting::begin(gateway.model.now()),
        call_sid: webhook.call_sid,
        outbound: match webhook.direction {
            CallDirection::Inbound | CallDirection::Unknown => false,
            CallDirection::OutboundApi | CallDirection::OutboundDial => true,
        },
        caller: webhook.from,
        callee: webhook.to,
        permit,
    };
    if !gateway.admissions.admit(token, Admission::Call(Box::new(pending))) {
        gateway.metrics.refuse("process-full");
        return xml(twilio::reject(Rejection::Busy));
    }
    if let Some(key) = webhook.idempotency_token {
        gateway.admissions.remember_answer(key, twiml.clone());
    }
    xml(twiml)
}

/// What a caller hears whose number nobody answers.
fn not_in_service() -> Response {
    let twiml = twilio::say_and_hang_up("This number is not in service at the moment.");
    xml(twiml.unwrap_or_else(|_| twilio::hang_up()))
}

async fn stream(
    State(gateway): State<Arc<Gateway>>,
    Path(token): Path<String>,
    connection: Option<Extension<Connection>>,
    headers: HeaderMap,
    uri: Uri,
    upgrade: WebSocketUpgrade,
) -> Response {
    let checked = origin(&gateway, &headers).and_then(|origin| {
        let url = origin.ws(path_and_query(&uri));
        check_signature(&gateway, connection.as_deref(), &headers, &url, &[])
    });
    if let Err(refused) = checked {
        return refused.into_response();
    }
    let Some(admission) = gateway.admissions.redeem(&StreamToken::presented(&token)) else {
        gateway.metrics.refuse("unknown-stream-token");
        return (
            StatusCode::FORBIDDEN,
            "this stream token was used, has expired, or was never given\n",
        )
            .into_response();
    };
    upgrade
        .max_message_size(STREAM_MESSAGE_BYTES_MAX)
        .max_frame_size(STREAM_MESSAGE_BYTES_MAX)
        .write_buffer_size(0)
        .max_write_buffer_size(STREAM_WRITE_BYTES_MAX)
        .on_upgrade(move |socket| calls::run(gateway, socket, admission))
}

async fn stream_status(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let status =
        match SignedForm::receive(&gateway, request).await.and_then(SignedForm::stream_status) {
            Ok(status) => status,
            Err(refused) => return refused.into_response(),
        };
    let (call, stream) = (status.call_sid, status.stream_sid);
    match status.event {
        StreamEvent::Error => {
            gateway.metrics.refuse("stream-error");
            // The carrier never tries a stream again.
            gateway.forget_pending(&call);
            warn!(
                target: OUTSIDE,
                call,
                stream,
                error = status.error,
                "the carrier could not keep its stream to us"
            );
        }
        StreamEvent::Started | StreamEvent::Stopped | StreamEvent::Unknown => {
            debug!(call, stream, event = ?status.event, "stream status");
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

/// The carrier asks what to do with a call whose stream is over, or never came about.
async fn after_stream(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let webhook = match SignedForm::receive(&gateway, request).await.and_then(SignedForm::webhook) {
        Ok((webhook, _)) => webhook,
        Err(refused) => return refused.into_response(),
    };
    // The carrier is past the stream, so one that has not come will not come.
    gateway.forget_pending(&webhook.call_sid);
    if gateway.calls.has_ended(&webhook.call_sid) {
        return xml(twilio::hang_up());
    }
    // Nobody spoke to this caller, or whoever did is gone.
    let sorry = "We are sorry, there is a technical problem. Please try again later.";
    xml(twilio::say_and_hang_up(sorry).expect("the sentence is shorter than the longest allowed"))
}

/// A form whose signature was right.
struct SignedForm<'a> {
    gateway: &'a Gateway,
    origin: PublicUrl,
    pairs: Vec<(String, String)>,
    idempotency_token: Option<String>,
}

impl<'a> SignedForm<'a> {
    async fn receive(gateway: &'a Gateway, request: Request) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let Ok(read) = timeout(FORM_WITHIN, to_bytes(body, FORM_BYTES_MAX)).await else {
            gateway.metrics.refuse("form-too-slow");
            let text = format!("a webhook form may take {} s at most", FORM_WITHIN.as_secs());
            return Err(Refused(StatusCode::REQUEST_TIMEOUT, text));
        };
        let Ok(bytes) = read else {
            gateway.metrics.refuse("form-too-large");
            let text = format!("a webhook form may have {FORM_BYTES_MAX} bytes at most");
            return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, text));
        };
        let form: Vec<(String, String)> = form_urlencoded::parse(&bytes).into_owned().collect();
        let origin = origin(gateway, &parts.headers)?;
        let url = origin.http(path_and_query(&parts.uri));
        check_signature(gateway, parts.extensions.get(), &parts.headers, &url, &form)?;
        // A number may be set to GET: its parameters are in the query, which the signed URL covers.
        let pairs = match parts.method {
            Method::GET => {
                let query = parts.uri.query().unwrap_or_default().as_bytes();
                form_urlencoded::parse(query).into_owned().collect()
            }
            _ => form,
        };
        let idempotency_token =
            text_of(&parts.headers, "i-twilio-idempotency-token").map(str::to_owned);
        Ok(Self { gateway, origin, pairs, idempotency_token })
    }

    fn webhook(self) -> Result<(Webhook, PublicUrl), Refused> {
        let webhook = Webhook::parse(self.pairs, self.idempotency_token);
        Ok((webhook.map_err(|error| malformed(self.gateway, &error))?, self.origin))
    }

    fn stream_status(self) -> Result<StreamStatus, Refused> {
        StreamStatus::parse(&self.pairs).map_err(|error| malformed(self.gateway, &error))
    }
}

/// An answer other than the one asked for.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

fn malformed(gateway: &Gateway, error: &WebhookError) -> Refused {
    gateway.metrics.refuse("malformed-webhook");
    Refused(StatusCode::BAD_REQUEST, error.to_string())
}

fn check_signature(
    gateway: &Gateway,
    connection: Option<&Connection>,
    headers: &HeaderMap,
    url: &str,
    form: &[(String, String)],
) -> Result<(), Refused> {
    let keys = gateway.signing_keys.now();
    let Some(keys) = &*keys else {
        // The operator said so in the configuration, and was warned at start.
        return Ok(());
    };
    let given = text_of(headers, "x-twilio-signature").unwrap_or("");
    if let Err(error) = twilio::verify(keys, url, form, given) {
        gateway.metrics.refuse("signature");
        // Not the URL: a stream's path holds its token.
        warn!(target: OUTSIDE, %error, "a request was refused");
        let text = "X-Twilio-Signature is missing or wrong".to_owned();
        return Err(Refused(StatusCode::FORBIDDEN, text));
    }
    if let Some(connection) = connection {
        connection.proven();
    }
    Ok(())
}

/// The origin the carrier was given, which is what it signs. Only a host that checks no signatures
/// may go without one configured; it believes the request's `Host` as it believes all else.
fn origin(gateway: &Gateway, headers: &HeaderMap) -> Result<PublicUrl, Refused> {
    if let Some(origin) = &gateway.origin {
        return Ok(origin.clone());
    }
    let host = text_of(headers, "host").unwrap_or("");
    format!("http://{host}").parse().or_else(|_| format!("https://{host}").parse()).map_err(
        |error| {
            gateway.metrics.refuse("malformed-webhook");
            Refused(StatusCode::BAD_REQUEST, format!("the Host header names no origin: {error}"))
        },
    )
}

fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |both| both.as_str())
}

fn xml(twiml: String) -> Response {
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], twiml).into_response()
}

fn broken(gateway: &Gateway, why: &str) -> Response {
    gateway.metrics.refuse("our-fault");
    tracing::error!(why, "a call could not be answered");
    (StatusCode::INTERNAL_SERVER_ERROR, "the gateway could not answer this call\n").into_response()
}
