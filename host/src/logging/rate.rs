//! The same event at most so often, where somebody outside decides how often it happens.
//!
//! **One rule: an event from outside has one line in a minute.** The first is written as it comes;
//! those that follow are counted, and the count is the line of the next minute. Events are marked
//! by their target, [`OUTSIDE`], and told apart by the place in the code that logs them: both are
//! known to the compiler, so nobody outside can make this list longer.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The target of events that somebody outside can provoke at will.
pub(crate) const OUTSIDE: &str = "cordboard::outside";

/// As often as a line about the same thing helps anybody; 1,440 lines a day at most.
const EVERY: Duration = Duration::from_secs(60);

/// Holds back what came too often; clones share one count.
#[derive(Clone, Default)]
pub(super) struct RateLimit(Arc<Mutex<Limiter<Identifier>>>);

impl RateLimit {
    /// Logs how often events were held back whose minute is over.
    pub(super) fn tell(&self, now: Instant) {
        // The lock is given back first: what is logged here passes this layer as well.
        let due = self.0.lock().unwrap_or_else(PoisonError::into_inner).due(now);
        for Repeated { what, times } in due {
            tracing::warn!(what, times, "an event from outside came again within a minute");
        }
    }
}

impl<S: Subscriber> Layer<S> for RateLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if event.metadata().target() != OUTSIDE {
            return true;
        }
        let what = || {
            let mut message = Message::default();
            event.record(&mut message);
            message.0
        };
        let mut limiter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limiter.admits(event.metadata().callsite(), Instant::now(), what)
    }
}

/// The text of an event, without its fields.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// An event that was held back.
#[derive(Debug, PartialEq, Eq)]
struct Repeated {
    what: String,
    times: u64,
}

/// Which events had their line, by where they come from.
struct Limiter<K>(HashMap<K, Minute>);

struct Minute {
    began: Instant,
    what: String,
    held_back: u64,
}

impl<K> Default for Limiter<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Limiter<K> {
    /// Whether the event is logged now; if not, it is counted.
    fn admits(&mut self, from: K, now: Instant, what: impl FnOnce() -> String) -> bool {
        if let Some(minute) = self.0.get_mut(&from) {
            // Once something was held back, the next line is the count's.
            let is_over = now.saturating_duration_since(minute.began) >= EVERY;
            if !is_over || minute.held_back > 0 {
                minute.held_back += 1;
                return false;
            }
        }
        self.0.insert(from, Minute { began: now, what: what(), held_back: 0 });
        true
    }

    /// What was held back in minutes that are over. Each begins the next minute.
    fn due(&mut self, now: Instant) -> Vec<Repeated> {
        let is_over = |minute: &Minute| now.saturating_duration_since(minute.began) >= EVERY;
        self.0.retain(|_, minute| !is_over(minute) || minute.held_back > 0);
        let over = self.0.values_mut().filter(|minute| is_over(minute));
        let tell = |minute: &mut Minute| {
            minute.began = now;
            Repeated { what: minute.what.clone(), times: std::mem::take(&mut minute.held_back) }
        };
        over.map(tell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_thousand_a_second_are_one_line_a_minute_with_a_count() {
        let mut limiter = Limiter::default();
        let began = Instant::now();
        let (mut lines, mut counted) = (0, 0);

        // Three minutes, looked at once a second as the log's thread does.
        for second in 0..181 {
            let now = began + Duration::from_secs(second);
            for told in limiter.due(now) {
                assert_eq!(told.what, "refused");
                lines += 1;
                counted += told.times;
            }
            for _ in 0..5_000 {
                lines += u64::from(limiter.admits("here", now, || "refused".to_owned()));
            }
        }

        assert_eq!(lines, 4, "the first at once, then one a minute");
        assert_eq!(counted, 180 * 5_000 - 1);
    }

    #[test]
    fn an_event_now_and_then_is_logged_each_time() {
        let mut limiter = Limiter::default();
        let began = Instant::now();

        for minute in 0..3 {
            let now = began + minute * EVERY;
            assert_eq!(limiter.due(now), []);
            assert!(limiter.admits("here", now, String::new));
        }
    }

    #[test]
    fn a_flood_of_one_kind_hides_no_other() {
        let mut limiter = Limiter::default();
        let now = Instant::now();
        assert!(limiter.admits("here", now, String::new));
        assert!(!limiter.admits("here", now, String::new));

        assert!(limiter.admits("there", now, String::new));
    }

    #[test]
    fn what_has_come_to_rest_is_forgotten() {
        let mut limiter = Limiter::default();
        let began = Instant::now();
        limiter.admits("here", began, || "refused".to_owned());
        limiter.admits("here", began, String::new);

        let told = limiter.due(began + EVERY);
        assert_eq!(told, [Repeated { what: "refused".to_owned(), times: 1 }]);
        assert_eq!(limiter.due(began + 2 * EVERY), []);
        assert!(limiter.0.is_empty());
    }
}
