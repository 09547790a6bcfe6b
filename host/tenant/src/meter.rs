//! The CPU budget of one guest call.
//!
//! **What counts is the CPU time of the thread the guest runs on.** A guest that was made to wait, by the
//! scheduler or by its neighbours, has spent nothing. The clock costs a system call, so it is read at ticks
//! only: an event that ends within its first tick (all but a few do) reads no clock at all, and goes
//! uncounted.
//!
//! At its second tick and at every later one the guest gives way to its neighbours, so it holds a thread for two
//! milliseconds at most. Not at the first: that one falls into the middle of guests that are nearly done, three in ten
//! of those that take over a call, and on a busy machine the way back costs more than they had left to do.
//! The guest may go on upon another thread, whose clock has nothing to do with the first one's; so time is
//! summed from each resumption to the next tick.
//!
//! The tenant's [`CpuQuota`] is charged at the same ticks; where it is used up, the guest gives way for longer.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::UpdateDeadline;

use crate::cpu_quota::CpuQuota;
use crate::ticker::TICK;

/// One instance's meter, shared between the call's task and the guest's own stack; never by two threads at
/// once, so no access needs an order.
#[derive(Debug)]
pub(crate) struct Meter {
    cpu_quota: Arc<CpuQuota>,
    /// What the tenant may use per second of each call.
    per_call: Duration,
    budget_ns: AtomicU64,
    spent_ns: AtomicU64,
    /// The thread's clock when the guest last went on; `UNSEEN` until the first tick of a call.
    since_ns: AtomicU64,
    /// The guest has stopped at a tick and not because it waits for something.
    yielded: AtomicBool,
}

const UNSEEN: u64 = u64::MAX;

/// A guest spent its budget.
#[derive(Debug, thiserror::Error)]
#[error("the guest ran for {spent:?} of CPU time; {budget:?} are allowed")]
pub(crate) struct OverBudget {
    pub(crate) spent: Duration,
    pub(crate) budget: Duration,
}

/// A guest waited for something outside of it.
#[derive(Debug, thiserror::Error)]
#[error("the guest waited; a tenant never waits, it sets a timer")]
pub(crate) struct Waited;

impl Meter {
    pub(crate) fn new(cpu_quota: Arc<CpuQuota>, per_call: Duration) -> Self {
        Self {
            cpu_quota,
            per_call,
            budget_ns: AtomicU64::new(0),
            spent_ns: AtomicU64::new(0),
            since_ns: AtomicU64::new(UNSEEN),
            yielded: AtomicBool::new(false),
        }
    }

    /// Runs one guest call under a budget.
    ///
    /// Besides the guest's own errors, the result may be [`OverBudget`] or [`Waited`].
    pub(crate) async fn run<T>(
        &self,
        budget: Duration,
        call: impl Future<Output = wasmtime::Result<T>>,
    ) -> wasmtime::Result<T> {
        self.budget_ns.store(nanos(budget), Ordering::Relaxed);
        self.spent_ns.store(0, Ordering::Relaxed);
        self.since_ns.store(UNSEEN, Ordering::Relaxed);
        self.yielded.store(false, Ordering::Relaxed);
        let mut call = pin!(call);
        std::future::poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending if self.yielded.load(Ordering::Relaxed) => Poll::Pending,
            Poll::Pending => Poll::Ready(Err(Waited.into())),
        })
        .await
    }

    /// What to do with a guest that is still running when the ticker beats: end it, or let its neighbours run.
    pub(crate) fn tick(self: &Arc<Self>) -> wasmtime::Result<UpdateDeadline> {
        let now = thread_cpu_ns();
        let since = self.since_ns.load(Ordering::Relaxed);
        let ran = if since == UNSEEN { 0 } else { now.saturating_sub(since) };
        let spent = self.spent_ns.fetch_add(ran, Ordering::Relaxed) + ran;
        // What went before the first tick is not known; a tick's worth is right on average.
        let charged = if since == UNSEEN { TICK } else { Duration::from_nanos(ran) };
        let wait = self.cpu_quota.charge(Instant::now(), charged, self.per_call);
        let budget = self.budget_ns.load(Ordering::Relaxed);
        if spent > budget {
            let (spent, budget) = (Duration::from_nanos(spent), Duration::from_nanos(budget));
            return Err(OverBudget { spent, budget }.into());
        }
        if since == UNSEEN && wait.is_none() {
            self.since_ns.store(now, Ordering::Relaxed);
            return Ok(UpdateDeadline::Continue(1));
        }
        self.yielded.store(true, Ordering::Relaxed);
        let meter = Arc::clone(self);
        let resume = async move {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                // Tokio's own yield lets the sockets be looked at; waking ourselves at once would starve them.
                None => tokio::task::yield_now().await,
            }
            meter.yielded.store(false, Ordering::Relaxed);
            meter.since_ns.store(thread_cpu_ns(), Ordering::Relaxed);
        };
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(resume)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn thread_cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).expect("a thread's CPU time is not negative");
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).expect("nanoseconds are not negative")
}
