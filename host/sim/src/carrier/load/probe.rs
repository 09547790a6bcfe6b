//! The signals of a load and how they are found again.

use crate::audio::{FRAME_BYTES, tone, ulaw_decode, ulaw_encode};

/// What a numbered frame begins with: four loud codes that no silence contains.
const MAGIC: [u8; 4] = [0x12, 0xA5, 0x3C, 0x91];

/// Writes frame number `index`: the mark, the number, and bytes that depend on both place and number.
pub(super) fn write(index: u32, frame: &mut [u8; FRAME_BYTES]) {
    frame[..4].copy_from_slice(&MAGIC);
    frame[4..8].copy_from_slice(&index.to_le_bytes());
    for (place, code) in frame.iter_mut().enumerate().skip(8) {
        *code = filling(index, place);
    }
}

fn filling(index: u32, place: usize) -> u8 {
    (index as u8).wrapping_mul(31).wrapping_add((place as u8).wrapping_mul(7)) | 0x40
}

/// Finds numbered frames in a stream of bytes that may be cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Finder {
    pending: Vec<u8>,
}

/// A frame that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) index: u32,
    pub(super) exact: bool,
}

impl Finder {
    pub(super) fn push(&mut self, bytes: &[u8], mut found: impl FnMut(Found)) {
        // The usual case costs no copy: a whole number of whole frames with nothing left over from before.
        let mut rest = bytes;
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(bytes);
            let pending = std::mem::take(&mut self.pending);
            let left = Self::scan(&pending, &mut found);
            self.pending = left.to_vec();
            return;
        }
        rest = Self::scan(rest, &mut found);
        self.pending.extend_from_slice(rest);
    }

    /// Returns what may be the beginning of a frame.
    fn scan<'a>(mut bytes: &'a [u8], found: &mut impl FnMut(Found)) -> &'a [u8] {
        loop {
            match bytes.windows(4).position(|four| four == MAGIC) {
                None => return &bytes[bytes.len() - bytes.len().min(3)..],
                Some(at) if bytes.len() - at < FRAME_BYTES => return &bytes[at..],
                Some(at) => {
                    let frame = &bytes[at..at + FRAME_BYTES];
                    let index = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]);
                    let exact = (8..FRAME_BYTES).all(|place| frame[place] == filling(index, place));
                    found(Found { index, exact });
                    bytes = &bytes[at + FRAME_BYTES..];
                }
            }
        }
    }
}

/// Writes a frame of noise that no other frame of any call of a load has.
pub(super) fn noise(call: u32, index: u32, frame: &mut [u8; FRAME_BYTES]) {
    let mut state = (u64::from(call) << 32 | u64::from(index)) ^ 0x9E37_79B9_7F4A_7C15;
    for code in frame {
        // A linear congruential step (Knuth's MMIX constants); the upper bits are the better ones.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *code = (state >> 56) as u8;
    }
}

/// A digest of the first so many bytes of a stream (FNV-1a): not against forgers, but any mishap changes it.
#[derive(Debug)]
pub(super) struct Digest {
    value: u64,
    missing: usize,
}

impl Digest {
    pub(super) fn of_first(bytes: usize) -> Self {
        Self { value: 0xCBF2_9CE4_8422_2325, missing: bytes }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().take(self.missing) {
            self.value = (self.value ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
        self.missing = self.missing.saturating_sub(bytes.len());
    }

    /// `None` until all the bytes have come.
    pub(super) fn whole(&self) -> Option<u64> {
        (self.missing == 0).then_some(self.value)
    }
}

/// Returns the frame that carries a click.
pub(super) fn click() -> [u8; FRAME_BYTES] {
    let mut frame = [0; FRAME_BYTES];
    for (code, sample) in frame.iter_mut().zip(tone(1000.0, 8000, 20)) {
        *code = ulaw_encode(sample);
    }
    frame
}

/// Returns where a click begins in a piece of audio.
pub(super) fn onset(ulaw: &[u8]) -> Option<usize> {
    ulaw.iter().position(|&code| ulaw_decode(code).unsigned_abs() > 3000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let mut stream = vec![0xFF; 77];
        for index in 0..50 {
            let mut frame = [0; FRAME_BYTES];
            write(index, &mut frame);
            stream.extend(frame);
            if index % 7 == 0 {
                stream.extend([0xFF; 13]);
            }
        }
        for size in [1, 3, 160, 800, 1999] {
            let mut finder = Finder::default();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                finder.push(piece, |frame| found.push(frame));
            }
            let expected: Vec<Found> = (0..50).map(|index| Found { index, exact: true }).collect();
            assert_eq!(found, expected, "cut into {size}");
        }
    }

    #[test]
    fn a_digest_is_of_the_bytes_however_they_come_and_of_no_more_than_was_asked() {
        let stream: Vec<u8> = (0..1000_u32).map(|n| (n * n) as u8).collect();
        let digest = |stream: &[u8], size| {
            let mut digest = Digest::of_first(900);
            stream.chunks(size).for_each(|piece| digest.push(piece));
            digest.whole()
        };
        let whole = digest(&stream, 1000);
        assert!(whole.is_some());
        assert_eq!(digest(&stream, 7), whole);
        assert_eq!(digest(&stream[..900], 160), whole);
        assert_eq!(digest(&stream[..899], 160), None);
        let mut repeated = stream.clone();
        repeated.copy_within(160..320, 320);
        assert_ne!(digest(&repeated, 1000), whole);
    }

    #[test]
    fn noise_differs_from_frame_to_frame_and_from_call_to_call() {
        let noise = |call, index| {
            let mut frame = [0; FRAME_BYTES];
            super::noise(call, index, &mut frame);
            frame
        };
        assert_eq!(noise(1, 2), noise(1, 2));
        assert_ne!(noise(1, 2), noise(1, 3));
        assert_ne!(noise(1, 2), noise(2, 2));
    }

    #[test]
    fn one_changed_byte_is_noticed() {
        let mut frame = [0; FRAME_BYTES];
        write(3, &mut frame);
        frame[100] ^= 1;
        let mut found = Vec::new();
        Finder::default().push(&frame, |f| found.push(f));
        assert_eq!(found, [Found { index: 3, exact: false }]);
    }
}
