//! How loud the difference of two pieces of audio is.

use std::fmt;

use cordboard_call::contract::Encoding;

/// The difference of two pieces of audio, against the original.
///
/// Samples that only one side has count against silence on the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AudioDifference {
    /// Bytes of the original.
    pub original_bytes: usize,
    /// Bytes of the other.
    pub other_bytes: usize,
    /// Samples of the longer one.
    samples: usize,
    /// Sums of squares, full scale being 1.
    original_energy: f64,
    difference_energy: f64,
}

impl AudioDifference {
    /// Lays two pieces of one encoding beside each other.
    #[must_use]
    pub fn between(original: &[u8], other: &[u8], encoding: Encoding) -> Self {
        let (one, two) = (samples(original, encoding), samples(other, encoding));
        let longer = one.len().max(two.len());
        let padded = |samples: &[f64], at: usize| samples.get(at).copied().unwrap_or(0.0);
        let difference = (0..longer).map(|at| padded(&two, at) - padded(&one, at));
        Self {
            original_bytes: original.len(),
            other_bytes: other.len(),
            samples: longer,
            original_energy: one.iter().map(|sample| sample * sample).sum(),
            difference_energy: difference.map(|sample| sample * sample).sum(),
        }
    }

    /// Both differences together, as if the pieces had been one.
    #[must_use]
    pub fn with(self, next: Self) -> Self {
        Self {
            original_bytes: self.original_bytes + next.original_bytes,
            other_bytes: self.other_bytes + next.other_bytes,
            samples: self.samples + next.samples,
            original_energy: self.original_energy + next.original_energy,
            difference_energy: self.difference_energy + next.difference_energy,
        }
    }

    /// The difference's RMS against the original's, in dB: 0 is as loud as the original itself, -60 is hard to
    /// hear. None against an original of digital silence; minus infinity when only the bytes differ and not the sound.
    #[must_use]
    pub fn relative_db(&self) -> Option<f64> {
        (self.original_energy > 0.0)
            .then(|| 10.0 * (self.difference_energy / self.original_energy).log10())
    }

    /// The difference's RMS against full scale, in dB; minus infinity when there is none.
    #[must_use]
    pub fn full_scale_db(&self) -> f64 {
        10.0 * (self.difference_energy / self.samples.max(1) as f64).log10()
    }
}

impl fmt::Display for AudioDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.relative_db() {
            _ if self.difference_energy == 0.0 => f.write_str("the same sound in other bytes")?,
            Some(db) => write!(f, "audio differs by {db:.1} dB relative to the original")?,
            None => {
                let db = self.full_scale_db();
                write!(f, "audio where the original is silent, at {db:.1} dB of full scale")?;
            }
        }
        if self.original_bytes != self.other_bytes {
            write!(f, "; {} bytes became {}", self.original_bytes, self.other_bytes)?;
        }
        Ok(())
    }
}

/// Samples between -1 and 1. Half a sample at the end is left out.
fn samples(bytes: &[u8], encoding: Encoding) -> Vec<f64> {
    let scaled = |sample: i16| f64::from(sample) / 32_768.0;
    match encoding {
        Encoding::Mulaw => bytes.iter().map(|&byte| scaled(mulaw(byte))).collect(),
        Encoding::Alaw => bytes.iter().map(|&byte| scaled(alaw(byte))).collect(),
        Encoding::Pcm16 => {
            let pairs = bytes.chunks_exact(2);
            pairs.map(|pair| scaled(i16::from_le_bytes([pair[0], pair[1]]))).collect()
        }
    }
}

/// Decodes mu-law (ITU-T G.711): inverted sign, exponent and mantissa, over a bias of 132.
pub(crate) fn mulaw(byte: u8) -> i16 {
    let bits = !byte;
    let exponent = (bits >> 4) & 7;
    let magnitude = (((i16::from(bits & 15) << 3) + 132) << exponent) - 132;
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}

/// Decodes A-law (ITU-T G.711): every other bit inverted, no bias, a linear first segment.
pub(crate) fn alaw(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let mantissa = i16::from(bits & 15) << 4;
    let magnitude = match (bits >> 4) & 7 {
        0 => mantissa + 8,
        exponent => (mantissa + 264) << (exponent - 1),
    };
    if bits & 0x80 == 0 { -magnitude } else { magnitude }
}
