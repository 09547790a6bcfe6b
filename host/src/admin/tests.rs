//! The admin API over HTTP, with real components, against a gateway without calls.

use std::collections::BTreeSet;
use std::path::Path;

use cordboard_tenant::version_store::limits::COMPONENT_BYTES_MAX;
use cordboard_tenant::{Deployment, Fault, Flaw};
use reqwest::Method;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::deploy::UPLOAD_WITHIN;
use super::*;
use crate::config::{Config, Sources};
use crate::gateway::DEFAULT_TENANT;

#[tokio::test]
async fn a_deployment_answers_new_calls_and_a_roll_back_brings_the_old_one_back() {
    let supervisor = InstanceSupervisor::open().await;
    let before = supervisor.answers("acme");
    let deployed =
        supervisor.deploy("acme", "then=activate&note=the+second", component("two")).await.done();
    assert_eq!(deployed["version"], "v2");
    assert_eq!((&deployed["part"], &deployed["new"]), (&json!("active"), &json!(true)));
    assert!(deployed["live_in_ms"].is_u64(), "{deployed}");
    let after = supervisor.answers("acme");
    assert_ne!(before, after);

    // What answered before anything was deployed is in the store, too.
    let versions = supervisor.get("/v1/tenants/acme/versions").await.done();
    let parts: Vec<_> =
        versions["versions"].as_array().unwrap().iter().map(|v| &v["part"]).collect();
    assert_eq!(parts, ["previous", "active"]);
    assert_eq!(versions["versions"][1]["note"], "the second");
    assert_eq!(versions["versions"][1]["by"], "admin");

    let back = supervisor
        .post("/v1/tenants/acme/rollback", &json!({ "reason": "it stuttered" }))
        .await
        .done();
    assert_eq!((&back["active"], &back["before"]), (&json!("v1"), &json!("v2")));
    assert_eq!(supervisor.answers("acme"), before);
    let versions = supervisor.get("/v1/tenants/acme/versions").await.done();
    assert_eq!(versions["versions"][1]["rolled_back"], "it stuttered");
}

#[tokio::test]
async fn a_version_that_was_rolled_back_needs_force() {
    let supervisor = InstanceSupervisor::open().await;
    supervisor.deploy("acme", "then=activate", component("two")).await.done();
    supervisor.post("/v1/tenants/acme/rollback", &json!({})).await.done();
    let refused = supervisor.deploy("acme", "then=activate", component("two")).await;
    assert_eq!(refused.problem(), (409, "was-rolled-back"));
    assert!(refused.body.to_string().contains("by admin"), "{}", refused.body);
    let forced =
        supervisor.deploy("acme", "then=activate&force=true", component("two")).await.done();
    assert_eq!((&forced["version"], &forced["new"]), (&json!("v2"), &json!(false)));
}

#[tokio::test]
async fn a_canary_gets_its_share_until_it_is_promoted() {
    let supervisor = InstanceSupervisor::open().await;
    let before = supervisor.answers("acme");
    let deployed =
        supervisor.deploy("acme", "then=canary&percent=10", component("two")).await.done();
    assert_eq!(deployed["part"], "canary");
    let deployment = supervisor.gateway.tenants.deployment("acme").unwrap();
    let on_canary = (0..1000)
        .filter(|call| deployment.version_for(&format!("CA{call}")).unwrap().name == "v2")
        .count();
    assert!((50..150).contains(&on_canary), "{on_canary} of 1000 calls");

    let tenants = supervisor.get("/v1/tenants").await.done();
    let acme =
        tenants["tenants"].as_array().unwrap().iter().find(|t| t["tenant"] == "acme").unwrap();
    assert_eq!(acme["canary"], json!({ "version": "v2", "percent": 10 }));
    let promoted = supervisor.post("/v1/tenants/acme/promote", &json!({})).await.done();
    assert_eq!((&promoted["active"], &promoted["canary"]), (&json!("v2"), &Value::Null));
    assert_ne!(supervisor.answers("acme"), before);
    assert_eq!(
        supervisor.post("/v1/tenants/acme/promote", &json!({})).await.problem(),
        (409, "no-canary")
    );
}

#[tokio::test]
async fn a_staged_version_waits_until_it_is_activated_or_retired() {
    let supervisor = InstanceSupervisor::open().await;
    let staged = supervisor.deploy("acme", "", component("two")).await.done();
    assert_eq!((&staged["version"], &staged["part"]), (&json!("v2"), &Value::Null));
    supervisor.deploy("acme", "", component("three")).await.done();
    let active =
        supervisor.post("/v1/tenants/acme/activate", &json!({ "version": "v2" })).await.done();
    assert_eq!(active["active"], "v2");
    let refused = supervisor.post("/v1/tenants/acme/retire", &json!({ "version": "v2" })).await;
    assert_eq!(refused.problem(), (409, "in-use"));
    let retired =
        supervisor.post("/v1/tenants/acme/retire", &json!({ "version": "v3" })).await.done();
    assert_eq!(retired["versions"], 2);
}

#[tokio::test]
async fn without_a_known_token_nothing_is_answered() {
    let supervisor = InstanceSupervisor::open().await;
    for (method, path) in documented() {
        for (token, kind) in [(None, "no-token"), (Some("a-token-nobody-gave-out"), "wrong-token")]
        {
            let answer = supervisor.ask(method.clone(), &path, token, Vec::new()).await;
            assert_eq!(answer.problem(), (401, kind), "{method} {path}");
        }
    }
    assert!(
        !supervisor.audit().contains("asked"),
        "who is unknown leaves no trace in the audit log"
    );
}

#[tokio::test]
async fn every_documented_path_exists_and_every_path_is_documented() {
    let supervisor = InstanceSupervisor::open().await;
    for (method, path) in documented() {
        let answer = supervisor.ask(method.clone(), &path, Some(ADMIN), Vec::new()).await;
        let unknown = matches!(answer.problem().1, "no-such-path" | "method-not-allowed");
        assert!(!unknown, "{method} {path}: {}", answer.body);
    }
    // `routes!` adds to both; `route` would add a path alone, as it does for the document itself.
    let alone: Vec<_> = include_str!("mod.rs").matches(".route(").collect();
    assert_eq!(alone.len(), 1, "a route beside the document's own is not in the document");
    let served = supervisor.ask(Method::GET, "/openapi.json", None, Vec::new()).await.done();
    assert_eq!(served["openapi"], "3.1.0");
    assert_eq!(served, document());
    for (path, method, parameters) in [
        ("/v1/tenants/{tenant}/deploy", "post", 6),
        ("/v1/calls", "get", 1),
        ("/v1/calls/{call}/command", "post", 1),
    ] {
        let told = served["paths"][path][method]["parameters"].as_array().unwrap();
        assert_eq!(told.len(), parameters, "{path}: {told:?}");
    }
    assert_eq!(supervisor.get("/v2/tenants").await.problem(), (404, "no-such-path"));
    let wrong = supervisor.ask(Method::DELETE, "/v1/tenants", Some(ADMIN), Vec::new()).await;
    assert_eq!(wrong.problem(), (405, "method-not-allowed"));
}

#[tokio::test]
async fn a_tenants_token_opens_that_tenant_alone() {
    let supervisor = InstanceSupervisor::open().await;
    for path in
        ["/v1/tenants/other/rollback", "/v1/tenants/nobody/rollback", "/v1/tenants/default/migrate"]
    {
        let answer = supervisor.ask(Method::POST, path, Some(ACME), Vec::new()).await;
        assert_eq!(answer.problem(), (403, "foreign-tenant"), "{path}");
    }
    let path = "/v1/tenants/other/deploy?then=activate";
    let answer = supervisor.ask(Method::POST, path, Some(ACME), component("two")).await;
    assert_eq!(answer.problem(), (403, "foreign-tenant"));
    let drain = supervisor.ask(Method::POST, "/v1/drain", Some(ACME), Vec::new()).await;
    assert_eq!(drain.problem(), (403, "foreign-tenant"));
    let metrics = supervisor.ask(Method::GET, "/metrics", Some(ACME), Vec::new()).await;
    assert_eq!(metrics.problem(), (403, "foreign-tenant"));
    assert!(!supervisor.gateway.admissions.is_draining());

    let seen = supervisor.ask(Method::GET, "/v1/tenants", Some(ACME), Vec::new()).await.done();
    let names: Vec<_> = seen["tenants"].as_array().unwrap().iter().map(|t| &t["tenant"]).collect();
    assert_eq!(names, ["acme"]);
    let path = "/v1/tenants/acme/deploy";
    let own = supervisor.ask(Method::POST, path, Some(ACME), component("two")).await.done();
    assert_eq!(own["version"], "v2");
    let versions = supervisor.get("/v1/tenants/acme/versions").await.done();
    assert_eq!(versions["versions"][1]["by"], "tenant acme");
}

#[tokio::test]
async fn what_is_no_tenant_is_refused_with_a_lesson_and_changes_nothing() {
    let supervisor = InstanceSupervisor::open().await;
    let before = supervisor.answers("acme");
    for (bytes, kind, lesson) in [
        (b"#!/bin/sh\n".to_vec(), "not-wasm", "not WebAssembly"),
        (b"\0asm\x01\0\0\0".to_vec(), "core-module", "wasm32-wasip2"),
        (b"\0asm\x0d\0\x01\0".to_vec(), "missing-export", "cordboard:tenant/handler"),
        (DEFAULT_TENANT[..DEFAULT_TENANT.len() / 2].to_vec(), "malformed-component", "component"),
    ] {
        let refused = supervisor.deploy("acme", "then=activate", bytes).await;
        assert_eq!(refused.status, 422, "{kind}: {}", refused.body);
        assert_eq!(refused.body["error"]["kind"], kind, "{}", refused.body);
        assert!(refused.body.to_string().contains(lesson), "{}", refused.body);
    }
    assert_eq!(supervisor.answers("acme"), before);
    let versions = supervisor.get("/v1/tenants/acme/versions").await.done();
    assert_eq!(versions["versions"], json!([]));
    assert!(!supervisor.folder("acme").join("releases.toml").exists());
}

#[tokio::test]
async fn an_upload_beyond_the_limit_is_413() {
    let supervisor = InstanceSupervisor::open().await;
    let refused = supervisor.deploy("acme", "", vec![0; COMPONENT_BYTES_MAX + 1]).await;
    assert_eq!(refused.problem(), (413, "too-large"));
    let body = vec![b' '; BODY_BYTES_MAX + 1];
    let refused = supervisor.ask(Method::POST, "/v1/tenants/acme/policy", Some(ADMIN), body).await;
    assert_eq!(refused.problem(), (413, "too-large"));
}

#[tokio::test]
async fn eight_uploads_of_one_tenant_that_stop_half_way_hold_nobody_else_up() {
    let supervisor = InstanceSupervisor::open().await;
    let mut half_sent = Vec::new();
    for _ in 0..8 {
        half_sent.push(supervisor.half_an_upload("acme", ACME).await);
    }

    let deployed = supervisor.deploy("other", "then=activate", component("two"));
    let deployed = tokio::time::timeout(UPLOAD_WITHIN / 2, deployed).await;

    assert_eq!(deployed.expect("it waits for another tenant's").done()["part"], "active");
}

#[tokio::test]
async fn what_does_not_exist_is_404_and_what_makes_no_sense_is_400() {
    let supervisor = InstanceSupervisor::open().await;
    let unknown = supervisor.deploy("nobody", "then=activate", component("two")).await;
    assert_eq!(unknown.problem(), (404, "unknown-tenant"));
    let missing = supervisor.post("/v1/tenants/acme/activate", &json!({ "version": "v7" })).await;
    assert_eq!(missing.problem(), (404, "unknown-version"));
    assert!(missing.body.to_string().contains("nothing was deployed yet"), "{}", missing.body);
    for word in ["hang-up", "command"] {
        let gone = supervisor.post(&format!("/v1/calls/CA1/{word}"), &json!({})).await;
        assert_eq!(gone.problem(), (404, "unknown-call"));
    }
    assert_eq!(
        supervisor.post("/v1/tenants/acme/rollback", &json!({})).await.problem().1,
        "nothing-earlier"
    );
    for (path, body) in [
        ("/v1/tenants/acme/activate", json!({ "version": "../v1" })),
        ("/v1/tenants/acme/activate", json!({ "verison": "v1" })),
        ("/v1/tenants/acme/canary", json!({ "version": "v1", "percent": 100 })),
        ("/v1/tenants/acme/policy", json!({ "policy": "maybe" })),
        ("/v1/tenants/acme/rollback", json!({ "running": "perhaps" })),
    ] {
        assert_eq!(
            supervisor.post(path, &body).await.problem(),
            (400, "bad-request"),
            "{path} {body}"
        );
    }
    for query in ["then=canary", "then=stage&percent=10", "then=now", "percent=ten"] {
        let refused = supervisor.deploy("acme", query, component("two")).await;
        assert_eq!(refused.problem(), (400, "bad-request"), "{query}");
    }
}

#[tokio::test]
async fn two_deployments_at_once_both_come_to_their_end() {
    let supervisor = InstanceSupervisor::open().await;
    let (two, three) = tokio::join!(
        supervisor.deploy("acme", "then=activate", component("two")),
        supervisor.deploy("acme", "then=activate", component("three")),
    );
    let names =
        BTreeSet::from([two.done()["version"].to_string(), three.done()["version"].to_string()]);
    assert_eq!(names, BTreeSet::from(["\"v2\"".to_owned(), "\"v3\"".to_owned()]));
    let versions = supervisor.get("/v1/tenants/acme/versions").await.done();
    assert_eq!(versions["versions"].as_array().unwrap().len(), 3);
    let active = versions["active"].as_str().unwrap();
    assert!(names.contains(&format!("{active:?}")), "{active}");
    assert_eq!(versions["previous"], if active == "v2" { "v3" } else { "v2" });
}

#[tokio::test]
async fn a_restart_answers_with_what_was_active() {
    let supervisor = InstanceSupervisor::open().await;
    supervisor.deploy("acme", "then=activate", component("two")).await.done();
    let answers = supervisor.answers("acme");
    let again = InstanceSupervisor::on(supervisor.tenants.path()).await;
    assert_eq!(again.answers("acme"), answers);
}

#[tokio::test]
async fn settings_are_frozen_with_the_version_and_read_afresh_for_the_next() {
    let supervisor = InstanceSupervisor::open().await;
    supervisor.deploy("acme", "then=activate", component("two")).await.done();
    let deployment = Arc::clone(supervisor.gateway.tenants.deployment("acme").unwrap());
    std::fs::write(
        supervisor.folder("acme").join("tenant.toml"),
        "[settings]\nvoice = \"cedar\"\n",
    )
    .unwrap();
    assert!(!deployment.active().unwrap().settings.contains("cedar"));
    supervisor.deploy("acme", "then=activate", component("two")).await.done();
    assert!(deployment.active().unwrap().settings.contains("cedar"));
    supervisor.post("/v1/tenants/acme/rollback", &json!({})).await.done();
    assert!(!deployment.active().unwrap().settings.contains("cedar"));
}

#[tokio::test]
async fn changed_files_are_deployed_once_and_never_over_an_operators_choice() {
    let supervisor = InstanceSupervisor::open().await;
    let deployment = Arc::clone(supervisor.gateway.tenants.deployment("acme").unwrap());
    let noticed = |deployment: &Arc<Deployment>| {
        let deployment = Arc::clone(deployment);
        async move {
            let version =
                blocking(move || deployment.notice_folder(|_| Ok(()))).await.unwrap().unwrap();
            version.map(|version| version.name.clone())
        }
    };
    let storing = Arc::clone(&deployment);
    blocking(move || storing.store_active()).await.unwrap().unwrap();
    assert_eq!(noticed(&deployment).await, None);

    std::fs::write(
        supervisor.folder("acme").join("tenant.toml"),
        "[settings]\nvoice = \"cedar\"\n",
    )
    .unwrap();
    assert_eq!(noticed(&deployment).await.as_deref(), Some("v2"));
    assert!(deployment.active().unwrap().settings.contains("cedar"));
    supervisor.post("/v1/tenants/acme/rollback", &json!({})).await.done();
    assert_eq!(noticed(&deployment).await, None, "the same files again, over a roll-back");
    assert_eq!(deployment.active().unwrap().name, "v1");

    std::fs::write(supervisor.folder("acme").join("new.wasm"), component("three")).unwrap();
    std::fs::write(supervisor.folder("acme").join("tenant.toml"), "component = \"new.wasm\"\n")
        .unwrap();
    assert_eq!(noticed(&deployment).await.as_deref(), Some("v3"));
    // A broken save deploys nothing, says why once, and is no obstacle to the next.
    std::fs::write(supervisor.folder("acme").join("new.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let broken = Arc::clone(&deployment);
    let error = blocking(move || broken.notice_folder(|_| Ok(()))).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("core module"), "{error}");
    assert_eq!(noticed(&deployment).await, None);
    std::fs::write(supervisor.folder("acme").join("new.wasm"), component("four")).unwrap();
    assert_eq!(noticed(&deployment).await.as_deref(), Some("v4"));
}

#[tokio::test]
async fn saved_files_that_fail_their_rehearsal_answer_nobody() {
    let supervisor = InstanceSupervisor::open().await;
    let deployment = Arc::clone(supervisor.gateway.tenants.deployment("acme").unwrap());
    let storing = Arc::clone(&deployment);
    blocking(move || storing.store_active()).await.unwrap().unwrap();
    std::fs::write(supervisor.folder("acme").join("new.wasm"), component("two")).unwrap();
    std::fs::write(supervisor.folder("acme").join("tenant.toml"), "component = \"new.wasm\"\n")
        .unwrap();

    let flaw = Flaw { at: "in `load`", fault: Fault::Exit { code: 3 } };
    let rehearsed = Arc::clone(&deployment);
    let refused = blocking(move || rehearsed.notice_folder(|_| Err(flaw))).await.unwrap();

    assert!(refused.unwrap_err().to_string().contains("rehearsal, in `load`"));
    assert_eq!(deployment.active().unwrap().name, "v1");
    assert_eq!(deployment.status().releases.entries().len(), 1);
}

#[tokio::test]
async fn a_broken_release_state_is_named_with_its_line_and_taken_up_once_repaired() {
    let supervisor = InstanceSupervisor::open().await;
    supervisor.deploy("acme", "then=activate", component("two")).await.done();
    let answers = supervisor.answers("acme");
    let file = supervisor.folder("acme").join("releases.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("active = \"v2\"", "active = \"v9\"")).unwrap();

    let refused = supervisor.get("/v1/tenants/acme/versions").await;
    assert_eq!(refused.problem(), (409, "broken-release-state"));
    assert!(refused.body.to_string().contains("releases.toml, line "), "{}", refused.body);
    let refused = supervisor.post("/v1/tenants/acme/rollback", &json!({})).await;
    assert_eq!(refused.problem(), (409, "broken-release-state"));
    assert_eq!(supervisor.answers("acme"), answers, "the last good state answers on");

    std::fs::write(&file, good.replace("active = \"v2\"", "active = \"v1\"")).unwrap();
    let taken_up = supervisor.get("/v1/tenants/acme/versions").await.done();
    assert_eq!(taken_up["active"], "v1");
    assert_ne!(supervisor.answers("acme"), answers);
}

#[tokio::test]
async fn where_the_active_version_is_lost_the_one_before_it_answers_and_all_tell_so() {
    let supervisor = InstanceSupervisor::open().await;
    let before = supervisor.answers("acme");
    supervisor.deploy("acme", "then=activate", component("two")).await.done();
    let after = supervisor.answers("acme");
    let file = supervisor.folder("acme").join("versions/v2/component.wasm");
    std::fs::write(&file, &component("two")[..1000]).unwrap();

    let again = InstanceSupervisor::on(supervisor.tenants.path()).await;
    assert_eq!(again.answers("acme"), before);
    let versions = again.get("/v1/tenants/acme/versions").await.done();
    assert_eq!(versions["active"], "v1");
    let trouble = versions["trouble"].as_str().unwrap();
    assert!(
        trouble.contains("v2 can not answer") && trouble.contains("component.wasm"),
        "{trouble}"
    );
    let parts: Vec<_> =
        versions["versions"].as_array().unwrap().iter().map(|v| &v["part"]).collect();
    assert_eq!(parts, ["stand-in", "failed"]);
    let tenants = again.get("/v1/tenants").await.done();
    assert_eq!(tenants["tenants"][0]["trouble"], trouble);
    // What has nothing to do with it can be done, and the file's return is taken up.
    again.deploy("acme", "", component("three")).await.done();
    std::fs::write(again.folder("acme").join("versions/v2/component.wasm"), component("two"))
        .unwrap();
    let versions = again.get("/v1/tenants/acme/versions").await.done();
    assert_eq!((&versions["active"], &versions["trouble"]), (&json!("v2"), &Value::Null));
    assert_eq!(again.answers("acme"), after);
}

#[tokio::test]
async fn a_tenant_none_of_whose_versions_can_run_is_out_of_service() {
    let supervisor = InstanceSupervisor::open().await;
    supervisor.deploy("acme", "then=activate", component("two")).await.done();
    for version in ["v1", "v2"] {
        let file = supervisor.folder("acme").join("versions").join(version).join("component.wasm");
        std::fs::write(file, b"\0asm").unwrap();
    }
    let again = InstanceSupervisor::on(supervisor.tenants.path()).await;
    let deployment = again.gateway.tenants.deployment("acme").unwrap();
    assert!(deployment.version_for("CA1").is_none() && deployment.admit("CA1").is_err());
    let tenants = again.get("/v1/tenants").await.done();
    assert_eq!(tenants["tenants"][0]["active"], Value::Null);
    let deployed = again.deploy("acme", "then=activate", component("three")).await.done();
    assert_eq!(deployed["part"], "active");
    assert!(deployment.admit("CA1").is_ok());
}

#[tokio::test]
async fn a_lost_release_state_leaves_the_version_in_place_that_answered_last() {
    let supervisor = InstanceSupervisor::open().await;
    supervisor.deploy("acme", "then=activate", component("two")).await.done();
    let answers = supervisor.answers("acme");
    for broken in [None, Some(&b""[..]), Some(b"\xff\0\x01"), Some(b"format = 1\npolicy = ")] {
        let file = supervisor.folder("acme").join("releases.toml");
        match broken {
            None => std::fs::remove_file(&file).unwrap(),
            Some(bytes) => std::fs::write(&file, bytes).unwrap(),
        }
        let again = InstanceSupervisor::on(supervisor.tenants.path()).await;
        assert_eq!(again.answers("acme"), answers, "{broken:?}");
        let tenants = again.get("/v1/tenants").await.done();
        assert!(
            tenants["tenants"][0]["trouble"].to_string().contains("releases.toml"),
            "{tenants}"
        );
        let refused = again.get("/v1/tenants/acme/versions").await;
        assert_eq!(refused.problem(), (409, "broken-release-state"));
        assert!(refused.body.to_string().contains("v2 answers meanwhile"), "{}", refused.body);
    }
}

#[tokio::test]
async fn settings_that_are_not_in_force_are_told_with_what_to_do() {
    let supervisor = InstanceSupervisor::open().await;
    let deployment = |gateway: &Gateway| Arc::clone(gateway.tenants.deployment("acme").unwrap());
    supervisor.deploy("acme", "then=activate", component("two")).await.done();
    assert_eq!(deployment(&supervisor.gateway).settings_not_in_force(), None);
    let manifest = supervisor.folder("acme").join("tenant.toml");
    std::fs::write(&manifest, "[settings]\nvoice = \"cedar\"\n").unwrap();
    let again = InstanceSupervisor::on(supervisor.tenants.path()).await;
    let told = deployment(&again.gateway).settings_not_in_force().unwrap();
    assert!(told.contains("v2 answers") && told.contains("deploy it again"), "{told}");
}

#[tokio::test]
async fn a_new_tenants_first_version_gives_way_to_nobody() {
    let supervisor = InstanceSupervisor::open().await;
    // Nothing in it says that anybody wants the built-in assistant.
    let manifest = supervisor.folder("acme").join("tenant.toml");
    std::fs::write(&manifest, "numbers = [\"+15550123\"]\n").unwrap();
    let supervisor = InstanceSupervisor::on(supervisor.tenants.path()).await;
    let first = supervisor.deploy("acme", "then=activate", component("one")).await.done();
    assert_eq!(first["version"], "v1");
    let back = supervisor.post("/v1/tenants/acme/rollback", &json!({})).await.done();
    assert_eq!((&back["active"], &back["before"]), (&Value::Null, &json!("v1")));
    let trouble = back["trouble"].as_str().unwrap();
    assert!(trouble.contains("taken back"), "{trouble}");
    let again = InstanceSupervisor::on(supervisor.tenants.path()).await;
    assert!(again.gateway.tenants.for_number("+15550123").unwrap().active().is_none());
    let forced = json!({ "version": "v1", "force": true });
    let forced = again.post("/v1/tenants/acme/activate", &forced).await.done();
    assert_eq!((&forced["active"], &forced["trouble"]), (&json!("v1"), &Value::Null));
}

#[tokio::test]
async fn a_tampered_component_never_becomes_active() {
    let supervisor = InstanceSupervisor::open().await;
    supervisor.deploy("acme", "", component("two")).await.done();
    let file = supervisor.folder("acme").join("versions/v2/component.wasm");
    std::fs::write(&file, component("evil")).unwrap();
    // Another process's view: the present one has the original in memory.
    let again = InstanceSupervisor::on(supervisor.tenants.path()).await;
    let refused = again.post("/v1/tenants/acme/activate", &json!({ "version": "v2" })).await;
    assert_eq!(refused.problem(), (409, "tampered"));
    assert_eq!(again.get("/v1/tenants/acme/versions").await.done()["active"], "v1");
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_and_no_token_is() {
    let supervisor = InstanceSupervisor::open().await;
    supervisor.deploy("acme", "then=activate&note=why+not", component("two")).await.done();
    supervisor.post("/v1/tenants/acme/activate", &json!({ "version": "v9" })).await;
    supervisor.get("/v1/tenants").await.done();
    let lines: Vec<Value> =
        supervisor.audit().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let asked: Vec<_> = lines.iter().filter_map(|line| line["asked"].as_str()).collect();
    assert_eq!(asked, ["deploy", "activate"]);
    assert_eq!(lines[0]["with"]["note"], "why not");
    assert_eq!(lines[1]["outcome"]["done"]["version"], "v2");
    assert_eq!(lines[3]["outcome"]["refused"], "unknown-version");
    assert_eq!(lines[2]["change"], lines[3]["change"]);
    assert!(!supervisor.audit().contains(ADMIN));
}

#[tokio::test]
async fn what_can_not_be_written_down_is_not_done() {
    let supervisor = InstanceSupervisor::open().await;
    supervisor.gateway.audit.as_ref().unwrap().fail_to_write();
    let before = supervisor.answers("acme");

    let refused = supervisor.deploy("acme", "then=activate", component("two")).await;

    assert_eq!(refused.problem(), (500, "gateway-failed"));
    assert!(refused.body.to_string().contains("audit log"), "{}", refused.body);
    assert_eq!(supervisor.answers("acme"), before);
    assert!(!supervisor.folder("acme").join("releases.toml").exists());
}

#[tokio::test]
async fn draining_refuses_new_calls_and_says_how_many_run() {
    let supervisor = InstanceSupervisor::open().await;
    let answer = supervisor.post("/v1/drain", &json!({ "deadline_s": 0 })).await.done();
    assert_eq!(answer, json!({ "draining": true, "calls": 0, "deadline_s": 0 }));
    while !supervisor.gateway.admissions.is_draining() {
        tokio::task::yield_now().await;
    }
}

const ADMIN: &str = "the-token-of-the-admin";
const ACME: &str = "the-token-of-acme-alone";

/// A gateway with tenants `acme` and `other`, and its admin API on a port of its own.
struct InstanceSupervisor {
    gateway: Arc<Gateway>,
    url: String,
    serving: JoinHandle<()>,
    tenants: TempDir,
}

impl Drop for InstanceSupervisor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl InstanceSupervisor {
    async fn open() -> Self {
        Self::serve(Self::tenants()).await
    }

    /// Two tenants with settings and no components of their own.
    fn tenants() -> TempDir {
        let tenants = tempfile::tempdir().unwrap();
        for tenant in ["acme", "other"] {
            let folder = tenants.path().join(tenant);
            std::fs::create_dir(&folder).unwrap();
            let settings = "[settings]\nvoice = \"marin\"\ninstructions = \"Be brief.\"\n";
            std::fs::write(folder.join("tenant.toml"), settings).unwrap();
        }
        tenants
    }

    /// Another process's gateway on a copy of these tenants.
    async fn on(original: &Path) -> Self {
        let tenants = tempfile::tempdir().unwrap();
        copy(original, tenants.path());
        Self::serve(tenants).await
    }

    async fn serve(tenants: TempDir) -> Self {
        let tokens =
            format!("[admin]\ntoken = \"{ADMIN}\"\n[admin.tenant_tokens]\nacme = \"{ACME}\"\n");
        let sources = Sources::default()
            .file("test.toml", &tokens)
            .env("CORDBOARD_TENANTS_DIR", &tenants.path().display().to_string())
            .env("CORDBOARD_CHECK_SIGNATURES", "false")
            .env("CORDBOARD_MAX_CALLS", "4")
            .env("OPENAI_API_KEY", "sk-test");
        let config = Config::load(&sources).unwrap();
        let gateway = Gateway::open(config).await.unwrap();
        let admin = Admin::open(Arc::clone(&gateway)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving =
            tokio::spawn(async move { axum::serve(listener, admin.router()).await.unwrap() });
        Self { gateway, url, serving, tenants }
    }

    async fn get(&self, path: &str) -> Told {
        self.ask(Method::GET, path, Some(ADMIN), Vec::new()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Told {
        self.ask(Method::POST, path, Some(ADMIN), body.to_string().into_bytes()).await
    }

    async fn deploy(&self, tenant: &str, query: &str, component: Vec<u8>) -> Told {
        let path = format!("/v1/tenants/{tenant}/deploy?{query}");
        self.ask(Method::POST, &path, Some(ADMIN), component).await
    }

    /// The beginning of an upload whose end never comes, for as long as it is kept.
    async fn half_an_upload(&self, tenant: &str, token: &str) -> TcpStream {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /v1/tenants/{tenant}/deploy HTTP/1.1\r\nHost: {address}\r\n\
             Authorization: Bearer {token}\r\nContent-Length: 1000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&[0; 1000]).await.unwrap();
        stream
    }

    async fn ask(&self, method: Method, path: &str, token: Option<&str>, body: Vec<u8>) -> Told {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured((*crate::net::tls::client_config()).clone())
            .build()
            .unwrap();
        let mut request = client.request(method, format!("{}{path}", self.url)).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        // All but the figures is JSON.
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Told { status, body }
    }

    /// The component that a new call of a tenant gets.
    fn answers(&self, tenant: &str) -> String {
        self.gateway
            .tenants
            .deployment(tenant)
            .unwrap()
            .version_for("CA1")
            .unwrap()
            .component
            .digest()
            .to_string()
    }

    fn folder(&self, tenant: &str) -> std::path::PathBuf {
        self.tenants.path().join(tenant)
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.tenants.path().join("audit.jsonl")).unwrap()
    }
}

/// An answer over HTTP.
struct Told {
    status: u16,
    body: Value,
}

impl Told {
    fn done(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    fn problem(&self) -> (u16, &str) {
        (self.status, self.body["error"]["kind"].as_str().unwrap_or_default())
    }
}

/// The default tenant's component with a custom section: other bytes, the same behaviour.
fn component(mark: &str) -> Vec<u8> {
    let name = b"mark";
    let mut bytes = DEFAULT_TENANT.to_vec();
    bytes.push(0);
    bytes.push((1 + name.len() + mark.len()) as u8);
    bytes.push(name.len() as u8);
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(mark.as_bytes());
    bytes
}

fn document() -> Value {
    serde_json::to_value(described().into_openapi()).unwrap()
}

/// Method, and path with names filled in.
fn documented() -> Vec<(Method, String)> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| {
            let filled = path.replace("{tenant}", "acme").replace("{call}", "CA1");
            (method.to_uppercase().parse().unwrap(), filled)
        })
    });
    operations.collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
