//! What several test files need: all the conversions there are.

use cordboard_audio::{Profile, Rate, Resampler};

pub(crate) const PAIRS: [(Rate, Rate); 6] = [
    (Rate::Hz8000, Rate::Hz24000),
    (Rate::Hz8000, Rate::Hz16000),
    (Rate::Hz16000, Rate::Hz24000),
    (Rate::Hz24000, Rate::Hz16000),
    (Rate::Hz24000, Rate::Hz8000),
    (Rate::Hz16000, Rate::Hz8000),
];

pub(crate) const PROFILES: [Profile; 3] = [Profile::Flat, Profile::Strict, Profile::LowLatency];

/// The whole input in one chunk.
pub(crate) fn resample(input: &[i16], from: Rate, to: Rate, profile: Profile) -> Vec<i16> {
    let mut out = Vec::new();
    Resampler::new(from, to, profile).process(input, &mut out);
    out
}
