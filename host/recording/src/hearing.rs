//! What was to be heard in a call: both voices as samples, and where each item of the agent's was.
//!
//! **One rule: what was carried out sounds as the carrier plays it.** A `play` is heard when everything before it was:
//! it begins at the end of what is queued, or at once. A `flush` silences what was not heard yet. The gateway's own
//! apology, and a `play` that it refused, are not told apart from this; a refusal stands in the timeline.

use cordboard_call::contract::{Action, AudioFormat, Encoding, Event, Millis};

use crate::compare::{alaw, mulaw};
use crate::instance_trace::Turn;

/// Both voices of a call, from its beginning, at the carrier's rate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hearing {
    /// Samples per second.
    pub sample_rate: u32,
    /// What the caller said.
    pub caller: Vec<i16>,
    /// What the caller was given to hear.
    pub agent: Vec<i16>,
    /// The agent's items in playing order.
    pub items: Vec<Item>,
}

/// One item of the agent's, as it was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name: the model's item, or the tenant's own.
    pub name: String,
    /// When it began to be heard, in milliseconds of the call.
    pub from: Millis,
    /// When it ended.
    pub to: Millis,
    /// A flush cut it off.
    pub cut: bool,
}

/// How late a caller's frame may be before its lateness counts as silence: 100 ms. Frames jitter by less.
const LATE: Millis = 100;

/// Samples of one voice that are made room for: four hours at 8 kHz. What is later in a call is left out.
const SAMPLES_MAX: usize = 4 * 3_600 * 8_000;

impl Hearing {
    /// Listens to a call again.
    #[must_use]
    pub fn of(turns: &[Turn<'_>]) -> Self {
        let mut hearing = Self::default();
        let mut format = AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 };
        for turn in turns {
            match turn.event {
                Event::Started(info) => format = info.format,
                Event::CallerAudio(audio) => {
                    hearing.sample_rate = format.sample_rate;
                    hearing.caller_says(turn.now, &samples(audio, format.encoding));
                }
                _ => {}
            }
            hearing.sample_rate = format.sample_rate.max(1);
            for action in turn.actions {
                match action {
                    Action::Play(play) => {
                        let audio = samples(&play.audio, format.encoding);
                        hearing.agent_says(turn.now, &play.item, &audio);
                    }
                    Action::Flush => hearing.flush(turn.now),
                    _ => {}
                }
            }
        }
        hearing
    }

    fn caller_says(&mut self, now: Millis, audio: &[i16]) {
        let begun = self.position(now).saturating_sub(audio.len());
        if begun > self.caller.len() + self.position(LATE) {
            extend_to(&mut self.caller, begun);
        }
        append(&mut self.caller, audio);
    }

    fn agent_says(&mut self, now: Millis, item: &str, audio: &[i16]) {
        if audio.is_empty() {
            return;
        }
        let now = self.position(now);
        if now > self.agent.len() {
            extend_to(&mut self.agent, now);
        }
        let from = self.millis(self.agent.len());
        append(&mut self.agent, audio);
        let to = self.millis(self.agent.len());
        match self.items.last_mut() {
            Some(last) if last.name == item && !last.cut => last.to = to,
            _ => self.items.push(Item { name: item.to_owned(), from, to, cut: false }),
        }
    }

    fn flush(&mut self, now: Millis) {
        let kept = self.position(now);
        if kept >= self.agent.len() {
            return;
        }
        self.agent.truncate(kept);
        self.items.retain(|item| item.from < now);
        for item in self.items.iter_mut().filter(|item| item.to > now) {
            (item.to, item.cut) = (now, true);
        }
    }

    fn position(&self, at: Millis) -> usize {
        let position = at.saturating_mul(u64::from(self.sample_rate)) / 1_000;
        usize::try_from(position).unwrap_or(usize::MAX).min(SAMPLES_MAX)
    }

    fn millis(&self, position: usize) -> Millis {
        position as u64 * 1_000 / u64::from(self.sample_rate.max(1))
    }
}

fn append(to: &mut Vec<i16>, audio: &[i16]) {
    let room = SAMPLES_MAX.saturating_sub(to.len());
    to.extend(&audio[..audio.len().min(room)]);
}

fn extend_to(samples: &mut Vec<i16>, length: usize) {
    samples.resize(length.min(SAMPLES_MAX).max(samples.len()), 0);
}

fn samples(bytes: &[u8], encoding: Encoding) -> Vec<i16> {
    match encoding {
        Encoding::Mulaw => bytes.iter().map(|&byte| mulaw(byte)).collect(),
        Encoding::Alaw => bytes.iter().map(|&byte| alaw(byte)).collect(),
        Encoding::Pcm16 => {
            let pairs = bytes.chunks_exact(2);
            pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
        }
    }
}
