//! Knows speech again by how it sounds, for transcripts that say what was really said.
//!
//! One rule: only the session's own audio decides. A turn is laid beside every sound that the script knows, in steps of 10 ms and four
//! bands of pitch; where the two rise and fall together, those words were heard. So a turn of two sentences has the words of both, one
//! that was cut short has the words up to the cut, and a melody has none.

use std::collections::VecDeque;
use std::f32::consts::TAU;

use super::script::Known;
use crate::audio::ulaw_decode;

/// Length of a step in ms. Its levels are over two of them, so that it matters little where in a syllable it falls.
const STEP_MS: usize = 10;
/// The middles of the bands in Hz, all within what a telephone carries.
const BANDS_HERTZ: [f32; BANDS] = [350.0, 800.0, 1500.0, 2600.0];
const BANDS: usize = 4;
/// Steps kept: a turn's last 20 s.
const STEPS_MAX: usize = 2000;
/// Below this level, in dB of full scale, all silence is alike.
const FLOOR_DB: f32 = -55.0;
/// Steps that must be heard of a sound to know it: 400 ms.
const STEPS_MIN: usize = 40;
/// How alike two stretches must be, as a correlation (see the tests for what the same and other words reach).
const ALIKE: f32 = 0.85;
/// How alike they must be at first sight, which is every second step, to be looked at closely.
const ALIKE_AT_SIGHT: f32 = 0.6;
/// Where a turn and a sound begin (or end) together, each may be off by so many steps.
const SLACK: usize = 6;

type Step = [f32; BANDS];

/// What one session has heard lately.
#[derive(Debug)]
pub(super) struct Ear {
    known: Vec<Pattern>,
    rate: u32,
    bank: Bank,
    pending: Vec<i16>,
    steps: VecDeque<Step>,
    /// Steps heard since the session began.
    heard: usize,
}

#[derive(Debug)]
struct Pattern {
    words: String,
    steps: Vec<Step>,
}

/// Something that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recognised {
    /// The words that were heard of it.
    pub(super) words: String,
    /// Which of the known sounds.
    pub(super) known: usize,
    from: usize,
}

impl Ear {
    /// An ear that knows these sounds. Recognises nothing if there are none, and then costs nothing.
    pub(super) fn new(known: &[Known]) -> Self {
        let pattern = |known: &Known| {
            let samples: Vec<i16> = known.sound.iter().map(|&code| ulaw_decode(code)).collect();
            let mut bank = Bank::new(8000);
            let pieces = samples.chunks_exact(8 * STEP_MS);
            Pattern { words: known.words.clone(), steps: pieces.map(|it| bank.step(it)).collect() }
        };
        Self {
            known: known.iter().map(pattern).collect(),
            rate: 8000,
            bank: Bank::new(8000),
            pending: Vec::new(),
            steps: VecDeque::new(),
            heard: 0,
        }
    }

    /// Takes audio at `rate`.
    pub(super) fn push(&mut self, rate: u32, samples: &[i16]) {
        if self.known.is_empty() {
            return;
        }
        if rate != self.rate {
            self.rate = rate;
            self.bank = Bank::new(rate);
            self.pending.clear();
        }
        self.pending.extend_from_slice(samples);
        let length = rate as usize / 1000 * STEP_MS;
        while self.pending.len() >= length {
            let piece = self.bank.step(&self.pending[..length]);
            self.pending.drain(..length);
            self.steps.push_back(piece);
            self.heard += 1;
            if self.steps.len() > STEPS_MAX {
                self.steps.pop_front();
            }
        }
    }

    /// Says what the last `ms` were, in order.
    pub(super) fn recognise(&mut self, ms: f64) -> Vec<Recognised> {
        let wanted = (ms / STEP_MS as f64).ceil() as usize;
        let skip = self.steps.len().saturating_sub(wanted);
        let turn: Vec<Step> = self.steps.iter().skip(skip).copied().collect();
        let loud = |step: &Step| step.iter().any(|band| *band > FLOOR_DB + 6.0);
        let Some(first) = turn.iter().position(loud) else { return Vec::new() };
        let last = turn.iter().rposition(loud).map_or(turn.len(), |last| last + 1);

        let mut found: Vec<(f32, usize, Recognised)> = Vec::new();
        for (n, pattern) in self.known.iter().enumerate() {
            for (likeness, from, length, words) in pattern.in_turn(&turn, first, last) {
                found.push((likeness, length, Recognised { words, known: n, from }));
            }
        }
        // The most alike come first; what lies over one of those is less so.
        found.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        let mut chosen: Vec<(usize, Recognised)> = Vec::new();
        for (_, length, candidate) in found {
            let (from, to) = (candidate.from, candidate.from + length);
            let free = chosen.iter().all(|(length, other)| {
                to <= other.from + SLACK || from + SLACK >= other.from + length
            });
            if free {
                chosen.push((length, candidate));
            }
        }
        let mut recognised: Vec<Recognised> = chosen.into_iter().map(|(_, it)| it).collect();
        recognised.sort_by_key(|it| it.from);
        recognised
    }
}

impl Pattern {
    /// Everywhere this sound is in a turn whose speech is in `first..last`: how alike, from where, how many steps, which words.
    fn in_turn(
        &self,
        turn: &[Step],
        first: usize,
        last: usize,
    ) -> Vec<(f32, usize, usize, String)> {
        let length = self.steps.len();
        let mut found = Vec::new();
        // All of it, anywhere.
        let mut best: Option<(f32, usize)> = None;
        let end = (last + SLACK).min(turn.len());
        let begin = first.saturating_sub(SLACK);
        for sight in (begin..(end + 1).saturating_sub(length)).step_by(2) {
            let at = |from: usize, stride| alike(&turn[from..from + length], &self.steps, stride);
            if at(sight, 2) < ALIKE_AT_SIGHT {
                continue;
            }
            for from in sight..(sight + 2).min(end + 1 - length) {
                let likeness = at(from, 1);
                match best {
                    Some((other, at)) if from < at + length => {
                        if likeness > other {
                            best = Some((likeness, from));
                        }
                    }
                    _ => {
                        found.extend(best.take());
                        best = (likeness >= ALIKE).then_some((likeness, from));
                    }
                }
            }
        }
        found.extend(best);
        if !found.is_empty() {
            let all = |(likeness, from)| (likeness, from, length, self.words.clone());
            return found.into_iter().map(all).collect();
        }
        // Its beginning, where the turn's speech begins: it was cut short. Or its end, where that ends: it was begun unheard.
        let heard = last - first;
        let mut partial = Vec::new();
        for slack in 0..=2 * SLACK {
            let from = (first + slack).saturating_sub(SLACK);
            let size = heard.min(length).min(turn.len() - from);
            if (STEPS_MIN..length).contains(&size) {
                let likeness = alike(&turn[from..from + size], &self.steps[..size], 1);
                partial.push((likeness, from, size, part(&self.words, 0, size, length)));
            }
            let to = (last + slack).saturating_sub(SLACK).min(turn.len());
            let size = heard.min(length).min(to);
            if (STEPS_MIN..length).contains(&size) {
                let likeness = alike(&turn[to - size..to], &self.steps[length - size..], 1);
                let words = part(&self.words, length - size, length, length);
                partial.push((likeness, to - size, size, words));
            }
        }
        partial.retain(|(likeness, _, _, words)| *likeness >= ALIKE && !words.is_empty());
        partial.into_iter().max_by(|(a, ..), (b, ..)| a.total_cmp(b)).into_iter().collect()
    }
}

/// The words that lie in steps `from..to` of `length`, when each takes as long as it has letters.
fn part(words: &str, from: usize, to: usize, length: usize) -> String {
    let total = words.len().max(1);
    let mut at = 0;
    let mut heard = Vec::new();
    for word in words.split(' ') {
        let middle = (at + word.len() / 2) * length / total;
        if (from..to).contains(&middle) {
            heard.push(word);
        }
        at += word.len() + 1;
    }
    heard.join(" ")
}

/// How two stretches rise and fall together, over all bands and every `stride`-th step: 1 is alike but for loudness.
fn alike(a: &[Step], b: &[Step], stride: usize) -> f32 {
    let levels = |steps: &[Step]| steps.iter().step_by(stride).flatten().copied().collect();
    let (a, b): (Vec<f32>, Vec<f32>) = (levels(a), levels(b));
    let mean = |levels: &[f32]| levels.iter().sum::<f32>() / levels.len() as f32;
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let (mut both, mut only_a, mut only_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        let (a, b) = (a - mean_a, b - mean_b);
        both += a * b;
        only_a += a * a;
        only_b += b * b;
    }
    both / (only_a * only_b).sqrt().max(1e-6)
}

/// The four bands of one signal.
#[derive(Debug)]
struct Bank {
    filters: [Filter; BANDS],
    /// The energies of the last step.
    last: [f32; BANDS],
}

impl Bank {
    fn new(rate: u32) -> Self {
        let filters = BANDS_HERTZ.map(|hertz| Filter::new(hertz, rate as f32));
        Self { filters, last: [0.0; BANDS] }
    }

    /// The level of each band in dB, over this step and the one before.
    fn step(&mut self, piece: &[i16]) -> Step {
        let mut step = [0.0; BANDS];
        for ((filter, last), level) in self.filters.iter_mut().zip(&mut self.last).zip(&mut step) {
            let square = |&x: &i16| filter.pass(f32::from(x) / 32768.0).powi(2);
            let energy = piece.iter().map(square).sum::<f32>() / piece.len() as f32;
            let both = (energy + std::mem::replace(last, energy)) / 2.0;
            *level = (10.0 * both.max(1e-12).log10()).max(FLOOR_DB);
        }
        step
    }
}

/// A band: two poles, two zeros, as wide as half its pitch.
#[derive(Debug, Clone, Copy)]
struct Filter {
    gain: f32,
    a1: f32,
    a2: f32,
    inputs: [f32; 2],
    outputs: [f32; 2],
}

impl Filter {
    fn new(hertz: f32, rate: f32) -> Self {
        let angle = TAU * hertz / rate;
        let alpha = angle.sin() * 0.25;
        let whole = 1.0 + alpha;
        Self {
            gain: alpha / whole,
            a1: -2.0 * angle.cos() / whole,
            a2: (1.0 - alpha) / whole,
            inputs: [0.0; 2],
            outputs: [0.0; 2],
        }
    }

    fn pass(&mut self, input: f32) -> f32 {
        let output = self.gain * (input - self.inputs[1])
            - self.a1 * self.outputs[0]
            - self.a2 * self.outputs[1];
        self.inputs = [input, self.inputs[0]];
        self.outputs = [output, self.outputs[0]];
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{tone, ulaw_decode};
    use crate::speech;
    use crate::voice::{self, Speaker};

    const PROMPTS: [&str; 5] = [
        "Welcome to Northwind Power. For sales, press 1. For billing, press 2.",
        "For a copy of an invoice, press 1. For payments, press 2.",
        "Your call is important to us. Please stay on the line.",
        "That is not a valid option.",
        "Billing, this is Maria. How can I help you?",
    ];

    #[test]
    fn each_prompt_is_known_among_all_and_nothing_else_is() {
        for prompt in PROMPTS {
            assert_eq!(words_in(&[silence(400), said(prompt), silence(500)]), [prompt]);
        }
        assert_eq!(words_in(&[said("For Italian, press nine.")]), [""; 0]);
        assert_eq!(words_in(&[tone(440.0, 8000, 3000)]), [""; 0]);
        assert_eq!(words_in(&[silence(3000)]), [""; 0]);
        for clip in speech::CALLER {
            let clip: Vec<i16> = clip.ulaw_8k.iter().map(|&code| ulaw_decode(code)).collect();
            assert_eq!(words_in(&[clip]), [""; 0]);
        }
    }

    #[test]
    fn the_same_words_are_far_more_alike_than_others_wherever_they_fall_between_two_steps() {
        for offset in [0, 13, 29, 40, 67] {
            for prompt in PROMPTS {
                let mut ear = ear();
                ear.push(8000, &[vec![0; 4000 + offset], said(prompt), silence(500)].concat());
                let turn: Vec<Step> = ear.steps.iter().copied().collect();
                for pattern in &ear.known {
                    let length = pattern.steps.len();
                    let likeness = (0..(turn.len() + 1).saturating_sub(length))
                        .map(|from| alike(&turn[from..from + length], &pattern.steps, 1))
                        .fold(0.0, f32::max);
                    let same = pattern.words == prompt;
                    let told_apart = if same { likeness > 0.9 } else { likeness < 0.8 };
                    assert!(told_apart, "{prompt} and {}: {likeness}", pattern.words);
                }
            }
        }
    }

    #[test]
    fn two_sentences_in_one_turn_are_both_heard_in_their_order() {
        let turn = [said(PROMPTS[3]), silence(300), said(PROMPTS[0]), silence(300)];
        assert_eq!(words_in(&turn), [PROMPTS[3], PROMPTS[0]]);
        let again = [said(PROMPTS[2]), silence(300), said(PROMPTS[2])];
        assert_eq!(words_in(&again), [PROMPTS[2], PROMPTS[2]]);
    }

    #[test]
    fn a_person_is_heard_after_a_melody() {
        let turn = [tone(440.0, 8000, 2000), tone(550.0, 8000, 1500), said(PROMPTS[4])];
        assert_eq!(words_in(&turn), [PROMPTS[4]]);
    }

    #[test]
    fn of_a_prompt_that_was_cut_the_words_up_to_there_are_heard() {
        let cut = said(PROMPTS[0])[..8 * 1500].to_vec();
        let [words] = words_in(&[silence(400), cut, silence(400)]).try_into().unwrap();
        assert!(words.starts_with("Welcome to Northwind") && !words.contains("billing"), "{words}");
        let begun = said(PROMPTS[0])[8 * 1500..].to_vec();
        let [words] = words_in(&[begun, silence(400)]).try_into().unwrap();
        assert!(words.ends_with("press 2.") && !words.contains("Welcome"), "{words}");
    }

    #[test]
    fn softer_and_through_another_rate_it_is_the_same() {
        let softer: Vec<i16> = said(PROMPTS[1]).iter().map(|x| x / 4).collect();
        assert_eq!(words_in(&[silence(400), softer, silence(400)]), [PROMPTS[1]]);
        let mut ear = ear();
        // Each sample twice over and the means between: the crudest way from 8 to 24 kHz.
        let low = [silence(413), said(PROMPTS[1]), silence(400)].concat();
        let high: Vec<i16> = low
            .windows(2)
            .flat_map(|pair| {
                let (a, b) = (i32::from(pair[0]), i32::from(pair[1]));
                [a, (2 * a + b) / 3, (a + 2 * b) / 3].map(|x| x as i16)
            })
            .collect();
        high.chunks(777).for_each(|piece| ear.push(24_000, piece));
        let words: Vec<String> = ear.recognise(60_000.0).into_iter().map(|it| it.words).collect();
        assert_eq!(words, [PROMPTS[1]]);
    }

    fn ear() -> Ear {
        let known = PROMPTS.map(|words| Known {
            words: words.into(),
            sound: voice::say_ulaw(Speaker::Recording, words).into(),
            answer: None,
        });
        Ear::new(&known)
    }

    fn words_in(turn: &[Vec<i16>]) -> Vec<String> {
        let mut ear = ear();
        ear.push(8000, &turn.concat());
        ear.recognise(60_000.0).into_iter().map(|it| it.words).collect()
    }

    fn said(words: &str) -> Vec<i16> {
        voice::say(Speaker::Recording, words, 8000)
    }

    fn silence(ms: usize) -> Vec<i16> {
        vec![0; ms * 8]
    }
}
