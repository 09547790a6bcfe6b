//! Actions and events in one line each, as a person would tell them. The lines quote the call.

use cordboard_call::contract::{Action, AudioFormat, Encoding, Event, HangUpWhen, Heard};

use crate::AudioFormats;

/// The action in one line.
#[must_use]
pub fn action(action: &Action, formats: &AudioFormats) -> String {
    let kind = action.kind();
    match action {
        Action::Play(play) => {
            let last = if play.last { ", last" } else { "" };
            format!("{kind} {}: {}{last}", play.item, amount(&play.audio, formats.to_caller()))
        }
        Action::ModelAudio(audio) => format!("{kind}: {}", amount(audio, formats.to_model())),
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

/// The event in one line.
#[must_use]
pub fn event(event: &Event, formats: &AudioFormats) -> String {
    let kind = event.kind();
    match event {
        Event::Started(info) => {
            let again = if info.restarted { ", restarted" } else { "" };
            format!("{kind} {} as {}{again}", info.call_id, info.version)
        }
        Event::CallerAudio(audio) => format!("{kind}: {}", amount(audio, formats.to_caller())),
        Event::CallerKey(text) | Event::Mark(text) | Event::ModelLost(text) => {
            format!("{kind} {text}")
        }
        Event::ModelReady(model) | Event::ModelRestored(model) => {
            format!("{kind} {} ({})", model.session, model.model)
        }
        Event::ModelAudio(audio) => format!("{kind} {}: {} bytes", audio.item, audio.data.len()),
        Event::ModelEvent(json) | Event::Command(json) => format!("{kind} {json}"),
        Event::Heard(heard) => format!("{kind} {}", of_item(heard)),
        Event::Flushed(flushed) => {
            let items: Vec<String> = flushed.items.iter().map(of_item).collect();
            format!("{kind} [{}], {} marks", items.join(", "), flushed.marks.len())
        }
        Event::Timer(token) => format!("{kind} {token}"),
        Event::HttpDone(response) => {
            let (status, body) = (response.status, response.body.len());
            format!("{kind} {}: status {status}, {body} bytes", response.token)
        }
        Event::HttpFailed(failure) => format!("{kind} {}: {}", failure.token, failure.reason),
        Event::Refused(refusal) => format!("{kind} {}: {}", refusal.action, refusal.reason),
        Event::Ended(ended) => format!("{kind} {}", ended.kind()),
    }
}

fn of_item(heard: &Heard) -> String {
    let whole = if heard.complete { ", whole" } else { "" };
    format!("{} {} ms{whole}", heard.item, heard.millis)
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
#[must_use]
pub fn cut(text: &str, characters: usize) -> String {
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
