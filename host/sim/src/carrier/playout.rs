//! What a caller hears: the carrier's playback buffer on an ideal clock.
//!
//! One rule: time is the number of samples since the stream began (8 a millisecond), it comes in with every call and never runs
//! backwards. Media is appended and played in order; a mark comes back when all audio before it was played, at once if
//! nothing is waiting; `clear` drops what waits and sends every pending mark back. When the buffer is dry the caller hears silence,
//! and a short dry spell inside speech is an audible gap: the quality figure tests assert on.

use std::collections::VecDeque;

use crate::audio::SILENCE;

/// Samples since the stream began, at 8 kHz: one is 125 microseconds.
pub type Sample = u64;

/// The carrier drops media once this much is waiting: ten minutes (warning 31931).
pub const BUFFER_SAMPLES_MAX: u64 = 10 * 60 * 8000;

/// Dry spells of at most this length between two pieces of audio count as a gap; a longer one is a pause between two utterances.
pub const GAP_SAMPLES_MAX: u64 = 400 * 8;

/// A mark on its way back to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// When it became due.
    pub at: Sample,
    /// The gateway's name for it.
    pub name: String,
    /// Whether everything before it was heard; `clear` sends marks back whose audio was not.
    pub played: bool,
}

/// A stretch of uninterrupted playback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first sample.
    pub from: Sample,
    /// One past the last sample.
    pub to: Sample,
}

/// The buffer already holds ten minutes: the media was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("media discarded: more than ten minutes are waiting")]
pub struct Discarded;

/// The playback buffer of one stream.
#[derive(Debug, Default)]
pub struct Playout {
    waiting: VecDeque<u8>,
    marks: VecDeque<(Sample, String)>,
    cursor: Sample,
    heard: Option<Vec<u8>>,
    spans: Vec<Span>,
    jitter_buffer: u64,
    starts_at: Option<Sample>,
    cleared: u64,
}

impl Playout {
    /// Creates an empty buffer that also records every sample the caller hears.
    pub fn recording() -> Self {
        Self { heard: Some(Vec::new()), ..Self::default() }
    }

    /// Creates an empty buffer that counts but keeps no audio. After running dry it waits `jitter_buffer` samples before it plays
    /// again, as a receiver does that knows audio arrives in real time; 0 plays at once.
    pub fn counting(jitter_buffer: u64) -> Self {
        Self { jitter_buffer, ..Self::default() }
    }

    /// Appends audio that arrived at `now`.
    pub fn media(&mut self, now: Sample, ulaw: &[u8]) -> Result<(), Discarded> {
        self.play_until(now);
        if (self.waiting.len() + ulaw.len()) as u64 > BUFFER_SAMPLES_MAX {
            return Err(Discarded);
        }
        if self.waiting.is_empty() && self.jitter_buffer > 0 {
            self.starts_at = Some(now + self.jitter_buffer);
        }
        self.waiting.extend(ulaw);
        Ok(())
    }

    /// Takes a mark that arrived at `now`. It comes back from [`Playout::due`].
    pub fn mark(&mut self, now: Sample, name: impl Into<String>) {
        self.play_until(now);
        self.marks.push_back((self.end(), name.into()));
    }

    /// Drops all waiting audio and returns every pending mark; those already due count as played.
    pub fn clear(&mut self, now: Sample) -> Vec<Echo> {
        let mut echoes = self.due(now);
        self.cleared += self.waiting.len() as u64;
        self.waiting.clear();
        self.starts_at = None;
        echoes.extend(self.marks.drain(..).map(|(_, name)| Echo { at: now, name, played: false }));
        echoes
    }

    /// Plays up to `now` and returns the marks that have become due, in order.
    pub fn due(&mut self, now: Sample) -> Vec<Echo> {
        self.play_until(now);
        let mut echoes = Vec::new();
        while self.marks.front().is_some_and(|&(due, _)| due <= now) {
            let (at, name) = self.marks.pop_front().expect("front was looked at in the condition");
            echoes.push(Echo { at, name, played: true });
        }
        echoes
    }

    /// Returns when all waiting audio will have been played.
    pub fn end(&self) -> Sample {
        self.starts_at.unwrap_or(self.cursor).max(self.cursor) + self.waiting.len() as u64
    }

    /// Returns when the next mark will be due.
    pub fn next_due(&self) -> Option<Sample> {
        self.marks.front().map(|(due, _)| *due)
    }

    /// Returns the names of marks that have not come back; on a hang-up they never do.
    pub fn pending_marks(&self) -> Vec<String> {
        self.marks.iter().map(|(_, name)| name.clone()).collect()
    }

    /// Returns every stretch of playback so far.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Returns the audible gaps: dry spells inside speech, no longer than [`GAP_SAMPLES_MAX`].
    pub fn gaps(&self) -> Vec<Span> {
        self.spans
            .windows(2)
            .map(|pair| Span { from: pair[0].to, to: pair[1].from })
            .filter(|gap| gap.to - gap.from <= GAP_SAMPLES_MAX)
            .collect()
    }

    /// Returns how many samples were dropped by `clear`.
    pub fn cleared(&self) -> u64 {
        self.cleared
    }

    /// Returns what the caller heard from the start of the stream, sample by sample, silence included.
    pub fn heard(&self) -> &[u8] {
        self.heard.as_deref().unwrap_or_default()
    }

    fn play_until(&mut self, now: Sample) {
        debug_assert!(now >= self.cursor, "time runs backwards: {now} after {}", self.cursor);
        if let Some(start) = self.starts_at {
            let silent_until = start.min(now);
            self.be_silent_until(silent_until);
            if now < start {
                return;
            }
            self.starts_at = None;
        }
        let played = (now.saturating_sub(self.cursor)).min(self.waiting.len() as u64);
        if played > 0 {
            let to = self.cursor + played;
            match self.spans.last_mut() {
                Some(span) if span.to == self.cursor => span.to = to,
                _ => self.spans.push(Span { from: self.cursor, to }),
            }
            let audio = self.waiting.drain(..played as usize);
            match &mut self.heard {
                Some(heard) => heard.extend(audio),
                None => drop(audio),
            }
            self.cursor = to;
        }
        self.be_silent_until(now);
    }

    fn be_silent_until(&mut self, until: Sample) {
        let silent = until.saturating_sub(self.cursor);
        if let Some(heard) = &mut self.heard {
            heard.resize(heard.len() + silent as usize, SILENCE);
        }
        self.cursor += silent;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const GOLDEN: &str =
        include_str!("../../../../tests/fixtures/twilio/golden_playout_cases.json");

    #[test]
    fn golden_cases_give_the_documented_answers_in_order() {
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let (echoes, unechoed) = play(case["input"].as_array().unwrap());
            let mut echoes = echoes.into_iter();
            for expected in case["expect"].as_array().unwrap() {
                if expected["event"] == "stop" {
                    let names: Vec<&str> = expected["unechoed_marks"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|n| n.as_str().unwrap())
                        .collect();
                    assert_eq!(unechoed, names, "{}", case["id"]);
                    continue;
                }
                let echo =
                    echoes.next().unwrap_or_else(|| panic!("{}: a mark is missing", case["id"]));
                assert_eq!(
                    echo.at as f64 / 8.0,
                    expected["t_ms"].as_f64().unwrap(),
                    "{}",
                    case["id"]
                );
                assert_eq!(echo.name, expected["name"].as_str().unwrap());
                assert_eq!(echo.played, expected["played"].as_bool().unwrap());
            }
            assert_eq!(echoes.next(), None, "{}: a mark too many", case["id"]);
        }
    }

    #[test]
    fn mark_with_nothing_waiting_comes_back_at_once() {
        let mut playout = Playout::recording();
        playout.mark(80, "now");
        assert_eq!(playout.due(80), [Echo { at: 80, name: "now".into(), played: true }]);
    }

    #[test]
    fn ten_minutes_are_kept_and_one_byte_more_is_discarded() {
        let mut playout = Playout::counting(0);
        playout.media(0, &vec![0; BUFFER_SAMPLES_MAX as usize]).unwrap();
        assert_eq!(playout.media(0, &[0]), Err(Discarded));
        assert_eq!(playout.media(1, &[0]), Ok(()));
    }

    #[test]
    fn a_short_dry_spell_is_a_gap_and_a_long_one_is_a_pause() {
        let mut playout = Playout::recording();
        playout.media(0, &[1; 160]).unwrap();
        playout.media(200, &[2; 160]).unwrap();
        playout.media(200 + 160 + GAP_SAMPLES_MAX + 1, &[3; 160]).unwrap();
        playout.due(10_000);
        assert_eq!(playout.gaps(), [Span { from: 160, to: 200 }]);
        assert_eq!(playout.heard()[159..201], [&[1][..], &[SILENCE; 40], &[2]].concat());
        assert_eq!(playout.heard().len(), 10_000);
    }

    #[test]
    fn a_jitter_buffer_hides_lateness_up_to_its_size() {
        let mut playout = Playout::counting(320);
        for arrival in [0, 460, 460, 480] {
            playout.media(arrival, &[1; 160]).unwrap();
        }
        playout.due(2000);
        assert_eq!(playout.gaps(), []);
        assert_eq!(playout.spans(), [Span { from: 320, to: 960 }]);
    }

    proptest::proptest! {
        #[test]
        fn every_byte_is_heard_waiting_or_cleared_and_every_mark_comes_back_once(
            steps in proptest::collection::vec((0u64..2000, 0usize..3, 1usize..4000), 1..60)
        ) {
            let mut playout = Playout::recording();
            let (mut now, mut sent, mut marks, mut echoes) = (0, 0u64, 0usize, 0usize);
            for (wait, kind, size) in steps {
                now += wait;
                echoes += playout.due(now).len();
                match kind {
                    0 => { playout.media(now, &vec![7; size]).unwrap(); sent += size as u64; }
                    1 => { playout.mark(now, "m"); marks += 1; }
                    _ => echoes += playout.clear(now).len(),
                }
            }
            now = playout.end().max(now);
            echoes += playout.due(now).len();
            let heard = playout.heard().iter().filter(|&&b| b == 7).count() as u64;
            proptest::prop_assert_eq!(heard + playout.cleared(), sent);
            proptest::prop_assert_eq!(echoes, marks);
            proptest::prop_assert_eq!(playout.heard().len() as u64, now);
        }
    }

    fn play(input: &[Value]) -> (Vec<Echo>, Vec<String>) {
        let mut playout = Playout::recording();
        let mut echoes = Vec::new();
        for step in input {
            let now = step["t_ms"].as_u64().unwrap() * 8;
            echoes.extend(playout.due(now));
            match step["event"].as_str().unwrap() {
                "media" => {
                    playout.media(now, &vec![0; step["bytes"].as_u64().unwrap() as usize]).unwrap()
                }
                "mark" => playout.mark(now, step["name"].as_str().unwrap()),
                "clear" => echoes.extend(playout.clear(now)),
                "hangup" => return (echoes, playout.pending_marks()),
                other => panic!("unknown step {other}"),
            }
        }
        let end = playout.end();
        echoes.extend(playout.due(end));
        (echoes, playout.pending_marks())
    }
}
