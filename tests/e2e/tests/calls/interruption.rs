//! Callers who speak while they are spoken to, and callers who only seem to.

use cordboard_e2e::{Plan, Shop, two_tones};
use cordboard_sim::carrier::{CallPlan, CallReport, Knobs};
use cordboard_sim::model::{Answer, Exchange, ModelConfig, ModelScript, SessionLog};

use crate::listening::{
    Turns, cleared_at, clears, greeted, heard_between, only, outcomes, received, spoken_items,
    truncations,
};

async fn an_answer_cut_off_while_it_is_generated_is_cancelled_by_the_server_alone() {
    // Hardly faster than it is played: the model is at it when the caller begins to speak.
    let model = ModelConfig {
        speed: 1.1,
        late_deltas: 4,
        ..talks([Answer::tone(5000), Answer::tone(800)])
    };
    let world = Plan::model(model).open().await;

    let script = greeted().speak("a question").wait_heard(1000).converse(1).hang_up();
    let call = world.call(script).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(outcomes(session), ["completed", "cancelled", "completed"]);
    let [_, cut, _] = spoken_items(session).try_into().expect("three items");
    assert_cut_off(&call, session, &cut);
}

async fn an_answer_cut_off_after_it_was_generated_is_cleared_from_the_line() {
    let model = ModelConfig { speed: 25.0, ..talks([Answer::tone(5000), Answer::tone(800)]) };
    let world = Plan::model(model).open().await;

    let script = greeted().speak("a question").wait_heard(1000).converse(1).hang_up();
    let call = world.call(script).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(outcomes(session), ["completed"; 3], "there was nothing left to cancel");
    let [_, cut, _] = spoken_items(session).try_into().expect("three items");
    assert_cut_off(&call, session, &cut);
}

/// One clear, one truncation of this item at what was heard, and silence until the caller has spoken.
fn assert_cut_off(call: &CallReport, session: &SessionLog, item: &str) {
    assert_eq!(
        session.received_types(),
        ["session.update", "response.create", "conversation.item.truncate"]
    );
    assert_eq!(received(session, "conversation.item.truncate")[0]["content_index"], 0);
    assert_eq!(clears(call), 1);
    let [(truncated, told_ms)] = truncations(session).try_into().expect("one truncation");
    assert_eq!(truncated, item);
    let stream = call.stream();
    let cut_off = stream.spoken.last().expect("the caller spoke").span;
    let (began, ended) = (cut_off.from as f64 / 8.0, cut_off.to as f64 / 8.0);
    let question_ended = stream.spoken[0].span.to as f64 / 8.0;
    let heard_ms = heard_between(stream, question_ended, ended);
    // What the gateway believes is behind what the carrier has played by at most the network and one
    // mark, and never ahead by more than a late wake-up.
    assert!(told_ms.abs_diff(heard_ms) <= 250, "told {told_ms} ms, heard {heard_ms} ms");
    assert!(told_ms >= 900, "the caller had heard a second, not {told_ms} ms");
    let cleared = cleared_at(stream);
    assert!(cleared > began, "cleared at {cleared} ms, before the caller spoke at {began} ms");
    // The carrier stops within one frame of the clear; the late rest of the answer is never sent.
    assert_eq!(heard_between(stream, cleared + 40.0, ended), 0, "heard after the clear");
}

async fn two_items_in_the_queue_are_both_cut_the_second_to_nothing() {
    let world = Plan::model(talks([two_tones(2000, 1500), Answer::tone(700)])).open().await;

    let script = greeted().speak("a question").wait_heard(600).converse(1).hang_up();
    let call = world.call(script).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    let [_, first, second, _] = spoken_items(session).try_into().expect("four items");
    let cut = truncations(session);
    assert_eq!(cut.len(), 2, "{cut:?}");
    assert_eq!(cut[0].0, first);
    assert!((500..2000).contains(&cut[0].1), "{} ms of the first", cut[0].1);
    assert_eq!(cut[1], (second, 0));
    assert_eq!(clears(&call), 1);
}

async fn of_two_items_only_the_one_being_heard_is_cut() {
    let world = Plan::model(talks([two_tones(600, 4000), Answer::tone(700)])).open().await;

    let script = greeted().speak("a question").wait_heard(1400).converse(1).hang_up();
    let call = world.call(script).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    let [_, _, second, _] = spoken_items(session).try_into().expect("four items");
    let [(item, told_ms)] = truncations(session).try_into().expect("one truncation");
    assert_eq!(item, second);
    assert!((500..3000).contains(&told_ms), "{told_ms} ms of the second");
    assert_eq!(clears(&call), 1);
}

async fn a_caller_who_speaks_when_nothing_is_playing_clears_and_truncates_nothing() {
    // The second answer begins so late that the caller goes on before its first sound.
    let late = Answer::tone(700).after_ms(2500);
    let world = Plan::model(talks([Answer::tone(700), late, Answer::tone(700)])).open().await;

    let script =
        greeted().wait(600).converse(1).wait(600).speak("and").wait(900).converse(1).hang_up();
    let call = world.call(script).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(outcomes(session), ["completed", "completed", "cancelled", "completed"]);
    assert_eq!(session.received_types(), ["session.update", "response.create"]);
    assert_eq!((clears(&call), call.stream().bytes_cleared), (0, 0));
}

async fn a_refused_truncation_is_no_reason_to_fall_silent() {
    // The server believes to have sent three seconds less than it did: every truncation is beyond the end.
    let model = ModelConfig {
        undercount_ms: 3000.0,
        ..talks([Answer::tone(2500), Answer::tone(700), Answer::tone(700)])
    };
    let world = Plan { refusals: 1, ..Plan::model(model) }.open().await;

    let script = greeted().speak("a question").wait_heard(800).converse(2).hang_up();
    let call = world.call(script).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert!(session.refusals()[0].contains("already shorter than"), "{:?}", session.refusals());
    assert_eq!(outcomes(session), ["completed"; 4]);
    assert_eq!(clears(&call), 1);
}

async fn the_answer_that_follows_a_tool_can_be_cut_off() {
    let shop = Shop::open().await;
    let tool = Answer::tool("repair_status", "{}").after_tools(Answer::tone(4000));
    let toml = format!(
        "[[settings.tools]]\nname = \"repair_status\"\nurl = \"{}\"\n[http]\nallow = [\"{}\"]\n",
        shop.url("/repair-status"),
        shop.url("/")
    );
    let world = Plan::model(talks([tool, Answer::tone(700)])).tenant(&toml).open().await;

    let script = greeted().speak("a question").wait_heard(800).converse(1).hang_up();
    let call = world.call(script).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(
        session.received_types(),
        [
            "session.update",
            "response.create",
            "conversation.item.create",
            "response.create",
            "conversation.item.truncate",
        ]
    );
    assert_eq!((clears(&call), outcomes(session).len()), (1, 4));
}

async fn keys_cut_an_answer_off_like_words() {
    let world = Plan::model(talks([Answer::tone(4000), Answer::tone(700)])).open().await;

    let script = greeted().speak("a question").wait_heard(800).press("1#").listen().hang_up();
    let call = world.call(script).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(
        session.received_types(),
        [
            "session.update",
            "response.create",
            "conversation.item.create",
            "conversation.item.truncate",
            "response.create",
        ],
        "the model knows what was heard before it is asked for more"
    );
    assert_eq!(clears(&call), 1);
}

async fn marks_that_come_back_late_never_let_the_model_believe_too_much() {
    let world = Plan::model(talks([Answer::tone(3000), Answer::tone(700)])).open().await;
    let knobs = Knobs { mark_delay_ms: 200, ..Knobs::default() };

    let script = greeted().speak("a question").wait_heard(1000).converse(1).hang_up();
    let call = world.placed(CallPlan { knobs, ..CallPlan::new(script) }).await;

    let sessions = world.close().await;
    let [(_, told_ms)] = truncations(only(&sessions)).try_into().expect("one truncation");
    let stream = call.stream();
    let question_ended = stream.spoken[0].span.to as f64 / 8.0;
    let heard_ms = heard_between(stream, question_ended, cleared_at(stream));
    assert!(told_ms <= heard_ms + 100, "told {told_ms} ms, heard {heard_ms} ms");
}

async fn a_caller_who_cuts_off_every_answer_is_always_answered_again() {
    let answers = [3000, 3000, 3000, 700].map(Answer::tone);
    let world = Plan::model(talks(answers)).open().await;

    let script = greeted()
        .speak("one")
        .wait_heard(500)
        .speak("two")
        .wait_heard(500)
        .speak("three")
        .wait_heard(500)
        .converse(1)
        .hang_up();
    let call = world.call(script).await;

    let sessions = world.close().await;
    let session = only(&sessions);
    let items = spoken_items(session);
    let cut: Vec<String> = truncations(session).into_iter().map(|(item, _)| item).collect();
    assert_eq!(cut, items[1..4]);
    assert_eq!(clears(&call), 3);
}

/// A model that greets briefly and answers the caller's turns with these.
fn talks<const N: usize>(answers: [Answer; N]) -> ModelConfig {
    let turns = answers.map(Exchange::answer);
    ModelConfig::with_script(ModelScript::new(Answer::tone(500), turns))
}

crate::scenarios![
    an_answer_cut_off_while_it_is_generated_is_cancelled_by_the_server_alone,
    an_answer_cut_off_after_it_was_generated_is_cleared_from_the_line,
    two_items_in_the_queue_are_both_cut_the_second_to_nothing,
    of_two_items_only_the_one_being_heard_is_cut,
    a_caller_who_speaks_when_nothing_is_playing_clears_and_truncates_nothing,
    a_refused_truncation_is_no_reason_to_fall_silent,
    the_answer_that_follows_a_tool_can_be_cut_off,
    keys_cut_an_answer_off_like_words,
    marks_that_come_back_late_never_let_the_model_believe_too_much,
    a_caller_who_cuts_off_every_answer_is_always_answered_again,
];
