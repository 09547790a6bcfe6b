//! The two ways of the audio: the carrier's frames to the model, the model's voice to the carrier.

use cordboard_audio::{CallerToModel, LoadError, ModelToCaller, Path, Profile, Rate, Resampler};

use crate::{AudioFormat, Encoding, session::ModelAudioFormat};

/// The converters of one call, with all the history they keep.
#[expect(clippy::large_enum_variant, reason = "there is one per call, and it is never moved")]
pub(crate) enum Paths {
    /// Both sides speak the same format: bytes pass untouched.
    Same,
    /// A mu-law line and a PCM16 model.
    Telephone { up: CallerToModel, down: ModelToCaller },
    /// A PCM16 line of another rate.
    Linear { up: Resampler, down: Resampler },
}

/// The line's format cannot be brought to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownFormat;

impl Paths {
    /// Chooses how to convert; an A-law line always passes through, for the model speaks A-law too.
    pub(crate) fn new(
        line: AudioFormat,
        wanted: ModelAudioFormat,
        profile: Profile,
        path: Path,
    ) -> Result<(Paths, ModelAudioFormat), UnknownFormat> {
        match (line.encoding, line.sample_rate, line.channels) {
            (Encoding::Mulaw, 8_000, 1) if wanted == ModelAudioFormat::Pcmu => {
                Ok((Paths::Same, ModelAudioFormat::Pcmu))
            }
            (Encoding::Alaw, 8_000, 1) => Ok((Paths::Same, ModelAudioFormat::Pcma)),
            (Encoding::Mulaw, 8_000, 1) => Ok((
                Paths::Telephone {
                    up: CallerToModel::new(path, profile),
                    down: ModelToCaller::new(profile),
                },
                ModelAudioFormat::Pcm16,
            )),
            (Encoding::Pcm16, 24_000, 1) => Ok((Paths::Same, ModelAudioFormat::Pcm16)),
            (Encoding::Pcm16, rate, 1) => {
                let rate = Rate::try_from(rate).map_err(|_| UnknownFormat)?;
                let up = Resampler::new(rate, Rate::Hz24000, profile);
                let down = Resampler::new(Rate::Hz24000, rate, profile);
                Ok((Paths::Linear { up, down }, ModelAudioFormat::Pcm16))
            }
            _ => Err(UnknownFormat),
        }
    }

    /// A carrier frame on its way to the model.
    pub(crate) fn up(&mut self, frame: Vec<u8>) -> Vec<u8> {
        match self {
            Paths::Same => frame,
            Paths::Telephone { up, .. } => {
                let mut out = Vec::with_capacity(frame.len() * 6);
                up.process(&frame, &mut out);
                out
            }
            Paths::Linear { up, .. } => {
                let mut out = Vec::with_capacity(frame.len() * 3);
                up.process_bytes(&frame, &mut out);
                out
            }
        }
    }

    /// A piece of the model's voice on its way to the caller.
    pub(crate) fn down(&mut self, voice: Vec<u8>) -> Vec<u8> {
        match self {
            Paths::Same => voice,
            Paths::Telephone { down, .. } => {
                let mut out = Vec::with_capacity(voice.len() / 6 + 1);
                down.process(&voice, &mut out);
                out
            }
            Paths::Linear { down, .. } => {
                let mut out = Vec::with_capacity(voice.len());
                down.process_bytes(&voice, &mut out);
                out
            }
        }
    }

    /// The last milliseconds of an item that the filter still holds.
    pub(crate) fn end_of_item(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Paths::Same => {}
            Paths::Telephone { down, .. } => down.flush(&mut out),
            Paths::Linear { down, .. } => {
                let mut pcm = Vec::new();
                down.flush(&mut pcm);
                out.extend(pcm.into_iter().flat_map(i16::to_le_bytes));
            }
        }
        out
    }

    /// Forgets the voice that was just cut off, so that none of it leaks into the next.
    pub(crate) fn cut_off(&mut self) {
        match self {
            Paths::Same => {}
            Paths::Telephone { down, .. } => down.reset(),
            Paths::Linear { down, .. } => down.reset(),
        }
    }

    /// What a successor needs to go on without a click.
    pub(crate) fn save(&self) -> (Vec<u8>, Vec<u8>) {
        match self {
            Paths::Same => Default::default(),
            Paths::Telephone { up, down } => (up.save(), down.save()),
            Paths::Linear { up, down } => (up.save(), down.save()),
        }
    }

    /// Takes over what [`save`](Self::save) wrote, if the kind of path is still the same.
    ///
    /// A successor with other settings (another profile, pass-through) starts its filters afresh: the
    /// formats of a running session must not change, so only a changed profile does this.
    pub(crate) fn restore(&mut self, up: &[u8], down: &[u8]) -> Result<(), LoadError> {
        match self {
            Paths::Same => {}
            Paths::Telephone { up: old_up, down: old_down } => {
                (*old_up, *old_down) = (CallerToModel::load(up)?, ModelToCaller::load(down)?);
            }
            Paths::Linear { up: old_up, down: old_down } => {
                (*old_up, *old_down) = (Resampler::load(up)?, Resampler::load(down)?);
            }
        }
        Ok(())
    }
}
