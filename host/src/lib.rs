//! Cordboard: phone calls in, speech models out, tenants as components in between.
//!
//! This crate is the shell: sockets, TLS, files, the command line. **It decides nothing about a call.**
//! What a call does is decided in [`cordboard_call`], what is on the wire in [`cordboard_wire`], what a
//! tenant may do in [`cordboard_tenant`].
//!
//! A call's way through it: [`webhook`] answers the carrier and promises a stream, `calls` runs
//! the call when that stream comes, and [`gateway`] puts together what calls share. [`RealtimeConnection`] is the
//! model's side for programs without a telephone.

pub mod admin;
mod audit;
mod calls;
pub mod cli;
pub mod config;
mod demo;
pub mod doctor;
pub mod gateway;
pub mod logging;
mod metrics;
pub mod model;
pub mod net;
mod new;
pub mod recorder;
mod reload;
pub mod renewable;
pub mod replay;
pub mod rollout;
pub mod secret;
pub mod serve;
pub mod shared;
mod signals;
pub mod twilio;
pub mod webhook;

pub use model::RealtimeConnection;
