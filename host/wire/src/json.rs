//! The few pieces of JSON that both wires share.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::Value;

/// Base64 as others write it: with padding or without, with stray bits in the last character or not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes base64 of at most `bytes_max` bytes; the reason of a failure quotes nothing.
///
/// Besides what [`LENIENT`] takes, and at the price of a copy: line breaks and blanks, the alphabet
/// for URLs, pieces with padding of their own in a row, a `data:` address, and a last character that
/// is half of nothing.
pub(crate) fn decode_audio(text: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
    let too_long = || format!("holds more than {bytes_max} bytes");
    // Line breaks make base64 longer by a part in 30 at most; an odd encoder gets twice the room.
    if text.len() / 8 * 3 > bytes_max + 2 {
        return Err(too_long());
    }
    let is_within = text.len() / 4 * 3 <= bytes_max + 2;
    let bytes = match is_within.then(|| LENIENT.decode(text)) {
        Some(Ok(bytes)) => bytes,
        Some(Err(_)) | None => decode_odd(text).ok_or_else(|| "is not base64".to_owned())?,
    };
    if bytes.len() > bytes_max {
        return Err(too_long());
    }
    Ok(bytes)
}

/// Base64 that is not in the common form.
fn decode_odd(text: &str) -> Option<Vec<u8>> {
    let text = match text.split_once(";base64,") {
        Some((address, encoded)) if address.trim_start().starts_with("data:") => encoded,
        Some(_) | None => text,
    };
    let plain = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let mut piece = Vec::with_capacity(text.len());
    let mut bytes = Vec::new();
    for part in text.split('=') {
        piece.clear();
        piece.extend(part.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(plain));
        if piece.len() % 4 == 1 {
            // Six bits hold no byte; what came before them is whole. Another alphabet is no base64.
            let cut = piece.pop()?;
            alphabet::STANDARD.as_str().as_bytes().contains(&cut).then_some(())?;
        }
        LENIENT.decode_vec(&piece, &mut bytes).ok()?;
    }
    Some(bytes)
}

/// Appends base64 with padding. Nothing is allocated when `out` has room.
pub(crate) fn push_base64(bytes: &[u8], out: &mut String) {
    out.reserve(bytes.len().div_ceil(3) * 4);
    base64::engine::general_purpose::STANDARD.encode_string(bytes, out);
}

/// Appends a JSON string with its quotes.
pub(crate) fn push_string(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[copied..at]);
        copied = at + 1;
        out.push('\\');
        match byte {
            b'"' | b'\\' => out.push(char::from(byte)),
            b'\n' => out.push('n'),
            b'\r' => out.push('r'),
            b'\t' => out.push('t'),
            _ => {
                out.push_str("u00");
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

/// What a syntax error may say: where, never what.
pub(crate) fn where_broken(error: &serde_json::Error) -> String {
    format!("not JSON (line {}, column {})", error.line(), error.column())
}

/// A whole number as others write it: number or string, `155.0` for `155`. Anything else is absent.
pub(crate) fn loose_u64(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn whole(number: f64) -> Option<u64> {
    // The cast saturates; only a negative or undefined number has no whole part here.
    (number >= 0.0).then_some(number as u64)
}

/// A string, borrowed from the message unless it holds an escape.
#[derive(Debug, Default)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Borrowing).map(Text)
    }
}

/// [`loose_u64`] without a tree: `None` for anything that is no whole number. Arrays and objects
/// are an error, which sends the reader to the slow path.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LooseU64(pub(crate) Option<u64>);

impl<'de> Deserialize<'de> for LooseU64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Loose;
        impl Visitor<'_> for Loose {
            type Value = Option<u64>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a string with one")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Some(number))
            }
            fn visit_i64<E>(self, _negative: i64) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(whole(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(text.trim().parse().ok())
            }
            fn visit_bool<E>(self, _flag: bool) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
        }
        deserializer.deserialize_any(Loose).map(LooseU64)
    }
}

/// Cuts a foreign name to a length and an alphabet that are safe to log.
pub(crate) fn loggable(name: &str) -> String {
    name.chars()
        .take(crate::limits::NAME_CHARS_MAX)
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_string_is_escaped_as_json_demands() {
        let mut out = String::new();
        push_string("a\"b\\c\nd\u{1}e\u{1f600}\u{7f}", &mut out);
        assert_eq!(out, "\"a\\\"b\\\\c\\nd\\u0001e\u{1f600}\u{7f}\"");
    }

    #[test]
    fn numbers_are_read_as_others_write_them() {
        for (json, expected) in [
            ("155", Some(155)),
            ("\"155\"", Some(155)),
            ("\" 155 \"", Some(155)),
            ("155.0", Some(155)),
            ("155.9", Some(155)),
            ("-1", None),
            ("\"x\"", None),
            ("\"\"", None),
            ("null", None),
            ("true", None),
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(loose_u64(&value), expected, "{json}");
            assert_eq!(serde_json::from_str::<LooseU64>(json).unwrap().0, expected, "{json}");
        }
    }

    #[test]
    fn base64_is_bounded_before_it_is_decoded() {
        assert_eq!(decode_audio("AAAA", 3), Ok(vec![0; 3]));
        assert!(decode_audio("AAAAAAAA", 3).is_err());
        assert!(decode_audio("AAAAAA", 3).is_err());
        assert_eq!(decode_audio("fw", 160), Ok(vec![0x7f]), "padding may be missing");
        assert!(decode_audio(&"A\n".repeat(1_000), 3).is_err(), "not by line breaks either");
    }

    #[test]
    fn base64_is_decoded_however_it_was_written() {
        let audio = [0xfb, 0xff, 0xfe, 0x00, 0x7f];
        for text in [
            "+//+AH8=",
            "+//+AH8",
            "-__-AH8=",
            "-__-AH8",
            "-_/+AH8=",
            "+//+\r\nAH8=\r\n",
            " +//+\n AH8",
            "-__-\tAH8",
            "+/8=/gB/",
            "+/8=/gB/====",
            "data:audio/pcmu;base64,+//+AH8=",
            "+//+AH8=A",
        ] {
            assert_eq!(decode_audio(text, 160), Ok(audio.to_vec()), "{text:?}");
        }
        for text in ["no base64!", "+//+AH8*", "*", "=*", "\u{e9}", "data:audio/pcmu,AAAA", "AA.A"]
        {
            assert!(decode_audio(text, 160).is_err(), "{text:?}");
        }
        assert_eq!(decode_audio("", 160), Ok(Vec::new()));
        let lines = "+//+AH8A".repeat(10) + "\r\n";
        assert_eq!(decode_audio(&lines.repeat(100), 6_000).map(|bytes| bytes.len()), Ok(6_000));
    }

    proptest! {
        #[test]
        fn any_string_comes_back(text in ".*") {
            let mut out = String::new();
            push_string(&text, &mut out);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
