//! A setting that is exchanged while calls run.

use std::sync::{Arc, PoisonError, RwLock};

/// Holds the present value. Whoever began with an earlier one keeps it.
///
/// A lock, for many tasks read what one thread exchanges now and then; it is held for copying a pointer.
#[derive(Debug)]
pub struct Renewable<T>(RwLock<Arc<T>>);

impl<T> Renewable<T> {
    /// Holds a first value.
    pub fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// Returns the value as it is now.
    #[must_use]
    pub fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Exchanges the value for those who ask from now on.
    pub fn renew(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}
