//! Short ways to write what has a long one: a text for what has a `text`, one thing for a list of one.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::{Answer, Expectation, Speech, ToolUse};

impl From<String> for Speech {
    fn from(text: String) -> Self {
        Self { text: Some(text), ..Self::default() }
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self { text: Some(text), ..Self::default() }
    }
}

/// Reads a text, or a mapping of fields.
pub(super) fn text_or_fields<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + From<String>,
{
    struct Either<T>(PhantomData<T>);

    impl<'de, T: DeserializeOwned + From<String>> Visitor<'de> for Either<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a mapping")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            Ok(T::from(text.to_owned()))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(Either(PhantomData))
}

/// Reads one expectation or a list of them. A lone one has no line of its own: it stands in its step's.
pub(super) fn expectations<'de, D>(deserializer: D) -> Result<Vec<Spanned<Expectation>>, D::Error>
where
    D: Deserializer<'de>,
{
    let alone = |it| Spanned::new(it, Location::UNKNOWN, Location::UNKNOWN);
    deserializer.deserialize_any(OneOrMany { alone, what: PhantomData })
}

/// Reads one tool call or a list of them.
pub(super) fn tools<'de, D>(deserializer: D) -> Result<Vec<ToolUse>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(OneOrMany { alone: |it: ToolUse| it, what: PhantomData })
}

struct OneOrMany<T, F> {
    alone: F,
    what: PhantomData<T>,
}

impl<'de, T, U, F> Visitor<'de> for OneOrMany<T, F>
where
    T: Deserialize<'de>,
    U: Deserialize<'de>,
    F: FnOnce(T) -> U,
{
    type Value = Vec<U>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping or a list of mappings")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<U>, A::Error> {
        Ok(vec![(self.alone)(T::deserialize(MapAccessDeserializer::new(map))?)])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<U>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}
