//! The program in an operator's hands: its log, and what signals do to it while calls run.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cordboard_e2e::program::{Served, cordboard, listen_of};
use cordboard_e2e::{World, checks, until};
use cordboard_misbehaving_guests::{bombs, bytes};
use cordboard_sim::carrier::{CallPlan, Carrier, CarrierConfig, End};
use cordboard_sim::model::{Answer, Exchange, ModelConfig, ModelScript, ModelServer};
use cordboard_tenant::version_store::{Force, Upload, VersionStore, When};
use serde_json::Value;

use crate::listening::{Turns, greeted};

async fn a_log_that_nobody_reads_costs_no_call_a_frame_and_sigterm_still_ends_it() {
    let model = answering().await;
    let place = tempfile::tempdir().expect("this machine has a place for temporary files");
    let mut command = gateway(&["serve"], &model, place.path());
    // So much that the pipe and the gateway's own buffer are full soon.
    command.env("RUST_LOG", "info,cordboard=trace,tungstenite=trace,mio=trace");
    command.env("CORDBOARD_METRICS_LISTEN", "127.0.0.1:0");
    let mut served = Served::start(command).await;
    let metrics = served.metrics_address().await;
    served.leave_log_unread();
    let webhook = format!("http://{}/incoming-call", served.address);
    let carrier = carrier();
    let client = plain_client();
    let strangers = tokio::spawn(unsigned_requests(client.clone(), webhook.clone()));

    // The first calls fill the log, the last one finds it full.
    let mut before = 0;
    while before == 0 {
        carrier.call(&webhook, talk()).await;
        before = figure(&metrics, "cordboard_log_lines_dropped").await;
    }
    let calls_before = figure(&metrics, FRAMES_IN).await;
    let call = carrier.call(&webhook, talk()).await;
    let health = client
        .get(format!("http://{}/health", served.address))
        .timeout(Duration::from_secs(10))
        .send()
        .await
        .expect("it answers");
    let after = figure(&metrics, "cordboard_log_lines_dropped").await;
    let frames = figure(&metrics, FRAMES_IN).await - calls_before;
    strangers.abort();
    served.terminate();
    let code = served.ended().await;

    checks::call(&call);
    assert_eq!((call.end.clone(), call.script_failure.clone()), (End::CallerHungUp, None));
    assert_eq!(frames, call.stream().frames_sent, "frames of the caller were lost");
    assert!(after > before, "{before} lines were dropped before the call, and {after} after it");
    assert!(health.status().is_success());
    assert_eq!(code, Some(0));
}

async fn sighup_reads_all_again_and_no_call_notices() {
    let model = answering().await;
    let place = tempfile::tempdir().expect("this machine has a place for temporary files");
    let path = |name: &str| place.path().join(name).display().to_string();
    let (config, log) = (path("cordboard.toml"), path("log"));
    let write = |text: &str| std::fs::write(&config, text).expect("the directory is ours");
    write("[admin]\nlisten = '127.0.0.1:0'\ntoken = 'the-first-of-two-tokens'\n");
    let arguments = ["serve", "--config", &config, "--log-format", "json", "--log-file", &log];
    let served = Served::spawn(gateway(&arguments, &model, place.path()));
    let address = listen(&line(&log, "answering calls").await);
    let admin = format!("http://{}/v1/calls", listen(&line(&log, "serving the admin API").await));
    let asked = async |token: &str| {
        let asked = plain_client().get(&admin).bearer_auth(token).send().await;
        asked.expect("it answers").status().as_u16()
    };
    assert_eq!(asked("the-first-of-two-tokens").await, 200);
    let running = carrier().start(&format!("http://{address}/incoming-call"), talk());
    line(&log, "the call is live").await;

    std::fs::rename(&log, path("log.1")).expect("it is there");
    write("[admin]\nlisten = '127.0.0.1:0'\ntoken = 'the-second-of-the-two'\n[calls]\nmax = 7\n");
    served.hang_up();
    line(&log, "the configuration was read again").await;
    let fixed = line(&log, "in force only after a restart").await;
    let tokens = (asked("the-first-of-two-tokens").await, asked("the-second-of-the-two").await);
    write("[calls]\nmaks = 7\n");
    served.hang_up();
    let wrong = line(&log, "nothing is changed").await;
    let call = running.finished().await;
    let over = line(&log, "the call is over").await;

    checks::call(&call);
    assert_eq!((call.end.clone(), call.script_failure.clone()), (End::CallerHungUp, None));
    assert_eq!(over["caller_frames"], call.stream().frames_sent, "frames were lost");
    assert_eq!(over["frames_filled"], 0);
    assert_eq!(over["reason"], "caller-hung-up");
    assert_eq!(over["span"]["call"], call.call_sid);
    assert_eq!(fixed["settings"], "calls");
    assert_eq!(tokens, (401, 200));
    assert!(wrong["problems"].as_str().is_some_and(|text| text.contains("maks")), "{wrong}");
    assert_eq!(asked("the-second-of-the-two").await, 200);
    let old = std::fs::read_to_string(path("log.1")).expect("it was moved there");
    assert!(old.contains("the call is live") && !old.contains("the call is over"));
}

async fn unsigned_requests_have_one_line() {
    let model = answering().await;
    let place = tempfile::tempdir().expect("this machine has a place for temporary files");
    let log = place.path().join("log").display().to_string();
    let arguments = ["serve", "--log-format", "json", "--log-file", &log];
    let mut served = Served::spawn(gateway(&arguments, &model, place.path()));
    let address = listen(&line(&log, "answering calls").await);
    let client = plain_client();

    for _ in 0..500 {
        refused(&client, &format!("http://{address}/incoming-call")).await;
    }
    served.terminate();
    served.ended().await;

    let text = std::fs::read_to_string(&log).expect("it is there");
    // A second one if the requests took more than a minute here.
    let lines = text.lines().filter(|line| line.contains("a request was refused")).count();
    assert!((1..=2).contains(&lines), "{lines} lines");
}

async fn a_pipe_in_place_of_a_file_holds_no_start_and_is_refused_by_name() {
    let model = answering().await;
    let place = tempfile::tempdir().expect("this machine has a place for temporary files");
    let folder = place.path().join("acme");
    std::fs::create_dir(&folder).expect("the directory is ours");
    let pipe = Command::new("mkfifo").arg(folder.join("tenant.toml")).status();
    assert!(pipe.expect("mkfifo is everywhere").success());
    let mut served = Served::spawn(gateway(&["serve"], &model, place.path()));

    let said = served.said("named pipe").await;
    let ready = served.said("answering calls").await;
    served.terminate();

    assert!(said.contains("ERROR") && said.contains("tenant.toml"), "{said}");
    assert!(ready.contains("listen="), "{ready}");
    assert_eq!(served.ended().await, Some(0));
}

async fn a_tenant_whose_active_version_is_lost_is_answered_by_its_own_and_all_commands_tell_so() {
    let model = answering().await;
    let place = tempfile::tempdir().expect("this machine has a place for temporary files");
    let tenants = place.path();
    for (tenant, number) in [("acme", ACME), ("lost", LOST)] {
        let folder = tenants.join(tenant);
        std::fs::create_dir(&folder).expect("the directory is ours");
        let manifest = format!("numbers = ['{number}']\n");
        std::fs::write(folder.join("tenant.toml"), manifest).expect("the directory is ours");
        let store = VersionStore::open(&folder).expect("an empty store opens");
        let sound = bytes("echoes");
        let components =
            if tenant == "acme" { vec![sound.clone(), marked(sound)] } else { vec![sound] };
        for component in components {
            let upload = Upload {
                component: &component,
                settings: "{}",
                when: When::from_unix(0),
                by: "a test",
                note: "",
            };
            let (_, staged) = store.stage(&upload).expect("the disk has room");
            let changed = store.change(|it| it.activate(staged.name(), Force::No));
            changed.expect("it may be active");
        }
    }
    for cut in ["acme/versions/v2/component.wasm", "lost/versions/v1/component.wasm"] {
        std::fs::write(tenants.join(cut), b"\0asm").expect("it is there");
    }
    let mut command = gateway(&["serve"], &model, tenants);
    command
        .env("CORDBOARD_METRICS_LISTEN", "127.0.0.1:0")
        .env("CORDBOARD_ADMIN_LISTEN", "127.0.0.1:0")
        .env("CORDBOARD_ADMIN_TOKEN", TOKEN);
    let mut served = Served::spawn(command);
    let acme = served.said("tenant `acme`: v2 can not answer").await;
    let lost = served.said("tenant `lost`: v1 can not answer").await;
    served.address = listen_of(&served.said("answering calls").await);
    let admin = served.admin_address().await;
    let metrics = served.metrics_address().await;
    let webhook = format!("http://{}/incoming-call", served.address);
    let called =
        |number: &str| carrier().start(&webhook, CallPlan { to: number.to_owned(), ..talk() });

    assert!(acme.contains("ERROR") && acme.contains("v1 answers in its place"), "{acme}");
    assert!(lost.contains("ERROR") && lost.contains("out of service"), "{lost}");
    let second = gateway(&["serve"], &model, tenants).output().expect("the program runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("another gateway runs on"), "{said}");

    let told = |arguments: &[&str]| {
        let output = gateway(arguments, &model, tenants)
            .env("CORDBOARD_ADMIN_URL", format!("http://{admin}"))
            .env("CORDBOARD_ADMIN_TOKEN", TOKEN)
            .output()
            .expect("the program runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let listed = told(&["tenants"]);
    assert!(listed.contains("acme: v1 answers in its place: v2 can not answer"), "{listed}");
    assert!(listed.contains("lost: OUT OF SERVICE: v1 can not answer"), "{listed}");
    let versions = told(&["versions", "acme"]);
    assert!(versions.contains("stand-in") && versions.contains("failed"), "{versions}");
    let doctor = told(&["doctor"]);
    assert!(doctor.contains("acme (v1)") && doctor.contains("v2 can not answer"), "{doctor}");
    assert!(doctor.contains("tenant `lost`: v1 can not answer"), "{doctor}");
    let page = async |address: &str, path: &str| {
        let answer = plain_client().get(format!("http://{address}{path}")).send().await;
        answer.expect("it answers").text().await.expect("it is text")
    };
    let ready = page(&metrics, "/ready").await;
    assert!(ready.contains("acme: v1 answers in its place"), "{ready}");
    assert!(ready.contains("lost: out of service"), "{ready}");
    let public = page(&served.address, "/ready").await;
    assert!(public.contains("2 of the tenants") && !public.contains("acme"), "{public}");
    let figures = page(&metrics, "/metrics").await;
    assert!(figures.contains("cordboard_tenant_trouble{tenant=\"acme\"} 1"), "{figures}");
    assert!(figures.contains("cordboard_tenant_trouble{tenant=\"lost\"} 2"), "{figures}");

    let running = called(ACME);
    until("the call is listed", || told(&["calls"]).contains("v1")).await;
    drop(running);
    for number in [LOST, "+15550199999"] {
        let answer = called(number).finished().await;
        let twiml = answer.requests[0].body.clone();
        assert!(twiml.contains("not in service"), "{number}: {twiml}");
    }
    served.terminate();
    served.ended().await;
}

const ACME: &str = "+15550100001";
const LOST: &str = "+15550100002";

/// The same component with other bytes.
fn marked(mut component: Vec<u8>) -> Vec<u8> {
    // A custom section: its size, the size of its name, and the name.
    component.extend([0, 5, 4, b'm', b'a', b'r', b'k']);
    component
}

async fn components_made_to_be_expensive_are_refused_while_a_call_runs_and_leave_no_memory_taken() {
    let model = answering().await;
    let place = tempfile::tempdir().expect("this machine has a place for temporary files");
    let mut command = gateway(&["serve"], &model, place.path());
    command
        .env("CORDBOARD_ADMIN_LISTEN", "127.0.0.1:0")
        .env("CORDBOARD_ADMIN_TOKEN", TOKEN)
        .env("CORDBOARD_COMPILE_MEMORY_MIB", "192");
    let mut served = Served::start(command).await;
    let admin = served.admin_address().await;
    let webhook = format!("http://{}/incoming-call", served.address);
    let deploy = format!("http://{admin}/v1/tenants/default/deploy");
    // What a call and a refusal take of memory for good, they have taken now.
    let warm_up = carrier().call(&webhook, talk()).await;
    upload(&deploy, bombs::empty_functions(20_000)).await;
    let before = served.resident_bytes();

    let running = carrier().start(&webhook, talk());
    let of_functions = upload(&deploy, bombs::empty_functions(300_000)).await;
    let of_loops = upload(&deploy, bombs::nested_loops(900, 4_000)).await;
    let call = running.finished().await;
    let grown = served.resident_bytes().saturating_sub(before);
    let sound = upload(&deploy, bytes("echoes")).await;

    checks::call(&warm_up);
    checks::call(&call);
    assert_eq!((call.end.clone(), call.script_failure.clone()), (End::CallerHungUp, None));
    for (status, answer) in [of_functions, of_loops] {
        assert_eq!((status, &answer["error"]["kind"]), (422, &"compile-memory".into()), "{answer}");
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("192 MiB") && message.contains("memory_mib"), "{message}");
    }
    assert!(grown < 32 << 20, "{grown} bytes stay in the gateway");
    assert_eq!(sound.0, 200, "{}", sound.1);
}

/// What the default tenant was given of its callers.
const FRAMES_IN: &str = "cordboard_frames_in_total{tenant=\"default\"}";

const TOKEN: &str = "the-token-of-the-operator";

async fn upload(url: &str, component: Vec<u8>) -> (u16, Value) {
    let request = plain_client().post(url).bearer_auth(TOKEN).body(component);
    let answer = request.send().await.expect("it answers");
    (answer.status().as_u16(), answer.json().await.expect("it answers in JSON"))
}

async fn answering() -> ModelServer {
    let script = ModelScript::new(Answer::tone(500), [Exchange::answer(Answer::tone(700))]);
    ModelServer::start(ModelConfig::with_script(script)).await.expect("a free port")
}

fn gateway(arguments: &[&str], model: &ModelServer, tenants: &Path) -> Command {
    let mut command = cordboard(arguments);
    command
        .env("CORDBOARD_LISTEN", "127.0.0.1:0")
        .env("PUBLIC_URL", World::ORIGIN)
        .env("TWILIO_AUTH_TOKEN", World::AUTH_TOKEN)
        .env("OPENAI_API_KEY", "sk-test")
        .env("OPENAI_REALTIME_API_URL", model.url())
        .env("CORDBOARD_TENANTS_DIR", tenants)
        .env("NO_COLOR", "1");
    command
}

fn carrier() -> Carrier {
    Carrier::new(CarrierConfig {
        auth_token: World::AUTH_TOKEN.into(),
        public_origin: Some(World::ORIGIN.into()),
        ..CarrierConfig::default()
    })
}

fn talk() -> CallPlan {
    CallPlan::new(greeted().wait(1500).converse(1).hang_up())
}

fn plain_client() -> reqwest::Client {
    cordboard_sim::http::client().build().expect("a plain client builds")
}

async fn unsigned_requests(client: reqwest::Client, webhook: String) {
    loop {
        refused(&client, &webhook).await;
    }
}

async fn refused(client: &reqwest::Client, webhook: &str) {
    let answer = client.post(webhook).body("CallSid=CA1").send().await.expect("it answers");
    assert_eq!(answer.status().as_u16(), 403);
}

/// One of the gateway's own figures; 0 before there is one.
async fn figure(metrics: &str, name: &str) -> u64 {
    let url = format!("http://{metrics}/metrics");
    let text =
        plain_client().get(url).send().await.expect("it answers").text().await.expect("it is text");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// A line of a log in JSON, as soon as there is one with these words.
async fn line(log: &str, words: &str) -> Value {
    let mut found = None;
    until(words, || {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        found = text.lines().find(|line| line.contains(words)).map(str::to_owned);
        found.is_some()
    })
    .await;
    serde_json::from_str(&found.expect("it was just found")).expect("each line is JSON")
}

fn listen(line: &Value) -> String {
    line["listen"].as_str().expect("it says where").to_owned()
}

crate::scenarios![
    a_log_that_nobody_reads_costs_no_call_a_frame_and_sigterm_still_ends_it,
    sighup_reads_all_again_and_no_call_notices,
    unsigned_requests_have_one_line,
    a_pipe_in_place_of_a_file_holds_no_start_and_is_refused_by_name,
    a_tenant_whose_active_version_is_lost_is_answered_by_its_own_and_all_commands_tell_so,
    components_made_to_be_expensive_are_refused_while_a_call_runs_and_leave_no_memory_taken,
];
