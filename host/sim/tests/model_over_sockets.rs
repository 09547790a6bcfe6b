//! The model through a real socket: handshakes, sessions, turns, as a client sees them.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world has failed")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cordboard_sim::carrier::menu::{Menu, Place};
use cordboard_sim::model::{
    Answer, Behaviour, Dialect, Exchange, ModelConfig, ModelScript, ModelServer, Outcome, Refuse,
};
use cordboard_sim::speech;
use cordboard_sim::voice::Speaker;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

#[tokio::test]
async fn a_bad_key_is_granted_the_upgrade_and_then_refused_with_3000() {
    let config = ModelConfig { key: Some("good".into()), ..ModelConfig::default() };
    let server = ModelServer::start(config).await.unwrap();
    let mut client = Client::connect(&server, "?model=gpt-realtime", "bad", &[]).await.unwrap();
    assert_eq!(client.next().await["error"]["code"], "invalid_api_key");
    assert_eq!(client.closed().await, (3000, "invalid_request_error.invalid_api_key".into()));
    let mut client = Client::connect(&server, "?model=gpt-realtime", "good", &[]).await.unwrap();
    assert_eq!(client.next().await["type"], "session.created");
}

#[tokio::test]
async fn a_bad_key_may_also_be_an_http_401() {
    let config = ModelConfig { key: Some("good".into()), http_401: true, ..ModelConfig::default() };
    let server = ModelServer::start(config).await.unwrap();
    let refused = Client::connect(&server, "?model=gpt-realtime", "bad", &[]).await;
    assert_eq!(refused.err(), Some(401));
}

#[tokio::test]
async fn handshakes_without_a_model_or_with_the_beta_header_end_with_4000() {
    let server = ModelServer::start(ModelConfig::default()).await.unwrap();
    for (query, headers, code) in [
        ("", &[][..], "missing_model"),
        ("?model=gpt-4", &[], "invalid_model"),
        ("?model=gpt-realtime", &[("OpenAI-Beta", "realtime=v1")], "beta_api_shape_disabled"),
    ] {
        let mut client = Client::connect(&server, query, "k", headers).await.unwrap();
        assert_eq!(client.next().await["error"]["code"], code);
        assert_eq!(client.closed().await.0, 4000);
    }
}

#[tokio::test]
async fn the_first_connection_can_be_refused_and_the_second_accepted() {
    let config = ModelConfig { refuse: vec![Refuse::Http(503)], ..ModelConfig::default() };
    let server = ModelServer::start(config).await.unwrap();
    assert_eq!(Client::connect(&server, "?model=gpt-realtime", "k", &[]).await.err(), Some(503));
    assert!(Client::connect(&server, "?model=gpt-realtime", "k", &[]).await.is_ok());
}

#[tokio::test]
async fn a_session_ends_with_1001_at_its_limit() {
    let config = ModelConfig { session_max: Duration::from_millis(50), ..ModelConfig::default() };
    let server = ModelServer::start(config).await.unwrap();
    let mut client = Client::open(&server).await;
    assert_eq!(client.until("error").await.last().unwrap()["error"]["code"], "session_expired");
    assert_eq!(client.closed().await.0, 1001);
}

#[tokio::test]
async fn a_greeting_is_audio_in_the_order_documented() {
    let server = ModelServer::start(quick(ModelScript::default())).await.unwrap();
    let mut client = Client::open(&server).await;
    client.telephone().await;
    client.send(json!({ "type": "response.create" })).await;
    let events = client.until("response.done").await;
    let mut order: Vec<&str> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    order.dedup();
    order.retain(|kind| !kind.ends_with(".delta"));
    order.sort_by_key(|kind| matches!(*kind, "response.output_item.done" | "response.done"));
    assert_eq!(
        order,
        [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
    );
    assert_eq!(audio_of(&events), speech::AGENT_GREETING.ulaw_8k);
    let done = &events.last().unwrap()["response"];
    assert_eq!(done["status"], "completed");
    assert_eq!(done["output"][0]["content"][0]["transcript"], speech::AGENT_GREETING.words);
    assert!(done["usage"]["output_token_details"]["audio_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_spoken_turn_is_heard_committed_transcribed_and_answered() {
    let server = ModelServer::start(quick(ModelScript::default())).await.unwrap();
    let mut client = Client::open(&server).await;
    client.telephone().await;
    client.say(speech::CALLER_HOURS.ulaw_8k).await;
    client.say(&[0xFF; 8000]).await;
    let events = client.until("response.created").await;
    let kinds: Vec<&str> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
        ]
    );
    assert!(events.iter().take(3).all(|e| e["item_id"] == events[0]["item_id"]));
    assert_eq!(events[3]["item"]["content"][0], json!({"type": "input_audio", "transcript": null}));
    let kind = "conversation.item.input_audio_transcription.completed";
    let events = client.until(kind).await;
    assert_eq!(events.last().unwrap()["transcript"], speech::CALLER_HOURS.words);
    let events = client.until("response.done").await;
    assert!(events.iter().any(|e| e["type"] == "response.output_audio.delta"));
}

#[tokio::test]
async fn what_a_menu_says_is_transcribed_by_its_sound_and_a_person_is_answered() {
    let menu = Menu::parse(include_str!("../menus/power-company.toml")).unwrap();
    let server = ModelServer::start(quick(ModelScript::at_menu(&menu))).await.unwrap();
    let mut client = Client::open(&server).await;
    client.telephone().await;
    let transcript = "conversation.item.input_audio_transcription.completed";
    let Place::Menu(invoices) = &menu.places["invoices"] else { panic!() };
    for (words, speaker) in [
        (menu.invalid.as_str(), Speaker::Recording),
        (invoices.say.as_str(), Speaker::Recording),
        ("Certainly. I have sent it again.", Speaker::Person),
    ] {
        client.say(&menu.utterance(words, speaker).ulaw).await;
        client.say(&[0xFF; 8000]).await;
        // The transcript may come before, within or after the answer.
        let events = client.until("response.done").await;
        let heard = events.iter().find(|event| event["type"] == transcript);
        assert_eq!(heard.expect("it came within the answer")["transcript"], words);
        let answer = &events.last().unwrap()["response"]["output"][0]["content"][0]["transcript"];
        let expected = match speaker {
            Speaker::Person => "Thank you very much. Goodbye.",
            _ => "One moment, please.",
        };
        assert_eq!(*answer, expected);
    }
}

#[tokio::test]
async fn speech_interrupts_an_answer_and_late_audio_still_comes() {
    let script = ModelScript::always(Answer::clip(speech::AGENT_SATURDAY));
    let config = ModelConfig { speed: 2.0, late_deltas: 3, ..ModelConfig::with_script(script) };
    let server = ModelServer::start(config).await.unwrap();
    let mut client = Client::open(&server).await;
    client.telephone().await;
    client.send(json!({ "type": "response.create" })).await;
    client.until("response.output_audio.delta").await;
    client.say(speech::CALLER_INTERRUPTION.ulaw_8k).await;
    client.until("input_audio_buffer.speech_started").await;
    let events = client.until("response.done").await;
    let late = events.iter().filter(|e| e["type"] == "response.output_audio.delta").count();
    assert_eq!(late, 3);
    let done = &events.last().unwrap()["response"];
    assert_eq!(done["status"], "cancelled");
    assert_eq!(done["status_details"]["reason"], "turn_detected");
    assert_eq!(done["output"][0]["status"], "incomplete");
    assert!(done["usage"].is_object());
}

#[tokio::test]
async fn a_tool_call_is_answered_after_its_output() {
    let answer = Answer::tool("repair_status", r#"{"number":"471"}"#)
        .after_tools(Answer::clip(speech::AGENT_READY));
    let server = ModelServer::start(quick(ModelScript::always(answer))).await.unwrap();
    let mut client = Client::open(&server).await;
    client.telephone().await;
    client.send(json!({ "type": "response.create" })).await;
    let events = client.until("response.done").await;
    let call = &events.last().unwrap()["response"]["output"][0];
    assert_eq!(call["name"], "repair_status");
    assert_eq!(call["arguments"], r#"{"number":"471"}"#);
    let unknown = json!({ "type": "function_call_output", "call_id": "call_x", "output": "{}" });
    client.send(json!({ "type": "conversation.item.create", "item": unknown })).await;
    let error = client.until("error").await;
    assert_eq!(error.last().unwrap()["error"]["code"], "invalid_tool_call_id");
    let output =
        json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "{}" });
    client.send(json!({ "type": "conversation.item.create", "item": output })).await;
    client.send(json!({ "type": "response.create" })).await;
    let events = client.until("response.done").await;
    assert_eq!(audio_of(&events), speech::AGENT_READY.ulaw_8k);
}

#[tokio::test]
async fn errors_echo_the_event_id_and_leave_the_session_open() {
    let server = ModelServer::start(quick(ModelScript::default())).await.unwrap();
    let mut client = Client::open(&server).await;
    for (event, code) in [
        (json!({ "type": "response.cancel" }), "response_cancel_not_active"),
        (json!({ "type": "input_audio_buffer.commit" }), "input_audio_buffer_commit_empty"),
        (json!({ "type": "dance" }), "invalid_value"),
        (
            json!({ "type": "session.update", "session": { "type": "realtime", "voice": "alloy" } }),
            "unknown_parameter",
        ),
        (
            json!({ "type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 0 }),
            "item_truncate_invalid_item_id",
        ),
    ] {
        let mut event = event;
        event["event_id"] = json!("mine");
        client.send(event).await;
        let error = client.until("error").await.pop().unwrap();
        assert_eq!(error["error"]["code"], code);
        assert_eq!(error["error"]["event_id"], "mine");
    }
    client.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.until("error").await.pop().unwrap()["error"]["code"], "invalid_event");
    client.telephone().await;
    assert_eq!(server.log().session(0).unwrap().refusals().len(), 5);
}

#[tokio::test]
async fn a_second_response_is_refused_while_one_is_active() {
    let server = ModelServer::start(ModelConfig::default()).await.unwrap();
    let mut client = Client::open(&server).await;
    client.send(json!({ "type": "response.create" })).await;
    client.send(json!({ "type": "response.create" })).await;
    let error = client.until("error").await.pop().unwrap();
    assert_eq!(error["error"]["code"], "conversation_already_has_active_response");
    client.send(json!({ "type": "response.cancel" })).await;
    let done = client.until("response.done").await.pop().unwrap();
    assert_eq!(done["response"]["status_details"]["reason"], "client_cancelled");
}

#[tokio::test]
async fn failed_and_broken_answers_are_played() {
    let script = ModelScript::new(
        Answer::failed("rate_limit_exceeded"),
        [Exchange::answer(Answer::tone(400).ending(Outcome::BreakConnection))],
    );
    let server = ModelServer::start(quick(script)).await.unwrap();
    let mut client = Client::open(&server).await;
    client.telephone().await;
    client.send(json!({ "type": "response.create" })).await;
    let done = client.until("response.done").await.pop().unwrap();
    assert_eq!(done["response"]["status_details"]["error"]["code"], "rate_limit_exceeded");
    client.say(speech::CALLER_HOURS.ulaw_8k).await;
    client.say(&[0xFF; 8000]).await;
    while let Some(Ok(_)) = client.socket.next().await {}
    let ended = server.log().session(0).unwrap().ended;
    assert_eq!(ended.as_deref(), Some("broken by the script"));
}

#[tokio::test]
async fn the_older_dialect_has_the_older_names() {
    let config = ModelConfig { dialect: Dialect::Beta, ..quick(ModelScript::default()) };
    let server = ModelServer::start(config).await.unwrap();
    let headers = [("OpenAI-Beta", "realtime=v1")];
    let mut client = Client::connect(&server, "?model=gpt-realtime", "k", &headers).await.unwrap();
    let created = client.next().await;
    assert_eq!(created["session"]["input_audio_format"], "pcm16");
    client
        .send(
            json!({ "type": "session.update", "session": { "output_audio_format": "g711_ulaw" } }),
        )
        .await;
    let updated = client.until("session.updated").await.pop().unwrap();
    assert_eq!(updated["session"]["output_audio_format"], "g711_ulaw");
    client.send(json!({ "type": "response.create" })).await;
    let events = client.until("response.done").await;
    let deltas: Vec<&Value> =
        events.iter().filter(|e| e["type"] == "response.audio.delta").collect();
    assert!(!deltas.is_empty());
    assert!(events.iter().any(|e| e["type"] == "conversation.item.created"));
    assert!(!events.iter().any(|e| e["type"].as_str().unwrap().contains("output_audio")));
}

#[tokio::test]
async fn the_echo_returns_every_byte() {
    let config = ModelConfig { behaviour: Behaviour::Echo, ..ModelConfig::default() };
    let server = ModelServer::start(config).await.unwrap();
    let mut client = Client::open(&server).await;
    client.telephone().await;
    let said: Vec<u8> = (0..=255).cycle().take(1600).collect();
    client.say(&said).await;
    let mut heard = Vec::new();
    while heard.len() < said.len() {
        heard.extend(audio_of(&[client.next().await]));
    }
    assert_eq!(heard, said);
}

fn quick(script: ModelScript) -> ModelConfig {
    ModelConfig { speed: 100.0, ..ModelConfig::with_script(script) }
}

fn audio_of(events: &[Value]) -> Vec<u8> {
    events
        .iter()
        .filter(|e| e["type"] == "response.output_audio.delta")
        .flat_map(|e| STANDARD.decode(e["delta"].as_str().unwrap()).unwrap())
        .collect()
}

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    /// Connects; the error is the HTTP status.
    async fn connect(
        server: &ModelServer,
        query: &str,
        key: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("{}{query}", server.url()).into_client_request().unwrap();
        request.headers_mut().insert("Authorization", format!("Bearer {key}").parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(e) => panic!("{e}"),
        }
    }

    async fn open(server: &ModelServer) -> Self {
        let mut client = Self::connect(server, "?model=gpt-realtime", "k", &[]).await.unwrap();
        let created = client.next().await;
        assert_eq!(created["type"], "session.created");
        assert_eq!(
            created["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"],
            200
        );
        client
    }

    /// Asks for mu-law on both sides and a transcription.
    async fn telephone(&mut self) {
        self.send(json!({ "type": "session.update", "session": {
            "type": "realtime",
            "audio": {
                "input": { "format": { "type": "audio/pcmu" }, "transcription": { "model": "gpt-transcribe" } },
                "output": { "format": { "type": "audio/pcmu" } },
            },
        } }))
        .await;
        let updated = self.until("session.updated").await.pop().unwrap();
        assert_eq!(updated["session"]["audio"]["output"]["format"], json!({"type": "audio/pcmu"}));
    }

    async fn send(&mut self, event: Value) {
        self.socket.send(Message::text(event.to_string())).await.unwrap();
    }

    async fn say(&mut self, ulaw: &[u8]) {
        for frame in ulaw.chunks(160) {
            let audio = STANDARD.encode(frame);
            self.send(json!({ "type": "input_audio_buffer.append", "audio": audio })).await;
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?} instead of an event"),
            }
        }
    }

    /// Returns the events up to the first of this type.
    async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            events.push(self.next().await);
            if events.last().unwrap()["type"] == kind {
                return events;
            }
        }
    }

    async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("{other:?} instead of a close"),
            }
        }
    }
}
