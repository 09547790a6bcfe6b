//! Says a WAV file to a speech model and writes its answer: the model's side of Cordboard without a
//! telephone.
//!
//! ```text
//! cordboard sim model --listen 127.0.0.1:9000 &
//! OPENAI_API_KEY=any cargo run --example realtime -- question.wav answer.wav --url ws://127.0.0.1:9000/v1/realtime
//! ```
//!
//! Without `--url` it asks the service that the environment, `.env` and `cordboard.toml` name, as `cordboard
//! serve` would. The file is 16 bit mono at 24 kHz, the one PCM rate the service has.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use cordboard::RealtimeConnection;
use cordboard::config::{Config, Sources};
use cordboard_wire::openai::ServerEvent;
use tokio::sync::mpsc;

/// Says a WAV file to a speech model and writes its answer.
#[derive(Parser)]
struct Args {
    /// What to say: 16 bit, mono, 24 kHz
    question: PathBuf,
    /// Where the answer goes
    answer: PathBuf,
    /// A Realtime server; without it, the configured one
    #[arg(long)]
    url: Option<String>,
    /// What the model is told to be
    #[arg(long, default_value = "You are on the telephone. Answer in one or two short sentences.")]
    instructions: String,
}

const RATE: u32 = 24_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut sources = Sources::from_process(None);
    if let Some(url) = &args.url {
        sources = sources.env("OPENAI_REALTIME_API_URL", url);
    }
    let config = Config::load(&sources)?;
    let question = read(&args.question)?;

    let model = RealtimeConnection::connect(&config.model).await?;
    println!("connected: session {} of {}", model.info().session, model.info().model);

    // Handlers run inside the connection, so they only pass on what happened.
    let (tell, mut told) = mpsc::unbounded_channel();
    model
        .on_message_type("*", move |event| {
            // Nobody listens any more once the answer is complete.
            tell.send(event.clone()).unwrap_or_default();
        })
        .await?;

    model.send_config(&args.instructions).await?;
    model.send_audio(&question).await?;
    model.commit().await?;
    model.request_response().await?;

    let mut answer = Vec::new();
    loop {
        let event = tokio::select! {
            Some(event) = told.recv() => event,
            down = model.closed() => bail!("the connection was lost: {}", down.reason),
        };
        match event {
            ServerEvent::AudioDelta { audio, .. } => answer.extend(audio),
            ServerEvent::Error { message, .. } => bail!("the model's server said: {message}"),
            ServerEvent::Other { kind, .. } if kind == "response.done" => break,
            ServerEvent::SessionCreated { .. }
            | ServerEvent::SessionUpdated { .. }
            | ServerEvent::Other { .. } => {}
        }
    }
    model.close().await;

    write(&args.answer, &answer)?;
    let seconds = answer.len() as f64 / 2.0 / f64::from(RATE);
    println!("{seconds:.2} s of answer are in {}", args.answer.display());
    Ok(())
}

fn read(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    let mut wav = hound::WavReader::open(path).with_context(|| path.display().to_string())?;
    let spec = wav.spec();
    ensure!(
        spec.channels == 1 && spec.sample_rate == RATE && spec.bits_per_sample == 16,
        "{}: 16 bit mono at {RATE} Hz is needed, this is {} bit, {} channels, {} Hz",
        path.display(),
        spec.bits_per_sample,
        spec.channels,
        spec.sample_rate
    );
    let mut bytes = Vec::new();
    for sample in wav.samples::<i16>() {
        bytes.extend(sample?.to_le_bytes());
    }
    Ok(bytes)
}

fn write(path: &PathBuf, pcm: &[u8]) -> anyhow::Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav =
        hound::WavWriter::create(path, spec).with_context(|| path.display().to_string())?;
    for sample in pcm.chunks_exact(2) {
        wav.write_sample(i16::from_le_bytes([sample[0], sample[1]]))?;
    }
    wav.finalize()?;
    Ok(())
}
