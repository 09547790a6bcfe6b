//! Plays a menu: announces, listens for keys, lets wait, puts through.
//!
//! One rule: it is asked once every 20 ms of its own line, with what it has heard since, and answers with what to say now. Its only
//! clock is how often it was asked.

use super::file::{Menu, Person, Place};
use super::keys::Receiver;
use super::music::music;
use super::report::{KeyHeard, Meaning, MenuReport, Outcome, PersonReport, Visit};
use crate::audio::is_audible;
use crate::carrier::{Step, Utterance};
use crate::voice::Speaker;

/// How long one piece of the line lasts, in ms.
const TICK_MS: u64 = 20;
/// Nothing is said for so long before an announcement and after one on hold, in ms: enough for a turn detector to tell them apart.
const BREATH_MS: u64 = 700;
/// The caller's line is over when the person has heard nothing for so long, in ms.
const QUIET_MS: u64 = 700;
/// Less than this is no answer, in ms: a click, an echo.
const WORD_MS: u64 = 100;

/// A menu on the line.
#[derive(Debug)]
pub struct Attendant {
    menu: Menu,
    receiver: Receiver,
    report: MenuReport,
    place: String,
    to_say: std::collections::VecDeque<Piece>,
    /// Ticks so far, in ms.
    now_ms: u64,
    /// Something was begun in the last tick; the line shows it from the next one on.
    just_begun: bool,
    silent_since_ms: u64,
    /// Music played so far at this place, in ms.
    played_ms: u64,
    failures: u32,
    talk: Talk,
    over: bool,
}

/// What is to be said next.
#[derive(Debug)]
enum Piece {
    Breath(u64),
    Words(String, Speaker),
    Music(u64),
}

/// A person's side of the conversation.
#[derive(Debug, Default)]
struct Talk {
    /// The line that was said last.
    line: usize,
    /// When the caller's answer to it began.
    began_ms: Option<u64>,
    /// How much was heard of it, in ms.
    heard_ms: u64,
    /// Since when nothing is heard.
    quiet_since_ms: u64,
    asked_again: bool,
    all_said: bool,
}

impl Attendant {
    /// Picks up.
    pub fn new(menu: Menu) -> Self {
        let mut attendant = Self {
            place: menu.start.clone(),
            menu,
            receiver: Receiver::default(),
            report: MenuReport::default(),
            to_say: Default::default(),
            now_ms: 0,
            just_begun: false,
            silent_since_ms: 0,
            played_ms: 0,
            failures: 0,
            talk: Talk::default(),
            over: false,
        };
        let start = attendant.place.clone();
        attendant.go(start);
        attendant
    }

    /// Takes what was heard since the last tick (mu-law, any amount) and whether the line is still saying something, and returns
    /// what to do: [`Step::Say`], [`Step::Hush`], [`Step::HangUp`].
    pub fn tick(&mut self, heard: &[u8], speaking: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.over {
            return steps;
        }
        let speaking = std::mem::take(&mut self.just_begun) || speaking;
        for tone in self.receiver.hear(heard) {
            self.key(tone.key, tone.at / 8, &mut steps);
        }
        if speaking && steps.is_empty() {
            self.silent_since_ms = self.now_ms;
        }
        if let Place::Person(_) = self.menu.places[&self.place]
            && is_audible(heard)
            && !self.receiver.is_tone()
        {
            self.voice(heard.len() as u64 / 8, speaking);
        }
        if !speaking || !steps.is_empty() {
            self.say_next(&mut steps);
        }
        self.now_ms += TICK_MS;
        steps
    }

    /// A key that the carrier itself pressed, by `<Play digits>`, while no stream was up.
    pub fn press(&mut self, key: char) {
        // There is no line on which anything could be hushed.
        self.key(key, self.now_ms, &mut Vec::new());
    }

    /// Returns what was seen so far.
    pub fn report(&self) -> &MenuReport {
        &self.report
    }

    fn key(&mut self, key: char, at_ms: u64, steps: &mut Vec<Step>) {
        let place = self.place.clone();
        let Some(Place::Menu(prompt)) = self.menu.places.get(&place) else {
            let meaning = Meaning::Unasked;
            self.report.keys.push(KeyHeard { key, at_ms, place, meaning });
            return;
        };
        let target = prompt.keys.get(&key).cloned();
        let meaning = if target.is_some() { Meaning::Choice } else { Meaning::Invalid };
        self.report.keys.push(KeyHeard { key, at_ms, place, meaning });
        // Whoever presses a key has heard enough.
        steps.push(Step::Hush);
        match target {
            Some(target) => {
                self.failures = 0;
                self.go(target);
            }
            None => self.failed(self.menu.invalid.clone()),
        }
    }

    fn go(&mut self, place: String) {
        self.to_say.clear();
        self.played_ms = 0;
        self.report.visits.push(Visit { place: place.clone(), at_ms: self.now_ms });
        let (words, speaker) = match &self.menu.places[&place] {
            Place::Menu(prompt) => (&prompt.say, Speaker::Recording),
            Place::Hold(hold) => (&hold.say, Speaker::Recording),
            Place::Person(person) => (&person.lines[0], Speaker::Person),
        };
        self.to_say.push_back(Piece::Breath(BREATH_MS));
        self.to_say.push_back(Piece::Words(words.clone(), speaker));
        if let Place::Person(_) = self.menu.places[&place] {
            self.talk = Talk { quiet_since_ms: self.now_ms, ..Talk::default() };
            self.report.outcome = Outcome::HeardNobody;
            let answered_ms = self.now_ms + BREATH_MS;
            self.report.person = Some(PersonReport { answered_ms, ..PersonReport::default() });
        }
        self.silent_since_ms = self.now_ms;
        self.place = place;
    }

    /// No key, or a wrong one: says so and repeats, or gives up.
    fn failed(&mut self, words: String) {
        self.failures += 1;
        self.silent_since_ms = self.now_ms;
        self.to_say.clear();
        self.to_say.push_back(Piece::Breath(BREATH_MS));
        self.to_say.push_back(Piece::Words(words, Speaker::Recording));
        self.to_say.push_back(Piece::Breath(BREATH_MS));
        let again = match &self.menu.places[&self.place] {
            _ if self.failures >= self.menu.attempts => {
                self.report.outcome = Outcome::GaveUp;
                self.menu.farewell.clone()
            }
            Place::Menu(prompt) => prompt.say.clone(),
            Place::Hold(_) | Place::Person(_) => unreachable!("only a menu takes keys"),
        };
        self.to_say.push_back(Piece::Words(again, Speaker::Recording));
    }

    /// Says what is next once nothing is being said.
    fn say_next(&mut self, steps: &mut Vec<Step>) {
        match self.to_say.front() {
            Some(Piece::Breath(ms)) if self.now_ms < self.silent_since_ms + ms => return,
            Some(Piece::Breath(_)) => {
                self.to_say.pop_front();
            }
            Some(_) => {}
            None => return self.silent(steps),
        }
        let utterance = match self.to_say.pop_front() {
            Some(Piece::Words(words, speaker)) => self.menu.utterance(&words, speaker),
            Some(Piece::Music(ms)) => {
                let ulaw = music(self.played_ms, ms).into();
                self.played_ms += ms;
                Utterance { name: "music".into(), ulaw }
            }
            Some(Piece::Breath(_)) | None => return,
        };
        self.just_begun = true;
        steps.push(Step::Say(utterance));
    }

    /// Everything was said.
    fn silent(&mut self, steps: &mut Vec<Step>) {
        match self.menu.places[&self.place].clone() {
            Place::Menu(_) if self.report.outcome == Outcome::GaveUp => self.leave(steps),
            Place::Menu(_) => {
                if self.now_ms >= self.silent_since_ms + self.menu.timeout_ms {
                    self.report.timeouts += 1;
                    self.failed(self.menu.no_input.clone());
                }
            }
            Place::Hold(hold) if self.played_ms >= hold.lasts_ms => {
                self.go(hold.then);
            }
            Place::Hold(hold) => {
                // The announcement follows the music, but for the last piece: then somebody picks up.
                let ms = hold.announce_every_ms.min(hold.lasts_ms - self.played_ms);
                self.to_say.extend([Piece::Breath(BREATH_MS), Piece::Music(ms)]);
                if let Some(words) = hold.announce
                    && self.played_ms + ms < hold.lasts_ms
                {
                    let words = Piece::Words(words, Speaker::Recording);
                    self.to_say.extend([Piece::Breath(BREATH_MS), words]);
                }
                self.say_next(steps);
            }
            Place::Person(person) => self.answer(&person, steps),
        }
    }

    /// The caller says something to a person.
    fn voice(&mut self, ms: u64, speaking: bool) {
        let talk = &mut self.talk;
        let began_ms = *talk.began_ms.get_or_insert(self.now_ms);
        talk.heard_ms += ms;
        talk.quiet_since_ms = self.now_ms;
        let report = self.report.person.get_or_insert_default();
        if report.first_word_after_ms.is_none() && talk.heard_ms >= WORD_MS {
            let said = self.to_say.is_empty() && !speaking;
            let waited_ms = if said { began_ms.saturating_sub(self.silent_since_ms) } else { 0 };
            report.first_word_after_ms = Some(waited_ms);
            self.report.outcome = Outcome::Talked;
        }
    }

    /// A person's turn to wait, to go on, or to give up.
    fn answer(&mut self, person: &Person, steps: &mut Vec<Step>) {
        let waited_ms =
            self.now_ms.saturating_sub(self.silent_since_ms.max(self.talk.quiet_since_ms));
        let answered = self.talk.heard_ms >= WORD_MS;
        if answered && !self.talk.all_said && waited_ms >= QUIET_MS {
            self.report.person.get_or_insert_default().lines_answered += 1;
            let line = self.talk.line + 1;
            self.talk = Talk { line, quiet_since_ms: self.now_ms, ..Talk::default() };
            match person.own().nth(line) {
                Some(words) => self.to_say.push_back(Piece::Words(words.into(), Speaker::Person)),
                None => self.talk.all_said = true,
            }
            self.say_next(steps);
        } else if waited_ms >= person.patience_ms {
            if answered || self.talk.asked_again || self.talk.all_said {
                return self.leave(steps);
            }
            self.talk.asked_again = true;
            self.to_say.push_back(Piece::Words(Person::HELLO.into(), Speaker::Person));
            self.say_next(steps);
        }
    }

    fn leave(&mut self, steps: &mut Vec<Step>) {
        self.over = true;
        steps.push(Step::HangUp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{SILENCE, tone, ulaw_encode};

    const MENU: &str = include_str!("../../../menus/power-company.toml");

    #[test]
    fn three_keys_and_a_wait_lead_to_a_person_who_is_answered() {
        let mut call = Call::new(MENU);
        for (place, key) in [("main", '2'), ("billing", '1'), ("invoices", '3')] {
            call.until_silent();
            assert_eq!(call.attendant.place, place);
            call.press(key);
        }
        assert!(call.until_said("music"));
        assert!(call.until_said("Billing, this is Maria. How can I help you?"));
        call.until_silent();
        call.pass(400);
        call.speak(1000);
        assert!(call.until_said("Certainly. I have sent it again."));
        call.until_silent();
        call.speak(600);
        assert!(call.until_said("Goodbye."));
        call.pass(20_000);

        let report = call.attendant.report();
        assert_eq!(report.pressed(), "213");
        assert_eq!(report.path(), ["main", "billing", "invoices", "queue", "maria"]);
        assert!(report.keys.iter().all(|heard| heard.meaning == Meaning::Choice));
        let person = report.person.as_ref().unwrap();
        let waited = person.first_word_after_ms.unwrap();
        assert!((380..=460).contains(&waited), "{waited} ms");
        assert_eq!((report.outcome, person.lines_answered), (Outcome::Talked, 2));
        assert_eq!(call.steps.last(), Some(&Step::HangUp));
    }

    #[test]
    fn a_key_cuts_the_announcement_short() {
        let mut call = Call::new(MENU);
        call.pass(2000);
        assert!(call.speaking_ms > 0);
        call.press('2');
        assert!(call.steps.contains(&Step::Hush));
        assert_eq!(call.attendant.report().path(), ["main", "billing"]);
    }

    #[test]
    fn a_wrong_key_and_silence_are_said_and_the_third_failure_ends_the_call() {
        let mut call = Call::new(MENU);
        call.until_silent();
        call.press('7');
        assert!(call.until_said("That is not a valid option."));
        for _ in 0..2 {
            assert!(call.until_said("I did not get that."));
        }
        assert!(call.until_said("Goodbye."));
        call.pass(5000);
        let report = call.attendant.report();
        assert_eq!(report.keys[0].meaning, Meaning::Invalid);
        assert_eq!((report.timeouts, report.outcome), (2, Outcome::GaveUp));
        assert_eq!(call.steps.last(), Some(&Step::HangUp));
    }

    #[test]
    fn a_good_key_makes_up_for_a_wrong_one() {
        let mut call = Call::new(MENU);
        for key in "772".chars() {
            call.press(key);
            call.pass(1000);
        }
        call.press('7');
        call.pass(1000);
        assert_eq!(call.attendant.report().path(), ["main", "billing"]);
        assert_eq!(call.attendant.report().outcome, Outcome::Unfinished);
    }

    #[test]
    fn music_and_announcements_alternate_as_long_as_the_file_says() {
        let mut call = Call::new(&MENU.replace("start = \"main\"", "start = \"queue\""));
        assert!(call.until_said("Billing, this is Maria. How can I help you?"));
        let music: u64 = call.said("music").map(|it| it.ulaw.len() as u64 / 8).sum();
        let Place::Hold(hold) = &call.attendant.menu.places["queue"] else { panic!() };
        assert_eq!(music, hold.lasts_ms);
        let announced = call.said(hold.announce.as_deref().unwrap()).count() as u64;
        assert_eq!(announced, hold.lasts_ms.div_ceil(hold.announce_every_ms) - 1);
        call.press('1');
        assert_eq!(call.attendant.report().keys[0].meaning, Meaning::Unasked);
    }

    #[test]
    fn a_person_who_hears_nobody_asks_once_and_hangs_up() {
        let mut call = Call::new(&MENU.replace("start = \"main\"", "start = \"maria\""));
        call.until_silent();
        // A tone is no answer.
        call.press('1');
        assert!(call.until_said(Person::HELLO));
        call.pass(20_000);
        assert_eq!(call.steps.last(), Some(&Step::HangUp));
        let report = call.attendant.report();
        assert_eq!(report.outcome, Outcome::HeardNobody);
        assert_eq!(report.person.as_ref().unwrap().first_word_after_ms, None);
    }

    /// A line without a network.
    struct Call {
        attendant: Attendant,
        steps: Vec<Step>,
        speaking_ms: u64,
    }

    impl Call {
        fn new(menu: &str) -> Self {
            let attendant = Attendant::new(Menu::parse(menu).unwrap());
            Self { attendant, steps: Vec::new(), speaking_ms: 0 }
        }

        fn tick(&mut self, heard: &[u8]) {
            let steps = self.attendant.tick(heard, self.speaking_ms > 0);
            self.speaking_ms = self.speaking_ms.saturating_sub(20);
            for step in &steps {
                match step {
                    Step::Say(it) => self.speaking_ms += it.ulaw.len() as u64 / 8,
                    Step::Hush => self.speaking_ms = 0,
                    _ => {}
                }
            }
            self.steps.extend(steps);
        }

        fn pass(&mut self, ms: u64) {
            (0..ms / 20).for_each(|_| self.tick(&[SILENCE; 160]));
        }

        fn until_silent(&mut self) {
            self.pass(BREATH_MS + 100);
            while self.speaking_ms > 0 || !self.attendant.to_say.is_empty() {
                self.pass(20);
            }
        }

        /// Whether this is said within half a minute.
        fn until_said(&mut self, name: &str) -> bool {
            let from = self.steps.len();
            for _ in 0..1500 {
                let said = |step: &Step| matches!(step, Step::Say(it) if it.name == name);
                if self.steps[from..].iter().any(said) {
                    return true;
                }
                self.pass(20);
            }
            false
        }

        fn said(&self, name: &str) -> impl Iterator<Item = &Utterance> {
            self.steps.iter().filter_map(move |step| match step {
                Step::Say(it) if it.name == name => Some(it),
                _ => None,
            })
        }

        fn press(&mut self, key: char) {
            let pitches = match key {
                '1' => (697.0, 1209.0),
                '2' => (697.0, 1336.0),
                '3' => (697.0, 1477.0),
                '7' => (852.0, 1209.0),
                other => panic!("no pitches for {other}"),
            };
            let [low, high] = [pitches.0, pitches.1].map(|hertz| tone(hertz, 8000, 100));
            let both = low.into_iter().zip(high).map(|(low, high)| ulaw_encode((low + high) / 2));
            both.collect::<Vec<u8>>().chunks(160).for_each(|heard| self.tick(heard));
            self.pass(60);
        }

        fn speak(&mut self, ms: u64) {
            let voice = tone(300.0, 8000, ms as u32).into_iter().map(ulaw_encode);
            voice.collect::<Vec<u8>>().chunks(160).for_each(|heard| self.tick(heard));
        }
    }
}
