//! What the gateway asks of the carrier: its REST interface, and the TwiML that starts a stream.
//!
//! What the carrier asks of the gateway stands above the calls: [`crate::webhook`] receives its
//! requests, and [`crate::calls`] its media streams.

pub mod rest;
pub(crate) mod stream_paths;
