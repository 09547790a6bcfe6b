//! One thing that passed the boundary of an instance.
//!
//! **The order of fields and variants is the format.** See `FORMAT_VERSION` before touching it.

use std::borrow::Cow;
use std::fmt;

use cordboard_call::contract::{Action, CallInfo, Ended, Event, Millis};
use serde::{Deserialize, Serialize};

/// One thing that passed the boundary of an instance, or was said about it.
///
/// Instances are numbered from 0 in the order they were started. Times are milliseconds since the call began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry<'a> {
    /// An instance was started, or did not survive its start.
    Started {
        /// Its number.
        instance: u64,
        /// The version's name in its tenant's registry.
        version: Cow<'a, str>,
        /// SHA-256 of its component.
        component: [u8; 32],
        /// Where its random numbers come from.
        seed: [u8; 32],
        /// What its wall clock showed as the call began, in milliseconds since 1970.
        began_unix_ms: u64,
        /// What it was allowed.
        bounds: Bounds,
        /// Why it did not start.
        failure: Option<Failure>,
    },
    /// It was handed a predecessor's state.
    Loaded {
        /// Which instance.
        instance: u64,
        /// When.
        now: Millis,
        /// What it was told of the call.
        info: Cow<'a, CallInfo>,
        /// The state.
        state: Bytes<'a>,
        /// Whether it took it, refused it in its own words, or failed.
        answer: Result<Result<(), String>, Failure>,
    },
    /// From here on its answers are the call's, and no other instance's.
    Activated {
        /// Which instance.
        instance: u64,
    },
    /// It was told an event. The next [`Entry::Answered`] of the same instance is its answer.
    Asked {
        /// Which instance.
        instance: u64,
        /// When.
        now: Millis,
        /// What happened.
        event: Cow<'a, Event>,
    },
    /// It answered the event it was told last.
    Answered {
        /// Which instance.
        instance: u64,
        /// What it answered, or how it failed.
        answer: Result<Cow<'a, [Action]>, Failure>,
    },
    /// It was asked for its state.
    Saved {
        /// Which instance.
        instance: u64,
        /// When.
        now: Millis,
        /// The state; none from a tenant without `handover`.
        answer: Result<Option<Bytes<'a>>, Failure>,
    },
}

/// What one instance was allowed: what its tenant could notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// CPU time for one event, in milliseconds.
    pub event_cpu_ms: u64,
    /// CPU time to start, in milliseconds.
    pub start_cpu_ms: u64,
    /// CPU time for `save` and for `load`, in milliseconds.
    pub handover_cpu_ms: u64,
    /// All its memories together, in bytes.
    pub memory_bytes: u64,
    /// Actions in one answer.
    pub actions_max: u64,
    /// Bytes in one answer.
    pub answer_bytes_max: u64,
}

/// A state, unless it was withheld.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bytes<'a> {
    /// As it was.
    Kept(#[serde(with = "byte_string")] Cow<'a, [u8]>),
    /// Left out, for what it may quote; so many bytes.
    Withheld(u64),
}

/// Written from a borrow and read into memory of its own.
mod byte_string {
    use std::borrow::Cow;

    use serde::{Deserializer, Serializer};

    #[expect(clippy::ptr_arg, reason = "serde hands over the field as it is")]
    pub(super) fn serialize<S: Serializer>(
        bytes: &Cow<'_, [u8]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(bytes, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Cow<'static, [u8]>, D::Error> {
        serde_bytes::deserialize::<Vec<u8>, D>(from).map(Cow::Owned)
    }
}

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(bytes) => write!(f, "Kept({} bytes)", bytes.len()),
            Self::Withheld(length) => write!(f, "Withheld({length} bytes)"),
        }
    }
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure, in the gateway's one word for it: `trap`, `over_budget`.
    pub kind: String,
    /// The gateway's sentence.
    pub message: String,
}

impl Failure {
    /// Whether the machine had a part in it, as it has in how long something takes.
    #[must_use]
    pub fn depends_on_the_machine(&self) -> bool {
        ["over_budget", "over_share", "no_room", "host", "gone"].contains(&self.kind.as_str())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// How a recording ended that was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How long the call was at that time.
    pub now: Millis,
    /// Why nothing follows.
    pub why: Why,
}

/// Why a recording ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// The call was over. Everything is there.
    CallOver(Ended),
    /// The disk was slower than the calls; the call went on.
    SlowDisk,
    /// The recording had reached the size it may have; the call went on.
    Full,
    /// Whoever ran the call was gone before it was over.
    Abandoned,
    /// The file could not be written to any more; the call went on.
    DiskFailed,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CallOver(ended) => write!(f, "the call was over ({})", ended.kind()),
            Self::SlowDisk => f.write_str("the disk was too slow; the call went on"),
            Self::Full => {
                f.write_str("the recording had reached the size it may have; the call went on")
            }
            Self::Abandoned => f.write_str("the gateway gave the call up"),
            Self::DiskFailed => f.write_str("the file could not be written to; the call went on"),
        }
    }
}

impl Entry<'_> {
    /// Which instance it is about.
    #[must_use]
    pub fn instance(&self) -> u64 {
        match self {
            Self::Started { instance, .. }
            | Self::Loaded { instance, .. }
            | Self::Activated { instance }
            | Self::Asked { instance, .. }
            | Self::Answered { instance, .. }
            | Self::Saved { instance, .. } => *instance,
        }
    }

    /// When it was, for those that say so.
    #[must_use]
    pub fn now(&self) -> Option<Millis> {
        match self {
            Self::Loaded { now, .. } | Self::Asked { now, .. } | Self::Saved { now, .. } => {
                Some(*now)
            }
            Self::Started { .. } | Self::Activated { .. } | Self::Answered { .. } => None,
        }
    }
}
