//! An action in one line.

use cordboard_call::contract::{Action, AudioFormat, Encoding, HangUpWhen};

use super::Ears;

/// The action's name as in `wit/tenant.wit`.
pub(crate) fn kind(action: &Action) -> &'static str {
    match action {
        Action::Play(_) => "play",
        Action::Mark(_) => "mark",
        Action::Flush => "flush",
        Action::ModelAudio(_) => "model-audio",
        Action::ModelEvent(_) => "model-event",
        Action::SetTimer(_) => "set-timer",
        Action::CancelTimer(_) => "cancel-timer",
        Action::Http(_) => "http",
        Action::HangUp(_) => "hang-up",
        Action::CancelHangUp => "cancel-hang-up",
        Action::Transfer(_) => "transfer",
        Action::SendKeys(_) => "send-keys",
        Action::Publish(_) => "publish",
    }
}

/// The action in one line, as a person would tell it.
pub(crate) fn line(action: &Action, ears: &Ears) -> String {
    let kind = kind(action);
    match action {
        Action::Play(play) => {
            let last = if play.last { ", last" } else { "" };
            format!("{kind} {}: {}{last}", play.item, amount(&play.audio, ears.to_caller()))
        }
        Action::ModelAudio(audio) => format!("{kind}: {}", amount(audio, ears.to_model())),
        Action::ModelEvent(json) => format!("{kind} {json}"),
        Action::Publish(publication) => {
            format!("{kind} {} {}", publication.topic, publication.json)
        }
        Action::Mark(name) => format!("{kind} {name}"),
        Action::Flush | Action::CancelHangUp => kind.to_owned(),
        Action::SetTimer(timer) => format!("{kind} {} at {} ms", timer.token, timer.at),
        Action::CancelTimer(token) => format!("{kind} {token}"),
        Action::Http(request) => {
            let (body, headers) = (request.body.len(), request.headers.len());
            let of = format!("{headers} headers, {body} bytes, within {} ms", request.timeout_ms);
            format!("{kind} {} {} {} ({of})", request.token, request.method, request.url)
        }
        Action::HangUp(hang_up) => {
            let when = match hang_up.when {
                HangUpWhen::Now => "now".to_owned(),
                HangUpWhen::WhenPlayed => {
                    format!("when played, within {} ms", hang_up.deadline_ms)
                }
            };
            format!("{kind} {when}: {}", hang_up.reason)
        }
        Action::Transfer(transfer) => match &transfer.caller_id {
            Some(caller_id) => format!("{kind} to {} as {caller_id}", transfer.to),
            None => format!("{kind} to {}", transfer.to),
        },
        Action::SendKeys(keys) => format!("{kind} {keys}"),
    }
}

/// How long a piece of audio lasts, and its bytes.
fn amount(audio: &[u8], format: AudioFormat) -> String {
    let width = match format.encoding {
        Encoding::Mulaw | Encoding::Alaw => 1,
        Encoding::Pcm16 => 2,
    };
    let per_second = u64::from(format.sample_rate) * u64::from(format.channels) * width;
    let ms = audio.len() as u64 * 1_000 / per_second.max(1);
    format!("{ms} ms, {} bytes", audio.len())
}

/// A text of at most so many characters, its control characters escaped, with an ellipsis where it was cut.
pub(crate) fn cut(text: &str, characters: usize) -> String {
    let plain: String = if text.chars().any(char::is_control) {
        text.chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect()
    } else {
        text.to_owned()
    };
    match plain.char_indices().nth(characters) {
        None => plain,
        Some(_) => plain.chars().take(characters.saturating_sub(1)).chain(['…']).collect(),
    }
}
