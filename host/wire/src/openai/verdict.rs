//! What a refusal means: which errors end a call, which mean nothing, which closes may be retried.
//!
//! A bad key is no HTTP 401 at OpenAI: the upgrade succeeds, one `error` event comes, then a close.
//! Other servers refuse at HTTP. Both ways end in the same [`Rejection`].

/// What an error means for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No further attempt will help until an operator changes something.
    Fatal,
    /// The session is over by age; a new and empty one may be opened at once.
    Expired,
    /// A race that is normal in a call: note it at debug and go on.
    Benign,
    /// Worth a warning; the session goes on.
    Other,
}

/// Why a server will have nothing to do with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The key is wrong, revoked or missing.
    InvalidKey,
    /// The server has switched the beta off and we asked for it.
    BetaDisabled,
    /// The URL names no model.
    MissingModel,
    /// The model is not one for speech.
    InvalidModel,
    /// There is no such model, or not for this key; at HTTP also: nothing at that path.
    UnknownModel,
    /// The account has used what it may.
    NoQuota,
    /// The account is closed.
    AccountDeactivated,
    /// The account's spending limit is reached.
    BillingLimit,
}

impl Rejection {
    /// Reads an `error.code`.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "invalid_api_key" => Some(Self::InvalidKey),
            "beta_api_shape_disabled" => Some(Self::BetaDisabled),
            "missing_model" => Some(Self::MissingModel),
            "invalid_model" => Some(Self::InvalidModel),
            "model_not_found" => Some(Self::UnknownModel),
            "insufficient_quota" | "quota_exceeded" => Some(Self::NoQuota),
            "account_deactivated" => Some(Self::AccountDeactivated),
            "billing_hard_limit_reached" => Some(Self::BillingLimit),
            _ => None,
        }
    }

    /// What an operator should do, in one sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::InvalidKey => "check OPENAI_API_KEY: the server refused the key",
            Self::BetaDisabled => {
                "set OPENAI_REALTIME_DIALECT=ga: the server no longer speaks the beta's dialect"
            }
            Self::MissingModel => "set OPENAI_REALTIME_MODEL: the URL named no model",
            Self::InvalidModel => {
                "set OPENAI_REALTIME_MODEL to a realtime model: this one cannot hold a call"
            }
            Self::UnknownModel => {
                "check OPENAI_REALTIME_MODEL and OPENAI_REALTIME_API_URL: the server knows no such \
                 model, or the key may not use it"
            }
            Self::NoQuota => "the account's quota is used up: see its plan and billing",
            Self::AccountDeactivated => "the account is deactivated: ask the provider",
            Self::BillingLimit => "the account's spending limit is reached: raise it or wait",
        }
    }
}

/// What a closed socket means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Whether another attempt makes sense; it opens a new and empty conversation.
    pub retry: bool,
    /// The session reached its greatest age.
    pub expired: bool,
    /// Why no attempt will succeed, when the server said.
    pub fatal: Option<Rejection>,
}

/// Sorts a close by its code (`None`: no close frame, the connection was lost) and reason, which at
/// OpenAI is `<error.type>.<error.code>`.
pub fn classify_close(code: Option<u16>, reason: &str) -> Closed {
    let expired = reason.contains("session_expired") || reason.contains("maximum duration");
    let named = reason.rsplit('.').next().unwrap_or_default();
    let fatal = Rejection::from_code(named.trim()).or(match code {
        Some(3000) => Some(Rejection::InvalidKey),
        Some(4004) => Some(Rejection::UnknownModel),
        Some(_) | None => None,
    });
    let may_retry = match code {
        None | Some(1001 | 1005 | 1006 | 1011 | 1012 | 1013 | 1015) => true,
        Some(_) => expired,
    };
    Closed { retry: may_retry && fatal.is_none(), expired, fatal }
}

/// Sorts an HTTP status in place of the upgrade's 101, as Azure and proxies answer, with the body that
/// came along. What the body names counts for more: 429 is a moment's crowd, or an account with
/// nothing left, and only the second will be the same in a minute.
pub fn classify_status(status: u16, body: &str) -> Closed {
    let fatal = rejection_named(body).or(match status {
        401 | 403 => Some(Rejection::InvalidKey),
        402 => Some(Rejection::NoQuota),
        400 | 404 => Some(Rejection::UnknownModel),
        _ => None,
    });
    let retry = fatal.is_none() && matches!(status, 408 | 425 | 429 | 500..=599);
    Closed { retry, expired: false, fatal }
}

/// The rejection a body names: as a word of its own, in whatever JSON or text around it. The body may
/// be cut off, so it is not parsed.
fn rejection_named(body: &str) -> Option<Rejection> {
    let words = body.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.map(str::to_ascii_lowercase).find_map(|word| Rejection::from_code(&word))
}

/// Sorts an `error` event.
pub fn classify_error(code: Option<&str>, param: Option<&str>, message: &str) -> ErrorKind {
    let code = code.unwrap_or_default();
    if Rejection::from_code(code).is_some() {
        return ErrorKind::Fatal;
    }
    match code {
        "session_expired" => ErrorKind::Expired,
        "response_cancel_not_active"
        | "conversation_already_has_active_response"
        | "input_audio_buffer_commit_empty"
        | "item_retrieve_invalid_item_id"
        | "item_delete_invalid_item_id"
        | "item_truncate_invalid_item_id"
        | "unsupported_content_type" => ErrorKind::Benign,
        _ if is_about_truncation(param, message) => ErrorKind::Benign,
        _ => ErrorKind::Other,
    }
}

/// Truncation fails in several ways with common codes or none: past the end, before any audio, after
/// an earlier and shorter truncation. Each is a race with the caller, none harms the call.
fn is_about_truncation(param: Option<&str>, message: &str) -> bool {
    param == Some("audio_end_ms")
        || message.contains("already shorter than")
        || message.contains("audio_end_ms")
        || (message.contains("truncate") && message.contains("audio"))
}

/// The text without anything that looks like a key, or `None` when there was nothing. The server's
/// message about a wrong key shows parts of it.
pub(crate) fn without_keys(text: &str) -> Option<String> {
    let is_key_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.');
    let mut out = String::new();
    let mut rest = text;
    let mut word_before = false;
    let mut found = false;
    while let Some(c) = rest.chars().next() {
        if !word_before && (rest.starts_with("sk-") || rest.starts_with("ek_")) {
            let end = rest.find(|c| !is_key_char(c)).unwrap_or(rest.len());
            out.push_str("[key]");
            rest = &rest[end..];
            found = true;
            word_before = true;
            continue;
        }
        word_before = c.is_ascii_alphanumeric();
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    found.then_some(out)
}
