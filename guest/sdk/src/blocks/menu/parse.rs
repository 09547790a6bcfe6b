//! Reads the options out of what a telephone menu says.
//!
//! Everything turns on the places where a key is named: "press 2", "dial the star key", "stay on the line". What an option is
//! for stands before such a place ("for billing, press 2") or after it ("press 2 for billing"), and menus keep to one of the two
//! for a sentence. The names come first if a word such as "for" opens a part of the sentence before its first key,
//! or if nothing follows its last one.

use serde::{Deserialize, Serialize};

use super::MenuWords;
use crate::blocks::phrases::{Break, Token, tokens};

/// Something a menu offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What to press; empty: nothing, stay on the line.
    pub keys: String,
    /// What it is for, in the menu's words, small letters.
    pub label: String,
}

/// What a text offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// The options in the order of the text; of two for the same key the later one.
    pub(super) choices: Vec<Choice>,
    /// No other reading is possible, whatever is said next.
    pub(super) certain: bool,
}

pub(super) fn offer(text: &str, words: &MenuWords) -> Offer {
    let tokens = tokens(text);
    let mut offer = Offer { choices: Vec::new(), certain: true };
    for sentence in sentences(&tokens) {
        let (choices, certain) = of_sentence(sentence, words);
        offer.certain &= certain;
        for choice in choices {
            offer.choices.retain(|known| known.keys != choice.keys);
            if offer.choices.len() < CHOICES_MAX {
                offer.choices.push(choice);
            }
        }
    }
    offer
}

/// Where a key is named.
struct Place {
    start: usize,
    end: usize,
    keys: String,
}

fn of_sentence(sentence: &[Token], words: &MenuWords) -> (Vec<Choice>, bool) {
    let places = places(sentence, words);
    let (Some(first), Some(last)) = (places.first(), places.last()) else {
        return (Vec::new(), true);
    };
    let opens = |at: usize| words.openers.iter().any(|opener| *opener == sentence[at].word);
    let name = |from: usize, to: usize| {
        let from = (from..to).find(|at| opens(*at)).map_or(from, |at| at + 1);
        let said = sentence[from..to].iter().map(|token| token.word.as_str());
        let telling = said.filter(|word| !words.filler.iter().any(|filler| filler == word));
        telling.collect::<Vec<_>>().join(" ")
    };

    let opened = (0..first.start).any(|at| opens(at) && sentence[at].after >= Break::Clause);
    let ends_with_key = name(last.end, sentence.len()).is_empty();
    let preceded = !name(0, first.start).is_empty();
    let names_first = opened || (preceded && ends_with_key);
    // "Welcome to Acme press 1 for sales press 2" may go on with "for billing".
    let second_opens = places.len() > 1 && first.end < sentence.len() && opens(first.end);
    let certain = opened || !(names_first && second_opens);

    let mut choices = Vec::new();
    // Where the text begins that no option has claimed yet.
    let mut open = 0;
    for (at, place) in places.iter().enumerate() {
        let next = places.get(at + 1).map_or(sentence.len(), |next| next.start);
        let mut label = String::new();
        if names_first || (at > 0 && open < place.start) {
            label = name(open, place.start);
            open = place.end;
        }
        if label.is_empty() && (!names_first || next == sentence.len()) {
            // "Press 1 for sales, for billing press 2": a second part that is opened is the next one's name.
            let split = (place.end + 1..next)
                .find(|at| opens(*at) && sentence[*at].after >= Break::Clause)
                .filter(|_| next < sentence.len());
            open = split.unwrap_or(next);
            label = name(place.end, open);
        }
        if !label.is_empty() {
            choices.push(Choice { keys: place.keys.clone(), label });
        }
    }
    (choices, certain)
}

/// The places where a key is named, or staying on the line.
fn places(sentence: &[Token], words: &MenuWords) -> Vec<Place> {
    let plain: Vec<String> = sentence.iter().map(|token| token.word.clone()).collect();
    let mut places = Vec::new();
    let mut at = 0;
    while at < sentence.len() {
        let stays = words.stay.iter().filter(|phrase| plain[at..].starts_with(phrase));
        if let Some(len) = stays.map(<[String]>::len).max() {
            places.push(Place { start: at, end: at + len, keys: String::new() });
            at += len;
            continue;
        }
        let bare = if places.is_empty() { None } else { bare_key_at(sentence, at, words) };
        match bare.or_else(|| key_named_at(sentence, at, words)) {
            Some(place) => {
                at = place.end;
                places.push(place);
            }
            None => at += 1,
        }
    }
    places
}

/// A key without its verb, in a list that began with one: "press 1 for sales, 2 for billing, or 3 for anything else".
fn bare_key_at(sentence: &[Token], at: usize, words: &MenuWords) -> Option<Place> {
    let key = key_of(&sentence[at].word, words)?;
    let listed = sentence[at].after >= Break::Clause
        || words.between.contains(&sentence[at.checked_sub(1)?].word);
    let named = words.openers.contains(&sentence.get(at + 1)?.word);
    (listed && named).then(|| Place { start: at, end: at + 1, keys: key.into() })
}

/// A verb, some words that mean nothing ("or say the number"), and a key.
fn key_named_at(sentence: &[Token], start: usize, words: &MenuWords) -> Option<Place> {
    let is = |list: &[String], at: usize| {
        sentence.get(at).is_some_and(|token| list.contains(&token.word))
    };
    if !is(&words.press, start) {
        return None;
    }
    let mut at = start + 1;
    while is(&words.press, at) || is(&words.between, at) {
        at += 1;
        if at > start + BETWEEN_MAX {
            return None;
        }
    }
    let mut keys = String::from(key_of(&sentence.get(at)?.word, words)?);
    at += 1;
    if matches!(keys.as_str(), "*" | "#")
        && let Some(token) = sentence.get(at)
        && let Some(key) = key_of(&token.word, words)
    {
        keys.push(key);
        at += 1;
    }
    while is(&words.between, at) {
        at += 1;
    }
    Some(Place { start, end: at, keys })
}

fn key_of(word: &str, words: &MenuWords) -> Option<char> {
    let mut chars = word.chars();
    if let (Some(key), None) = (chars.next(), chars.next())
        && (key.is_ascii_digit() || matches!(key, '*' | '#'))
    {
        return Some(key);
    }
    words.keys.iter().find(|(name, _)| name == word).map(|(_, key)| *key)
}

/// The sentences of a text.
fn sentences(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut rest = tokens;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = rest.iter().skip(1).position(|token| token.after == Break::Sentence);
        let (sentence, later) = rest.split_at(next.map_or(rest.len(), |at| at + 1));
        rest = later;
        Some(sentence)
    })
}

/// A telephone has twelve keys, and "stay on the line".
const CHOICES_MAX: usize = 16;
/// "press or say the number two" has four words between verb and key.
const BETWEEN_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let offer = offer(text, &MenuWords::english());
        offer.choices.into_iter().map(|choice| (choice.keys, choice.label)).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(keys, label)| ((*keys).into(), (*label).into())).collect()
    }

    #[test]
    fn menus_are_read_in_every_order_they_are_spoken_in() {
        for (text, expected) in [
            ("Press 2 for billing.", &[("2", "billing")][..]),
            ("For billing, press two.", &[("2", "billing")]),
            ("For billing press 2 now", &[("2", "billing")]),
            ("To speak to an agent press zero", &[("0", "speak an agent")]),
            ("For sales say or press 3.", &[("3", "sales")]),
            ("For sales, press or say the number three.", &[("3", "sales")]),
            ("Billing, press 2. Sales, press 3.", &[("2", "billing"), ("3", "sales")]),
            ("Dial 9 to hear this again", &[("9", "hear this again")]),
            ("If you are calling about a refund, press star.", &[("*", "calling about refund")]),
            ("Press the pound key to go back.", &[("#", "go back")]),
            ("Press star 9 for the directory.", &[("*9", "directory")]),
            (
                "For sales, press 1, for billing, press 2, and for anything else press 3.",
                &[("1", "sales"), ("2", "billing"), ("3", "anything else")],
            ),
            (
                "Press one for sales, two words, press two for billing or press three for refunds",
                &[("1", "sales two words"), ("2", "billing"), ("3", "refunds")],
            ),
            ("Press 1 for sales, for billing press 2.", &[("1", "sales"), ("2", "billing")]),
            (
                "Welcome to Acme, press 1 for sales, press 2 for billing",
                &[("1", "sales"), ("2", "billing")],
            ),
            (
                "Welcome to Acme. For billing, payments or refunds, press 2.",
                &[("2", "billing payments refunds")],
            ),
            (
                "For sales press 1, or stay on the line for an operator.",
                &[("1", "sales"), ("", "an operator")],
            ),
            ("For all other questions, please stay on the line.", &[("", "all other questions")]),
        ] {
            assert_eq!(read(text), pairs(expected), "{text}");
        }
    }

    #[test]
    fn what_names_no_key_offers_nothing() {
        for text in [
            "",
            "Thank you for calling.",
            "Please enter your account number followed by the pound key.",
            "Press any key to continue.",
            "We press 100 bottles of oil for you.",
            "Your estimated wait is two minutes.",
        ] {
            assert_eq!(read(text), [], "{text}");
        }
    }

    #[test]
    fn a_reading_that_the_next_words_may_overturn_is_not_certain() {
        let english = MenuWords::english();
        assert!(!offer("Welcome to Acme press 1 for sales press 2", &english).certain);
        assert!(offer("For sales press 1 for billing press 2", &english).certain);
        assert!(offer("Press 1 for sales press 2", &english).certain);
    }

    #[test]
    fn a_key_named_twice_is_what_was_said_last_and_the_options_are_bounded() {
        assert_eq!(read("For sales press 1. For service press 1."), pairs(&[("1", "service")]));
        let many: String = (0..10).map(|n| format!("For a{n} press star {n}. ")).collect();
        let more: String = (0..10).map(|n| format!("For b{n} press pound {n}. ")).collect();
        assert_eq!(read(&(many + &more)).len(), CHOICES_MAX);
    }
}
