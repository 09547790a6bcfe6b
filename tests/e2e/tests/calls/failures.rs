//! Models that refuse, vanish, expire or misunderstand: the caller is never left in silence.

use std::time::Duration;

use cordboard_e2e::{Plan, World, caller, until};
use cordboard_sim::audio::is_audible;
use cordboard_sim::carrier::{CallReport, End};
use cordboard_sim::model::{
    Answer, Exchange, ModelConfig, ModelScript, Outcome, Refuse, SessionLog,
};
use serde_json::json;

use crate::listening::{Turns, clears, greeted, only, outcomes, received, truncations};

async fn a_key_refused_after_the_handshake_is_apologised_for_and_not_tried_again() {
    let model = ModelConfig { key: Some("sk-right".into()), ..ModelConfig::default() };
    let world = Plan { key: "sk-wrong".into(), ..Plan::model(model) }.open().await;

    let call = world.call(caller().wait_close()).await;

    assert_apology(&call);
    assert_ended(&world, "model-lost").await;
    let sessions = world.close().await;
    assert_eq!(only(&sessions).ended.as_deref(), Some("server 3000"));
    assert!(only(&sessions).received.is_empty(), "something was said to a server that had refused");
}

async fn a_key_refused_by_http_is_apologised_for_and_not_tried_again() {
    // A second attempt would be welcome, and seen.
    let model = ModelConfig { refuse: vec![Refuse::Http(401)], ..ModelConfig::default() };
    let world = Plan::model(model).open().await;

    let call = world.call(caller().wait_close()).await;

    assert_apology(&call);
    assert_ended(&world, "model-lost").await;
    assert!(world.close().await.is_empty(), "it was tried again");
}

async fn a_server_that_is_away_for_a_moment_costs_the_caller_a_moment() {
    let model = ModelConfig { refuse: vec![Refuse::Hangup, Refuse::Http(503)], ..talks([700]) };
    let world = Plan::model(model).open().await;

    let call = world.call(greeted().converse(1).hang_up()).await;

    let sessions = world.close().await;
    assert_eq!(outcomes(only(&sessions)), ["completed"; 2]);
    assert_eq!(call.end, End::CallerHungUp);
}

async fn a_server_that_never_comes_is_apologised_for() {
    let model = ModelConfig { refuse: vec![Refuse::Hangup; 50], ..ModelConfig::default() };
    let world = Plan::model(model).open().await;

    let call = world.call(caller().wait_close()).await;

    assert_apology(&call);
    assert_ended(&world, "model-lost").await;
    assert!(world.close().await.is_empty());
}

async fn a_server_that_opens_the_socket_and_says_nothing_is_given_up() {
    let model = ModelConfig { created_delay: Duration::from_secs(20), ..ModelConfig::default() };
    let world =
        Plan::model(model).setting("CORDBOARD_MODEL_SESSION_DEADLINE_MS", "300").open().await;

    let call = world.call(caller().wait_close()).await;

    assert_apology(&call);
    assert_ended(&world, "model-lost").await;
    let sessions = world.close().await;
    assert!(sessions.len() > 1, "it was not tried again");
    assert!(sessions.iter().all(|session| session.received.is_empty()));
}

async fn an_answer_that_runs_out_of_tokens_is_heard_as_far_as_it_goes() {
    let cut = Answer::tone(1600).ending(Outcome::OutOfTokens);
    let script = ModelScript::new(
        Answer::tone(500),
        [Exchange::answer(cut), Exchange::answer(Answer::tone(700))],
    );
    let world = Plan::script(script).open().await;

    let call = world.call(greeted().converse(2).hang_up()).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(outcomes(session), ["completed", "incomplete", "completed"]);
    assert_eq!(session.received_types(), ["session.update", "response.create"]);
    let (spoken_ms, heard_ms) = (500 + 800 + 700, call.stream().heard_ms());
    assert!((spoken_ms - 80..=spoken_ms + 80).contains(&heard_ms), "{heard_ms} of {spoken_ms} ms");
}

async fn a_lost_socket_is_replaced_and_the_new_session_told_what_was_said() {
    let model = ModelConfig {
        scripts: vec![script([700, 700]), script([800])],
        // After the first answer was heard, before the caller goes on.
        break_after: vec![Duration::from_millis(5500)],
        ..ModelConfig::default()
    };
    let world = Plan::model(model).open().await;
    let log = world.log();

    let call = world.start(cordboard_sim::carrier::CallPlan::new(
        greeted().converse(1).patience(30_000).wait_close(),
    ));
    until("the second session is told the past", || {
        log.session(1).is_some_and(|s| s.received_of("conversation.item.create").len() >= 3)
    })
    .await;
    call.say(cordboard_e2e::said("and now", 500));
    until("it has answered", || {
        log.session(1).is_some_and(|s| !s.sent_of("response.done").is_empty())
    })
    .await;
    call.hang_up();
    let report = call.finished().await;
    cordboard_e2e::checks::call(&report);

    let sessions = world.close().await;
    let [first, second] = sessions.as_slice() else { panic!("{} sessions", sessions.len()) };
    assert_eq!(first.ended.as_deref(), Some("broken by the script"));
    // No greeting: the caller knows the agent. No answer either: nothing was asked yet.
    assert_eq!(
        second.received_types(),
        [
            "session.update",
            "conversation.item.create",
            "conversation.item.create",
            "conversation.item.create",
        ]
    );
    let told: Vec<_> = received(second, "conversation.item.create")
        .into_iter()
        .map(|event| (event["item"]["role"].clone(), event["item"]["content"].clone()))
        .collect();
    let assistant = |text| (json!("assistant"), json!([{"type": "output_text", "text": text}]));
    assert_eq!(
        told,
        [
            assistant("a tone of 500 milliseconds"),
            (json!("user"), json!([{"type": "input_text", "text": "something"}])),
            assistant("a tone of 700 milliseconds"),
        ]
    );
    let same = |session: &SessionLog| received(session, "session.update");
    assert_eq!(same(first), same(second), "the new session is asked for what the old one was");
    assert_eq!((clears(&report), truncations(second).len()), (0, 0));
}

async fn an_answer_the_server_did_not_finish_is_given_by_the_next_session() {
    let broken = Answer::tone(3000).ending(Outcome::BreakConnection);
    let first = ModelScript::new(Answer::tone(500), [Exchange::answer(broken)]);
    // The question is told as history, so the answer to it is the first thing the new session says.
    let second = ModelScript::new(Answer::tone(900), [Exchange::answer(Answer::tone(900))]);
    let model = ModelConfig { scripts: vec![first, second], ..ModelConfig::default() };
    let world = Plan::model(model).open().await;

    let call = world.call(greeted().converse(1).wait_quiet(1500).converse(1).hang_up()).await;

    let sessions = world.close().await;
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0].ended.as_deref(), Some("broken by the script"));
    let asked = received(&sessions[1], "response.create");
    assert_eq!(asked, [json!({"type": "response.create"})], "the answer that was owed");
    assert_eq!(call.end, End::CallerHungUp);
}

async fn a_session_that_expires_is_followed_by_another() {
    let model = ModelConfig {
        session_max: Duration::from_millis(4500),
        scripts: vec![script([600]), script([600])],
        ..ModelConfig::default()
    };
    let world = Plan::model(model).open().await;
    let log = world.log();

    let call =
        world.start(cordboard_sim::carrier::CallPlan::new(greeted().converse(1).wait_close()));
    until("there is another session", || {
        log.session(1).is_some_and(|s| !s.sent_of("session.updated").is_empty())
    })
    .await;
    call.hang_up();
    let report = call.finished().await;
    cordboard_e2e::checks::call(&report);

    let sessions = world.close().await;
    assert_eq!(sessions[0].ended.as_deref(), Some("server 1001"));
    assert!(sessions[0].sent.iter().any(|s| s.event["error"]["code"] == "session_expired"));
    assert!(received(&sessions[1], "response.create").is_empty(), "the caller was greeted again");
    assert_eq!(report.end, End::CallerHungUp);
}

async fn a_server_that_keeps_its_own_formats_gets_no_audio_and_the_caller_no_noise() {
    let model = ModelConfig { ignores_formats: true, ..talks([700]) };
    let world = Plan::model(model).open().await;

    let plan = cordboard_sim::carrier::CallPlan {
        // The server stays with PCM16, this tenant asks for mu-law.
        to: World::BITS_NUMBER.into(),
        ..cordboard_sim::carrier::CallPlan::new(caller().wait_close())
    };
    let call = world.placed(plan).await;

    assert_apology(&call);
    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(session.appended_bytes, 0);
    assert_eq!(session.received_types(), ["session.update"; 2], "asked once more, then given up");
}

async fn a_response_that_fails_is_asked_for_once_more() {
    let script = ModelScript::new(
        Answer::tone(500),
        [
            Exchange::answer(Answer::failed("rate_limit_exceeded")),
            Exchange::answer(Answer::tone(700)),
        ],
    );
    let world = Plan::script(script).open().await;

    let call = world.call(greeted().speak("a question").wait_close()).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(outcomes(session), ["completed", "failed", "failed"]);
    // The greeting, and one attempt more than the server made by itself; not one after the other.
    assert_eq!(session.received_types(), ["session.update", "response.create", "response.create"]);
    // Three beeps, then the end: the caller knows where they stand.
    assert!(call.stream().heard_ms() > 500 + 300, "{} ms", call.stream().heard_ms());
    assert_eq!((call.end.clone(), clears(&call)), (End::GatewayHungUp, 0));
    assert_eq!(call.verbs, ["hangup"]);
}

/// The gateway's last words were heard to their end, soon, and then the line was closed.
fn assert_apology(call: &CallReport) {
    let stream = call.stream();
    let apology = cordboard::gateway::APOLOGY;
    let first = apology.chunks(160).position(is_audible).expect("the apology is speech");
    let played: Vec<u8> = stream
        .spans
        .iter()
        .flat_map(|span| &stream.heard[span.from as usize..span.to as usize])
        .copied()
        .collect();
    assert!(played.len() >= apology.len(), "{} of {} bytes", played.len(), apology.len());
    assert_eq!(played[first * 160..apology.len()], apology[first * 160..], "another sound");
    assert_eq!(stream.closed.as_ref().map(|(code, _)| *code), Some(1000));
    assert_eq!(stream.unechoed_marks, [] as [String; 0], "closed before all was heard");
    assert_eq!(call.verbs, ["hangup"]);
    assert_eq!(call.end, End::GatewayHungUp);
}

async fn assert_ended(world: &World, kind: &str) {
    until("the call is over", || world.gateway().calls.is_empty()).await;
    let series = format!(r#"calls_ended_total{{tenant="default",kind="{kind}"}}"#);
    assert_eq!(world.counted(&series), 1, "{series}");
}

fn talks<const N: usize>(answers_ms: [u32; N]) -> ModelConfig {
    ModelConfig::with_script(script(answers_ms))
}

fn script<const N: usize>(answers_ms: [u32; N]) -> ModelScript {
    ModelScript::new(Answer::tone(500), answers_ms.map(|ms| Exchange::answer(Answer::tone(ms))))
}

crate::scenarios![
    a_key_refused_after_the_handshake_is_apologised_for_and_not_tried_again,
    a_key_refused_by_http_is_apologised_for_and_not_tried_again,
    a_server_that_is_away_for_a_moment_costs_the_caller_a_moment,
    a_server_that_never_comes_is_apologised_for,
    a_server_that_opens_the_socket_and_says_nothing_is_given_up,
    an_answer_that_runs_out_of_tokens_is_heard_as_far_as_it_goes,
    a_lost_socket_is_replaced_and_the_new_session_told_what_was_said,
    an_answer_the_server_did_not_finish_is_given_by_the_next_session,
    a_session_that_expires_is_followed_by_another,
    a_server_that_keeps_its_own_formats_gets_no_audio_and_the_caller_no_noise,
    a_response_that_fails_is_asked_for_once_more,
];
