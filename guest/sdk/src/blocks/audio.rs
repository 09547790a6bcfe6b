//! Listeners of `cordboard-audio` as fields of a saved state: their own bytes.

use cordboard_audio::LoadError;
use cordboard_audio::dtmf::KeyDetector;
use cordboard_audio::sound::SoundMeter;
use serde::{Deserialize, Deserializer, Serializer, de};

/// What can write itself down.
pub(super) trait Savable: Sized {
    fn to_bytes(&self) -> Vec<u8>;
    fn of_bytes(bytes: &[u8]) -> Result<Self, LoadError>;
}

impl Savable for KeyDetector {
    fn to_bytes(&self) -> Vec<u8> {
        self.save()
    }

    fn of_bytes(bytes: &[u8]) -> Result<KeyDetector, LoadError> {
        KeyDetector::load(bytes)
    }
}

impl Savable for SoundMeter {
    fn to_bytes(&self) -> Vec<u8> {
        self.save()
    }

    fn of_bytes(bytes: &[u8]) -> Result<SoundMeter, LoadError> {
        SoundMeter::load(bytes)
    }
}

pub(super) fn serialize<T: Savable, S: Serializer>(of: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(of.to_bytes())
}

pub(super) fn deserialize<'de, T: Savable, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let bytes = Vec::<u8>::deserialize(from)?;
    T::of_bytes(&bytes).map_err(de::Error::custom)
}
