//! Saving and restoring: what a tenant hands to its successor in the middle of a call.
//!
//! All formats begin with a version byte and are checked to the last byte, because they come back from outside. What
//! passes can only be other audio.
//!
//! A resampler is: version, rates and profile (two bits each: from, to, profile), phase with the top bit set if a
//! byte waits, that byte or 0, then the history as little-endian samples. In `Flat` that makes 98 bytes for 8 -> 24 kHz
//! and 292, 294 or 296 for 24 -> 8 kHz. [`ModelToCaller`](crate::ModelToCaller) is its resampler;
//! [`CallerToModel`](crate::CallerToModel) is the length of the first resampler in a byte, the first, and the second if
//! there is one.

use alloc::vec::Vec;
use core::fmt;

use crate::resampler::append_bytes;
use crate::{Profile, Rate, Resampler};

/// Why saved bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// They were written by another version of this crate: the first byte says which.
    Version(u8),
    /// There are too few or too many of them.
    Length {
        /// How many the fields at the front call for.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A field holds what no saved state has.
    Field(&'static str),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "audio state of version {version}, this is version {VERSION}")
            }
            Self::Length { expected, found } => {
                write!(f, "audio state of {found} bytes where {expected} were expected")
            }
            Self::Field(field) => write!(f, "audio state with an impossible {field}"),
        }
    }
}

impl core::error::Error for LoadError {}

impl Resampler {
    /// Writes down everything the next sample depends on.
    pub fn save(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 2 * self.history().len());
        bytes.extend([
            VERSION,
            rate_code(self.from) | rate_code(self.to) << 2 | profile_code(self.profile) << 4,
            self.phase | if self.half.is_some() { BYTE_WAITS } else { 0 },
            self.half.unwrap_or(0),
        ]);
        append_bytes(self.history(), &mut bytes);
        bytes
    }

    /// Goes on where [`save`](Self::save) was called: the outputs are the same to the bit.
    ///
    /// # Errors
    ///
    /// Anything that `save` cannot have written is refused.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let (&[version, settings, phase, half], history) = bytes
            .split_first_chunk::<HEADER>()
            .ok_or(LoadError::Length { expected: HEADER, found: bytes.len() })?;
        if version != VERSION {
            return Err(LoadError::Version(version));
        }
        if settings >> 6 != 0 {
            return Err(LoadError::Field("profile"));
        }
        let mut resampler =
            Self::new(rate(settings & 3)?, rate(settings >> 2 & 3)?, profile(settings >> 4)?);
        resampler.phase = phase & !BYTE_WAITS;
        if resampler.phase >= resampler.cycle() {
            return Err(LoadError::Field("phase"));
        }
        let expected = HEADER + 2 * resampler.history().len();
        if bytes.len() != expected {
            return Err(LoadError::Length { expected, found: bytes.len() });
        }
        resampler.half = match (phase & BYTE_WAITS != 0, half) {
            (true, half) => Some(half),
            (false, 0) => None,
            (false, _) => return Err(LoadError::Field("waiting byte")),
        };
        for (to, from) in resampler.history_mut().iter_mut().zip(history.as_chunks::<2>().0) {
            *to = i16::from_le_bytes(*from);
        }
        Ok(resampler)
    }
}

fn rate_code(rate: Rate) -> u8 {
    match rate {
        Rate::Hz8000 => 0,
        Rate::Hz16000 => 1,
        Rate::Hz24000 => 2,
    }
}

fn rate(code: u8) -> Result<Rate, LoadError> {
    match code {
        0 => Ok(Rate::Hz8000),
        1 => Ok(Rate::Hz16000),
        2 => Ok(Rate::Hz24000),
        _ => Err(LoadError::Field("rate")),
    }
}

fn profile_code(profile: Profile) -> u8 {
    match profile {
        Profile::Flat => 0,
        Profile::Strict => 1,
        Profile::LowLatency => 2,
    }
}

fn profile(code: u8) -> Result<Profile, LoadError> {
    match code {
        0 => Ok(Profile::Flat),
        1 => Ok(Profile::Strict),
        2 => Ok(Profile::LowLatency),
        _ => Err(LoadError::Field("profile")),
    }
}

const VERSION: u8 = 1;
const HEADER: usize = 4;
const BYTE_WAITS: u8 = 0x80;
