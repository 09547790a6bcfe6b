//! The settings of the default tenant: every key, its values, and what is wrong with others.
//!
//! The table in `guest/README.md` is this module in prose; a test keeps the two together.

use std::fmt;

use cordboard_sdk::{
    Audio, Greeting, Idle, NoiseReduction, Session, Tool, Transcription, TurnDetection, Voice,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Settings, read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// The agent on the line.
    pub session: Session,
    /// What happens to the caller's keys.
    pub keys: Keys,
}

/// What happens to the caller's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keys {
    /// The model is told, once the caller has finished typing.
    #[default]
    Tell,
    /// Nothing.
    Ignore,
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, with dots and indices for what is inside; empty when it is the whole.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "settings: {}", self.message),
            key => write!(f, "settings.{key}: {}", self.message),
        }
    }
}

/// Every key there is, in the order of the README's table.
pub const KEYS: [&str; 17] = [
    "instructions",
    "voice",
    "greeting",
    "greeting_prompt",
    "turn_detection",
    "transcription",
    "noise_reduction",
    "tools",
    "temperature",
    "max_output_tokens",
    "speed",
    "audio",
    "resampler",
    "barge_in",
    "idle",
    "keys",
    "comment",
];

/// Checks settings before they answer a call: for `doctor`, `deploy` and tests.
///
/// # Errors
///
/// Every problem, not only the first.
pub fn check(json: &str) -> Result<Settings, Vec<Problem>> {
    let (settings, problems) = read(json);
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

/// Reads what can be read; what cannot keeps its default and is a [`Problem`].
pub fn read(json: &str) -> (Settings, Vec<Problem>) {
    let mut reader = Reader { settings: Settings::default(), problems: Vec::new() };
    if json.trim().is_empty() {
        return (reader.settings, reader.problems);
    }
    match serde_json::from_str::<Map<String, Value>>(json) {
        Ok(keys) => keys.into_iter().for_each(|(key, value)| reader.key(&key, value)),
        Err(error) => reader.problem("", &format!("not a JSON object: {error}")),
    }
    reader.finish()
}

struct Reader {
    settings: Settings,
    problems: Vec<Problem>,
}

impl Reader {
    fn key(&mut self, key: &str, value: Value) {
        match key {
            "instructions" => {
                if let Some(text) = self.text(key, value) {
                    self.settings.session.instructions = text;
                }
            }
            "voice" => self.voice(value),
            "greeting" => match value {
                // `false` and `null` both mean that the caller speaks first.
                Value::Null | Value::Bool(false) => self.settings.session.greeting = None,
                value => {
                    if let Some(words) = self.text(key, value) {
                        self.settings.session.greeting = Some(Greeting::Say(words));
                    }
                }
            },
            "greeting_prompt" => {
                if let Some(prompt) = self.text(key, value) {
                    self.settings.session.greeting = Some(Greeting::Prompt(prompt));
                }
            }
            "turn_detection" => {
                if let Some(turns) = self.typed::<Option<TurnDetection>>(key, value) {
                    match turns.as_ref().map_or(Ok(()), TurnDetection::check) {
                        Ok(()) => self.settings.session.turn_detection = turns,
                        Err(message) => self.problem(key, &message),
                    }
                }
            }
            "transcription" => {
                if let Some(transcription) = self.typed::<Option<Transcription>>(key, value) {
                    self.settings.session.transcription = transcription;
                }
            }
            "noise_reduction" => {
                if let Some(kind) = self.typed::<Option<NoiseReduction>>(key, value) {
                    self.settings.session.noise_reduction = kind;
                }
            }
            "tools" => self.tools(value),
            "temperature" => {
                self.settings.session.temperature = self.number(key, value, 0.6, 1.2);
            }
            "speed" => self.settings.session.speed = self.number(key, value, 0.25, 1.5),
            "max_output_tokens" => self.max_output_tokens(value),
            "audio" => {
                if let Some(audio) = self.typed::<Audio>(key, value) {
                    self.settings.session.audio = audio;
                }
            }
            "resampler" => self.resampler(value),
            "barge_in" => {
                if let Some(barge_in) = self.typed::<bool>(key, value) {
                    self.settings.session.barge_in = barge_in;
                }
            }
            "idle" => {
                if let Some(idle) = self.typed::<Option<Idle>>(key, value) {
                    self.settings.session.idle = idle;
                }
            }
            "keys" => match value.as_str() {
                Some("tell") => self.settings.keys = Keys::Tell,
                Some("ignore") => self.settings.keys = Keys::Ignore,
                _ => self.problem(key, "must be \"tell\" or \"ignore\""),
            },
            "comment" => {}
            _ => self.unknown(key),
        }
    }

    fn voice(&mut self, value: Value) {
        match &value {
            Value::String(name) => match Voice::named(name) {
                Ok(voice) => self.settings.session.voice = voice,
                Err(error) => self.problem("voice", &error.to_string()),
            },
            Value::Object(object) if object.len() == 1 => match object.get("id") {
                Some(Value::String(id)) => self.settings.session.voice = Voice::custom(id),
                _ => self.problem("voice", "an object must be {\"id\": \"voice_...\"}"),
            },
            _ => self.problem("voice", "must be a name or {\"id\": \"voice_...\"}"),
        }
    }

    fn tools(&mut self, value: Value) {
        let Some(list) = self.typed::<Vec<Value>>("tools", value) else { return };
        for (at, value) in list.into_iter().enumerate() {
            let key = format!("tools.{at}");
            let Some(tool) = self.typed::<Tool>(&key, value) else { continue };
            let settled = tool.check().and_then(|()| match (&tool.url, tool.does) {
                (None, None) => Err("does nothing: give it a `url` or `does`".to_owned()),
                _ => Ok(()),
            });
            let twice = self.settings.session.tools.iter().any(|known| known.name == tool.name);
            match settled {
                Ok(()) if twice => self.problem(&key, "has a name that another tool has"),
                Ok(()) => self.settings.session.tools.push(tool),
                Err(message) => self.problem(&key, &message),
            }
        }
    }

    fn max_output_tokens(&mut self, value: Value) {
        match (value.as_str(), value.as_u64()) {
            (Some("inf"), _) => self.settings.session.max_output_tokens = None,
            (_, Some(tokens @ 1..=4_096)) => {
                self.settings.session.max_output_tokens = Some(tokens as u32);
            }
            _ => self.problem("max_output_tokens", "must be 1 to 4096 or \"inf\""),
        }
    }

    fn resampler(&mut self, value: Value) {
        let Some(keys) = self.typed::<Map<String, Value>>("resampler", value) else { return };
        for (key, value) in keys {
            let name = value.as_str().unwrap_or_default();
            let refused = match key.as_str() {
                "profile" => match name.parse() {
                    Ok(profile) => {
                        self.settings.session.profile = profile;
                        None
                    }
                    Err(_) => Some("must be \"flat\", \"strict\" or \"lowlat\""),
                },
                "path" => match name.parse() {
                    Ok(path) => {
                        self.settings.session.path = path;
                        None
                    }
                    Err(_) => Some("must be \"direct\" or \"via16k\""),
                },
                _ => Some("is no key; there are `profile` and `path`"),
            };
            if let Some(message) = refused {
                self.problem(&format!("resampler.{key}"), message);
            }
        }
    }

    fn text(&mut self, key: &str, value: Value) -> Option<String> {
        match value {
            Value::String(text) if !text.trim().is_empty() => Some(text),
            Value::String(_) => {
                self.problem(key, "is empty");
                None
            }
            _ => {
                self.problem(key, "must be a text");
                None
            }
        }
    }

    fn number(&mut self, key: &str, value: Value, min: f64, max: f64) -> Option<f64> {
        let number = value.as_f64().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.problem(key, &format!("must be a number from {min} to {max}"));
        }
        number
    }

    fn typed<T: DeserializeOwned>(&mut self, key: &str, value: Value) -> Option<T> {
        serde_json::from_value(value).map_err(|error| self.problem(key, &error.to_string())).ok()
    }

    fn unknown(&mut self, key: &str) {
        let nearest = KEYS.iter().find(|known| strsim::levenshtein(known, key) <= 2);
        match nearest {
            Some(known) => self.problem(key, &format!("is no key; do you mean `{known}`?")),
            None => self.problem(key, &format!("is no key; there are {}", KEYS.join(", "))),
        }
    }

    fn problem(&mut self, key: &str, message: &str) {
        self.problems.push(Problem { key: key.to_owned(), message: message.to_owned() });
    }

    fn finish(self) -> (Settings, Vec<Problem>) {
        (self.settings, self.problems)
    }
}

#[cfg(test)]
mod tests {
    use cordboard_sdk::{NoiseReduction, Path, Profile};
    use serde_json::json;

    use super::*;

    fn problems(json: Value) -> Vec<String> {
        let problems = check(&json.to_string()).expect_err("something is wrong");
        problems.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn nothing_set_is_a_working_agent() {
        for nothing in ["", "  ", "{}"] {
            let settings = check(nothing).unwrap();
            assert_eq!(settings, Settings::default());
            assert!(settings.session.greeting.is_some());
        }
    }

    #[test]
    fn every_key_is_read() {
        let settings = check(
            &json!({
                "comment": "the shop in Main Street",
                "instructions": "Sell flowers.",
                "voice": "friendly_male",
                "greeting": "Flowers!",
                "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
                "transcription": {"model": "whisper-1", "language": "de"},
                "noise_reduction": "near_field",
                "tools": [
                    {"name": "stock", "url": "https://shop.example/stock", "hold_phrase": "One moment."},
                    {"name": "bye", "does": "hang_up"},
                ],
                "temperature": 0.8,
                "max_output_tokens": 500,
                "speed": 1.1,
                "audio": "pcmu",
                "resampler": {"profile": "strict", "path": "via16k"},
                "barge_in": false,
                "idle": {"nudge_after_ms": 8000},
                "keys": "ignore",
            })
            .to_string(),
        )
        .unwrap();
        let session = settings.session;
        assert_eq!(session.instructions, "Sell flowers.");
        assert_eq!(session.voice, Voice::named("friendly_male").unwrap());
        assert_eq!(session.greeting, Some(Greeting::Say("Flowers!".into())));
        assert!(matches!(session.turn_detection, Some(TurnDetection::SemanticVad { .. })));
        assert_eq!(session.transcription.unwrap().language.as_deref(), Some("de"));
        assert_eq!(session.noise_reduction, Some(NoiseReduction::NearField));
        assert_eq!(session.tools.len(), 2);
        assert_eq!(session.temperature, Some(0.8));
        assert_eq!(session.max_output_tokens, Some(500));
        assert_eq!(session.speed, Some(1.1));
        assert_eq!(session.audio, Audio::Pcmu);
        assert_eq!((session.profile, session.path), (Profile::Strict, Path::Via16k));
        assert!(!session.barge_in);
        assert_eq!(session.idle.unwrap().nudge_after_ms, 8_000);
        assert_eq!(settings.keys, Keys::Ignore);
    }

    #[test]
    fn null_turns_off_what_can_be_turned_off() {
        let settings = check(
            r#"{"greeting": null, "turn_detection": null, "transcription": null,
                "noise_reduction": null, "idle": null}"#,
        )
        .unwrap();
        let session = settings.session;
        assert_eq!(session.greeting, None);
        assert_eq!(session.turn_detection, None);
        assert_eq!(session.transcription, None);
    }

    #[test]
    fn a_misspelt_key_is_named_with_the_right_one() {
        let [problem] = &problems(json!({"instrctions": "x"}))[..] else { panic!("one problem") };
        assert!(problem.contains("instrctions") && problem.contains("`instructions`"), "{problem}");
        let [problem] = &problems(json!({"shoe_size": 44}))[..] else { panic!("one problem") };
        assert!(problem.contains("shoe_size") && problem.contains("noise_reduction"), "{problem}");
    }

    #[test]
    fn each_wrong_value_names_its_key() {
        for (settings, key) in [
            (json!({"instructions": 5}), "instructions"),
            (json!({"instructions": " "}), "instructions"),
            (json!({"voice": "nova"}), "voice"),
            (json!({"voice": {"name": "x"}}), "voice"),
            (json!({"voice": 1}), "voice"),
            (json!({"greeting": 1}), "greeting"),
            (json!({"greeting_prompt": ""}), "greeting_prompt"),
            (json!({"turn_detection": {"type": "server_vad", "treshold": 0.5}}), "turn_detection"),
            (json!({"turn_detection": {"type": "server_vad", "threshold": 7}}), "turn_detection"),
            (json!({"transcription": {"modell": "x"}}), "transcription"),
            (json!({"noise_reduction": "loud"}), "noise_reduction"),
            (json!({"tools": {}}), "tools"),
            (json!({"tools": [{"name": "idle_one"}]}), "tools.0"),
            (
                json!({"tools": [{"name": "a", "does": "hang_up"}, {"name": "a", "does": "hang_up"}]}),
                "tools.1",
            ),
            (json!({"tools": [{"name": "a", "does": "dance"}]}), "tools.0"),
            (json!({"tools": [{"name": "a", "does": "transfer"}]}), "tools.0"),
            (json!({"tools": [{"name": "a", "does": "transfer", "to": 5}]}), "tools.0"),
            (json!({"temperature": 3}), "temperature"),
            (json!({"max_output_tokens": 0}), "max_output_tokens"),
            (json!({"speed": "fast"}), "speed"),
            (json!({"audio": "mp3"}), "audio"),
            (json!({"resampler": {"profile": "best"}}), "resampler.profile"),
            (json!({"resampler": {"quality": 1}}), "resampler.quality"),
            (json!({"barge_in": "yes"}), "barge_in"),
            (json!({"idle": {}}), "idle"),
            (json!({"keys": "sing"}), "keys"),
        ] {
            let found = check(&settings.to_string()).expect_err("something is wrong");
            assert_eq!(found.len(), 1, "{settings}: {found:?}");
            assert_eq!(found[0].key, key, "{settings}");
            assert!(!found[0].message.is_empty());
        }
    }

    #[test]
    fn what_is_right_is_kept_beside_what_is_wrong() {
        let (settings, problems) =
            read(r#"{"instructions": "Sell flowers.", "voice": "nova", "color": "red"}"#);
        assert_eq!(settings.session.instructions, "Sell flowers.");
        assert_eq!(settings.session.voice, Voice::default());
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn no_json_at_all_is_said_so() {
        for json in ["nonsense", "[1]", "{\"a\":", "null"] {
            let problems = check(json).unwrap_err();
            assert!(problems[0].to_string().contains("not a JSON object"), "{}", problems[0]);
        }
    }

    #[test]
    fn the_readme_has_a_row_for_every_key_and_no_other() {
        let readme = include_str!("../README.md");
        let rows: Vec<&str> = readme
            .lines()
            .skip_while(|line| !line.starts_with("| key |"))
            .skip(2)
            .take_while(|line| line.starts_with("| `"))
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        assert_eq!(rows, KEYS);
    }
}
