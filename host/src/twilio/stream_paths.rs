//! Where the carrier finds a stream's socket and what goes with it.

use cordboard_wire::twilio::{ConnectStream, Transport};

use crate::config::PublicUrl;
use crate::shared::admissions::{Admission, Admissions};
use crate::shared::expiring_map::StreamToken;

/// The URLs of one promised stream.
pub(crate) struct StreamPaths {
    url: String,
    status_callback: String,
    action: String,
}

impl StreamPaths {
    /// The paths under this origin of the stream that brings this token.
    pub(crate) fn new(origin: &PublicUrl, token: &StreamToken) -> Self {
        Self {
            url: origin.ws(&format!("/media/{}", token.as_str())),
            status_callback: origin.http("/stream-status"),
            action: origin.http("/after-stream"),
        }
    }

    /// The TwiML verb for it, without parameters.
    pub(crate) fn connect(&self) -> ConnectStream<'_> {
        ConnectStream {
            url: &self.url,
            status_callback: Some(&self.status_callback),
            action: Some(&self.action),
            parameters: &[],
            // An origin without TLS is refused by the configuration unless it is this machine.
            transport: Transport::PlainAllowedForTests,
        }
    }
}

/// Promises a further stream to a live call that leaves its present one to press keys. None without room.
#[must_use]
pub(crate) fn promise_return(
    origin: &PublicUrl,
    admissions: &Admissions,
    call_sid: &str,
) -> Option<StreamPaths> {
    let token = StreamToken::draw().ok()?;
    let paths = StreamPaths::new(origin, &token);
    let admission = Admission::Return { call_sid: call_sid.to_owned() };
    admissions.admit(token, admission).then_some(paths)
}
