//! Who said what, as the model understood it.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use cordboard_call::contract::{Event, Millis};
use serde::Serialize;
use serde_json::Value;

use crate::hearing::Hearing;
use crate::instance_trace::Turn;

/// What was said, in the order it began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript(pub Vec<Line>);

/// One thing somebody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it began, in milliseconds of the call.
    pub from_ms: Millis,
    /// When it ended, or was cut off.
    pub to_ms: Millis,
    /// Who said it.
    pub speaker: Speaker,
    /// What.
    pub text: String,
    /// The caller did not hear the end of it.
    pub cut: bool,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// Who is on the telephone.
    Caller,
    /// The model.
    Agent,
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
        })
    }
}

impl Transcript {
    /// Collects it from the model's events. The caller's times are those of the model's turn detection, the agent's
    /// those of its audio.
    #[must_use]
    pub fn of(turns: &[Turn<'_>], hearing: &Hearing) -> Self {
        let mut speech: HashMap<String, (Millis, Millis)> = HashMap::new();
        let mut lines = Vec::new();
        for turn in turns {
            let Event::ModelEvent(json) = turn.event else { continue };
            let Ok(event) = serde_json::from_str::<Value>(json) else { continue };
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let item = text("item_id");
            match event["type"].as_str().unwrap_or_default() {
                "input_audio_buffer.speech_started" => {
                    speech.insert(item, (turn.now, turn.now));
                }
                "input_audio_buffer.speech_stopped" => {
                    speech.entry(item).or_insert((turn.now, turn.now)).1 = turn.now;
                }
                "conversation.item.input_audio_transcription.completed" => {
                    let (from_ms, to_ms) = *speech.get(&item).unwrap_or(&(turn.now, turn.now));
                    let (speaker, text) = (Speaker::Caller, text("transcript"));
                    lines.push(Line { from_ms, to_ms, speaker, text, cut: false });
                }
                "response.output_audio_transcript.done" | "response.output_text.done" => {
                    let mut of_item = hearing.items.iter().filter(|heard| heard.name == item);
                    let first = of_item.next();
                    let from_ms = first.map_or(turn.now, |heard| heard.from);
                    let last = of_item.next_back().or(first);
                    let to_ms = last.map_or(turn.now, |heard| heard.to);
                    let said = event["transcript"].as_str().or(event["text"].as_str());
                    lines.push(Line {
                        from_ms,
                        to_ms,
                        speaker: Speaker::Agent,
                        text: said.unwrap_or_default().to_owned(),
                        cut: last.is_some_and(|heard| heard.cut),
                    });
                }
                _ => {}
            }
        }
        lines.sort_by_key(|line| line.from_ms);
        Self(lines)
    }

    /// As text, a line each: `00:01.250 caller: Are you open on Saturday?`
    #[must_use]
    pub fn text(&self) -> String {
        let line = |line: &Line| {
            let cut = if line.cut { " [cut off]" } else { "" };
            format!("{} {}: {}{cut}\n", clock(line.from_ms), line.speaker, one_line(&line.text))
        };
        self.0.iter().map(line).collect()
    }

    /// As a JSON array.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(&self.0).expect("numbers and strings are JSON") + "\n"
    }

    /// As WebVTT, with a voice for each speaker.
    #[must_use]
    pub fn web_vtt(&self) -> String {
        let mut text = "WEBVTT\n".to_owned();
        for line in &self.0 {
            // A cue has to last; what lasted no time is shown for a second.
            let to = if line.to_ms > line.from_ms {
                line.to_ms
            } else {
                line.from_ms.saturating_add(1_000)
            };
            let said = one_line(&line.text).replace('&', "&amp;").replace('<', "&lt;");
            let said = said.replace('>', "&gt;");
            let (from, to, who) = (clock(line.from_ms), clock(to), line.speaker);
            write!(text, "\n{from} --> {to}\n<v {who}>{said}\n").expect("a String takes all");
        }
        text
    }
}

/// Minutes, seconds and thousandths, with hours where there are any.
fn clock(at: Millis) -> String {
    let (hours, minutes, seconds) = (at / 3_600_000, at / 60_000 % 60, at / 1_000 % 60);
    let hours = if hours > 0 { format!("{hours:02}:") } else { String::new() };
    format!("{hours}{minutes:02}:{seconds:02}.{:03}", at % 1_000)
}

/// Somebody's words without anything that moves a cursor or ends a cue.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
