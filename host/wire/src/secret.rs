//! A key that cannot be printed by accident.

use std::fmt;

use subtle::ConstantTimeEq;

/// A key, token or password. `Debug` and `Display` hide it; [`Secret::expose`] is the only way out,
/// so a reader finds every use by searching for that word.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the key in.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the one line that signs or sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it: a setting left blank is not a key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `given` is this key, in a time that tells nothing but the length.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// Returns `text` with every occurrence of the key replaced, for text written by others: a
    /// server's error message may quote the key it was given.
    pub fn redact(&self, text: &str) -> String {
        // Something shorter would blot out ordinary words, and is no key.
        if self.0.len() < 6 { text.to_owned() } else { text.replace(&self.0, "[hidden]") }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("sk-very-private");
        for printed in [format!("{secret:?}"), format!("{secret:#?}"), format!("{secret}")] {
            assert!(!printed.contains("private"), "{printed}");
        }
        assert_eq!(secret.expose(), "sk-very-private");
    }

    #[test]
    fn only_the_same_text_matches() {
        let secret = Secret::new("sk-very-private");
        assert!(secret.matches("sk-very-private"));
        for other in ["sk-very-privatE", "sk-very-private ", "sk-very", ""] {
            assert!(!secret.matches(other), "{other:?}");
        }
    }

    #[test]
    fn a_quoted_secret_is_taken_out_of_a_message() {
        let secret = Secret::new("sk-very-private");
        assert_eq!(
            secret.redact("Incorrect API key: sk-very-private."),
            "Incorrect API key: [hidden]."
        );
        assert_eq!(Secret::new("a").redact("a cat"), "a cat");
    }
}
