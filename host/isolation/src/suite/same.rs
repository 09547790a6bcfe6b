//! Whether two plays of one conversation came out the same.

use cordboard_call::contract::{AudioFormat, Encoding};
use cordboard_recording::AudioFormats;
use cordboard_recording::compare::compare;

use super::failed;
use crate::driver::Asked;
use crate::report::{Finding, Outcome};
use crate::runner::Played;

/// What was different the second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Nothing.
    Again,
    /// Another instance answered in between.
    Beside,
    /// The instance was replaced now and then.
    Swapped,
}

/// Compares two plays, event by event and byte by byte.
pub(super) fn outcome(base: &Played, other: &Played, why: Why) -> Outcome {
    if let Outcome::Failed(difference) = of_answers(&base.asked, &other.asked, why) {
        return Outcome::Failed(difference);
    }
    if let Some(failure) = &other.failure {
        return failed(failure, format!("at {} ms, {}", failure.at_ms, why.circumstance()));
    }
    if base.asked.len() != other.asked.len() {
        let (one, two) = (base.asked.len(), other.asked.len());
        return Outcome::Failed(Box::new(Finding {
            title: why.title().to_owned(),
            place: "at the end".to_owned(),
            details: vec![
                ("expected", format!("{one} events")),
                ("but", format!("there were {two}")),
            ],
            hint: Some(why.hint().to_owned()),
        }));
    }
    Outcome::Passed
}

/// Compares two lists of answers as far as both go.
pub(super) fn of_answers(base: &[Asked], other: &[Asked], why: Why) -> Outcome {
    let mut formats = AudioFormats::new(AudioFormat {
        encoding: Encoding::Mulaw,
        sample_rate: 8_000,
        channels: 1,
    });
    for (nth, (one, two)) in base.iter().zip(other).enumerate() {
        if one != two {
            return differs(nth, one, two, &formats, why);
        }
        formats.follow(&one.actions);
    }
    Outcome::Passed
}

fn differs(nth: usize, one: &Asked, two: &Asked, formats: &AudioFormats, why: Why) -> Outcome {
    let place = format!("at {} ms, event {}: `{}`", one.now, nth + 1, one.event.kind());
    let table = match one.actions == two.actions {
        true => "the event itself differs: an answer before it did in time or order".to_owned(),
        false => compare(&one.actions, &two.actions, formats).table(["first", why.column()]),
    };
    Outcome::Failed(Box::new(Finding {
        title: why.title().to_owned(),
        place,
        details: vec![("answers", table)],
        hint: Some(why.hint().to_owned()),
    }))
}

impl Why {
    fn title(self) -> &'static str {
        match self {
            Self::Again => "the same events gave other actions the second time",
            Self::Beside => "another call in between changed what came out",
            Self::Swapped => "a swap changed what came out",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::Beside => "beside another",
            Self::Swapped => "swapped",
        }
    }

    fn circumstance(self) -> &'static str {
        match self {
            Self::Again => "when the conversation was played again",
            Self::Beside => "beside another call",
            Self::Swapped => "with swaps in between",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Again | Self::Beside => {
                "the clock, randomness and memory of an instance are the same each time, so this should be \
                 impossible; please report it with the component"
            }
            Self::Swapped => {
                "something is not in `save`, or `load` does not take it up: every counter, buffer and filter state \
                 that later answers depend on; also the state of random numbers and the order of hash maps, which \
                 are another in every instance"
            }
        }
    }
}
