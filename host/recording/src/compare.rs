//! Two answers to one event, laid beside each other.
//!
//! **One rule: equal is equal to the byte; only what is not equal is explained.** Two lists of actions that are
//! the same make an empty [`Comparison`]. Otherwise the lists are aligned by kind, so that one action too many
//! shows as one action too many, and each pair is explained in the terms of its kind: audio by how loud the
//! difference is, JSON by the paths that differ, the rest by its text.
//!
//! What is explained quotes the call, so it belongs where recordings may be read, and not into a log.
//!
//! ```
//! use cordboard_call::contract::{Action, AudioFormat, Encoding, Play};
//! use cordboard_recording::AudioFormats;
//! use cordboard_recording::compare::compare;
//!
//! let formats = AudioFormats::new(AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8000, channels: 1 });
//! let hello = |last| Action::Play(Play { item: "greeting".into(), audio: vec![0x8f; 160], last });
//! assert!(compare(&[hello(true)], &[hello(true)], &formats).is_identical());
//!
//! let comparison = compare(&[hello(true)], &[hello(false), Action::Flush], &formats);
//! assert_eq!(comparison.differences.len(), 2);
//! println!("{}", comparison.table(["recorded", "replayed"]));
//! ```

mod align;
mod audio;
mod json;

use std::fmt;

use cordboard_call::contract::{Action, AudioFormat};

pub use audio::AudioDifference;
pub(crate) use audio::{alaw, mulaw};
pub use json::{JsonDifference, PATHS_MAX};

use crate::{AudioFormats, describe};

/// What two answers have not in common, in their order. Empty when they are equal to the byte.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Each difference by itself.
    pub differences: Vec<Difference>,
}

/// One action that differs, or that only one side has.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The action's name as in `wit/tenant.wit`, for example `model-audio`.
    pub kind: &'static str,
    /// The original's action in one line; none when only the other has one here.
    pub original: Option<String>,
    /// The other's action in one line; none when only the original has one here.
    pub other: Option<String>,
    /// How the two differ.
    pub how: How,
}

/// How two actions differ.
#[derive(Debug, Clone, PartialEq)]
pub enum How {
    /// Only one side has it.
    OneSided,
    /// The audio differs, by this much; so may the item's name or its end.
    Audio(AudioDifference),
    /// The JSON differs at these paths, at most [`PATHS_MAX`] of them.
    Json(Vec<JsonDifference>),
    /// The same JSON value in another spelling.
    Spelling,
    /// A field differs; the two texts show it.
    Fields,
}

impl Comparison {
    /// Whether the two answers were equal to the byte.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.differences.is_empty()
    }

    /// How much the audio differs, in all actions that both sides have. None when none differs.
    #[must_use]
    pub fn audio(&self) -> Option<AudioDifference> {
        let each = self.differences.iter().filter_map(|difference| match &difference.how {
            How::Audio(difference) => Some(*difference),
            How::OneSided | How::Json(_) | How::Spelling | How::Fields => None,
        });
        each.reduce(AudioDifference::with)
    }

    /// The differences as a table of two columns under these headings, the explanation below each row.
    #[must_use]
    pub fn table(&self, headings: [&str; 2]) -> String {
        let row = |left: &str, right: &str| {
            let (left, right) = (describe::cut(left, COLUMN), describe::cut(right, COLUMN));
            let pad = COLUMN - left.chars().count();
            format!("{left}{:pad$} | {right}\n", "")
        };
        let mut text = row(headings[0], headings[1]);
        for difference in &self.differences {
            let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            text += &row(&side(&difference.original), &side(&difference.other));
            for line in difference.how.to_string().lines() {
                text += &format!("    {}\n", describe::cut(line, 2 * COLUMN));
            }
        }
        text
    }
}

/// Characters of one column of [`Comparison::table`]: two of them fit a terminal of 120.
const COLUMN: usize = 56;

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The empty column says it.
            Self::OneSided | Self::Fields => Ok(()),
            Self::Audio(difference) => difference.fmt(f),
            Self::Json(paths) => paths.iter().try_for_each(|path| writeln!(f, "{path}")),
            Self::Spelling => f.write_str("the same JSON, spelled differently"),
        }
    }
}

/// Lays the other answer beside the original.
#[must_use]
pub fn compare(original: &[Action], other: &[Action], formats: &AudioFormats) -> Comparison {
    if original == other {
        return Comparison::default();
    }
    let mut differences = Vec::new();
    for pair in align::align(original, other) {
        let (kind, how) = match pair {
            (Some(one), Some(two)) if one == two => continue,
            (Some(one), Some(two)) => (one.kind(), how(one, two, formats)),
            (Some(action), None) | (None, Some(action)) => (action.kind(), How::OneSided),
            (None, None) => continue,
        };
        let line = |action: Option<&Action>| action.map(|action| describe::action(action, formats));
        let (original, other) = (line(pair.0), line(pair.1));
        differences.push(Difference { kind, original, other, how });
    }
    Comparison { differences }
}

/// How two actions of one kind differ that are not equal.
fn how(one: &Action, two: &Action, formats: &AudioFormats) -> How {
    let audio = |one, two, format: AudioFormat| {
        if one == two {
            How::Fields
        } else {
            How::Audio(AudioDifference::between(one, two, format.encoding))
        }
    };
    match (one, two) {
        (Action::Play(one), Action::Play(two)) => {
            audio(&one.audio, &two.audio, formats.to_caller())
        }
        (Action::ModelAudio(one), Action::ModelAudio(two)) => audio(one, two, formats.to_model()),
        (Action::ModelEvent(one), Action::ModelEvent(two)) => json::how(one, two),
        (Action::Publish(one), Action::Publish(two)) if one.topic == two.topic => {
            json::how(&one.json, &two.json)
        }
        _ => How::Fields,
    }
}

#[cfg(test)]
mod tests;
