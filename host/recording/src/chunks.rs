//! Entries to bytes: collected for a second, compressed, framed.
//!
//! **One rule: a chunk stands alone.** Nothing in it refers to another, so a file that was cut anywhere opens
//! to its last whole chunk. Collecting is what the call pays, and is a copy of the bytes; compressing is for whoever writes.

use cordboard_call::contract::Millis;

use crate::entry::{End, Entry};
use crate::kind;

/// Milliseconds of call in one chunk, at most: what is lost when the process is killed.
pub const CHUNK_MS: Millis = 1_000;

/// Bytes of entries after which a chunk is closed early: 256 KiB, two seconds of the busiest call.
const CHUNK_BYTES: usize = 256 << 10;

/// Bytes of entries in one chunk that a reader makes room for: 16 MiB. The largest entry is an event of the
/// model, whose socket takes 4 MiB.
pub const CHUNK_BYTES_MAX: usize = 16 << 20;

/// The entries of one call, waiting to be written.
#[derive(Debug, Default)]
pub struct Chunks {
    open: Vec<u8>,
    since: Option<Millis>,
    closed: Vec<Chunk>,
    bytes: usize,
}

/// At most a second of entries, neither compressed nor framed yet.
#[derive(Debug)]
pub struct Chunk(Vec<u8>);

impl Chunks {
    /// Adds an entry; `now` is the time of the call.
    pub fn push(&mut self, now: Millis, entry: &Entry<'_>) {
        let since = *self.since.get_or_insert(now);
        if !self.open.is_empty() && (now >= since + CHUNK_MS || self.open.len() >= CHUNK_BYTES) {
            self.close();
            self.since = Some(now);
        }
        let before = self.open.len();
        self.open = encode(entry, std::mem::take(&mut self.open));
        self.bytes += self.open.len() - before;
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes what waits. What is said from now on begins another chunk.
    #[must_use]
    pub fn take(&mut self) -> Vec<Chunk> {
        self.close();
        self.since = None;
        self.bytes = 0;
        std::mem::take(&mut self.closed)
    }

    fn close(&mut self) {
        if self.open.is_empty() {
            return;
        }
        // The next one is likely to be as long.
        let next = Vec::with_capacity(self.open.len());
        self.closed.push(Chunk(std::mem::replace(&mut self.open, next)));
    }
}

impl Chunk {
    /// Appends the chunk as it stands in a file.
    pub fn pack(&self, file: &mut Vec<u8>) {
        frame(kind::ENTRIES, &self.0, file);
    }
}

/// Appends the chunk that says why nothing follows.
pub fn pack_end(end: &End, file: &mut Vec<u8>) {
    frame(kind::END, &encode(end, Vec::new()), file);
}

fn encode<T: serde::Serialize>(value: &T, into: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, into).expect("memory takes all, and no value here refuses")
}

/// See README.md: payload length, kind, raw length, checksum, payload.
fn frame(kind: u8, raw: &[u8], file: &mut Vec<u8>) {
    let payload = lz4_flex::block::compress(raw);
    let length = |bytes: &[u8]| {
        u32::try_from(bytes.len())
            .expect("a chunk is closed long before it has 4 GiB")
            .to_le_bytes()
    };
    let head = [length(&payload), [kind, 0, 0, 0], length(raw)];
    file.extend(head.as_flattened());
    file.extend(checksum(head.as_flattened(), &payload).to_le_bytes());
    file.extend(payload);
}

/// CRC-32 (IEEE) over a chunk's first twelve bytes and its payload.
pub(crate) fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(head);
    sum.update(payload);
    sum.finalize()
}
