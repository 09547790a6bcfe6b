//! One whole call without any account: gateway, carrier and model in one process, on loopback, in real time.
//!
//! **One rule: the gateway in the middle is the real one.** It is configured as an operator would,
//! checks the carrier's signatures, and meets both simulators through sockets; nothing here reaches
//! into it.

mod report;

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::routing::post;
use clap::Args;
use cordboard_sim::audio::wav;
use cordboard_sim::carrier::{CallPlan, CallReport, CallerScript, Carrier, CarrierConfig};
use cordboard_sim::model::{ModelConfig, ModelServer};
use tokio::net::TcpListener;

use crate::config::{Config, Sources};
use crate::gateway::Gateway;
use crate::serve;

/// What the pretended world calls the gateway; `.invalid` is never a real name (RFC 2606).
const PUBLIC_URL: &str = "https://demo.cordboard.invalid";

/// The pretended account's token. It signs nothing outside this process.
const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Three frames: what a carrier may have on its way to the caller when it is told to forget the rest.
const CUT_WITHIN_MS: f64 = 60.0;

/// Options of `cordboard demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Where the recording goes: caller on the left, agent on the right
    #[arg(long, value_name = "FILE", default_value = "call.wav")]
    wav: PathBuf,
}

/// Runs the call and prints what happened.
///
/// # Errors
/// Something of this machine is missing (a port, a place for the recording), or the call did not go
/// as it should.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    println!(
        "A caller rings a bicycle shop. The gateway answers with a simulated model; nothing leaves"
    );
    println!("this machine. It takes about forty seconds, because it is a call in real time.\n");
    let (call, model) = call().await?;
    wav::write_call(&args.wav, &call.stream().said, &call.stream().heard)
        .with_context(|| format!("the recording can not be written to {}", args.wav.display()))?;
    let model = model.log().session(0).context("the gateway never reached the model")?;
    print!("{}", report::story(&call, &model));
    println!(
        "\nRecording: {} (left: the caller, right: what the caller heard)",
        args.wav.display()
    );
    if let Some(failure) = &call.script_failure {
        anyhow::bail!("the call did not go as it should: {failure}");
    }
    let cut = call
        .stream()
        .barge_ins()
        .iter()
        .filter_map(|it| it.stop_after_clear_ms)
        .fold(f64::NAN, f64::max);
    ensure!(cut <= CUT_WITHIN_MS, "the interrupted answer was heard for {cut} ms after the clear");
    ensure!(call.debugger.is_empty(), "the carrier complains: {:?}", call.debugger);
    Ok(())
}

/// The call itself, from the dial tone to the last callback.
async fn call() -> anyhow::Result<(CallReport, ModelServer)> {
    let model = ModelServer::start(ModelConfig::default()).await?;
    let shop = listen().await?;
    let shop_url = format!("http://{}/repair-status", shop.local_addr()?);
    tokio::spawn(async move { axum::serve(shop, shop_system()).await });

    let tenants = tempfile::tempdir()?;
    let home = tenants.path().join("default");
    std::fs::create_dir(&home)?;
    std::fs::write(home.join("tenant.toml"), tenant_toml(&shop_url))?;
    let sources = Sources::default()
        .env("PUBLIC_URL", PUBLIC_URL)
        .env("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
        .env("OPENAI_REALTIME_API_URL", &model.url())
        .env("OPENAI_API_KEY", "sk-demo")
        .env("CORDBOARD_TENANTS_DIR", &tenants.path().display().to_string());
    let gateway = Gateway::open(Config::load(&sources)?).await?;
    let listener = listen().await?;
    let webhook = format!("http://{}/incoming-call", listener.local_addr()?);
    let serving = tokio::spawn(serve::run(gateway, listener, std::future::pending()));

    let carrier = Carrier::new(CarrierConfig {
        auth_token: AUTH_TOKEN.to_owned(),
        public_origin: Some(PUBLIC_URL.to_owned()),
        ..CarrierConfig::default()
    });
    let call = carrier.call(&webhook, CallPlan::new(CallerScript::demo())).await;
    serving.abort();
    Ok((call, model))
}

async fn listen() -> anyhow::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await.context("no port of this machine can be opened")
}

/// The shop's own system, which the tenant's tool asks.
fn shop_system() -> Router {
    Router::new()
        .route("/repair-status", post(|| async { r#"{"ready":true,"price":"42 pounds"}"# }))
}

/// The tenant: settings alone, no code.
fn tenant_toml(shop_url: &str) -> String {
    format!(
        r#"
[settings]
instructions = "You answer the telephone of Harbour Cycles, a bicycle shop. Be brief and friendly."
voice = "friendly_female"
greeting_prompt = "Say hello and ask how you can help."

[settings.turn_detection]
type = "server_vad"
silence_duration_ms = 400

[settings.transcription]
model = "gpt-transcribe"

[[settings.tools]]
name = "repair_status"
description = "Looks up whether a repair is ready."
url = "{shop_url}"

[settings.tools.parameters]
type = "object"
required = ["number"]

[settings.tools.parameters.properties.number]
type = "string"
description = "The repair's number."

[http]
allow = ["{shop_url}"]
"#
    )
}
