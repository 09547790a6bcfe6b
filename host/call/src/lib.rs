//! One phone call as a pure machine: [`Input`] in, [`Output`] out.
//!
//! **One rule: after every [`Call::handle`], drain [`Call::poll_output`] until it is empty, then
//! wait for the next thing to happen, and at [`Call::wake_at`] at the latest hand in
//! [`Input::Wake`].** The machine owns every decision the host makes in a call: its phase, what is
//! queued at the carrier and what of it was heard, timers, limits, when to reconnect the model, how
//! the call ends. It opens no socket and reads no clock: `now` is the time since the call began,
//! and comes in with every input.
//!
//! The tenant sits outside as well: [`Output::Tenant`] hands the shell one event, and no second one
//! before its answer came back as [`Input::Answered`]. Everything else goes on meanwhile.
//!
//! ```
//! use std::time::Duration;
//! use cordboard_call::{Call, Input, Output, Summary};
//!
//! /// What the shell has around a call. `wait` returns at `until` with [`Input::Wake`], or
//! /// earlier with something else.
//! trait Outside {
//!     fn now(&self) -> Duration;
//!     fn wait(&mut self, until: Option<Duration>) -> Input;
//!     fn ask_tenant(&mut self, event: cordboard_call::contract::Event) -> Input;
//!     fn perform(&mut self, output: Output);
//! }
//!
//! fn drive(mut call: Call, outside: &mut impl Outside) -> Summary {
//!     let mut input = Input::Begin;
//!     loop {
//!         call.handle(outside.now(), input);
//!         while let Some(output) = call.poll_output() {
//!             match output {
//!                 Output::Tenant(event) => {
//!                     let answer = outside.ask_tenant(event);
//!                     call.handle(outside.now(), answer);
//!                 }
//!                 Output::Ended(summary) => return summary,
//!                 other => outside.perform(other),
//!             }
//!         }
//!         input = outside.wait(call.wake_at());
//!     }
//! }
//! ```

pub mod contract;

mod actions;
mod call;
mod ending;
mod framing;
mod inbound;
mod io;
mod limits;
mod model_leg;
mod model_says;
mod playout;
mod tenant_leg;
mod timers;

pub use call::{Call, CallConfig};
pub use ending::Phase;
pub use framing::UnsupportedFormat;
pub use io::{
    Counts, HangUpBy, Input, Note, Now, Output, Rest, RestKind, Summary, TenantFault, ToCarrier,
    ToModel,
};
pub use limits::Limits;
