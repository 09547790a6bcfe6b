//! `sim model`: a speech model to point any Realtime client at.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::carrier::menu::Menu;
use crate::model::{Behaviour, Dialect, ModelConfig, ModelScript, ModelServer};

/// Options of `cordboard sim model`.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// Which protocol to speak: today's, or the older names of compatible servers
    #[arg(long, value_enum, default_value_t)]
    pub dialect: Dialect,
    /// Hold the bicycle shop's conversation, or send the caller's audio back (for measuring)
    #[arg(long, value_enum, default_value_t)]
    pub behaviour: Behaviour,
    /// Accept only this key; without it, any
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Refuse a bad key with HTTP 401, as Azure does, instead of an error event
    #[arg(long)]
    pub http_401: bool,
    /// How many times faster than it plays audio is sent
    #[arg(long, value_name = "FACTOR", default_value_t = 5.0)]
    pub speed: f64,
    /// How long a session lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub session_max: u64,
    /// Throw unknown events in between
    #[arg(long)]
    pub unknown_events: bool,
    /// Know the announcements of this telephone menu by their sound, and answer its people
    #[arg(long, value_name = "FILE")]
    pub menu: Option<PathBuf>,
}

/// Runs the model until the process ends.
pub async fn run_model(args: ModelArgs) -> Result<()> {
    let script = match &args.menu {
        Some(path) => ModelScript::at_menu(&Menu::read(path)?),
        None => ModelScript::default(),
    };
    let config = ModelConfig {
        dialect: args.dialect,
        behaviour: args.behaviour,
        key: args.key,
        http_401: args.http_401,
        speed: args.speed,
        session_max: Duration::from_secs(args.session_max),
        unknown_events: args.unknown_events,
        record: false,
        ..ModelConfig::with_script(script)
    };
    let server = ModelServer::listen(args.listen, config)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("model listening on {}", server.url());
    server.run().await;
    Ok(())
}
