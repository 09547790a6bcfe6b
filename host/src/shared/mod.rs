//! What all calls of one process see, in parts that each own their state.
//!
//! **One rule: no lock is held across an await, and none is another part's.** The maps here are the
//! meeting points of tasks that own nothing of each other: the webhook that announces a call, the
//! stream that redeems it, the operator who wants to end it. Ownership can not join those; a short
//! lock can.

pub mod admissions;
pub mod directory;
pub(crate) mod expiring_map;
pub mod limits_reached;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic while such a lock was held left a whole map behind: every change is one insertion or
/// removal. So poisoning is not passed on to other calls.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
