//! What a call's tenants were told and answered: how it is kept, read and compared.
//!
//! **One rule: this crate touches bytes and values, never a file, a clock or a component.** The gateway
//! writes and the commands read; both hand their bytes in here.
//!
//! What is kept is the boundary of each *instance*, not of the call: that it started, with which component and seed;
//! what it loaded; each event and what it answered; each state it saved; and from when on its answers counted. An
//! instance depends on nothing else, so each can be run again by itself, and a call replays exactly however often
//! its version was swapped or its instance recovered in between.
//!
//! ```text
//! Entry --Chunks::push--> Chunk --pack--> bytes of a file --Recording::read--> Entry
//! ```
//!
//! The file's layout, byte by byte, is in this crate's README.

mod audio_formats;
mod chunks;
pub mod compare;
pub mod describe;
mod entry;
mod hearing;
mod instance_trace;
mod read;
mod redaction;
mod timeline;
mod transcript;

pub use audio_formats::AudioFormats;
pub use chunks::{CHUNK_BYTES_MAX, CHUNK_MS, Chunk, Chunks, pack_end};
pub use entry::{Bounds, Bytes, End, Entry, Failure, Why};
pub use hearing::{Hearing, Item};
pub use instance_trace::{InstanceTrace, Start, Step, Turn, instance_traces, turns};
pub use read::{Header, Recording, Tail, Unreadable};
pub use redaction::Redaction;
pub use timeline::{Moment, timeline};
pub use transcript::{Line, Speaker, Transcript};

/// The version of the format this crate writes, and the only one so far that it reads.
pub const FORMAT_VERSION: u16 = 1;

/// How a recording begins. Not text, so that a transfer that touches line ends shows.
const MAGIC: [u8; 8] = *b"\x89CBR\r\n\x1a\n";

/// Kinds of chunks.
mod kind {
    /// Entries, in their order.
    pub(crate) const ENTRIES: u8 = 1;
    /// The end; nothing follows.
    pub(crate) const END: u8 = 2;
}
