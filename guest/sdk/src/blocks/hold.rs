//! Waiting on hold: notices music and announcements, keeps them from the model, and a person not.
//!
//! Three states. **Talking**: everything goes to the model. **On hold**: music has played for a while, or somebody said "please hold";
//! nothing goes to the model, and nobody pays for minutes of music. **Checking**: somebody speaks on a held line, an announcement or a
//! person; everything goes to the model from a second before the first word on, and the words decide. Announcements say what
//! announcements say, or what was announced before; everything else is a person. So no word of a person is withheld, at the price of
//! letting announcements through.
//!
//! Sound is judged by [`SoundMeter`] on mu-law lines. On others nothing is withheld, and words alone begin and end a hold.
//!
//! ```
//! use cordboard_sdk::blocks::hold::{Change, Hold, HoldSettings};
//! use cordboard_sdk::{Call, CallInfo, Hearing, Role, Speaker, Tenant, Turn};
//! # use cordboard_sdk::harness::Harness;
//!
//! const HOLD: u64 = 1;
//!
//! struct Patient {
//!     hold: Hold,
//! }
//!
//! impl Tenant for Patient {
//!     fn new(_: &CallInfo) -> Patient {
//!         Patient { hold: Hold::new(HoldSettings::default()) }
//!     }
//!
//!     fn caller_audio(&mut self, call: &mut Call, frame: &[u8]) -> Hearing {
//!         let hearing = self.hold.caller_audio(call, frame);
//!         self.tell(call);
//!         hearing
//!     }
//!
//!     fn turn(&mut self, call: &mut Call, turn: &Turn) {
//!         if turn.speaker == Speaker::Caller {
//!             self.hold.words(call.now(), &turn.text);
//!             self.tell(call);
//!         }
//!     }
//!
//!     fn timer(&mut self, call: &mut Call, token: u64) {
//!         if token == HOLD {
//!             self.hold.due(call.now());
//!             self.tell(call);
//!         }
//!     }
//! }
//!
//! impl Patient {
//!     fn tell(&mut self, call: &mut Call) {
//!         match self.hold.take_change() {
//!             Some(Change::Person { .. }) => call.tell(Role::System, "A person is on the line now."),
//!             Some(Change::TooLong) => call.hang_up("nobody came to the telephone"),
//!             Some(Change::Held { .. } | Change::Voice) => {}
//!             None => return,
//!         }
//!         // Every change brings another deadline.
//!         call.wake_at(HOLD, self.hold.wake_at());
//!     }
//! }
//! # let mut call = Harness::<Patient>::start();
//! # call.model_ready();
//! # call.caller_says("Please hold.");
//! # assert!(call.feed(cordboard_sdk::Event::CallerAudio(vec![0xFF; 160])).is_empty());
//! ```

use std::collections::VecDeque;

use cordboard_audio::sound::{Sound, SoundMeter};
use serde::{Deserialize, Serialize};

use super::Phrases;
use super::phrases::{common, words};
use crate::{Call, Encoding, Hearing};

/// How to wait. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldSettings {
    /// How long music has to play before the line is on hold, on top of the 1.3 s that it takes to be sure of music.
    pub music_ms: u64,
    /// How long a voice has to speak before it counts, on top of the half second that it takes to be sure of a voice.
    pub voice_ms: u64,
    /// How much of what was withheld goes to the model when somebody speaks: at least the time until they were noticed.
    pub kept_ms: u64,
    /// How long somebody may speak without a word written down, before they count as a person.
    pub checking_ms_max: u64,
    /// How long to wait on hold in all.
    pub hold_ms_max: u64,
    /// What is said before and during a hold: "please hold".
    pub cues: Phrases,
    /// What only a person says: "how can I help". Counts for more than the cues.
    pub people: Phrases,
}

impl Default for HoldSettings {
    fn default() -> HoldSettings {
        HoldSettings {
            music_ms: 700,
            voice_ms: 100,
            kept_ms: 1_500,
            checking_ms_max: 8_000,
            hold_ms_max: 20 * 60_000,
            cues: english_cues(),
            people: english_people(),
        }
    }
}

/// What announcements on hold say in English.
pub fn english_cues() -> Phrases {
    Phrases::new([
        "please hold",
        "hold the line",
        "on hold",
        "continue to hold",
        "stay on the line",
        "remain on the line",
        "in the queue",
        "in line",
        "caller number",
        "your call is important",
        "your call will be answered",
        "your call has been placed",
        "next available",
        "are busy",
        "is busy",
        "currently assisting other",
        "helping other customers",
        "higher than normal",
        "higher than usual",
        "estimated wait",
        "wait time",
        "thank you for your patience",
        "thanks for your patience",
        "thank you for holding",
        "did you know",
        "visit our website",
        "transferring you",
        "transfer your call",
        "connecting you",
        "one moment please",
    ])
}

/// What people say in English when they take a call, and machines seldom.
pub fn english_people() -> Phrases {
    Phrases::new([
        "how can i help",
        "how may i help",
        "what can i do for you",
        "my name is",
        "this is",
        "speaking",
        "who am i speaking",
        "are you there",
        "sorry to keep you waiting",
        "sorry about the wait",
        "sorry for the wait",
        "thanks for waiting",
        "good morning",
        "good afternoon",
    ])
}

/// Where the call stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldPhase {
    /// Somebody is there, as far as is known.
    #[default]
    Talking,
    /// Nobody is.
    OnHold,
    /// Somebody speaks on a held line.
    Checking,
}

/// Something that a tenant may want to act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The line is on hold, or is so again because whoever spoke was no person.
    Held {
        /// Music, silence, or the words that said so.
        why: String,
    },
    /// Somebody speaks on the held line; the model hears it.
    Voice,
    /// A person is there: the hold is over.
    Person {
        /// How long it took since the line was put on hold.
        held_ms: u64,
    },
    /// The hold has lasted longer than it may. Told once.
    TooLong,
}

/// What becomes of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The model hears it.
    Forward,
    /// It does not, for now.
    Withhold,
    /// It does, and this before it: what was withheld last.
    Release(Vec<u8>),
}

/// Waits on hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    settings: HoldSettings,
    state: HoldState,
}

/// All that a [`Hold`] remembers, for a successor; some 2.5 KB, and on hold what is kept of the audio.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HoldState {
    #[serde(with = "super::audio")]
    meter: SoundMeter,
    phase: HoldPhase,
    /// Since when music plays or a voice speaks without a break, whichever would change the phase.
    since: Option<u64>,
    held_at: u64,
    /// Before then, a voice may be the end of the announcement that was just judged.
    voice_from: u64,
    /// When somebody began to speak on the held line.
    voice_at: u64,
    timed_out: bool,
    /// The newest of what is withheld.
    kept: VecDeque<u8>,
    /// Announcements heard so far.
    announced: VecDeque<Vec<String>>,
    change: Option<Change>,
}

impl Hold {
    /// Begins a call on which somebody is talking.
    pub fn new(settings: HoldSettings) -> Hold {
        Hold { settings, state: HoldState::default() }
    }

    /// Goes on where another left off.
    pub fn resume(settings: HoldSettings, mut state: HoldState) -> Hold {
        state.announced.truncate(ANNOUNCED_MAX);
        Hold { settings, state }
    }

    /// What a successor needs.
    pub fn state(&self) -> &HoldState {
        &self.state
    }

    /// Where the call stands.
    pub fn phase(&self) -> HoldPhase {
        self.state.phase
    }

    /// What the line sounds like.
    pub fn sound(&self) -> Sound {
        self.state.meter.sound()
    }

    /// The last change, once. A newer one replaces an older one that nobody has taken.
    pub fn take_change(&mut self) -> Option<Change> {
        self.state.change.take()
    }

    /// When [`due`](Hold::due) wants to be asked, in milliseconds of the call.
    pub fn wake_at(&self) -> Option<u64> {
        let timeout = self.state.held_at.saturating_add(self.settings.hold_ms_max);
        let checked = self.state.voice_at.saturating_add(self.settings.checking_ms_max);
        match self.state.phase {
            HoldPhase::Talking => None,
            HoldPhase::OnHold => (!self.state.timed_out).then_some(timeout),
            HoldPhase::Checking => Some(checked),
        }
    }

    /// For [`Tenant::caller_audio`](crate::Tenant::caller_audio): judges the frame, and hands what was withheld last to the model when
    /// somebody speaks.
    pub fn caller_audio(&mut self, call: &mut Call, frame: &[u8]) -> Hearing {
        let format = call.info().format;
        let verdict = match (format.encoding, format.sample_rate) {
            (Encoding::Mulaw, 8_000) => self.hear(call.now(), frame),
            _ => Verdict::Forward,
        };
        match verdict {
            Verdict::Forward => Hearing::Forward,
            Verdict::Withhold => Hearing::Withhold,
            Verdict::Release(kept) => {
                kept.chunks(FRAME_BYTES).for_each(|frame| call.model_hears(frame));
                Hearing::Forward
            }
        }
    }

    /// Takes a frame of the line, mu-law at 8 kHz.
    pub fn hear(&mut self, now: u64, ulaw: &[u8]) -> Verdict {
        self.state.meter.process_ulaw(ulaw);
        let sound = self.state.meter.sound();
        match self.state.phase {
            HoldPhase::Talking | HoldPhase::Checking => {
                if self.lasts(now, sound == Sound::Music, self.settings.music_ms) {
                    self.hold(now, "music".into());
                    self.keep(ulaw);
                    return Verdict::Withhold;
                }
                Verdict::Forward
            }
            HoldPhase::OnHold => {
                // A whisper, or a voice in a noisy room, sounds like noise; noise by itself passes sooner.
                let noise_ms = self.settings.voice_ms.saturating_add(NOISE_MS);
                let (voice, ms) = match sound {
                    Sound::Voice => (true, self.settings.voice_ms),
                    Sound::Noise => (true, noise_ms),
                    Sound::Quiet | Sound::Music | Sound::Tone | Sound::Unclear => (false, 0),
                };
                if self.lasts(now, voice && now >= self.state.voice_from, ms) {
                    self.enter(HoldPhase::Checking);
                    self.state.voice_at = now;
                    self.state.change = Some(Change::Voice);
                    return Verdict::Release(std::mem::take(&mut self.state.kept).into());
                }
                self.keep(ulaw);
                Verdict::Withhold
            }
        }
    }

    /// Takes what the other side has said.
    pub fn words(&mut self, now: u64, text: &str) {
        let said = words(text);
        if said.is_empty() {
            return;
        }
        let person = self.settings.people.found_in(&said).is_some();
        let cue = self.settings.cues.found_in(&said).map(|cue| cue.join(" "));
        let again = self.state.announced.iter().any(|old| is_repeated(old, &said));
        let announcement = match cue {
            _ if again => Some("said before".to_owned()),
            Some(cue) if !person => Some(cue),
            Some(_) | None => None,
        };
        match (self.state.phase, announcement) {
            (HoldPhase::Talking, Some(why)) => {
                self.note(said);
                if !again {
                    self.hold(now, why);
                }
            }
            (HoldPhase::OnHold, Some(_)) => self.note(said),
            (HoldPhase::Checking, Some(why)) => {
                self.note(said);
                self.hold(now, why);
                self.state.voice_from = now.saturating_add(VOICE_FADES_MS);
            }
            // Words that were spoken before the music came back, unless only a person says them.
            (HoldPhase::OnHold, None) if !person => self.note(said),
            (HoldPhase::OnHold | HoldPhase::Checking, None) => self.person(now),
            (HoldPhase::Talking, None) => {}
        }
    }

    /// Time has passed: somebody has spoken long enough, or the hold is over its limit.
    pub fn due(&mut self, now: u64) {
        if self.wake_at().is_none_or(|at| now < at) {
            return;
        }
        match self.state.phase {
            HoldPhase::Talking => {}
            HoldPhase::OnHold => {
                self.state.timed_out = true;
                self.state.change = Some(Change::TooLong);
            }
            // Nothing was written down: silence after a word or two, or a language nobody can write.
            HoldPhase::Checking if self.state.meter.sound() == Sound::Quiet => {
                self.hold(now, "silence".into());
            }
            HoldPhase::Checking => self.person(now),
        }
    }

    fn hold(&mut self, now: u64, why: String) {
        if self.state.phase == HoldPhase::Talking {
            self.state.held_at = now;
            self.state.timed_out = false;
        }
        self.state.change = Some(Change::Held { why });
        self.enter(HoldPhase::OnHold);
    }

    fn person(&mut self, now: u64) {
        self.enter(HoldPhase::Talking);
        let held_ms = now.saturating_sub(self.state.held_at);
        self.state.change = Some(Change::Person { held_ms });
        self.state.kept.clear();
    }

    fn enter(&mut self, phase: HoldPhase) {
        self.state.phase = phase;
        self.state.since = None;
    }

    /// True once this has been so for long enough.
    fn lasts(&mut self, now: u64, so: bool, ms: u64) -> bool {
        if !so {
            self.state.since = None;
            return false;
        }
        let since = *self.state.since.get_or_insert(now);
        now.saturating_sub(since) >= ms
    }

    fn keep(&mut self, ulaw: &[u8]) {
        let bytes_max = usize::try_from(self.settings.kept_ms).unwrap_or(usize::MAX);
        let bytes_max = bytes_max.saturating_mul(8).min(KEPT_BYTES_MAX);
        self.state.kept.extend(ulaw);
        let over = self.state.kept.len().saturating_sub(bytes_max);
        self.state.kept.drain(..over);
    }

    fn note(&mut self, said: Vec<String>) {
        if said.len() < REPEATED_WORDS_MIN || said.len() > ANNOUNCED_WORDS_MAX {
            return;
        }
        self.state.announced.retain(|old| !is_repeated(old, &said));
        if self.state.announced.len() >= ANNOUNCED_MAX {
            self.state.announced.pop_front();
        }
        self.state.announced.push_back(said);
    }
}

/// The same announcement, or a part of it: nearly all words of the shorter text are in the other, in its order.
fn is_repeated(a: &[String], b: &[String]) -> bool {
    let shorter = a.len().min(b.len());
    shorter >= REPEATED_WORDS_MIN && common(a, b) as f32 >= REPEATED_SHARE * shorter as f32
}

const FRAME_BYTES: usize = 160;
/// How much longer noise has to last than a voice.
const NOISE_MS: u64 = 300;
/// The half second that a voice is judged over, and a little.
const VOICE_FADES_MS: u64 = 600;
/// 4 s, so that what is released fits into one answer.
const KEPT_BYTES_MAX: usize = 32_000;
/// Shorter texts are said twice by people as well.
const REPEATED_WORDS_MIN: usize = 5;
/// In two transcripts of the same announcement a word may differ.
const REPEATED_SHARE: f32 = 0.8;
const ANNOUNCED_MAX: usize = 8;
const ANNOUNCED_WORDS_MAX: usize = 100;
