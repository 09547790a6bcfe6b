//! The keys of a telephone as sounds: DTMF, made and recognised at 8 kHz.
//!
//! **A key is two tones at once, one of a low and one of a high group** (ITU-T Recommendation Q.23), chosen so that no
//! voice sounds like them for long. [`tones`] makes them, for sending keys within the audio of a call; [`KeyDetector`] finds them
//! in it by the limits of Q.24.
//!
//! ```
//! use cordboard_audio::dtmf::{KeyDetector, Stroke, ToneSettings, tones};
//!
//! let audio = tones("42#", &ToneSettings::default()).unwrap();
//! let mut detector = KeyDetector::default();
//! let mut keys = String::new();
//! for frame in audio.chunks(160) {
//!     detector.process(frame, |stroke| {
//!         if let Stroke::Down { key, .. } = stroke {
//!             keys.push(key);
//!         }
//!     });
//! }
//! assert_eq!(keys, "42#");
//! ```

mod detector;
mod generator;

pub use detector::{KeyDetector, Stroke};
pub use generator::{PAUSE_MS, TONES_MS_MAX, ToneError, ToneSettings, tones};

/// Every key there is, row by row.
pub const KEYS: [char; 16] =
    ['1', '2', '3', 'A', '4', '5', '6', 'B', '7', '8', '9', 'C', '*', '0', '#', 'D'];

/// The low group in Hz, a tone for each row of keys (Q.23).
pub const LOW_HZ: [u16; 4] = [697, 770, 852, 941];

/// The high group in Hz, a tone for each column (Q.23).
pub const HIGH_HZ: [u16; 4] = [1_209, 1_336, 1_477, 1_633];

/// The two tones of a key in Hz, the low one first; none for what is no key.
pub fn frequencies(key: char) -> Option<(u16, u16)> {
    let at = KEYS.iter().position(|known| *known == key)?;
    Some((LOW_HZ[at / 4], HIGH_HZ[at % 4]))
}

const SAMPLES_PER_MS: usize = 8;
