//! Deployments while calls run, as an operator makes them over the admin API.

use std::sync::Arc;

use cordboard::admin::Admin;
use cordboard_e2e::{Plan, World, caller, checks, until};
use cordboard_sim::carrier::{CallPlan, CallReport, CallerScript, End, Step};
use cordboard_sim::model::{Answer, Exchange, ModelScript};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_moves_through_three_versions_and_back_and_nobody_hears_it() {
    let world = plan().open().await;
    let operator = Operator::of(&world).await;
    let original = operator.shelved("bits").await;
    for mark in ["two", "three", "four"] {
        operator.post_bytes("/v1/tenants/bits/deploy", marked(&original, mark)).await;
    }

    let call = world.neighbour();
    until("the call is up", || world.gateway().calls_live() == 1).await;
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
async fn a_pinned_call_keeps_its_version_while_the_next_one_gets_the_new() {
    let world = plan().open().await;
    let operator = Operator::of(&world).await;
    let original = operator.shelved("default").await;
    // Compiled before anybody calls: on a busy machine that takes longer than callers wait.
    let staged = operator.post_bytes("/v1/tenants/default/deploy", marked(&original, "two")).await;
    assert_eq!((&staged["version"], &staged["part"]), (&json!("v2"), &Value::Null));
    let first = world.start(CallPlan::new(caller().then_close()));
    until("the first call is up", || world.gateway().calls_live() == 1).await;
    let body = json!({ "version": "v2" });
    let activated = operator.post("/v1/tenants/default/activate", &body).await;
    assert_eq!(activated["migration"], Value::Null, "the policy is to pin");

    let second = world.start(CallPlan::new(caller().then_close()));
    until("the second call is up", || world.gateway().calls_live() == 2).await;
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
    until("the call is up", || world.gateway().calls_live() == 1).await;
    let path = format!("/v1/calls/{}/command", call.call_sid());
    operator.post(&path, &json!({ "hang_up": "Goodbye." })).await;
    ended(call.finished().await);
    let sessions = world.close().await;
    let asked = sessions[0].received_of("response.create");
    let said = asked.iter().any(|it| it.event.to_string().contains("Goodbye."));
    assert!(said, "the model was never asked to say goodbye");
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

const TOKEN: &str = "the-token-of-the-operator";

fn plan() -> Plan {
    let mut script = ModelScript::new(Answer::tone(500), [Exchange::answer(Answer::tone(700))]);
    script.otherwise = Answer::tone(700);
    Plan::script(script).setting("CORDBOARD_ADMIN_TOKEN", TOKEN)
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

/// Somebody with a token, at the admin API of a world's gateway.
struct Operator {
    gateway: Arc<cordboard::gateway::Gateway>,
    url: String,
    serving: JoinHandle<()>,
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Operator {
    async fn of(world: &World) -> Self {
        let gateway = world.gateway();
        let admin = Admin::open(Arc::clone(&gateway)).expect("the audit log opens");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let serving = tokio::spawn(async move {
            axum::serve(listener, admin.router()).await.expect("the listener does not fail");
        });
        Self { gateway, url, serving }
    }

    /// The component of a tenant that never deployed one.
    async fn shelved(&self, tenant: &str) -> Vec<u8> {
        let line =
            Arc::clone(self.gateway.tenants.line(tenant).expect("the world has this tenant"));
        tokio::task::spawn_blocking(move || line.shelve())
            .await
            .expect("shelving does not panic")
            .expect("the tenants directory can be written");
        let folder = self.gateway.config.tenants_dir.join(tenant);
        std::fs::read(folder.join("versions/v1/component.wasm")).expect("it was shelved")
    }

    async fn calls(&self) -> Vec<Value> {
        let answer = self.told(self.client().get(format!("{}/v1/calls", self.url))).await;
        answer["calls"].as_array().expect("a list of calls").clone()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.post_bytes(path, body.to_string().into_bytes()).await
    }

    async fn post_bytes(&self, path: &str, body: Vec<u8>) -> Value {
        self.told(self.client().post(format!("{}{path}", self.url)).body(body)).await
    }

    fn client(&self) -> reqwest::Client {
        reqwest::Client::builder().no_proxy().build().expect("a plain client builds")
    }

    async fn told(&self, request: reqwest::RequestBuilder) -> Value {
        let response = request.bearer_auth(TOKEN).send().await.expect("the admin API answers");
        let status = response.status();
        let text = response.text().await.expect("the answer has an end");
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str(&text).expect("the admin API answers in JSON")
    }
}
