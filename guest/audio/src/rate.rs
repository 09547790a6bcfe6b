//! The sample rates and filter profiles there are.

use core::fmt;
use core::str::FromStr;

/// A sample rate that telephone lines and speech models use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rate {
    /// The telephone's.
    Hz8000,
    /// Wideband speech.
    Hz16000,
    /// The OpenAI Realtime API's `audio/pcm`.
    Hz24000,
}

impl Rate {
    /// Samples per second.
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8_000,
            Self::Hz16000 => 16_000,
            Self::Hz24000 => 24_000,
        }
    }

    /// Samples in 20 ms, a telephone frame.
    pub const fn frame_samples(self) -> usize {
        self.hz() as usize / 50
    }
}

impl TryFrom<u32> for Rate {
    type Error = UnknownRate;

    fn try_from(hz: u32) -> Result<Self, UnknownRate> {
        match hz {
            8_000 => Ok(Self::Hz8000),
            16_000 => Ok(Self::Hz16000),
            24_000 => Ok(Self::Hz24000),
            _ => Err(UnknownRate(hz)),
        }
    }
}

/// A number of samples per second that is not a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRate(pub u32);

impl fmt::Display for UnknownRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz is not a rate known here: 8000, 16000 or 24000", self.0)
    }
}

impl core::error::Error for UnknownRate {}

/// Which low-pass filter a [`Resampler`](crate::Resampler) uses. No filter is flat, sharp and short at once.
///
/// Delays are between 8 kHz and another rate; between 16 and 24 kHz they are half as long, and all frequencies double.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Flat to 3.5 kHz, -3 dB at 3.89 kHz, images and aliases gone from 4.5 kHz; 2.96 ms.
    #[default]
    Flat,
    /// As `Flat` on the way up. On the way down nothing above 4.0 kHz folds back, at the price of the
    /// band above 3.4 kHz: -3 dB at 3.57 kHz; 3.48 ms.
    Strict,
    /// Flat to 3.4 kHz, -3 dB at 3.76 kHz, images and aliases gone from 4.6 kHz; 1.96 ms.
    LowLatency,
}

impl Profile {
    /// The name by which settings select it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Strict => "strict",
            Self::LowLatency => "lowlat",
        }
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        match name {
            "flat" => Ok(Self::Flat),
            "strict" => Ok(Self::Strict),
            "lowlat" => Ok(Self::LowLatency),
            _ => Err(UnknownProfile),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not a [`Profile`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownProfile;

impl fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the resampler's profiles are flat, strict and lowlat")
    }
}

impl core::error::Error for UnknownProfile {}
