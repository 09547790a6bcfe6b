//! What a tenant has cost so far: one account for all its calls, whatever their version.
//!
//! **One rule: what may cost is asked for here before it is done, and time comes in as `now`.** So an
//! account is tried out on a clock of a test's own, a clock of the wall that jumps changes nothing, and
//! nobody saves up by staying quiet. The account lives as long as the process.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::tenant_table::OverLimit;

/// The account of one tenant.
#[derive(Debug, Default)]
pub struct Spending {
    /// A lock, since calls of one tenant run on several threads; held for a few additions.
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    transfers: Recent,
    presses: Recent,
}

impl Spending {
    /// Notes a transfer, of which `max` are allowed within an hour, after
    /// [`CarrierPolicy::check_transfer`](crate::CarrierPolicy::check_transfer).
    ///
    /// # Errors
    /// There were as many within the last hour.
    pub fn transfer(&self, max: usize, now: Instant) -> Result<(), OverLimit> {
        self.account().transfers.take(max, now).map_err(|wait| {
            let reason = format!("there were {max} transfers within an hour; {}", again(wait));
            OverLimit::new("transfer.per_hour", reason)
        })
    }

    /// Notes a press of keys, of which `max` are allowed within an hour, after
    /// [`CarrierPolicy::check_keys`](crate::CarrierPolicy::check_keys).
    ///
    /// # Errors
    /// There were as many within the last hour.
    pub fn press(&self, max: usize, now: Instant) -> Result<(), OverLimit> {
        self.account().presses.take(max, now).map_err(|wait| {
            let reason = format!("keys were pressed {max} times within an hour; {}", again(wait));
            OverLimit::new("keys.per_hour", reason)
        })
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        // Each addition is whole, so a panic elsewhere leaves nothing half done.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn again(wait: Duration) -> String {
    match wait {
        Duration::ZERO => "none is allowed".to_owned(),
        wait => format!("the next one is possible in {} s", wait.as_secs() + 1),
    }
}

/// Things that happened within the last hour; as many are remembered as are allowed.
///
/// Exact, where a bucket would let twice as many pass in the first hour: each of them is on a bill.
#[derive(Debug, Default)]
struct Recent(VecDeque<Instant>);

impl Recent {
    /// Notes one more, or says how long it takes until one more is allowed; zero is for ever.
    fn take(&mut self, max: usize, now: Instant) -> Result<(), Duration> {
        while self.0.pop_front_if(|at| *at + HOUR <= now).is_some() {}
        if self.0.len() < max {
            self.0.push_back(now);
            return Ok(());
        }
        // A limit that was lowered has to wait for more than the oldest.
        let blocking = (max > 0).then(|| self.0[self.0.len() - max]);
        Err(blocking.map_or(Duration::ZERO, |at| (at + HOUR).saturating_duration_since(now)))
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn no_hour_has_more_than_are_allowed() {
        let (mut recent, began) = (Recent::default(), Instant::now());
        let mut passed = Vec::new();
        for minute in 0..600 {
            let now = began + MINUTE * minute;
            if recent.take(3, now).is_ok() {
                passed.push(now);
            }
        }

        assert_eq!(passed.len(), 30, "three in each of ten hours");
        for first in &passed {
            let within = passed.iter().filter(|at| (*first..*first + HOUR).contains(at)).count();
            assert!(within <= 3, "{within} within one hour");
        }
        assert!(recent.0.len() <= 3, "no more is remembered than is allowed");
    }

    #[test]
    fn a_refusal_says_how_long_to_wait() {
        let (spending, began) = (Spending::default(), Instant::now());
        spending.transfer(2, began).unwrap();
        spending.transfer(2, began + MINUTE).unwrap();

        let refused = spending.transfer(2, began + 10 * MINUTE).unwrap_err();

        assert_eq!(refused.limit, "transfer.per_hour");
        assert!(refused.reason.ends_with("in 3001 s"), "{refused}");
        assert_eq!(spending.transfer(2, began + HOUR), Ok(()));
        assert!(spending.press(2, began).is_ok(), "keys have an account of their own");
    }

    #[test]
    fn a_limit_that_was_lowered_holds_at_once() {
        let (mut recent, began) = (Recent::default(), Instant::now());
        for minute in 0..5 {
            recent.take(5, began + MINUTE * minute).unwrap();
        }

        let wait = recent.take(2, began + 10 * MINUTE).unwrap_err();

        assert_eq!(wait, 53 * MINUTE, "until the fourth is an hour old");
        assert_eq!(recent.take(0, began + HOUR * 9), Err(Duration::ZERO));
    }
}
