//! Carriers and callers that send what nobody should: counted, answered clearly, and no harm to anybody else.

use cordboard_e2e::by_hand::{Socket, call_sid, post, ring};
use cordboard_e2e::{Plan, caller, until};
use cordboard_sim::carrier::{CallPlan, CallerScript, End, Step};
use cordboard_sim::model::{Answer, Exchange, ModelScript};

use crate::listening::{Turns, greeted, outcomes};

async fn messages_that_break_the_protocol_are_counted_and_the_call_goes_on() {
    let world = Plan::script(script()).open().await;
    let neighbour = world.neighbour();

    let another = format!(
        r#"{{"event":"media","sequenceNumber":"7","media":{{"track":"inbound","chunk":"6","timestamp":"900","payload":"{}"}},"streamSid":"MZ{}"}}"#,
        "AAAA".repeat(54),
        "f".repeat(32)
    );
    let mut bad = vec![
        "".to_owned(),
        "{".into(),
        "null".into(),
        "[1,2,3]".into(),
        r#"{"event":"media"}"#.into(),
        r#"{"event":"media","media":{"payload":"%%%"},"streamSid":"?"}"#.into(),
        r#"{"event":["media"]}"#.into(),
        r#"{"event":"start","start":{}}"#.into(),
        format!("{{\"event\":{}", "[".repeat(3000)),
        another,
    ];
    let count = bad.len() as u64;
    let begun = greeted();
    let broken = bad.drain(..).fold(begun, |script, text| script.then(Step::SendRaw(text)));
    let script = broken
        .then(Step::SendBinary(vec![0; 400]))
        .then(Step::SendBinary(Vec::new()))
        .then(Step::SendRaw(r#"{"event":"weather","sequenceNumber":"8","streamSid":"?"}"#.into()))
        .converse(1)
        .hang_up();
    let call = world.call(script).await;

    assert_eq!(call.end, End::CallerHungUp);
    assert_eq!(world.counted(r#"malformed_total{kind="carrier-message"}"#), count);
    assert_eq!(world.counted(r#"malformed_total{kind="binary-frame"}"#), 2);
    neighbour.ends_unharmed([500, 700, 700]).await;
    let sessions = world.close().await;
    assert!(sessions.iter().all(|session| outcomes(session).iter().all(|o| *o == "completed")));
    assert_eq!(sessions.len(), 2);
}

async fn an_oversized_message_ends_its_own_call_alone() {
    let world = Plan::script(script()).open().await;
    let neighbour = world.neighbour();

    let huge = format!(r#"{{"event":"media","padding":"{}"}}"#, "x".repeat(100_000));
    let call = world.call(greeted().then(Step::SendRaw(huge)).wait_close()).await;

    assert!(matches!(call.end, End::GatewayHungUp | End::Dropped), "{:?}", call.end);
    neighbour.ends_unharmed([500, 700, 700]).await;
    until("the call is over", || world.gateway().calls.is_empty()).await;
    let lost = r#"calls_ended_total{tenant="default",kind="carrier-lost"}"#;
    assert_eq!(world.counted(lost), 1);
    world.close().await;
}

async fn an_oversized_form_is_refused_before_it_is_read() {
    let world = Plan::default().open().await;

    let junk = vec![("Junk".to_owned(), "x".repeat(70_000))];
    let call = world.placed(CallPlan { form: junk, ..CallPlan::new(caller()) }).await;

    assert_eq!(call.requests[0].status, Some(413));
    assert_eq!(world.counted(r#"refused_total{kind="form-too-large"}"#), 1);
    assert!(world.close().await.is_empty());
}

async fn hostile_numbers_and_parameters_are_only_text() {
    let world = Plan::script(script()).open().await;
    let hostile = r#""/><Hangup/><Say>&lt;]]>'; DROP TABLE calls; --"#;

    let form = vec![
        ("From".to_owned(), hostile.to_owned()),
        ("To".to_owned(), format!("{hostile}\u{0}\u{FEFF}\r\n\r\n")),
        ("Direction".to_owned(), hostile.to_owned()),
        ("CallerName".to_owned(), "{{secret:OPENAI_API_KEY}}".to_owned()),
        (hostile.to_owned(), "x".to_owned()),
    ];
    let plan = CallPlan { form, ..CallPlan::new(greeted().converse(1).hang_up()) };
    let call = world.placed(plan).await;

    assert_eq!(call.end, End::CallerHungUp);
    let document = &call.requests[0].body;
    assert!(!document.contains("Hangup") && !document.contains("DROP"), "{document}");
    assert_eq!(call.verbs, [] as [String; 0]);
    world.close().await;
}

async fn a_form_that_names_no_call_is_a_bad_request() {
    let world = Plan::default().open().await;

    let account = ("AccountSid", "AC0000000000000000000000000000000a");
    for form in [
        vec![],
        vec![account],
        vec![account, ("CallSid", "")],
        vec![account, ("CallSid", "../../Accounts")],
        vec![account, ("CallSid", "CA<script>")],
    ] {
        let (status, body) = post(&world, "/incoming-call", &form, true).await;
        assert_eq!(status, 400, "{form:?}: {body}");
    }

    let (status, _) = post(
        &world,
        "/t/%2e%2e%2fdefault/incoming-call",
        &[account, ("CallSid", &call_sid(1))],
        true,
    )
    .await;
    assert_eq!(status, 404);
    assert_eq!(world.counted(r#"refused_total{kind="malformed-webhook"}"#), 5);
    assert!(world.close().await.is_empty());
}

async fn a_stream_that_begins_with_nonsense_is_turned_away() {
    let world = Plan::default().open().await;
    let path = ring(&world, &call_sid(1)).await;

    let mut socket = Socket::open(&world, &path).await.expect("the token is right");
    socket.say("GET / HTTP/1.1".into()).await;

    assert_eq!(socket.closed().await, 1008);
    assert_eq!(world.counted(r#"refused_total{kind="no-start"}"#), 1);
    world.close().await;
}

async fn a_format_nobody_knows_is_turned_away_by_name() {
    let world = Plan::default().open().await;
    let path = ring(&world, &call_sid(1)).await;

    let mut socket = Socket::open(&world, &path).await.expect("the token is right");
    socket
        .say(format!(
            r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"AC0","streamSid":"MZ1","callSid":"{}","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/opus","sampleRate":48000,"channels":2}},"customParameters":{{}}}},"streamSid":"MZ1"}}"#,
            call_sid(1)
        ))
        .await;

    assert_eq!(socket.closed().await, 1008);
    assert_eq!(world.counted(r#"refused_total{kind="unknown-format"}"#), 1);
    world.close().await;
}

async fn a_carrier_that_goes_away_for_seconds_and_comes_back_is_still_in_the_call() {
    let world = Plan::script(script()).open().await;
    let neighbour = world.neighbour();

    let away = Step::HalfOpen { ms: 3000 };
    let script = greeted().then(away).wait(3500).converse(1).hang_up();
    let call = world.call(script).await;

    assert_eq!(call.end, End::CallerHungUp);
    neighbour.ends_unharmed([500, 700, 700]).await;
    world.close().await;
}

async fn a_carrier_that_reads_slowly_holds_nobody_else_up() {
    let world = Plan::script(script()).open().await;
    let neighbour = world.neighbour();

    let script: CallerScript =
        caller().then(Step::SlowReader { ms: 3000 }).listen().converse(1).hang_up();
    let call = world.call(script).await;

    assert_eq!(call.end, End::CallerHungUp);
    neighbour.ends_unharmed([500, 700, 700]).await;
    world.close().await;
}

async fn a_carrier_that_vanishes_without_a_word_does_not_keep_its_place() {
    let world = Plan::script(script()).setting("CORDBOARD_CALL_LENGTH_MAX_S", "10").open().await;
    let path = ring(&world, &call_sid(1)).await;

    let mut socket = Socket::open(&world, &path).await.expect("the token is right");
    socket.begin(&call_sid(1), 1).await;

    // No frame, no stop, no close: the call's own length is the last bound.
    until("the call is over", || world.gateway().calls.is_empty()).await;
    drop(socket);
    world.close().await;
}

/// Greets, and answers every turn alike.
fn script() -> ModelScript {
    let mut script = ModelScript::new(Answer::tone(500), [Exchange::answer(Answer::tone(700))]);
    script.otherwise = Answer::tone(700);
    script
}

crate::scenarios![
    messages_that_break_the_protocol_are_counted_and_the_call_goes_on,
    an_oversized_message_ends_its_own_call_alone,
    an_oversized_form_is_refused_before_it_is_read,
    hostile_numbers_and_parameters_are_only_text,
    a_form_that_names_no_call_is_a_bad_request,
    a_stream_that_begins_with_nonsense_is_turned_away,
    a_format_nobody_knows_is_turned_away_by_name,
    a_carrier_that_goes_away_for_seconds_and_comes_back_is_still_in_the_call,
    a_carrier_that_reads_slowly_holds_nobody_else_up,
    a_carrier_that_vanishes_without_a_word_does_not_keep_its_place,
];
