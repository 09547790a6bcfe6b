//! What a line sounds like by now: a voice, music, a tone, noise, nothing.
//!
//! **Music holds its notes and seldom pauses; speech does neither.** Three numbers per 20 ms tell them apart: how loud it is, how flat
//! its spectrum is, and how much the spectrum is like that of 40 ms before. Over half a second they tell a voice from what is
//! sustained, over one and a quarter seconds music from a drawn-out vowel. What that was
//! measured on, and what not, is in this crate's README.md.

use alloc::vec::Vec;

use crate::LoadError;
use crate::fields::{Reader, Writer};
use crate::g711::ulaw_decode;
use crate::math::{POWER_0_DBM0, power_db};
use crate::timbre::{Timbre, TimbreMeter};

/// What is on the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sound {
    /// Nothing above -45 dBm0 to speak of, for half a second.
    #[default]
    Quiet,
    /// Somebody speaks, as far as half a second can tell.
    Voice,
    /// Music, for at least 1.3 s.
    Music,
    /// One or a few pure tones: ringing, busy, a key.
    Tone,
    /// Noise: hiss, wind, a crowd far away.
    Noise,
    /// Something sustained that is none of these yet.
    Unclear,
}

/// Listens to a stream of 8 kHz and says every 20 ms what it sounds like. How the stream is cut makes no difference.
///
/// ```
/// use cordboard_audio::sound::{Sound, SoundMeter};
///
/// let mut meter = SoundMeter::default();
/// meter.process_ulaw(&[0xFF; 8_000]);
/// assert_eq!(meter.sound(), Sound::Quiet);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SoundMeter {
    meter: TimbreMeter,
    /// The last frames, in a ring; `at` is the oldest.
    frames: [Timbre; LONG],
    at: u8,
    /// How many of them are there, at the beginning.
    len: u8,
    sound: Sound,
}

impl Default for SoundMeter {
    fn default() -> Self {
        let meter = TimbreMeter::default();
        Self { meter, frames: [Timbre::default(); LONG], at: 0, len: 0, sound: Sound::Quiet }
    }
}

impl SoundMeter {
    /// Takes samples, as many as there are.
    pub fn process(&mut self, pcm: &[i16]) {
        let Self { meter, frames, at, len, sound } = self;
        meter.process(pcm, |timbre| {
            frames[usize::from(*at)] = timbre;
            *at = (*at + 1) % LONG as u8;
            *len = (*len + 1).min(LONG as u8);
            *sound = judge(frames, usize::from(*at), usize::from(*len));
        });
    }

    /// The same for mu-law.
    pub fn process_ulaw(&mut self, ulaw: &[u8]) {
        for ulaw in ulaw.chunks(160) {
            let mut pcm = [0; 160];
            for (to, from) in pcm.iter_mut().zip(ulaw) {
                *to = ulaw_decode(*from);
            }
            self.process(&pcm[..ulaw.len()]);
        }
    }

    /// What the line sounds like by now.
    pub fn sound(&self) -> Sound {
        self.sound
    }

    /// The mean power of the last whole 20 ms in dBm0; below -100 for silence, and before there were any.
    pub fn level_dbm0(&self) -> f32 {
        let last = (usize::from(self.at) + LONG - 1) % LONG;
        if self.len == 0 { SILENCE_DBM0 } else { self.frames[last].level_dbm0 }
    }
}

/// The mean power of a piece of mu-law in dBm0; below -100 for silence. All there is of a speech detector where the question
/// is only whether somebody speaks into the telephone or a room answers.
pub fn ulaw_level_dbm0(ulaw: &[u8]) -> f32 {
    if ulaw.is_empty() {
        return SILENCE_DBM0;
    }
    let square = |code: &u8| {
        let x = f32::from(ulaw_decode(*code)) * (1.0 / 32_768.0);
        x * x
    };
    let energy: f32 = ulaw.iter().map(square).sum();
    power_db(energy / ulaw.len() as f32 / POWER_0_DBM0)
}

/// Hand-over.
impl SoundMeter {
    /// Writes down everything the next judgement depends on: 2.1 KB.
    pub fn save(&self) -> Vec<u8> {
        let mut to = Writer::new(VERSION);
        self.meter.save(&mut to);
        for frame in &self.frames {
            to.f32s(&[frame.level_dbm0, frame.flatness_db, frame.steadiness]);
        }
        to.u8(self.at);
        to.u8(self.len);
        to.u8(self.sound as u8);
        to.finish()
    }

    /// Goes on where [`save`](Self::save) was called.
    ///
    /// # Errors
    ///
    /// Anything that `save` cannot have written is refused.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let mut from = Reader::new(bytes, VERSION)?;
        let mut loaded = Self { meter: TimbreMeter::load(&mut from)?, ..Self::default() };
        for frame in &mut loaded.frames {
            let mut numbers = [0.0; 3];
            from.f32s(&mut numbers)?;
            let [level_dbm0, flatness_db, steadiness] = numbers;
            *frame = Timbre { level_dbm0, flatness_db, steadiness };
        }
        (loaded.at, loaded.len) = (from.u8()?, from.u8()?);
        if usize::from(loaded.at) >= LONG || usize::from(loaded.len) > LONG {
            return Err(LoadError::Field("place in the ring"));
        }
        loaded.sound = match from.u8()? {
            0 => Sound::Quiet,
            1 => Sound::Voice,
            2 => Sound::Music,
            3 => Sound::Tone,
            4 => Sound::Noise,
            5 => Sound::Unclear,
            _ => return Err(LoadError::Field("sound")),
        };
        from.finish()?;
        Ok(loaded)
    }
}

/// What the last frames sound like; `end` is where the next one will stand.
fn judge(frames: &[Timbre; LONG], end: usize, len: usize) -> Sound {
    let last = |count: usize| (1..=count).map(move |back| &frames[(end + LONG - back) % LONG]);
    let short = Means::of(last(SHORT.min(len)));
    if short.active < ACTIVE_MIN {
        return Sound::Quiet;
    }
    if short.flatness_db < TONE_FLATNESS_DB {
        return Sound::Tone;
    }
    if short.flatness_db > NOISE_FLATNESS_DB {
        return Sound::Noise;
    }
    if short.steadiness < VOICE_STEADINESS {
        return Sound::Voice;
    }
    if len < LONG {
        return Sound::Unclear;
    }
    let long = Means::of(last(LONG));
    let floor = loud_floor(last(LONG));
    let pauses = last(LONG).filter(|frame| frame.level_dbm0 < floor).count();
    if long.steadiness >= MUSIC_STEADINESS && pauses <= PAUSES_MAX {
        Sound::Music
    } else {
        Sound::Unclear
    }
}

/// The means over the frames that are loud enough to be anything.
struct Means {
    active: usize,
    flatness_db: f32,
    steadiness: f32,
}

impl Means {
    fn of<'a>(frames: impl Iterator<Item = &'a Timbre>) -> Self {
        let (mut active, mut flatness_db, mut steadiness) = (0, 0.0, 0.0);
        for frame in frames.filter(|frame| frame.level_dbm0 > ACTIVE_DBM0) {
            active += 1;
            flatness_db += frame.flatness_db;
            steadiness += frame.steadiness;
        }
        let count = active.max(1) as f32;
        Self { active, flatness_db: flatness_db / count, steadiness: steadiness / count }
    }
}

/// The level below which a frame is a pause: 12 dB below the mean of the levels above the noise.
fn loud_floor<'a>(frames: impl Iterator<Item = &'a Timbre>) -> f32 {
    let (mut sum, mut count) = (0.0, 0.0);
    for frame in frames.filter(|frame| frame.level_dbm0 > ACTIVE_DBM0) {
        sum += frame.level_dbm0;
        count += 1.0;
    }
    if count > 0.0 { sum / count - 12.0 } else { ACTIVE_DBM0 }
}

const VERSION: u8 = 1;
/// 1.28 s.
const LONG: usize = 64;
/// 0.48 s.
const SHORT: usize = 24;
/// 100 ms of the half second.
const ACTIVE_MIN: usize = 5;
/// Speech on a telephone is between -30 and -10 dBm0, the noise of a good line below -60.
const ACTIVE_DBM0: f32 = -45.0;
const SILENCE_DBM0: f32 = -120.0;
const TONE_FLATNESS_DB: f32 = -30.0;
const NOISE_FLATNESS_DB: f32 = -7.0;
/// Half a second of music was never below 0.78, of speech above it only in drawn-out vowels.
const VOICE_STEADINESS: f32 = 0.68;
/// 1.28 s of speech were never above 0.68, of music never below 0.80.
const MUSIC_STEADINESS: f32 = 0.74;
/// 160 ms of 1.28 s.
const PAUSES_MAX: usize = 8;
