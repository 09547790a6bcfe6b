//! A silent caller: asked whether they are there, a few times, then bidden goodbye.
//!
//! This one is part of the turn-taking and needs no events handed in: set [`Session::idle`](crate::Session::idle). The silence
//! counts from when the last word was heard, not from when it was generated; the agent's own speech, a running tool and a
//! call that is ending stop it.
//!
//! ```
//! use cordboard_sdk::{CallInfo, Greeting, Idle, Session, Tenant, harness::Harness};
//!
//! struct Desk;
//!
//! impl Tenant for Desk {
//!     fn new(_: &CallInfo) -> Desk {
//!         Desk
//!     }
//!
//!     fn session(&self, _: &CallInfo) -> Session {
//!         Session {
//!             greeting: Some(Greeting::Say("Front desk.".into())),
//!             idle: Some(Idle {
//!                 nudge_after_ms: 8_000,
//!                 nudge: "Ask whether the caller is still there.".into(),
//!                 nudges_max: 2,
//!                 hang_up_after_ms: Some(6_000),
//!                 farewell: Some("I cannot hear you. Goodbye!".into()),
//!             }),
//!             ..Session::default()
//!         }
//!     }
//! }
//!
//! let mut call = Harness::<Desk>::start();
//! call.model_ready();
//! call.model_says("Front desk.", 1_000);
//! for silence_ms in [9_000, 8_000] {
//!     call.advance(silence_ms);
//!     call.model_says("Are you still there?", 1_000);
//!     call.hear_all();
//! }
//! call.advance(6_000);
//! assert!(call.sent("response.create").pop().unwrap().to_string().contains("I cannot hear you"));
//! call.model_says("I cannot hear you. Goodbye!", 1_500);
//! call.hear_all();
//! assert!(call.has_ended());
//! ```

pub use crate::Idle;
