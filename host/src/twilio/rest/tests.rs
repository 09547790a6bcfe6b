//! The carrier's REST interface in a few lines, on loopback.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cordboard_wire::twilio::Transport;
use tokio::net::TcpListener;

use super::*;
use crate::secret::Secret;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const CALL: &str = "CA00000000000000000000000000000002";
const TOKEN: &str = "very-secret-token";

#[tokio::test]
async fn a_hang_up_completes_the_call_with_the_accounts_login() {
    let (rest, carrier) = carrier(&[(200, "{}")]).await;
    rest.hang_up(CALL).await.expect("done");
    let seen = carrier.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, format!("/2010-04-01/Accounts/{ACCOUNT}/Calls/{CALL}.json"));
    assert_eq!(seen[0].body, "Status=completed");
    let login = BASE64_STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"));
    assert_eq!(seen[0].login, format!("Basic {login}"));
}

#[tokio::test]
async fn hanging_up_a_call_that_is_gone_is_a_success() {
    let (rest, _carrier) = carrier(&[(404, r#"{"code":20404,"status":404}"#)]).await;
    rest.hang_up(CALL).await.expect("what was wanted");
}

#[tokio::test]
async fn transferring_a_call_that_is_gone_is_a_failure() {
    let (rest, _carrier) = carrier(&[(404, r#"{"code":20404}"#)]).await;
    assert_eq!(rest.transfer(CALL, "+15550100", None).await, Err(RestFailure::Gone));
}

#[tokio::test]
async fn too_many_requests_are_tried_again_until_it_works() {
    let (rest, carrier) = carrier(&[(429, r#"{"code":20429}"#), (503, ""), (200, "{}")]).await;
    rest.hang_up(CALL).await.expect("the third try");
    assert_eq!(carrier.seen().len(), 3);
}

#[tokio::test]
async fn an_endless_refusal_for_load_is_given_up() {
    let (rest, carrier) = carrier(&[(429, ""); 8]).await;
    let failure = rest.hang_up(CALL).await.expect_err("given up");
    assert_eq!(failure, RestFailure::GivenUp { tries: 4, last: "HTTP 429".to_owned() });
    assert_eq!(carrier.seen().len(), 4);
}

#[tokio::test]
async fn refused_credentials_are_not_tried_again_and_not_shown() {
    let (rest, carrier) =
        carrier(&[(401, &format!(r#"{{"code":20003,"message":"{TOKEN}"}}"#))]).await;
    let failure = rest.hang_up(CALL).await.expect_err("refused");
    assert_eq!(failure, RestFailure::Unauthorized);
    assert!(failure.to_string().contains("TWILIO_AUTH_TOKEN"));
    assert!(!format!("{failure} {rest:?}").contains(TOKEN));
    assert_eq!(carrier.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_names_the_carriers_error() {
    let (rest, carrier) = carrier(&[(400, r#"{"code":21205}"#)]).await;
    let failure = rest.transfer(CALL, "+15550100", None).await.expect_err("refused");
    assert!(failure.to_string().contains("21205"), "{failure}");
    assert_eq!(carrier.seen().len(), 1);
}

#[tokio::test]
async fn a_transfer_and_keys_are_sent_as_twiml() {
    let (rest, carrier) = carrier(&[(200, "{}"), (200, "{}")]).await;
    rest.transfer(CALL, "+15550100", Some("+15550199")).await.expect("done");
    let stream = ConnectStream {
        url: "wss://voice.example.com/media/x",
        status_callback: None,
        action: None,
        parameters: &[],
        transport: Transport::Tls,
    };
    rest.press_keys(CALL, "ww1", &stream).await.expect("done");
    let twiml: Vec<String> = (carrier.seen().iter())
        .map(|seen| {
            form_urlencoded::parse(seen.body.as_bytes()).next().expect("one pair").1.into_owned()
        })
        .collect();
    assert!(
        twiml[0].contains("+15550100") && twiml[0].contains("callerId=\"+15550199\""),
        "{twiml:?}"
    );
    assert!(twiml[1].contains("digits=\"ww1\"") && twiml[1].contains("<Connect>"), "{twiml:?}");
}

#[tokio::test]
async fn what_the_carrier_can_not_do_is_never_sent() {
    let (rest, carrier) = carrier(&[]).await;
    let failures =
        [rest.hang_up("../../Accounts").await, rest.transfer(CALL, "<Dial>", None).await];
    for failure in failures {
        assert!(matches!(failure, Err(RestFailure::NotSent(_))), "{failure:?}");
    }
    assert!(carrier.seen().is_empty());
}

#[derive(Clone)]
struct Carrier {
    answers: Arc<Mutex<Vec<(u16, String)>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone)]
struct Seen {
    path: String,
    login: String,
    body: String,
}

impl Carrier {
    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Gives these answers, in this command.
async fn carrier(answers: &[(u16, &str)]) -> (TwilioRest, Carrier) {
    let answers =
        answers.iter().rev().map(|(status, body)| (*status, (*body).to_owned())).collect();
    let carrier = Carrier { answers: Arc::new(Mutex::new(answers)), seen: Arc::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(carrier.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let rest = TwilioRest::new(RestAccess {
        account_sid: ACCOUNT.to_owned(),
        user: ACCOUNT.to_owned(),
        password: Secret::new(TOKEN),
        base_url,
    });
    // Real sockets need real time, so the pauses are short instead of virtual.
    (TwilioRest { pause: Duration::from_millis(1), ..rest.unwrap() }, carrier)
}

async fn answer(
    State(carrier): State<Carrier>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let login = headers["authorization"].to_str().unwrap().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    carrier.seen.lock().unwrap().push(Seen { path: uri.path().to_owned(), login, body });
    let (status, body) =
        carrier.answers.lock().unwrap().pop().expect("an answer for every request");
    (StatusCode::from_u16(status).unwrap(), body)
}
