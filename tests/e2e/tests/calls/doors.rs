//! Who is let in: signatures, stream tokens, caps, tenants, and the way out while draining.

use std::time::Duration;

use cordboard_e2e::by_hand::{Socket, call_sid, post, ring};
use cordboard_e2e::{Plan, World, caller, checks, until};
use cordboard_sim::carrier::signature::sign;
use cordboard_sim::carrier::{CallPlan, CallReport, End, Knobs, Step};
use cordboard_sim::model::{Answer, Exchange, ModelScript};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::listening::{Turns, greeted, only};

async fn a_webhook_signed_wrongly_or_not_at_all_opens_nothing() {
    let world = Plan::default().open().await;

    for knobs in [
        Knobs { wrong_signature: true, ..Knobs::default() },
        Knobs { no_signature: true, ..Knobs::default() },
    ] {
        let call = world.placed(CallPlan { knobs, ..CallPlan::new(caller()) }).await;
        assert_eq!(statuses(&call), [403]);
        assert_eq!(call.end, End::WebhookFailed);
    }

    assert_eq!(world.counted(r#"refused_total{kind="signature"}"#), 2);
    assert!(world.close().await.is_empty(), "a model session was opened");
}

async fn every_page_of_the_carrier_asks_for_the_signature() {
    let world = Plan::default().open().await;
    let form = [("CallSid", "CA0000000000000000000000000000000b"), ("AccountSid", "AC0")];

    for path in [
        "/incoming-call",
        "/api/webhooks/twilio/voice",
        "/t/default/incoming-call",
        "/t/nobody/incoming-call",
        "/stream-status",
        "/after-stream",
    ] {
        let (status, body) = post(&world, path, &form, false).await;
        assert_eq!(status, 403, "{path}: {body}");
    }

    assert!(world.close().await.is_empty());
}

async fn a_socket_without_a_promise_opens_nothing_signed_or_not() {
    let world = Plan::default().open().await;
    let url = format!("{}/media/AAAAAAAAAAAAAAAAAAAAAA", World::ORIGIN.replacen("https", "wss", 1));

    assert_eq!(Socket::open(&world, "/media/AAAAAAAAAAAAAAAAAAAAAA").await.err(), Some(403));
    let client = cordboard_sim::http::client().build().expect("a plain client builds");
    let unsigned = client
        .get(world.url("/media/AAAAAAAAAAAAAAAAAAAAAA"))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .send()
        .await
        .expect("the gateway answers");
    assert_eq!(unsigned.status().as_u16(), 403, "{url}");

    assert_eq!(world.counted(r#"refused_total{kind="unknown-stream-token"}"#), 1);
    assert_eq!(world.counted(r#"refused_total{kind="signature"}"#), 1);
    assert!(world.close().await.is_empty(), "a model session was opened");
}

async fn a_stranger_who_knows_the_token_but_not_the_key_is_refused_and_the_caller_told() {
    let world = Plan::default().open().await;
    let knobs = Knobs { wrong_upgrade_signature: true, ..Knobs::default() };

    let call = world.placed(CallPlan { knobs, ..CallPlan::new(caller()) }).await;

    assert_eq!(call.stream().refused, Some(403));
    assert_eq!(call.verbs.len(), 2, "{:?}", call.verbs);
    assert!(call.verbs[0].starts_with("say: We are sorry"), "{:?}", call.verbs);
    assert_eq!(call.verbs[1], "hangup");
    // The carrier asks what comes after the stream: nobody will redeem the promise.
    let sessions = world.close().await;
    let reached = sessions.iter().any(|session| !session.received.is_empty());
    assert!(!reached, "a stranger reached the model");
}

async fn a_wrong_path_is_refused_and_the_caller_told() {
    let world = Plan::default().open().await;
    let path = Some("/media/AAAAAAAAAAAAAAAAAAAAAA".into());
    let knobs = Knobs { stream_path: path, ..Knobs::default() };

    let call = world.placed(CallPlan { knobs, ..CallPlan::new(caller()) }).await;

    assert_eq!(call.stream().refused, Some(403));
    assert!(call.verbs[0].starts_with("say: We are sorry"), "{:?}", call.verbs);
    assert_eq!(world.counted(r#"refused_total{kind="stream-error"}"#), 1);
    world.close().await;
}

async fn a_stream_that_comes_too_late_finds_nobody_and_no_session_is_left_open() {
    let world = Plan::default().setting("CORDBOARD_MAX_CALLS", "1").open().await;
    let knobs = Knobs { stream_delay_ms: 31_000, ..Knobs::default() };

    let late = world.placed(CallPlan { knobs, ..CallPlan::new(caller()) }).await;
    assert_eq!(late.stream().refused, Some(403));
    let log = world.log();
    until("the session is over", || log.sessions().iter().all(|s| s.ended.is_some())).await;

    // The place it had taken is free again.
    let next = world.call(greeted().hang_up()).await;
    assert_eq!(next.end, End::CallerHungUp);
    assert_eq!(world.close().await.len(), 2);
}

async fn a_token_opens_one_stream_once() {
    let world = Plan::script(tones(500, 700)).open().await;

    let script = greeted().then(Step::SecondSocket).wait(1000).converse(1).hang_up();
    let call = world.call(script).await;

    assert_eq!(call.stream().second_socket.as_deref(), Some("refused 403"));
    assert_eq!(call.end, End::CallerHungUp);
    assert_eq!(world.close().await.len(), 1);
}

async fn a_stream_of_another_call_than_its_tokens_is_turned_away() {
    let world = Plan::default().open().await;
    let path = ring(&world, &call_sid(1)).await;

    let mut socket = Socket::open(&world, &path).await.expect("the token is right");
    socket.begin(&call_sid(2), 1).await;

    assert_eq!(socket.closed().await, 1008);
    assert_eq!(world.counted(r#"refused_total{kind="foreign-stream"}"#), 1);
    let sessions = world.close().await;
    assert!(only(&sessions).received.is_empty());
}

async fn a_socket_that_never_starts_is_closed() {
    let world = Plan::default().open().await;
    let path = ring(&world, &call_sid(1)).await;

    let mut socket = Socket::open(&world, &path).await.expect("the token is right");

    assert_eq!(socket.closed().await, 1008);
    assert_eq!(world.counted(r#"refused_total{kind="no-start"}"#), 1);
    world.close().await;
}

async fn the_newest_stream_of_a_call_wins() {
    let world = Plan::default().open().await;
    let (first_path, second_path) =
        (ring(&world, &call_sid(1)).await, ring(&world, &call_sid(1)).await);

    let mut first = Socket::open(&world, &first_path).await.expect("the token is right");
    first.begin(&call_sid(1), 1).await;
    first.hears_something().await;
    let mut second = Socket::open(&world, &second_path).await.expect("the token is right");
    second.begin(&call_sid(1), 2).await;

    first.closed().await;
    second.hears_something().await;
    assert_eq!(world.gateway().calls.len(), 1);
    second.close().await;
    assert_eq!(world.close().await.len(), 2);
}

async fn a_webhook_asked_twice_is_one_call() {
    let world = Plan::script(tones(500, 700)).setting("CORDBOARD_MAX_CALLS", "1").open().await;
    let knobs = Knobs { webhook_retry: true, ..Knobs::default() };

    let script = greeted().converse(1).hang_up();
    let call = world.placed(CallPlan { knobs, ..CallPlan::new(script) }).await;

    assert_eq!(call.requests[0].purpose, "webhook");
    assert_eq!(call.requests[1].purpose, "webhook");
    assert_eq!(call.requests[0].body, call.requests[1].body);
    assert_eq!(world.close().await.len(), 1);
}

async fn a_call_too_many_hears_that_the_line_is_busy() {
    let world = Plan::script(tones(500, 700)).setting("CORDBOARD_MAX_CALLS", "1").open().await;

    let neighbour = world.neighbour();
    let log = world.log();
    until("the first call is up", || !log.is_empty()).await;
    let call = world.call(caller()).await;

    assert_eq!(call.end, End::Rejected("busy".into()));
    assert_eq!(world.counted(r#"refused_total{kind="process-full"}"#), 1);
    neighbour.ends_unharmed([500, 700, 700]).await;
    assert_eq!(world.close().await.len(), 1);
}

async fn a_full_tenant_is_busy_and_the_others_are_not() {
    let small = format!("max_calls = 1\nnumbers = [\"+15550100888\"]\n{}", World::TENANT);
    let plan = Plan { tenants: vec![("small".into(), small)], ..Plan::script(tones(500, 700)) };
    let world = plan.open().await;
    let to_small = |script| CallPlan { to: "+15550100888".into(), ..CallPlan::new(script) };

    let first = world.start(to_small(greeted().wait_close()));
    let log = world.log();
    until("the first call is up", || !log.is_empty()).await;
    let second = world.placed(to_small(caller())).await;
    let elsewhere = world.call(greeted().converse(1).hang_up()).await;
    first.hang_up();
    checks::call(&first.finished().await);
    let third = world.placed(to_small(greeted().hang_up())).await;

    assert_eq!(second.end, End::Rejected("busy".into()));
    assert_eq!(elsewhere.end, End::CallerHungUp);
    assert_eq!(third.end, End::CallerHungUp, "the place was given up");
    assert_eq!(world.counted(r#"refused_total{kind="tenant-full"}"#), 1);
    world.close().await;
}

async fn draining_refuses_new_calls_and_lets_the_running_one_end() {
    let world = Plan::script(tones(500, 700)).open().await;
    assert_eq!(world.get("/ready").await.0, 200);
    let running = world.start(CallPlan::new(greeted().wait(1500).converse(1).hang_up()));
    let gateway = world.gateway();
    until("the call is up", || gateway.calls.len() == 1).await;

    let draining = tokio::spawn(async move { gateway.drain(Duration::from_secs(30)).await });
    until("it drains", || world.gateway().admissions.is_draining()).await;
    assert_eq!(world.get("/ready").await.0, 503);
    assert_eq!(world.get("/health").await.0, 200);
    let refused = world.call(caller()).await;
    let ended = running.finished().await;

    assert_eq!(statuses(&refused), [503]);
    checks::call(&ended);
    assert_eq!((ended.end, ended.script_failure), (End::CallerHungUp, None));
    draining.await.expect("it comes to an end");
    assert_eq!(world.close().await.len(), 1);
}

async fn a_call_that_outlives_the_drain_is_ended_cleanly() {
    let world = Plan::script(tones(500, 700)).open().await;
    let running = world.start(CallPlan::new(greeted().wait_close()));
    let gateway = world.gateway();
    let log = world.log();
    let greeted = || log.session(0).is_some_and(|s| !s.sent_of("response.done").is_empty());
    until("the caller was greeted", greeted).await;

    gateway.drain(Duration::from_millis(500)).await;
    let ended = running.finished().await;

    checks::call(&ended);
    assert_eq!(ended.script_failure, None);
    assert_eq!(ended.end, End::GatewayHungUp);
    assert_eq!(ended.stream().closed.as_ref().map(|(code, _)| *code), Some(1000));
    assert_eq!(world.counted(r#"calls_ended_total{tenant="default",kind="drained"}"#), 1);
    world.close().await;
}

async fn a_tenant_whose_component_is_of_another_world_stops_no_other() {
    // An empty component: it exports nothing, so it can not be asked anything.
    let empty = b"\0asm\x0d\0\x01\0".to_vec();
    let toml = |number: &str| format!("component = \"c.wasm\"\nnumbers = [\"{number}\"]\n");
    let plan = Plan {
        tenants: vec![
            ("empty".into(), toml("+15550100901")),
            ("noise".into(), toml("+15550100902")),
            ("absent".into(), toml("+15550100903")),
            ("broken".into(), "settings = 7".into()),
        ],
        components: vec![
            ("empty".into(), "c.wasm".into(), empty),
            ("noise".into(), "c.wasm".into(), b"this is no component".to_vec()),
        ],
        ..Plan::script(tones(500, 700))
    };
    let world = plan.open().await;

    let neighbour = world.neighbour();
    for number in ["+15550100901", "+15550100902", "+15550100903"] {
        // Nobody else may answer in this tenant's name.
        let plan = CallPlan { to: number.into(), ..CallPlan::new(caller()) };
        let call = world.placed(plan).await;
        assert!(call.verbs[0].contains("not in service"), "{:?}", call.verbs);
        assert_eq!((call.end, call.streams.len()), (End::GatewayHungUp, 0));
    }
    assert_eq!(world.counted(r#"refused_total{kind="tenant-broken"}"#), 3);
    assert_eq!(world.call(greeted().hang_up()).await.end, End::CallerHungUp);
    let form = [
        ("CallSid", "CA0000000000000000000000000000000b"),
        ("AccountSid", "AC0000000000000000000000000000000a"),
    ];
    let (status, body) = post(&world, "/t/empty/incoming-call", &form, true).await;

    assert_eq!(status, 200);
    assert!(body.contains("not in service"), "{body}");
    neighbour.ends_unharmed([500, 700, 700]).await;
    world.close().await;
}

async fn a_status_callback_at_the_voice_url_opens_nothing() {
    let world = Plan::default().setting("CORDBOARD_MAX_CALLS", "1").open().await;

    for (nth, status) in ["completed", "busy", "no-answer", "canceled", "failed"].iter().enumerate()
    {
        let call = call_sid(u8::try_from(nth).expect("there are five"));
        for path in ["/incoming-call", "/t/default/incoming-call", "/t/nobody/incoming-call"] {
            let answer = post(&world, path, &announcement(&call, status), true).await;
            assert_eq!(answer, (204, String::new()), "{status} at {path}");
        }
    }
    let mut progress = announcement("CA0000000000000000000000000000000b", "in-progress").to_vec();
    progress.push(("CallbackSource", "call-progress-events"));
    assert_eq!(post(&world, "/incoming-call", &progress, true).await, (204, String::new()));

    assert!(world.close().await.is_empty(), "a model session was opened");
}

async fn a_caller_who_is_gone_before_the_stream_leaves_the_place_to_the_next() {
    let world = Plan::default().setting("CORDBOARD_MAX_CALLS", "1").open().await;
    let call = call_sid(9);
    let failed = [
        ("CallSid", call.as_str()),
        ("StreamSid", "MZ0000000000000000000000000000000a"),
        ("StreamEvent", "stream-error"),
        ("StreamError", "the caller hung up"),
    ];
    let over = announcement(&call, "completed");

    for (path, form) in [
        ("/stream-status", &failed[..]),
        ("/after-stream", &over[..]),
        ("/incoming-call", &over[..]),
    ] {
        let stream = ring(&world, &call).await;
        let (_, busy) =
            post(&world, "/incoming-call", &announcement(&call_sid(8), "ringing"), true).await;
        assert!(busy.contains("busy"), "{busy}");
        let (status, body) = post(&world, path, form, true).await;
        assert!(status < 300, "{path}: {body}");
        assert_eq!(Socket::open(&world, &stream).await.err(), Some(403), "{path}");
    }
    ring(&world, &call).await;
    post(&world, "/incoming-call", &over, true).await;

    let log = world.log();
    until("no session is left", || log.sessions().iter().all(|it| it.ended.is_some())).await;
    world.close().await;
}

async fn a_webhook_by_get_is_answered_as_by_post_and_signed_over_its_query() {
    let world = Plan::default().open().await;
    let path = "/incoming-call?CallSid=CA0000000000000000000000000000000c\
                &AccountSid=AC0000000000000000000000000000000a&CallStatus=ringing&To=%2B15550100002";
    let client = cordboard_sim::http::client().build().expect("a plain client builds");
    let ask = |signature: String| {
        let request = client.get(world.url(path)).header("X-Twilio-Signature", signature);
        async move { request.send().await.expect("the gateway answers") }
    };
    let public = format!("{}{path}", World::ORIGIN);

    assert_eq!(ask(sign(World::AUTH_TOKEN, World::ORIGIN, &[])).await.status(), 403);
    let answer = ask(sign(World::AUTH_TOKEN, &public, &[])).await;
    assert_eq!(answer.status(), 200);
    let twiml = answer.text().await.expect("the answer has an end");
    assert!(twiml.contains("/media/"), "{twiml}");

    let over = announcement("CA0000000000000000000000000000000c", "completed");
    post(&world, "/incoming-call", &over, true).await;
    world.close().await;
}

async fn the_public_port_tells_nothing_about_tenants() {
    let world = Plan::default().open().await;
    for path in ["/metrics", "/v1/tenants", "/v1/calls", "/openapi.json", "/"] {
        let (status, body) = world.get(path).await;
        assert_eq!((status, body.as_str()), (404, ""), "{path}");
    }
    for path in ["/health", "/ready"] {
        assert_eq!(world.get(path).await.0, 200, "{path}");
    }
    world.close().await;
}

async fn strangers_who_take_every_place_cost_callers_nothing() {
    let world = Plan::script(tones(500, 700)).setting("CORDBOARD_MAX_CALLS", "2").open().await;
    let neighbour = world.neighbour();
    let mut strangers = Vec::new();
    for begun in 0..3 * (2 * 2 + 64) {
        let address = world.url("").replace("http://", "");
        let mut stranger = TcpStream::connect(address).await.expect("it listens");
        let request = match begun % 3 {
            0 => "GET /health HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000),
            1 => "GET /health HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            _ => "POST /incoming-call HTTP/1.1\r\nHost:".to_owned(),
        };
        // It may have made room for another already. None reads.
        let _ = stranger.write_all(request.as_bytes()).await;
        strangers.push(stranger);
    }

    let call = world.call(greeted().hang_up()).await;
    assert_eq!((call.end, call.script_failure), (End::CallerHungUp, None));
    assert!(world.counted(r#"refused_total{kind="connection-crowded-out"}"#) > 0);
    neighbour.ends_unharmed([500, 700, 700]).await;
    drop(strangers);
    world.close().await;
}

async fn a_call_placed_by_rest_is_answered_by_the_tenant_whose_number_it_comes_from() {
    let world = Plan::default().open().await;
    for (direction, from, to, tenant) in [
        ("outbound-api", World::BITS_NUMBER, "+15550109999", "bits"),
        ("outbound-api", "+15550109999", World::BITS_NUMBER, "default"),
        ("inbound", "+15550109999", World::BITS_NUMBER, "bits"),
    ] {
        let call = call_sid(7);
        let form = [
            ("CallSid", call.as_str()),
            ("AccountSid", "AC0000000000000000000000000000000a"),
            ("From", from),
            ("To", to),
            ("CallStatus", "in-progress"),
            ("Direction", direction),
        ];
        let (status, twiml) = post(&world, "/incoming-call", &form, true).await;
        assert_eq!(status, 200);
        let named = format!("value=\"{tenant}\"");
        assert!(twiml.contains(&named), "{direction} from {from}: {twiml}");
        post(&world, "/incoming-call", &announcement(&call, "completed"), true).await;
    }
    world.close().await;
}

/// What the carrier posts about a call.
fn announcement<'a>(call_sid: &'a str, status: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("CallSid", call_sid),
        ("AccountSid", "AC0000000000000000000000000000000a"),
        ("To", "+15550100002"),
        ("CallStatus", status),
    ]
}

fn statuses(call: &CallReport) -> Vec<u16> {
    call.requests.iter().filter_map(|request| request.status).collect()
}

fn tones(greeting_ms: u32, answer_ms: u32) -> ModelScript {
    let mut script =
        ModelScript::new(Answer::tone(greeting_ms), [Exchange::answer(Answer::tone(answer_ms))]);
    script.otherwise = Answer::tone(answer_ms);
    script
}

crate::scenarios![
    a_webhook_signed_wrongly_or_not_at_all_opens_nothing,
    every_page_of_the_carrier_asks_for_the_signature,
    a_socket_without_a_promise_opens_nothing_signed_or_not,
    a_stranger_who_knows_the_token_but_not_the_key_is_refused_and_the_caller_told,
    a_wrong_path_is_refused_and_the_caller_told,
    a_stream_that_comes_too_late_finds_nobody_and_no_session_is_left_open,
    a_token_opens_one_stream_once,
    a_stream_of_another_call_than_its_tokens_is_turned_away,
    a_socket_that_never_starts_is_closed,
    the_newest_stream_of_a_call_wins,
    a_webhook_asked_twice_is_one_call,
    a_call_too_many_hears_that_the_line_is_busy,
    a_full_tenant_is_busy_and_the_others_are_not,
    draining_refuses_new_calls_and_lets_the_running_one_end,
    a_call_that_outlives_the_drain_is_ended_cleanly,
    a_tenant_whose_component_is_of_another_world_stops_no_other,
    a_status_callback_at_the_voice_url_opens_nothing,
    a_caller_who_is_gone_before_the_stream_leaves_the_place_to_the_next,
    a_webhook_by_get_is_answered_as_by_post_and_signed_over_its_query,
    the_public_port_tells_nothing_about_tenants,
    strangers_who_take_every_place_cost_callers_nothing,
    a_call_placed_by_rest_is_answered_by_the_tenant_whose_number_it_comes_from,
];
