//! Cordboard: phone calls in, speech models out, tenants as components in between.

pub mod config;
pub mod doctor;
pub mod model;
pub mod outbound_http;
pub mod rest;
pub mod secret;
pub mod socket;
pub mod tls;
