//! A response while it is being given: what is sent next, and when.
//!
//! Audio leaves several times faster than it plays, in pieces of odd sizes; text runs a little ahead of it.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::format::Format;
use super::script::{Answer, Outcome, Part, Voice};
use crate::voice::{self, Speaker};

/// One thing to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An item begins.
    Begin(usize),
    /// Words of item n.
    Words(usize, String),
    /// Sound of item n: these bytes of it.
    Sound(usize, std::ops::Range<usize>),
    /// Arguments of call n.
    Arguments(usize, String),
    /// Item n is complete.
    End(usize),
    /// The response is over.
    Finish,
    /// The connection breaks here.
    Break,
}

/// An output item of a response.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its id.
    pub item_id: String,
    /// What it is.
    pub kind: OutputKind,
    /// Whether it was begun and not yet ended.
    pub open: bool,
    /// Words sent so far.
    pub words: String,
    /// Audio bytes sent so far.
    pub sound_sent: usize,
    /// Arguments sent so far.
    pub arguments_sent: String,
}

/// What an output item is.
#[derive(Debug, Clone)]
pub enum OutputKind {
    /// A message with its sound.
    Message {
        /// Every byte of it, in the session's output format.
        sound: Vec<u8>,
    },
    /// A function call.
    Call {
        /// The call's id.
        call_id: String,
        /// The function.
        name: String,
        /// All its arguments.
        arguments: String,
    },
}

/// A response being given.
#[derive(Debug)]
pub struct Speaking {
    /// Its id.
    pub id: String,
    /// Its output items, begun or not.
    pub outputs: Vec<Output>,
    /// What is still to be sent, with the time since the session began.
    pub steps: VecDeque<(Duration, Step)>,
    /// How it ends when it is left alone.
    pub outcome: Outcome,
    /// What follows its tool calls.
    pub after_tools: Option<Box<Answer>>,
    /// Whether it belongs to the conversation.
    pub in_conversation: bool,
    /// The client's metadata.
    pub metadata: serde_json::Value,
}

/// How responses are given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mode {
    /// How many times faster than it plays audio is sent.
    pub speed: f64,
    /// The format it is sent in.
    pub format: Format,
    /// Whether there is sound at all.
    pub speaks: bool,
}

impl Speaking {
    /// Plans a response that begins at `now`.
    pub fn plan(
        id: String,
        answer: &Answer,
        mode: Mode,
        now: Duration,
        random: &mut SmallRng,
        mut new_id: impl FnMut(&str) -> String,
    ) -> Self {
        let mut at = now + Duration::from_millis(answer.delay_ms);
        let mut steps = VecDeque::new();
        let mut outputs = Vec::new();
        for (n, part) in answer.parts.iter().enumerate() {
            steps.push_back((at, Step::Begin(n)));
            let kind = match part {
                Part::Speech { text, voice } => {
                    let sound =
                        if mode.speaks { sound_of(*voice, text, mode.format) } else { Vec::new() };
                    let keep = if answer.outcome == Outcome::Complete { 1.0 } else { 0.5 };
                    at = plan_speech(&mut steps, n, text, &sound, keep, mode, at, random);
                    OutputKind::Message { sound }
                }
                Part::Tool { name, arguments } => {
                    let middle = arguments.len() / 2;
                    let middle =
                        (0..=middle).rev().find(|&at| arguments.is_char_boundary(at)).unwrap_or(0);
                    for piece in [&arguments[..middle], &arguments[middle..]] {
                        at += Duration::from_millis(10);
                        steps.push_back((at, Step::Arguments(n, piece.to_owned())));
                    }
                    OutputKind::Call {
                        call_id: new_id("call"),
                        name: name.clone(),
                        arguments: arguments.clone(),
                    }
                }
            };
            steps.push_back((at, Step::End(n)));
            outputs.push(Output {
                item_id: new_id("item"),
                kind,
                open: false,
                words: String::new(),
                sound_sent: 0,
                arguments_sent: String::new(),
            });
        }
        match answer.outcome {
            Outcome::BreakConnection => {
                steps.retain(|(_, step)| !matches!(step, Step::End(_)));
                steps.push_back((at, Step::Break));
            }
            Outcome::Fail(_) => {
                steps.clear();
                steps.push_back((at, Step::Finish));
            }
            Outcome::Complete | Outcome::OutOfTokens => steps.push_back((at, Step::Finish)),
        }
        Self {
            id,
            outputs,
            steps,
            outcome: answer.outcome.clone(),
            after_tools: answer.after_tools.clone(),
            in_conversation: true,
            metadata: serde_json::Value::Null,
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one plan, and each of these is a different thing")]
fn plan_speech(
    steps: &mut VecDeque<(Duration, Step)>,
    n: usize,
    text: &str,
    sound: &[u8],
    keep: f64,
    mode: Mode,
    begin: Duration,
    random: &mut SmallRng,
) -> Duration {
    let sample = mode.format.sample_bytes();
    let samples = (sound.len() / sample) as f64;
    let samples_kept = (samples * keep) as usize;
    let mut words = text.split_inclusive(' ').peekable();
    let total_words = text.split_inclusive(' ').count().max(1);
    let mut words_sent = 0;
    let mut at = begin;
    let mut done = 0;
    while done < samples_kept {
        // 5 to 250 ms, any number of samples, as the real deltas are.
        let rate = mode.format.rate() as usize;
        let size = random.random_range(rate / 200..=rate / 4).min(samples_kept - done);
        let progress = (done + size) as f64 / samples.max(1.0) + 0.1;
        let mut ahead = String::new();
        while words_sent < (total_words as f64 * progress.min(keep)).ceil() as usize {
            match words.next() {
                Some(word) => ahead.push_str(word),
                None => break,
            }
            words_sent += 1;
        }
        if !ahead.is_empty() {
            steps.push_back((at, Step::Words(n, ahead)));
        }
        steps.push_back((at, Step::Sound(n, done * sample..(done + size) * sample)));
        done += size;
        let played_ms = mode.format.duration_ms(size * sample);
        at += Duration::from_secs_f64(played_ms / 1000.0 / mode.speed.max(0.01));
    }
    if keep >= 1.0 {
        let rest: String = words.collect();
        if !rest.is_empty() {
            steps.push_back((at, Step::Words(n, rest)));
        }
    }
    at
}

fn sound_of(voice: Voice, text: &str, format: Format) -> Vec<u8> {
    match (voice, format) {
        (Voice::Mute, _) => Vec::new(),
        (Voice::Words, format) => format.encode(&voice::say(Speaker::Agent, text, format.rate())),
        (Voice::Tone { hertz, ms }, format) => {
            format.encode(&crate::audio::tone(hertz, format.rate(), ms))
        }
        (Voice::Clip(clip), Format::Pcmu) => clip.ulaw_8k.to_vec(),
        (Voice::Clip(clip), Format::Pcma) => format.encode(&Format::Pcmu.decode(clip.ulaw_8k)),
        (Voice::Clip(clip), Format::Pcm) => format.encode(&clip.pcm_24k()),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::speech;

    #[test]
    fn all_audio_is_sent_once_in_whole_samples_of_odd_sizes() {
        for format in [Format::Pcm, Format::Pcmu] {
            let speaking = plan(&Answer::clip(speech::AGENT_GREETING), format);
            let mut next = 0;
            let mut sizes = std::collections::BTreeSet::new();
            for (_, step) in &speaking.steps {
                if let Step::Sound(0, range) = step {
                    assert_eq!(range.start, next);
                    assert_eq!(range.len() % format.sample_bytes(), 0);
                    sizes.insert(range.len());
                    next = range.end;
                }
            }
            let OutputKind::Message { sound } = &speaking.outputs[0].kind else { panic!() };
            assert_eq!(next, sound.len());
            assert!(sizes.len() > 5, "sizes do not vary: {sizes:?}");
            assert!(sizes.iter().any(|size| size % 160 != 0));
        }
    }

    #[test]
    fn the_transcript_is_the_text_and_runs_ahead() {
        let speaking = plan(&Answer::clip(speech::AGENT_SUNDAY), Format::Pcmu);
        let words: String = speaking
            .steps
            .iter()
            .filter_map(|(_, s)| if let Step::Words(_, w) = s { Some(w.as_str()) } else { None })
            .collect();
        assert_eq!(words, speech::AGENT_SUNDAY.words);
        assert!(matches!(speaking.steps[1].1, Step::Words(..)));
    }

    #[test]
    fn a_clip_of_six_seconds_is_sent_in_a_fifth_of_the_time() {
        let speaking = plan(&Answer::clip(speech::AGENT_SUNDAY), Format::Pcmu);
        let last = speaking.steps.back().unwrap().0.as_secs_f64();
        let played = f64::from(speech::AGENT_SUNDAY.duration_ms()) / 1000.0;
        assert!((last - 0.25 - played / 5.0).abs() < 0.01, "{last}");
    }

    fn plan(answer: &Answer, format: Format) -> Speaking {
        let mode = Mode { speed: 5.0, format, speaks: true };
        let mut random = SmallRng::seed_from_u64(1);
        Speaking::plan("r".into(), answer, mode, Duration::ZERO, &mut random, str::to_owned)
    }
}
