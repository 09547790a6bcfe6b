//! Whether a version does worse than the one it replaced.
//!
//! **One rule: a version is rolled back for its own faults, seen in more than one event, and only against
//! what the version before it did on the same machine.** A single trap is what recovery is for. A
//! machine that is too slow makes every version look bad, so nothing is judged while the thread that
//! keeps the guests' time is late itself.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use cordboard_tenant::Version;

/// How far back faults count.
const WINDOW: Duration = Duration::from_secs(60);

/// Events and faults are tallied over this long, and the tally before counts as well: a version that has answered for
/// a week is judged by today.
const TALLIED: Duration = Duration::from_secs(600);

/// Faults within [`WINDOW`] that make a verdict possible. Fewer are an accident, and cost no caller anything.
const FAULTS_MIN: usize = 3;

/// How many times the control's rate of faults a version must have.
const WORSE_BY: f64 = 4.0;

/// Faults of the control are taken to be at least one in so many events, so that one accident long ago does
/// not excuse a version that fails all the time, and none at all does not condemn one that fails once a day.
const CONTROL_EVENTS_PER_FAULT: f64 = 100_000.0;

/// How long after a late tick no overrun is held against anybody. Ticks are looked at every few seconds.
const LAG: Duration = Duration::from_secs(10);

/// Versions remembered; the longest unseen goes first.
const VERSIONS_MAX: usize = 1_024;

/// A tenant's version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Which {
    /// The tenant's id.
    pub(crate) tenant: String,
    /// The version's name.
    pub(crate) version: String,
}

impl Which {
    /// The key of a version.
    pub(crate) fn of(version: &Version) -> Self {
        Self { tenant: version.tenant.to_string(), version: version.name.clone() }
    }
}

/// What is known of every version that answered lately.
#[derive(Debug, Default)]
pub(crate) struct Health {
    records: HashMap<Which, Record>,
    /// Ticks that had been late when this was last asked, and when there was last a new one.
    late_ticks: u64,
    lagged: Option<Instant>,
}

#[derive(Debug, Default)]
struct Record {
    /// Of the present stretch of [`TALLIED`], and of the one before it.
    tally: Tally,
    before: Tally,
    tallied_from: Option<Instant>,
    recent: VecDeque<Instant>,
    /// A verdict was given; one is enough until the version is activated again.
    flagged: bool,
    seen: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    events: u64,
    faults: u64,
}

impl Health {
    /// Events a version answered, counted by a call and handed in now and then.
    pub(crate) fn answered(&mut self, now: Instant, which: &Which, events: u64) {
        self.record(now, which).tally.events += events;
    }

    /// Whether the thread that keeps the guests' time was late in the last ten seconds;
    /// `late_ticks` is its own count.
    pub(crate) fn is_lagging(&mut self, now: Instant, late_ticks: u64) -> bool {
        if late_ticks > self.late_ticks {
            self.late_ticks = late_ticks;
            self.lagged = Some(now);
        }
        self.lagged.is_some_and(|at| now < at + LAG)
    }

    /// A fault of the version's own. True, once, when it does so much worse than the `control`, the version
    /// before it, that it should be rolled back. Never without one: there is nothing to go back to.
    pub(crate) fn is_failing(
        &mut self,
        now: Instant,
        which: &Which,
        control: Option<&Which>,
    ) -> bool {
        let control_rate =
            control.map(|control| self.records.get(control).map_or(0.0, Record::rate));
        let record = self.record(now, which);
        record.tally.faults += 1;
        record.recent.push_back(now);
        while record.recent.pop_front_if(|at| *at + WINDOW < now).is_some() {}
        let Some(control_rate) = control_rate else { return false };
        let bearable = control_rate.max(1.0 / CONTROL_EVENTS_PER_FAULT) * WORSE_BY;
        if record.flagged || record.recent.len() < FAULTS_MIN || record.rate() < bearable {
            return false;
        }
        record.flagged = true;
        true
    }

    /// A version gets another chance: it was activated by somebody who knows.
    pub(crate) fn reset_health(&mut self, which: &Which) {
        self.records.remove(which);
    }

    fn record(&mut self, now: Instant, which: &Which) -> &mut Record {
        if self.records.len() >= VERSIONS_MAX && !self.records.contains_key(which) {
            let stalest = self.records.iter().min_by_key(|(_, record)| record.seen);
            if let Some(stalest) = stalest.map(|(which, _)| which.clone()) {
                self.records.remove(&stalest);
            }
        }
        let record = self.records.entry(which.clone()).or_default();
        record.seen = Some(now);
        record.turn_over(now);
        record
    }
}

impl Record {
    /// Begins a new tally when the present one is full.
    fn turn_over(&mut self, now: Instant) {
        let from = *self.tallied_from.get_or_insert(now);
        if now < from + TALLIED {
            return;
        }
        // What was not touched for two stretches is as old as nothing.
        let is_next = now < from + 2 * TALLIED;
        self.before = if is_next { self.tally } else { Tally::default() };
        self.tally = Tally::default();
        self.tallied_from = Some(now);
    }

    /// Faults per event lately; a version nobody counted events of yet has had at least as many as faults.
    fn rate(&self) -> f64 {
        let faults = self.tally.faults + self.before.faults;
        let events = self.tally.events + self.before.events;
        faults as f64 / events.max(faults).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(version: &str) -> Which {
        Which { tenant: "acme".into(), version: version.into() }
    }

    #[test]
    fn a_single_trap_is_no_verdict() {
        let (mut health, now) = (Health::default(), Instant::now());
        assert!(!health.is_failing(now, &which("v2"), Some(&which("v1"))));
    }

    #[test]
    fn a_version_that_fails_again_and_again_is_flagged_once() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.answered(now, &which("v1"), 1_000_000);
        health.answered(now, &which("v2"), 5_000);
        let verdicts: Vec<bool> =
            (0..6).map(|_| health.is_failing(now, &which("v2"), Some(&which("v1")))).collect();
        assert_eq!(verdicts, [false, false, true, false, false, false]);
    }

    #[test]
    fn a_version_with_nothing_before_it_is_never_flagged() {
        let (mut health, now) = (Health::default(), Instant::now());
        assert!((0..100).all(|_| !health.is_failing(now, &which("v1"), None)));
    }

    #[test]
    fn what_was_answered_long_ago_excuses_nothing_today() {
        let (mut health, mut now) = (Health::default(), Instant::now());
        health.answered(now, &which("v2"), 1_000_000_000);
        now += 2 * TALLIED + Duration::from_secs(1);
        health.answered(now, &which("v2"), 1_000);
        let flagged = (0..3).any(|_| health.is_failing(now, &which("v2"), Some(&which("v1"))));
        assert!(flagged);
    }

    #[test]
    fn a_version_no_worse_than_the_one_before_stays() {
        let (mut health, now) = (Health::default(), Instant::now());
        for version in ["v1", "v2"] {
            health.answered(now, &which(version), 100_000);
        }
        for _ in 0..100 {
            health.is_failing(now, &which("v1"), None);
        }
        let flagged = (0..100).any(|_| health.is_failing(now, &which("v2"), Some(&which("v1"))));
        assert!(!flagged);
    }

    #[test]
    fn faults_far_apart_are_no_verdict() {
        let (mut health, mut now) = (Health::default(), Instant::now());
        health.answered(now, &which("v2"), 100);
        for _ in 0..50 {
            now += WINDOW / 2 + Duration::from_secs(1);
            assert!(!health.is_failing(now, &which("v2"), Some(&which("v1"))));
        }
    }

    #[test]
    fn one_fault_a_day_is_bearable_even_after_a_flawless_version() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.answered(now, &which("v1"), 10_000_000);
        health.answered(now, &which("v2"), 10_000_000);
        for _ in 0..10 {
            assert!(!health.is_failing(now, &which("v2"), Some(&which("v1"))));
        }
    }

    #[test]
    fn a_machine_that_was_late_is_forgiven_for_a_while() {
        let (mut health, now) = (Health::default(), Instant::now());
        assert!(!health.is_lagging(now, 0));
        assert!(health.is_lagging(now, 1));
        assert!(health.is_lagging(now + LAG / 2, 1));
        assert!(!health.is_lagging(now + LAG, 1));
    }

    #[test]
    fn a_version_whose_health_was_reset_is_judged_afresh() {
        let (mut health, now) = (Health::default(), Instant::now());
        let condemn = |health: &mut Health| {
            (0..3).any(|_| health.is_failing(now, &which("v2"), Some(&which("v1"))))
        };
        assert!(condemn(&mut health));
        health.reset_health(&which("v2"));
        assert!(condemn(&mut health));
    }
}
