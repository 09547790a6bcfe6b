//! The file that describes a menu, and what is wrong with it.
//!
//! One rule: a [`Menu`] that exists can be played. Every place a key leads to is there, and everything that is said has a sound.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::audio::wav;
use crate::carrier::Utterance;
use crate::voice::{self, Speaker};

/// Places in one menu: more is a mistake, or a machine's work.
const PLACES_MAX: usize = 200;
/// Characters of one announcement: about a minute of speech.
const WORDS_MAX: usize = 1000;
/// Nobody tests with a longer wait than this, in ms: ten minutes.
const WAIT_MS_MAX: u64 = 600_000;

/// A telephone menu.
#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
    /// The place every call begins at.
    pub start: String,
    /// Everything a caller can be at.
    pub places: BTreeMap<String, Place>,
    /// How long after an announcement a key is waited for, in ms.
    pub timeout_ms: u64,
    /// Said when none came.
    pub no_input: String,
    /// Said when a key means nothing here.
    pub invalid: String,
    /// So many failures in a row, and the menu says goodbye and hangs up.
    pub attempts: u32,
    /// The last words of a menu that gives up.
    pub farewell: String,
    /// Recordings, by the words they are of.
    sounds: BTreeMap<String, Vec<u8>>,
}

/// Somewhere a caller can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Announces and takes a key.
    Menu(Prompt),
    /// Lets the caller wait.
    Hold(Hold),
    /// Somebody answers.
    Person(Person),
}

/// `[menus.NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// The announcement.
    pub say: String,
    /// Where each key leads.
    pub keys: BTreeMap<char, String>,
}

/// `[holds.NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Said first.
    pub say: String,
    /// How long the music lasts altogether, without what is said in between, in ms.
    pub lasts_ms: u64,
    /// Said again and again.
    pub announce: Option<String>,
    /// How much music there is between two announcements, in ms.
    #[serde(default = "announce_every_ms")]
    pub announce_every_ms: u64,
    /// Where it goes on.
    pub then: String,
}

/// `[people.NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The conversation: this person's lines and, in between, the caller's. The person waits for something to be said
    /// after each of their own; the caller's are what a simulated model says.
    pub lines: Vec<String>,
    /// How long the person waits for an answer, in ms, before asking once more and then hanging up.
    #[serde(default = "patience_ms")]
    pub patience_ms: u64,
}

impl Place {
    fn said(&self) -> Vec<(&str, Speaker)> {
        match self {
            Self::Menu(prompt) => vec![(prompt.say.as_str(), Speaker::Recording)],
            Self::Hold(hold) => std::iter::once(hold.say.as_str())
                .chain(hold.announce.as_deref())
                .map(|words| (words, Speaker::Recording))
                .collect(),
            Self::Person(person) => std::iter::once(Person::HELLO)
                .chain(person.own())
                .map(|words| (words, Speaker::Person))
                .collect(),
        }
    }
}

impl Person {
    /// What a person says into a silence.
    pub const HELLO: &'static str = "Hello? Is anybody there?";

    /// This person's own lines.
    pub fn own(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().step_by(2).map(String::as_str)
    }

    /// Each of this person's lines with what the caller answers.
    pub fn exchanges(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.lines.chunks(2).map(|pair| (pair[0].as_str(), pair.get(1).map(String::as_str)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    start: String,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
    #[serde(default = "no_input")]
    no_input: String,
    #[serde(default = "invalid")]
    invalid: String,
    #[serde(default = "attempts")]
    attempts: u32,
    #[serde(default = "farewell")]
    farewell: String,
    #[serde(default)]
    menus: BTreeMap<String, Prompt>,
    #[serde(default)]
    holds: BTreeMap<String, Hold>,
    #[serde(default)]
    people: BTreeMap<String, Person>,
    #[serde(default)]
    sounds: BTreeMap<String, PathBuf>,
}

fn timeout_ms() -> u64 {
    4000
}

fn no_input() -> String {
    "I did not get that.".into()
}

fn invalid() -> String {
    "That is not a valid option.".into()
}

fn attempts() -> u32 {
    3
}

fn farewell() -> String {
    "Goodbye.".into()
}

fn announce_every_ms() -> u64 {
    4000
}

fn patience_ms() -> u64 {
    5000
}

impl Menu {
    /// Reads a menu from a file; recordings are named relative to it.
    ///
    /// # Errors
    /// The file is not there, is no TOML of this form, or describes a menu nobody could play.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let home = path.parent().unwrap_or(Path::new("."));
        Self::with_sounds(&text, home).with_context(|| format!("{name} is no menu"))
    }

    /// Reads a menu from text; recordings are named relative to the working directory.
    ///
    /// # Errors
    /// As for [`Menu::read`].
    pub fn parse(text: &str) -> Result<Self> {
        Self::with_sounds(text, Path::new("."))
    }

    fn with_sounds(text: &str, home: &Path) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let mut places = BTreeMap::new();
        let parts = file.menus.into_iter().map(|(name, it)| (name, Place::Menu(it)));
        let parts = parts.chain(file.holds.into_iter().map(|(name, it)| (name, Place::Hold(it))));
        let parts =
            parts.chain(file.people.into_iter().map(|(name, it)| (name, Place::Person(it))));
        for (name, place) in parts {
            if places.insert(name.clone(), place).is_some() {
                bail!("two places are called `{name}`; each needs a name of its own");
            }
        }
        let mut sounds = BTreeMap::new();
        for (words, recording) in file.sounds {
            sounds.insert(words, wav::read_as_ulaw(&home.join(recording))?);
        }
        let menu = Self {
            start: file.start,
            places,
            timeout_ms: file.timeout_ms,
            no_input: file.no_input,
            invalid: file.invalid,
            attempts: file.attempts,
            farewell: file.farewell,
            sounds,
        };
        menu.check()?;
        Ok(menu)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.places.len() <= PLACES_MAX, "more than {PLACES_MAX} places");
        ensure!(self.attempts > 0, "`attempts` is 0, so nobody would ever be asked");
        ensure!(self.timeout_ms <= WAIT_MS_MAX, "`timeout_ms` is more than {WAIT_MS_MAX}");
        let there = |name: &str, from: &str| {
            ensure!(self.places.contains_key(name), "{from} leads to `{name}`, which is nowhere");
            Ok(())
        };
        there(&self.start, "`start`")?;
        for (name, place) in &self.places {
            match place {
                Place::Menu(prompt) => {
                    for (key, target) in &prompt.keys {
                        ensure!(
                            "0123456789*#ABCD".contains(*key),
                            "menu `{name}`: there is no key `{key}` on a telephone"
                        );
                        there(target, &format!("menu `{name}`, key {key},"))?;
                    }
                }
                Place::Hold(hold) => {
                    there(&hold.then, &format!("hold `{name}`"))?;
                    ensure!(
                        hold.lasts_ms <= WAIT_MS_MAX && hold.announce_every_ms > 0,
                        "hold `{name}`: `lasts_ms` is at most {WAIT_MS_MAX}, `announce_every_ms` at least 1"
                    );
                }
                Place::Person(person) => ensure!(
                    !person.lines.is_empty() && person.patience_ms <= WAIT_MS_MAX,
                    "person `{name}`: there must be a first line, and `patience_ms` of at most {WAIT_MS_MAX}"
                ),
            }
        }
        for (words, _) in self.said() {
            ensure!(words.len() <= WORDS_MAX, "more than {WORDS_MAX} characters: {words}");
            ensure!(
                !self.utterance(words, Speaker::Recording).ulaw.is_empty(),
                "`{words}` has no sound"
            );
        }
        for words in self.sounds.keys() {
            let said = self.said().any(|(other, _)| other == words);
            ensure!(said, "there is a recording of `{words}`, but nobody says that");
        }
        Ok(())
    }

    /// Returns everything the far end can say, and who says it.
    pub fn said(&self) -> impl Iterator<Item = (&str, Speaker)> {
        let of_menu = [&self.no_input, &self.invalid, &self.farewell];
        let of_menu = of_menu.into_iter().map(|words| (words.as_str(), Speaker::Recording));
        of_menu.chain(self.places.values().flat_map(Place::said))
    }

    /// Returns words as they sound here: recorded, or in the simulator's voice.
    pub fn utterance(&self, words: &str, speaker: Speaker) -> Utterance {
        let ulaw = match self.sounds.get(words) {
            Some(recorded) => recorded.clone(),
            None => voice::say_ulaw(speaker, words),
        };
        Utterance { name: words.to_owned(), ulaw: ulaw.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MENU: &str = r#"
start = "main"
[menus.main]
say = "For billing, press 2."
keys = { 2 = "maria" }
[people.maria]
lines = ["Hello, this is Maria.", "Good morning.", "Goodbye."]
"#;

    #[test]
    fn everything_that_can_be_said_is_known_with_its_speaker() {
        let menu = Menu::parse(MENU).unwrap();
        let said: Vec<_> = menu.said().collect();
        assert!(said.contains(&("For billing, press 2.", Speaker::Recording)));
        assert!(said.contains(&("Goodbye.", Speaker::Person)));
        assert!(said.contains(&(Person::HELLO, Speaker::Person)));
        assert!(!said.iter().any(|(words, _)| *words == "Good morning."), "that is the caller's");
    }

    #[test]
    fn a_mistake_is_named() {
        for (from, to, complaint) in [
            ("2 = \"maria\"", "2 = \"mario\"", "menu `main`, key 2, leads to `mario`"),
            ("2 = \"maria\"", "E = \"maria\"", "no key `E`"),
            ("start = \"main\"", "start = \"home\"", "`home`, which is nowhere"),
            ("For billing, press 2.", "...", "`...` has no sound"),
            ("say =", "says =", "unknown field `says`"),
            ("start = \"main\"", "start = \"main\"\nattempts = 0", "nobody would ever be asked"),
            ("[people.maria]", "[people.main]", "two places are called `main`"),
            (", \"Good morning.\", \"Goodbye.\"]", "]\n[sounds]\n\"Hi\" = \"x.wav\"", "x.wav"),
        ] {
            assert!(MENU.contains(from), "{from}");
            let error = Menu::parse(&MENU.replace(from, to)).unwrap_err();
            assert!(format!("{error:#}").contains(complaint), "{error:#}");
        }
    }

    #[test]
    fn a_recording_takes_the_place_of_the_voice() {
        let folder = tempfile::tempdir().unwrap();
        wav::write_call(&folder.path().join("maria.wav"), &[0x10; 400], &[0x10; 400]).unwrap();
        let path = folder.path().join("menu.toml");
        let recorded = format!("{MENU}[sounds]\n\"Hello, this is Maria.\" = \"maria.wav\"\n");
        std::fs::write(&path, recorded).unwrap();
        let menu = Menu::read(&path).unwrap();
        assert_eq!(menu.utterance("Hello, this is Maria.", Speaker::Person).ulaw.len(), 400);
        std::fs::write(&path, MENU.replace("main", "x")).unwrap();
        assert!(Menu::read(&path).is_ok());
    }
}
