//! The small words of the store, each parsed once into a type that cannot be wrong.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use toml::value::Datetime;

/// The name of a version of one tenant: `v1`, `v2` and so on, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionName(u32);

impl VersionName {
    /// Names the version that was staged as the `number`th, from 1; 0 is no version.
    #[must_use]
    pub fn nth(number: u32) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// As which version of its tenant it was staged, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl FromStr for VersionName {
    type Err = NotAVersionName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix('v').filter(|digits| {
            // One name, one spelling: the name is a folder as well.
            !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        number.and_then(|digits| digits.parse().ok()).map(Self).ok_or(NotAVersionName)
    }
}

/// The text is not `v` and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version's name is `v` and a number, for example v3")]
pub struct NotAVersionName;

/// The SHA-256 of some bytes, a component's for instance; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest that these bytes are, and not that of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first twelve hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        let mut digits = self.to_string();
        digits.truncate(12);
        digits
    }

    /// The digest itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(NotADigest);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or(NotADigest);
            *byte = (digit(0)? * 16 + digit(1)?) as u8;
        }
        Ok(Self(bytes))
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 is 64 hexadecimal digits, as `sha256sum` prints it")]
pub struct NotADigest;

/// A moment of civil time, to the second, in UTC; written as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When(Datetime);

impl When {
    /// Returns the moment `seconds` after 1970 began, the end of the year 9999 at the latest: a clock
    /// beyond it is broken, and only the note of it suffers.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Self {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let moment = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        let written = format!("{moment:.0}");
        Self(written.parse().expect("RFC 3339 is how TOML writes a moment"))
    }

    /// Takes a date with a time and an offset; anything less is not a moment.
    pub(super) fn from_toml(written: Datetime) -> Option<Self> {
        let whole = written.date.is_some() && written.time.is_some() && written.offset.is_some();
        whole.then_some(Self(written))
    }

    pub(super) fn to_toml(self) -> Datetime {
        self.0
    }
}

impl From<SystemTime> for When {
    /// A clock that stands before 1970 counts as 1970.
    fn from(time: SystemTime) -> Self {
        Self::from_unix(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A part of a tenant's new calls: 1 to 99 percent for a canary, up to all of them for a shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

impl Share {
    /// Takes whole percents from 1 to 99. None of the calls is "staged", all of them is "active".
    ///
    /// # Errors
    /// The number is outside of that.
    pub fn percent(percent: u8) -> Result<Self, NotAShare> {
        if (1..=99).contains(&percent) { Ok(Self(percent)) } else { Err(NotAShare) }
    }

    /// Takes whole percents from 1 to 100: a shadow answers nobody, so it may stand behind every call.
    ///
    /// # Errors
    /// The number is outside of that.
    pub fn of_shadow(percent: u8) -> Result<Self, NotAShadowsShare> {
        if (1..=100).contains(&percent) { Ok(Self(percent)) } else { Err(NotAShadowsShare) }
    }

    /// In percent.
    #[must_use]
    pub fn as_percent(self) -> u8 {
        self.0
    }

    /// Whether a call belongs to the share: always the same answer for one call and share, and a call
    /// that belongs to a share belongs to every larger one.
    #[must_use]
    pub fn takes(self, call_id: &str) -> bool {
        let hash = Digest::of(call_id.as_bytes());
        let first = hash.0.first_chunk().expect("a SHA-256 has eight bytes");
        u64::from_be_bytes(*first) % 100 < u64::from(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Share {
    type Err = NotAShare;

    /// Reads `10%` or `10`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%').unwrap_or(text);
        Self::percent(number.parse().map_err(|_| NotAShare)?)
    }
}

/// The number is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a canary's share is a whole number of percent from 1 to 99, for example 10%; \
     to give a version all new calls, activate it"
)]
pub struct NotAShare;

/// The number is not a share that a shadow may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a shadow's share is a whole number of percent from 1 to 100")]
pub struct NotAShadowsShare;

/// What a new active version means for calls that are running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// A call keeps the version it began with.
    #[default]
    Pin,
    /// A call moves to the new version, between two events.
    Migrate,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pin => "pin",
            Self::Migrate => "migrate",
        })
    }
}

impl FromStr for Policy {
    type Err = NotAPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pin" => Ok(Self::Pin),
            "migrate" => Ok(Self::Migrate),
            _ => Err(NotAPolicy),
        }
    }
}

/// The text is no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the policy for running calls is `pin` (each keeps its version) or `migrate` (they move)")]
pub struct NotAPolicy;
