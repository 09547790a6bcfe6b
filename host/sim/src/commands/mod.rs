//! What `cordboard sim …` runs: each simulator by itself, against anybody's gateway or client.

mod bridge;
mod call;
mod model;

pub use bridge::{BridgeArgs, run_bridge};
pub use call::{CallArgs, run_call};
pub use model::{ModelArgs, run_model};
