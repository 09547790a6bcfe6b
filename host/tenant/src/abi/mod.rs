//! The contract's two shapes: wasmtime's bindings of `wit/tenant.wit`, and the plain values of
//! [`cordboard_call::contract`].
//!
//! Strings and buffers move from one shape to the other; the only copy of a frame is the one the canonical
//! ABI makes into or out of the component's memory.

mod action;
mod check;
mod event;

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "tenant-handover",
    exports: { default: async },
});

pub(crate) use cordboard::tenant::{log, types};
pub(crate) use exports::cordboard::tenant::{handler, handover};

pub(crate) use action::actions;
pub(crate) use check::{check_handler, check_handover, exports_handover};
pub(crate) use event::{call_info, event};

/// The name of the export every tenant has, without its version.
pub(crate) const HANDLER: &str = "cordboard:tenant/handler";
/// The name of the optional export, without its version.
pub(crate) const HANDOVER: &str = "cordboard:tenant/handover";
/// The version of the contract this host speaks.
pub(crate) const CONTRACT_VERSION: &str = "0.1.0";
