//! The REST requests a running call needs, as values; sending them is the host's business.

use super::is_id;
use crate::limits::INLINE_TWIML_CHARS_MAX;

/// A POST to be sent with the account's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestRequest {
    /// The path on the API's host, for example `/2010-04-01/Accounts/AC../Calls/CA...json`.
    pub path: String,
    /// The form, not yet encoded.
    pub form: Vec<(String, String)>,
}

/// A request that must not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// Something that is no id would have become part of a path.
    #[error("`{0}` is no id: letters and digits only")]
    NoId(&'static str),
    /// TwiML inside a request is bounded more tightly than by itself.
    #[error("more than {INLINE_TWIML_CHARS_MAX} characters of TwiML in a request")]
    TwimlLength,
}

/// What an answer to a request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// The call is over already, which is what a hang-up wanted.
    AlreadyGone,
    /// Nothing happened; try again after a pause that grows.
    Retry,
    /// The credentials were refused: nothing will work until an operator changes them.
    Unauthorized,
    /// Refused for good, with the carrier's error code where it gave one.
    Refused {
        /// For example 21220, a call that is not in the right state.
        code: Option<u32>,
    },
}

/// Ends a call, also one that still rings.
///
/// # Errors
/// When an id is none.
pub fn hang_up_call(account_sid: &str, call_sid: &str) -> Result<RestRequest, RestError> {
    request(account_sid, call_sid, vec![pair("Status", "completed")])
}

/// Gives a running call new TwiML: a transfer, key presses. The stream stops; a stream in the new
/// document has a new id.
///
/// # Errors
/// When an id is none, or the document is too long.
pub fn update_call(
    account_sid: &str,
    call_sid: &str,
    twiml: &str,
) -> Result<RestRequest, RestError> {
    if twiml.chars().count() > INLINE_TWIML_CHARS_MAX {
        return Err(RestError::TwimlLength);
    }
    request(account_sid, call_sid, vec![pair("Twiml", twiml)])
}

/// Lets a running call fetch its TwiML from a URL.
///
/// # Errors
/// When an id is none.
pub fn redirect_call(
    account_sid: &str,
    call_sid: &str,
    url: &str,
) -> Result<RestRequest, RestError> {
    request(account_sid, call_sid, vec![pair("Url", url), pair("Method", "POST")])
}

/// Sorts the answer to a request by what to do next. Updates may be repeated safely, so a failure of
/// the carrier's own (5xx) is one of those.
pub fn classify(status: u16, body: &str) -> Outcome {
    let code = code_in(body);
    match (status, code) {
        (200..=299, _) => Outcome::Done,
        (404, _) | (_, Some(20404 | 21220)) => Outcome::AlreadyGone,
        (401 | 403, _) => Outcome::Unauthorized,
        (408 | 429 | 500..=599, _) | (_, Some(20429)) => Outcome::Retry,
        (_, code) => Outcome::Refused { code },
    }
}

fn code_in(body: &str) -> Option<u32> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    u32::try_from(crate::json::loose_u64(body.get("code")?)?).ok()
}

fn request(
    account_sid: &str,
    call_sid: &str,
    form: Vec<(String, String)>,
) -> Result<RestRequest, RestError> {
    if !is_id(account_sid) {
        return Err(RestError::NoId("account"));
    }
    if !is_id(call_sid) {
        return Err(RestError::NoId("call"));
    }
    let path = format!("/2010-04-01/Accounts/{account_sid}/Calls/{call_sid}.json");
    Ok(RestRequest { path, form })
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
