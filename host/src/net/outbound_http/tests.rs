//! Requests against a server of a few lines, on loopback.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method as Verb, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use cordboard_call::contract::HttpFailure;
use tokio::net::TcpListener;

use super::*;

const TOKEN: &str = "very-secret-token";

#[tokio::test]
async fn a_request_under_the_allowlist_arrives_whole() {
    let server = Server::start().await;
    let answer =
        server.ask("POST", "/v1/orders?id=7", &[("x-kind", "test")], b"{\"a\":1}").await.unwrap();
    assert_eq!((answer.status, answer.token), (200, 9));
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].verb.as_str(), seen[0].uri.as_str()), ("POST", "/v1/orders?id=7"));
    assert_eq!(
        (seen[0].headers["x-kind"].as_bytes(), &seen[0].body[..]),
        (&b"test"[..], &b"{\"a\":1}"[..])
    );
}

#[tokio::test]
async fn a_request_elsewhere_is_refused_and_never_sent() {
    let server = Server::start().await;
    for path in ["/v2", "/v10", "/v1/../admin", "/v1/..%2fadmin", "/v1/%2E%2e%5Cadmin", "/"] {
        let failure = server.ask("GET", path, &[], b"").await.unwrap_err();
        assert!(failure.reason.contains("http.allow"), "{path}: {}", failure.reason);
    }
    let elsewhere = request("GET", "http://127.0.0.1:9/v1/", &[], b"");
    assert!(server.execute(elsewhere).await.unwrap_err().reason.contains("http.allow"));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_secret_is_put_into_a_header_and_taken_out_of_the_answer() {
    let server = Server::start().await;
    let headers = [("authorization", "Bearer {{secret:CRM_TOKEN}}")];
    let answer = server.ask("GET", "/v1/echo", &headers, b"").await.unwrap();
    assert_eq!(server.seen()[0].headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(answer.body, b"you sent Bearer [hidden]");
    let echoed = answer.headers.iter().find(|(name, _)| name == "x-echo").unwrap();
    assert_eq!(echoed.1, "Bearer [hidden]");
}

#[tokio::test]
async fn a_tenant_that_used_up_its_requests_sends_no_more() {
    let server = Server::start().await;
    let policy = policy(&format!("allow = ['{}/v1']\nrequests_per_minute = 2", server.origin));
    let server = Server { policy, ..server };
    for _ in 0..2 {
        server.ask("GET", "/v1/", &[], b"").await.unwrap();
    }
    let refused = server.ask("GET", "/v2", &[], b"").await.unwrap_err();
    assert!(refused.reason.contains("http.allow"), "what is not sent costs nothing");

    let failure = server.ask("GET", "/v1/", &[], b"").await.unwrap_err();

    assert!(failure.reason.contains("http.requests_per_minute"), "{}", failure.reason);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn an_answer_beyond_the_bytes_that_are_left_is_not_read_to_its_end() {
    let server = Server::start().await;
    let policy = policy(&format!("allow = ['{}/v1']\nmib_in_per_hour = 1", server.origin));
    let server = Server { policy, ..server };
    let most = server.policy.budget().bytes_in_per_hour;
    server.spending.received(server.policy.budget(), most - 500, Instant::now()).unwrap();

    let failure = server.ask("GET", "/v1/large", &[], b"").await.unwrap_err();
    assert!(failure.reason.contains("http.mib_in_per_hour"), "{}", failure.reason);

    let failure = server.ask("GET", "/v1/", &[], b"").await.unwrap_err();
    assert!(failure.reason.contains("http.mib_in_per_hour"), "{}", failure.reason);
    assert_eq!(server.seen().len(), 1, "nothing is asked whose answer could not be read");
}

#[tokio::test]
async fn a_secret_is_sent_to_its_own_server_alone() {
    let (crm, other) = (Server::start().await, Server::start().await);
    let both = policy(&format!(
        "allow = ['{}/v1', '{}/v1']\nsecrets = [{{ name = 'CRM_TOKEN', origins = ['{}'] }}]",
        crm.origin, other.origin, crm.origin
    ));
    let headers = [("authorization", "Bearer {{secret:CRM_TOKEN}}")];
    let to = |server: &Server| request("GET", &format!("{}/v1/", server.origin), &headers, b"");

    let failed = crm.http.execute(&both, &crm.spending, to(&other)).await.unwrap_err();

    let Failed::OverLimit(over) = &failed else { panic!("{failed}") };
    assert_eq!(over.limit, "http.secrets");
    assert!(over.reason.contains("CRM_TOKEN is not for http://127.0.0.1"), "{over}");
    assert!(other.seen().is_empty(), "nothing was sent at all");
    crm.http.execute(&both, &crm.spending, to(&crm)).await.unwrap();
    assert_eq!(crm.seen()[0].headers["authorization"], format!("Bearer {TOKEN}"));
}

#[tokio::test]
async fn a_secret_that_an_earlier_request_left_at_the_server_is_taken_out_too() {
    let server = Server::start().await;
    let answer = server.ask("GET", "/v1/leak", &[], b"").await.unwrap();
    assert_eq!(answer.body, b"it was [hidden]");
}

#[tokio::test]
async fn a_secret_of_others_is_refused_as_if_it_did_not_exist() {
    let server = Server::start().await;
    let mut reasons = Vec::new();
    for name in ["OTHERS_TOKEN", "NO_SUCH_TOKEN"] {
        let value = format!("{{{{secret:{name}}}}}");
        let failure =
            server.ask("GET", "/v1/", &[("authorization", &value)], b"").await.unwrap_err();
        reasons.push(failure.reason);
    }
    assert_eq!(reasons[0], reasons[1]);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_secret_is_not_put_into_a_url() {
    let server = Server::start().await;
    let failure = server.ask("GET", "/v1/?key={{secret:CRM_TOKEN}}", &[], b"").await.unwrap_err();
    assert!(failure.reason.contains("header values only"), "{}", failure.reason);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn headers_that_route_or_frame_a_message_are_refused() {
    let server = Server::start().await;
    for (name, value) in
        [("Host", "evil.test"), ("Transfer-Encoding", "chunked"), ("x\r\ny", "z"), ("x", "a\r\nb")]
    {
        let failure = server.ask("GET", "/v1/", &[(name, value)], b"").await.unwrap_err();
        assert!(failure.reason.starts_with("refused"), "{name:?}: {}", failure.reason);
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn methods_that_show_what_was_added_are_refused() {
    let server = Server::start().await;
    for method in ["TRACE", "CONNECT", "get", "G T"] {
        assert!(
            server.ask(method, "/v1/", &[], b"").await.unwrap_err().reason.starts_with("refused")
        );
    }
}

#[tokio::test]
async fn a_redirect_is_handed_to_the_tenant_and_not_followed() {
    let server = Server::start().await;
    let answer = server.ask("GET", "/v1/redirect", &[], b"").await.unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_a_failure() {
    let server = Server::start().await;
    let failure = server.ask("GET", "/v1/large", &[], b"").await.unwrap_err();
    assert!(failure.reason.contains("larger than 1000 bytes"), "{}", failure.reason);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let failure = server.ask("POST", "/v1/", &[], &[0; 1001]).await.unwrap_err();
    assert!(failure.reason.contains("larger than 1000 bytes"), "{}", failure.reason);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_at_the_requests_timeout() {
    let server = Server::start().await;
    let mut request = request("GET", &format!("{}/v1/never", server.origin), &[], b"");
    request.timeout_ms = 50;
    let failure = server.execute(request).await.unwrap_err();
    assert_eq!(failure.reason, "no answer within 50 ms");
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_when_connecting() {
    // `localhost` stands for any name here; only the resolver of the public client is asked.
    let resolved = PublicOnly.resolve("localhost".parse().unwrap()).await;
    let error = resolved.err().expect("refused");
    assert!(error.to_string().contains("private"), "{error}");
}

#[tokio::test]
async fn a_failed_connection_names_neither_the_url_nor_a_secret() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let policy = policy(&format!("allow = ['{origin}/']\nsecrets = ['CRM_TOKEN']"));
    let request =
        request("GET", &format!("{origin}/private-path"), &[("x", "{{secret:CRM_TOKEN}}")], b"");
    let failure = Server { policy, ..server }.execute(request).await.unwrap_err();
    assert!(failure.reason.starts_with("the connection failed"), "{}", failure.reason);
    assert!(!failure.reason.contains("private-path") && !failure.reason.contains(TOKEN));
}

struct Server {
    origin: String,
    policy: HttpPolicy,
    spending: Spending,
    http: OutboundHttp,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone)]
struct Seen {
    verb: Verb,
    uri: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let policy = policy(&format!("allow = ['{origin}/v1']\nsecrets = ['CRM_TOKEN']"));
        let bounds =
            Bounds { request_bytes_max: 1000, response_bytes_max: 1000, ..Bounds::default() };
        let secrets = [("CRM_TOKEN", TOKEN), ("OTHERS_TOKEN", "another-secret")]
            .map(|(name, secret)| (name.to_owned(), Secret::new(secret)));
        let http = OutboundHttp::new(bounds, BTreeMap::from(secrets)).unwrap();
        Self { origin, policy, spending: Spending::default(), http, seen }
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<HttpResponse, HttpFailure> {
        self.execute(request(method, &format!("{}{path}", self.origin), headers, body)).await
    }

    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let token = request.token;
        let answer = self.http.execute(&self.policy, &self.spending, request).await;
        answer.map_err(|failed| HttpFailure { token, reason: failed.to_string() })
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn policy(text: &str) -> HttpPolicy {
    toml::from_str(text).unwrap()
}

fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpRequest {
    HttpRequest {
        token: 9,
        method: method.to_owned(),
        url: url.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.to_vec(),
        timeout_ms: 5000,
    }
}

async fn answer(
    State(seen): State<Arc<Mutex<Vec<Seen>>>>,
    verb: Verb,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let sent = headers
        .get("authorization")
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default();
    let path = uri.path().to_owned();
    seen.lock().unwrap().push(Seen { verb, uri: uri.to_string(), headers, body: body.to_vec() });
    match path.as_str() {
        "/v1/redirect" => (StatusCode::FOUND, [(header::LOCATION, "/admin")]).into_response(),
        "/v1/leak" => format!("it was {TOKEN}").into_response(),
        "/v1/large" => "x".repeat(1001).into_response(),
        "/v1/never" => std::future::pending().await,
        "/v1/echo" => ([("x-echo", sent.clone())], format!("you sent {sent}")).into_response(),
        _ => "ok".into_response(),
    }
}
