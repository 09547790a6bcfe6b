//! Gateways with credentials for the carrier's REST interface: hang up, put through, press keys.

use cordboard_e2e::{Plan, World};
use cordboard_sim::carrier::{CallReport, End, RestFault, RestRequest};
use cordboard_sim::model::{Answer, Exchange, ModelScript};
use serde_json::json;

use crate::listening::{Turns, greeted, only, received, truncations};

async fn a_farewell_ends_in_the_carriers_own_hang_up() {
    let world = after_words("hang_up", "", "{}").await;

    let call = world.call(greeted().speak("that is all").wait_close()).await;

    assert_eq!(posted(&world), [("Status".to_owned(), "completed".to_owned())]);
    assert_eq!(call.end, End::CompletedByRest);
    // A socket closed by us would stand in the customer's debugger as an error.
    assert!(!call.filed(31921), "{:?}", call.debugger);
    assert_all_heard(&call);
    world.close().await;
}

async fn a_rest_interface_that_fails_for_a_moment_is_asked_again() {
    let world = after_words("hang_up", "", "{}").await;
    world.rest().fail_next([RestFault::TooManyRequests, RestFault::ServerError]);

    let call = world.call(greeted().speak("that is all").wait_close()).await;

    let statuses: Vec<u16> = world.rest().requests().iter().map(|asked| asked.status).collect();
    assert_eq!(statuses, [429, 500, 200]);
    assert_eq!(call.end, End::CompletedByRest);
    world.close().await;
}

async fn a_rest_interface_that_fails_for_good_costs_no_more_than_a_closed_socket() {
    let world = after_words("hang_up", "", "{}").await;
    world.rest().fail_next([RestFault::ServerError; 50]);

    let call = world.call(greeted().speak("that is all").wait_close()).await;

    assert_eq!(call.end, End::GatewayHungUp);
    assert_eq!(call.verbs, ["hangup"]);
    assert_all_heard(&call);
    world.close().await;
}

async fn a_caller_is_put_through_when_the_announcement_was_heard() {
    let more = "to = \"+15550100999\"\n[transfer]\nallow = [\"+15550100\"]\n";
    let world = after_words("transfer", more, "{}").await;

    let call = world.call(greeted().speak("a human, please").wait_close()).await;

    assert_eq!(call.end, End::Dialled("+15550100999".into()));
    let [asked] = world.rest().requests().try_into().expect("one request");
    assert!(asked.form[0].1.contains("<Dial"), "{asked:?}");
    assert_all_heard(&call);
    let transferred = r#"calls_ended_total{tenant="default",kind="transferred"}"#;
    cordboard_e2e::until("the call is over", || world.gateway().calls.is_empty()).await;
    assert_eq!(world.counted(transferred), 1);
    world.close().await;
}

async fn a_number_the_operator_does_not_list_is_not_dialled_and_the_caller_hears_of_it() {
    let more = "to = \"+19005550100\"\n[transfer]\nallow = [\"+1\"]\n";
    let world = with_tool(words_and_then_an_excuse(), "transfer", more).await;

    let words = greeted().speak("a premium number, please").wait_heard(1400).hang_up();
    let call = world.call(words).await;

    assert_eq!(call.end, End::CallerHungUp);
    let heard_ms = call.stream().heard_ms();
    assert!(heard_ms > 500 + 1000 + 300, "{heard_ms} ms: what came of it was said");
    assert!(world.rest().requests().iter().all(|asked| !asked.form[0].1.contains("<Dial")));
    let limit = r#"limits_reached_total{tenant="default",kind="transfer.allow"}"#;
    assert!(world.counted(limit) >= 1);
    let sessions = world.close().await;
    let told = received(only(&sessions), "conversation.item.create");
    let is_told = |item: &str| item.contains("transfer.allow") && item.contains("entry of its own");
    assert!(told.iter().any(|told| is_told(&told["item"].to_string())), "{told:?}");
}

async fn an_hours_transfers_are_bounded_over_all_calls_of_a_tenant() {
    let more = "to = \"+15550100999\"\n[transfer]\nallow = [\"+1555\"]\nper_hour = 1\n";
    let world = with_tool(words_and_then_an_excuse(), "transfer", more).await;

    let first = world.call(greeted().speak("a human, please").wait_close()).await;
    let words = greeted().speak("a human, please").wait_heard(1400).hang_up();
    let second = world.call(words).await;

    assert_eq!(first.end, End::Dialled("+15550100999".into()));
    assert_eq!(second.end, End::CallerHungUp);
    let limit = r#"limits_reached_total{tenant="default",kind="transfer.per_hour"}"#;
    assert!(world.counted(limit) >= 1);
    world.close().await;
}

async fn keys_are_pressed_and_the_same_conversation_goes_on_over_a_new_stream() {
    let press = Answer::tool("leave", r#"{"keys":"12#"}"#).after_tools(Answer::tone(900));
    let turns = [press, Answer::tone(700)].map(Exchange::answer);
    let world = with_tool(
        ModelScript::new(Answer::tone(500), turns),
        "send_keys",
        "[keys]\nallow = \"12#\"\n",
    )
    .await;

    let call = world.call(greeted().converse(2).hang_up()).await;

    let [first, second] = call.streams.as_slice() else { panic!("{} streams", call.streams.len()) };
    assert_ne!(first.stream_sid, second.stream_sid);
    assert_ne!(first.url, second.url, "a token opens one stream");
    assert!(call.verbs.iter().any(|verb| verb.contains("12#")), "{:?}", call.verbs);
    assert_eq!(call.end, End::CallerHungUp);
    let heard_ms = first.heard_ms() + second.heard_ms();
    assert!((500 + 900 + 700 - 120..=500 + 900 + 700 + 120).contains(&heard_ms), "{heard_ms} ms");
    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(
        session.received_types(),
        ["session.update", "response.create", "conversation.item.create", "response.create"]
    );
    let output = &received(session, "conversation.item.create")[0]["item"]["output"];
    assert_eq!(*output, json!(r#"{"sent":true}"#));
    assert_eq!(truncations(session), []);
}

/// A gateway whose agent speaks for a second and then uses its one tool.
async fn after_words(does: &str, more: &str, arguments: &str) -> World {
    let words = Answer::tone(1000).and_tool("leave", arguments);
    let script = ModelScript::new(Answer::tone(500), [Exchange::answer(words)]);
    with_tool(script, does, more).await
}

/// An agent that speaks for a second, uses its one tool, and says something about what came of it.
fn words_and_then_an_excuse() -> ModelScript {
    let words = Answer::tone(1000).and_tool("leave", "{}").after_tools(Answer::tone(600));
    ModelScript::new(Answer::tone(500), [Exchange::answer(words)])
}

async fn with_tool(script: ModelScript, does: &str, more: &str) -> World {
    let toml = format!("[[settings.tools]]\nname = \"leave\"\ndoes = \"{does}\"\n{more}\n");
    Plan { rest: true, ..Plan::script(script) }.tenant(&toml).open().await
}

/// The greeting and the last words were heard whole before the line was left.
fn assert_all_heard(call: &CallReport) {
    let heard_ms = call.stream().heard_ms();
    assert!((1420..=1580).contains(&heard_ms), "{heard_ms} of 1500 ms");
    assert_eq!(call.stream().unechoed_marks, [] as [String; 0]);
}

/// The one form that was posted.
fn posted(world: &World) -> Vec<(String, String)> {
    let [asked]: [RestRequest; 1] = world.rest().requests().try_into().expect("one request");
    assert_eq!((asked.method.as_str(), asked.status), ("POST", 200));
    asked.form
}

crate::scenarios![
    a_farewell_ends_in_the_carriers_own_hang_up,
    a_rest_interface_that_fails_for_a_moment_is_asked_again,
    a_rest_interface_that_fails_for_good_costs_no_more_than_a_closed_socket,
    a_caller_is_put_through_when_the_announcement_was_heard,
    a_number_the_operator_does_not_list_is_not_dialled_and_the_caller_hears_of_it,
    an_hours_transfers_are_bounded_over_all_calls_of_a_tenant,
    keys_are_pressed_and_the_same_conversation_goes_on_over_a_new_stream,
];
