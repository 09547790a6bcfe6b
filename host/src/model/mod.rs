//! The speech model's side of a call: one WebSocket, up only when its session exists.
//!
//! **One rule: [`ModelSocket::next`] gives events until it gives [`ModelIn::Down`], and `Down` says what
//! to do.** A connection counts as up once `session.created` was seen, because a server refuses a key in
//! two ways: by an HTTP status instead of the upgrade, or by upgrading, saying `error`, and closing. Both
//! end as one [`ConnectError`]. Nothing here reconnects by itself: when and how often is the call's
//! decision.
//!
//! [`ModelLeg`] is what a call holds: no socket, one being opened, or one that is up.
//! [`RealtimeConnection`] is for programs that want a conversation and no telephone.

mod connect;
mod connection;
mod endpoint;
mod error;
mod leg;
#[cfg(test)]
mod simulated;
mod socket;
#[cfg(test)]
mod tests;

pub use connection::{ConfigError, ConnectionClosed, HandlerId, RealtimeConnection};
pub use endpoint::{Auth, ModelEndpoint};
pub use error::{ConnectError, Stage};
pub use leg::{Connecting, ModelLeg};
pub use socket::{Down, ModelIn, ModelSocket};
