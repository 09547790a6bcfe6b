//! The spoken clips of both sides: a caller of a bicycle shop, and the voice that answers.
//!
//! Made once by `speech/make.sh` and embedded, so that a call needs no file and no network. Every clip exists at 8 kHz mu-law (the
//! telephone, and a model session in `audio/pcmu`); the agent's also at 24 kHz, made from the same recording rather
//! than resampled here, so that no resampler of ours stands inside a test of ours.

use crate::audio::ulaw_decode;

/// One utterance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Clip {
    /// A short name for reports.
    pub name: &'static str,
    /// The words.
    pub words: &'static str,
    /// 8 kHz mu-law.
    pub ulaw_8k: &'static [u8],
    /// 24 kHz mu-law; empty for the caller's clips.
    pub ulaw_24k: &'static [u8],
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} ms)", self.name, self.duration_ms())
    }
}

impl Clip {
    /// Returns the length of the clip in ms.
    pub fn duration_ms(&self) -> u32 {
        (self.ulaw_8k.len() / 8) as u32
    }

    /// Returns the clip as PCM16 at 24 kHz. Empty for a caller's clip.
    pub fn pcm_24k(&self) -> Vec<i16> {
        self.ulaw_24k.iter().map(|&code| ulaw_decode(code)).collect()
    }
}

macro_rules! clip {
    ($(#[$doc:meta])* $id:ident, caller, $name:literal, $words:literal) => {
        $(#[$doc])*
        pub const $id: Clip = Clip {
            name: $name,
            words: $words,
            ulaw_8k: include_bytes!(concat!("../speech/caller_", $name, ".8k.ulaw")),
            ulaw_24k: &[],
        };
    };
    ($(#[$doc:meta])* $id:ident, agent, $name:literal, $words:literal) => {
        $(#[$doc])*
        pub const $id: Clip = Clip {
            name: $name,
            words: $words,
            ulaw_8k: include_bytes!(concat!("../speech/agent_", $name, ".8k.ulaw")),
            ulaw_24k: include_bytes!(concat!("../speech/agent_", $name, ".24k.ulaw")),
        };
    };
}

clip! {
    /// The caller's first question.
    CALLER_HOURS, caller, "hours", "Hi. When are you open on Saturday?"
}
clip! {
    /// The caller breaks into the first answer.
    CALLER_INTERRUPTION, caller, "interruption",
    "Sorry, one moment. Actually, I wanted to ask about Sunday."
}
clip! {
    /// The caller asks for something that needs a tool.
    CALLER_READY, caller, "ready",
    "Can you check whether my bicycle is ready? The number is four seven one."
}
clip! {
    /// The caller takes leave.
    CALLER_GOODBYE, caller, "goodbye", "Thank you, that is all. Goodbye."
}
clip! {
    /// The first words of the agent.
    AGENT_GREETING, agent, "greeting", "Hello, this is Harbour Cycles. How can I help you?"
}
clip! {
    /// The answer that is long enough to be interrupted (8 s).
    AGENT_SATURDAY, agent, "saturday",
    "On Saturday we are open from nine in the morning until five in the afternoon. The workshop takes bicycles until four. For small repairs you need no appointment."
}
clip! {
    /// The answer after the interruption (6 s).
    AGENT_SUNDAY, agent, "sunday",
    "On Sunday the shop is closed, but somebody answers the telephone between ten and noon, and can tell you what is ready."
}
clip! {
    /// The answer after the tool call (4 s).
    AGENT_READY, agent, "ready",
    "Yes. Bicycle four seven one is ready, and the repair was forty two pounds."
}
clip! {
    /// The last words of the agent.
    AGENT_GOODBYE, agent, "goodbye", "You are welcome. Goodbye."
}

/// Every clip of the caller.
pub const CALLER: [Clip; 4] = [CALLER_HOURS, CALLER_INTERRUPTION, CALLER_READY, CALLER_GOODBYE];

/// Every clip of the agent.
pub const AGENT: [Clip; 5] =
    [AGENT_GREETING, AGENT_SATURDAY, AGENT_SUNDAY, AGENT_READY, AGENT_GOODBYE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_of_the_agent_are_as_long_at_both_rates() {
        for clip in AGENT {
            let difference = clip.ulaw_24k.len() as i64 - 3 * clip.ulaw_8k.len() as i64;
            assert!(difference.abs() <= 3, "{} differs by {difference}", clip.name);
        }
    }

    #[test]
    fn all_clips_are_small_enough_to_embed() {
        let bytes: usize =
            CALLER.iter().chain(&AGENT).map(|c| c.ulaw_8k.len() + c.ulaw_24k.len()).sum();
        assert!(bytes < 1_000_000, "{bytes} bytes");
    }
}
