//! The program itself: what it says, with what it ends, and how it leaves.

use std::path::{Path, PathBuf};

use cordboard_e2e::program::{Served, cordboard};
use cordboard_e2e::{World, checks, until};
use cordboard_recording::{Entry, Recording, Tail};
use cordboard_sim::carrier::{CallPlan, Carrier, CarrierConfig, End};
use cordboard_sim::model::{Answer, Exchange, ModelConfig, ModelScript, ModelServer};

use crate::listening::{Turns, greeted};

async fn help_names_every_command() {
    let output = cordboard(&["--help"]).output().expect("the program runs");

    let text = String::from_utf8(output.stdout).expect("help is text");
    assert!(output.status.success());
    for command in ["serve", "demo", "doctor"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(command)), "{text}");
    }
    for command in ["serve", "demo", "doctor"] {
        let output = cordboard(&[command, "--help"]).output().expect("the program runs");
        assert!(output.status.success(), "{command} --help");
    }
}

async fn an_unknown_command_is_refused_with_what_there_is() {
    let output = cordboard(&["dance"]).output().expect("the program runs");

    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("dance"));
}

async fn every_wrong_setting_is_named_at_once_and_no_port_opens() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let place = tempfile::tempdir().expect("this machine has a place for temporary files");
    let file = place.path().join("cordboard.toml");
    std::fs::write(
        &file,
        "public_url = \"http://example.com\"\nlistne = \"x\"\n[calls]\nmax = 0\n",
    )
    .expect("the directory is there");

    let output = cordboard(&["serve", "--config", &file.display().to_string()])
        // With a port that is taken: had it been tried, that would be the complaint.
        .env("CORDBOARD_LISTEN", taken.local_addr().expect("it is bound").to_string())
        .env("OPENAI_REALTIME_API_URL", "https://api.openai.com")
        .env("TWILIO_ACCOUNT_SID", "0123456789abcdef0123456789abcdef")
        .env("OPENAI_REALTIME_DIALECT", "latin")
        .output()
        .expect("the program runs");

    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for problem in [
        "public_url",
        "listne",
        "calls.max",
        "OPENAI_REALTIME_API_URL",
        "TWILIO_ACCOUNT_SID",
        "OPENAI_REALTIME_DIALECT",
    ] {
        assert!(text.contains(problem), "{problem} is not named in:\n{text}");
    }
    assert!(!text.contains("listen on"), "a port was tried:\n{text}");
    assert!(!text.contains("0123456789abcdef"), "a value that may be a secret is quoted:\n{text}");
}

async fn serving_without_the_carriers_token_is_refused() {
    let output = cordboard(&["serve"])
        .env("OPENAI_API_KEY", "sk-test")
        .env("CORDBOARD_LISTEN", "127.0.0.1:0")
        .output()
        .expect("the program runs");

    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("PUBLIC_URL") && text.contains("TWILIO_AUTH_TOKEN"), "{text}");
}

async fn sigterm_lets_the_running_call_end_and_then_the_process() {
    let answers = [Exchange::answer(Answer::tone(700))];
    let script = ModelScript::new(Answer::tone(500), answers);
    let model = ModelServer::start(ModelConfig::with_script(script)).await.expect("a free port");
    let place = tempfile::tempdir().expect("this machine has a place for temporary files");
    let mut command = cordboard(&["serve"]);
    command
        .env("CORDBOARD_LISTEN", "127.0.0.1:0")
        .env("PUBLIC_URL", World::ORIGIN)
        .env("TWILIO_AUTH_TOKEN", World::AUTH_TOKEN)
        .env("OPENAI_API_KEY", "sk-test")
        .env("OPENAI_REALTIME_API_URL", model.url())
        .env("CORDBOARD_TENANTS_DIR", place.path())
        .env("NO_COLOR", "1");
    let mut served = Served::start(command).await;
    let webhook = format!("http://{}/incoming-call", served.address);
    let carrier = Carrier::new(CarrierConfig {
        auth_token: World::AUTH_TOKEN.into(),
        public_origin: Some(World::ORIGIN.into()),
        ..CarrierConfig::default()
    });

    let running =
        carrier.start(&webhook, CallPlan::new(greeted().wait(1500).converse(1).hang_up()));
    let log = model.log();
    let is_up = || log.session(0).is_some_and(|s| !s.sent_of("response.done").is_empty());
    until("the caller was greeted", is_up).await;
    served.terminate();
    served.said("draining").await;
    let refused = carrier.call(&webhook, CallPlan::new(greeted())).await;
    let ended = running.finished().await;
    let code = served.ended().await;

    assert_eq!(refused.requests[0].status, Some(503));
    checks::call(&ended);
    assert_eq!((ended.end, ended.script_failure), (End::CallerHungUp, None));
    assert_eq!(code, Some(0));
}

async fn a_killed_gateway_leaves_a_recording_that_replays_to_its_last_second() {
    let script = ModelScript::new(Answer::tone(500), [Exchange::answer(Answer::tone(700))]);
    let model = ModelServer::start(ModelConfig::with_script(script)).await.expect("a free port");
    let place = tempfile::tempdir().expect("this machine has a place for temporary files");
    let (tenants, recordings) = (place.path().join("tenants"), place.path().join("recordings"));
    std::fs::create_dir_all(tenants.join("default")).expect("the directory is ours");
    std::fs::write(tenants.join("default/tenant.toml"), "[recording]\nmode = \"on\"\n")
        .expect("the directory is there");
    let mut command = cordboard(&["serve"]);
    command
        .env("CORDBOARD_LISTEN", "127.0.0.1:0")
        .env("PUBLIC_URL", World::ORIGIN)
        .env("TWILIO_AUTH_TOKEN", World::AUTH_TOKEN)
        .env("OPENAI_API_KEY", "sk-test")
        .env("OPENAI_REALTIME_API_URL", model.url())
        .env("CORDBOARD_TENANTS_DIR", &tenants)
        .env("CORDBOARD_RECORDING_DIR", &recordings)
        .env("NO_COLOR", "1");
    let mut served = Served::start(command).await;
    let carrier = Carrier::new(CarrierConfig {
        auth_token: World::AUTH_TOKEN.into(),
        public_origin: Some(World::ORIGIN.into()),
        ..CarrierConfig::default()
    });
    let webhook = format!("http://{}/incoming-call", served.address);
    let running = carrier.start(&webhook, CallPlan::new(greeted().wait_close()));

    let on_disk = || {
        let file = only_file(&recordings)?;
        Recording::read(&std::fs::read(file).ok()?).ok()
    };
    let last = |recording: &Recording| recording.entries.iter().filter_map(Entry::now).max();
    let seconds = || on_disk().and_then(|recording| last(&recording)).unwrap_or(0) / 1_000;
    until("two seconds are on disk", || seconds() >= 2).await;
    let before = on_disk().expect("it was just read");
    served.kill();
    served.ended().await;
    drop(running);

    let after = on_disk().expect("what was written stays");
    assert!(matches!(after.tail, Tail::CutOff { .. }), "{}", after.tail);
    assert_eq!(after.entries[..before.entries.len()], before.entries);
    let file = only_file(&recordings).expect("it is there").display().to_string();
    let out = place.path().join("out").display().to_string();
    let tenants = tenants.display().to_string();
    let said = |arguments: &[&str]| {
        let output = cordboard(arguments).output().expect("the program runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text, errors) = said(&["replay", &file, "--tenants-dir", &tenants]);
    assert!(code == Some(0) && text.ends_with("identical\n"), "{code:?} {text} {errors}");
    assert!(text.contains("is cut off at byte"), "{text}");
    let (code, text, errors) = said(&["inspect", &file, "--timeline", "--kind", "started"]);
    assert!(code == Some(0) && text.contains("event    started CA"), "{code:?} {text} {errors}");
    let (code, _, errors) = said(&["export", &file, "--out", &out]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    for name in
        ["call.wav", "transcript.txt", "transcript.json", "transcript.vtt", "timeline.jsonl"]
    {
        assert!(place.path().join("out").join(name).is_file(), "{name}");
    }
    // A byte in the middle of what was written.
    let mut bytes = std::fs::read(&file).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("it is ours");
    let (code, _, errors) = said(&["replay", &file, "--tenants-dir", &tenants]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("is damaged in the chunk"), "{errors}");
    let (code, _, errors) = said(&["replay", &format!("{tenants}/default/tenant.toml")]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("no recording of a call"), "{errors}");
}

/// The only file below a directory, as soon as there is one.
fn only_file(dir: &Path) -> Option<PathBuf> {
    let path = std::fs::read_dir(dir).ok()?.next()?.ok()?.path();
    if path.is_dir() { only_file(&path) } else { Some(path) }
}

crate::scenarios![
    help_names_every_command,
    an_unknown_command_is_refused_with_what_there_is,
    every_wrong_setting_is_named_at_once_and_no_port_opens,
    serving_without_the_carriers_token_is_refused,
    sigterm_lets_the_running_call_end_and_then_the_process,
    a_killed_gateway_leaves_a_recording_that_replays_to_its_last_second,
];
