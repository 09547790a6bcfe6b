//! The part of the examination that talks to the model: formats, audio in, an answer out.

use std::time::Duration;

use cordboard_wire::openai::{AudioFormat, ClientEvent, ErrorKind, ServerEvent, SessionAudio};
use tokio::time::{Instant, timeout_at};

use super::step::{Outcome, Step};
use crate::model::{ModelIn, ModelSocket};

/// How long the server may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For an update or a commit; either takes well under a second.
    pub(super) answer: Duration,
    /// For a few spoken words.
    pub(super) speak: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(5), speak: Duration::from_secs(20) }
    }
}

/// Goes through a short conversation, and stops at the first step that fails.
pub(super) async fn hold(
    mut socket: ModelSocket,
    model: &str,
    patience: Patience,
    mut enter: impl FnMut(Step),
) {
    let mut well = |step: Step| {
        let well = step.outcome != Outcome::Failed;
        enter(step);
        well
    };
    // Each step needs the one before it, so the first that fails is the last.
    let _all_well = well(session(&mut socket, model, patience).await)
        && well(audio(&mut socket, patience).await)
        && well(response(&mut socket, patience).await);
    socket.close(CLOSE_DEADLINE).await;
}

async fn session(socket: &mut ModelSocket, model: &str, patience: Patience) -> Step {
    let (telephone, studio) = (AudioFormat::Pcmu, AudioFormat::Pcm24k);
    let tried = async {
        let first = formats_after(socket, telephone, patience).await?;
        // The audio that follows is PCM16, which every server has.
        Ok((first, formats_after(socket, studio, patience).await?))
    };
    let found = match tried.await {
        Ok((first, second)) => (both(first, telephone), both(second, studio), second),
        Err(Trouble::Silence) => {
            let found = "no session.updated came";
            return Step::failed("session", found, vec![WHICH_DIALECT.to_owned()]);
        }
        Err(Trouble::Said(words)) => {
            return Step::failed("session", words, vec![WHICH_DIALECT.to_owned()]);
        }
    };
    match found {
        (true, true, _) => {
            Step::ok("session", format!("{model} takes mu-law at 8 kHz and PCM16 at 24 kHz"))
        }
        (false, true, _) => {
            Step::ok("session", format!("{model} takes PCM16 at 24 kHz, and ignores mu-law"))
                .with_warnings(vec![
                    "leave tenants' `audio` at pcm16: pcmu will not work here".to_owned(),
                ])
        }
        (_, false, got) => Step::failed(
            "session",
            format!(
                "asked for PCM16 at 24 kHz, got {} in and {} out",
                said(got.input),
                said(got.output)
            ),
            vec![format!(
                "the server ignores formats, so callers would hear noise: {WHICH_DIALECT}"
            )],
        ),
    }
}

/// Asks for one format both ways; returns what the session has then.
async fn formats_after(
    socket: &mut ModelSocket,
    format: AudioFormat,
    patience: Patience,
) -> Result<SessionAudio, Trouble> {
    ask(socket, manual_turns(format), patience.answer, |event| match event {
        ServerEvent::SessionUpdated { audio, .. } => Some(*audio),
        _ => None,
    })
    .await
}

fn both(audio: SessionAudio, format: AudioFormat) -> bool {
    audio.confirms(&SessionAudio { input: Some(format), output: Some(format) })
}

async fn audio(socket: &mut ModelSocket, patience: Patience) -> Step {
    // A second of a quiet 440 Hz: silence alone would be taken even by a server that drops audio.
    let tone: Vec<u8> = (0..24_000)
        .flat_map(|i| {
            let phase = f64::from(i) * 440.0 / 24_000.0 * std::f64::consts::TAU;
            ((phase.sin() * 3000.0) as i16).to_le_bytes()
        })
        .collect();
    for chunk in tone.chunks(4800) {
        if let Err(down) = socket.queue_append(chunk) {
            return Step::failed("audio", down.reason, vec![TRY_AGAIN.to_owned()]);
        }
    }
    let waited = ask(socket, ClientEvent::commit(), patience.answer, |event| match event {
        ServerEvent::Other { kind, .. } if kind == "input_audio_buffer.committed" => Some(()),
        _ => None,
    });
    match waited.await {
        Ok(()) => Step::ok("audio", "one second was taken"),
        Err(Trouble::Silence) => Step::failed(
            "audio",
            "the server took one second of audio and did not confirm it",
            vec![
                "the server does not keep to the protocol: ask its operator, or use another"
                    .to_owned(),
            ],
        ),
        Err(Trouble::Said(words)) => Step::failed("audio", words, vec![TRY_AGAIN.to_owned()]),
    }
}

async fn response(socket: &mut ModelSocket, patience: Patience) -> Step {
    let asked = Instant::now();
    let mut first = None;
    let mut bytes = 0;
    let waited = ask(socket, ClientEvent::create_response(), patience.speak, |event| match event {
        ServerEvent::AudioDelta { audio, .. } => {
            first.get_or_insert_with(|| asked.elapsed());
            bytes += audio.len();
            None
        }
        ServerEvent::Other { kind, json } if kind == "response.done" => Some(json.clone()),
        _ => None,
    });
    let done = waited.await;
    match (done, first) {
        (Ok(_), Some(first)) => {
            let ms = bytes as u32 / AudioFormat::Pcm24k.bytes_per_ms();
            Step::ok("response", format!("{ms} ms of speech, the first after {} ms", first.as_millis()))
        }
        (Ok(json), None) => Step::failed(
            "response",
            format!("the answer holds no audio{}", why(&json)),
            vec![
                "see the account's quota and rate limits, and whether the model speaks (output_modalities)"
                    .to_owned(),
            ],
        ),
        (Err(Trouble::Silence), None) => Step::failed(
            "response",
            format!("nothing came after response.create within {} s", patience.speak.as_secs()),
            vec![
                "the server does not answer response.create: see the provider's status page, or, at a \
                 server of your own, whether its model is loaded"
                    .to_owned(),
            ],
        ),
        (Err(Trouble::Silence), Some(_)) => Step::failed(
            "response",
            format!("it began to speak and did not end within {} s", patience.speak.as_secs()),
            vec!["the server is too slow for a telephone call, or never says response.done".to_owned()],
        ),
        (Err(Trouble::Said(words)), _) => Step::failed("response", words, vec![TRY_AGAIN.to_owned()]),
    }
}

/// A session without turn detection: the steps decide when a turn ends.
fn manual_turns(format: AudioFormat) -> ClientEvent {
    let format = match format {
        AudioFormat::Pcm24k => serde_json::json!({"type": "audio/pcm", "rate": 24_000}),
        AudioFormat::Pcmu => serde_json::json!({"type": "audio/pcmu"}),
        AudioFormat::Pcma => serde_json::json!({"type": "audio/pcma"}),
    };
    let event = serde_json::json!({
        "type": "session.update",
        "session": {
            "type": "realtime",
            "instructions": "Whatever you hear, say only: The line is working.",
            "output_modalities": ["audio"],
            "audio": {
                "input": {"format": format, "turn_detection": null},
                "output": {"format": format},
            },
        },
    });
    ClientEvent::parse(&event.to_string()).expect("an update of fixed form is legal")
}

/// Why a wait was in vain.
enum Trouble {
    Silence,
    Said(String),
}

/// Sends and waits for what `wanted` picks out; an error or a close on the way ends the wait.
async fn ask<T>(
    socket: &mut ModelSocket,
    event: ClientEvent,
    within: Duration,
    mut wanted: impl FnMut(&ServerEvent) -> Option<T>,
) -> Result<T, Trouble> {
    socket.queue_event(&event).map_err(|down| Trouble::Said(down.reason))?;
    let deadline = Instant::now() + within;
    loop {
        match timeout_at(deadline, socket.next()).await {
            Err(_) => return Err(Trouble::Silence),
            Ok(ModelIn::Down(down)) => return Err(Trouble::Said(down.reason)),
            Ok(ModelIn::Malformed(_)) => {}
            Ok(ModelIn::Event(ServerEvent::Error { kind, code, message, .. })) => match kind {
                ErrorKind::Benign => {}
                ErrorKind::Fatal | ErrorKind::Expired | ErrorKind::Other => {
                    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
                    return Err(Trouble::Said(format!("the server said: {message}{code}")));
                }
            },
            Ok(ModelIn::Event(event)) => {
                if let Some(found) = wanted(&event) {
                    return Ok(found);
                }
            }
        }
    }
}

fn said(format: Option<AudioFormat>) -> &'static str {
    match format {
        Some(AudioFormat::Pcm24k) => "PCM16",
        Some(AudioFormat::Pcmu) => "mu-law",
        Some(AudioFormat::Pcma) => "A-law",
        None => "nothing known",
    }
}

/// The code of a failed response, for whoever reads the report.
fn why(json: &str) -> String {
    let code = serde_json::from_str::<serde_json::Value>(json).ok().and_then(|event| {
        let details = event.pointer("/response/status_details")?;
        let code = details.pointer("/error/code").or_else(|| details.pointer("/reason"))?;
        code.as_str().map(str::to_owned)
    });
    code.map(|code| format!(": {code}")).unwrap_or_default()
}

const TRY_AGAIN: &str =
    "run `cordboard doctor` again; if it stays, ask the provider with these words";

const WHICH_DIALECT: &str = "see whether OPENAI_REALTIME_DIALECT (ga or beta) and OPENAI_REALTIME_MODEL suit \
     the server, and whether its address leads to a Realtime server";

const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
