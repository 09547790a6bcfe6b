//! The two directions of a call whole: mu-law at the line, 24 kHz PCM16 at the model.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::resampler::append_bytes;
use crate::{LoadError, Profile, Rate, Resampler, g711};

/// By which rates the caller's voice goes from 8 to 24 kHz.
///
/// Measured (README.md): the direct path costs less, adds less delay and rounds once instead of twice. The
/// other is there for comparison with systems that keep a 16 kHz stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Path {
    /// 8 -> 24 kHz in one step.
    #[default]
    Direct,
    /// 8 -> 16 -> 24 kHz.
    Via16k,
}

impl Path {
    /// The name by which settings select it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Via16k => "via16k",
        }
    }
}

impl FromStr for Path {
    type Err = UnknownPath;

    fn from_str(name: &str) -> Result<Self, UnknownPath> {
        match name {
            "direct" => Ok(Self::Direct),
            "via16k" => Ok(Self::Via16k),
            _ => Err(UnknownPath),
        }
    }
}

/// A name that is not a [`Path`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPath;

impl fmt::Display for UnknownPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the resampler's paths are direct and via16k")
    }
}

impl core::error::Error for UnknownPath {}

/// The caller's voice on its way to the model: mu-law at 8 kHz in, PCM16 little-endian at 24 kHz out.
///
/// Six bytes come out for every one that goes in, at once.
///
/// ```
/// let mut ears = cordboard_audio::CallerToModel::default();
/// let mut pcm = Vec::new();
/// ears.process(&[0xFF; 160], &mut pcm);
/// assert_eq!(pcm, [0; 960]);
/// ```
#[derive(Clone, Debug)]
pub struct CallerToModel {
    first: Resampler,
    /// The step from 16 to 24 kHz, where there are two.
    second: Option<Resampler>,
}

impl CallerToModel {
    /// Begins a call.
    pub fn new(path: Path, profile: Profile) -> Self {
        let step = |from, to| Resampler::new(from, to, profile);
        match path {
            Path::Direct => Self { first: step(Rate::Hz8000, Rate::Hz24000), second: None },
            Path::Via16k => Self {
                first: step(Rate::Hz8000, Rate::Hz16000),
                second: Some(step(Rate::Hz16000, Rate::Hz24000)),
            },
        }
    }

    /// Converts mu-law of any length and appends the bytes for the model.
    pub fn process(&mut self, ulaw: &[u8], out: &mut Vec<u8>) {
        for ulaw in ulaw.chunks(FRAME) {
            let mut pcm = [0; FRAME];
            for (to, from) in pcm.iter_mut().zip(ulaw) {
                *to = g711::ulaw_decode(*from);
            }
            let Self { first, second } = self;
            first.each(&pcm[..ulaw.len()], |samples| match second {
                None => append_bytes(samples, out),
                Some(second) => second.each(samples, |samples| append_bytes(samples, out)),
            });
        }
    }

    /// Appends what the filters still hold, as if silence followed, and is as new. See [`Resampler::flush`].
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        let Self { first, second } = self;
        first.flush_each(|samples| match second {
            None => append_bytes(samples, out),
            Some(second) => second.each(samples, |samples| append_bytes(samples, out)),
        });
        if let Some(second) = second {
            second.flush_each(|samples| append_bytes(samples, out));
        }
    }

    /// Forgets all it was fed.
    pub fn reset(&mut self) {
        self.first.reset();
        if let Some(second) = &mut self.second {
            second.reset();
        }
    }

    /// Writes down everything the next byte depends on: 99 bytes on the direct path in `Flat`.
    pub fn save(&self) -> Vec<u8> {
        let first = self.first.save();
        let mut bytes = vec![first.len() as u8];
        bytes.extend(first);
        bytes.extend(self.second.iter().flat_map(Resampler::save));
        bytes
    }

    /// Goes on where [`save`](Self::save) was called.
    ///
    /// # Errors
    ///
    /// Anything that `save` cannot have written is refused.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let (&len, bytes) =
            bytes.split_first().ok_or(LoadError::Length { expected: 1, found: 0 })?;
        let (first, second) = bytes
            .split_at_checked(usize::from(len))
            .ok_or(LoadError::Length { expected: 1 + usize::from(len), found: 1 + bytes.len() })?;
        let first = Resampler::load(first)?;
        let second = if second.is_empty() { None } else { Some(Resampler::load(second)?) };
        let path = [Some(&first), second.as_ref()].map(|step| step.map(|s| (s.from, s.to)));
        let same_profile = second.as_ref().is_none_or(|second| second.profile == first.profile);
        match path {
            [Some((Rate::Hz8000, Rate::Hz24000)), None]
            | [Some((Rate::Hz8000, Rate::Hz16000)), Some((Rate::Hz16000, Rate::Hz24000))]
                if same_profile =>
            {
                Ok(Self { first, second })
            }
            _ => Err(LoadError::Field("path")),
        }
    }
}

impl Default for CallerToModel {
    fn default() -> Self {
        Self::new(Path::default(), Profile::default())
    }
}

/// The model's voice on its way to the caller: PCM16 little-endian at 24 kHz in, mu-law at 8 kHz out.
///
/// Chunks may have any size, also odd ones. [`flush`](Self::flush) at the end of a turn, [`reset`](Self::reset) on barge-in.
#[derive(Clone, Debug)]
pub struct ModelToCaller {
    step: Resampler,
}

impl ModelToCaller {
    /// Begins a turn.
    pub fn new(profile: Profile) -> Self {
        Self { step: Resampler::new(Rate::Hz24000, Rate::Hz8000, profile) }
    }

    /// Converts PCM16 of any length and appends mu-law: one byte for every six.
    pub fn process(&mut self, s16le: &[u8], out: &mut Vec<u8>) {
        self.step.each_bytes(s16le, |samples| append_ulaw(samples, out));
    }

    /// Ends a turn: appends what the filter still holds and is as new; 6 ms (48 bytes) in `Flat`.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.step.flush_each(|samples| append_ulaw(samples, out));
    }

    /// Forgets all it was fed, half a sample included.
    pub fn reset(&mut self) {
        self.step.reset();
    }

    /// Writes down everything the next byte depends on: 292 bytes in `Flat`,
    /// four more at most in the middle of a frame.
    pub fn save(&self) -> Vec<u8> {
        self.step.save()
    }

    /// Goes on where [`save`](Self::save) was called.
    ///
    /// # Errors
    ///
    /// Anything that `save` cannot have written is refused.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let step = Resampler::load(bytes)?;
        if (step.from, step.to) != (Rate::Hz24000, Rate::Hz8000) {
            return Err(LoadError::Field("path"));
        }
        Ok(Self { step })
    }
}

impl Default for ModelToCaller {
    fn default() -> Self {
        Self::new(Profile::default())
    }
}

/// Appends samples as mu-law.
pub(crate) fn append_ulaw(samples: &[i16], out: &mut Vec<u8>) {
    out.extend(samples.iter().map(|sample| g711::ulaw_encode(*sample)));
}

const FRAME: usize = Rate::Hz8000.frame_samples();
