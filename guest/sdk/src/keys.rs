//! Keys pressed within the audio of the call, as tones.

use cordboard_audio::dtmf::{ToneError, ToneSettings, tones};
use cordboard_audio::{Profile, Rate, Resampler, encode_twilio_audio};

use crate::{AudioFormat, Call, Encoding};

/// Why keys were not played.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum UnplayableKeys {
    /// The keys or the settings are wrong.
    Tones(ToneError),
    /// The line's audio is in a format that no tones are made for; [`Call::send_keys`] does not need it.
    Line(AudioFormat),
}

impl std::fmt::Display for UnplayableKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UnplayableKeys::Tones(error) => error.fmt(f),
            UnplayableKeys::Line(format) => {
                write!(f, "no tones can be played on a line of {format:?}; use send_keys")
            }
        }
    }
}

impl std::error::Error for UnplayableKeys {}

impl From<ToneError> for UnplayableKeys {
    fn from(error: ToneError) -> UnplayableKeys {
        UnplayableKeys::Tones(error)
    }
}

impl Call {
    /// Presses keys towards the far end by playing their tones, after whatever is still to be heard;
    /// returns how long they last in milliseconds.
    ///
    /// The keys are those of [`send_keys`](Call::send_keys): `0`-`9`, `*`, `#`, `A`-`D`, and `w` for half a second. The
    /// difference is how they get there. `send_keys` asks the carrier, and at Twilio that ends the media stream and starts
    /// another: what the far end says meanwhile is lost. These tones are audio like any other: the stream goes on, and
    /// they end up as `heard` or `flushed` under the name `item`. A far end beyond a codec for speech alone may not
    /// understand them; then `send_keys` is the way.
    ///
    /// ```
    /// # use cordboard_sdk::{Call, CallInfo, Tenant, harness::Harness};
    /// # struct Dialler;
    /// impl Tenant for Dialler {
    /// #   fn new(_: &CallInfo) -> Dialler { Dialler }
    ///     fn ready(&mut self, call: &mut Call) {
    ///         call.play_keys("extension", "w42#").expect("these are keys");
    ///     }
    /// }
    /// let mut harness = Harness::<Dialler>::start();
    /// harness.model_ready();
    /// assert_eq!(harness.played_ms(), 500 + 3 * 200);
    /// ```
    ///
    /// # Errors
    ///
    /// [`UnplayableKeys`] says what is wrong with the keys, or that the line is neither mu-law nor PCM16 at 8, 16 or 24 kHz.
    pub fn play_keys(&mut self, item: &str, keys: &str) -> Result<u32, UnplayableKeys> {
        self.play_keys_as(item, keys, &ToneSettings::default())
    }

    /// As [`play_keys`](Call::play_keys), with other levels and lengths.
    ///
    /// # Errors
    ///
    /// As [`play_keys`](Call::play_keys).
    pub fn play_keys_as(
        &mut self,
        item: &str,
        keys: &str,
        settings: &ToneSettings,
    ) -> Result<u32, UnplayableKeys> {
        let format = self.info.format;
        let pcm = tones(keys, settings)?;
        let ms = (pcm.len() / 8) as u32;
        let audio = match (format.encoding, format.sample_rate, format.channels) {
            (Encoding::Mulaw, 8_000, 1) => encode_twilio_audio(&pcm),
            (Encoding::Pcm16, rate, 1) => {
                let rate = Rate::try_from(rate).map_err(|_| UnplayableKeys::Line(format))?;
                let mut at_rate = Vec::new();
                Resampler::new(Rate::Hz8000, rate, Profile::default()).process(&pcm, &mut at_rate);
                at_rate.into_iter().flat_map(i16::to_le_bytes).collect()
            }
            _ => return Err(UnplayableKeys::Line(format)),
        };
        self.play(item, audio, true);
        Ok(ms)
    }
}
