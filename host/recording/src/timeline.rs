//! A recording as lines, one for each thing that passed an instance's boundary.

use cordboard_call::contract::{Action, Event, Millis};
use serde::Serialize;

use crate::AudioFormats;
use crate::describe;
use crate::entry::{Bytes, Entry};

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When, in milliseconds of the call.
    pub at_ms: Millis,
    /// Which instance.
    pub instance: u64,
    /// Whether the instance's answers were carried out at that time.
    pub counts: bool,
    /// `event`, `action`, `failure`, or what was done with the instance: `start`, `activate`, `load`, `save`.
    pub what: &'static str,
    /// The event's or action's name as in `wit/tenant.wit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// In words, uncut; audio by its length.
    pub text: String,
}

impl Moment {
    /// Whether it is one of the audio frames that a call mostly consists of.
    #[must_use]
    pub fn is_audio(&self) -> bool {
        matches!(self.kind, Some("caller-audio" | "model-audio" | "play"))
    }
}

/// The lines of a recording, in its order.
pub fn timeline<'a>(entries: &'a [Entry<'a>]) -> impl Iterator<Item = Moment> + 'a {
    let (mut now, mut answering, mut formats) = (0, None, AudioFormats::TELEPHONE);
    entries.iter().flat_map(move |entry| {
        let instance = entry.instance();
        now = entry.now().unwrap_or(now);
        if let Entry::Activated { .. } = entry {
            answering = Some(instance);
        }
        let counts = answering == Some(instance);
        let moment = |what, kind, text| Moment { at_ms: now, instance, counts, what, kind, text };
        match entry {
            Entry::Started { version, component, failure, .. } => {
                let digest: String = component[..6].iter().map(|b| format!("{b:02x}")).collect();
                let failed =
                    failure.as_ref().map(|it| format!(", failed: {it}")).unwrap_or_default();
                vec![moment("start", None, format!("{version}, component {digest}{failed}"))]
            }
            Entry::Activated { .. } => {
                vec![moment("activate", None, "its answers count now".to_owned())]
            }
            Entry::Loaded { info, state, answer, .. } => {
                formats = AudioFormats::new(info.format);
                let came = match answer {
                    Ok(Ok(())) => "taken".to_owned(),
                    Ok(Err(refusal)) => format!("refused: {refusal}"),
                    Err(failure) => format!("failed: {failure}"),
                };
                vec![moment("load", None, format!("{}, {came}", amount(state)))]
            }
            Entry::Asked { event, .. } => {
                if let Event::Started(info) = &**event {
                    formats = AudioFormats::new(info.format);
                }
                vec![moment("event", Some(event.kind()), describe::event(event, &formats))]
            }
            Entry::Answered { answer: Err(failure), .. } => {
                vec![moment("failure", None, failure.to_string())]
            }
            Entry::Answered { answer: Ok(actions), .. } => {
                let line = |action: &Action| {
                    let kind = Some(action.kind());
                    moment("action", kind, describe::action(action, &formats))
                };
                let moments = actions.iter().map(line).collect();
                formats.follow(actions);
                moments
            }
            Entry::Saved { answer, .. } => {
                let text = match answer {
                    Ok(Some(state)) => amount(state),
                    Ok(None) => "no state: it has no `handover`".to_owned(),
                    Err(failure) => format!("failed: {failure}"),
                };
                vec![moment("save", None, text)]
            }
        }
    })
}

fn amount(state: &Bytes<'_>) -> String {
    match state {
        Bytes::Kept(bytes) => format!("{} bytes", bytes.len()),
        Bytes::Withheld(bytes) => format!("{bytes} bytes, withheld"),
    }
}
