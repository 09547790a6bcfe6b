//! The navigator at a telephone menu: keys in the audio, a queue, a person, one stream.

use cordboard_e2e::{Operator, Plan, World, checks, until};
use cordboard_sim::carrier::menu::{Meaning, Menu, Outcome};
use cordboard_sim::carrier::{CallHandle, CallPlan, CallReport, End};
use cordboard_sim::model::{ModelConfig, ModelScript, SessionLog};
use serde_json::json;

use crate::listening::only;

/// The navigator's number.
const NUMBER: &str = "+15550100555";

const TENANT: &str = r#"
numbers = ["+15550100555"]
component = "cordboard_navigator.wasm"

[settings]
goal = ["billing", "invoice", "agent"]
task = "Ask for the last invoice to be sent again."
silence_ms = 400
"#;

/// Three levels, five seconds of music with an announcement between, a person. Short, because it is played in real time.
const MENU: &str = r#"
start = "main"

[menus.main]
say = "For sales, press 1. For billing, press 2."
keys = { 1 = "main", 2 = "billing" }

[menus.billing]
say = "For invoices, press 1. For payments, press 2."
keys = { 1 = "invoices", 2 = "main" }

[menus.invoices]
say = "For your balance, press 1. For an agent, press 3."
keys = { 1 = "main", 3 = "queue" }

[holds.queue]
say = "All our agents are busy. Please hold the line."
lasts_ms = 5000
announce = "Your call is important to us. Please stay on the line."
announce_every_ms = 2500
then = "maria"

[people.maria]
lines = [
    "Billing, this is Maria. How can I help you?",
    "Hello. Please send my last invoice again.",
    "Certainly. I have sent it again.",
    "Thank you very much. Goodbye.",
]
"#;

async fn three_levels_and_a_queue_lead_to_a_person_without_a_restart() {
    let menu = menu();
    let world = world(&menu).await;

    let call = start(&world, menu).finished().await;

    assert_person_was_reached(&call, &world);
    let sessions = world.close().await;
    let session = only(&sessions);
    assert_eq!(session.received_of("response.create").len(), 1, "to Maria's first words");
    let heard = transcripts(session);
    for words in ["For an agent, press 3.", "important to us", "this is Maria", "I have sent it"] {
        assert!(heard.iter().any(|line| line.contains(words)), "{words} is not in {heard:?}");
    }
    let withheld_ms = call.stream().said.len() as f64 / 8.0 - heard_ms(session);
    assert!(withheld_ms >= 3500.0, "of 5000 ms of music, {withheld_ms} ms were withheld");
    let silences = silences_ms(session);
    assert!(silences.len() >= 2, "both pieces of music were withheld: {silences:?}");
}

async fn a_swap_in_the_menu_and_one_on_hold_are_not_noticed_at_the_far_end() {
    let menu = menu();
    let world = world(&menu).await;
    let operator = Operator::of(&world).await;
    let original = operator.stored("navigator").await;
    operator.post_bytes("/v1/tenants/navigator/deploy", with_another_digest(&original)).await;

    let call = start(&world, menu);
    let log = world.log();
    let written = |words: &str| {
        let session = log.session(0);
        session.is_some_and(|it| transcripts(&it).iter().any(|line| line.contains(words)))
    };
    until("the second menu is being read", || written("For sales")).await;
    let body = json!({ "version": "v2", "running": "migrate" });
    let there = operator.post("/v1/tenants/navigator/activate", &body).await;
    until("the line is on hold", || written("Please hold the line")).await;
    let back = operator.post("/v1/tenants/navigator/rollback", &json!({})).await;
    let call = call.finished().await;

    for moved in [there, back] {
        assert_eq!(moved["migration"]["moved"], 1, "{moved}");
    }
    assert_person_was_reached(&call, &world);
    world.close().await;
}

/// Three keys in the audio, nothing else asked of the carrier, and a person who was answered in time.
fn assert_person_was_reached(call: &CallReport, world: &World) {
    checks::call(call);
    let seen = call.menu.as_ref().expect("a menu was at the far end");
    assert_eq!(seen.path(), ["main", "billing", "invoices", "queue", "maria"], "{seen:?}");
    assert_eq!(seen.pressed(), "213");
    assert!(seen.keys.iter().all(|heard| heard.meaning == Meaning::Choice), "{seen:?}");
    assert_eq!((seen.restarts, seen.timeouts, seen.outcome), (0, 0, Outcome::Talked));
    let person = seen.person.as_ref().expect("Maria was reached");
    // Of these, 400 ms are the silence that ends a turn; Maria asks whether anybody is there after 5000.
    assert!(person.first_word_after_ms.is_some_and(|ms| ms <= 4000), "{person:?}");
    assert_eq!(person.lines_answered, 2, "{person:?}");
    // It could have pressed keys by REST, and has not; what it did ask for is the end.
    let asked: Vec<_> = world.rest().requests().into_iter().flat_map(|it| it.form).collect();
    assert_eq!(asked, [("Status".to_owned(), "completed".to_owned())]);
    assert_eq!(call.end, End::CompletedByRest);
    assert_eq!(call.stream().unechoed_marks, [] as [String; 0], "the farewell was heard");
}

/// A gateway with the navigator, and a model that knows the menu's announcements by their sound.
async fn world(menu: &Menu) -> World {
    let component = std::fs::read(env!("CORDBOARD_NAVIGATOR")).expect("the build made it");
    let model = ModelConfig::with_script(ModelScript::at_menu(menu));
    let name = "navigator".to_owned();
    Plan {
        tenants: vec![(name.clone(), TENANT.into())],
        components: vec![(name, "cordboard_navigator.wasm".into(), component)],
        rest: true,
        ..Plan::model(model)
    }
    .setting("CORDBOARD_ADMIN_TOKEN", Operator::TOKEN)
    .open()
    .await
}

fn start(world: &World, menu: Menu) -> CallHandle {
    // The gateway calls the menu, so the number it calls from is the tenant's.
    world.start(CallPlan { from: NUMBER.into(), ..CallPlan::to_menu(menu) })
}

/// The same component with a custom section more, which makes it another version.
fn with_another_digest(component: &[u8]) -> Vec<u8> {
    [component, &[0, 4, 3], b"two"].concat()
}

fn menu() -> Menu {
    Menu::parse(MENU).expect("it is a menu")
}

/// What the model wrote down, in order.
fn transcripts(session: &SessionLog) -> Vec<&str> {
    let completed = session.sent_of("conversation.item.input_audio_transcription.completed");
    completed.iter().filter_map(|sent| sent.event["transcript"].as_str()).collect()
}

/// How much of the line the model was given, in ms of PCM16 at 24 kHz.
fn heard_ms(session: &SessionLog) -> f64 {
    checks::appended(session).len() as f64 / 48.0
}

/// Stretches of more than 1.5 s in which the model was given nothing.
fn silences_ms(session: &SessionLog) -> Vec<f64> {
    let at: Vec<f64> =
        session.received_of("input_audio_buffer.append").iter().map(|it| it.at_ms).collect();
    at.windows(2).map(|pair| pair[1] - pair[0]).filter(|ms| *ms > 1500.0).collect()
}

crate::scenarios![
    three_levels_and_a_queue_lead_to_a_person_without_a_restart,
    a_swap_in_the_menu_and_one_on_hold_are_not_noticed_at_the_far_end,
];
