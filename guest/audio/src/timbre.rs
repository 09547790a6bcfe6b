//! How 20 ms of a line sound: how loud, how flat a spectrum, how like a moment ago.

use crate::LoadError;
use crate::fields::{Reader, Writer};
use crate::math::{POWER_0_DBM0, log2, power_db};
use crate::spectrum::{BINS, WINDOW, powers};

/// Three numbers for 20 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Timbre {
    /// Mean power in dBm0; silence is below -100.
    pub(crate) level_dbm0: f32,
    /// The geometric mean of the spectrum over its arithmetic mean, in dB: -2.5 for white noise, about -38 for a tone.
    pub(crate) flatness_db: f32,
    /// 0 to 1: the square of the cosine between this spectrum and the one 40 ms before. A note that is held keeps its
    /// spectrum, a syllable does not.
    pub(crate) steadiness: f32,
}

/// Cuts a stream into frames of 20 ms and measures each, however it comes in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimbreMeter {
    /// The last samples, oldest first; of the newest frame, as many as are waiting.
    samples: [i16; WINDOW],
    waiting: u8,
    /// The spectra of the last two frames, the older one first.
    before: [[f32; BINS]; 2],
}

impl Default for TimbreMeter {
    fn default() -> Self {
        Self { samples: [0; WINDOW], waiting: 0, before: [[0.0; BINS]; 2] }
    }
}

impl TimbreMeter {
    pub(crate) fn process(&mut self, pcm: &[i16], mut each: impl FnMut(Timbre)) {
        let mut pcm = pcm;
        while !pcm.is_empty() {
            let waiting = usize::from(self.waiting);
            let (now, later) = pcm.split_at((FRAME - waiting).min(pcm.len()));
            let at = WINDOW - FRAME + waiting;
            self.samples[at..at + now.len()].copy_from_slice(now);
            self.waiting += now.len() as u8;
            if usize::from(self.waiting) == FRAME {
                each(self.frame());
                self.samples.copy_within(FRAME.., 0);
                self.waiting = 0;
            }
            pcm = later;
        }
    }

    fn frame(&mut self) -> Timbre {
        let energy: f32 = self.samples[WINDOW - FRAME..]
            .iter()
            .map(|sample| {
                let x = f32::from(*sample) * (1.0 / 32_768.0);
                x * x
            })
            .sum();
        let powers = powers(&self.samples);
        let [mut sum, mut logs, mut own, mut old, mut both] = [0.0; 5];
        for (now, before) in powers.iter().zip(&self.before[0]) {
            sum += now + FLOOR;
            logs += log2(now + FLOOR);
            own += now * now;
            old += before * before;
            both += now * before;
        }
        self.before = [self.before[1], powers];
        let bins = BINS as f32;
        Timbre {
            level_dbm0: power_db(energy / FRAME as f32 / POWER_0_DBM0),
            flatness_db: DB_PER_OCTAVE * (logs / bins - log2(sum / bins)),
            steadiness: if own > 0.0 && old > 0.0 { both / own * (both / old) } else { 0.0 },
        }
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.i16s(&self.samples);
        to.u8(self.waiting);
        to.f32s(&self.before[0]);
        to.f32s(&self.before[1]);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Result<Self, LoadError> {
        let mut meter = Self::default();
        from.i16s(&mut meter.samples)?;
        meter.waiting = from.u8()?;
        if usize::from(meter.waiting) >= FRAME {
            return Err(LoadError::Field("length of a frame"));
        }
        from.f32s(&mut meter.before[0])?;
        from.f32s(&mut meter.before[1])?;
        Ok(meter)
    }
}

/// 20 ms.
pub(crate) const FRAME: usize = 160;
/// Far below the noise of 16-bit rounding, so that silence has a logarithm.
const FLOOR: f32 = 1e-12;
const DB_PER_OCTAVE: f32 = 3.010_3;
