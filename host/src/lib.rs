//! Cordboard: phone calls in, speech models out, tenants as components in between.
//!
//! This crate is the shell: sockets, TLS, files, the command line. **It decides nothing about a call.**
//! What a call does is decided in [`cordboard_call`], what is on the wire in [`cordboard_wire`], what a
//! tenant may do in [`cordboard_tenant`].
//!
//! A call's way through it: [`webhook`] answers the carrier and promises a stream, [`call_task`] runs
//! the call when that stream comes, and [`gateway`] is what calls share. [`RealtimeConnection`] is the
//! model's side for programs without a telephone.

pub mod admin;
mod admission;
mod call_task;
pub mod cli;
pub mod config;
mod demo;
pub mod doctor;
pub mod gateway;
mod health;
mod listen;
mod metrics;
pub mod model;
mod new;
mod operator_cli;
pub mod outbound_http;
pub mod recorder;
mod recordings_cli;
pub mod replay;
pub mod rest;
mod run_wasm;
pub mod secret;
pub mod serve;
mod shadow;
pub mod socket;
mod test_tenant;
pub mod tls;
mod webhook;

pub use model::RealtimeConnection;
