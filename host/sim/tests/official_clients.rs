//! OpenAI's own clients against the simulators: what they can talk to, a gateway can be tested with.
//!
//! They are not installed by cargo. `.ci/run` installs them and names them: `CORDBOARD_PY` is a Python with
//! `clients/python/requirements.txt`, `CORDBOARD_NODE_CLIENT` a folder in which `npm ci` was run on `clients/node/package.json`. Without these variables the tests
//! say that they did not run; with `CI=true` that is a failure.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cordboard_sim::carrier::{CallPlan, CallerScript, Carrier, CarrierConfig, End};
use cordboard_sim::model::{Answer, Exchange};
use cordboard_sim::model::{ModelConfig, ModelScript, ModelServer};
use cordboard_sim::speech;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn the_python_client_holds_a_conversation() {
    let Some(python) = installed("CORDBOARD_PY") else { return };
    let script = ModelScript::new(
        Answer::clip(speech::AGENT_GREETING),
        [
            Exchange::to(speech::CALLER_HOURS, Answer::clip(speech::AGENT_SATURDAY)),
            Exchange::to(
                speech::CALLER_READY,
                Answer::tool("repair_status", r#"{"number":"471"}"#)
                    .after_tools(Answer::clip(speech::AGENT_READY)),
            ),
        ],
    );
    let server = ModelServer::start(ModelConfig::with_script(script)).await.unwrap();
    let base = server.url().trim_end_matches("/realtime").to_owned();
    let output = Command::new(python)
        .arg(clients().join("python/converse.py"))
        .arg(base)
        .arg(clients().join("../speech/caller_hours.8k.ulaw"))
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no summary from the client:\n{errors}"));
    assert_eq!(summary["problems"], json!([]), "events the package refuses");
    assert_eq!(summary["format"], "audio/pcmu");
    assert_eq!(summary["greeting"], speech::AGENT_GREETING.words);
    assert_eq!(summary["greeting_bytes"], speech::AGENT_GREETING.ulaw_8k.len());
    assert_eq!(summary["interrupted"], "turn_detected");
    assert_eq!(summary["truncated_ms"], 20);
    assert_eq!(summary["tool"], json!(["repair_status", { "number": "471" }]));
    assert_eq!(summary["after_tool"], speech::AGENT_READY.words);
    assert_eq!(
        summary["transcripts"],
        json!([speech::CALLER_HOURS.words, speech::CALLER_READY.words])
    );
    assert_eq!(summary["error"], json!(["response_cancel_not_active", "mine"]));
    assert!(output.status.success(), "{errors}");
}

#[tokio::test]
async fn openais_twilio_bridge_holds_a_call_between_both_simulators() {
    let Some(folder) = installed("CORDBOARD_NODE_CLIENT") else { return };
    let model = ModelServer::start(ModelConfig::default()).await.unwrap();
    // Node looks for packages beside the script, so the script goes where they are.
    let script = folder.join("bridge.mjs");
    std::fs::copy(clients().join("node/bridge.mjs"), &script).unwrap();
    let mut bridge = Command::new("node")
        .arg(script)
        .arg(format!("{}?model=gpt-realtime", model.url()))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(bridge.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    let url = first["listening"].as_str().unwrap().to_owned();

    let carrier = Carrier::new(CarrierConfig { allow_ws: true, ..CarrierConfig::default() });
    let call = carrier.start_stream(&url, Vec::new(), CallPlan::new(CallerScript::demo()));
    let report = call.finished().await;
    let mut told = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        told.push(serde_json::from_str::<Value>(&line).unwrap());
        if told.last().unwrap()["closed"] == true {
            break;
        }
    }

    assert_eq!(report.script_failure, None, "{told:#?}");
    assert_eq!(report.end, End::CallerHungUp);
    assert_eq!(report.debugger, [], "the carrier complains about OpenAI's own bridge");
    let stream = report.stream();
    assert!(stream.turns().iter().filter(|turn| turn.answered_ms.is_some()).count() >= 4);
    let barge_ins = stream.barge_ins();
    assert_eq!(barge_ins.len(), 1);
    assert!(barge_ins[0].cleared_ms.is_some());
    let session = model.log().session(0).unwrap();
    assert_eq!(session.refusals(), [] as [&str; 0]);
    assert_eq!(session.received_of("conversation.item.truncate").len(), 1);
    assert!(told.contains(&json!({ "tool": "repair_status", "number": "471" })), "{told:#?}");
    assert!(!told.iter().any(|line| line.get("error").is_some()), "{told:#?}");
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Returns what a variable names, made absolute from the workspace's root.
fn installed(variable: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        return Some(root.join(path));
    }
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!ci, "{variable} is not set: an official client was not tested");
    // Past the test harness, which shows what a passing test printed to nobody.
    let told = writeln!(
        std::io::stderr(),
        "NOT RUN: {variable} is not set, so this official client was not tested"
    );
    told.expect("standard error takes a line");
    None
}
