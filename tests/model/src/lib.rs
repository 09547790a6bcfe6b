//! A reference world for the call machine, on a virtual clock.
//!
//! What stands here follows the carrier's documentation and uses none of the gateway's types, so
//! that one mistake cannot hide on both sides. The world that joins it to the machine, with its
//! random weather and its invariants, is in `tests/world`; a failing run names its seed, and
//! `CORDBOARD_MODEL_SEED=n` replays it.

mod carrier;
mod dice;

pub use carrier::{Carrier, Echo};
pub use dice::Dice;
