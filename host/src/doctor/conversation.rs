//! The part of the examination that talks to the model: formats, audio in, an answer out.

use std::time::Duration;

use cordboard_wire::openai::{AudioFormat, ClientEvent, ErrorKind, ServerEvent, SessionAudio};
use tokio::time::{Instant, timeout_at};

use super::{Outcome, Step};
use crate::model::{ModelIn, ModelSocket};

/// Goes through a short conversation, and stops at the first step that fails.
pub(super) async fn hold(mut socket: ModelSocket, model: &str, mut enter: impl FnMut(Step)) {
    let steps: [AsyncStep; 3] = [
        |socket, model| Box::pin(session(socket, model)),
        |socket, _| Box::pin(audio(socket)),
        |socket, _| Box::pin(response(socket)),
    ];
    for take in steps {
        let step = take(&mut socket, model).await;
        let failed = step.outcome == Outcome::Failed;
        enter(step);
        if failed {
            break;
        }
    }
    socket.close(CLOSE_DEADLINE).await;
}

type AsyncStep = for<'a> fn(
    &'a mut ModelSocket,
    &'a str,
) -> std::pin::Pin<Box<dyn Future<Output = Step> + Send + 'a>>;

async fn session(socket: &mut ModelSocket, model: &str) -> Step {
    let asked =
        SessionAudio { input: Some(AudioFormat::Pcm24k), output: Some(AudioFormat::Pcm24k) };
    let update = manual_turns();
    let waited = ask(socket, update, ANSWER_WITHIN, |event| match event {
        ServerEvent::SessionUpdated { audio, .. } => Some(*audio),
        _ => None,
    });
    match waited.await {
        Ok(audio) if audio.confirms(&asked) => {
            Step::ok("session", format!("{model} confirmed PCM16 at 24 kHz both ways"))
        }
        Ok(audio) => Step::failed(
            "session",
            format!("asked for PCM16 at 24 kHz, got {} in and {} out", said(audio.input), said(audio.output)),
            vec![
                "the server ignores the formats it is asked for, and callers would hear noise: see \
                 whether OPENAI_REALTIME_DIALECT (ga or beta) suits it"
                    .to_owned(),
            ],
        ),
        Err(Trouble::Silence) => Step::failed(
            "session",
            "no session.updated came",
            vec![
                "see whether OPENAI_REALTIME_DIALECT (ga or beta) suits the server, and whether its \
                 address leads to a Realtime server"
                    .to_owned(),
            ],
        ),
        Err(Trouble::Said(words)) => Step::failed(
            "session",
            words,
            vec!["see whether OPENAI_REALTIME_DIALECT and OPENAI_REALTIME_MODEL suit the server".to_owned()],
        ),
    }
}

async fn audio(socket: &mut ModelSocket) -> Step {
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
    let waited = ask(socket, ClientEvent::commit(), ANSWER_WITHIN, |event| match event {
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

async fn response(socket: &mut ModelSocket) -> Step {
    let asked = Instant::now();
    let mut first = None;
    let mut bytes = 0;
    let waited = ask(socket, ClientEvent::create_response(), SPEAK_WITHIN, |event| match event {
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
            format!("nothing came after response.create within {} s", SPEAK_WITHIN.as_secs()),
            vec![
                "the server does not answer response.create: see the provider's status page, or, at a \
                 server of your own, whether its model is loaded"
                    .to_owned(),
            ],
        ),
        (Err(Trouble::Silence), Some(_)) => Step::failed(
            "response",
            format!("it began to speak and did not end within {} s", SPEAK_WITHIN.as_secs()),
            vec!["the server is too slow for a telephone call, or never says response.done".to_owned()],
        ),
        (Err(Trouble::Said(words)), _) => Step::failed("response", words, vec![TRY_AGAIN.to_owned()]),
    }
}

/// A session without turn detection: the steps decide when a turn ends.
fn manual_turns() -> ClientEvent {
    let pcm = serde_json::json!({"type": "audio/pcm", "rate": 24_000});
    let event = serde_json::json!({
        "type": "session.update",
        "session": {
            "type": "realtime",
            "instructions": "Whatever you hear, say only: The line is working.",
            "output_modalities": ["audio"],
            "audio": {"input": {"format": pcm, "turn_detection": null}, "output": {"format": pcm}},
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

/// For an update or a commit; either takes well under a second.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// For a few spoken words.
const SPEAK_WITHIN: Duration = Duration::from_secs(20);

const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
