//! The carrier's REST interface, as far as a gateway uses it on a live call.
//!
//! `POST /2010-04-01/Accounts/{AC}/Calls/{CA}.json` with `Status=completed` or `Twiml=…`, `GET` of the same, Basic authentication, and
//! the errors a client must survive: 401 (20003), 404 (20404), 429 (20429), 400 (21220).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, RawForm, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Carrier, Control};

/// A request the server was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// The path.
    pub path: String,
    /// The form, empty for `GET`.
    pub form: Vec<(String, String)>,
    /// The status it was answered with.
    pub status: u16,
}

/// An answer to give instead of the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestFault {
    /// 429, code 20429.
    TooManyRequests,
    /// 500 without a body of use.
    ServerError,
}

/// A REST server that is up. It ends when dropped.
#[derive(Debug)]
pub struct RestServer {
    address: SocketAddr,
    state: RestState,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct RestState {
    carrier: Carrier,
    // Requests come in on any task and a test reads them from its own.
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<RestRequest>,
    faults: VecDeque<RestFault>,
}

impl Carrier {
    /// Opens the REST interface of this account on a free loopback port.
    pub async fn start_rest(&self) -> std::io::Result<RestServer> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = RestState { carrier: self.clone(), seen: Arc::default() };
        let app = Router::new()
            .route("/2010-04-01/Accounts/{account}/Calls/{call}", get(answer).post(answer))
            .with_state(state.clone());
        let task = tokio::spawn(async move {
            if let Err(e) = axum::serve(listener, app).await {
                tracing::warn!(error = %e, "the REST server ended");
            }
        });
        Ok(RestServer { address, state, task })
    }
}

impl RestServer {
    /// Returns the base to use instead of `https://api.twilio.com`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the next requests with these faults, in order.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = RestFault>) {
        self.seen().faults.extend(faults);
    }

    /// Returns every request so far.
    pub fn requests(&self) -> Vec<RestRequest> {
        self.seen().requests.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(state): State<RestState>,
    Path((account, call)): Path<(String, String)>,
    method: axum::http::Method,
    headers: HeaderMap,
    form: Result<RawForm, axum::extract::rejection::RawFormRejection>,
) -> Response {
    let form: Vec<(String, String)> = match (&method, form) {
        (&axum::http::Method::POST, Ok(RawForm(bytes))) => {
            form_urlencoded::parse(&bytes).into_owned().collect()
        }
        _ => Vec::new(),
    };
    let path = format!("/2010-04-01/Accounts/{account}/Calls/{call}");
    let fault = state.seen.lock().unwrap_or_else(PoisonError::into_inner).faults.pop_front();
    let (status, body) = decide(&state.carrier, &account, &call, &method, &headers, &form, fault);
    state.seen.lock().unwrap_or_else(PoisonError::into_inner).requests.push(RestRequest {
        method: method.to_string(),
        path,
        form,
        status: status.as_u16(),
    });
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn decide(
    carrier: &Carrier,
    account: &str,
    call: &str,
    method: &axum::http::Method,
    headers: &HeaderMap,
    form: &[(String, String)],
    fault: Option<RestFault>,
) -> (StatusCode, serde_json::Value) {
    let config = carrier.config();
    let refuse = |status: StatusCode, code: u16, message: &str| {
        let more = format!("https://www.twilio.com/docs/errors/{code}");
        let body = json!({ "code": code, "message": message, "more_info": more, "status": status.as_u16() });
        (status, body)
    };
    match fault {
        Some(RestFault::TooManyRequests) => {
            return refuse(StatusCode::TOO_MANY_REQUESTS, 20429, "Too Many Requests");
        }
        Some(RestFault::ServerError) => {
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, 20500, "Internal Server Error");
        }
        None => {}
    }
    let wanted = format!("Basic {}", STANDARD.encode(format!("{account}:{}", config.auth_token)));
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    if given != Some(wanted.as_str()) || account != config.account_sid {
        return refuse(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
    }
    let missing = || {
        let message = format!(
            "The requested resource /2010-04-01/Accounts/{account}/Calls/{call} was not found"
        );
        refuse(StatusCode::NOT_FOUND, 20404, &message)
    };
    let Some(sid) = call.strip_suffix(".json") else { return missing() };
    if !carrier.live().contains_key(sid) {
        return missing();
    }
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
    let mut status = "in-progress";
    if *method == axum::http::Method::POST {
        match (field("Status"), field("Twiml"), field("Url")) {
            (Some("completed"), None, None) => {
                status = "completed";
                if !carrier.control(sid, Control::Complete) {
                    return missing();
                }
            }
            (None, Some(twiml), None) if twiml.chars().count() > 4000 => {
                return refuse(
                    StatusCode::BAD_REQUEST,
                    21605,
                    "Twiml must be at most 4000 characters",
                );
            }
            (None, Some(twiml), None) => {
                if !carrier.control(sid, Control::Update(twiml.to_owned())) {
                    return missing();
                }
            }
            (Some("canceled"), ..) => {
                return refuse(
                    StatusCode::BAD_REQUEST,
                    21220,
                    "Call is not in-progress. Cannot redirect.",
                );
            }
            _ => {
                return refuse(StatusCode::BAD_REQUEST, 20001, "Status, Twiml or Url is required");
            }
        }
    }
    let body = json!({
        "sid": sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "status": status,
        "direction": "inbound",
        "uri": format!("/2010-04-01/Accounts/{account}/Calls/{sid}.json"),
    });
    (StatusCode::OK, body)
}
