//! One phone call as a pure machine: [`Input`] in, [`Output`] out.
//!
//! **One rule: after every [`Call::handle`], drain [`Call::poll_output`] until it is empty, then sleep
//! until [`Call::wake_at`] and hand in [`Input::Wake`].** The machine owns every decision the host
//! makes in a call: its phase, what is queued at the carrier and what of it was heard, timers,
//! limits, when to reconnect the model, how the call ends. It opens no socket and reads no clock:
//! `now` is the time since the call began, and comes in with every input.
//!
//! The tenant sits outside as well: [`Output::Tenant`] asks the shell to hand an event to the
//! tenant's instance, and its answer comes back as [`Input::Answered`] before anything else does.

pub mod contract;
