//! Every bound of the wire in one place, with its unit and its reason.
//!
//! The bound on a whole message belongs to the socket that receives it; these apply to what is
//! inside one.

/// Decoded bytes in one media message from the carrier. Twilio sends 160; 64 KiB is eight seconds
/// of mu-law, far beyond any carrier's chunk and small enough to hold for every call.
pub const MEDIA_BYTES_MAX: usize = 64 * 1024;

/// Decoded bytes in one audio delta from the model: 87 s of PCM at 24 kHz. Deltas are of irregular
/// size and come in bursts, but no server was seen to send even 10 s in one.
pub const DELTA_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Characters kept of an unknown event's name, so that a log line stays a line.
pub const NAME_CHARS_MAX: usize = 64;

/// Characters in an id of the carrier. Twilio's have 34; other carriers' are UUIDs.
pub const ID_CHARS_MAX: usize = 64;

/// Custom parameters kept of a start message. Twilio's REST interface numbers them up to 99.
pub const PARAMETERS_MAX: usize = 99;

/// A `<Parameter>`'s name and value together stay below this many characters (Twilio).
pub const PARAMETER_CHARS_MAX: usize = 500;

/// A TwiML document stays below this many bytes (Twilio, error 11750).
pub const TWIML_BYTES_MAX: usize = 64 * 1000;

/// Characters of TwiML sent inside a REST request (Twilio).
pub const INLINE_TWIML_CHARS_MAX: usize = 4000;

/// Characters of one `<Say>` (Twilio).
pub const SAY_CHARS_MAX: usize = 4096;

/// Bytes in one client event. The server's own limit is 15 MiB for an append; nothing a tenant
/// sends comes near it.
pub const CLIENT_EVENT_BYTES_MAX: usize = 15 * 1024 * 1024;

/// Characters in a client event's `event_id` (OpenAI).
pub const EVENT_ID_CHARS_MAX: usize = 512;

/// Characters in an item id chosen by the client (OpenAI refuses longer ones).
pub const ITEM_ID_CHARS_MAX: usize = 32;

/// Items of the model that are remembered with their response, so that a late piece without a name
/// finds it: 16, as an answer has one or two. The oldest is forgotten.
pub const ITEMS_NAMED_MAX: usize = 16;

/// Turns of the caller whose transcript is awaited: 16. At the bound the oldest is forgotten.
pub const TRANSCRIPTS_AWAITED_MAX: usize = 16;
