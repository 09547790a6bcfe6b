//! Deployments while calls run, as an operator makes them over the admin API.

use cordboard_e2e::{Operator, Plan, caller, checks, until};
use cordboard_sim::carrier::{CallPlan, CallReport, CallerScript, End, Step};
use cordboard_sim::model::{Answer, Exchange, ModelScript};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_moves_through_three_versions_and_back_and_nobody_hears_it() {
    let world = plan().open().await;
    let operator = Operator::of(&world).await;
    let original = operator.stored("bits").await;
    for mark in ["two", "three", "four"] {
        operator.post_bytes("/v1/tenants/bits/deploy", marked(&original, mark)).await;
    }

    let call = world.neighbour();
    until("the call is up", || world.gateway().calls.len() == 1).await;
    for version in ["v2", "v3", "v4"] {
        let body = json!({ "version": version, "running": "migrate" });
        let moved = operator.post("/v1/tenants/bits/activate", &body).await;
        assert_eq!(moved["migration"]["moved"], 1, "{moved}");
        assert_eq!(operator.calls().await[0]["version"], version);
    }
    let back = operator.post("/v1/tenants/bits/rollback", &json!({})).await;
    assert_eq!((&back["active"], &back["migration"]["moved"]), (&json!("v3"), &json!(1)), "{back}");
    assert_eq!(operator.calls().await[0]["version"], "v3");

    // Every bit in both directions is what it would have been without any of that.
    call.ends_unharmed([500, 700, 700]).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_overtakes_a_migration_under_way() {
    const CALLS: usize = 12;
    let world = plan().open().await;
    let operator = Operator::of(&world).await;
    let original = operator.stored("default").await;
    operator.post_bytes("/v1/tenants/default/deploy", marked(&original, "two")).await;
    let calls: Vec<_> =
        (0..CALLS).map(|_| world.start(CallPlan::new(caller().then_close()))).collect();
    until("the calls are up", || world.gateway().calls.len() == CALLS).await;

    let body = json!({ "version": "v2", "running": "migrate" });
    let forth = operator.post("/v1/tenants/default/activate", &body);
    let back = async {
        // While some are on the way at the latest, for a call takes five frames to move.
        while operator.active("default").await != "v2" {}
        operator.post("/v1/tenants/default/rollback", &json!({})).await
    };
    let (forth, back) = tokio::join!(forth, back);

    let told = |answer: &Value| {
        let migration = &answer["migration"];
        let stayed = migration["stayed"].as_array().map_or(0, Vec::len);
        (migration["moved"].as_u64().unwrap_or(0) as usize, stayed)
    };
    let (moved, stayed) = told(&forth);
    assert_eq!(moved + stayed, CALLS, "each is told of once: {forth}");
    let (moved_back, _) = told(&back);
    assert_eq!(moved_back, moved, "who had moved, moved back: {forth} {back}");
    assert!(operator.calls().await.iter().all(|call| call["version"] == "v1"));

    for call in calls {
        operator.post(&format!("/v1/calls/{}/hang-up", call.call_sid()), &json!({})).await;
        ended(call.finished().await);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_call_keeps_its_version_while_the_next_one_gets_the_new() {
    let world = plan().open().await;
    let operator = Operator::of(&world).await;
    let original = operator.stored("default").await;
    // Compiled before anybody calls: on a busy machine that takes longer than callers wait.
    let staged = operator.post_bytes("/v1/tenants/default/deploy", marked(&original, "two")).await;
    assert_eq!((&staged["version"], &staged["part"]), (&json!("v2"), &Value::Null));
    let first = world.start(CallPlan::new(caller().then_close()));
    until("the first call is up", || world.gateway().calls.len() == 1).await;
    let body = json!({ "version": "v2" });
    let activated = operator.post("/v1/tenants/default/activate", &body).await;
    assert_eq!(activated["migration"], Value::Null, "the policy is to pin");

    let second = world.start(CallPlan::new(caller().then_close()));
    until("the second call is up", || world.gateway().calls.len() == 2).await;
    let calls = operator.calls().await;
    let version_of =
        |sid: &str| calls.iter().find(|call| call["call"] == sid).map(|c| c["version"].clone());
    assert_eq!(version_of(first.call_sid()), Some(json!("v1")));
    assert_eq!(version_of(second.call_sid()), Some(json!("v2")));
    // Asked to, the first one follows; the second is there already.
    let moved = operator.post("/v1/tenants/default/migrate", &json!({})).await;
    let migration = &moved["migration"];
    assert_eq!((&migration["moved"], &migration["stayed"]), (&json!(1), &json!([])), "{moved}");
    assert!(operator.calls().await.iter().all(|call| call["version"] == "v2"));

    for call in [first, second] {
        operator.post(&format!("/v1/calls/{}/hang-up", call.call_sid()), &json!({})).await;
        ended(call.finished().await);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_command_reaches_the_tenant_of_a_live_call() {
    let world = plan().open().await;
    let operator = Operator::of(&world).await;
    let call = world.start(CallPlan::new(caller().wait_answer_then_close()));
    until("the call is up", || world.gateway().calls.len() == 1).await;
    let path = format!("/v1/calls/{}/command", call.call_sid());
    operator.post(&path, &json!({ "hang_up": "Goodbye." })).await;
    ended(call.finished().await);
    let sessions = world.close().await;
    let asked = sessions[0].received_of("response.create");
    let said = asked.iter().any(|it| it.event.to_string().contains("Goodbye."));
    assert!(said, "the model was never asked to say goodbye");
}

/// Twenty-five calls at a time, each with a shadow; what each hears is compared bit by bit with what it would be without.
#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_behind_every_call_is_compared_and_heard_by_nobody() {
    let world = plan().open().await;
    let operator = Operator::of(&world).await;
    let original = operator.stored("bits").await;
    let path = "/v1/tenants/bits/deploy?then=shadow&percent=100";
    operator.post_bytes(path, marked(&original, "twin")).await;
    let calls: Vec<_> = (0..25).map(|_| world.neighbour()).collect();
    for call in calls {
        call.hears_unharmed([500, 700, 700]).await;
    }
    let twin = operator.get("/v1/tenants/bits/shadow").await;
    assert_eq!(twin["findings"]["calls"], 25, "{twin}");
    assert_eq!(
        (&twin["findings"]["differing"], &twin["findings"]["dropped"]),
        (&json!(0), &json!({})),
        "{twin}"
    );

    // Answers every frame with its echo, and every event of the model not at all.
    operator.post_bytes(path, cordboard_misbehaving_guests::bytes("echoes")).await;
    let calls: Vec<_> = (0..25).map(|_| world.neighbour()).collect();
    for call in calls {
        call.hears_unharmed([500, 700, 700]).await;
    }
    let echo = operator.get("/v1/tenants/bits/shadow").await;
    assert_eq!(
        (&echo["active"], &echo["shadow"]["version"]),
        (&json!("v1"), &json!("v3")),
        "{echo}"
    );
    assert!(echo["findings"]["by_event"]["caller-audio"].as_u64() > Some(1_000), "{echo}");
    let told = echo["findings"]["differences"].as_array().expect("a list");
    assert_eq!(told.len(), 100);
    let ended = operator.post("/v1/tenants/bits/shadow", &json!({})).await;
    assert_eq!(ended["shadow"], Value::Null);
    world.close().await;
}

/// Scripts of this file.
trait Scripts {
    /// Listens until the gateway ends the call.
    fn then_close(self) -> Self;
    /// Hears the greeting, then listens until the gateway ends the call.
    fn wait_answer_then_close(self) -> Self;
}

impl Scripts for CallerScript {
    fn then_close(self) -> Self {
        self.then(Step::WaitClose)
    }

    fn wait_answer_then_close(self) -> Self {
        self.then(Step::WaitAnswer { quiet_ms: 300 }).then_close()
    }
}

fn plan() -> Plan {
    let mut script = ModelScript::new(Answer::tone(500), [Exchange::answer(Answer::tone(700))]);
    script.otherwise = Answer::tone(700);
    Plan::script(script).setting("CORDBOARD_ADMIN_TOKEN", Operator::TOKEN)
}

fn ended(report: CallReport) {
    assert_eq!(report.script_failure, None, "{:?}", report.debugger);
    assert_eq!(report.end, End::GatewayHungUp);
    checks::call(&report);
}

/// A component with a custom section more: other bytes, the same behaviour.
fn marked(component: &[u8], mark: &str) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let length = u8::try_from(mark.len()).expect("a mark is a word");
    bytes.extend([0, 1 + length, length]);
    bytes.extend(mark.as_bytes());
    bytes
}
