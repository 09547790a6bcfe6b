//! What was seen in a call, and what a tester wants to know about it.

use serde::Serialize;

use super::line::Spoken;
use super::menu::MenuReport;
use super::playout::{Echo, GAP_SAMPLES_MAX, Span};
use crate::audio::is_audible;

/// A whole call: webhook, documents, streams, end.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CallReport {
    /// `CA` and 32 hex digits.
    pub call_sid: String,
    /// Every request the carrier made for this call, in order.
    pub requests: Vec<Request>,
    /// Every stream, in order; a call updated by REST or `<Redirect>` may have several.
    pub streams: Vec<StreamReport>,
    /// What the carrier filed in its debugger: code and text.
    pub debugger: Vec<DebuggerEntry>,
    /// Verbs that ran beside `<Connect>`, in words.
    pub verbs: Vec<String>,
    /// How the call ended.
    pub end: End,
    /// The step at which the caller's script failed, if it did.
    pub script_failure: Option<String>,
    /// What the menu saw, if one was at the far end.
    pub menu: Option<MenuReport>,
}

impl CallReport {
    /// Returns the only stream, or the last one. Panics with the debugger's entries if there was none: for tests.
    pub fn stream(&self) -> &StreamReport {
        match self.streams.last() {
            Some(stream) => stream,
            None => panic!("no stream was opened: {:?} {:?}", self.requests, self.debugger),
        }
    }

    /// Returns whether `code` was filed.
    pub fn filed(&self, code: u16) -> bool {
        self.debugger.iter().any(|entry| entry.code == code)
    }
}

/// An HTTP request the carrier made.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// What for: `webhook`, `action`, `redirect`, `stream-started`, `stream-stopped`, `stream-error`, `completed`.
    pub purpose: String,
    /// The public URL that was signed.
    pub url: String,
    /// The status, or `None` when nothing answered.
    pub status: Option<u16>,
    /// The content type of the answer.
    pub content_type: Option<String>,
    /// The answer's body, or what went wrong.
    pub body: String,
    /// How long the answer took, in ms.
    pub elapsed_ms: f64,
}

/// Something a customer finds in the carrier's debugger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DebuggerEntry {
    /// The code, such as 31951.
    pub code: u16,
    /// What happened.
    pub text: String,
}

/// How a call ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub enum End {
    /// The call never began, or is still going on.
    #[default]
    Unfinished,
    /// The caller hung up.
    CallerHungUp,
    /// The gateway ended the stream and nothing followed, or a `<Hangup>` did.
    GatewayHungUp,
    /// The gateway ended the call by REST.
    CompletedByRest,
    /// The connection broke.
    Dropped,
    /// `<Reject>`, with its reason.
    Rejected(String),
    /// `<Dial>`: the call left the gateway.
    Dialled(String),
    /// The webhook or its document was of no use.
    WebhookFailed,
}

/// One stream.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StreamReport {
    /// `MZ` and 32 hex digits.
    pub stream_sid: String,
    /// The URL the WebSocket was opened with.
    pub url: String,
    /// The status of a refused upgrade.
    pub refused: Option<u16>,
    /// From the request to 101, in ms.
    pub upgrade_ms: f64,
    /// How the gateway closed, if it did: code and reason.
    pub closed: Option<(u16, String)>,
    /// Every message both ways but media payloads.
    pub messages: Vec<Logged>,
    /// What the caller said, and where on the stream's clock.
    #[serde(skip)]
    pub spoken: Vec<Spoken>,
    /// Stretches of playback.
    #[serde(skip)]
    pub spans: Vec<Span>,
    /// Audible gaps.
    #[serde(skip)]
    pub gaps: Vec<Span>,
    /// Marks as they were echoed.
    #[serde(skip)]
    pub marks: Vec<Echo>,
    /// Names of marks that never came back.
    pub unechoed_marks: Vec<String>,
    /// What the caller heard, 8 kHz mu-law from the start of the stream.
    #[serde(skip)]
    pub heard: Vec<u8>,
    /// What the caller's line carried, same clock.
    #[serde(skip)]
    pub said: Vec<u8>,
    /// Media messages sent.
    pub frames_sent: u64,
    /// Media messages received.
    pub frames_received: u64,
    /// Media bytes received.
    pub bytes_received: u64,
    /// Bytes dropped by `clear` before they were heard.
    pub bytes_cleared: u64,
    /// How a second socket for this call ended, if the script opened one.
    pub second_socket: Option<String>,
}

/// A message and when it passed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Logged {
    /// ms since the stream began.
    pub at_ms: f64,
    /// Who sent it.
    pub from: Side,
    /// What it was.
    pub message: Message,
}

/// An end of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Side {
    /// The carrier, which is this simulator.
    Carrier,
    /// The gateway under test.
    Gateway,
}

/// A message without its audio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Message {
    /// `connected`.
    Connected,
    /// `start`.
    Start,
    /// `media` with so many bytes.
    Media(usize),
    /// `dtmf`.
    Dtmf(char),
    /// `mark`.
    Mark(String),
    /// `clear`.
    Clear,
    /// `stop`.
    Stop,
    /// A message against the rules, and which rule.
    Bad {
        /// The message, cut to 200 characters.
        text: String,
        /// The rule it breaks.
        rule: String,
    },
    /// Something a script sent on purpose.
    Raw(String),
}

/// A caller's turn and the answer to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Turn {
    /// What the caller said.
    pub said: String,
    /// When the caller stopped speaking, in ms.
    pub ended_ms: f64,
    /// When the caller first heard something after that, if it was before the next turn.
    pub answered_ms: Option<f64>,
    /// The time between the two.
    pub latency_ms: Option<f64>,
}

/// A caller who spoke while the other side was speaking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BargeIn {
    /// What the caller said.
    pub said: String,
    /// When the caller began to speak, in ms.
    pub began_ms: f64,
    /// When `clear` arrived, if it did before the old speech ended by itself.
    pub cleared_ms: Option<f64>,
    /// When the last of the interrupted speech was heard, in ms.
    pub silent_ms: f64,
    /// From the first word of the caller to silence.
    pub stop_after_onset_ms: f64,
    /// From `clear` to silence; 0 if the silence came first.
    pub stop_after_clear_ms: Option<f64>,
}

impl StreamReport {
    /// Returns every turn of the caller with its latency.
    pub fn turns(&self) -> Vec<Turn> {
        let next_turns = self.spoken.iter().skip(1).map(|s| s.span.from).chain([u64::MAX]);
        self.spoken
            .iter()
            .zip(next_turns)
            .map(|(spoken, next)| {
                let ended = spoken.span.to;
                let answered = self.first_audible_after(ended).filter(|&at| at < next);
                Turn {
                    said: spoken.name.clone(),
                    ended_ms: ms(ended),
                    answered_ms: answered.map(ms),
                    latency_ms: answered.map(|at| ms(at - ended)),
                }
            })
            .collect()
    }

    /// Returns every interruption with the time the other side took to fall silent.
    pub fn barge_ins(&self) -> Vec<BargeIn> {
        let speech = merged(&self.spans);
        self.spoken
            .iter()
            .filter_map(|spoken| {
                let began = spoken.span.from;
                let over = speech.iter().find(|span| span.from <= began && began < span.to)?;
                // Silence inside the playback after the last word does not count as speech.
                let silent = self.last_audible_before(over.to).filter(|&at| at > began)?;
                let cleared = self
                    .received(|m| matches!(m, Message::Clear))
                    .map(|at_ms| at_ms.at_ms)
                    .find(|&at_ms| at_ms >= ms(began) && at_ms <= ms(over.to) + 100.0);
                Some(BargeIn {
                    said: spoken.name.clone(),
                    began_ms: ms(began),
                    cleared_ms: cleared,
                    silent_ms: ms(silent),
                    stop_after_onset_ms: ms(silent - began),
                    stop_after_clear_ms: cleared.map(|at| (ms(silent) - at).max(0.0)),
                })
            })
            .collect()
    }

    /// Returns when the caller first heard anything, in ms.
    pub fn first_heard_ms(&self) -> Option<f64> {
        self.first_audible_after(0).map(ms)
    }

    /// Returns how much audible audio the caller heard, in ms, counted in steps of 20.
    pub fn heard_ms(&self) -> u64 {
        self.heard.chunks(160).filter(|frame| is_audible(frame)).count() as u64 * 20
    }

    /// Returns the messages from the gateway that `wanted` picks.
    pub fn received(&self, wanted: impl Fn(&Message) -> bool) -> impl Iterator<Item = &Logged> {
        self.messages.iter().filter(move |m| m.from == Side::Gateway && wanted(&m.message))
    }

    fn first_audible_after(&self, from: u64) -> Option<u64> {
        let heard = self.heard.get(from as usize..)?;
        let frame = heard.chunks(80).position(is_audible)?;
        Some(from + frame as u64 * 80)
    }

    fn last_audible_before(&self, to: u64) -> Option<u64> {
        let heard = self.heard.get(..(to as usize).min(self.heard.len()))?;
        let from_end = heard.rchunks(80).position(is_audible)?;
        Some(heard.len() as u64 - from_end as u64 * 80)
    }
}

/// Returns stretches of playback with gaps closed, so that an underrun does not look like the end of an answer.
fn merged(spans: &[Span]) -> Vec<Span> {
    let mut merged: Vec<Span> = Vec::new();
    for &span in spans {
        match merged.last_mut() {
            Some(last) if span.from - last.to <= GAP_SAMPLES_MAX / 2 => last.to = span.to,
            _ => merged.push(span),
        }
    }
    merged
}

fn ms(samples: u64) -> f64 {
    samples as f64 / 8.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{SILENCE, tone, ulaw_encode};

    #[test]
    fn latency_counts_from_the_last_word_to_the_first_sound() {
        let report = stream(&[(0, 8000), (24_000, 32_000)], &[("a", 10_000, 20_000)]);
        let turns = report.turns();
        assert_eq!(turns.len(), 1);
        assert_eq!(turns[0].ended_ms, 2500.0);
        assert_eq!(turns[0].latency_ms, Some(500.0));
        assert_eq!(report.barge_ins(), []);
    }

    #[test]
    fn a_barge_in_ends_when_the_old_speech_is_silent() {
        let mut report = stream(&[(0, 9000)], &[("no", 8000, 16_000)]);
        report.messages.push(Logged {
            at_ms: 1120.0,
            from: Side::Gateway,
            message: Message::Clear,
        });
        let barge_ins = report.barge_ins();
        assert_eq!(barge_ins.len(), 1);
        assert_eq!(barge_ins[0].cleared_ms, Some(1120.0));
        assert!((barge_ins[0].stop_after_onset_ms - 125.0).abs() <= 10.0, "{barge_ins:?}");
        assert!(barge_ins[0].stop_after_clear_ms.unwrap() <= 10.0);
    }

    fn stream(audible: &[(u64, u64)], spoken: &[(&str, u64, u64)]) -> StreamReport {
        let mut heard = vec![SILENCE; 40_000];
        for &(from, to) in audible {
            let loud = tone(300.0, 8000, ((to - from) / 8) as u32);
            for (n, sample) in loud.into_iter().enumerate() {
                heard[from as usize + n] = ulaw_encode(sample);
            }
        }
        StreamReport {
            heard,
            spans: audible.iter().map(|&(from, to)| Span { from, to }).collect(),
            spoken: spoken
                .iter()
                .map(|&(name, from, to)| Spoken { name: name.into(), span: Span { from, to } })
                .collect(),
            ..StreamReport::default()
        }
    }
}
