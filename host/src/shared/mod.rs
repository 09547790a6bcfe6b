//! What all calls of one process see.

pub(crate) mod expiring_map;
pub mod gateway;
