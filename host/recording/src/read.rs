//! Bytes to entries. The bytes are anybody's: whatever they are, the answer is entries or a sentence.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chunks::{CHUNK_BYTES_MAX, checksum};
use crate::entry::{End, Entry, Why};
use crate::redaction::Redaction;
use crate::{FORMAT_VERSION, MAGIC, kind};

/// What a recording says of itself, as JSON in its header. Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The carrier's id of the call.
    pub call_id: String,
    /// Whose call it was.
    pub tenant: String,
    /// When the recording began, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// The version of the gateway that wrote it.
    pub gateway: String,
    /// What was left out.
    #[serde(default)]
    pub redaction: Redaction,
}

/// A recording, read as far as it is whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// What it says of itself.
    pub header: Header,
    /// What was kept, in its order.
    pub entries: Vec<Entry<'static>>,
    /// What stands where the entries end.
    pub tail: Tail,
}

/// What stands where a recording's entries end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// The writer's own end.
    Ended(End),
    /// The file stops in, or right before, a chunk: the writer was killed, or is still writing.
    CutOff {
        /// The first byte that belongs to nothing whole.
        at: usize,
    },
    /// Bytes that the writer did not write so.
    Damaged {
        /// Where the damaged chunk begins.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Tail {
    /// Whether everything of the call is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Ended(End { why: Why::CallOver(_), .. }))
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(End { now, why }) => {
                write!(f, "ends at {:.3} s: {why}", *now as f64 / 1_000.0)
            }
            Self::CutOff { at } => write!(
                f,
                "is cut off at byte {at}: the gateway was killed, or is still writing; what came before is whole"
            ),
            Self::Damaged { at, what } => write!(
                f,
                "is damaged in the chunk that begins at byte {at} ({what}); what came before is whole"
            ),
        }
    }
}

/// Why bytes can not be read as a recording at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Something else.
    #[error("this is no recording of a call: it does not begin as one")]
    NotARecording,
    /// A later gateway's.
    #[error(
        "this recording has format version {found}; this program reads version {FORMAT_VERSION}: use the gateway that wrote it, or a later one"
    )]
    Version {
        /// The version it says.
        found: u16,
    },
    /// It ends within its header, before anything of the call.
    #[error("this recording ends within its header: nothing of the call was written yet")]
    NoHeader,
    /// The header's bytes are not what was written.
    #[error("this recording's header is damaged ({0})")]
    DamagedHeader(String),
}

impl Header {
    /// The bytes a recording begins with.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("a struct of strings and numbers is JSON");
        let length = u32::try_from(json.len()).expect("a call's id and a tenant's name are short");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(crc32fast::hash(&json).to_le_bytes());
        bytes.extend(json);
        bytes
    }

    /// Reads a recording's beginning; returns how long it is, too.
    ///
    /// # Errors
    ///
    /// See [`Unreadable`].
    pub fn read(file: &[u8]) -> Result<(Self, usize), Unreadable> {
        let mut rest = file;
        let begins = file.len().min(MAGIC.len());
        if file[..begins] != MAGIC[..begins] {
            return Err(Unreadable::NotARecording);
        }
        take::<8>(&mut rest).ok_or(Unreadable::NoHeader)?;
        let found = u16::from_le_bytes(take(&mut rest).ok_or(Unreadable::NoHeader)?);
        if found != FORMAT_VERSION {
            return Err(Unreadable::Version { found });
        }
        let length = u32::from_le_bytes(take(&mut rest).ok_or(Unreadable::NoHeader)?) as usize;
        let sum = u32::from_le_bytes(take(&mut rest).ok_or(Unreadable::NoHeader)?);
        if length > HEADER_BYTES_MAX {
            return Err(Unreadable::DamagedHeader("its length is out of all reason".into()));
        }
        let json = rest.get(..length).ok_or(Unreadable::NoHeader)?;
        if crc32fast::hash(json) != sum {
            return Err(Unreadable::DamagedHeader("its checksum does not match".into()));
        }
        let header = serde_json::from_slice(json)
            .map_err(|error| Unreadable::DamagedHeader(error.to_string()))?;
        Ok((header, file.len() - rest.len() + length))
    }
}

/// Bytes of a header's JSON: 64 KiB, hundreds of times what is written.
const HEADER_BYTES_MAX: usize = 64 << 10;

impl Recording {
    /// Reads a whole file, as far as it is whole. What stands after that is its [`Tail`].
    ///
    /// # Errors
    ///
    /// Not even its header can be read.
    pub fn read(file: &[u8]) -> Result<Self, Unreadable> {
        let (header, mut at) = Header::read(file)?;
        let mut entries = Vec::new();
        let tail = loop {
            match chunk(&file[at..]) {
                Ok(Whole { kind: kind::ENTRIES, raw, length }) => {
                    match all_entries(&raw) {
                        Some(more) => entries.extend(more),
                        None => break Tail::Damaged { at, what: "its entries are not entries" },
                    }
                    at += length;
                }
                Ok(Whole { kind: kind::END, raw, .. }) => match postcard::from_bytes(&raw) {
                    Ok(end) => break Tail::Ended(end),
                    Err(_) => break Tail::Damaged { at, what: "its end is not an end" },
                },
                // A later version may say more about a call than this one understands.
                Ok(Whole { length, .. }) => at += length,
                Err(None) => break Tail::CutOff { at },
                Err(Some(what)) => break Tail::Damaged { at, what },
            }
        };
        Ok(Self { header, entries, tail })
    }
}

struct Whole {
    kind: u8,
    raw: Vec<u8>,
    length: usize,
}

/// The chunk at the beginning of these bytes; without a reason when they are too few for one.
fn chunk(bytes: &[u8]) -> Result<Whole, Option<&'static str>> {
    let mut rest = bytes;
    let head: [u8; 12] = take(&mut rest).ok_or(None)?;
    let sum = u32::from_le_bytes(take(&mut rest).ok_or(None)?);
    let [payload_length, of_kind, raw_length] = [0, 4, 8]
        .map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    let (payload_length, raw_length) = (payload_length as usize, raw_length as usize);
    // LZ4 makes incompressible bytes longer, by less than this.
    if raw_length > CHUNK_BYTES_MAX || payload_length > CHUNK_BYTES_MAX + CHUNK_BYTES_MAX / 64 {
        return Err(Some("its length is out of all reason"));
    }
    let payload = rest.get(..payload_length).ok_or(None)?;
    if checksum(&head, payload) != sum {
        return Err(Some("its checksum does not match"));
    }
    let raw = lz4_flex::block::decompress(payload, raw_length)
        .map_err(|_| Some("it does not decompress"))?;
    if raw.len() != raw_length {
        return Err(Some("it decompresses to another length"));
    }
    Ok(Whole { kind: of_kind.to_le_bytes()[0], raw, length: 16 + payload_length })
}

fn all_entries(raw: &[u8]) -> Option<Vec<Entry<'static>>> {
    let (mut entries, mut rest) = (Vec::new(), raw);
    while !rest.is_empty() {
        let (entry, left) = postcard::take_from_bytes(rest).ok()?;
        entries.push(entry);
        rest = left;
    }
    Some(entries)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use cordboard_call::contract::{Action, Event, ModelAudio, Play};

    use super::*;
    use crate::entry::Bytes;

    /// Behind the checksum: bytes that somebody meant to be there.
    #[test]
    fn no_entry_however_hostile_is_more_than_no_entry() {
        let audio = ModelAudio {
            response: "r".into(),
            item: "i".into(),
            content_index: 1,
            data: vec![1; 20],
        };
        let play = Play { item: "i".into(), audio: vec![2; 20], last: true };
        let entries = [
            Entry::Activated { instance: 3 },
            Entry::Asked { instance: 0, now: 300, event: Cow::Owned(Event::ModelAudio(audio)) },
            Entry::Answered {
                instance: 0,
                answer: Ok(Cow::Owned(vec![Action::Play(play), Action::Flush])),
            },
            Entry::Saved {
                instance: 0,
                now: 300,
                answer: Ok(Some(Bytes::Kept(Cow::Owned(vec![9; 9])))),
            },
        ];
        let raw: Vec<u8> = entries
            .iter()
            .flat_map(|entry| postcard::to_extend(entry, Vec::new()).expect("it has a form"))
            .collect();
        assert_eq!(all_entries(&raw).as_deref(), Some(entries.as_slice()));
        for at in 0..raw.len() {
            for byte in 0..=u8::MAX {
                let mut hostile = raw.clone();
                hostile[at] = byte;
                // Any answer will do; a panic or a request for all memory will not.
                let _ = all_entries(&hostile);
                hostile.splice(at..=at, [byte, 0xff, 0xff, 0xff, 0xff, 0x0f]);
                let _ = all_entries(&hostile);
            }
            let whole = all_entries(&raw[..at]);
            assert!(whole.is_none_or(|read| entries.starts_with(&read)), "{at}");
        }
    }
}
