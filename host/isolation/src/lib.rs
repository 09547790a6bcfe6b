//! A tenant's component tried alone, on a virtual clock, without a socket.
//!
//! **One rule: what is tried is what answers calls.** The component runs in [`cordboard_tenant`]'s sandbox and
//! is led by [`cordboard_call::Call`], as on the gateway; only what is around them is played: the caller and the
//! carrier's playback clock, the model's side of the protocol, HTTP servers, an operator. The engine differs
//! in one thing: it counts fuel in place of CPU time, so that every figure and every verdict is the same on
//! every machine.

//! [`run`] tries a [`Runtime`] and gives a [`Report`]; what can stand in a scenario file is [`scenario`].

mod driver;
mod expect;
mod names;
mod report;
mod runner;
mod runtime;
pub mod scenario;
mod suite;
mod verdict;
mod world;

pub use driver::{Meter, Tally};
pub use report::{Case, Finding, Outcome, Report, Suite};
pub use runtime::{Runtime, engine};
pub use scenario::{Problem, Scenario};
pub use suite::{Choice, run};
