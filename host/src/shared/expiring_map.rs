//! From an answered webhook to the stream that redeems it.
//!
//! **One rule: a token admits one stream, once, for half a minute.** The webhook hands the carrier a
//! random token in the stream's path and starts connecting the model meanwhile; the WebSocket that
//! brings the token back takes all of that over. What is not redeemed is dropped, and the model
//! connection with it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How long the carrier may take from the webhook's answer to opening the stream. It takes well
/// under a second as a rule; `<Say>` before `<Connect>` is not something we emit.
pub(crate) const REDEEM_WITHIN: Duration = Duration::from_secs(30);

/// How long what happened to a call is remembered for the webhook that asks what comes next.
pub(crate) const REMEMBER_FOR: Duration = Duration::from_secs(60);

/// 128 random bits, as they stand in a stream's path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamToken(String);

impl StreamToken {
    /// Draws a fresh one from the operating system.
    ///
    /// # Errors
    /// The system has no randomness to give; no call can be admitted safely.
    pub fn draw() -> Result<Self, getrandom::Error> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bits)))
    }

    /// Takes whatever stood in a path; it is only ever compared with tokens that were drawn.
    #[must_use]
    pub fn presented(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The path segment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Things that must be collected within their time: a map whose entries expire.
pub(crate) struct ExpiringMap<K, V> {
    entries: HashMap<K, (Instant, V)>,
    keep_for: Duration,
    capacity: usize,
}

impl<K: std::hash::Hash + Eq, V> ExpiringMap<K, V> {
    /// Holds at most `capacity` entries for `keep_for` each.
    #[must_use]
    pub(crate) fn new(keep_for: Duration, capacity: usize) -> Self {
        Self { entries: HashMap::new(), keep_for, capacity }
    }

    /// Leaves something. Gives it back when there is no room.
    ///
    /// # Errors
    /// The value itself, when the room is full of entries that have not expired.
    pub(crate) fn insert(&mut self, now: Instant, key: K, value: V) -> Result<(), V> {
        self.forget_expired(now);
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            return Err(value);
        }
        self.entries.insert(key, (now + self.keep_for, value));
        Ok(())
    }

    /// Collects it; a second time there is nothing.
    pub(crate) fn take(&mut self, now: Instant, key: &K) -> Option<V> {
        let (expires, value) = self.entries.remove(key)?;
        (now < expires).then_some(value)
    }

    /// Looks without taking.
    pub(crate) fn peek(&self, now: Instant, key: &K) -> Option<&V> {
        self.entries.get(key).filter(|(expires, _)| now < *expires).map(|(_, value)| value)
    }

    /// Drops every entry that `which` names; says how many those were.
    pub(crate) fn forget_where(&mut self, which: impl Fn(&V) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, (_, value)| !which(value));
        before - self.entries.len()
    }

    /// Drops what nobody came for; says how many those were.
    pub(crate) fn forget_expired(&mut self, now: Instant) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, (expires, _)| now < *expires);
        before - self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_redeemed_once() {
        let (mut map, now) = (ExpiringMap::new(REDEEM_WITHIN, 2), Instant::now());
        map.insert(now, "token", 7).expect("there is room");
        assert_eq!(map.take(now, &"token"), Some(7));
        assert_eq!(map.take(now, &"token"), None);
    }

    #[test]
    fn a_token_expires() {
        let (mut map, now) = (ExpiringMap::new(REDEEM_WITHIN, 2), Instant::now());
        map.insert(now, "token", 7).expect("there is room");
        assert_eq!(map.take(now + REDEEM_WITHIN, &"token"), None);
    }

    #[test]
    fn a_full_map_gives_the_value_back_until_something_expires() {
        let (mut map, now) = (ExpiringMap::new(REDEEM_WITHIN, 1), Instant::now());
        map.insert(now, "first", 1).expect("there is room");
        assert_eq!(map.insert(now, "second", 2), Err(2));
        assert_eq!(map.insert(now + REDEEM_WITHIN, "second", 2), Ok(()));
    }

    #[test]
    fn what_is_forgotten_by_its_value_makes_room_and_the_rest_stays() {
        let (mut map, now) = (ExpiringMap::new(REDEEM_WITHIN, 2), Instant::now());
        map.insert(now, "first", 1).expect("there is room");
        map.insert(now, "second", 2).expect("there is room");
        assert_eq!(map.forget_where(|value| *value == 1), 1);
        assert_eq!(map.forget_where(|value| *value == 1), 0);
        assert_eq!(map.insert(now, "third", 3), Ok(()));
        assert_eq!(map.take(now, &"second"), Some(2));
    }

    #[test]
    fn tokens_differ() {
        let (one, other) =
            (StreamToken::draw().expect("random"), StreamToken::draw().expect("random"));
        assert!(one != other);
        assert_eq!(one.as_str().len(), 22);
    }
}
