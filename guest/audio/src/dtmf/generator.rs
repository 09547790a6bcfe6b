//! Makes the tones of keys.

use alloc::vec::Vec;
use core::fmt;

use super::{KEYS, SAMPLES_PER_MS};
use crate::math::{PEAK_0_DBM0, db_to_amplitude, sin_cos};

/// How keys sound. What is out of range is refused by [`tones`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToneSettings {
    /// The level of the low tone in dBm0, -30..=-3. By default -10, the nominal level of American telephones.
    pub level_dbm0: i8,
    /// How much louder the high tone is, in dB, -6..=4; 2 by default, because lines weaken what is high. Receivers
    /// must take 4 and -8 (Q.24, AT&T). The louder of the two is at most -3 dBm0, or their sum would clip.
    pub twist_db: i8,
    /// How long a tone sounds in ms, 40..=1000; receivers must take 40 (Q.24). 100 by default.
    pub on_ms: u16,
    /// The silence after it in ms, 40..=1000. 100 by default.
    pub off_ms: u16,
}

impl Default for ToneSettings {
    fn default() -> Self {
        Self { level_dbm0: -10, twist_db: 2, on_ms: 100, off_ms: 100 }
    }
}

/// How long the pause is that `w` stands for among keys, in ms.
pub const PAUSE_MS: u16 = 500;
/// How long all the tones of one request may last, in ms: more keys than anybody dials, and within what a
/// host takes from a tenant at once.
pub const TONES_MS_MAX: u32 = 20_000;

/// Why no tones were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToneError {
    /// This is none of `0`-`9`, `*`, `#`, `A`-`D` and `w`.
    Key(char),
    /// There are no keys.
    Empty,
    /// They would last this many ms; [`TONES_MS_MAX`] is the limit.
    TooLong(u32),
    /// A setting is out of its range.
    Setting {
        /// Which.
        name: &'static str,
        /// What it is.
        value: i32,
        /// The least it may be.
        min: i32,
        /// The most it may be.
        max: i32,
    },
}

impl fmt::Display for ToneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => {
                write!(f, "{key:?} is no key; there are 0-9, *, #, A-D, and w for half a second")
            }
            Self::Empty => f.write_str("there are no keys to play"),
            Self::TooLong(ms) => {
                write!(
                    f,
                    "these keys last {ms} ms, at most {TONES_MS_MAX} ms can be played at once"
                )
            }
            Self::Setting { name, value, min, max } => {
                write!(f, "{name} is {value}, but must be {min} to {max}")
            }
        }
    }
}

impl core::error::Error for ToneError {}

/// Makes the tones of these keys, one after the other, as samples at 8 kHz.
///
/// Each key is its tone and the silence after it; `w` is half a second of silence. A tone swells and fades within its
/// time over 2 ms, so that no click is heard at its edges, and runs without a break between them.
///
/// # Errors
///
/// [`ToneError`] names the key or setting that cannot be.
pub fn tones(keys: &str, settings: &ToneSettings) -> Result<Vec<i16>, ToneError> {
    settings.check()?;
    let mut ms = 0u32;
    for key in keys.chars() {
        let known = key == 'w' || KEYS.contains(&key);
        ms = match (known, key) {
            (false, _) => return Err(ToneError::Key(key)),
            (true, 'w') => ms.saturating_add(PAUSE_MS.into()),
            (true, _) => ms.saturating_add(u32::from(settings.on_ms) + u32::from(settings.off_ms)),
        };
    }
    match ms {
        0 => return Err(ToneError::Empty),
        TONES_MS_TOO_LONG.. => return Err(ToneError::TooLong(ms)),
        _ => {}
    }

    let mut samples = Vec::with_capacity(ms as usize * SAMPLES_PER_MS);
    for key in keys.chars() {
        let silence_ms = match KEYS.iter().position(|known| *known == key) {
            Some(at) => {
                settings.tone(at, &mut samples);
                settings.off_ms
            }
            None => PAUSE_MS,
        };
        samples.resize(samples.len() + usize::from(silence_ms) * SAMPLES_PER_MS, 0);
    }
    Ok(samples)
}

impl ToneSettings {
    fn check(&self) -> Result<(), ToneError> {
        let loudest = self.level_dbm0.max(self.level_dbm0.saturating_add(self.twist_db));
        let softest = self.level_dbm0.min(self.level_dbm0.saturating_add(self.twist_db));
        for (name, value, min, max) in [
            ("twist_db", i32::from(self.twist_db), -6, 4),
            ("level_dbm0", softest.into(), -30, -3),
            ("level_dbm0", loudest.into(), -30, -3),
            ("on_ms", self.on_ms.into(), 40, 1_000),
            ("off_ms", self.off_ms.into(), 40, 1_000),
        ] {
            if !(min..=max).contains(&value) {
                return Err(ToneError::Setting { name, value, min, max });
            }
        }
        Ok(())
    }

    /// Appends one tone.
    fn tone(&self, at: usize, samples: &mut Vec<i16>) {
        let mut low = Oscillator::new(LOW[at / 4], self.level_dbm0);
        let mut high = Oscillator::new(HIGH[at % 4], self.level_dbm0 + self.twist_db);
        let len = usize::from(self.on_ms) * SAMPLES_PER_MS;
        samples.extend((0..len).map(|n| {
            let edge = n.min(len - 1 - n);
            let swell = if edge < RAMP { edge as f64 / RAMP as f64 } else { 1.0 };
            let sample = (low.next() + high.next()) * swell;
            // Half away from zero, which is what the cast makes of it.
            (sample + if sample < 0.0 { -0.5 } else { 0.5 }) as i16
        }));
    }
}

/// A sine wave by recurrence: each sample follows from the two before it.
struct Oscillator {
    twice_cosine: f64,
    last: f64,
    before: f64,
}

impl Oscillator {
    fn new((sine, cosine): (f64, f64), level_dbm0: i8) -> Self {
        let peak = PEAK_0_DBM0 * db_to_amplitude(level_dbm0);
        Self { twice_cosine: 2.0 * cosine, last: -sine * peak, before: -2.0 * sine * cosine * peak }
    }

    fn next(&mut self) -> f64 {
        let now = self.twice_cosine * self.last - self.before;
        (self.before, self.last) = (self.last, now);
        now
    }
}

const TONES_MS_TOO_LONG: u32 = TONES_MS_MAX + 1;
/// 2 ms.
const RAMP: usize = 16;
const LOW: [(f64, f64); 4] = steps(super::LOW_HZ);
const HIGH: [(f64, f64); 4] = steps(super::HIGH_HZ);

/// Sine and cosine of the angle between two samples.
pub(super) const fn steps(hz: [u16; 4]) -> [(f64, f64); 4] {
    let mut steps = [(0.0, 0.0); 4];
    let mut n = 0;
    while n < 4 {
        steps[n] = sin_cos(hz[n] as f64 / 8_000.0);
        n += 1;
    }
    steps
}
