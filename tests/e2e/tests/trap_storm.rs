//! A version that traps once a second in each of fifty calls, and what the people on the telephone notice of it.

use std::time::Duration;

use cordboard_e2e::{Operator, Plan, World};
use cordboard_misbehaving_guests::bytes;
use cordboard_sim::carrier::CarrierConfig;
use cordboard_sim::carrier::load::{self, LoadPlan, LoadReport, Signal, Target};
use serde_json::json;

const CALLS: u32 = 50;
const NEIGHBOURS: u32 = 10;

/// Long enough for a busy machine to get from the first trap to the last call that moved back.
const LENGTH: Duration = Duration::from_secs(15);

/// The callers' frames are numbered and the tenants play what they hear, so what a caller misses is counted in
/// frames of 20 ms and not in moments of this machine.
const DEAD_AIR_FRAMES_MAX: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_traps_every_second_is_rolled_back_by_itself_and_no_call_ends() {
    let world = plan().open().await;
    let operator = Operator::of(&world).await;
    let staged = operator.post_bytes("/v1/tenants/storm/deploy", bytes("traps_every_second")).await;
    assert_eq!(staged["version"], "v2", "{staged}");
    let storm = tokio::spawn(load::run(callers(&world, STORM_NUMBER, CALLS)));
    let neighbours = tokio::spawn(load::run(callers(&world, CALM_NUMBER, NEIGHBOURS)));
    let all = (CALLS + NEIGHBOURS) as usize;
    cordboard_e2e::until("the calls are up", || world.gateway().calls.len() == all).await;

    let body = json!({ "version": "v2", "running": "migrate" });
    operator.post("/v1/tenants/storm/activate", &body).await;

    // Nobody does anything about it.
    in_time("rolled back", async || operator.active("storm").await == "v1").await;
    let versions = operator.get("/v1/tenants/storm/versions").await;
    let why = versions["versions"][1]["rolled_back"].as_str().expect("it was rolled back");
    assert!(why.contains("by the gateway") && why.contains("unreachable"), "{why}");
    let on = async |version: &str| {
        let calls = operator.calls().await;
        calls.iter().filter(|it| it["tenant"] == "storm" && it["version"] == version).count()
    };
    in_time("nobody on the version that traps", async || on("v2").await == 0).await;
    assert_eq!(on("v1").await, CALLS as usize, "every call has outlived it");

    let storm = storm.await.expect("the callers do not panic");
    let neighbours = neighbours.await.expect("the callers do not panic");
    nobody_hung_up(&storm);
    nobody_hung_up(&neighbours);
    assert!(
        storm.lost > 0,
        "the frame that traps is left out, so the storm has reached the callers"
    );
    assert!(storm.lost_in_a_row_max <= DEAD_AIR_FRAMES_MAX, "{storm}");
    assert_eq!((storm.repeated, storm.changed), (0, 0), "{storm}");
    assert_eq!(
        (neighbours.lost, neighbours.repeated, neighbours.changed),
        (0, 0, 0),
        "{neighbours}"
    );
    // How long a gap lasts on this machine when nothing traps is what the neighbours say.
    let dead_air_ms = (DEAD_AIR_FRAMES_MAX * 20) as f64;
    assert!(storm.gap_ms_max <= dead_air_ms + neighbours.gap_ms_max, "{storm}\n{neighbours}");
    let recovered = world.counted(r#"notes_total{tenant="storm",kind="tenant-recovered"}"#);
    assert!(recovered >= 3, "three faults make a verdict: {recovered}");
    world.close().await;
}

/// Asks the gateway again and again, while its calls go on.
async fn in_time(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < LENGTH, "not {what} while the calls lasted");
    }
}

const STORM_NUMBER: &str = "+15550100881";
const CALM_NUMBER: &str = "+15550100882";

fn plan() -> Plan {
    let tenant = |number: &str| format!("numbers = [\"{number}\"]\ncomponent = \"echoes.wasm\"\n");
    let component = |tenant: &str| (tenant.into(), "echoes.wasm".into(), bytes("echoes"));
    let plan = Plan {
        tenants: vec![("storm".into(), tenant(STORM_NUMBER)), ("calm".into(), tenant(CALM_NUMBER))],
        components: vec![component("storm"), component("calm")],
        ..Plan::default()
    };
    plan.setting("CORDBOARD_ADMIN_TOKEN", Operator::TOKEN)
}

fn callers(world: &World, to: &str, calls: u32) -> LoadPlan {
    LoadPlan {
        carrier: CarrierConfig {
            auth_token: World::AUTH_TOKEN.into(),
            public_origin: Some(World::ORIGIN.into()),
            ..CarrierConfig::default()
        },
        target: Target::Webhook(world.url("/incoming-call")),
        from: "+15550100001".into(),
        to: to.into(),
        calls,
        length: LENGTH,
        signal: Signal::Trace,
        media_after: Duration::from_millis(500),
        observe_pid: None,
    }
}

fn nobody_hung_up(report: &LoadReport) {
    assert_eq!(report.completed, report.calls, "{report}");
    assert!(report.errors.is_empty(), "{report}");
}
