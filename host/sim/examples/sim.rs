//! The simulators without the gateway's binary: `cargo run -p cordboard-sim --example sim -- model`.
//!
//! The same commands as `cordboard sim`, for work on the simulators and for figures in which no gateway takes part.

use clap::{Parser, Subcommand};
use cordboard_sim::commands::{BridgeArgs, CallArgs, ModelArgs, run_bridge, run_call, run_model};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A speech model
    Model(ModelArgs),
    /// A caller, or many
    Call(CallArgs),
    /// Two sockets and nothing in between
    Bridge(BridgeArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Model(args) => run_model(args).await,
        Command::Call(args) => run_call(args).await,
        Command::Bridge(args) => run_bridge(args).await,
    }
}
