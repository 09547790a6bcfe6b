//! What the carrier and the model say on the wire, and what may be said to them.
//!
//! **One rule: parse tolerantly, emit strictly.** An unknown message or field is kept and handed on,
//! never refused; what goes out follows the other company's documentation to the letter. Nothing
//! here blocks, opens a socket or knows the hour, so every parser can be fuzzed as it stands.
//!
//! Errors of this crate name a field and a rule. They never quote a message, because a message can
//! hold a caller's words, a number or a key.

mod json;
pub mod limits;
pub mod openai;
mod secret;
pub mod twilio;

pub use secret::Secret;
