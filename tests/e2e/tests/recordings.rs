//! Calls over real sockets, recorded by the gateway, and run again from the file alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cordboard::replay::{self, Components};
use cordboard::shared::directory::Migration;
use cordboard_e2e::{Plan, Shop, World, caller, said, until};
use cordboard_recording::{Entry, Recording, Step, instance_traces, turns};
use cordboard_sim::carrier::{CallPlan, Step as Does};
use cordboard_sim::model::{Answer, Exchange, ModelScript};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_call_replays_identical_a_hundred_times_of_a_hundred_on_a_busy_machine() {
    let place = Place::new();
    let world = place.recording(Plan::script(tones())).open().await;
    let tenants = world.gateway().config.tenants_dir.clone();
    // It interrupts the second answer, so that playing, flushing and truncating are in it.
    let script = caller()
        .then(listen())
        .say(said("a question", 500))
        .wait_heard(400)
        .say(said("never mind", 500))
        .then(listen())
        .press("5#")
        .hang_up();
    world.placed(CallPlan::new(script)).await;
    let gateway = world.gateway();
    let sessions = world.close().await;
    gateway.recorder.close();

    let recording = place.only();
    assert!(recording.tail.is_complete(), "{}", recording.tail);
    assert!(turns(&recording.entries).len() > 100, "{} turns", turns(&recording.entries).len());
    assert_eq!(sessions.len(), 1);
    let _busy = Busy::all_cores();
    let mut components = Components::new(Some(tenants)).expect("an engine starts");
    for time in 1..=100 {
        // From the file each time, as another process would.
        let recording = place.only();
        let replay = replay::again(&recording, &mut components).await.expect("the built-in tenant");
        let report = replay::report(&recording, &replay, false);
        assert!(replay.is_identical() && replay.left_out.is_empty(), "replay {time}: {report}");
        assert!(replay.states > 1 && replay.answers >= turns(&recording.entries).len(), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_version_was_swapped_in_mid_sentence_replays_identical() {
    let place = Place::new();
    let world = place.recording(Plan::script(tones())).open().await;
    let gateway = world.gateway();
    let deployment =
        Arc::clone(gateway.tenants.deployment("default").expect("every world has one"));
    let storing = Arc::clone(&deployment);
    tokio::task::spawn_blocking(move || {
        storing.store_active().expect("the tenants directory can be written");
    })
    .await
    .expect("it does not panic");
    let tenants = tempfile::tempdir().expect("this machine has a place for temporary files");
    let folder = gateway.config.tenants_dir.join("default");
    let original = std::fs::read(folder.join("versions/v1/component.wasm")).expect("it was stored");
    let staging = Arc::clone(&deployment);
    tokio::task::spawn_blocking(move || {
        let newer = marked(&original);
        let tried = staging.try_out(&newer).expect("the same component with another name");
        let staged = staging.stage(&tried, &newer, "a test", "").expect("the store has room");
        let force = cordboard_tenant::version_store::Force::No;
        staging.change(|registry| registry.activate(staged.name(), force)).expect("it may");
    })
    .await
    .expect("it does not panic");
    let newer = deployment.active().expect("it was just activated");
    let older = "v1".parse().expect("a version's name");
    let older = deployment.ready(older).expect("it is stored");

    let script = caller().then(listen()).say(said("a question", 500)).then(listen()).hang_up();
    let call = world.start(CallPlan::new(script));
    until("the call is up", || gateway.calls.len() == 1).await;
    for to in [&older, &newer] {
        // The call began with the newer one.
        let (changing, name) =
            (Arc::clone(&deployment), to.name.parse().expect("a version's name"));
        tokio::task::spawn_blocking(move || {
            let force = cordboard_tenant::version_store::Force::No;
            changing.change(|registry| registry.activate(name, force)).expect("it may");
        })
        .await
        .expect("it does not panic");
        let moved = gateway.rollouts.migrate(&deployment, None).await;
        assert!(matches!(moved[0].1, Migration::Moved { .. }), "{moved:?}");
        let answers = || gateway.calls.calls().iter().any(|call| call.version == to.name);
        until("the list of calls says so", answers).await;
    }
    let report = call.finished().await;
    assert_eq!(report.script_failure, None);
    // The version store outlives the world, as it does a gateway.
    copy(&folder, &tenants.path().join("default"));
    world.close().await;
    gateway.recorder.close();

    let recording = place.only();
    let traces = instance_traces(&recording.entries);
    assert_eq!(traces.len(), 3, "the first instance and two successors");
    let loaded =
        |trace: &&cordboard_recording::InstanceTrace| matches!(trace.steps[0], Step::Loaded { .. });
    assert_eq!(traces.iter().filter(loaded).count(), 2);
    let activated =
        recording.entries.iter().filter(|entry| matches!(entry, Entry::Activated { .. }));
    assert_eq!(activated.count(), 3);
    let mut components =
        Components::new(Some(tenants.path().to_owned())).expect("an engine starts");
    let replay = replay::again(&recording, &mut components).await.expect("both are stored");
    let report = replay::report(&recording, &replay, false);
    assert!(replay.is_identical() && replay.instances == 3, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_the_operator_is_in_a_recording() {
    const SECRETS: [&str; 3] = ["sk-test-of-the-model", World::AUTH_TOKEN, "the-token-of-the-shop"];
    let shop = Shop::open().await;
    let place = Place::new();
    let tool = Answer::tool("repair_status", r#"{"number":"471"}"#).after_tools(Answer::tone(500));
    let script = ModelScript::new(Answer::tone(500), [Exchange::answer(tool)]);
    let toml = format!(
        "[[settings.tools]]\nname = \"repair_status\"\nurl = \"{}\"\n\
         headers = {{ authorization = \"Bearer {{{{secret:SHOP_TOKEN}}}}\" }}\n\
         [http]\nallow = [\"{}\"]\nsecrets = [\"SHOP_TOKEN\"]\n",
        shop.url("/repair-status"),
        shop.url("/")
    );
    let mut plan = place.recording(Plan::script(script).tenant(&toml));
    plan.key = SECRETS[0].to_owned();
    let world = plan.setting("CORDBOARD_SECRET_SHOP_TOKEN", SECRETS[2]).open().await;
    let script = caller().then(listen()).say(said("a question", 500)).then(listen()).hang_up();
    let call = world.placed(CallPlan::new(script)).await;
    let gateway = world.gateway();
    world.close().await;
    gateway.recorder.close();

    assert_eq!(shop.asked().len(), 1, "the secret was used");
    let recording = place.only();
    // Everything in it as text; byte strings print as numbers, so they are looked through by themselves.
    let text = format!("{:?} {:?}", recording.header, recording.entries);
    assert!(
        text.contains("{{secret:SHOP_TOKEN}}"),
        "the request was recorded as the tenant made it"
    );
    let raw: Vec<u8> =
        instance_traces(&recording.entries).iter().flat_map(|trace| bytes(&trace.steps)).collect();
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret}");
        assert!(!raw.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    let token = call.stream().url.rsplit('/').next().expect("a URL has parts").to_owned();
    assert!(token.len() > 16, "{token} is no token");
    assert!(!text.contains(&token), "the stream's token is in it");
}

/// A directory for recordings.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("this machine has a place for temporary files"))
    }

    /// A plan whose default tenant has its calls recorded here.
    fn recording(&self, plan: Plan) -> Plan {
        plan.tenant("\n[recording]\nmode = \"on\"\n")
            .setting("CORDBOARD_RECORDING_DIR", &self.0.path().display().to_string())
    }

    /// The only recording there is, read from its file.
    fn only(&self) -> Recording {
        let files = files(self.0.path());
        let [file] = &files[..] else { panic!("{files:?}") };
        Recording::read(&std::fs::read(file).expect("it is ours")).expect("it is a recording")
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(dir).expect("it is there").map(|entry| entry.expect("readable"));
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(|entry| below(entry.path())).collect()
}

/// Every byte string an instance was told or gave back.
fn bytes(steps: &[Step<'_>]) -> Vec<u8> {
    use cordboard_call::contract::{Action, Event};

    let mut all = Vec::new();
    for step in steps {
        match step {
            Step::Asked { event, answer, .. } => {
                if let Event::HttpDone(response) = event {
                    all.extend(&response.body);
                }
                for action in answer.and_then(Result::ok).unwrap_or_default() {
                    if let Action::Http(request) = action {
                        all.extend(&request.body);
                    }
                }
            }
            Step::Loaded { state: cordboard_recording::Bytes::Kept(state), .. }
            | Step::Saved { answer: Ok(Some(cordboard_recording::Bytes::Kept(state))), .. } => {
                all.extend(&**state);
            }
            Step::Loaded { .. } | Step::Saved { .. } => {}
        }
    }
    all
}

fn tones() -> ModelScript {
    let mut script = ModelScript::new(
        Answer::tone(500),
        [Exchange::answer(Answer::tone(2_000)), Exchange::answer(Answer::tone(500))],
    );
    script.otherwise = Answer::tone(500);
    script
}

fn listen() -> Does {
    Does::WaitAnswer { quiet_ms: 300 }
}

/// A component with a custom section more: other bytes, the same behaviour.
fn marked(component: &[u8]) -> Vec<u8> {
    [component, &[0, 4, 3], b"two"].concat()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("it can be made");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let path = entry.expect("readable").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("it can be copied");
        }
    }
}

/// Threads that leave the machine no idle moment.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn all_cores() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..std::thread::available_parallelism().map_or(2, Into::into) {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
