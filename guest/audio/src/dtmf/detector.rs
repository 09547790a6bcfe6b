//! Finds keys in a stream of audio.
//!
//! The power of the eight tones is taken by Goertzel's recurrence over windows of 102 samples (12.75 ms), a new one every 51
//! (6.4 ms), each put together from two halves. In a window there is a key if
//! - each of the two tones is loud enough, and neither much louder than the other (twist);
//! - in each group one tone stands out from the others;
//! - the two together are nearly all the power there is: speech and music have more beside them.
//!
//! A key is down after four such windows in a row, which any tone of 40 ms has and none of 23 ms; it is up after four windows
//! without it, which any pause of 30 ms has and no gap of 10 ms. These are the limits of Q.24.

use alloc::vec::Vec;

use super::generator::steps;
use super::{HIGH_HZ, KEYS, LOW_HZ};
use crate::LoadError;
use crate::fields::{Reader, Writer};
use crate::g711::ulaw_decode;
use crate::math::POWER_0_DBM0;

/// A key that begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// A key is being held.
    Down {
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        key: char,
        /// When that was certain, in ms of audio since the detector was new: 26 to 45 ms after the tone began.
        at_ms: u64,
    },
    /// It was let go.
    Up {
        /// The same key.
        key: char,
        /// When that was certain, in ms of audio: some 30 ms after the tone ended.
        at_ms: u64,
    },
}

/// Listens for keys. How the stream is cut into frames makes no difference.
///
/// It takes any key between -33 and 0 dBm0 per tone, with the high tone 8 dB weaker to 4 dB stronger than the low one (Q.24, AT&T), frequencies
/// off by 1.5 % and noise 15 dB below. Dial tone underneath is not filtered out: a call that is answered has none.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyDetector {
    half: Half,
    /// The finished half before it: re and im of each tone, and the energy.
    before: [(f32, f32); TONES],
    energy_before: f32,
    /// Finished halves, since the detector was new.
    halves: u64,
    /// What the last windows have in common, and how many they are.
    candidate: Option<u8>,
    run: u8,
    /// The key that is down, and how many windows have been without it.
    down: Option<u8>,
    missed: u8,
}

/// The half of a window that is being filled.
#[derive(Clone, Debug, PartialEq)]
struct Half {
    len: u8,
    last: [f32; TONES],
    before: [f32; TONES],
    energy: f32,
}

impl Default for KeyDetector {
    fn default() -> Self {
        Self {
            half: Half::EMPTY,
            before: [(0.0, 0.0); TONES],
            energy_before: 0.0,
            halves: 0,
            candidate: None,
            run: 0,
            down: None,
            missed: 0,
        }
    }
}

impl KeyDetector {
    /// Takes samples at 8 kHz, as many as there are, and tells of every key that begins or ends in them.
    pub fn process(&mut self, pcm: &[i16], mut each: impl FnMut(Stroke)) {
        let mut pcm = pcm;
        while !pcm.is_empty() {
            let room = HALF - usize::from(self.half.len);
            let (now, later) = pcm.split_at(room.min(pcm.len()));
            self.half.add(now);
            if usize::from(self.half.len) == HALF {
                self.half_full(&mut each);
            }
            pcm = later;
        }
    }

    /// The same for mu-law.
    pub fn process_ulaw(&mut self, ulaw: &[u8], mut each: impl FnMut(Stroke)) {
        for ulaw in ulaw.chunks(160) {
            let mut pcm = [0; 160];
            for (to, from) in pcm.iter_mut().zip(ulaw) {
                *to = ulaw_decode(*from);
            }
            self.process(&pcm[..ulaw.len()], &mut each);
        }
    }

    /// The key that is being held, if any.
    pub fn held(&self) -> Option<char> {
        self.down.map(|at| KEYS[usize::from(at)])
    }

    fn half_full(&mut self, each: &mut impl FnMut(Stroke)) {
        let half = core::mem::replace(&mut self.half, Half::EMPTY);
        let mut now = [(0.0, 0.0); TONES];
        let mut power = [0.0; TONES];
        for (tone, step) in STEPS.iter().enumerate() {
            let (last, before) = (half.last[tone], half.before[tone]);
            let (re, im) = (last - step.cosine * before, step.sine * before);
            now[tone] = (re, im);
            // The half before is as many samples older.
            let (old_re, old_im) = self.before[tone];
            let re = re + old_re * step.turn_cosine - old_im * step.turn_sine;
            let im = im + old_re * step.turn_sine + old_im * step.turn_cosine;
            power[tone] = (re * re + im * im) * TO_MEAN_SQUARE;
        }
        let mean_square = (self.energy_before + half.energy) / WINDOW as f32;
        (self.before, self.energy_before) = (now, half.energy);
        self.halves = self.halves.saturating_add(1);
        self.window(key_of(&power, mean_square), each);
    }

    fn window(&mut self, key: Option<u8>, each: &mut impl FnMut(Stroke)) {
        let at_ms = self.halves.saturating_mul(HALF as u64) / super::SAMPLES_PER_MS as u64;
        if key == self.candidate {
            self.run = self.run.saturating_add(1);
        } else {
            (self.candidate, self.run) = (key, 1);
        }
        self.missed = if key == self.down { 0 } else { self.missed.saturating_add(1) };

        if let Some(down) = self.down
            && self.missed >= WINDOWS_TO_END
        {
            self.down = None;
            each(Stroke::Up { key: KEYS[usize::from(down)], at_ms });
        }
        if let Some(key) = key
            && self.down.is_none()
            && self.run >= WINDOWS_TO_BEGIN
        {
            (self.down, self.missed) = (Some(key), 0);
            each(Stroke::Down { key: KEYS[usize::from(key)], at_ms });
        }
    }
}

/// Hand-over.
impl KeyDetector {
    /// Writes down everything the next stroke depends on.
    pub fn save(&self) -> Vec<u8> {
        let mut to = Writer::new(VERSION);
        to.u8(self.half.len);
        to.f32s(&self.half.last);
        to.f32s(&self.half.before);
        to.f32s(&[self.half.energy, self.energy_before]);
        for (re, im) in self.before {
            to.f32s(&[re, im]);
        }
        to.u64(self.halves);
        to.u8(self.candidate.map_or(NO_KEY, |key| key));
        to.u8(self.run);
        to.u8(self.down.map_or(NO_KEY, |key| key));
        to.u8(self.missed);
        to.finish()
    }

    /// Goes on where [`save`](Self::save) was called.
    ///
    /// # Errors
    ///
    /// Anything that `save` cannot have written is refused.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let mut from = Reader::new(bytes, VERSION)?;
        let mut detector = Self::default();
        detector.half.len = from.u8()?;
        if usize::from(detector.half.len) >= HALF {
            return Err(LoadError::Field("length of half a window"));
        }
        from.f32s(&mut detector.half.last)?;
        from.f32s(&mut detector.half.before)?;
        let mut energies = [0.0; 2];
        from.f32s(&mut energies)?;
        [detector.half.energy, detector.energy_before] = energies;
        for tone in &mut detector.before {
            let mut parts = [0.0; 2];
            from.f32s(&mut parts)?;
            *tone = (parts[0], parts[1]);
        }
        detector.halves = from.u64()?;
        detector.candidate = key_field(from.u8()?)?;
        detector.run = from.u8()?;
        detector.down = key_field(from.u8()?)?;
        detector.missed = from.u8()?;
        from.finish()?;
        Ok(detector)
    }
}

fn key_field(at: u8) -> Result<Option<u8>, LoadError> {
    match at {
        0..16 => Ok(Some(at)),
        NO_KEY => Ok(None),
        _ => Err(LoadError::Field("key")),
    }
}

impl Half {
    const EMPTY: Half = Half { len: 0, last: [0.0; TONES], before: [0.0; TONES], energy: 0.0 };

    fn add(&mut self, pcm: &[i16]) {
        for sample in pcm {
            let x = f32::from(*sample) * (1.0 / 32_768.0);
            self.energy += x * x;
            for (tone, step) in STEPS.iter().enumerate() {
                let now = x + step.twice_cosine * self.last[tone] - self.before[tone];
                (self.before[tone], self.last[tone]) = (self.last[tone], now);
            }
        }
        self.len += pcm.len() as u8;
    }
}

/// The key in a window with these powers of the tones, if there is one.
fn key_of(power: &[f32; TONES], mean_square: f32) -> Option<u8> {
    let (low, high) = power.split_at(4);
    let (row, low) = outstanding(low)?;
    let (column, high) = outstanding(high)?;
    let loud = low.min(high) >= POWER_MIN;
    let balanced = high <= low * TWIST_MAX && low <= high * REVERSE_TWIST_MAX;
    let alone = low + high >= mean_square * SHARE_MIN;
    (loud && balanced && alone).then_some(row * 4 + column)
}

/// The strongest tone of a group, if it is much stronger than every other.
fn outstanding(group: &[f32]) -> Option<(u8, f32)> {
    let mut best = (0, group[0]);
    for (at, power) in group.iter().enumerate().skip(1) {
        if *power > best.1 {
            best = (at as u8, *power);
        }
    }
    let others = group.iter().enumerate().filter(|(at, _)| *at != usize::from(best.0));
    let stands_out = others.into_iter().all(|(_, power)| *power * OUTSTANDING <= best.1);
    stands_out.then_some(best)
}

/// What the recurrence needs of a tone: the angle from one sample to the next, and over half a window.
struct Step {
    sine: f32,
    cosine: f32,
    twice_cosine: f32,
    turn_sine: f32,
    turn_cosine: f32,
}

const STEPS: [Step; TONES] = {
    const fn step(hz: u16, (sine, cosine): (f64, f64)) -> Step {
        // Whole turns are left out here, in whole numbers, so that nothing is lost.
        let turns = (hz as u32 * HALF as u32 % 8_000) as f64 / 8_000.0;
        let (turn_sine, turn_cosine) = crate::math::sin_cos(turns);
        Step {
            sine: sine as f32,
            cosine: cosine as f32,
            twice_cosine: (2.0 * cosine) as f32,
            turn_sine: turn_sine as f32,
            turn_cosine: turn_cosine as f32,
        }
    }
    let (low, high) = (steps(LOW_HZ), steps(HIGH_HZ));
    [
        step(LOW_HZ[0], low[0]),
        step(LOW_HZ[1], low[1]),
        step(LOW_HZ[2], low[2]),
        step(LOW_HZ[3], low[3]),
        step(HIGH_HZ[0], high[0]),
        step(HIGH_HZ[1], high[1]),
        step(HIGH_HZ[2], high[2]),
        step(HIGH_HZ[3], high[3]),
    ]
};

const VERSION: u8 = 1;
const TONES: usize = 8;
const HALF: usize = 51;
const WINDOW: usize = 2 * HALF;
const NO_KEY: u8 = 0xFF;
/// A sine wave of peak 1 sums to WINDOW / 2.
const TO_MEAN_SQUARE: f32 = 2.0 / (WINDOW * WINDOW) as f32;
const WINDOWS_TO_BEGIN: u8 = 4;
const WINDOWS_TO_END: u8 = 4;
/// -36 dBm0: 3 dB of reserve below the weakest key there is to find, for a frequency off the middle.
const POWER_MIN: f32 = POWER_0_DBM0 * 2.511_886_4e-4;
/// 4 dB and 2 of reserve.
const TWIST_MAX: f32 = 3.981_072;
/// 8 dB and 2 of reserve.
const REVERSE_TWIST_MAX: f32 = 10.0;
/// 6 dB.
const OUTSTANDING: f32 = 3.981_072;
/// Of a pure key in the middle of its frequencies it is all; 1.5 % off and with noise 15 dB below, 0.71 in the worst case.
const SHARE_MIN: f32 = 0.7;
