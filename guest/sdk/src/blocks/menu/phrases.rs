//! The words of telephone menus, as data: English here, any other language by the author.

use serde::{Deserialize, Serialize};

use crate::blocks::Phrases;

/// The words by which a menu is understood. Small letters; what is missing in a JSON form is English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MenuWords {
    /// Verbs that come before a key: "press".
    pub press: Vec<String>,
    /// What may stand between verb and key, or behind the key, and means nothing: "the", "now".
    pub between: Vec<String>,
    /// Names of keys: "two".
    pub keys: Vec<(String, char)>,
    /// What opens the name of an option: "for", "to".
    pub openers: Vec<String>,
    /// What is left out of an option's name: "the".
    pub filler: Vec<String>,
    /// Offers that need no key: "stay on the line".
    pub stay: Phrases,
    /// Complaints about the last key: "invalid".
    pub refused: Phrases,
}

impl MenuWords {
    /// English.
    pub fn english() -> MenuWords {
        let list = |words: &str| words.split_whitespace().map(str::to_owned).collect();
        MenuWords {
            press: list("press pressing dial push enter hit touch select choose say"),
            between: list("or and the a number key keys button option digit now please then"),
            keys: [
                ("zero", '0'),
                ("oh", '0'),
                ("one", '1'),
                ("two", '2'),
                ("three", '3'),
                ("four", '4'),
                ("five", '5'),
                ("six", '6'),
                ("seven", '7'),
                ("eight", '8'),
                ("nine", '9'),
                ("star", '*'),
                ("asterisk", '*'),
                ("pound", '#'),
                ("hash", '#'),
            ]
            .map(|(name, key)| (name.to_owned(), key))
            .into(),
            openers: list("for to if"),
            filler: list(
                "a the our your you to for of or and if are is have please by with in now then",
            ),
            stay: Phrases::new([
                "stay on the line",
                "remain on the line",
                "hold the line",
                "continue to hold",
                "do nothing",
            ]),
            refused: Phrases::new([
                "invalid",
                "not valid",
                "not a valid",
                "not an option",
                "didn't get that",
                "did not get that",
                "didn't catch that",
                "didn't understand",
                "did not understand",
                "didn't recognize",
                "did not recognize",
                "not recognized",
                "didn't receive",
                "did not receive",
                "please try again",
            ]),
        }
    }
}

impl Default for MenuWords {
    fn default() -> MenuWords {
        MenuWords::english()
    }
}
