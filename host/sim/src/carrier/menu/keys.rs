//! Keys heard as tones: what a telephone menu makes of the audio that reaches it.
//!
//! One rule: only sound decides. A key is two sines at once, one of four low and one of four high pitches (ITU-T Q.23); this receiver
//! keeps the times of ITU-T Q.24 and ANSI T1.401: 40 ms of tone are a key, less than 23 ms are not, and after 40 ms of
//! something else the same key counts again. It listens to pieces of 20 ms, a new one every 10 ms.

use std::f64::consts::TAU;

use crate::audio::ulaw_decode;

const LOW_HERTZ: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH_HERTZ: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Samples in a piece: 20 ms, which tells pitches 50 Hz apart; the closest two are 73 Hz apart.
const PIECE: usize = 160;
/// Samples from one piece to the next.
const STEP: usize = 80;
/// So many pieces in a row are a key: of 40 ms at least three are full enough, of 23 ms at most two.
const PIECES_TO_PRESS: u32 = 3;
/// So many pieces without it end a key: of a pause of 40 ms at least two are empty enough.
const PIECES_TO_RELEASE: u32 = 2;
/// A sender's pitches may be off by 1.5 %: at the highest that is half of what 20 ms tell apart, so each is looked for thrice.
const DETUNED: [f64; 3] = [0.988, 1.0, 1.012];
/// The two sines hold this much of a piece's energy; speech and music spread theirs.
const SHARE_MIN: f64 = 0.7;
/// A pitch stands out among its four by this factor of power (6 dB).
const OVER_OTHERS: f64 = 4.0;
/// One sine may be louder than the other by this factor of power (8 dB).
const TWIST_MAX: f64 = 6.3;
/// Mean power of a piece below which nobody is pressing anything: -36 dB of full scale.
const POWER_MIN: f64 = 270_000.0;

/// A key that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tone {
    /// Which.
    pub key: char,
    /// Where it was recognised, in samples since the receiver began.
    pub at: u64,
}

/// Listens for keys.
#[derive(Debug, Default)]
pub struct Receiver {
    waiting: Vec<f64>,
    position: u64,
    candidate: Option<char>,
    seen: u32,
    missed: u32,
    pressed: bool,
}

impl Receiver {
    /// Takes mu-law at 8 kHz, any amount, and returns the keys that were recognised in it.
    pub fn hear(&mut self, ulaw: &[u8]) -> Vec<Tone> {
        self.waiting.extend(ulaw.iter().map(|&code| f64::from(ulaw_decode(code))));
        let mut tones = Vec::new();
        while self.waiting.len() >= PIECE {
            let found = key_in(&self.waiting[..PIECE]);
            if let Some(key) = self.step(found) {
                tones.push(Tone { key, at: self.position + PIECE as u64 });
            }
            self.waiting.drain(..STEP);
            self.position += STEP as u64;
        }
        tones
    }

    /// Returns whether a key is down, or may be by the next few ms.
    pub fn is_tone(&self) -> bool {
        self.candidate.is_some()
    }

    fn step(&mut self, found: Option<char>) -> Option<char> {
        if found.is_some() && found == self.candidate {
            self.seen += 1;
            self.missed = 0;
            if !self.pressed && self.seen >= PIECES_TO_PRESS {
                self.pressed = true;
                return found;
            }
            return None;
        }
        self.missed += 1;
        // A candidate that is not a key yet gives way at once, a key only after a pause.
        if !self.pressed || self.missed >= PIECES_TO_RELEASE {
            *self = Self {
                waiting: std::mem::take(&mut self.waiting),
                position: self.position,
                candidate: found,
                seen: u32::from(found.is_some()),
                missed: 0,
                pressed: false,
            };
        }
        None
    }
}

fn key_in(piece: &[f64]) -> Option<char> {
    let energy: f64 = piece.iter().map(|x| x * x).sum();
    if energy / (piece.len() as f64) < POWER_MIN {
        return None;
    }
    let (row, low) = loudest(piece, &LOW_HERTZ)?;
    let (column, high) = loudest(piece, &HIGH_HERTZ)?;
    let share = 2.0 * (low + high) / (piece.len() as f64 * energy);
    let twist = (low / high).max(high / low);
    (share >= SHARE_MIN && twist <= TWIST_MAX).then(|| KEYS[row][column])
}

/// The pitch that stands out, and its squared magnitude.
fn loudest(piece: &[f64], pitches: &[f64; 4]) -> Option<(usize, f64)> {
    let power =
        |hertz: f64| DETUNED.map(|by| goertzel(piece, hertz * by)).into_iter().fold(0.0, f64::max);
    let powers = pitches.map(power);
    let (best, power) = powers.into_iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let stands_out =
        powers.iter().enumerate().all(|(n, other)| n == best || power >= OVER_OTHERS * other);
    stands_out.then_some((best, power))
}

fn goertzel(piece: &[f64], hertz: f64) -> f64 {
    let coefficient = 2.0 * (TAU * hertz / 8000.0).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in piece {
        let next = sample + coefficient * last - before;
        before = last;
        last = next;
    }
    last * last + before * before - coefficient * last * before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::ulaw_encode;
    use crate::speech;
    use crate::voice::{self, Speaker};

    #[test]
    fn every_key_is_heard_once_in_any_chunking() {
        let keys = "0123456789*#ABCD";
        let mut line = vec![0; 800];
        for key in keys.chars() {
            line.extend(pair(key, 80.0, 0.0, 0.0));
            line.extend(vec![0; 640]);
        }
        for size in [7, 160, 1999, line.len()] {
            assert_eq!(heard(&line, size), keys, "chunks of {size}");
        }
    }

    #[test]
    fn forty_ms_are_a_key_and_twenty_are_not_wherever_they_begin() {
        for offset in 0..160 {
            for (ms, wanted) in [(40.0, "5"), (22.0, "")] {
                let mut line = vec![0; 800 + offset];
                line.extend(pair('5', ms, 0.0, 0.0));
                line.extend(vec![0; 800]);
                assert_eq!(heard(&line, 160), wanted, "{ms} ms at {offset}");
            }
        }
    }

    #[test]
    fn the_same_key_counts_again_after_forty_ms() {
        for offset in 0..160 {
            let mut line = vec![0; 800 + offset];
            for _ in 0..2 {
                line.extend(pair('5', 60.0, 0.0, 0.0));
                line.extend(vec![0; 320]);
            }
            line.extend(vec![0; 800]);
            assert_eq!(heard(&line, 160), "55", "at {offset}");
        }
    }

    #[test]
    fn pitches_may_be_off_by_a_percent_and_a_half_and_loudness_by_a_little() {
        for key in ['1', '9', '#'] {
            for (off, twist_db) in [(0.015, 0.0), (-0.015, 0.0), (0.0, 6.0), (0.0, -6.0)] {
                let line = [vec![0; 800], pair(key, 70.0, off, twist_db), vec![0; 800]].concat();
                assert_eq!(heard(&line, 160), key.to_string(), "{off} {twist_db}");
            }
        }
    }

    #[test]
    fn one_sine_is_no_key_and_neither_is_speech_or_a_third_sine() {
        let one: Vec<i16> =
            crate::audio::tone(697.0, 8000, 200).into_iter().chain([0; 800]).collect();
        assert_eq!(heard(&one, 160), "");
        let chord: Vec<i16> = pair('5', 200.0, 0.0, 0.0)
            .into_iter()
            .zip(crate::audio::tone(440.0, 8000, 200))
            .map(|(key, other)| key + other)
            .collect();
        assert_eq!(heard(&chord, 160), "");
        let mut receiver = Receiver::default();
        for clip in speech::CALLER.iter().chain(&speech::AGENT) {
            assert_eq!(receiver.hear(clip.ulaw_8k), [], "{}", clip.name);
        }
        let words = "For billing, press 2. To speak to somebody, press 0.";
        assert_eq!(receiver.hear(&voice::say_ulaw(Speaker::Recording, words)), []);
    }

    fn heard(line: &[i16], size: usize) -> String {
        let ulaw: Vec<u8> = line.iter().map(|&sample| ulaw_encode(sample)).collect();
        let mut receiver = Receiver::default();
        ulaw.chunks(size).flat_map(|chunk| receiver.hear(chunk)).map(|tone| tone.key).collect()
    }

    /// A key's two sines, cut without a ramp: harder to hear than what a telephone makes.
    fn pair(key: char, ms: f64, off: f64, twist_db: f64) -> Vec<i16> {
        let row = KEYS.iter().position(|row| row.contains(&key)).unwrap();
        let column = KEYS[row].iter().position(|&other| other == key).unwrap();
        let twist = 10_f64.powf(twist_db / 20.0);
        let wave = |hertz: f64, n: usize| (TAU * hertz * (1.0 + off) * n as f64 / 8000.0).sin();
        (0..(ms * 8.0) as usize)
            .map(|n| {
                let both = wave(LOW_HERTZ[row], n) + twist * wave(HIGH_HERTZ[column], n);
                (4000.0 * both) as i16
            })
            .collect()
    }
}
