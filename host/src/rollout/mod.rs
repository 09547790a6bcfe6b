//! How a new version of a tenant takes over: its health, its migrations, its shadow.

pub(crate) mod health;
pub mod migration;
pub(crate) mod shadow;
