//! Sounds that a test can predict to the bit.

use cordboard_sim::audio;
use cordboard_sim::carrier::Utterance;
use cordboard_sim::model::{Answer, Part, Voice};

/// The pitch of every [`Answer::tone`].
const ANSWER_HERTZ: f64 = 440.0;

/// The caller's voice: a tone of so many ms, loud enough for any turn detection.
pub fn said(name: &str, ms: u32) -> Utterance {
    Utterance { name: name.to_owned(), ulaw: ulaw(600.0, ms).into() }
}

/// What the caller hears of [`Answer::tone`] in a session in `audio/pcmu`: mu-law at 8 kHz.
pub fn tone(ms: u32) -> Vec<u8> {
    ulaw(ANSWER_HERTZ, ms)
}

/// One response of two spoken items.
pub fn two_tones(first_ms: u32, second_ms: u32) -> Answer {
    let item = |ms| Part::Speech {
        text: format!("a tone of {ms} milliseconds"),
        voice: Voice::Tone { hertz: ANSWER_HERTZ, ms },
    };
    Answer { parts: vec![item(first_ms), item(second_ms)], ..Answer::tone(0) }
}

fn ulaw(hertz: f64, ms: u32) -> Vec<u8> {
    audio::tone(hertz, 8000, ms).into_iter().map(audio::ulaw_encode).collect()
}
