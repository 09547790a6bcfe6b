//! What the carrier and the model say on the wire, and what may be said to them.
//!
//! **One rule: parse tolerantly, emit strictly.** An unknown message or field is kept and handed on,
//! never refused; what goes out follows the other company's documentation to the letter. Nothing
//! here blocks, opens a socket or knows the hour, so every parser can be fuzzed as it stands.
//!
//! Errors of this crate name a field and a rule. They never quote a message, because a message can
//! hold a caller's words, a number or a key.
//!
//! The frame path, from the caller to the model in the format both sides share:
//!
//! ```
//! use cordboard_wire::{openai, twilio::FromCarrier};
//!
//! let message = r#"{"event":"media","media":{"timestamp":"155","payload":"/38="}}"#;
//! let mut to_model = String::new(); // kept and cleared, so that no frame allocates
//! if let FromCarrier::Media { payload, .. } = FromCarrier::parse(message)? {
//!     openai::append_audio(&payload, &mut to_model);
//! }
//! assert_eq!(to_model, r#"{"type":"input_audio_buffer.append","audio":"/38="}"#);
//! # Ok::<(), cordboard_wire::twilio::Malformed>(())
//! ```

mod json;
pub mod limits;
mod mend;
pub mod openai;
mod secret;
pub mod twilio;

pub use secret::Secret;
