//! Whole calls through real sockets on loopback.
//!
//! A [`World`] is the gateway as an operator would configure it, between both simulators: the carrier calls its port and
//! signs for its public origin, the model listens on another port. **One rule: every call and every session of every
//! world is held to [`checks`]**, whatever its scenario is about, so that a wire's rules need not be repeated in each.
//! Scenarios are in `tests/calls`.

pub mod by_hand;
pub mod checks;
mod operator;
pub mod program;
pub mod recorder;
mod shop;
mod sound;
mod world;

pub use operator::Operator;
pub use shop::Shop;
pub use sound::{said, tone, two_tones};
pub use world::{Plan, World, caller, until};
