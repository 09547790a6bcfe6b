//! Telephone audio for tenants: G.711 mu-law and streaming resamplers between 8, 16 and 24 kHz.
//!
//! **The rule of this crate: how a stream is cut into chunks, and on which machine it is converted, cannot be heard.** The
//! same bytes in give the same bytes out, natively and inside a component. So the filters are plain f32
//! arithmetic in one fixed order of summation (no fused multiply-add, no relaxed SIMD), and their whole state is the last few
//! milliseconds of input.
//!
//! A tenant wants [`CallerToModel`] and [`ModelToCaller`]: bytes as they come from the host in, bytes as the
//! host takes them out. Below them are [`Resampler`] and [`g711`]. Costs, quality and how both were measured are in
//! this crate's README.md; `design/` holds the program that made the filters.
//!
//! Pure: no clock, no randomness, no I/O, nothing but `alloc`.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod dtmf;
pub mod g711;

mod bank;
mod coefficients;
mod fields;
mod line;
mod math;
mod prototype;
mod rate;
mod resampler;
pub mod sound;
mod spectrum;
mod state;
mod timbre;

use alloc::vec::Vec;

pub use line::{CallerToModel, ModelToCaller, Path, UnknownPath};
pub use rate::{Profile, Rate, UnknownProfile, UnknownRate};
pub use resampler::Resampler;
pub use state::LoadError;

/// Decodes a telephone frame: mu-law to 16-bit samples, both at 8 kHz. Frames may have any length.
pub fn decode_twilio_audio(ulaw: &[u8]) -> Vec<i16> {
    ulaw.iter().map(|code| g711::ulaw_decode(*code)).collect()
}

/// Converts a whole recording; as long as the input, `ceil(n * to / from)` samples, late by the profile's delay.
///
/// For a stream use a [`Resampler`]: calling this frame by frame forgets the past at every frame and buzzes 50 times
/// a second.
pub fn resample_audio(pcm: &[i16], from: Rate, to: Rate) -> Vec<i16> {
    let mut out = Vec::new();
    Resampler::new(from, to, Profile::default()).process(pcm, &mut out);
    out
}

/// Encodes 16-bit samples for the telephone: mu-law, both at 8 kHz.
pub fn encode_twilio_audio(pcm: &[i16]) -> Vec<u8> {
    pcm.iter().map(|sample| g711::ulaw_encode(*sample)).collect()
}

/// Compiles the example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
