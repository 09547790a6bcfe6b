//! What a tenant has cost so far: one account for all its calls, whatever their version.
//!
//! **One rule: what may cost is asked for here before it is done, and time comes in as `now`.** So an
//! account is tried out on a clock of a test's own, a clock of the wall that jumps changes nothing, and
//! nobody saves up by staying quiet. An account lives as long as the process.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::tenant_table::{HttpBudget, OverLimit};

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
    requests: Bucket,
    bytes_out: Bucket,
    bytes_in: Bucket,
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

    /// Takes an HTTP request of so many bytes out of a budget, whole or not at all.
    ///
    /// # Errors
    /// Which part of the budget is used up. Nothing is taken then.
    pub fn request(&self, budget: &HttpBudget, bytes: u64, now: Instant) -> Result<(), OverLimit> {
        let mut account = self.account();
        let Account { requests, bytes_out, bytes_in, .. } = &mut *account;
        let per_minute = Rate { amount: budget.requests_per_minute, per: MINUTE };
        let per_hour = |amount| Rate { amount, per: HOUR };
        let (out_rate, in_rate) =
            (per_hour(budget.bytes_out_per_hour), per_hour(budget.bytes_in_per_hour));
        let over = |limit, what, wait| {
            OverLimit::new(limit, format!("the tenant's {what} are used up; {}", again(wait)))
        };
        requests
            .wait_for(1, per_minute, now)
            .map_err(|wait| over("http.requests_per_minute", "HTTP requests of a minute", wait))?;
        bytes_out
            .wait_for(bytes, out_rate, now)
            .map_err(|wait| over("http.mib_out_per_hour", "HTTP bytes out of an hour", wait))?;
        // How long the answer is, nobody knows yet.
        bytes_in
            .wait_for(1, in_rate, now)
            .map_err(|wait| over("http.mib_in_per_hour", "HTTP bytes in of an hour", wait))?;
        requests.take(1, per_minute);
        bytes_out.take(bytes, out_rate);
        Ok(())
    }

    /// Takes bytes of an answer that has arrived out of a budget.
    ///
    /// # Errors
    /// They are more than were left: no more of this answer should be read.
    pub fn received(&self, budget: &HttpBudget, bytes: u64, now: Instant) -> Result<(), OverLimit> {
        let bucket = &mut self.account().bytes_in;
        let rate = Rate { amount: budget.bytes_in_per_hour, per: HOUR };
        bucket.fill(rate, now);
        bucket.take(bytes, rate);
        if bucket.left >= 0 {
            return Ok(());
        }
        let reason = "the tenant's HTTP bytes in of an hour were used up in the midst of an answer";
        Err(OverLimit::new("http.mib_in_per_hour", reason))
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        // Each addition is whole, so a panic elsewhere leaves nothing half done.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn again(wait: Duration) -> String {
    match wait {
        Duration::ZERO => "such a one is never allowed".to_owned(),
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

/// So much in so long.
#[derive(Debug, Clone, Copy)]
struct Rate {
    amount: u64,
    per: Duration,
}

impl Rate {
    /// An amount as a [`Bucket`] of this rate counts it.
    fn counted(self, amount: u64) -> i128 {
        i128::from(amount) * self.per.as_nanos().cast_signed()
    }
}

/// A token bucket: filled evenly, full at first, never fuller than what its rate names.
///
/// It counts amount times nanoseconds, in which every filling is a whole number.
#[derive(Debug, Default)]
struct Bucket {
    /// Below zero where more came than was left.
    left: i128,
    /// None before it was ever used.
    filled_at: Option<Instant>,
}

impl Bucket {
    fn fill(&mut self, rate: Rate, now: Instant) {
        let full = rate.counted(rate.amount);
        let filled = match self.filled_at {
            Some(at) => {
                let since = now.saturating_duration_since(at).as_nanos().cast_signed();
                i128::from(rate.amount) * since
            }
            None => full,
        };
        self.left = self.left.saturating_add(filled).min(full);
        self.filled_at = self.filled_at.max(Some(now));
    }

    /// Whether it has so much now, or else when it will; zero is never.
    fn wait_for(&mut self, amount: u64, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.fill(rate, now);
        let lacking = rate.counted(amount) - self.left;
        if lacking <= 0 {
            return Ok(());
        }
        if amount > rate.amount {
            return Err(Duration::ZERO);
        }
        let nanos = lacking / i128::from(rate.amount);
        Err(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).max(1)))
    }

    fn take(&mut self, amount: u64, rate: Rate) {
        self.left = self.left.saturating_sub(rate.counted(amount));
    }
}

const MINUTE: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

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
    fn requests_are_bounded_by_their_number_and_come_back_evenly() {
        let (spending, began) = (Spending::default(), Instant::now());
        let budget = HttpBudget { requests_per_minute: 6, ..HttpBudget::default() };
        let asked = |seconds: u64| {
            let now = began + Duration::from_secs(seconds);
            std::iter::from_fn(|| spending.request(&budget, 100, now).ok()).count()
        };

        assert_eq!((asked(0), asked(0), asked(9), asked(10), asked(40)), (6, 0, 0, 1, 3));
        assert_eq!(asked(100_000), 6, "nobody saves up");
        let over = spending.request(&budget, 100, began).unwrap_err();
        assert_eq!(over.limit, "http.requests_per_minute");
    }

    #[test]
    fn bytes_out_are_taken_before_and_bytes_in_as_they_come() {
        let (spending, now) = (Spending::default(), Instant::now());
        let budget = HttpBudget {
            bytes_out_per_hour: 1000,
            bytes_in_per_hour: 1000,
            ..HttpBudget::default()
        };
        spending.request(&budget, 900, now).unwrap();

        let over = spending.request(&budget, 200, now).unwrap_err();
        assert_eq!(over.limit, "http.mib_out_per_hour");
        assert!(over.reason.ends_with("in 361 s"), "a tenth of an hour: {over}");
        assert_eq!(spending.request(&budget, 100, now), Ok(()), "a smaller one still fits");

        assert_eq!(spending.received(&budget, 1000, now), Ok(()));
        assert_eq!(spending.received(&budget, 500, now).unwrap_err().limit, "http.mib_in_per_hour");
        let later = now + HOUR / 2;
        assert_eq!(spending.request(&budget, 1, later).unwrap_err().limit, "http.mib_in_per_hour");
        assert_eq!(spending.request(&budget, 1, later + MINUTE), Ok(()), "what was owed is paid");
    }

    #[test]
    fn a_budget_of_nothing_allows_nothing_and_a_request_beyond_it_never_comes_through() {
        let (spending, now) = (Spending::default(), Instant::now());
        let none = HttpBudget { requests_per_minute: 0, ..HttpBudget::default() };
        let over = spending.request(&none, 1, now).unwrap_err();
        assert!(over.reason.ends_with("never allowed"), "{over}");

        let small = HttpBudget { bytes_out_per_hour: 10, ..HttpBudget::default() };
        let over = Spending::default().request(&small, 11, now).unwrap_err();
        assert!(over.reason.ends_with("never allowed"), "{over}");
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
