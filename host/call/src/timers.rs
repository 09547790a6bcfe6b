//! The tenant's timers: a token fires once, and setting it again moves it.

use crate::contract::{Timer, Token};
use crate::io::Now;

/// At most [`Limits::timers_max`](crate::Limits::timers_max) timers; few enough to search in line.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    pending: Vec<Pending>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    token: Token,
    at: Now,
}

impl Timers {
    /// False when there is no room for another token.
    pub(crate) fn set(&mut self, timer: Timer, max: usize) -> bool {
        let at = Now::from_millis(timer.at);
        // A moved timer goes behind those already set for the same time.
        let moved = self.cancel(timer.token);
        if !moved && self.pending.len() >= max {
            return false;
        }
        self.pending.push(Pending { token: timer.token, at });
        true
    }

    /// True when the token was set.
    pub(crate) fn cancel(&mut self, token: Token) -> bool {
        let place = self.pending.iter().position(|timer| timer.token == token);
        place.map(|at| self.pending.remove(at)).is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.pending.clear();
    }

    /// The earliest token whose time has come; equal times fire in the order they were set.
    pub(crate) fn pop_due(&mut self, now: Now) -> Option<Token> {
        let (place, earliest) =
            self.pending.iter().enumerate().min_by_key(|(place, timer)| (timer.at, *place))?;
        if earliest.at > now {
            return None;
        }
        Some(self.pending.remove(place).token)
    }

    pub(crate) fn wake_at(&self) -> Option<Now> {
        self.pending.iter().map(|timer| timer.at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(token: Token, at: u64) -> Timer {
        Timer { token, at }
    }

    fn due(timers: &mut Timers, ms: u64) -> Vec<Token> {
        std::iter::from_fn(|| timers.pop_due(Now::from_millis(ms))).collect()
    }

    #[test]
    fn timers_fire_in_order_of_time_then_of_setting() {
        let mut timers = Timers::default();
        for each in [timer(1, 30), timer(2, 10), timer(3, 10), timer(4, 40)] {
            assert!(timers.set(each, 8));
        }
        assert_eq!(timers.wake_at(), Some(Now::from_millis(10)));
        assert_eq!(due(&mut timers, 30), [2, 3, 1]);
        assert!(due(&mut timers, 39).is_empty());
        assert_eq!(due(&mut timers, 40), [4]);
        assert_eq!(timers.wake_at(), None);
    }

    #[test]
    fn the_same_token_moves_its_timer_even_when_there_is_no_room_for_another() {
        let mut timers = Timers::default();
        assert!(timers.set(timer(1, 10), 1));
        assert!(!timers.set(timer(2, 5), 1));
        assert!(timers.set(timer(1, 50), 1));
        assert!(due(&mut timers, 49).is_empty());
        assert_eq!(due(&mut timers, 50), [1]);
    }

    #[test]
    fn a_cancelled_timer_does_not_fire() {
        let mut timers = Timers::default();
        assert!(timers.set(timer(1, 10), 8));
        assert!(timers.cancel(1));
        assert!(!timers.cancel(1));
        assert!(due(&mut timers, 1_000).is_empty());
    }
}
