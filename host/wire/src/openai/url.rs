//! The URL of a session.

use std::fmt::Write as _;

/// A base URL that leads to no session. The URL is not quoted: some providers take the key in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a WebSocket's.
    #[error("the model's URL must begin with wss:// (or ws:// for a server of your own)")]
    Scheme,
    /// Nobody to connect to.
    #[error("the model's URL names no host")]
    Host,
    /// A space, a control character, or a `#`.
    #[error("the model's URL holds a character that does not belong in it")]
    Character,
    /// More than one of `model`, `intent`, `call_id`.
    #[error("the model's URL may name only one of model, intent and call_id")]
    MoreThanOneSubject,
    /// Neither the URL nor the settings name a model.
    #[error("no model is set, neither by name nor in the model's URL")]
    NoModel,
}

/// Adds `model` to the base URL, which may carry a query already. A base that names its own `model`,
/// `deployment` (Azure), `intent` or `call_id` is complete and stays as it is.
///
/// # Errors
/// When the base is no WebSocket URL, or names more than one subject, or there is no model.
pub fn realtime_url(base: &str, model: &str) -> Result<String, UrlError> {
    let rest = base.strip_prefix("wss://").or_else(|| base.strip_prefix("ws://"));
    let rest = rest.ok_or(UrlError::Scheme)?;
    if rest.is_empty() || rest.starts_with(['/', '?', ':']) {
        return Err(UrlError::Host);
    }
    if base.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Err(UrlError::Character);
    }
    let (path, query) = base.split_once('?').unwrap_or((base, ""));
    let subjects = query
        .split('&')
        .map(|pair| pair.split('=').next().unwrap_or_default())
        .filter(|name| matches!(*name, "model" | "deployment" | "intent" | "call_id"))
        .count();
    match subjects {
        0 if model.is_empty() => Err(UrlError::NoModel),
        0 => {
            let mut url = format!("{path}?");
            if !query.is_empty() {
                url.push_str(query.trim_end_matches('&'));
                url.push('&');
            }
            url.push_str("model=");
            push_encoded(model, &mut url);
            Ok(url)
        }
        1 => Ok(base.to_owned()),
        _ => Err(UrlError::MoreThanOneSubject),
    }
}

fn push_encoded(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
}
