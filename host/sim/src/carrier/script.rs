//! What the caller does, and when.
//!
//! One rule: the director looks at what the caller has just heard, once every 20 ms, and says what to do next. A step that waits for
//! something has a patience; when it ends the script has failed, the caller hangs up and the report says at which step.

use std::borrow::Cow;

use crate::speech::Clip;

/// Something to say: mu-law at 8 kHz with a name for the report.
#[derive(Clone, PartialEq, Eq)]
pub struct Utterance {
    /// Its name in the report.
    pub name: String,
    /// The audio.
    pub ulaw: Cow<'static, [u8]>,
}

impl std::fmt::Debug for Utterance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} ms)", self.name, self.ulaw.len() / 8)
    }
}

impl From<Clip> for Utterance {
    fn from(clip: Clip) -> Self {
        Self { name: clip.name.into(), ulaw: Cow::Borrowed(clip.ulaw_8k) }
    }
}

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Says and does nothing for so many ms.
    Wait {
        /// How long, in ms.
        ms: u64,
    },
    /// Waits until so many ms of speech were heard since this step began (not necessarily without a pause).
    WaitHeard {
        /// How much, in ms.
        ms: u64,
    },
    /// Waits until the other side has spoken since this step began and was then silent for so many ms.
    WaitAnswer {
        /// The silence that ends the answer, in ms.
        quiet_ms: u64,
    },
    /// Waits until nothing was heard for so many ms, whether or not anything was said before.
    WaitQuiet {
        /// How long, in ms.
        ms: u64,
    },
    /// Says something, from now on; the next step begins when it was said.
    Say(Utterance),
    /// Begins to say something; the next step begins at once.
    Begin(Utterance),
    /// Stops in mid-word and forgets what was still to be said.
    Hush,
    /// Presses a key.
    Press(char),
    /// Hangs up: `stop`, then the socket closes.
    HangUp,
    /// Waits until the gateway ends the stream.
    WaitClose,
    /// Breaks the TCP connection without a close (the gateway sees 1006). The call is over.
    Drop,
    /// The line stalls: nothing is delivered for so many ms, then all of it at once.
    Stall {
        /// How long, in ms.
        ms: u64,
    },
    /// Frames are lost for so many ms: nothing is delivered and the timestamps jump.
    Lose {
        /// How long, in ms.
        ms: u64,
    },
    /// The network goes away for so many ms: nothing is read, nothing is sent, nothing is closed.
    HalfOpen {
        /// How long, in ms.
        ms: u64,
    },
    /// The carrier reads nothing for so many ms but goes on sending.
    SlowReader {
        /// How long, in ms.
        ms: u64,
    },
    /// Opens a second WebSocket for the same call with the same URL and signature.
    SecondSocket,
    /// Sends a text message as it is, for carriers that say unexpected things.
    SendRaw(String),
    /// Sends a binary message.
    SendBinary(Vec<u8>),
}

/// The caller's part of a call.
///
/// ```
/// use cordboard_sim::carrier::CallerScript;
/// use cordboard_sim::speech;
///
/// let interrupts = CallerScript::new()
///     .wait_answer()                       // the greeting
///     .say(speech::CALLER_HOURS)
///     .wait_heard(1200)                    // 1.2 s into the answer
///     .say(speech::CALLER_INTERRUPTION)
///     .wait_answer()
///     .hang_up();
/// # let _ = interrupts;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerScript {
    steps: Vec<Step>,
    patience_ms: u64,
}

impl Default for CallerScript {
    fn default() -> Self {
        Self { steps: Vec::new(), patience_ms: 20_000 }
    }
}

impl CallerScript {
    /// Starts an empty script. Its end is a hang-up.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long a waiting step waits before the script has failed. Default 20 s.
    pub fn patience(mut self, ms: u64) -> Self {
        self.patience_ms = ms;
        self
    }

    /// Adds any step.
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Does nothing for `ms`.
    pub fn wait(self, ms: u64) -> Self {
        self.then(Step::Wait { ms })
    }

    /// Waits until `ms` of speech were heard.
    pub fn wait_heard(self, ms: u64) -> Self {
        self.then(Step::WaitHeard { ms })
    }

    /// Waits until the other side has spoken and was silent for 700 ms.
    pub fn wait_answer(self) -> Self {
        self.then(Step::WaitAnswer { quiet_ms: 700 })
    }

    /// Waits until nothing was heard for `ms`.
    pub fn wait_quiet(self, ms: u64) -> Self {
        self.then(Step::WaitQuiet { ms })
    }

    /// Says something to its end.
    pub fn say(self, utterance: impl Into<Utterance>) -> Self {
        self.then(Step::Say(utterance.into()))
    }

    /// Presses keys, 300 ms apart.
    pub fn press(mut self, keys: &str) -> Self {
        for key in keys.chars() {
            self = self.then(Step::Press(key)).wait(300);
        }
        self
    }

    /// Hangs up.
    pub fn hang_up(self) -> Self {
        self.then(Step::HangUp)
    }

    /// Waits for the gateway to end the stream.
    pub fn wait_close(self) -> Self {
        self.then(Step::WaitClose)
    }

    /// The conversation of `cordboard demo`: a question, an interruption, a tool call, a goodbye.
    pub fn demo() -> Self {
        use crate::speech::{CALLER_GOODBYE, CALLER_HOURS, CALLER_INTERRUPTION, CALLER_READY};
        Self::new()
            .wait_answer()
            .say(CALLER_HOURS)
            .wait_heard(2500)
            .say(CALLER_INTERRUPTION)
            .wait_answer()
            .say(CALLER_READY)
            .wait_answer()
            .say(CALLER_GOODBYE)
            .wait_answer()
            .hang_up()
    }
}

/// What the caller has perceived in the last 20 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Time since the stream began, in ms.
    pub now_ms: u64,
    /// Whether the last 20 ms heard were audible.
    pub audible: bool,
    /// Whether the caller is still saying something.
    pub speaking: bool,
}

/// What the director wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Carry out this step (never a waiting one).
    Do(Step),
    /// The script failed at this step (counted from 0): patience ran out.
    Failed {
        /// Which step.
        step: usize,
        /// What it was waiting for.
        waiting_for: String,
    },
}

/// Plays a script.
#[derive(Debug)]
pub struct Director {
    script: CallerScript,
    step: usize,
    entered: Option<Entered>,
    finished: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entered {
    at_ms: u64,
    heard_ms: u64,
    quiet_ms: u64,
}

impl Director {
    /// Opens the script at its first step.
    pub fn new(script: CallerScript) -> Self {
        Self { script, step: 0, entered: None, finished: false }
    }

    /// Takes in 20 ms of listening and returns what to do now. Call it every 20 ms.
    pub fn tick(&mut self, heard: Heard) -> Vec<Act> {
        let mut acts = Vec::new();
        let mut first = true;
        while !self.finished {
            let Some(step) = self.script.steps.get(self.step).cloned() else {
                self.finished = true;
                acts.push(Act::Do(Step::HangUp));
                break;
            };
            let fresh = self.entered.is_none();
            let entered = self.entered.get_or_insert(Entered {
                at_ms: heard.now_ms,
                heard_ms: 0,
                quiet_ms: 0,
            });
            if first && !fresh {
                if heard.audible {
                    entered.heard_ms += 20;
                    entered.quiet_ms = 0;
                } else {
                    entered.quiet_ms += 20;
                }
            }
            first = false;
            // A further stream of the call has a clock of its own; what was waited before is not counted.
            entered.at_ms = entered.at_ms.min(heard.now_ms);
            let waited_ms = heard.now_ms - entered.at_ms;
            let over = match &step {
                Step::Wait { ms } => waited_ms >= *ms,
                Step::WaitHeard { ms } => entered.heard_ms >= *ms,
                Step::WaitAnswer { quiet_ms } => {
                    entered.heard_ms >= 100 && entered.quiet_ms >= *quiet_ms
                }
                Step::WaitQuiet { ms } => entered.quiet_ms >= *ms,
                Step::WaitClose => false,
                Step::Say(_) if fresh => {
                    acts.push(Act::Do(step.clone()));
                    false
                }
                Step::Say(_) => waited_ms > 0 && !heard.speaking,
                _ => {
                    acts.push(Act::Do(step.clone()));
                    self.finished = matches!(step, Step::HangUp | Step::Drop);
                    true
                }
            };
            if over {
                self.step += 1;
                self.entered = None;
                continue;
            }
            let impatient = !matches!(step, Step::Wait { .. } | Step::Say(_));
            if impatient && waited_ms >= self.script.patience_ms {
                self.finished = true;
                acts.push(Act::Failed { step: self.step, waiting_for: format!("{step:?}") });
                acts.push(Act::Do(Step::HangUp));
            }
            break;
        }
        acts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech;

    #[test]
    fn caller_interrupts_after_hearing_enough() {
        let mut world = World::new(
            CallerScript::new().wait_heard(100).say(speech::CALLER_INTERRUPTION).hang_up(),
        );
        assert_eq!(world.run(10, false), []);
        assert_eq!(world.run(4, true), []);
        let acts = world.run(1, true);
        assert_eq!(acts, [Act::Do(Step::Say(speech::CALLER_INTERRUPTION.into()))]);
        world.speaking = true;
        assert_eq!(world.run(50, true), []);
        world.speaking = false;
        assert_eq!(world.run(1, true), [Act::Do(Step::HangUp)]);
        assert_eq!(world.run(5, true), []);
    }

    #[test]
    fn an_answer_is_over_only_after_it_began() {
        let mut world = World::new(CallerScript::new().wait_answer().press("5"));
        assert_eq!(world.run(100, false), []);
        assert_eq!(world.run(20, true), []);
        assert_eq!(world.run(34, false), []);
        assert_eq!(world.run(1, false), [Act::Do(Step::Press('5'))]);
    }

    #[test]
    fn patience_ends_the_call_and_says_where() {
        let mut world = World::new(CallerScript::new().patience(1000).wait(40).wait_answer());
        let acts = world.run(200, false);
        let [Act::Failed { step: 1, .. }, Act::Do(Step::HangUp)] = acts.as_slice() else {
            panic!("{acts:?}")
        };
    }

    #[test]
    fn a_step_goes_on_over_a_new_stream_whose_clock_begins_anew() {
        let mut world = World::new(CallerScript::new().patience(1200).wait_answer().press("5"));
        assert_eq!(world.run(40, false), []);
        world.now_ms = 0;
        assert_eq!(world.run(20, true), []);
        assert_eq!(world.run(35, false), [Act::Do(Step::Press('5'))]);
    }

    struct World {
        director: Director,
        now_ms: u64,
        speaking: bool,
    }

    impl World {
        fn new(script: CallerScript) -> Self {
            Self { director: Director::new(script), now_ms: 0, speaking: false }
        }

        fn run(&mut self, ticks: usize, audible: bool) -> Vec<Act> {
            let mut acts = Vec::new();
            for _ in 0..ticks {
                let heard = Heard { now_ms: self.now_ms, audible, speaking: self.speaking };
                acts.extend(self.director.tick(heard));
                self.now_ms += 20;
            }
            acts
        }
    }
}
