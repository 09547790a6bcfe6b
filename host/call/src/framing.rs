//! What may be known of an audio format without looking inside a frame: sizes, times, silence.

use std::time::Duration;

use crate::contract::{AudioFormat, Encoding};

/// The length of a frame in every format.
pub(crate) const FRAME: Duration = Duration::from_millis(20);
const FRAME_MS: usize = 20;

/// A format in the terms of this crate: bytes for time, and the byte that is silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framing {
    bytes_per_ms: usize,
    silence: u8,
}

/// The carrier offered an audio format that no frame can be cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the carrier offers {channels} channel(s) at {sample_rate} Hz; \
     whole kilohertz up to 48000 with one or two channels are understood"
)]
pub struct UnsupportedFormat {
    /// Samples per second and channel, as offered.
    pub sample_rate: u32,
    /// As offered.
    pub channels: u8,
}

impl Framing {
    pub(crate) fn of(format: AudioFormat) -> Result<Self, UnsupportedFormat> {
        let AudioFormat { encoding, sample_rate, channels } = format;
        let whole_khz = sample_rate % 1000 == 0 && (8_000..=48_000).contains(&sample_rate);
        if !whole_khz || !(1..=2).contains(&channels) {
            return Err(UnsupportedFormat { sample_rate, channels });
        }
        let (sample_bytes, silence) = match encoding {
            Encoding::Mulaw => (1, 0xFF),
            Encoding::Alaw => (1, 0xD5),
            Encoding::Pcm16 => (2, 0x00),
        };
        let bytes_per_ms = sample_rate as usize / 1000 * usize::from(channels) * sample_bytes;
        Ok(Self { bytes_per_ms, silence })
    }

    pub(crate) fn frame_bytes(self) -> usize {
        self.bytes_per_ms * FRAME_MS
    }

    pub(crate) fn silence(self) -> u8 {
        self.silence
    }

    pub(crate) fn silent_frame(self) -> Vec<u8> {
        vec![self.silence; self.frame_bytes()]
    }

    /// Playing time, exact to the nanosecond.
    pub(crate) fn time(self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes * 1_000_000 / self.bytes_per_ms as u64)
    }

    /// Whole bytes played in a time.
    pub(crate) fn bytes(self, time: Duration) -> u64 {
        // A call is bounded to hours, so the product stays far below 2^64.
        time.as_nanos() as u64 / 1_000 * self.bytes_per_ms as u64 / 1_000
    }

    /// Whole milliseconds in so many bytes, rounded down.
    pub(crate) fn millis(self, bytes: u64) -> u32 {
        u32::try_from(bytes / self.bytes_per_ms as u64).unwrap_or(u32::MAX)
    }
}

/// Audio in pieces of at most so many bytes; without a copy where it is one piece already.
pub(crate) fn pieces(audio: Vec<u8>, bytes_max: usize) -> Vec<Vec<u8>> {
    if audio.len() <= bytes_max {
        return vec![audio];
    }
    audio.chunks(bytes_max).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(encoding: Encoding, sample_rate: u32) -> AudioFormat {
        AudioFormat { encoding, sample_rate, channels: 1 }
    }

    #[test]
    fn a_telephone_frame_has_160_bytes_and_a_wideband_one_640() {
        let narrow = Framing::of(format(Encoding::Mulaw, 8_000)).expect("mu-law at 8 kHz");
        let wide = Framing::of(format(Encoding::Pcm16, 16_000)).expect("PCM at 16 kHz");
        assert_eq!((narrow.frame_bytes(), narrow.silence()), (160, 0xFF));
        assert_eq!((wide.frame_bytes(), wide.silence()), (640, 0x00));
        assert_eq!(narrow.time(8_000), Duration::from_secs(1));
        assert_eq!(narrow.bytes(Duration::from_millis(1_500)), 12_000);
        assert_eq!(narrow.millis(159), 19);
    }

    #[test]
    fn a_rate_that_gives_no_whole_frame_is_refused_by_name() {
        let refused = Framing::of(format(Encoding::Mulaw, 11_025)).expect_err("no whole kilohertz");
        assert!(refused.to_string().contains("11025 Hz"));
        assert!(Framing::of(format(Encoding::Mulaw, 0)).is_err());
        let stereo = AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 3 };
        assert!(Framing::of(stereo).is_err());
    }
}
