//! The carrier over HTTP: its webhooks, and its REST interface. Its media streams are in [`crate::calls`].

pub mod rest;
pub(crate) mod stream_paths;
pub mod webhook;
