//! What a tenant's instances may use together: whoever wants more waits, and nobody else does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cordboard_call::contract::Event;
use cordboard_misbehaving_guests::{Stand, component, patient};
use cordboard_tenant::{Component, CpuQuota, Fault};
use rustix::time::{ClockId, clock_gettime};

/// What the tenant may use in a second, and at once: little, so that a machine that is busy with other things gives
/// it more.
const FLOOR: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(3);

#[test]
fn a_greedy_tenant_gets_its_share_and_its_neighbour_all_it_wants() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let test = async {
        let slow = component("is_slow").expect("it passes vetting");
        let least = least_cost(&slow).await;
        let cpu_quota = Arc::new(CpuQuota::new(FLOOR));
        let began = Instant::now();
        let greedy: Vec<_> = (1..=2)
            .map(|seed| tokio::spawn(work_on(slow.clone(), seed, Arc::clone(&cpu_quota))))
            .collect();
        let mut neighbour = Stand::start("echoes").await.expect("it starts");
        let mut frames = 0_u32;
        while greedy.iter().any(|call| !call.is_finished()) {
            assert!(neighbour.echoes().await);
            frames += 1;
            tokio::task::yield_now().await;
        }
        let mut rounds = 0;
        for call in greedy {
            rounds += call.await.expect("its own events are slow and no fault");
        }

        let allowed = FLOOR.mul_f64(began.elapsed().as_secs_f64()) + FLOOR;
        // The last round of each call may have overdrawn.
        let used = least * (rounds - 2);
        assert!(used <= allowed, "{rounds} rounds of at least {least:?}, {allowed:?} allowed");
        assert!(cpu_quota.take_throttled_seconds() >= 2);
        // A call brings 150 in that time. A third of them is asked for, since other programs may take the core.
        assert!(frames > 50, "the neighbour starves: {frames} frames were answered");
    };
    runtime.block_on(async { tokio::spawn(test).await.expect("the test itself does not panic") });
}

/// Answers one expensive event after the other, and says how many it could.
async fn work_on(slow: Component, seed: u8, cpu_quota: Arc<CpuQuota>) -> u32 {
    let mut call = Stand::start_within(&slow, patient(), seed, cpu_quota).await.expect("it starts");
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < LONG {
        call.handle(work()).await.expect("slow is no fault here");
        rounds += 1;
    }
    rounds
}

/// The CPU time of one expensive event, at the least: the clock of a thread runs faster while its core is shared.
async fn least_cost(slow: &Component) -> Duration {
    let mut call = Stand::start_component(slow, patient(), 9).await.expect("it starts");
    let mut least = Duration::MAX;
    for _ in 0..5 {
        let before = thread_cpu();
        call.handle(work()).await.expect("slow is no fault here");
        least = least.min(thread_cpu() - before);
    }
    least
}

/// Some tens of milliseconds.
fn work() -> Event {
    Event::Command("30000000".into())
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[tokio::test]
async fn a_tenant_over_its_sum_of_memory_loses_the_instance_that_grew_and_no_other() {
    let echoes = component("echoes").expect("it passes vetting");
    let cpu_quota = Arc::new(CpuQuota::default());
    let start = |seed| Stand::start_within(&echoes, patient(), seed, Arc::clone(&cpu_quota));
    let mut first = start(1).await.expect("it starts");
    let held = cpu_quota.memory().held();
    assert!(held > 0, "an instance has memory");
    cpu_quota.memory().bound(held + held / 2);

    let fault = start(2).await.expect_err("there is no memory for another");

    assert!(matches!(fault, Fault::MemoryOfTenant { allowed, .. } if allowed == held + held / 2));
    assert!(first.echoes().await, "the one that was there goes on");
    drop(first);
    // Another thread gives memory back.
    let given_back = async {
        while cpu_quota.memory().held() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, given_back).await.expect("all of it is given back");
    drop(start(3).await.expect("there is room again"));
}
