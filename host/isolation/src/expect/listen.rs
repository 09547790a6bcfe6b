//! What a caller hears, in the terms of a person with an oscilloscope: is there sound, how loud, what pitch.

use cordboard_sim::audio::{FRAME_BYTES, is_audible, level_db, ulaw_decode};

use super::{Miss, View};
use crate::names::LINE_BYTES_PER_MS;
use crate::scenario::{Silence, Sound};

/// Milliseconds of one look: a frame.
const LOOK_MS: u64 = 20;
/// Sound that counts as sound, in milliseconds, where an expectation does not say.
const SOUND_MS: u64 = 100;
/// Silence that counts as silence, in milliseconds, where an expectation does not say.
const SILENCE_MS: u64 = 200;
/// How far a pitch may be off, as a share.
const PITCH_SHARE: f64 = 0.03;

/// Judges a sound.
pub(super) fn sound(sound: &Sound, view: &View<'_>) -> Result<(), Miss> {
    let audible: Vec<&[u8]> = looks(view, view.since_ms).filter(|look| is_audible(look)).collect();
    let ms = audible.len() as u64 * LOOK_MS;
    let miss = |expected: String, got: String, hint: &str| {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Err(Miss { expected, got, hint })
    };
    // Whoever only names a most is content with nothing.
    let least = if sound.at_most_ms.is_some() { 0 } else { SOUND_MS };
    let at_least = sound.at_least_ms.unwrap_or(least);
    if ms < at_least {
        return miss(
            format!("that the caller hears at least {at_least} ms of sound"),
            format!("{ms} ms were heard between {} and {} ms", view.since_ms, view.now_ms),
            "answer `model-audio` with `play`, in the line's format (160 bytes of mu-law are 20 ms); or give the \
             expectation a longer `within_ms`: audio is heard in real time",
        );
    }
    if let Some(at_most) = sound.at_most_ms.filter(|at_most| ms > *at_most) {
        let hint = "answer the caller's speech with `flush`, and drop late audio of the response it interrupted";
        return miss(
            format!("that the caller hears at most {at_most} ms of sound"),
            format!("{ms} ms were heard"),
            hint,
        );
    }
    let samples = || audible.iter().flat_map(|look| look.iter()).map(|code| ulaw_decode(*code));
    let level = level_db(samples());
    if let Some(least) = sound.above_db.filter(|least| level < *least) {
        return miss(format!("a level above {least} dB"), format!("it is {level:.1} dB"), "");
    }
    if let Some(most) = sound.below_db.filter(|most| level > *most) {
        return miss(format!("a level below {most} dB"), format!("it is {level:.1} dB"), "");
    }
    if let Some(wanted) = sound.tone_hz {
        let pitch = pitch_hz(longest_run(view));
        if (pitch - wanted).abs() > wanted * PITCH_SHARE {
            let hint = "a pitch that is off by 3 or 1/3 is audio played at the wrong rate: the model's PCM has 24 \
                        kHz, the line 8 kHz";
            return miss(format!("a tone of {wanted} Hz"), format!("it has {pitch:.0} Hz"), hint);
        }
    }
    Ok(())
}

/// Judges a silence.
pub(super) fn silence(silence: &Silence, view: &View<'_>) -> Result<(), Miss> {
    let for_ms = silence.for_ms.unwrap_or(SILENCE_MS);
    let from = view.since_ms + silence.after_ms;
    let expected = format!("silence from {from} to {} ms", from + for_ms);
    if view.now_ms < from + for_ms {
        let got = format!("the call was watched until {} ms only", view.now_ms);
        return Err(Miss { expected, got, hint: None });
    }
    let looks = looks(view, from).take(for_ms.div_ceil(LOOK_MS) as usize);
    let heard = looks.enumerate().filter(|(_, look)| is_audible(look)).last();
    let Some((nth, _)) = heard else { return Ok(()) };
    let until = from + (nth as u64 + 1) * LOOK_MS;
    Err(Miss {
        expected,
        got: format!("the caller heard something until {until} ms"),
        hint: Some(
            "to silence the agent answer `flush` at once, and from then on drop `model-audio` of the responses that \
             were under way"
                .to_owned(),
        ),
    })
}

/// How long a silence has to be watched, from its step's beginning, in milliseconds.
pub(crate) fn watch_ms(silence: &Silence) -> u64 {
    silence.after_ms + silence.for_ms.unwrap_or(SILENCE_MS)
}

fn looks<'a>(view: &View<'a>, from_ms: u64) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    window(view, from_ms).chunks(FRAME_BYTES)
}

/// What was heard from a time to the present.
fn window<'a>(view: &View<'a>, from_ms: u64) -> &'a [u8] {
    let sample =
        |ms: u64| usize::try_from(ms).unwrap_or(usize::MAX).saturating_mul(LINE_BYTES_PER_MS);
    let until = sample(view.now_ms).min(view.heard.len());
    &view.heard[sample(from_ms).min(until)..until]
}

/// The longest stretch of sound without a pause, less its two ends, which are half silent.
fn longest_run<'a>(view: &View<'a>) -> &'a [u8] {
    let heard = window(view, view.since_ms);
    let (mut longest, mut run) = (0..0, 0..0);
    for (nth, look) in heard.chunks(FRAME_BYTES).enumerate() {
        if is_audible(look) {
            run.end = nth;
        } else {
            run = nth + 1..nth + 1;
        }
        if run.len() > longest.len() {
            longest = run.clone();
        }
    }
    let sample = |look: usize| (look * FRAME_BYTES).min(heard.len());
    heard.get(sample(longest.start + 1)..sample(longest.end)).unwrap_or_default()
}

/// The pitch of a tone by how often it rises through zero.
fn pitch_hz(ulaw: &[u8]) -> f64 {
    let samples = ulaw.iter().map(|code| ulaw_decode(*code));
    let (mut rises, mut last) = (0_u32, 0_i16);
    for sample in samples {
        rises += u32::from(last < 0 && sample >= 0);
        last = sample;
    }
    match ulaw.len() {
        0 => 0.0,
        count => f64::from(rises) * 8_000.0 / count as f64,
    }
}

#[cfg(test)]
mod tests {
    use cordboard_sim::audio::{SILENCE, tone, ulaw_encode};

    use super::*;

    /// A second of silence and a second of a tone.
    fn heard(hertz: f64) -> Vec<u8> {
        let tone = tone(hertz, 8_000, 1_000).into_iter().map(ulaw_encode);
        std::iter::repeat_n(SILENCE, 8_000).chain(tone).collect()
    }

    fn view(heard: &[u8], since_ms: u64) -> View<'_> {
        View { records: &[], before: 0, heard, since_ms, now_ms: heard.len() as u64 / 8 }
    }

    #[test]
    fn a_tone_is_known_by_its_length_level_and_pitch() {
        let heard = heard(440.0);
        let wanted = Sound {
            at_least_ms: Some(900),
            at_most_ms: Some(1_000),
            above_db: Some(-20.0),
            below_db: Some(-10.0),
            tone_hz: Some(440.0),
        };
        assert_eq!(super::sound(&wanted, &view(&heard, 500)), Ok(()));
        for wrong in [
            Sound { at_least_ms: Some(1_100), ..Sound::default() },
            Sound { at_most_ms: Some(500), ..Sound::default() },
            Sound { above_db: Some(-6.0), ..Sound::default() },
            Sound { below_db: Some(-30.0), ..Sound::default() },
            Sound { tone_hz: Some(500.0), ..Sound::default() },
        ] {
            assert!(super::sound(&wrong, &view(&heard, 0)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_silence_is_one_from_beginning_to_end() {
        let heard = heard(440.0);
        let silence = |after_ms, for_ms| {
            let wanted = Silence { after_ms, for_ms: Some(for_ms) };
            super::silence(&wanted, &view(&heard, 0))
        };
        assert_eq!(silence(0, 1_000), Ok(()));
        let said = silence(500, 1_000).unwrap_err();
        assert!(said.got.contains("until 1500 ms"), "{said:?}");
        assert!(silence(1_900, 500).unwrap_err().got.contains("watched until 2000 ms"));
    }
}
