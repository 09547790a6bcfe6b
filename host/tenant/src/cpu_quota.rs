//! How much CPU time all the instances of one tenant may use together.
//!
//! **One rule: a tenant that asks for more than its share waits, and nobody else does.** The budget of one event
//! ([`Limits::event_cpu`](crate::Limits::event_cpu)) bounds a runaway; this bounds a tenant whose every event is merely
//! expensive. It is a token bucket in CPU time: filled at a rate that grows with the tenant's calls, emptied at
//! the ticks of [`Meter`](crate::meter::Meter). A tick that finds a guest running takes a millisecond, so that events shorter
//! than a tick are charged by sampling: right on average, and without a clock in their way. An empty bucket makes the
//! guest wait at its tick until it is filled again.
//!
//! A second in which an instance had to wait is a *throttled second*. The host counts them against the version, and with
//! [`THROTTLED_SECONDS_MAX`] of them in [`THROTTLED_WITHIN`] the tenant gets no new calls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::memory_pool::MemoryPool;

/// What a tenant may use however few calls it has, per second: half a core. A single call starts an instance,
/// compiles a regular expression, parses a long answer; none of that counts against it.
const FLOOR: Duration = Duration::from_millis(500);

/// How many seconds' worth the bucket holds.
const BURST_S: u32 = 1;

/// The longest a guest waits at one tick. What it still owes then, it owes at the next.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Throttled seconds within [`THROTTLED_WITHIN`] after which a tenant gets no new calls.
const THROTTLED_SECONDS_MAX: usize = 3;

/// How long a throttled second counts.
const THROTTLED_WITHIN: Duration = Duration::from_secs(30);

/// The CPU account of one tenant, shared by its instances whatever their version; beside it, the memory they
/// hold together.
#[derive(Debug)]
pub struct CpuQuota {
    floor: Duration,
    /// Calls alive; an instance that belongs to none (a rehearsal) has the floor.
    calls: AtomicU32,
    /// A lock, since guests of one tenant tick on several threads; held for an addition, a thousand times a second
    /// at most.
    bucket: Mutex<Bucket>,
    memory: MemoryPool,
}

#[derive(Debug)]
struct Bucket {
    /// CPU time left, in nanoseconds; negative is owed.
    left_ns: i64,
    filled_at: Instant,
    throttled_seconds: VecDeque<Instant>,
    /// Throttled seconds nobody was told of yet.
    untold: usize,
}

impl Default for CpuQuota {
    fn default() -> Self {
        Self::new(FLOOR)
    }
}

impl CpuQuota {
    /// An account of a tenant without calls, which may use so much in a second.
    pub fn new(floor: Duration) -> Self {
        let bucket = Bucket {
            left_ns: nanos(floor * BURST_S),
            filled_at: Instant::now(),
            throttled_seconds: VecDeque::new(),
            untold: 0,
        };
        Self {
            floor,
            calls: AtomicU32::new(0),
            bucket: Mutex::new(bucket),
            memory: MemoryPool::default(),
        }
    }

    /// The memory of the tenant's instances; without a bound unless it was given one.
    pub fn memory(&self) -> &MemoryPool {
        &self.memory
    }

    /// Calls alive.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Acquire)
    }

    /// Counts a call in, unless there are `max` already.
    pub(crate) fn enter(&self, max: u32) -> bool {
        let counted = self.calls.fetch_update(Ordering::AcqRel, Ordering::Acquire, |calls| {
            (calls < max).then_some(calls + 1)
        });
        counted.is_ok()
    }

    /// Counts a call out.
    pub(crate) fn leave(&self) {
        self.calls.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes what a guest has used, and says how long it has to wait before it goes on. `per_call` is what the tenant
    /// may use in a second of each call.
    pub(crate) fn charge(
        &self,
        now: Instant,
        spent: Duration,
        per_call: Duration,
    ) -> Option<Duration> {
        let rate = self.floor.max(per_call.saturating_mul(self.calls()));
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(bucket.filled_at);
        let filled = nanos(rate.mul_f64(since.as_secs_f64().min(f64::from(BURST_S))));
        let full = nanos(rate.saturating_mul(BURST_S));
        bucket.filled_at = bucket.filled_at.max(now);
        bucket.left_ns = bucket.left_ns.saturating_add(filled).min(full) - nanos(spent);
        let owed = u64::try_from(-bucket.left_ns).ok().filter(|owed| *owed > 0)?;
        bucket.note_throttled(now);
        let wait = Duration::from_nanos(owed).div_f64(rate.as_secs_f64());
        Some(wait.min(WAIT_MAX))
    }

    /// ThrottledSeconds since this was last asked.
    pub fn take_throttled_seconds(&self) -> usize {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut bucket.untold)
    }

    /// Whether the tenant has used too much for too long to be given another call.
    pub fn is_throttled_out(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.forget_throttled(now);
        bucket.throttled_seconds.len() >= THROTTLED_SECONDS_MAX
    }
}

impl Bucket {
    /// Counts each second in which a guest had to wait once.
    fn note_throttled(&mut self, now: Instant) {
        if self.throttled_seconds.back().is_some_and(|last| now < *last + Duration::from_secs(1)) {
            return;
        }
        self.forget_throttled(now);
        self.throttled_seconds.push_back(now);
        self.untold += 1;
    }

    fn forget_throttled(&mut self, now: Instant) {
        while self.throttled_seconds.pop_front_if(|at| *at + THROTTLED_WITHIN < now).is_some() {}
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(1);
    const PER_CALL: Duration = Duration::from_millis(50);

    /// Runs a tenant's guests for so many seconds, each `busy` of every 100 ticks, and says how much it got to use
    /// of the last second.
    fn run(cpu_quota: &CpuQuota, calls: u32, busy: u32, seconds: u32) -> Duration {
        for _ in 0..calls {
            assert!(cpu_quota.enter(u32::MAX));
        }
        let began = Instant::now();
        let (mut used, mut waiting) = (Duration::ZERO, began);
        for tick in 0..seconds * 1_000 {
            let now = began + TICK * tick;
            if tick % 1_000 == 0 {
                used = Duration::ZERO;
            }
            if tick % 100 < busy && now >= waiting {
                used += TICK;
                waiting = now + cpu_quota.charge(now, TICK, PER_CALL).unwrap_or_default();
            }
        }
        used
    }

    #[test]
    fn a_tenant_within_its_share_never_waits() {
        let cpu_quota = CpuQuota::default();
        assert_eq!(run(&cpu_quota, 10, 45, 20), Duration::from_millis(450));
        assert_eq!(cpu_quota.take_throttled_seconds(), 0);
    }

    #[test]
    fn a_tenant_that_wants_all_gets_its_share_and_is_throttled_every_second() {
        let cpu_quota = CpuQuota::default();
        let used = run(&cpu_quota, 4, 100, 10);
        assert!(used.abs_diff(FLOOR) < Duration::from_millis(10), "{used:?}");
        let throttled_seconds = cpu_quota.take_throttled_seconds();
        assert!((8..=10).contains(&throttled_seconds), "{throttled_seconds}");
        assert_eq!(cpu_quota.take_throttled_seconds(), 0, "told once");
    }

    #[test]
    fn more_calls_may_use_more() {
        let cpu_quota = CpuQuota::default();
        let used = run(&cpu_quota, 16, 100, 10);
        assert!(used.abs_diff(PER_CALL * 16) < Duration::from_millis(10), "{used:?}");
    }

    #[test]
    fn a_burst_of_a_second_is_let_pass() {
        let (cpu_quota, now) = (CpuQuota::default(), Instant::now());
        assert_eq!(cpu_quota.charge(now, FLOOR, PER_CALL), None);
        assert!(cpu_quota.charge(now, TICK, PER_CALL).is_some());
    }

    #[test]
    fn nobody_waits_longer_than_a_tenth_of_a_second_at_once() {
        let (cpu_quota, now) = (CpuQuota::default(), Instant::now());
        let wait = cpu_quota.charge(now, Duration::from_secs(60), PER_CALL);
        assert_eq!(wait, Some(WAIT_MAX));
    }

    #[test]
    fn three_throttled_seconds_keep_new_calls_out_until_they_are_old() {
        let (cpu_quota, began) = (CpuQuota::default(), Instant::now());
        let seconds = Duration::from_secs;
        for second in 0..3 {
            assert!(!cpu_quota.is_throttled_out(began + seconds(second)));
            cpu_quota.charge(began + seconds(second), seconds(2), PER_CALL);
        }
        assert!(cpu_quota.is_throttled_out(began + seconds(3)));
        assert!(!cpu_quota.is_throttled_out(began + THROTTLED_WITHIN + seconds(1)));
    }
}
