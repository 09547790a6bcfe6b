//! Whole conversations with the simulated service, through real sockets.

use std::sync::Arc;
use std::time::Duration;

use cordboard_call::contract::Dialect as Names;
use cordboard_call::{Input, ToModel};
use cordboard_sim::model::Dialect as Spoken;
use cordboard_sim::model::{Answer, ModelConfig, ModelScript, ModelServer, Refuse};
use cordboard_wire::openai::{ClientEvent, Dialect, ServerEvent};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::secret::Secret;

#[tokio::test]
async fn a_program_hears_the_answer_to_what_it_said() {
    for (spoken, dialect) in [(Spoken::Ga, Dialect::Ga), (Spoken::Beta, Dialect::Beta)] {
        let server = server(ModelConfig { dialect: spoken, ..tone(500) }).await;
        let endpoint = ModelEndpoint { dialect, ..endpoint(&server) };
        let model = RealtimeConnection::connect(&endpoint).await.expect("up");
        let (tell, mut told) = mpsc::unbounded_channel();
        model.on_message_type("*", move |event| tell.send(event.clone()).unwrap()).await.unwrap();
        model.send_config("Answer with a tone.").await.unwrap();
        model.send_audio(&vec![0; 48_000]).await.unwrap();
        model.commit().await.unwrap();
        model.request_response().await.unwrap();
        let mut bytes = 0;
        loop {
            match soon(told.recv()).await.expect("the connection stays") {
                ServerEvent::AudioDelta { audio, .. } => bytes += audio.len(),
                ServerEvent::Other { kind, .. } if kind == "response.done" => break,
                ServerEvent::Error { message, .. } => panic!("{message}"),
                _ => {}
            }
        }
        assert_eq!(bytes, 500 * 48, "{dialect:?}");
        soon(model.close()).await;
    }
}

#[tokio::test]
async fn a_cancelled_answer_ends_before_its_audio_does() {
    let config = ModelConfig { speed: 1.0, ..tone(60_000) };
    let server = server(config).await;
    let model = RealtimeConnection::connect(&endpoint(&server)).await.expect("up");
    let (tell, mut told) = mpsc::unbounded_channel();
    model.on_message_type("*", move |event| tell.send(event.clone()).unwrap()).await.unwrap();
    model.send_config("Answer with a tone.").await.unwrap();
    model.request_response().await.unwrap();
    let done = loop {
        match soon(told.recv()).await.expect("the connection stays") {
            ServerEvent::AudioDelta { .. } => model.cancel().await.unwrap(),
            ServerEvent::Other { kind, json } if kind == "response.done" => break json,
            _ => {}
        }
    };
    assert!(done.contains("\"cancelled\""), "{done}");
}

#[tokio::test]
async fn a_calls_leg_comes_up_speaks_and_goes_quiet_when_closed() {
    let server = server(tone(300)).await;
    let connecting = Connecting::begin(Arc::new(endpoint(&server)));
    let mut leg = ModelLeg::from(connecting);
    match soon(leg.next()).await {
        Input::ModelUp { info } => {
            assert_eq!((info.dialect, info.model.as_str()), (Names::Ga, "gpt-realtime-2.1"))
        }
        other => panic!("{other:?}"),
    }
    assert!(leg.tell(ToModel::Append(vec![0; 4800])).is_none());
    assert!(leg.tell(ToModel::Event(ClientEvent::create_response())).is_none());
    loop {
        match soon(leg.next()).await {
            Input::Model(ServerEvent::AudioDelta { audio, .. }) => {
                break assert!(!audio.is_empty());
            }
            Input::Model(_) => {}
            other => panic!("{other:?}"),
        }
    }
    leg.close();
    assert!(timeout(Duration::from_millis(50), leg.next()).await.is_err());
}

#[tokio::test]
async fn a_lost_server_is_told_to_the_call_once() {
    let server = server(tone(300)).await;
    let mut leg = ModelLeg::default();
    leg.connect(Arc::new(endpoint(&server)));
    assert!(matches!(soon(leg.next()).await, Input::ModelUp { .. }));
    server.kill();
    match soon(leg.next()).await {
        Input::ModelDown { retry, refused, .. } => assert!(retry && refused.is_none()),
        other => panic!("{other:?}"),
    }
    assert!(leg.tell(ToModel::Append(vec![0; 320])).is_none());
    assert!(timeout(Duration::from_millis(50), leg.next()).await.is_err());
}

#[tokio::test]
async fn every_way_of_not_connecting_says_whether_to_try_again() {
    let wrong_key = ModelConfig { key: Some("sk-another".to_owned()), ..tone(300) };
    let cases = [
        (wrong_key.clone(), false),
        (ModelConfig { http_401: true, ..wrong_key }, false),
        (ModelConfig { refuse: vec![Refuse::Http(503)], ..tone(300) }, true),
        (ModelConfig { refuse: vec![Refuse::Hangup], ..tone(300) }, true),
    ];
    for (config, again) in cases {
        let what = format!("{:?}", (&config.refuse, config.http_401));
        let server = server(config).await;
        let mut leg = ModelLeg::default();
        leg.connect(Arc::new(endpoint(&server)));
        match soon(leg.next()).await {
            Input::ModelDown { reason, retry, .. } => {
                assert_eq!(retry, again, "{what}: {reason}");
                assert!(!reason.contains(KEY), "{reason}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_session_at_its_greatest_age_may_be_followed_by_a_new_one() {
    let config = ModelConfig { session_max: Duration::from_millis(100), ..tone(300) };
    let server = server(config).await;
    let (mut socket, _) = ModelSocket::connect(&endpoint(&server)).await.expect("up");
    loop {
        match soon(socket.next()).await {
            ModelIn::Down(down) => break assert!(down.retry && down.refused.is_none(), "{down:?}"),
            ModelIn::Event(_) => {}
            ModelIn::Malformed(malformed) => panic!("{malformed}"),
        }
    }
}

const KEY: &str = "sk-test-very-secret";

fn tone(ms: u32) -> ModelConfig {
    ModelConfig::with_script(ModelScript::always(Answer::tone(ms).after_ms(0)))
}

async fn server(config: ModelConfig) -> ModelServer {
    ModelServer::start(config).await.expect("loopback has a free port")
}

fn endpoint(server: &ModelServer) -> ModelEndpoint {
    ModelEndpoint { url: server.url(), key: Some(Secret::new(KEY)), ..ModelEndpoint::default() }
}

/// A bound for a test that would otherwise hang; nothing is measured by it.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.expect("within 20 s")
}
