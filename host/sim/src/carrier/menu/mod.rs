//! A telephone menu at the far end of a call: announcements, keys, a queue with music, a person.
//!
//! A [`Menu`] is read from a file ([`Menu::read`]); an [`Attendant`] plays it, 20 ms at a time and without a clock;
//! a [`MenuReport`] says what came of it. Keys count only when they are **heard**, as tones in the audio that the gateway
//! plays: a menu does not see the carrier's messages.
//!
//! ```
//! use cordboard_sim::carrier::{CallPlan, menu::Menu};
//!
//! let menu = Menu::parse(
//!     r#"
//!     start = "main"
//!
//!     [menus.main]
//!     say = "For sales, press 1. For billing, press 2."
//!     keys = { 1 = "queue", 2 = "queue" }
//!
//!     [holds.queue]
//!     say = "One moment, please."
//!     lasts_ms = 9000
//!     announce = "Your call is important to us."
//!     announce_every_ms = 4000
//!     then = "maria"
//!
//!     [people.maria]
//!     lines = [
//!         "Billing, this is Maria. How can I help you?",  # Maria's
//!         "I would like a copy of my last invoice.",      # the caller's, if the simulated model plays one
//!         "It is on its way.",
//!     ]
//!     "#,
//! )?;
//! let plan = CallPlan::to_menu(menu);
//! # let _ = plan;
//! # anyhow::Ok(())
//! ```

mod attendant;
mod file;
mod keys;
mod music;
mod report;

pub use attendant::Attendant;
pub use file::{Hold, Menu, Person, Place, Prompt};
pub use keys::{Receiver, Tone};
pub use report::{KeyHeard, Meaning, MenuReport, Outcome, PersonReport, Visit};
