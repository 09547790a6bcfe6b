//! A recorded call, run again.
//!
//! **One rule: nothing but the recording goes in.** Each instance of the call is started with its recorded seed and
//! limits, told what it was told, and asked to save where it was asked; what it answers is laid beside what it
//! answered then. That is [`again`]. [`with`] tells the call to one component from its beginning instead, whatever
//! answered it, and compares the answers that were carried out: the events stay those that the old answers led to.
//!
//! A guest's clock is the event's, its random numbers come from the seed, so the same component gives the same
//! bytes on any machine. CPU time is the one thing that differs; [`again`] allows ten times as much.

mod components;
mod dry_run;
mod report;
mod run;

pub use components::{Components, NoComponent};
pub use dry_run::{DryRun, dry_run};
pub(crate) use report::head;
pub use report::report;
pub use run::{Difference, PATIENCE, Replay, What, again, with};
