//! Which voices there are, and the names by which people prefer one.

use serde_json::{Value, json};

use crate::Dialect;

/// The voices of the Realtime API. Text-to-speech voices (`fable`, `onyx`, `nova`) are not among
/// them: a realtime session answers those with noise instead of an error.
pub const VOICES: [&str; 10] =
    ["alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse"];

/// The voices that servers of the beta dialect do not have.
const GA_ONLY: [&str; 2] = ["cedar", "marin"];

/// Names for a kind of voice: `(name, GA voice, beta voice)`.
const PREFERENCES: [(&str, &str, &str); 4] = [
    ("professional_female", "marin", "sage"),
    ("professional_male", "cedar", "ash"),
    ("friendly_female", "coral", "coral"),
    ("friendly_male", "verse", "verse"),
];

/// A voice that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Named { ga: &'static str, beta: &'static str },
    Custom(String),
}

/// A name that is no voice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVoice(String);

impl std::fmt::Display for UnknownVoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let preferences: Vec<_> = PREFERENCES.iter().map(|(name, ..)| *name).collect();
        write!(
            f,
            "{:?} is not a voice; use one of {}, or by preference {}",
            self.0,
            VOICES.join(", "),
            preferences.join(", ")
        )
    }
}

impl std::error::Error for UnknownVoice {}

impl Voice {
    /// A voice by its own name or by a preference such as `professional_female`.
    ///
    /// # Errors
    ///
    /// [`UnknownVoice`] lists what there is.
    pub fn named(name: &str) -> Result<Voice, UnknownVoice> {
        if let Some((_, ga, beta)) = PREFERENCES.iter().find(|(known, ..)| *known == name) {
            return Ok(Voice(Kind::Named { ga, beta }));
        }
        match VOICES.iter().find(|known| **known == name) {
            Some(ga) if GA_ONLY.contains(ga) => {
                Ok(Voice(Kind::Named { ga, beta: if *ga == "marin" { "sage" } else { "ash" } }))
            }
            Some(ga) => Ok(Voice(Kind::Named { ga, beta: ga })),
            None => Err(UnknownVoice(name.to_owned())),
        }
    }

    /// A voice made for one account, by its `voice_...` id.
    pub fn custom(id: &str) -> Voice {
        Voice(Kind::Custom(id.to_owned()))
    }

    pub(crate) fn json(&self, dialect: Dialect) -> Value {
        match (&self.0, dialect) {
            (Kind::Named { ga, .. }, Dialect::Ga) => json!(ga),
            (Kind::Named { beta, .. }, Dialect::Beta) => json!(beta),
            (Kind::Custom(id), Dialect::Ga) => json!({"id": id}),
            (Kind::Custom(id), Dialect::Beta) => json!(id),
        }
    }
}

impl Default for Voice {
    fn default() -> Voice {
        Voice::named("marin").expect("marin is in the list")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_name_real_voices_of_each_dialect() {
        for (name, ..) in PREFERENCES {
            let voice = Voice::named(name).unwrap();
            let ga = voice.json(Dialect::Ga);
            let beta = voice.json(Dialect::Beta);
            assert!(VOICES.contains(&ga.as_str().unwrap()), "{name} -> {ga}");
            assert!(VOICES.contains(&beta.as_str().unwrap()), "{name} -> {beta}");
            assert!(!GA_ONLY.contains(&beta.as_str().unwrap()), "{name} -> {beta}");
        }
    }

    #[test]
    fn a_text_to_speech_voice_is_refused_with_the_list() {
        let error = Voice::named("nova").unwrap_err().to_string();
        assert!(error.contains("nova") && error.contains("marin"), "{error}");
        assert!(error.contains("friendly_male"), "{error}");
    }

    #[test]
    fn a_custom_voice_is_sent_by_id() {
        assert_eq!(Voice::custom("voice_1").json(Dialect::Ga), json!({"id": "voice_1"}));
    }
}
