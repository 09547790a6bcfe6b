//! A small load through the bridge: every traced frame comes back once and unchanged.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world has failed")]

use std::time::Duration;

use cordboard_sim::bridge::Bridge;
use cordboard_sim::carrier::CarrierConfig;
use cordboard_sim::carrier::load::{self, LoadPlan, Signal, Target};
use cordboard_sim::model::{Behaviour, ModelConfig, ModelServer};

#[tokio::test]
async fn every_frame_of_every_call_comes_back_unchanged() {
    let report = load::run(plan(Signal::Trace, 5).await).await;
    assert_eq!(report.completed, 5, "{report}");
    assert_eq!(report.traced, 5 * 100);
    assert_eq!((report.lost, report.repeated, report.changed), (0, 0, 0), "{report}");
    assert!(report.errors.is_empty(), "{report}");
    assert!(report.latency_ms.is_some());
}

#[tokio::test]
async fn clicks_are_timed_where_samples_may_change() {
    let report = load::run(plan(Signal::Click, 2).await).await;
    assert_eq!(report.completed, 2, "{report}");
    assert!(report.latency_ms.is_some(), "{report}");
}

async fn plan(signal: Signal, calls: u32) -> LoadPlan {
    let config = ModelConfig { behaviour: Behaviour::Echo, record: false, ..Default::default() };
    let model = ModelServer::start(config).await.unwrap();
    let url = format!("{}?model=gpt-realtime", model.url());
    let bridge = Bridge::start(([127, 0, 0, 1], 0).into(), url, "k".into()).await.unwrap();
    let target = Target::Stream(bridge.url());
    // Both live as long as the test's process.
    tokio::spawn(model.run());
    tokio::spawn(bridge.run());
    LoadPlan {
        carrier: CarrierConfig { allow_ws: true, ..CarrierConfig::default() },
        target,
        from: "+15550100001".into(),
        to: "+15550100002".into(),
        calls,
        length: Duration::from_secs(2),
        signal,
        media_after: Duration::from_millis(200),
        observe_pid: None,
    }
}
