//! Guards against lines that nobody said: the same line twice, and what transcribers make of silence.
//!
//! A model that writes down a breath or a click writes what it has seen most: thanks for watching, a farewell, a dot, a sentence in
//! another alphabet. Some of these nobody says into a telephone, and they always go. Others people do say, and they go only
//! when the sound was too short or too soft to be speech, as far as that is known.
//!
//! ```
//! use cordboard_sdk::blocks::transcript::{TranscriptGuard, TranscriptSettings, Verdict};
//! use cordboard_sdk::{Call, CallInfo, Event, Hearing, Speaker, Tenant, Turn};
//! # use cordboard_sdk::harness::Harness;
//!
//! struct Notes {
//!     guard: TranscriptGuard,
//!     lines: Vec<String>,
//! }
//!
//! impl Tenant for Notes {
//!     fn new(_: &CallInfo) -> Notes {
//!         Notes { guard: TranscriptGuard::new(TranscriptSettings::default()), lines: Vec::new() }
//!     }
//!
//!     fn event(&mut self, _: &mut Call, event: &Event) {
//!         self.guard.event(event);
//!     }
//!
//!     fn caller_audio(&mut self, _: &mut Call, frame: &[u8]) -> Hearing {
//!         self.guard.hear(frame);
//!         Hearing::Forward
//!     }
//!
//!     fn turn(&mut self, call: &mut Call, turn: &Turn) {
//!         if turn.speaker == Speaker::Caller {
//!             match self.guard.judge(call.now(), &turn.item, &turn.text) {
//!                 Verdict::Keep => self.lines.push(turn.text.clone()),
//!                 Verdict::Duplicate | Verdict::Repeated | Verdict::Phantom(_) => call.strike(&turn.item),
//!             }
//!         }
//!     }
//! }
//!
//! let mut call = Harness::<Notes>::start();
//! call.model_ready();
//! for text in ["I need a plumber.", "I need a plumber.", "Thank you for watching!", "...", "Tomorrow."] {
//!     call.caller_says(text);
//! }
//! assert_eq!(call.tenant().lines, ["I need a plumber.", "Tomorrow."]);
//! ```

use std::collections::VecDeque;

use cordboard_audio::sound::ulaw_level_dbm0;
use serde::{Deserialize, Serialize};

use super::Phrases;
use super::phrases::words;
use super::said::Speech;
use crate::Event;

/// What nobody says. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TranscriptSettings {
    /// The same text within this time is the same line again.
    pub window_ms: u64,
    /// Shorter texts, in words, may be said twice: "yes", "no, no".
    pub repeated_words_min: usize,
    /// What is never said on a telephone; a line with it goes.
    pub never: Phrases,
    /// What may be said or not; a line of nothing else goes if there was no speech.
    pub doubtful: Phrases,
    /// Shorter sounds are not speech.
    pub speech_ms_min: u64,
    /// Sounds that never get as loud, in dBm0, are not speech.
    pub speech_dbm0_min: f32,
    /// The alphabets that a line may be written in, as ranges of characters; empty: any. A line with most letters from elsewhere goes.
    pub letters: Vec<(char, char)>,
}

impl Default for TranscriptSettings {
    /// English, in Latin letters.
    fn default() -> TranscriptSettings {
        TranscriptSettings {
            window_ms: 3_000,
            repeated_words_min: 3,
            never: Phrases::new([
                "thank you for watching",
                "thanks for watching",
                "thank you so much for watching",
                "please subscribe",
                "like and subscribe",
                "subscribe to my channel",
                "don't forget to subscribe",
                "see you in the next video",
                "subtitles by",
                "amara org",
                "transcribed by",
                "transcription by",
                "copyright",
                "www",
            ]),
            doubtful: Phrases::new([
                "bye",
                "bye bye",
                "goodbye",
                "thank you",
                "thank you very much",
                "thanks",
                "you",
                "okay",
                "ok",
                "yeah",
                "hmm",
                "mm",
                "uh",
                "um",
                "oh",
                "ah",
                "so",
                "the",
                "i",
                "and",
                "hello",
                "hey",
                "hi",
                "music",
                "applause",
                "silence",
                "laughs",
                "laughter",
                "blank audio",
                "inaudible",
                "foreign",
                "beep",
            ]),
            speech_ms_min: 300,
            speech_dbm0_min: -42.0,
            // Basic Latin to Latin Extended-B, and Latin Extended Additional.
            letters: vec![('\0', '\u{24F}'), ('\u{1E00}', '\u{1EFF}')],
        }
    }
}

/// What to make of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The caller said it.
    Keep,
    /// This item was judged before.
    Duplicate,
    /// The same text came a moment ago.
    Repeated,
    /// Nobody said it.
    Phantom(Phantom),
}

/// Why nobody said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phantom {
    /// There is not a word in it.
    NoWords,
    /// It is written in another alphabet.
    OtherLetters,
    /// Nobody says this on a telephone.
    NeverSaid,
    /// There was no speech.
    NoSpeech,
}

/// Judges the caller's lines.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscriptGuard {
    settings: TranscriptSettings,
    state: TranscriptState,
}

/// All that a [`TranscriptGuard`] remembers, for a successor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TranscriptState {
    /// The lines judged last: when, which item, a fingerprint of the words.
    judged: VecDeque<(u64, String, u64)>,
    /// What sounded lately, the newest last.
    sounds: VecDeque<Sounded>,
    /// The loudest frame of each of the last tenths of a second, in dBm0.
    levels: VecDeque<i8>,
    /// Bytes of the line in the newest tenth.
    tenth: u16,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sounded {
    item: String,
    started_ms: Option<u64>,
    ms: Option<u64>,
    /// It still goes on.
    open: bool,
    /// None while no audio was heard.
    loudest_dbm0: Option<i8>,
}

impl TranscriptGuard {
    /// Begins a call.
    pub fn new(settings: TranscriptSettings) -> TranscriptGuard {
        TranscriptGuard { settings, state: TranscriptState::default() }
    }

    /// Goes on where another left off.
    pub fn resume(settings: TranscriptSettings, mut state: TranscriptState) -> TranscriptGuard {
        state.judged.truncate(JUDGED_MAX);
        state.sounds.truncate(SOUNDS_MAX);
        state.levels.truncate(TENTHS_MAX);
        TranscriptGuard { settings, state }
    }

    /// What a successor needs.
    pub fn state(&self) -> &TranscriptState {
        &self.state
    }

    /// For [`Tenant::event`](crate::Tenant::event): learns when speech began and ended.
    pub fn event(&mut self, event: &Event) {
        match Speech::read(event) {
            Some(Speech::Started { item, at_ms }) => {
                if self.state.sounds.len() >= SOUNDS_MAX {
                    self.state.sounds.pop_front();
                }
                // The server hears the beginning some tenths of a second late.
                let loudest_dbm0 =
                    self.state.levels.iter().rev().take(BEFORE_TENTHS).max().copied();
                let (started_ms, ms) = (at_ms, None);
                let sounded = Sounded { item, started_ms, ms, open: true, loudest_dbm0 };
                self.state.sounds.push_back(sounded);
            }
            Some(Speech::Stopped { item, at_ms }) => {
                let last = self.state.sounds.iter_mut().rev().find(|sounded| sounded.open);
                if let Some(sounded) = last {
                    sounded.open = false;
                    sounded.item = item;
                    let both = at_ms.zip(sounded.started_ms);
                    sounded.ms = both.map(|(end, start)| end.saturating_sub(start));
                }
            }
            Some(Speech::Unwritten { .. }) | None => {}
        }
    }

    /// For [`Tenant::caller_audio`](crate::Tenant::caller_audio), on a mu-law line: learns how loud speech is. Optional.
    pub fn hear(&mut self, ulaw: &[u8]) {
        // Between -128 and 0, so it fits.
        let level = ulaw_level_dbm0(ulaw).clamp(-128.0, 20.0) as i8;
        if self.state.tenth == 0 || self.state.levels.is_empty() {
            if self.state.levels.len() >= TENTHS_MAX {
                self.state.levels.pop_front();
            }
            self.state.levels.push_back(level);
        }
        if let Some(newest) = self.state.levels.back_mut() {
            *newest = level.max(*newest);
        }
        let bytes = usize::from(self.state.tenth).saturating_add(ulaw.len());
        self.state.tenth = if bytes >= TENTH_BYTES { 0 } else { bytes as u16 };
        for sounded in self.state.sounds.iter_mut().filter(|sounded| sounded.open) {
            sounded.loudest_dbm0 = sounded.loudest_dbm0.max(Some(level));
        }
    }

    /// Judges a line, once.
    pub fn judge(&mut self, now: u64, item: &str, text: &str) -> Verdict {
        let said = words(text);
        let print = fingerprint(&said);
        let verdict = self.verdict(now, item, text, &said, print);
        if verdict != Verdict::Duplicate {
            if self.state.judged.len() >= JUDGED_MAX {
                self.state.judged.pop_front();
            }
            self.state.judged.push_back((now, item.to_owned(), print));
        }
        verdict
    }

    fn verdict(&self, now: u64, item: &str, text: &str, said: &[String], print: u64) -> Verdict {
        // Some servers name no item.
        if !item.is_empty() && self.state.judged.iter().any(|(_, judged, _)| judged == item) {
            return Verdict::Duplicate;
        }
        if said.is_empty() {
            return Verdict::Phantom(Phantom::NoWords);
        }
        if self.is_foreign(text) {
            return Verdict::Phantom(Phantom::OtherLetters);
        }
        // A person who mentions a website has more to say than that.
        let most_of_it = |phrase: &[String]| 3 * phrase.len() >= said.len();
        if self.settings.never.found_in(said).is_some_and(most_of_it) {
            return Verdict::Phantom(Phantom::NeverSaid);
        }
        let sounded = self.state.sounds.iter().rev().find(|sounded| sounded.item == item);
        let short = sounded.and_then(|s| s.ms).is_some_and(|ms| ms < self.settings.speech_ms_min);
        let soft = sounded
            .and_then(|s| s.loudest_dbm0)
            .is_some_and(|level| f32::from(level) < self.settings.speech_dbm0_min);
        if soft || (short && self.settings.doubtful.make_up(said)) {
            return Verdict::Phantom(Phantom::NoSpeech);
        }
        let again = |(at, _, old): &(u64, String, u64)| {
            *old == print && now.saturating_sub(*at) <= self.settings.window_ms
        };
        if said.len() >= self.settings.repeated_words_min && self.state.judged.iter().any(again) {
            return Verdict::Repeated;
        }
        Verdict::Keep
    }

    fn is_foreign(&self, text: &str) -> bool {
        if self.settings.letters.is_empty() {
            return false;
        }
        let known = |c: &char| self.settings.letters.iter().any(|(a, b)| (a..=b).contains(&c));
        let letters = text.chars().filter(|c| c.is_alphabetic());
        let (ours, all) = letters
            .fold((0usize, 0usize), |(ours, all), c| (ours + usize::from(known(&c)), all + 1));
        ours * 2 < all
    }
}

/// A number that changes with the words (FNV-1a).
fn fingerprint(words: &[String]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.bytes().chain([b' ']));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

const JUDGED_MAX: usize = 16;
const SOUNDS_MAX: usize = 8;
/// Two seconds.
const TENTHS_MAX: usize = 20;
const BEFORE_TENTHS: usize = 8;
const TENTH_BYTES: usize = 800;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{pack, unpack};
    use cordboard_audio::encode_twilio_audio;
    use serde_json::json;

    fn guard() -> TranscriptGuard {
        TranscriptGuard::new(TranscriptSettings::default())
    }

    /// Something of this length and loudness sounds, and is given this item.
    fn sounds(guard: &mut TranscriptGuard, item: &str, ms: u64, peak: i16) {
        let event = |json: serde_json::Value| Event::ModelEvent(json.to_string());
        guard.event(&event(json!({"type": "input_audio_buffer.speech_started",
            "item_id": item, "audio_start_ms": 1_000})));
        let pcm: Vec<i16> = (0..ms * 8).map(|n| if n % 8 < 4 { peak } else { -peak }).collect();
        encode_twilio_audio(&pcm).chunks(160).for_each(|frame| guard.hear(frame));
        guard.event(&event(json!({"type": "input_audio_buffer.speech_stopped",
            "item_id": item, "audio_end_ms": 1_000 + ms})));
    }

    #[test]
    fn an_item_is_judged_once_and_a_text_twice_in_a_moment_is_one() {
        let mut guard = guard();
        let text = "My number is four two";
        assert_eq!(guard.judge(0, "a", text), Verdict::Keep);
        assert_eq!(guard.judge(10, "a", text), Verdict::Duplicate);
        assert_eq!(guard.judge(2_000, "b", "my number is four two."), Verdict::Repeated);
        assert_eq!(guard.judge(9_000, "c", text), Verdict::Keep, "later it is said again");
        assert_eq!(guard.judge(9_100, "d", "No, no."), Verdict::Keep);
        assert_eq!(guard.judge(9_200, "e", "No, no."), Verdict::Keep, "people do");
    }

    #[test]
    fn what_nobody_says_on_a_telephone_goes_however_loud() {
        for (text, why) in [
            (".", Phantom::NoWords),
            (" ... ", Phantom::NoWords),
            ("", Phantom::NoWords),
            ("Thank you for watching!", Phantom::NeverSaid),
            ("Subtitles by the Amara.org community", Phantom::NeverSaid),
            ("ご視聴ありがとうございました", Phantom::OtherLetters),
            ("Продолжение следует...", Phantom::OtherLetters),
            ("MBC 뉴스 이덕영입니다.", Phantom::OtherLetters),
        ] {
            let mut guard = guard();
            sounds(&mut guard, "a", 900, 6_000);
            assert_eq!(guard.judge(0, "a", text), Verdict::Phantom(why), "{text}");
        }
    }

    #[test]
    fn a_person_may_mention_what_nobody_says() {
        for text in [
            "My website is www dot acme dot com",
            "I have a copyright question for you",
            "Thanks for calling, see you next time",
        ] {
            let mut guard = guard();
            sounds(&mut guard, "a", 900, 6_000);
            assert_eq!(guard.judge(0, "a", text), Verdict::Keep, "{text}");
        }
    }

    #[test]
    fn lines_without_an_item_are_no_duplicates_of_each_other() {
        let mut guard = guard();
        for (now, text) in [(0, "I would like to book a table"), (5_000, "For four people please")]
        {
            sounds(&mut guard, "", 900, 6_000);
            assert_eq!(guard.judge(now, "", text), Verdict::Keep, "{text}");
        }
    }

    #[test]
    fn a_farewell_goes_if_there_was_no_speech_and_stays_if_there_was() {
        for (ms, peak, kept) in [(600, 6_000, true), (120, 6_000, false), (600, 60, false)] {
            let mut guard = guard();
            sounds(&mut guard, "a", ms, peak);
            let kept = if kept { Verdict::Keep } else { Verdict::Phantom(Phantom::NoSpeech) };
            assert_eq!(guard.judge(0, "a", "Bye. Thank you."), kept, "{ms} ms, {peak}");
        }
        assert_eq!(guard().judge(0, "a", "Bye."), Verdict::Keep, "nothing is known of the sound");
    }

    #[test]
    fn a_short_word_of_substance_stays_and_nothing_is_heard_in_silence() {
        let mut guard = guard();
        sounds(&mut guard, "a", 200, 6_000);
        assert_eq!(guard.judge(0, "a", "Billing."), Verdict::Keep);
        sounds(&mut guard, "b", 2_000, 40);
        // The first one's last tenths are still in the memory of the second's beginning.
        sounds(&mut guard, "c", 2_000, 40);
        assert_eq!(guard.judge(0, "c", "I ordered a pizza."), Verdict::Phantom(Phantom::NoSpeech));
    }

    #[test]
    fn other_alphabets_are_the_authors_choice() {
        let settings = TranscriptSettings { letters: vec![], ..TranscriptSettings::default() };
        let mut guard = TranscriptGuard::new(settings);
        assert_eq!(guard.judge(0, "a", "Добрый день"), Verdict::Keep);
        assert_eq!(self::guard().judge(0, "b", "Größe? Où ça, señor!"), Verdict::Keep);
    }

    #[test]
    fn a_successor_after_every_kth_line_judges_the_same_and_the_state_is_bounded() {
        let run = |every: usize| {
            let mut guard = guard();
            let mut verdicts = Vec::new();
            for n in 0..80usize {
                let item = format!("i{}", n / 2 * 2 + n % 3);
                sounds(&mut guard, &item, (n as u64 * 37) % 700, (n as i16 * 97) % 900);
                let text = ["Bye.", "I have a question", "Thanks for watching", "No no no"][n % 4];
                verdicts.push(guard.judge(n as u64 * 700, &item, text));
                if n % every == 0 {
                    let bytes = pack(guard.state());
                    assert!(bytes.len() < 1_024, "{}", bytes.len());
                    let state = unpack(&bytes).expect("it was just packed");
                    guard = TranscriptGuard::resume(TranscriptSettings::default(), state);
                }
            }
            verdicts
        };
        let unswapped = run(usize::MAX);
        for verdict in [Verdict::Keep, Verdict::Duplicate, Verdict::Phantom(Phantom::NoSpeech)] {
            assert!(unswapped.contains(&verdict), "{verdict:?}");
        }
        for every in [1, 2, 3, 7] {
            assert_eq!(run(every), unswapped, "every {every}");
        }
    }
}
