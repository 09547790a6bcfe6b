//! What the caller says, as it is being written down.

use crate::Event;
use crate::wire::{ServerEvent, event_type};

/// A piece of the caller's words, out of a server event.
///
/// [`Tenant::turn`](crate::Tenant::turn) tells whole lines; this reads them earlier, from
/// [`Tenant::event`](crate::Tenant::event), for a block that cannot wait.
///
/// ```
/// use cordboard_sdk::Event;
/// use cordboard_sdk::blocks::CallerText;
///
/// let event = Event::ModelEvent(
///     r#"{"type":"conversation.item.input_audio_transcription.delta","item_id":"u1","delta":"Wait"}"#.into(),
/// );
/// let said = CallerText::read(&event).unwrap();
/// assert_eq!((said.item.as_str(), said.text.as_str(), said.is_whole), ("u1", "Wait", false));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerText {
    /// The model's id of what the caller said.
    pub item: String,
    /// A piece that follows those before it, or all of it.
    pub text: String,
    /// It is all of it.
    pub is_whole: bool,
}

impl CallerText {
    /// Reads an event; none if it holds no words of the caller.
    pub fn read(event: &Event) -> Option<CallerText> {
        let Event::ModelEvent(json) = event else { return None };
        match event_type(json)? {
            "conversation.item.input_audio_transcription.delta" => {
                let event = ServerEvent::parse(json);
                Some(CallerText { item: event.item_id?, text: event.delta?, is_whole: false })
            }
            "conversation.item.input_audio_transcription.completed" => {
                let event = ServerEvent::parse(json);
                Some(CallerText { item: event.item_id?, text: event.transcript?, is_whole: true })
            }
            _ => None,
        }
    }
}

/// The caller's speech, as the model server hears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Speech {
    Started {
        item: String,
        at_ms: Option<u64>,
    },
    Stopped {
        item: String,
        at_ms: Option<u64>,
    },
    /// No words of this item will come.
    Unwritten {
        item: String,
    },
}

impl Speech {
    pub(super) fn read(event: &Event) -> Option<Speech> {
        let Event::ModelEvent(json) = event else { return None };
        let kind = event_type(json)?;
        let known = matches!(
            kind,
            "input_audio_buffer.speech_started"
                | "input_audio_buffer.speech_stopped"
                | "conversation.item.input_audio_transcription.failed"
        );
        if !known {
            return None;
        }
        let event = ServerEvent::parse(json);
        let item = event.item_id.unwrap_or_default();
        Some(match kind {
            "input_audio_buffer.speech_started" => {
                Speech::Started { item, at_ms: event.audio_start_ms }
            }
            "input_audio_buffer.speech_stopped" => {
                Speech::Stopped { item, at_ms: event.audio_end_ms }
            }
            _ => Speech::Unwritten { item },
        })
    }
}
