//! The carrier against a small gateway written for this test: what it posts, opens, plays, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world has failed")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message as Ws, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cordboard_sim::audio::{tone, ulaw_encode};
use cordboard_sim::carrier::menu::{Menu, Outcome};
use cordboard_sim::carrier::signature::sign;
use cordboard_sim::carrier::{
    CallPlan, CallReport, CallerScript, Carrier, CarrierConfig, End, Message, RestFault, Step,
};
use cordboard_sim::speech;
use serde_json::{Value, json};

const ORIGIN: &str = "https://gw.example.com";

#[tokio::test]
async fn a_call_is_signed_streamed_and_ended_by_the_caller() {
    let gateway = Gateway::start("speak").await;
    let report = gateway.call(CallerScript::new().wait_heard(200).press("5#").hang_up()).await;
    assert_eq!(report.end, End::CallerHungUp);
    assert_eq!(report.debugger, []);
    let purposes: Vec<&str> = report.requests.iter().map(|r| r.purpose.as_str()).collect();
    assert_eq!(purposes, ["webhook", "stream-started", "stream-stopped"]);
    let seen = gateway.seen();
    assert_eq!(seen.unsigned, 0);
    assert_eq!(seen.keys, ["5", "#"]);
    assert_eq!(seen.first_events, ["connected", "start"]);
    assert_eq!(seen.tenant.as_deref(), Some("t7"));
    assert!(seen.stopped);
    assert!(seen.sequence_is_unbroken, "sequence numbers have a hole");
    let stream = report.stream();
    assert_eq!(stream.gaps, []);
    assert!(stream.heard_ms() >= 200);
    assert_eq!(stream.received(|m| matches!(m, Message::Media(_))).count(), 1);
}

#[tokio::test]
async fn a_wrong_signature_is_noticed_by_whoever_checks() {
    let gateway = Gateway::start("speak").await;
    let mut plan = CallPlan::new(CallerScript::new().hang_up());
    plan.knobs.wrong_upgrade_signature = true;
    let report = gateway.carrier.call(&gateway.webhook(), plan).await;
    assert_eq!(report.stream().refused, Some(403));
    assert!(report.filed(31920));
    assert!(report.requests.iter().any(|r| r.purpose == "stream-error"));
}

#[tokio::test]
async fn a_close_by_the_gateway_is_31921_and_the_document_goes_on() {
    let gateway = Gateway::start("close").await;
    let report = gateway.call(CallerScript::new().wait_close()).await;
    assert!(report.filed(31921));
    assert_eq!(report.stream().closed, Some((1000, "done".into())));
    assert_eq!(report.verbs, ["say: after the stream"]);
    assert_eq!(report.end, End::GatewayHungUp);
}

#[tokio::test]
async fn marks_come_back_when_played_and_at_once_when_cleared() {
    let gateway = Gateway::start("marks").await;
    let report = gateway.call(CallerScript::new().wait(600).hang_up()).await;
    let stream = report.stream();
    let marks: Vec<(&str, bool)> =
        stream.marks.iter().map(|echo| (echo.name.as_str(), echo.played)).collect();
    assert_eq!(marks, [("first", true), ("second", false), ("after", true)]);
    assert_eq!(gateway.seen().marks, ["first", "second", "after"]);
    // Between a media message and the clear behind it, some of it may already have been heard.
    let heard = stream.bytes_received - stream.bytes_cleared;
    assert!((800..800 + 8 * 500).contains(&heard), "{heard} bytes heard");
}

#[tokio::test]
async fn a_message_against_the_rules_is_31951_once_and_harmless() {
    let gateway = Gateway::start("bad").await;
    let report = gateway.call(CallerScript::new().wait(200).hang_up()).await;
    let filed: Vec<u16> = report.debugger.iter().map(|entry| entry.code).collect();
    assert_eq!(filed, [31951]);
    let bad = report.stream().received(|m| matches!(m, Message::Bad { .. })).count();
    assert_eq!(bad, 3);
    assert_eq!(report.end, End::CallerHungUp);
}

#[tokio::test]
async fn a_dropped_connection_ends_without_stop() {
    let gateway = Gateway::start("speak").await;
    let report = gateway.call(CallerScript::new().wait(100).then(Step::Drop)).await;
    assert_eq!(report.end, End::Dropped);
    assert!(!gateway.seen().stopped);
}

#[tokio::test]
async fn lost_frames_make_the_timestamps_jump() {
    let gateway = Gateway::start("speak").await;
    let script = CallerScript::new().wait(100).then(Step::Lose { ms: 300 }).wait(600).hang_up();
    gateway.call(script).await;
    let seen = gateway.seen();
    let greatest = seen.stamps.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert_eq!(greatest, Some(320));
    assert!(seen.sequence_is_unbroken);
}

#[tokio::test]
async fn rest_hangs_up_and_moves_a_call_to_another_document() {
    let gateway = Gateway::start("speak").await;
    let rest = gateway.carrier.start_rest().await.unwrap();
    rest.fail_next([RestFault::TooManyRequests]);
    let call =
        gateway.carrier.start(&gateway.webhook(), CallPlan::new(CallerScript::new().wait_close()));
    let config = gateway.carrier.config().clone();
    let url = format!(
        "{}/2010-04-01/Accounts/{}/Calls/{}.json",
        rest.origin(),
        config.account_sid,
        call.call_sid()
    );
    gateway.stream_is_open().await;
    let http = cordboard_sim::http::client().build().unwrap();
    let post = |form: &'static str, token: &str| {
        http.post(&url)
            .basic_auth(&config.account_sid, Some(token))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
    };
    assert_eq!(post("Status=completed", &config.auth_token).await.unwrap().status(), 429);
    assert_eq!(post("Status=completed", "wrong").await.unwrap().status(), 401);
    let moved = "Twiml=%3CResponse%3E%3CSay%3Emoved%3C%2FSay%3E%3CPause%20length%3D%22600%22%2F%3E%3C%2FResponse%3E";
    assert_eq!(post(moved, &config.auth_token).await.unwrap().status(), 200);
    while !gateway.seen().stopped {
        tokio::task::yield_now().await;
    }
    assert_eq!(post("Status=completed", &config.auth_token).await.unwrap().status(), 200);
    let report = call.finished().await;
    assert_eq!(report.end, End::CompletedByRest);
    assert_eq!(report.verbs, ["say: moved", "pause: 600"]);
    let gone = post("Status=completed", &config.auth_token).await.unwrap();
    assert_eq!(gone.status(), 404);
    let statuses: Vec<u16> = rest.requests().iter().map(|r| r.status).collect();
    assert_eq!(statuses, [429, 401, 200, 200, 404]);
}

#[tokio::test]
async fn a_caller_who_speaks_is_heard_sample_for_sample() {
    let gateway = Gateway::start("listen").await;
    let report = gateway.call(CallerScript::new().say(speech::CALLER_GOODBYE).hang_up()).await;
    let heard = gateway.seen().audio;
    let stream = report.stream();
    assert_eq!(heard[..], stream.said[..heard.len()]);
    let clip = speech::CALLER_GOODBYE.ulaw_8k;
    assert!(heard.windows(clip.len()).any(|window| window == clip));
    assert_eq!(stream.turns()[0].said, "goodbye");
}

#[tokio::test]
async fn a_menu_hears_a_key_in_the_audio_and_its_person_the_first_word() {
    let gateway = Gateway::start("key").await;
    let report = gateway.carrier.call(&gateway.webhook(), CallPlan::to_menu(menu())).await;
    let seen = report.menu.clone().unwrap();
    assert_eq!(seen.path(), ["main", "maria"]);
    assert_eq!(seen.pressed(), "2");
    assert!((100..=400).contains(&seen.keys[0].at_ms), "{seen:?}");
    assert_eq!((seen.restarts, seen.outcome), (0, Outcome::Talked));
    let waited = seen.person.as_ref().unwrap().first_word_after_ms.unwrap();
    assert!(waited < 3000, "{waited} ms");
    // The key cut the announcement short, and the gateway heard it so.
    let spoken = &report.stream().spoken;
    assert_eq!(spoken.len(), 2);
    assert!(spoken[0].span.to - spoken[0].span.from < 8000, "{:?}", spoken[0]);
    assert_eq!(report.end, End::CallerHungUp);
    assert!(gateway.seen().keys.is_empty(), "a menu sends no messages about keys");
}

#[tokio::test]
async fn a_menu_counts_the_streams_that_keys_by_rest_cost() {
    let gateway = Gateway::start("listen").await;
    let rest = gateway.carrier.start_rest().await.unwrap();
    let call = gateway.carrier.start(&gateway.webhook(), CallPlan::to_menu(menu()));
    gateway.stream_is_open().await;
    let config = gateway.carrier.config().clone();
    let document = r#"<Response><Play digits="w2"/><Connect><Stream url="wss://gw.example.com/tw/abc"/></Connect></Response>"#;
    let posted = cordboard_sim::http::client()
        .build()
        .unwrap()
        .post(format!(
            "{}/2010-04-01/Accounts/{}/Calls/{}.json",
            rest.origin(),
            config.account_sid,
            call.call_sid()
        ))
        .basic_auth(&config.account_sid, Some(&config.auth_token))
        .form(&[("Twiml", document)])
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), 200);
    let seen = call.finished().await.menu.unwrap();
    assert_eq!((seen.pressed().as_str(), seen.restarts), ("2", 1));
    assert_eq!(seen.path(), ["main", "maria"]);
    assert_eq!(seen.outcome, Outcome::HeardNobody);
}

fn menu() -> Menu {
    let text = r#"
        start = "main"
        [menus.main]
        say = "For sales, press 1. For billing, press 2."
        keys = { 2 = "maria" }
        [people.maria]
        lines = ["Yes?"]
        patience_ms = 600
    "#;
    Menu::parse(text).unwrap()
}

#[derive(Default, Clone)]
struct Seen {
    unsigned: u32,
    first_events: Vec<String>,
    tenant: Option<String>,
    keys: Vec<String>,
    marks: Vec<String>,
    stamps: Vec<u64>,
    sequence: u64,
    sequence_is_unbroken: bool,
    stopped: bool,
    open: bool,
    audio: Vec<u8>,
}

#[derive(Clone)]
struct Shared {
    behaviour: &'static str,
    token: String,
    seen: Arc<Mutex<Seen>>,
}

struct Gateway {
    carrier: Carrier,
    address: std::net::SocketAddr,
    shared: Shared,
}

impl Gateway {
    async fn start(behaviour: &'static str) -> Self {
        let config =
            CarrierConfig { public_origin: Some(ORIGIN.into()), ..CarrierConfig::default() };
        let seen = Seen { sequence_is_unbroken: true, ..Seen::default() };
        let shared = Shared {
            behaviour,
            token: config.auth_token.clone(),
            seen: Arc::new(Mutex::new(seen)),
        };
        let app = Router::new()
            .route("/voice", post(voice))
            .route("/status", post(status))
            .route("/tw/{token}", any(stream))
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { carrier: Carrier::new(config), address, shared }
    }

    fn webhook(&self) -> String {
        format!("http://{}/voice", self.address)
    }

    async fn call(&self, script: CallerScript) -> CallReport {
        let report = self.carrier.call(&self.webhook(), CallPlan::new(script)).await;
        assert_eq!(report.script_failure, None);
        report
    }

    fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }

    async fn stream_is_open(&self) {
        while !self.seen().open {
            tokio::task::yield_now().await;
        }
    }
}

/// Checks a posted form's signature over the public URL.
fn check(shared: &Shared, path: &str, headers: &HeaderMap, body: &Bytes) {
    let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let expected = sign(&shared.token, &format!("{ORIGIN}{path}"), &form);
    let known = headers.get("x-twilio-signature").is_some_and(|s| s == expected.as_str())
        && headers.get("i-twilio-idempotency-token").is_some()
        && headers.get("host").is_some_and(|host| host == "gw.example.com");
    if !known {
        shared.seen.lock().unwrap().unsigned += 1;
    }
}

async fn voice(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    check(&shared, "/voice", &headers, &body);
    let twiml = r#"<Response><Connect><Stream url="wss://gw.example.com/tw/abc" statusCallback="https://gw.example.com/status">
        <Parameter name="tenant" value="t7"/></Stream></Connect><Say>after the stream</Say></Response>"#;
    ([("content-type", "text/xml")], twiml).into_response()
}

async fn status(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    check(&shared, "/status", &headers, &body);
    StatusCode::NO_CONTENT
}

async fn stream(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let expected = sign(&shared.token, &format!("wss://gw.example.com/tw/{token}"), &[]);
    let agent = headers.get("user-agent").is_some_and(|agent| agent == "Twilio.TmeWs/1.0");
    let plain = !headers.contains_key("sec-websocket-extensions");
    let signed = headers.get("x-twilio-signature").is_some_and(|s| s == expected.as_str());
    if !(agent && plain && signed) {
        return StatusCode::FORBIDDEN.into_response();
    }
    upgrade.on_upgrade(move |socket| serve(socket, shared))
}

async fn serve(mut socket: WebSocket, shared: Shared) {
    while let Some(Ok(message)) = socket.recv().await {
        let Ws::Text(text) = message else { continue };
        let event: Value = serde_json::from_str(&text).unwrap();
        if event["event"] == "start" {
            let sid = event["streamSid"].as_str().unwrap();
            for reply in replies(shared.behaviour, sid) {
                socket.send(reply).await.unwrap();
            }
        }
        note(&mut shared.seen.lock().unwrap(), &event);
    }
}

fn replies(behaviour: &str, sid: &str) -> Vec<Ws> {
    let media = |ms: u32| {
        let ulaw: Vec<u8> = tone(400.0, 8000, ms).into_iter().map(ulaw_encode).collect();
        text(
            json!({ "event": "media", "streamSid": sid, "media": { "payload": STANDARD.encode(ulaw) } }),
        )
    };
    let mark =
        |name: &str| text(json!({ "event": "mark", "streamSid": sid, "mark": { "name": name } }));
    let clear = text(json!({ "event": "clear", "streamSid": sid }));
    match behaviour {
        "speak" => vec![media(2000)],
        "marks" => {
            // Nothing is before the first mark; the second waits behind audio that is cleared.
            vec![mark("first"), media(3000), mark("second"), clear, media(100), mark("after")]
        }
        "key" => {
            // The key 2, a second in which somebody picks up, and a voice.
            let [low, high] = [697.0, 1336.0].map(|hertz| tone(hertz, 8000, 100));
            let key = low.into_iter().zip(high).map(|(low, high)| ulaw_encode((low + high) / 2));
            let ulaw: Vec<u8> = [0xFF; 800].into_iter().chain(key).chain([0xFF; 12_000]).collect();
            let payload = STANDARD.encode(ulaw);
            let key =
                json!({ "event": "media", "streamSid": sid, "media": { "payload": payload } });
            vec![text(key), media(500)]
        }
        "bad" => vec![
            text(json!({ "event": "mark", "streamSid": sid })),
            text(json!({ "event": "clear", "streamSid": "MZ0" })),
            Ws::Binary(vec![1].into()),
        ],
        "close" => {
            vec![Ws::Close(Some(CloseFrame { code: 1000, reason: "done".into() }))]
        }
        _ => Vec::new(),
    }
}

fn text(value: Value) -> Ws {
    Ws::Text(value.to_string().into())
}

fn note(seen: &mut Seen, event: &Value) {
    let kind = event["event"].as_str().unwrap().to_owned();
    if let Some(sequence) = event["sequenceNumber"].as_str() {
        let sequence: u64 = sequence.parse().unwrap();
        seen.sequence_is_unbroken &= sequence == seen.sequence + 1;
        seen.sequence = sequence;
    }
    match kind.as_str() {
        "start" => {
            seen.open = true;
            let tenant = event["start"]["customParameters"]["tenant"].as_str();
            seen.tenant = tenant.map(str::to_owned);
        }
        "media" => {
            let stamp = event["media"]["timestamp"].as_str().unwrap();
            seen.stamps.push(stamp.parse().unwrap());
            let payload = event["media"]["payload"].as_str().unwrap();
            seen.audio.extend(STANDARD.decode(payload).unwrap());
        }
        "dtmf" => seen.keys.push(event["dtmf"]["digit"].as_str().unwrap().into()),
        "mark" => seen.marks.push(event["mark"]["name"].as_str().unwrap().into()),
        "stop" => seen.stopped = true,
        _ => {}
    }
    if seen.first_events.len() < 2 {
        seen.first_events.push(kind);
    }
}
