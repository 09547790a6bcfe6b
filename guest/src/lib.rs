//! The default tenant: a voice agent made of settings alone.
//!
//! [`settings`] reads the JSON and says what is wrong with it; [`agent`] is what little behaviour is
//! left over. Bad settings never leave a caller in silence: every key that can be used is used, the
//! rest is reported and replaced by its default.

pub mod agent;
pub mod settings;

pub use agent::DefaultTenant;
pub use settings::{Problem, Settings, check};

#[cfg(feature = "export")]
cordboard_sdk::export!(DefaultTenant);
