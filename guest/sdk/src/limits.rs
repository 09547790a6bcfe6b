//! Every bound of the SDK, with unit and reason. What happens at a bound stands beside it.

/// Lines kept per call of what was said, told and asked of tools; the oldest goes first. An hour of talk
/// has some hundred turns, but a new session is told only the last ones.
pub const TURNS_MAX: usize = 64;
/// Bytes of text kept of one transcript line; the rest is cut at a character. A spoken minute is
/// about 1,000 bytes.
pub const TURN_BYTES_MAX: usize = 2_048;
/// Bytes kept of one tool's output for a new session; the rest is cut at a character. The session that
/// called the tool gets four times as much.
pub const TOOL_TOLD_BYTES_MAX: usize = 4 * 1_024;
/// Bytes of all lines together; the oldest go first.
pub const TURNS_BYTES_MAX: usize = 16 * 1_024;
/// Items whose audio may be queued at once; more are played but no longer followed one by one.
/// A model answers with one or two.
pub const ITEMS_MAX: usize = 32;
/// Response ids remembered as dead. Late audio belongs to the last one or two.
pub const DEAD_RESPONSES_MAX: usize = 8;
/// Items of dead responses that wait to be truncated to nothing.
pub const UNHEARD_MAX: usize = 16;
/// Tool calls under way at once; one more is answered with an error text.
pub const TOOLS_OPEN_MAX: usize = 16;
/// Call ids remembered so that none is answered twice; the oldest goes first.
pub const TOOLS_SEEN_MAX: usize = 64;
/// Bytes of a tool's output that reach the model; the rest is cut. 16 KiB are about 4,000 tokens.
pub const TOOL_OUTPUT_BYTES_MAX: usize = 16 * 1_024;
/// Parameters of a session left out because the server refused them; then only the least is asked for.
pub const PARAMETERS_DROPPED_MAX: usize = 6;
/// Bytes of an id this side accepts; the server's are at most 64, ours 32.
pub const ID_BYTES_MAX: usize = 128;
/// Bytes of a saved state that `load` looks at. A real one is under 32 KiB.
pub const STATE_BYTES_MAX: usize = 256 * 1_024;

/// Milliseconds the server gets to start a response by itself after the caller stopped speaking,
/// before a waiting `response.create` goes out anyway.
pub const OWN_RESPONSE_WAIT_MS: u64 = 3_000;
/// Milliseconds a `response.create` may stay without `response.created` or `error`.
pub const CREATE_WAIT_MS: u64 = 10_000;
/// Milliseconds before a failed response is tried once more; most failures are rate limits.
pub const RETRY_WAIT_MS: u64 = 400;
/// Milliseconds after an error that names nothing for the `session.update` under way to be confirmed all
/// the same; then the error is taken to be about it. Asked again twice, the caller waits 1.2 s.
pub const SUSPECT_WAIT_MS: u64 = 600;
/// Milliseconds a spoken farewell may take before the line is cut anyway.
pub const FAREWELL_MS_MAX: u32 = 20_000;
/// Milliseconds a transfer waits for the announcement before it to be heard.
pub const TRANSFER_WAIT_MS: u64 = 20_000;
/// Milliseconds on top of a tool's own deadline before it is given up here.
pub const TOOL_GRACE_MS: u64 = 2_000;

/// Timer and HTTP tokens from here up are the SDK's; a tenant's own lie below.
pub const TOKEN_RESERVED: u64 = 1 << 63;
