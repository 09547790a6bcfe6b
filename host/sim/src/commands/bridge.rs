//! `sim bridge`: the baseline of load figures, two sockets and nothing in between.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::bridge::Bridge;

/// Options of `cordboard sim bridge`.
#[derive(Debug, Clone, Args)]
pub struct BridgeArgs {
    /// Where to listen for carrier streams
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8091")]
    pub listen: SocketAddr,
    /// The model to join them to, with its model query
    #[arg(
        long,
        value_name = "URL",
        default_value = "ws://127.0.0.1:8090/v1/realtime?model=gpt-realtime"
    )]
    pub model: String,
    /// The model's key
    #[arg(long, value_name = "KEY", default_value = "sk-sim")]
    pub key: String,
}

/// Runs the bridge until the process ends.
pub async fn run_bridge(args: BridgeArgs) -> Result<()> {
    let bridge = Bridge::start(args.listen, args.model, args.key)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("bridge listening on {}", bridge.url());
    bridge.run().await;
    Ok(())
}
