//! Who compiles next.
//!
//! **One rule: no tenant waits for another's second component.** A tenant compiles one component at
//! a time; of those that wait, each tenant's first goes before any tenant's second, in the order in
//! which they came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Components of one tenant that may wait. Each holds a thread and its upload's memory; a tenant
/// that has eight waiting deploys faster than anybody could call.
pub(super) const WAITING_PER_TENANT_MAX: usize = 8;

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// The tenant has as many waiting as it may.
    Full,
    /// It did not come in time.
    TooLate,
}

/// The turns of one engine's compiler. A lock, because whoever deploys waits on a thread of its own
/// and nobody owns the compiler longer than its turn.
pub(super) struct Turns {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// The right to compile, until it is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    tenant: Arc<str>,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::new(Queue::new(at_once)), changed: Condvar::new() })
    }

    /// Waits for a turn.
    pub(super) fn take(self: &Arc<Self>, tenant: &str, within: Duration) -> Result<Turn, NoTurn> {
        let tenant: Arc<str> = tenant.into();
        let began = Instant::now();
        let mut queue = self.queue();
        let ticket = queue.enter(&tenant).ok_or(NoTurn::Full)?;
        while !queue.begin(ticket) {
            let Some(left) = within.checked_sub(began.elapsed()).filter(|left| !left.is_zero())
            else {
                queue.give_up(ticket);
                // Whoever stood behind may be first now.
                self.changed.notify_all();
                return Err(NoTurn::TooLate);
            };
            let waited = self.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        // More than one may have become free at once.
        self.changed.notify_all();
        Ok(Turn { turns: Arc::clone(self), tenant })
    }

    /// A panic can not have left it between two states: every change is one of its methods.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.queue().end(&self.tenant);
        self.turns.changed.notify_all();
    }
}

/// The order, without the waiting.
struct Queue {
    at_once: usize,
    running: BTreeSet<Arc<str>>,
    waiting: Vec<Waiting>,
    /// The latest round of each tenant, as far as it is not over: a tenant that comes again and
    /// again takes a later round each time, so that it does not overtake those who wait.
    rounds: BTreeMap<Arc<str>, u64>,
    /// The round of whoever began last.
    round: u64,
    next_ticket: u64,
}

struct Waiting {
    round: u64,
    ticket: u64,
    tenant: Arc<str>,
}

impl Queue {
    fn new(at_once: usize) -> Self {
        Self {
            at_once: at_once.max(1),
            running: BTreeSet::new(),
            waiting: Vec::new(),
            rounds: BTreeMap::new(),
            round: 0,
            next_ticket: 0,
        }
    }

    fn enter(&mut self, tenant: &Arc<str>) -> Option<u64> {
        let of_tenant = self.waiting.iter().filter(|it| it.tenant == *tenant).count();
        if of_tenant >= WAITING_PER_TENANT_MAX {
            return None;
        }
        let round = self.rounds.get(tenant).map_or(self.round, |last| last + 1).max(self.round);
        self.rounds.insert(Arc::clone(tenant), round);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push(Waiting { round, ticket, tenant: Arc::clone(tenant) });
        Some(ticket)
    }

    /// Lets this one begin, if it is its turn.
    fn begin(&mut self, ticket: u64) -> bool {
        if self.running.len() >= self.at_once {
            return false;
        }
        let ready = self.waiting.iter().filter(|it| !self.running.contains(&it.tenant));
        let Some(first) = ready.min_by_key(|it| (it.round, it.ticket)) else { return false };
        if first.ticket != ticket {
            return false;
        }
        self.round = self.round.max(first.round);
        self.running.insert(Arc::clone(&first.tenant));
        self.waiting.retain(|it| it.ticket != ticket);
        let round = self.round;
        self.rounds.retain(|_, last| *last >= round);
        true
    }

    fn give_up(&mut self, ticket: u64) {
        self.waiting.retain(|it| it.ticket != ticket);
    }

    fn end(&mut self, tenant: &Arc<str>) {
        self.running.remove(tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_second_component_waits_for_every_other_tenants_first() {
        let mut line = Line::new(1);
        let [a1, a2, a3] = [line.enter("a"), line.enter("a"), line.enter("a")];
        assert_eq!(line.begins(), Some(a1));
        let [b1, c1] = [line.enter("b"), line.enter("c")];

        assert_eq!(line.until_empty(), [b1, c1, a2, a3]);
    }

    #[test]
    fn a_tenant_compiles_one_component_at_a_time_and_leaves_the_other_place_free() {
        let mut line = Line::new(2);
        let [a1, _a2] = [line.enter("a"), line.enter("a")];
        assert_eq!(line.begins(), Some(a1));
        assert_eq!(line.begins(), None, "a place is free, but not for the same tenant");

        let b1 = line.enter("b");

        assert_eq!(line.begins(), Some(b1));
    }

    #[test]
    fn a_tenant_that_comes_again_and_again_does_not_overtake_those_who_wait() {
        let mut line = Line::new(1);
        let [a1, a2] = [line.enter("a"), line.enter("a")];
        assert_eq!(line.begins(), Some(a1));
        let b1 = line.enter("b");
        line.end("a");
        assert_eq!(line.begins(), Some(b1));
        line.end("b");

        let b2 = line.enter("b");

        assert_eq!(line.until_empty(), [a2, b2]);
    }

    #[test]
    fn a_tenant_with_too_many_waiting_is_turned_away_and_nobody_else() {
        let mut line = Line::new(1);
        for _ in 0..WAITING_PER_TENANT_MAX {
            line.enter("a");
        }

        assert_eq!(line.queue.enter(&"a".into()), None);
        assert!(line.queue.enter(&"b".into()).is_some());
    }

    #[test]
    fn whoever_gives_up_is_not_waited_for() {
        let mut line = Line::new(1);
        let [a1, b1] = [line.enter("a"), line.enter("b")];
        line.queue.give_up(a1);

        assert_eq!(line.begins(), Some(b1));
    }

    #[test]
    fn nothing_is_remembered_of_tenants_whose_round_is_over() {
        let mut line = Line::new(1);
        for nth in 0..1_000 {
            line.enter(&format!("tenant-{nth}"));
            line.enter("steady");
            line.until_empty();
        }

        assert!(line.queue.rounds.len() < 10, "{} are remembered", line.queue.rounds.len());
    }

    #[test]
    fn a_turn_that_does_not_come_in_time_is_given_up() {
        let turns = Turns::new(1);
        let taken = turns.take("a", Duration::ZERO).expect("nobody is there");

        assert_eq!(turns.take("b", Duration::ZERO).err(), Some(NoTurn::TooLate));
        drop(taken);
        assert!(turns.take("c", Duration::ZERO).is_ok(), "nobody waits behind the one that left");
    }

    struct Line {
        queue: Queue,
        running: Vec<Arc<str>>,
    }

    impl Line {
        fn new(at_once: usize) -> Self {
            Self { queue: Queue::new(at_once), running: Vec::new() }
        }

        fn enter(&mut self, tenant: &str) -> u64 {
            self.queue.enter(&tenant.into()).expect("there is room in the line")
        }

        /// The one that begins now, if any.
        fn begins(&mut self) -> Option<u64> {
            let waiting: Vec<_> =
                self.queue.waiting.iter().map(|it| (it.ticket, Arc::clone(&it.tenant))).collect();
            let (ticket, tenant) =
                waiting.into_iter().find(|(ticket, _)| self.queue.begin(*ticket))?;
            self.running.push(tenant);
            Some(ticket)
        }

        fn end(&mut self, tenant: &str) {
            self.queue.end(&tenant.into());
            self.running.retain(|it| &**it != tenant);
        }

        /// Ends whoever runs, then lets all the others run, and returns their order.
        fn until_empty(&mut self) -> Vec<u64> {
            let mut order = Vec::new();
            loop {
                for tenant in std::mem::take(&mut self.running) {
                    self.queue.end(&tenant);
                }
                match self.begins() {
                    Some(ticket) => order.push(ticket),
                    None => return order,
                }
            }
        }
    }
}
