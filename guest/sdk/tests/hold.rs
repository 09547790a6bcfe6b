//! Music is kept from the model, and no word of a person is.

#[path = "../../audio/tests/common/music.rs"]
mod music;
#[path = "../../audio/tests/common/seed.rs"]
mod seed;
#[path = "../../audio/tests/common/speech.rs"]
mod speech;

use cordboard_audio::{decode_twilio_audio, encode_twilio_audio};
use cordboard_sdk::blocks::hold::{Change, Hold, HoldPhase, HoldSettings, HoldState, Verdict};
use cordboard_sdk::blocks::{pack, unpack};
use cordboard_sdk::harness::Harness;
use cordboard_sdk::{
    Action, Audio, Call, CallInfo, Event, Hearing, Session, Speaker, Tenant, Turn,
};
use music::{STYLES, hiss, music, ringing};
use seed::{Seed, noise};

/// A line, frame by frame, and what the model got to hear of it.
struct Line {
    hold: Hold,
    now: u64,
    forwarded: Vec<u8>,
    changes: Vec<(u64, Change)>,
    swap_every: usize,
    frames: usize,
}

impl Line {
    fn new() -> Line {
        let hold = Hold::new(HoldSettings::default());
        let (forwarded, changes) = Default::default();
        Line { hold, now: 0, forwarded, changes, swap_every: usize::MAX, frames: 0 }
    }

    fn swapped_every(swap_every: usize) -> Line {
        Line { swap_every, ..Line::new() }
    }

    fn hears(&mut self, ulaw: &[u8]) {
        for frame in ulaw.chunks(160) {
            match self.hold.hear(self.now, frame) {
                Verdict::Forward => self.forwarded.extend(frame),
                Verdict::Withhold => {}
                Verdict::Release(kept) => {
                    self.forwarded.extend(kept);
                    self.forwarded.extend(frame);
                }
            }
            self.now += 20;
            self.hold.due(self.now);
            self.note();
        }
    }

    fn says(&mut self, text: &str) {
        self.hold.words(self.now, text);
        self.note();
    }

    fn note(&mut self) {
        self.changes.extend(self.hold.take_change().map(|change| (self.now, change)));
        self.frames += 1;
        if self.frames.is_multiple_of(self.swap_every) {
            let state: HoldState = unpack(&pack(self.hold.state())).expect("it was just packed");
            self.hold = Hold::resume(HoldSettings::default(), state);
        }
    }

    /// How much of the last so many ms the model heard.
    fn forwarded_since(&mut self, from: usize) -> usize {
        (self.forwarded.len() - from) / 8
    }
}

fn on_hold() -> Line {
    let mut line = Line::new();
    line.hears(&encode_twilio_audio(&music(STYLES[0], 5.0, -20.0, 1)));
    assert_eq!(line.hold.phase(), HoldPhase::OnHold);
    line
}

fn contains(stream: &[u8], part: &[u8]) -> bool {
    stream.windows(part.len()).any(|window| window == part)
}

#[test]
fn music_of_any_kind_puts_the_line_on_hold_and_is_kept_from_the_model() {
    for style in STYLES {
        let mut line = Line::new();
        line.hears(&encode_twilio_audio(&music(style, 20.0, -20.0, 4)));
        assert_eq!(line.changes.len(), 1, "{style:?}: {:?}", line.changes);
        let (at, change) = &line.changes[0];
        assert_eq!(*change, Change::Held { why: "music".into() });
        assert!((1_900..=3_000).contains(at), "{style:?} at {at}");
        assert!(line.forwarded.len() / 8 < 3_000);
    }
}

#[test]
fn speech_silence_noise_and_ringing_are_never_withheld() {
    let mut line = Line::new();
    let mut heard = 0;
    for clip in speech::CLIPS {
        line.hears(clip);
        heard += clip.len();
    }
    for pcm in [
        vec![0; 80_000],
        hiss(5.0, -30.0, 2),
        ringing(12.0, &[440.0, 480.0], 2.0, 4.0),
        ringing(12.0, &[400.0, 450.0], 0.4, 0.2),
        noise(&mut Seed(4), 16_000),
    ] {
        line.hears(&encode_twilio_audio(&pcm));
        heard += pcm.len();
    }
    assert_eq!(line.forwarded.len(), heard);
    assert_eq!(line.changes, []);
}

#[test]
fn a_person_is_heard_from_the_first_word_and_noticed_within_a_second() {
    for style in STYLES {
        for pause in [0, 2_400, 16_000] {
            for clip in [speech::CLIPS[0], speech::CLIPS[4], speech::CLIPS[6]] {
                let mut line = Line::new();
                line.hears(&encode_twilio_audio(&music(style, 8.0, -20.0, 2)));
                line.hears(&vec![0xFF; pause]);
                let begins = line.now;
                line.hears(clip);
                let voice = line.changes.iter().find(|(_, change)| *change == Change::Voice);
                let (at, _) = voice.expect("somebody was noticed");
                assert!(*at <= begins + 1_000, "{style:?}, pause {pause}: {} ms", at - begins);
                assert!(
                    contains(&line.forwarded, clip),
                    "{style:?}, pause {pause}: a word is lost"
                );
                line.says("Hello, you are through to the workshop.");
                assert_eq!(line.hold.phase(), HoldPhase::Talking);
                let from = line.forwarded.len();
                line.hears(clip);
                line.hears(&[0xFF; 16_000]);
                assert_eq!(line.forwarded.len() - from, clip.len() + 16_000, "nothing is withheld");
            }
        }
    }
}

#[test]
fn a_person_in_a_noisy_place_is_heard_from_the_first_word() {
    // 6 dB between a voice and the room around it.
    let voice: Vec<i16> = decode_twilio_audio(speech::CLIPS[6]);
    let room = hiss(voice.len() as f64 / 8_000.0, -24.0, 3);
    let mixed: Vec<i16> = voice.iter().zip(room).map(|(a, b)| a.saturating_add(b)).collect();
    let clip = encode_twilio_audio(&mixed);
    let mut line = on_hold();
    let begins = line.now;
    line.hears(&clip);
    let (at, _) = line.changes.last().expect("somebody was noticed");
    assert!(*at <= begins + 1_200, "{} ms", at - begins);
    assert!(contains(&line.forwarded, &clip[..clip.len() / 160 * 160]));
}

#[test]
fn an_announcement_does_not_end_the_hold_and_music_after_it_is_withheld_again() {
    let mut line = on_hold();
    line.hears(speech::CLIPS[5]);
    assert_eq!(line.hold.phase(), HoldPhase::Checking);
    line.says("Your call is important to us. You are number three in the queue.");
    assert_eq!(line.hold.phase(), HoldPhase::OnHold);
    let from = line.forwarded.len();
    line.hears(&encode_twilio_audio(&music(STYLES[1], 10.0, -20.0, 2)));
    assert!(line.forwarded_since(from) < 1_500, "{} ms", line.forwarded_since(from));
    assert_eq!(line.hold.phase(), HoldPhase::OnHold);
    let people = line.changes.iter().any(|(_, change)| matches!(change, Change::Person { .. }));
    assert!(!people);
}

#[test]
fn an_announcement_of_unknown_words_is_known_when_it_comes_again() {
    let mut line = on_hold();
    let words = "Harbour Cycles now also mends scooters and children's carts.";
    line.hears(speech::CLIPS[5]);
    line.says(
        "Thank you for your patience, Harbour Cycles now also mends scooters and children's carts.",
    );
    line.hears(&encode_twilio_audio(&music(STYLES[0], 6.0, -20.0, 2)));
    line.hears(speech::CLIPS[5]);
    line.says(&words.replace("carts", "cards"));
    assert_eq!(line.hold.phase(), HoldPhase::OnHold);
}

#[test]
fn a_person_who_says_an_announcements_words_is_still_a_person() {
    let mut line = on_hold();
    line.hears(speech::CLIPS[4]);
    line.says("Thank you for holding, this is Anna, how can I help you?");
    assert_eq!(line.hold.phase(), HoldPhase::Talking);
    assert!(
        matches!(line.changes.last(), Some((_, Change::Person { held_ms })) if *held_ms > 4_000)
    );
}

#[test]
fn please_hold_is_enough_and_whoever_goes_on_speaking_is_heard() {
    let mut line = Line::new();
    line.says("One moment please, I'll have a look.");
    assert_eq!(line.hold.phase(), HoldPhase::OnHold);
    line.hears(&[0xFF; 16_000]);
    assert_eq!(line.forwarded.len(), 0);
    line.hears(speech::CLIPS[0]);
    assert!(contains(&line.forwarded, speech::CLIPS[0]));
}

#[test]
fn somebody_whose_words_are_never_written_down_counts_as_a_person_in_the_end() {
    let mut line = on_hold();
    for _ in 0..3 {
        line.hears(speech::CLIPS[5]);
    }
    assert_eq!(line.hold.phase(), HoldPhase::Talking);
}

#[test]
fn every_change_of_deadline_comes_with_a_change_to_be_told() {
    let mut line = on_hold();
    let timeout = line.hold.wake_at();
    line.hears(speech::CLIPS[4]);
    assert_eq!(line.changes.last().map(|(_, change)| change), Some(&Change::Voice));
    assert!(line.hold.wake_at() < timeout);
    line.hears(&[0xFF; 160_000]);
    let silence = Change::Held { why: "silence".into() };
    assert_eq!(line.changes.last().map(|(_, change)| change), Some(&silence));
    assert_eq!(line.hold.wake_at(), timeout, "speaking does not make the wait longer");
}

#[test]
fn a_hold_without_end_is_told_once() {
    let mut line = on_hold();
    let at = line.hold.wake_at().expect("it waits");
    line.hold.due(at - 1);
    assert_eq!(line.hold.take_change(), None);
    line.hold.due(at);
    assert_eq!(line.hold.take_change(), Some(Change::TooLong));
    assert_eq!(line.hold.wake_at(), None);
    line.hold.due(at + 1);
    assert_eq!(line.hold.take_change(), None);
}

/// A whole wait: music, an announcement, music, a person.
fn wait(mut line: Line) -> Line {
    line.hears(speech::CLIPS[0]);
    line.hears(&encode_twilio_audio(&music(STYLES[2], 4.0, -20.0, 1)));
    line.hears(speech::CLIPS[4]);
    line.says("Please stay on the line, your call is important to us.");
    line.hears(&encode_twilio_audio(&music(STYLES[2], 4.0, -20.0, 2)));
    line.hears(speech::CLIPS[7]);
    line.says("Workshop, Peter speaking.");
    line
}

#[test]
fn a_successor_after_every_kth_frame_withholds_and_releases_the_same() {
    let unswapped = wait(Line::new());
    assert_eq!(unswapped.changes.len(), 5, "{:?}", unswapped.changes);
    for every in [1, 2, 3, 7, 50] {
        let swapped = wait(Line::swapped_every(every));
        assert!(swapped.forwarded == unswapped.forwarded, "every {every}");
        assert_eq!(swapped.changes, unswapped.changes, "every {every}");
    }
}

#[test]
fn what_is_remembered_stays_bounded() {
    let mut line = on_hold();
    for n in 0..200 {
        line.says(&format!("Please hold, {n} {} is another announcement of many words", n * 31));
        line.says(&"on hold ".repeat(500));
    }
    line.hears(&encode_twilio_audio(&music(STYLES[0], 5.0, -20.0, 1)));
    let len = pack(line.hold.state()).len();
    assert!(len < 24_000, "{len}");
}

/// A tenant that waits, wired as the documentation shows.
struct Patient {
    hold: Hold,
}

impl Tenant for Patient {
    fn new(_: &CallInfo) -> Patient {
        Patient { hold: Hold::new(HoldSettings::default()) }
    }

    fn session(&self, _: &CallInfo) -> Session {
        Session { audio: Audio::Pcmu, greeting: None, ..Session::default() }
    }

    fn caller_audio(&mut self, call: &mut Call, frame: &[u8]) -> Hearing {
        self.hold.caller_audio(call, frame)
    }

    fn turn(&mut self, call: &mut Call, turn: &Turn) {
        if turn.speaker == Speaker::Caller {
            self.hold.words(call.now(), &turn.text);
        }
    }

    fn save(&self) -> Vec<u8> {
        pack(self.hold.state())
    }

    fn load(_: &CallInfo, state: &[u8]) -> Result<Patient, String> {
        Ok(Patient { hold: Hold::resume(HoldSettings::default(), unpack(state)?) })
    }
}

#[test]
fn in_a_tenant_the_model_hears_the_person_whole_and_the_music_not() {
    for swap_every in [0, 1, 3] {
        let mut call = Harness::<Patient>::start();
        call.model_ready();
        call.swap_every(swap_every);
        let mut model_hears = Vec::new();
        let line = encode_twilio_audio(&music(STYLES[0], 6.0, -20.0, 1));
        for frame in line.chunks(160).chain(speech::CLIPS[4].chunks(160)) {
            for action in call.feed(Event::CallerAudio(frame.to_vec())) {
                if let Action::ModelAudio(audio) = action {
                    model_hears.extend(audio);
                }
            }
            call.advance(20);
        }
        assert!(contains(&model_hears, speech::CLIPS[4]));
        assert!(
            model_hears.len() < speech::CLIPS[4].len() + 4_500 * 8,
            "{}",
            model_hears.len() / 8
        );
    }
}
