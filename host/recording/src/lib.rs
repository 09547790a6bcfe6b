//! What a call's tenants were told and answered: how two answers are compared.
//!
//! **One rule: this crate touches bytes and values, never a file, a clock or a component.** The gateway
//! writes and the commands read; both hand their bytes in here.

pub mod compare;
