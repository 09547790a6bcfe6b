//! Mends JSON that somebody's encoder got wrong, where one reading is left.
//!
//! A model speaks token by token, and a server that cuts between two tokens cuts emoji in half: a
//! string then holds one half of a surrogate pair, which no parser takes. The event around it is
//! whole. One bad character must not cost a caller the answer of a tool.

use std::fmt::Write as _;

/// What stands for a character nobody can know.
const UNKNOWN: &str = "\\ufffd";

/// The text without its faults, or `None` when it has none that can be mended.
///
/// Mended are, in strings: half a surrogate pair and a cut-off `\u` (U+FFFD takes their place),
/// escapes that JSON does not have (the character stands for itself), and bare control characters.
/// Outside of strings: a byte order mark, and numbers that JSON cannot say (`NaN`, `Infinity`,
/// `1e999`), which become null. Whether the rest is JSON is for a parser to say.
pub(crate) fn mended(text: &str) -> Option<String> {
    let mut mending = Mending { text, at: 0, copied: 0, out: String::new() };
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        mending.replace(text.len() - rest.len(), "");
    }
    while let Some(&byte) = text.as_bytes().get(mending.at) {
        match byte {
            b'"' => mending.string(),
            b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => mending.word(),
            _ => mending.at += 1,
        }
    }
    mending.finished()
}

struct Mending<'a> {
    text: &'a str,
    at: usize,
    /// Up to here the text was copied or replaced.
    copied: usize,
    out: String,
}

impl Mending<'_> {
    /// Puts `with` in place of the next bytes.
    fn replace(&mut self, bytes: usize, with: &str) {
        self.out.push_str(&self.text[self.copied..self.at]);
        self.out.push_str(with);
        self.at += bytes;
        self.copied = self.at;
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => self.escape(),
                0..0x20 => {
                    let mut escaped = String::new();
                    write!(escaped, "\\u{byte:04x}").expect("a string takes all that is written");
                    self.replace(1, &escaped);
                }
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) {
        match self.byte(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match (self.unit(0), self.unit(6)) {
                (Ok(0xd800..=0xdbff), Ok(0xdc00..=0xdfff)) => self.at += 12,
                (Ok(0xd800..=0xdfff), _) => self.replace(6, UNKNOWN),
                (Ok(_), _) => self.at += 6,
                (Err(digits), _) => self.replace(2 + digits, UNKNOWN),
            },
            Some(_) => self.replace(1, ""),
            None => self.at += 1,
        }
    }

    /// The code unit of the `\uXXXX` so many bytes ahead, or how many of its digits there are.
    fn unit(&self, ahead: usize) -> Result<u32, usize> {
        if (self.byte(ahead), self.byte(ahead + 1)) != (Some(b'\\'), Some(b'u')) {
            return Err(0);
        }
        let mut unit = 0;
        for place in 0..4 {
            let byte = self.byte(ahead + 2 + place);
            match byte.and_then(|byte| char::from(byte).to_digit(16)) {
                Some(digit) => unit = unit << 4 | digit,
                None => return Err(place),
            }
        }
        Ok(unit)
    }

    /// A number or a name, outside of strings.
    fn word(&mut self) {
        let rest = &self.text[self.at..];
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | '_');
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        // Rust reads `nan`, `inf` and `infinity` in any case, as well as all of JSON's numbers.
        if word.parse::<f64>().is_ok_and(|number| !number.is_finite()) {
            self.replace(word.len(), "null");
        } else {
            self.at += word.len();
        }
    }

    fn finished(mut self) -> Option<String> {
        if self.copied == 0 {
            return None;
        }
        self.out.push_str(&self.text[self.copied..]);
        Some(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_one_reading_is_mended_and_what_is_whole_stays() {
        for (broken, whole) in [
            (r#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#),
            (r#"{"a":"\ude00x"}"#, r#"{"a":"\ufffdx"}"#),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#),
            (r#"["\ud83d\n","\uD83D A"]"#, r#"["\ufffd\n","\ufffd A"]"#),
            (r#"["\ud83d\u0041"]"#, r#"["\ufffd\u0041"]"#),
            (r#"["\u12","\u","\uZ"]"#, r#"["\ufffd","\ufffd","\ufffdZ"]"#),
            (r#"["it\'s","\x41","\é"]"#, r#"["it's","x41","é"]"#),
            ("[\"a\nb\u{0}\"]", "[\"a\\u000ab\\u0000\"]"),
            ("[NaN,-Infinity,1e999,Infinity]", "[null,null,null,null]"),
            ("\u{feff}{}", "{}"),
        ] {
            assert_eq!(mended(broken).as_deref(), Some(whole), "{broken}");
            serde_json::from_str::<serde_json::Value>(whole).expect("JSON");
            assert_eq!(mended(whole), None, "once is enough: {whole}");
        }
        for fine in [
            r#"{"a":"\ud83d\ude00\\ud83d\"NaN","b":[-1.5e+3,true,false,null]}"#,
            "",
            "{",
            "\"\\",
            "\"\\u00e9",
        ] {
            assert_eq!(mended(fine), None, "{fine}");
        }
    }

    proptest! {
        #[test]
        fn what_was_mended_needs_no_mending(text in r#"(\\u(d8|dc|00|)[0-9a-f]{0,2}|["\\\[\]n,:0-9e]|\PC){0,40}"#) {
            if let Some(once) = mended(&text) {
                prop_assert_eq!(mended(&once), None);
            }
        }

        #[test]
        fn json_is_left_alone(text in ".*") {
            let json = serde_json::to_string(&text).expect("a string has a JSON form");
            prop_assert_eq!(mended(&json), None);
        }
    }
}
