//! How much memory guests hold together: all of one tenant, and all of a host.
//!
//! **One rule: an instance takes its memory out of both pools before it has it, and gives it back when it
//! is gone.** So the sum is never larger than what the operator set, and an instance that would make it
//! larger is refused its growth, alone.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that several instances hold together, and the most they may.
#[derive(Debug)]
pub struct MemoryPool {
    held: AtomicUsize,
    max: AtomicUsize,
}

impl Default for MemoryPool {
    /// Without a bound.
    fn default() -> Self {
        Self { held: AtomicUsize::new(0), max: AtomicUsize::new(usize::MAX) }
    }
}

impl MemoryPool {
    /// Bounds it from now on. What is held already is not taken back.
    pub fn bound(&self, bytes: usize) {
        self.max.store(bytes, Ordering::Release);
    }

    /// The most that may be held, in bytes.
    pub fn max(&self) -> usize {
        self.max.load(Ordering::Acquire)
    }

    /// What is held, in bytes.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// Whether so many more bytes can be had now.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.held().saturating_add(bytes) <= self.max()
    }

    /// Takes so many bytes, or none.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let max = self.max();
        let taken = self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
            held.checked_add(bytes).filter(|sum| *sum <= max)
        });
        taken.is_ok()
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_the_bound_and_what_is_given_back_can_be_had_again() {
        let pool = MemoryPool::default();
        pool.bound(10);

        assert!(pool.take(6) && !pool.take(5) && pool.take(4) && !pool.has_room(1));
        pool.give_back(6);
        assert!(pool.has_room(6) && !pool.has_room(7));
        assert_eq!(pool.held(), 4);
    }

    #[test]
    fn a_bound_that_was_lowered_takes_nothing_back_and_gives_nothing_more() {
        let pool = MemoryPool::default();
        assert!(pool.take(100));
        pool.bound(10);
        assert!(!pool.take(0) && pool.held() == 100);
    }
}
