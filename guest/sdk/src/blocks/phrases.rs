//! Words out of transcripts: in small letters, without marks, compared one by one.

use serde::{Deserialize, Serialize};

/// Splits a text into words: small letters and digits only, `*` and `#` words of their own.
///
/// `"I didn't get that."` is `i didnt get that`.
pub(crate) fn words(text: &str) -> Vec<String> {
    tokens(text).into_iter().map(|token| token.word).collect()
}

/// A word and what stood before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) word: String,
    pub(crate) after: Break,
    /// Where it begins, in bytes.
    pub(crate) start: usize,
}

/// How strongly a text is broken between two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Break {
    None,
    Clause,
    Sentence,
}

pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut word = String::new();
    let mut after = Break::Sentence;
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, letter)) = chars.next() {
        if letter.is_alphanumeric() {
            if word.is_empty() {
                start = at;
            }
            word.extend(letter.to_lowercase());
            continue;
        }
        if matches!(letter, '\'' | '’') && !word.is_empty() {
            continue;
        }
        if !word.is_empty() {
            tokens.push(Token { word: std::mem::take(&mut word), after, start });
            after = Break::None;
        }
        let ends_number = chars.peek().is_some_and(|(_, next)| next.is_numeric());
        after = after.max(match letter {
            '.' if ends_number => Break::None,
            '.' | '?' | '!' | ';' | '\n' => Break::Sentence,
            ',' | ':' | '–' | '—' => Break::Clause,
            _ => Break::None,
        });
        if matches!(letter, '*' | '#') {
            tokens.push(Token { word: letter.to_string(), after, start: at });
            after = Break::None;
        }
    }
    if !word.is_empty() {
        tokens.push(Token { word, after, start });
    }
    tokens
}

/// Phrases to look for, ready for comparing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Phrases(Vec<Vec<String>>);

impl Phrases {
    /// Phrases of one or more words; case and punctuation do not matter.
    pub fn new<S: AsRef<str>>(phrases: impl IntoIterator<Item = S>) -> Phrases {
        let phrases = phrases.into_iter().map(|phrase| words(phrase.as_ref()));
        Phrases(phrases.filter(|phrase| !phrase.is_empty()).collect())
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when one of them stands in this text as a whole.
    pub fn occur_in(&self, text: &str) -> bool {
        self.found_in(&words(text)).is_some()
    }

    /// The first of them that stands in these words as a whole.
    pub(crate) fn found_in(&self, words: &[String]) -> Option<&[String]> {
        self.0.iter().map(Vec::as_slice).find(|phrase| position(words, phrase).is_some())
    }

    /// Where the last of them that stands in these words ends.
    pub(crate) fn last_end_in(&self, words: &[String]) -> Option<usize> {
        let ends = |phrase: &Vec<String>| {
            let mut starts = (0..words.len()).rev();
            let start = starts.find(|at| words[*at..].starts_with(phrase))?;
            Some(start + phrase.len())
        };
        self.0.iter().filter_map(ends).max()
    }

    /// True when these words are nothing but such phrases, one after the other.
    pub(crate) fn make_up(&self, words: &[String]) -> bool {
        let mut rest = words;
        while !rest.is_empty() {
            let next = self.0.iter().filter(|phrase| rest.starts_with(phrase)).map(Vec::len).max();
            match next {
                Some(len) => rest = &rest[len..],
                None => return false,
            }
        }
        !words.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[String]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl From<Vec<String>> for Phrases {
    fn from(phrases: Vec<String>) -> Phrases {
        Phrases::new(phrases)
    }
}

impl From<Phrases> for Vec<String> {
    fn from(phrases: Phrases) -> Vec<String> {
        phrases.0.iter().map(|phrase| phrase.join(" ")).collect()
    }
}

/// Where these words stand within others.
pub(crate) fn position(words: &[String], phrase: &[String]) -> Option<usize> {
    if phrase.is_empty() {
        return None;
    }
    words.windows(phrase.len()).position(|window| window == phrase)
}

/// True for the same word, also where one of them is the plural of the other.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a == b || singular(a) == singular(b)
}

fn singular(word: &str) -> &str {
    match word.strip_suffix('s') {
        Some(stem) if stem.chars().count() >= 3 && !stem.ends_with('s') => stem,
        _ => word,
    }
}

/// How many words two texts have in common, in the same order.
pub(crate) fn common(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0usize; b.len() + 1];
    for word in a {
        let mut before = 0;
        for (at, other) in b.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if word == other { before + 1 } else { above.max(row[at]) };
            before = above;
        }
    }
    row[b.len()]
}

/// Adds a text to another, in bytes no longer than this: what is oldest goes, from a word's beginning.
pub(crate) fn append_bounded(text: &mut String, piece: &str, bytes_max: usize) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(piece.trim());
    if text.len() > bytes_max {
        let from = text.ceil_char_boundary(text.len() - bytes_max);
        let from = text[from..].find(' ').map_or(from, |space| from + space + 1);
        text.drain(..from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> String {
        words(text).join(" ")
    }

    #[test]
    fn words_have_no_case_marks_or_apostrophes() {
        assert_eq!(split("I DIDN'T get  that."), "i didnt get that");
        assert_eq!(split("Press *, then #9!"), "press * then # 9");
        assert_eq!(split("Größe — 24.7"), "größe 24 7");
        assert_eq!(split(" ... "), "");
    }

    #[test]
    fn sentences_and_clauses_break_between_words() {
        let breaks: Vec<Break> =
            tokens("For sales, press 1. Or wait").iter().map(|t| t.after).collect();
        use Break::{Clause, None, Sentence};
        assert_eq!(breaks, [Sentence, None, Clause, None, Sentence, None]);
    }

    #[test]
    fn a_phrase_is_found_as_a_whole_and_only_so() {
        let phrases = Phrases::new(["thank you", "Bye."]);
        assert!(phrases.found_in(&words("well, Thank you very much")).is_some());
        assert!(phrases.found_in(&words("you thank")).is_none());
        assert!(phrases.found_in(&words("standbye")).is_none());
        assert!(phrases.make_up(&words("Thank you! Bye, bye.")));
        assert!(!phrases.make_up(&words("Thank you, Anna")));
        assert!(!phrases.make_up(&[]));
        assert!(Phrases::new(["", "?"]).is_empty());
    }

    #[test]
    fn words_in_common_are_counted_in_their_order() {
        let common = |a: &str, b: &str| common(&words(a), &words(b));
        assert_eq!(common("your call is important to us", "Your call is so important, to us."), 6);
        assert_eq!(common("one two three", "three two one"), 1);
        assert_eq!(common("", "one"), 0);
    }

    #[test]
    fn the_plural_is_the_same_word_and_a_longer_one_is_not() {
        assert!(same("refund", "refunds") && same("bills", "bill"));
        assert!(!same("bus", "bu") && !same("class", "clas") && !same("bill", "billing"));
    }

    #[test]
    fn an_appended_text_keeps_its_newest_whole_words() {
        let mut text = String::new();
        for n in 0..100 {
            append_bounded(&mut text, &format!("wörd{n}"), 20);
        }
        assert!(text.len() <= 20 && text.ends_with("wörd99") && text.starts_with("wörd"), "{text}");
    }
}
