//! A model's server in a few lines, over memory (with a clock of its own) or over loopback.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cordboard_wire::openai::{ClientEvent, Dialect, Rejection, ServerEvent};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::socket::{PING_EVERY, SILENCE_MAX};
use super::*;
use crate::secret::Secret;

const CREATED: &str = r#"{"type":"session.created","event_id":"event_1","session":{"type":"realtime","id":"sess_1","model":"gpt-realtime-2.1","expires_at":1764000000,"audio":{"input":{"format":{"type":"audio/pcm","rate":24000}},"output":{"format":{"type":"audio/pcm","rate":24000}}}}}"#;
const BAD_KEY: &str = r#"{"type":"error","event_id":"event_1","error":{"type":"invalid_request_error","code":"invalid_api_key","message":"Incorrect API key provided: sk-test-very-secret.","param":null,"event_id":null}}"#;
const KEY: &str = "sk-test-very-secret";

mod refusals {
    use super::*;

    #[tokio::test]
    async fn a_key_refused_by_an_error_and_a_close_is_final_and_says_what_to_do() {
        let endpoint = serve(|mut server| async move {
            say(&mut server, BAD_KEY).await;
            close(&mut server, 3000, "invalid_request_error.invalid_api_key").await;
        })
        .await;
        let error = connect_error(&endpoint).await;
        assert_eq!(error.rejection(), Some(Rejection::InvalidKey), "{error}");
        assert!(!error.retry());
        assert!(error.to_string().contains("OPENAI_API_KEY"), "{error}");
        assert!(!error.to_string().contains(KEY), "{error}");
    }

    #[tokio::test]
    async fn a_key_refused_by_an_http_status_is_final_and_says_what_to_do() {
        let endpoint = answer_http("401 Unauthorized", &format!("no such key {KEY}")).await;
        let error = connect_error(&endpoint).await;
        assert_eq!(error.rejection(), Some(Rejection::InvalidKey), "{error}");
        assert!(!error.retry());
        assert!(error.to_string().contains("HTTP 401 Unauthorized"), "{error}");
        assert!(!error.to_string().contains(KEY), "{error}");
    }

    #[tokio::test]
    async fn a_wrong_path_is_final_and_points_at_the_url() {
        let endpoint = answer_http("404 Not Found", "").await;
        let error = connect_error(&endpoint).await;
        assert!(!error.retry());
        assert!(error.to_string().contains("OPENAI_REALTIME_API_URL"), "{error}");
    }

    #[tokio::test]
    async fn a_web_page_in_place_of_an_upgrade_is_final() {
        let endpoint = answer_http("200 OK", "<html>hello</html>").await;
        let error = connect_error(&endpoint).await;
        assert!(!error.retry(), "{error}");
        assert!(error.to_string().contains("HTTP 200 OK"), "{error}");
    }

    #[tokio::test]
    async fn an_overloaded_server_may_be_tried_again() {
        for status in ["429 Too Many Requests", "503 Service Unavailable"] {
            let endpoint = answer_http(status, "").await;
            let error = connect_error(&endpoint).await;
            assert!(error.retry(), "{error}");
        }
    }

    #[tokio::test]
    async fn a_used_up_quota_told_by_a_status_is_final_and_says_what_to_do() {
        let body = r#"{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
        let endpoint = answer_http("429 Too Many Requests", body).await;
        let error = connect_error(&endpoint).await;
        assert_eq!(error.rejection(), Some(Rejection::NoQuota), "{error}");
        assert!(!error.retry());
        assert!(error.to_string().contains("quota is used up"), "{error}");
    }

    #[tokio::test]
    async fn a_switched_off_beta_names_the_dialect() {
        let endpoint = serve(|mut server| async move {
            say(&mut server, r#"{"type":"error","error":{"type":"invalid_request_error","code":"beta_api_shape_disabled","message":"The beta is over."}}"#).await;
            close(&mut server, 4000, "invalid_request_error.beta_api_shape_disabled").await;
        })
        .await;
        let error = connect_error(&endpoint).await;
        assert_eq!(error.rejection(), Some(Rejection::BetaDisabled));
        assert!(error.to_string().contains("OPENAI_REALTIME_DIALECT=ga"), "{error}");
    }

    #[tokio::test]
    async fn nobody_at_the_port_may_be_tried_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = endpoint_at(listener.local_addr().unwrap());
        drop(listener);
        let error = connect_error(&endpoint).await;
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
        assert!(error.retry());
    }

    #[tokio::test]
    async fn a_key_with_a_line_break_is_never_sent() {
        let endpoint = ModelEndpoint {
            url: "ws://127.0.0.1:9/v1/realtime".to_owned(),
            key: Some(Secret::new("sk-test\n-secret")),
            ..ModelEndpoint::default()
        };
        let error = connect_error(&endpoint).await;
        assert!(matches!(error, ConnectError::Settings(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("-secret"), "{error}");
    }

    async fn connect_error(endpoint: &ModelEndpoint) -> ConnectError {
        match ModelSocket::connect(endpoint).await {
            Ok(_) => panic!("connected"),
            Err(error) => error,
        }
    }
}

mod before_the_session {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_error_without_a_close_counts_as_the_refusal_after_a_second() {
        let (client, mut server) = pair().await;
        let began = Instant::now();
        say(&mut server, BAD_KEY).await;
        let error = begin(client).await.err().expect("refused");
        assert_eq!(error.rejection(), Some(Rejection::InvalidKey));
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_runs_into_the_deadline() {
        let (client, _server) = pair().await;
        let began = Instant::now();
        let error = begin(client).await.err().expect("too slow");
        assert!(matches!(error, ConnectError::Timeout { stage: Stage::Session, .. }), "{error:?}");
        assert!(error.retry());
        assert_eq!(began.elapsed(), endpoint().session_deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_lost_at_once_may_be_tried_again() {
        let (client, server) = pair().await;
        drop(server);
        let error = begin(client).await.err().expect("lost");
        assert!(error.retry(), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_event_before_the_session_is_kept_and_given_later() {
        let (client, mut server) = pair().await;
        say(&mut server, r#"{"type":"server.weather","sky":"blue"}"#).await;
        say(&mut server, CREATED).await;
        let (mut socket, info) = begin(client).await.expect("up");
        assert_eq!(info.session, "sess_1");
        assert_eq!(info.model, "gpt-realtime-2.1");
        match socket.next().await {
            ModelIn::Event(ServerEvent::Other { kind, .. }) => assert_eq!(kind, "server.weather"),
            other => panic!("{other:?}"),
        }
    }
}

mod while_up {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quiet_server_that_answers_pings_stays() {
        let (mut socket, mut server) = up().await;
        // Reading is what answers pings.
        tokio::spawn(async move { while let Some(Ok(_)) = server.next().await {} });
        let quiet = timeout(Duration::from_secs(600), socket.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_no_ping_is_lost_after_45_seconds() {
        let (mut socket, _server) = up().await;
        let began = Instant::now();
        match socket.next().await {
            ModelIn::Down(down) => assert!(down.retry && down.refused.is_none(), "{down:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(began.elapsed(), SILENCE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_pings_come_every_20_seconds() {
        let (mut socket, mut server) = up().await;
        let began = Instant::now();
        tokio::spawn(async move { socket.next().await });
        for count in 1..=5 {
            assert!(matches!(server.next().await, Some(Ok(Message::Ping(_)))));
            assert_eq!(began.elapsed(), PING_EVERY * count);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_of_the_server_is_answered_with_its_own_bytes() {
        let (mut socket, mut server) = up().await;
        tokio::spawn(async move { socket.next().await });
        server.send(Message::Ping("are you there".into())).await.unwrap();
        match server.next().await {
            Some(Ok(Message::Pong(bytes))) => assert_eq!(bytes, "are you there"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn malformed_and_binary_messages_do_not_end_the_session() {
        let (mut socket, mut server) = up().await;
        server.send(Message::text("{not json")).await.unwrap();
        server.send(Message::binary(vec![1, 2, 3])).await.unwrap();
        say(&mut server, r#"{"type":"rate_limits.updated","rate_limits":[]}"#).await;
        assert!(matches!(socket.next().await, ModelIn::Malformed(_)));
        assert!(matches!(socket.next().await, ModelIn::Malformed(_)));
        assert!(matches!(socket.next().await, ModelIn::Event(ServerEvent::Other { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_of_the_beta_comes_as_two_events() {
        let (mut socket, mut server) = up().await;
        say(&mut server, r#"{"type":"conversation.item.created","item":{"id":"item_1","type":"message","status":"completed","role":"user","content":[]}}"#).await;
        for expected in ["conversation.item.added", "conversation.item.done"] {
            match socket.next().await {
                ModelIn::Event(ServerEvent::Other { kind, .. }) => assert_eq!(kind, expected),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn audio_and_ends_that_name_nothing_belong_to_the_response_under_way() {
        let (mut socket, mut server) = up().await;
        say(&mut server, r#"{"type":"response.created","response":{"id":"resp_1"}}"#).await;
        say(&mut server, r#"{"type":"response.output_audio.delta","response_id":null,"item_id":"item_1","delta":"AAAA"}"#).await;
        say(&mut server, r#"{"type":"response.done","response":{"id":null}}"#).await;
        assert!(matches!(socket.next().await, ModelIn::Event(ServerEvent::Other { .. })));
        match socket.next().await {
            ModelIn::Event(ServerEvent::AudioDelta { response, .. }) => {
                assert_eq!(response, "resp_1")
            }
            other => panic!("{other:?}"),
        }
        match socket.next().await {
            ModelIn::Event(ServerEvent::Other { json, .. }) => {
                assert!(json.contains("resp_1"), "{json}")
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_sixty_minute_close_may_be_followed_by_a_new_session() {
        let (mut socket, mut server) = up().await;
        close(&mut server, 1001, "Your session hit the maximum duration of 60 minutes.").await;
        let down = next_down(&mut socket).await;
        assert!(down.retry, "{down:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_quota_is_final_even_if_the_close_does_not_say_so() {
        let (mut socket, mut server) = up().await;
        say(&mut server, r#"{"type":"error","error":{"type":"invalid_request_error","code":"insufficient_quota","message":"You exceeded your quota."}}"#).await;
        close(&mut server, 1011, "").await;
        assert!(matches!(socket.next().await, ModelIn::Event(ServerEvent::Error { .. })));
        let down = next_down(&mut socket).await;
        assert_eq!(down.refused, Some(Rejection::NoQuota));
        assert!(!down.retry);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_reads_nothing_is_lost_after_five_seconds() {
        let (mut socket, _server) = up().await;
        for _ in 0..64 {
            socket.queue_append(&[0; 4800]).expect("within the buffer's bound");
        }
        let began = Instant::now();
        let down = next_down(&mut socket).await;
        assert!(down.reason.contains("took nothing"), "{down:?}");
        assert_eq!(began.elapsed(), crate::net::socket::STALL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_far_behind_is_lost_rather_than_waited_for() {
        let (mut socket, _server) = up().await;
        let refused = (0..2000).find_map(|_| socket.queue_append(&[0; 4800]).err());
        assert!(refused.expect("the buffer has a bound").reason.contains("behind"));
    }

    #[tokio::test(start_paused = true)]
    async fn audio_and_events_arrive_in_order() {
        let (mut socket, mut server) = up().await;
        socket.queue_append(&[1, 2, 3, 4]).unwrap();
        socket.queue_event(&ClientEvent::commit()).unwrap();
        tokio::spawn(async move { socket.next().await });
        assert_eq!(
            heard(&mut server).await,
            r#"{"type":"input_audio_buffer.append","audio":"AQIDBA=="}"#
        );
        assert_eq!(heard(&mut server).await, r#"{"type":"input_audio_buffer.commit"}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_queued_is_written_before_the_goodbye() {
        let (mut socket, mut server) = up().await;
        socket.queue_event(&ClientEvent::commit()).unwrap();
        let closing = tokio::spawn(socket.close(Duration::from_secs(2)));
        assert_eq!(heard(&mut server).await, r#"{"type":"input_audio_buffer.commit"}"#);
        assert!(matches!(server.next().await, Some(Ok(Message::Close(Some(_))))));
        assert!(server.next().await.is_none());
        closing.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_ignores_the_goodbye_is_left_at_the_deadline() {
        let (socket, _server) = up().await;
        let began = Instant::now();
        socket.close(Duration::from_secs(2)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }

    async fn next_down(socket: &mut ModelSocket<DuplexStream>) -> Down {
        match socket.next().await {
            ModelIn::Down(down) => down,
            other => panic!("{other:?}"),
        }
    }
}

mod upgrade {
    use super::*;
    use tokio_tungstenite::accept_hdr_async;
    use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

    #[tokio::test]
    async fn the_key_goes_where_the_operator_says_and_no_extension_is_offered() {
        let request = upgrade_of(|endpoint| {
            endpoint.auth = Auth { header: "api-key".to_owned(), value: "{key}".to_owned() };
            endpoint.headers = vec![("openai-project".to_owned(), Secret::new("proj_1"))];
        })
        .await;
        assert_eq!(request.uri().query(), Some("model=gpt-realtime-2.1"));
        assert_eq!(request.headers()["api-key"], KEY);
        assert_eq!(request.headers()["openai-project"], "proj_1");
        for absent in
            ["authorization", "openai-beta", "sec-websocket-extensions", "sec-websocket-protocol"]
        {
            assert!(!request.headers().contains_key(absent), "{absent}");
        }
    }

    #[tokio::test]
    async fn the_beta_header_is_sent_in_the_beta_dialect_only() {
        let request = upgrade_of(|endpoint| endpoint.dialect = Dialect::Beta).await;
        assert_eq!(request.headers()["openai-beta"], "realtime=v1");
        assert_eq!(request.headers()["authorization"], format!("Bearer {KEY}"));
    }

    #[expect(clippy::result_large_err, reason = "the type is the library's callback's")]
    async fn upgrade_of(change: impl FnOnce(&mut ModelEndpoint)) -> Request {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut endpoint = endpoint_at(listener.local_addr().unwrap());
        change(&mut endpoint);
        let serving = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut seen = None;
            let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
                seen = Some(request.clone());
                Ok(response)
            };
            let mut server = accept_hdr_async(tcp, look).await.unwrap();
            say(&mut server, CREATED).await;
            seen.expect("the upgrade came")
        });
        ModelSocket::connect(&endpoint).await.map(drop).expect("connected");
        serving.await.unwrap()
    }
}

mod programs {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn a_handler_hears_its_type_until_it_is_removed() {
        let (model, mut server) = connection().await;
        let (tell, mut told) = mpsc::unbounded_channel();
        let everything = tell.clone();
        let id = model
            .on_message_type("response.done", move |_| tell.send("done").unwrap())
            .await
            .unwrap();
        model.on_message_type("*", move |_| everything.send("any").unwrap()).await.unwrap();
        model.commit().await.unwrap();
        assert_eq!(heard(&mut server).await, r#"{"type":"input_audio_buffer.commit"}"#);
        say(&mut server, r#"{"type":"response.done","response":{}}"#).await;
        assert_eq!((told.recv().await, told.recv().await), (Some("done"), Some("any")));
        model.remove_handler(id).await.unwrap();
        model.commit().await.unwrap();
        heard(&mut server).await;
        say(&mut server, r#"{"type":"response.done","response":{}}"#).await;
        assert_eq!(told.recv().await, Some("any"));
        assert!(told.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn long_audio_waits_for_a_slow_network_instead_of_filling_a_buffer() {
        let (model, mut server) = connection().await;
        let sending = tokio::spawn(async move {
            model.send_audio(&vec![7; 6 * 1024 * 1024]).await.unwrap();
            model
        });
        let mut bytes = 0;
        while bytes < 6 * 1024 * 1024 {
            bytes += appended(&heard(&mut server).await);
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        sending.await.unwrap().commit().await.unwrap();
        assert_eq!(heard(&mut server).await, r#"{"type":"input_audio_buffer.commit"}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn the_configuration_asks_for_pcm_and_turns_by_hand() {
        let (model, mut server) = connection().await;
        model.send_config("Say \"hello\".").await.unwrap();
        let event: serde_json::Value = serde_json::from_str(&heard(&mut server).await).unwrap();
        assert_eq!(event["type"], "session.update");
        assert_eq!(event["session"]["instructions"], "Say \"hello\".");
        assert_eq!(event["session"]["audio"]["input"]["turn_detection"], serde_json::Value::Null);
        assert_eq!(event["session"]["audio"]["output"]["format"]["type"], "audio/pcm");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_told_to_who_waits_and_to_who_sends() {
        let (model, mut server) = connection().await;
        close(&mut server, 1011, "").await;
        let down = model.closed().await;
        assert!(down.retry, "{down:?}");
        assert_eq!(model.commit().await, Err(ConnectionClosed));
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_the_connection_says_goodbye_to_the_server() {
        let (model, mut server) = connection().await;
        drop(model);
        assert!(matches!(server.next().await, Some(Ok(Message::Close(Some(_))))));
    }

    #[tokio::test]
    async fn one_who_never_stops_sending_still_hears_the_model() {
        let (mut socket, mut server) = up().await;
        for number in 0..8 {
            say(&mut server, &format!(r#"{{"type":"response.created","event_id":"e{number}"}}"#))
                .await;
            socket.queue_append(&[0; 480]).unwrap();
            let said = socket.turn(true).await;
            assert!(matches!(said, Some(ModelIn::Event(ServerEvent::Other { .. }))), "{said:?}");
            assert!(socket.all_written());
        }
    }

    #[tokio::test]
    async fn instructions_that_no_server_takes_are_refused_and_the_connection_lives() {
        let (model, mut server) = connection().await;
        let error = model.send_config(&"x".repeat(16 << 20)).await.unwrap_err();
        assert!(matches!(error, ConfigError::Refused(_)), "{error}");
        model.commit().await.unwrap();
        assert!(heard(&mut server).await.contains("input_audio_buffer.commit"));
    }

    async fn connection() -> (RealtimeConnection, WebSocketStream<DuplexStream>) {
        let (client, mut server) = pair().await;
        say(&mut server, CREATED).await;
        let (socket, info) = begin(client).await.expect("up");
        (RealtimeConnection::over(socket, info), server)
    }
}

fn appended(text: &str) -> usize {
    let event: serde_json::Value = serde_json::from_str(text).unwrap();
    BASE64_STANDARD.decode(event["audio"].as_str().unwrap()).unwrap().len()
}

fn endpoint() -> ModelEndpoint {
    ModelEndpoint { key: Some(Secret::new(KEY)), ..ModelEndpoint::default() }
}

fn endpoint_at(address: std::net::SocketAddr) -> ModelEndpoint {
    ModelEndpoint { url: format!("ws://{address}/v1/realtime"), ..endpoint() }
}

/// Two ends of a WebSocket in memory, so that virtual time does not run past unfinished I/O.
async fn pair() -> (WebSocketStream<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = duplex(64 * 1024);
    let client =
        WebSocketStream::from_raw_socket(ours, Role::Client, Some(connect::limits())).await;
    let server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
    (client, server)
}

async fn begin(
    client: WebSocketStream<DuplexStream>,
) -> Result<(ModelSocket<DuplexStream>, cordboard_call::contract::ModelInfo), ConnectError> {
    ModelSocket::begin(client, &endpoint()).await
}

async fn up() -> (ModelSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (client, mut server) = pair().await;
    say(&mut server, CREATED).await;
    let (socket, _) = begin(client).await.expect("up");
    (socket, server)
}

async fn say<S>(server: &mut WebSocketStream<S>, text: &str)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    server.send(Message::text(text)).await.expect("the client reads");
}

async fn heard(server: &mut WebSocketStream<DuplexStream>) -> String {
    loop {
        match server.next().await {
            Some(Ok(Message::Text(text))) => return text.to_string(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn close<S>(server: &mut WebSocketStream<S>, code: u16, reason: &str)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
    server.close(Some(frame)).await.expect("the client reads");
}

/// Serves one upgraded connection on loopback.
async fn serve<F>(
    serve: impl FnOnce(WebSocketStream<tokio::net::TcpStream>) -> F + Send + 'static,
) -> ModelEndpoint
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint_at(listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        serve(accept_async(tcp).await.unwrap()).await;
    });
    endpoint
}

/// Answers one upgrade with a page.
async fn answer_http(status: &str, body: &str) -> ModelEndpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint_at(listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let read = tcp.read(&mut request).await.unwrap();
        assert!(read > 0);
        tcp.write_all(answer.as_bytes()).await.unwrap();
    });
    endpoint
}
