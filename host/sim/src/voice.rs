//! A voice for any words, for what nobody has recorded.
//!
//! One rule: the same words sound the same every time. A person would not understand it: letters are taken for sounds, vowels
//! are pulses through resonators, consonants are noise or a short silence. What it shares with speech is what machines listen for:
//! syllables, pauses, a moving pitch and a spectrum that changes ten times a second. The simulated model knows it again by that
//! (see [`crate::model::ModelScript::known`]).

use std::f64::consts::TAU;

use crate::audio::ulaw_encode;

/// The peak of what is said, in PCM16 steps: 5 dB below full scale, as the recorded clips have it.
const PEAK: f64 = 18_400.0;

/// The pause of a comma or a full stop, in ms: shorter than what any turn detector takes for the end of a turn.
const PAUSE_MS: f64 = 90.0;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// The announcements of a telephone menu.
    Recording,
    /// A person at the far end.
    Person,
    /// The model's agent.
    Agent,
}

impl Speaker {
    fn pitch_hertz(self) -> f64 {
        match self {
            Self::Recording => 205.0,
            Self::Person => 118.0,
            Self::Agent => 165.0,
        }
    }
}

/// Says words as PCM16 at `rate`. Nothing to say is no sound.
pub fn say(speaker: Speaker, words: &str, rate: u32) -> Vec<i16> {
    let phones = phones_of(words);
    let mut throat = Throat::new(speaker, words, f64::from(rate));
    let mut sound = Vec::new();
    let count = phones.len();
    for (n, phone) in phones.into_iter().enumerate() {
        throat.utter(phone, n as f64 / count as f64, &mut sound);
    }
    let peak = sound.iter().fold(0.0_f64, |peak, sample| peak.max(sample.abs()));
    let gain = if peak > 0.0 { PEAK / peak } else { 0.0 };
    sound.into_iter().map(|sample| (sample * gain) as i16).collect()
}

/// Says words as mu-law at 8 kHz, as a telephone carries it.
pub fn say_ulaw(speaker: Speaker, words: &str) -> Vec<u8> {
    say(speaker, words, 8000).into_iter().map(ulaw_encode).collect()
}

/// One sound of a word.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phone {
    /// The cords ring through the mouth: two formants in Hz, ms, loudness.
    Voiced(f64, f64, f64, f64),
    /// Breath through a narrow place: its pitch in Hz, ms.
    Hiss(f64, f64),
    /// The mouth shuts and opens: the pitch of the burst in Hz.
    Stop(f64),
    /// Nothing, for so many ms.
    Silence(f64),
}

fn phones_of(words: &str) -> Vec<Phone> {
    let mut phones = Vec::new();
    for word in words.split_whitespace() {
        if !phones.is_empty() {
            phones.push(Phone::Silence(25.0));
        }
        for letter in word.chars().flat_map(char::to_lowercase) {
            match digit_name(letter) {
                Some(name) => phones.extend(name.chars().filter_map(phone_of)),
                None => phones.extend(phone_of(letter)),
            }
        }
    }
    // What follows the last word is the listener's, not ours.
    while matches!(phones.last(), Some(Phone::Silence(_))) {
        phones.pop();
    }
    phones
}

fn digit_name(letter: char) -> Option<&'static str> {
    const NAMES: [&str; 10] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    letter.to_digit(10).map(|digit| NAMES[digit as usize])
}

fn phone_of(letter: char) -> Option<Phone> {
    Some(match letter {
        'a' => Phone::Voiced(730.0, 1090.0, 80.0, 1.0),
        'e' => Phone::Voiced(530.0, 1840.0, 65.0, 0.9),
        'i' | 'y' => Phone::Voiced(300.0, 2250.0, 70.0, 0.9),
        'o' => Phone::Voiced(570.0, 840.0, 85.0, 1.0),
        'u' => Phone::Voiced(320.0, 900.0, 75.0, 0.9),
        'm' | 'n' => Phone::Voiced(280.0, 1300.0, 50.0, 0.4),
        'l' | 'r' => Phone::Voiced(400.0, 1200.0, 45.0, 0.5),
        'w' | 'v' | 'j' => Phone::Voiced(290.0, 700.0, 45.0, 0.4),
        's' | 'z' | 'x' => Phone::Hiss(3000.0, 65.0),
        'f' | 'h' => Phone::Hiss(1600.0, 50.0),
        't' | 'd' => Phone::Stop(2700.0),
        'c' | 'k' | 'q' | 'g' => Phone::Stop(1800.0),
        'p' | 'b' => Phone::Stop(800.0),
        ',' | '.' | '!' | '?' | ';' | ':' => Phone::Silence(PAUSE_MS),
        _ => return None,
    })
}

/// What is behind the mouth: cords with a pitch, breath, and three resonators.
struct Throat {
    rate: f64,
    pitch_hertz: f64,
    phase: f64,
    breath: u64,
    resonators: [Resonator; 3],
}

impl Throat {
    fn new(speaker: Speaker, words: &str, rate: f64) -> Self {
        // The breath is noise that follows from the words (FNV-1a), so that they always sound the same.
        let breath = words.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
        });
        let resonators = [Resonator::default(); 3];
        Self { rate, pitch_hertz: speaker.pitch_hertz(), phase: 0.0, breath, resonators }
    }

    /// Makes one sound; `along` is where in the sentence it stands, 0..1, for the pitch falls towards the end.
    fn utter(&mut self, phone: Phone, along: f64, sound: &mut Vec<f64>) {
        match phone {
            Phone::Silence(ms) => sound.resize(sound.len() + self.samples(ms), 0.0),
            Phone::Voiced(first, second, ms, loudness) => {
                let tuned = [(first, 90.0), (second, 110.0), (2900.0, 170.0)];
                let samples = self.samples(ms);
                for n in 0..samples {
                    let vibrato = 1.0 + 0.03 * (TAU * 5.0 * n as f64 / self.rate).sin();
                    self.phase += self.pitch_hertz * (1.1 - 0.25 * along) * vibrato / self.rate;
                    let pulse = if self.phase >= 1.0 { 1.0 } else { -0.01 };
                    self.phase %= 1.0;
                    let voice = self.resonate(pulse, &tuned);
                    sound.push(voice * loudness * self.ramp(n, samples));
                }
            }
            Phone::Hiss(hertz, ms) => self.blow(hertz, ms, 0.15, sound),
            Phone::Stop(hertz) => {
                sound.resize(sound.len() + self.samples(30.0), 0.0);
                self.blow(hertz, 20.0, 0.3, sound);
            }
        }
    }

    fn blow(&mut self, hertz: f64, ms: f64, loudness: f64, sound: &mut Vec<f64>) {
        let samples = self.samples(ms);
        for n in 0..samples {
            self.breath = self
                .breath
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let noise = ((self.breath >> 40) as f64 / (1u64 << 23) as f64) - 1.0;
            let hiss = self.resonators[0].pass(noise, hertz, 500.0, self.rate);
            sound.push(hiss * loudness * self.ramp(n, samples));
        }
    }

    fn resonate(&mut self, pulse: f64, tuned: &[(f64, f64); 3]) -> f64 {
        let mut all = 0.0;
        for ((resonator, (hertz, width)), gain) in
            self.resonators.iter_mut().zip(tuned).zip([1.0, 0.6, 0.25])
        {
            all += gain * resonator.pass(pulse, *hertz, *width, self.rate);
        }
        all
    }

    fn samples(&self, ms: f64) -> usize {
        (ms * self.rate / 1000.0) as usize
    }

    /// 8 ms up and down, so that no sound begins with a click.
    fn ramp(&self, n: usize, samples: usize) -> f64 {
        let edge = n.min(samples - 1 - n) as f64;
        (edge / (0.008 * self.rate)).min(1.0)
    }
}

/// A resonance: two poles.
#[derive(Debug, Clone, Copy, Default)]
struct Resonator {
    last: f64,
    before: f64,
}

impl Resonator {
    fn pass(&mut self, input: f64, hertz: f64, width: f64, rate: f64) -> f64 {
        let radius = (-std::f64::consts::PI * width / rate).exp();
        let out = (1.0 - radius) * input + 2.0 * radius * (TAU * hertz / rate).cos() * self.last
            - radius * radius * self.before;
        self.before = self.last;
        self.last = out;
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{level_db, ulaw_decode};
    use crate::model::vad::{Vad, VadSettings};

    const PROMPT: &str = "Welcome to Northwind Power. For sales, press 1. For billing, press 2. For repairs, press 3.";

    #[test]
    fn the_same_words_sound_the_same_and_others_do_not() {
        assert_eq!(say(Speaker::Person, PROMPT, 8000), say(Speaker::Person, PROMPT, 8000));
        assert_ne!(say(Speaker::Person, "one", 8000), say(Speaker::Person, "two", 8000));
        assert!(say(Speaker::Person, "?!", 8000).is_empty());
    }

    #[test]
    fn it_speaks_about_as_fast_and_as_loud_as_a_person() {
        for speaker in [Speaker::Recording, Speaker::Person, Speaker::Agent] {
            let sound = say(speaker, PROMPT, 8000);
            let per_word_ms = sound.len() / 8 / PROMPT.split_whitespace().count();
            assert!((200..=500).contains(&per_word_ms), "{per_word_ms} ms a word");
            let level = level_db(sound.iter().copied());
            assert!((-32.0..=-12.0).contains(&level), "{speaker:?}: {level} dB");
            let three_times = say(speaker, PROMPT, 24_000).len();
            assert!(three_times.abs_diff(3 * sound.len()) <= 3 * PROMPT.len());
        }
    }

    #[test]
    fn a_turn_detector_hears_one_turn() {
        let settings =
            VadSettings { threshold: 0.5, prefix_padding_ms: 300, silence_duration_ms: 200 };
        for words in [PROMPT, "Billing, this is Maria. How can I help you?"] {
            let mut vad = Vad::new(8000, settings, 0);
            let mut sound: Vec<i16> =
                say_ulaw(Speaker::Recording, words).iter().map(|&code| ulaw_decode(code)).collect();
            sound.extend([0; 4000]);
            assert_eq!(vad.push(&sound).len(), 2, "{words}");
        }
    }
}
