//! Twilio: Media Streams messages, webhook signatures, TwiML, the REST requests of a call.

mod emit;
mod parse;
mod rest;
mod signature;
mod stream;
mod twiml;
mod webhook;

pub use emit::{clear, mark, media};
pub use rest::{
    Outcome, RestError, RestRequest, classify, hang_up_call, redirect_call, update_call,
};
pub use signature::{Algorithm, SignatureError, SigningKey, verify, verify_body};
pub use stream::{Encoding, FromCarrier, Malformed, MediaFormat, Start, Track};
pub use twiml::{
    ConnectStream, Rejection, Transport, TwimlError, connect_stream, dial, hang_up,
    play_digits_then_connect, reject, say_and_hang_up,
};
pub use webhook::{CallDirection, CallStatus, StreamEvent, StreamStatus, Webhook, WebhookError};

/// Whether this may stand in a path or a log as an id of the carrier: letters, digits, `-` and `_`,
/// at most [`crate::limits::ID_CHARS_MAX`] of them. Twilio's have the form `CA` and 32 digits; the
/// exact form is left open, because a simulator's id harms nobody.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= crate::limits::ID_CHARS_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
