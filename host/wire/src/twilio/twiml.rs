//! TwiML: what the carrier shall do with a call.
//!
//! Every text that comes from outside is escaped, every attribute is checked against the rule whose
//! breach Twilio would report only in its debugger, after the caller has heard silence.

use crate::limits::{PARAMETER_CHARS_MAX, PARAMETERS_MAX, SAY_CHARS_MAX, TWIML_BYTES_MAX};

/// A bidirectional stream: the call's audio goes to a socket of ours until we close it.
#[derive(Debug, Clone, Copy)]
pub struct ConnectStream<'a> {
    /// Where the socket is opened. No query: the carrier strips it, so a token belongs in the path.
    pub url: &'a str,
    /// Gets a signed form when the stream starts, stops or fails.
    pub status_callback: Option<&'a str>,
    /// Asked for TwiML once the stream is over; without it the call ends.
    pub action: Option<&'a str>,
    /// Handed to the socket in its start message. Visible in the carrier's logs: no secrets.
    pub parameters: &'a [(String, String)],
    /// Which schemes the URL may have.
    pub transport: Transport,
}

/// Which schemes a stream's URL may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `wss` only, as the real carrier demands (31922).
    Tls,
    /// `ws` as well, for a simulator on the same machine.
    PlainAllowedForTests,
}

/// How a call is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The number is not in service.
    Rejected,
    /// A busy tone.
    Busy,
}

/// A document the carrier would refuse, or play wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TwimlError {
    /// The stream's URL is not `wss://host..`.
    #[error("the stream's URL must begin with wss:// and name a host")]
    StreamScheme,
    /// The stream's URL has a query or a fragment.
    #[error("the stream's URL must have no query and no fragment: the carrier strips them")]
    StreamQuery,
    /// A URL with a space or a control character.
    #[error("`{0}` holds a character that no URL has")]
    UrlCharacter(&'static str),
    /// A callback that is not absolute.
    #[error("`{0}` must be an absolute http or https URL")]
    NotAbsolute(&'static str),
    /// A parameter without a name.
    #[error("a parameter has no name")]
    ParameterName,
    /// A parameter that is too long.
    #[error(
        "a parameter's name and value together must stay below {PARAMETER_CHARS_MAX} characters"
    )]
    ParameterLength,
    /// Too many of them.
    #[error("more than {PARAMETERS_MAX} parameters")]
    ParameterCount,
    /// Something no telephone can dial.
    #[error("`{0}` is neither a number with its country code (+..), nor sip: nor client:")]
    Number(&'static str),
    /// Keys no telephone has.
    #[error("keys are 0-9, *, #, A-D and w or W to wait, at least one and at most 32")]
    Keys,
    /// Too much to say.
    #[error("more than {SAY_CHARS_MAX} characters to say")]
    SayLength,
    /// The whole is too long (11750).
    #[error("the document has more than {TWIML_BYTES_MAX} bytes")]
    DocumentLength,
}

/// The answer to an incoming call: connect its audio to a socket of ours.
///
/// # Errors
/// When Twilio would refuse the document or drop a part of it.
pub fn connect_stream(stream: &ConnectStream<'_>) -> Result<String, TwimlError> {
    let mut inner = String::new();
    push_connect(stream, &mut inner)?;
    document(&inner)
}

/// Presses keys towards the far end, then opens the stream again: it restarts under a new id.
///
/// # Errors
/// As [`connect_stream`], and for a key that does not exist.
pub fn play_digits_then_connect(
    digits: &str,
    stream: &ConnectStream<'_>,
) -> Result<String, TwimlError> {
    let known = |b: u8| b.is_ascii_digit() || matches!(b, b'*' | b'#' | b'A'..=b'D' | b'w' | b'W');
    if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(known) {
        return Err(TwimlError::Keys);
    }
    let mut inner = format!("<Play digits=\"{digits}\"/>");
    push_connect(stream, &mut inner)?;
    document(&inner)
}

/// Says something in the carrier's own voice and ends the call: the answer when no model can.
///
/// # Errors
/// When the text is too long.
pub fn say_and_hang_up(text: &str) -> Result<String, TwimlError> {
    if text.chars().count() > SAY_CHARS_MAX {
        return Err(TwimlError::SayLength);
    }
    document(&format!("<Say>{}</Say><Hangup/>", escaped(text)))
}

/// Turns a call away without answering it, at no cost.
pub fn reject(reason: Rejection) -> String {
    let reason = match reason {
        Rejection::Rejected => "rejected",
        Rejection::Busy => "busy",
    };
    wrapped(&format!("<Reject reason=\"{reason}\"/>"))
}

/// Ends the call.
pub fn hang_up() -> String {
    wrapped("<Hangup/>")
}

/// Passes the call on to somebody else. `action` is asked for TwiML when they do not answer or hang
/// up; without it the call ends.
///
/// # Errors
/// When the number, the caller id or the URL is none.
pub fn dial(
    number: &str,
    caller_id: Option<&str>,
    action: Option<&str>,
) -> Result<String, TwimlError> {
    let mut inner = String::from("<Dial answerOnBridge=\"true\" timeout=\"20\"");
    if let Some(id) = caller_id {
        if !is_number(id) && !is_address(id) {
            return Err(TwimlError::Number("caller id"));
        }
        push_attribute("callerId", id, &mut inner);
    }
    if let Some(action) = action {
        check_callback("action", action)?;
        push_attribute("action", action, &mut inner);
    }
    let noun = match number {
        number if is_number(number) => "Number",
        address if is_address(address) && address.starts_with("sip:") => "Sip",
        address if is_address(address) => "Client",
        _ => return Err(TwimlError::Number("number")),
    };
    // `<Client>` takes the bare identity.
    let number = number.strip_prefix("client:").unwrap_or(number);
    inner.push_str(&format!("><{noun}>{}</{noun}></Dial>", escaped(number)));
    document(&inner)
}

fn push_connect(stream: &ConnectStream<'_>, out: &mut String) -> Result<(), TwimlError> {
    check_stream_url(stream.url, stream.transport)?;
    out.push_str("<Connect");
    if let Some(action) = stream.action {
        check_callback("action", action)?;
        push_attribute("action", action, out);
    }
    out.push_str("><Stream");
    push_attribute("url", stream.url, out);
    if let Some(callback) = stream.status_callback {
        check_callback("statusCallback", callback)?;
        push_attribute("statusCallback", callback, out);
    }
    out.push('>');
    if stream.parameters.len() > PARAMETERS_MAX {
        return Err(TwimlError::ParameterCount);
    }
    for (name, value) in stream.parameters {
        if name.is_empty() {
            return Err(TwimlError::ParameterName);
        }
        if name.chars().count() + value.chars().count() >= PARAMETER_CHARS_MAX {
            return Err(TwimlError::ParameterLength);
        }
        out.push_str("<Parameter");
        push_attribute("name", name, out);
        push_attribute("value", value, out);
        out.push_str("/>");
    }
    out.push_str("</Stream></Connect>");
    Ok(())
}

fn check_stream_url(url: &str, transport: Transport) -> Result<(), TwimlError> {
    let rest = match (url.strip_prefix("wss://"), url.strip_prefix("ws://"), transport) {
        (Some(rest), _, _) | (None, Some(rest), Transport::PlainAllowedForTests) => rest,
        (None, Some(_) | None, _) => return Err(TwimlError::StreamScheme),
    };
    if rest.is_empty() || rest.starts_with('/') {
        return Err(TwimlError::StreamScheme);
    }
    if rest.contains(['?', '#']) {
        return Err(TwimlError::StreamQuery);
    }
    check_characters("url", url)
}

fn check_callback(name: &'static str, url: &str) -> Result<(), TwimlError> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(TwimlError::NotAbsolute(name));
    }
    check_characters(name, url)
}

fn check_characters(name: &'static str, url: &str) -> Result<(), TwimlError> {
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(TwimlError::UrlCharacter(name));
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (3..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("sip:").or_else(|| text.strip_prefix("client:"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && rest.len() <= 255 && rest.bytes().all(|b| b.is_ascii_graphic())
    })
}

fn document(inner: &str) -> Result<String, TwimlError> {
    let document = wrapped(inner);
    if document.len() > TWIML_BYTES_MAX {
        return Err(TwimlError::DocumentLength);
    }
    Ok(document)
}

fn wrapped(inner: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{inner}</Response>")
}

fn push_attribute(name: &str, value: &str, out: &mut String) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    out.push_str(&escaped(value));
    out.push('"');
}

/// Text for an element or an attribute. White space is written as references, or a parser would turn
/// a line break in an attribute into a blank; characters XML 1.0 cannot hold become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
