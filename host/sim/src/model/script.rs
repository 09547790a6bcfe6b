//! What the model answers.
//!
//! One rule: an answer belongs to a turn of the caller, not to a request. The greeting answers a `response.create` before
//! any turn, the first entry of `turns` answers the first turn, and so on; asking twice for one turn gives the same answer twice. So a
//! test's script stays right when a gateway asks once more or once less.
//!
//! A script may also know sounds ([`ModelScript::knowing`]). Then a turn's words are those that were heard in its audio, whichever
//! turn it is, and what is known may have an answer of its own.

use std::borrow::Cow;

use crate::speech::{self, Clip};

/// A conversation from the model's side.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelScript {
    /// Answers a response asked for before the caller has said anything.
    pub greeting: Answer,
    /// Answers to the caller's turns, in order, each with what the caller is taken to have said.
    pub turns: Vec<Exchange>,
    /// Answers every later turn.
    pub otherwise: Answer,
    /// What is known again by its sound. Unless this is empty, `turns` is not asked.
    pub known: Vec<Known>,
    /// The transcript of a turn in which nothing was known again: transcribers make words even of noise.
    pub misheard: String,
}

/// Something the far end may say.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The words.
    pub words: String,
    /// How they sound: mu-law at 8 kHz.
    pub sound: Cow<'static, [u8]>,
    /// What a turn that ends with it is answered; otherwise as every other turn.
    pub answer: Option<Answer>,
}

/// A turn of the caller and the answer to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// The transcript of the caller's turn, for input transcription.
    pub heard: String,
    /// The answer.
    pub answer: Answer,
}

/// One response.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The output items, in order.
    pub parts: Vec<Part>,
    /// From the beginning of the response to its first delta, in ms.
    pub delay_ms: u64,
    /// How it ends.
    pub outcome: Outcome,
    /// Answers the response asked for after the tool outputs of this one.
    pub after_tools: Option<Box<Answer>>,
}

/// One output item.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A spoken message.
    Speech {
        /// The transcript.
        text: String,
        /// The sound.
        voice: Voice,
    },
    /// A function call.
    Tool {
        /// The function.
        name: String,
        /// Its arguments, JSON as a rule.
        arguments: String,
    },
}

/// Where sound comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Voice {
    /// A spoken clip.
    Clip(Clip),
    /// A sine.
    Tone {
        /// Its pitch.
        hertz: f64,
        /// Its length in ms.
        ms: u32,
    },
    /// The simulator's own voice, saying the text.
    Words,
    /// Nothing: the item ends before any audio.
    Mute,
}

/// How a response ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// `completed`.
    Complete,
    /// `incomplete`, reason `max_output_tokens`; half the audio was sent.
    OutOfTokens,
    /// `failed` before any output, with this code (such as `rate_limit_exceeded`).
    Fail(String),
    /// The TCP connection breaks when half the audio was sent.
    BreakConnection,
}

impl Answer {
    /// Answers with a clip.
    pub fn clip(clip: Clip) -> Self {
        Self::speech(clip.words, Voice::Clip(clip))
    }

    /// Answers with these words in the simulator's own voice.
    pub fn words(words: &str) -> Self {
        Self::speech(words, Voice::Words)
    }

    /// Answers with a tone of 440 Hz for so many ms.
    pub fn tone(ms: u32) -> Self {
        Self::speech(format!("a tone of {ms} milliseconds"), Voice::Tone { hertz: 440.0, ms })
    }

    /// Answers with a function call.
    pub fn tool(name: &str, arguments: &str) -> Self {
        Self::of(vec![Part::Tool { name: name.into(), arguments: arguments.into() }])
    }

    /// Answers with a failed response.
    pub fn failed(code: &str) -> Self {
        Self { outcome: Outcome::Fail(code.into()), ..Self::of(Vec::new()) }
    }

    /// Adds another spoken item to the same response.
    pub fn and_clip(mut self, clip: Clip) -> Self {
        self.parts.push(Part::Speech { text: clip.words.into(), voice: Voice::Clip(clip) });
        self
    }

    /// Adds a function call to the same response.
    pub fn and_tool(mut self, name: &str, arguments: &str) -> Self {
        self.parts.push(Part::Tool { name: name.into(), arguments: arguments.into() });
        self
    }

    /// Says what is answered once the tools' outputs are there.
    pub fn after_tools(mut self, answer: Answer) -> Self {
        self.after_tools = Some(Box::new(answer));
        self
    }

    /// Sets how the response ends.
    pub fn ending(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Sets the time before the first delta.
    pub fn after_ms(mut self, delay_ms: u64) -> Self {
        self.delay_ms = delay_ms;
        self
    }

    fn speech(text: impl Into<String>, voice: Voice) -> Self {
        Self::of(vec![Part::Speech { text: text.into(), voice }])
    }

    fn of(parts: Vec<Part>) -> Self {
        Self { parts, delay_ms: 250, outcome: Outcome::Complete, after_tools: None }
    }
}

impl Exchange {
    /// Answers a turn whose words do not matter.
    pub fn answer(answer: Answer) -> Self {
        Self { heard: "something".into(), answer }
    }

    /// Answers a caller's clip.
    pub fn to(clip: Clip, answer: Answer) -> Self {
        Self { heard: clip.words.into(), answer }
    }
}

/// What transcribers are known to write when nobody has said anything.
const MISHEARD: &str = "Thank you for watching.";

impl Default for ModelScript {
    /// The bicycle shop: greeting, an answer worth interrupting, the answer to the interruption, a tool call, a goodbye.
    fn default() -> Self {
        let ready = Answer::tool("repair_status", r#"{"number":"471"}"#)
            .after_tools(Answer::clip(speech::AGENT_READY));
        Self {
            greeting: Answer::clip(speech::AGENT_GREETING),
            turns: vec![
                Exchange::to(speech::CALLER_HOURS, Answer::clip(speech::AGENT_SATURDAY)),
                Exchange::to(speech::CALLER_INTERRUPTION, Answer::clip(speech::AGENT_SUNDAY)),
                Exchange::to(speech::CALLER_READY, ready),
                Exchange::to(speech::CALLER_GOODBYE, Answer::clip(speech::AGENT_GOODBYE)),
            ],
            otherwise: Answer::clip(speech::AGENT_GOODBYE),
            known: Vec::new(),
            misheard: MISHEARD.into(),
        }
    }
}

impl ModelScript {
    /// Answers every turn, and the greeting, alike.
    pub fn always(answer: Answer) -> Self {
        Self { greeting: answer.clone(), otherwise: answer, ..Self::new(Answer::tone(0), []) }
    }

    /// Greets and answers the caller's turns in order.
    pub fn new(greeting: Answer, turns: impl IntoIterator<Item = Exchange>) -> Self {
        Self {
            greeting,
            turns: turns.into_iter().collect(),
            otherwise: Answer::clip(speech::AGENT_GOODBYE),
            known: Vec::new(),
            misheard: MISHEARD.into(),
        }
    }

    /// Knows these sounds again, and transcribes what it hears of them.
    pub fn knowing(mut self, known: impl IntoIterator<Item = Known>) -> Self {
        self.known.extend(known);
        self
    }

    /// Returns the answer to the n-th turn; 0 asks for the greeting.
    pub fn answer(&self, turn: usize) -> &Answer {
        match turn {
            0 => &self.greeting,
            n => self.turns.get(n - 1).map_or(&self.otherwise, |exchange| &exchange.answer),
        }
    }

    /// Returns the words of the n-th turn, counted from 1.
    pub fn heard(&self, turn: usize) -> &str {
        turn.checked_sub(1)
            .and_then(|n| self.turns.get(n))
            .map_or("something else", |exchange| &exchange.heard)
    }
}
