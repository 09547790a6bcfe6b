//! A value that must not be read by anybody but the peer it is for.
//!
//! **One rule: a secret is shown only where it is sent.** The type is the wire's, which needs it for signing keys;
//! everything in the host that holds a key holds it as this.

pub use cordboard_wire::Secret;
