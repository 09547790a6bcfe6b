//! `X-Twilio-Signature`: who really sent a webhook or opened a socket.
//!
//! The signature is over the URL as Twilio was told it, so it is checked against the **configured**
//! public URL. What a proxy made of the request, and every `Host` or `X-Forwarded-*` header, is an
//! attacker's to choose.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::Secret;

/// One key a signature may be made with. During a rotation there are two of them; an account under a
/// rule with a shared key of its own has that one as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The operator's name for the key, for logs: never the key.
    pub id: String,
    /// The account's auth token. API keys do not sign.
    pub key: Secret,
    /// How it signs.
    pub algorithm: Algorithm,
}

impl SigningKey {
    /// An auth token, which signs by HMAC-SHA1.
    pub fn auth_token(id: impl Into<String>, token: Secret) -> Self {
        Self { id: id.into(), key: token, algorithm: Algorithm::HmacSha1 }
    }
}

/// How a key signs. The one published algorithm; shared keys may bring others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Base64 of HMAC-SHA1.
    HmacSha1,
}

/// Why a request is not believed. The answer to each is 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No key is configured, so nothing can be believed.
    #[error("no signing key is configured, so no request can be verified")]
    NoKey,
    /// The header is missing or empty.
    #[error("the request carries no X-Twilio-Signature")]
    Missing,
    /// No key gives this signature for this URL and form.
    #[error(
        "the signature fits none of the configured keys; compare PUBLIC_URL with the URL set at the \
         carrier, to the letter"
    )]
    Mismatch,
    /// A body that is no form, and a URL without its hash.
    #[error("the body is not a form and the URL carries no bodySHA256")]
    BodyHashMissing,
    /// The body is not the one whose hash was signed.
    #[error("the body does not fit the bodySHA256 of the URL")]
    BodyMismatch,
}

/// Verifies a signature and says which key made it; the first that fits wins.
///
/// `url` is the configured public URL with the request's path and raw query, `wss://` for a stream;
/// `form` the decoded pairs of a form POST, empty ones included, and empty for GET, JSON and the
/// WebSocket upgrade; `given` the header's value, `""` when there is none.
///
/// # Errors
/// Fails closed: without a key, without a signature, and when nothing fits.
pub fn verify<'k>(
    keys: &'k [SigningKey],
    url: &str,
    form: &[(String, String)],
    given: &str,
) -> Result<&'k str, SignatureError> {
    if keys.iter().all(|key| key.key.is_empty()) {
        return Err(SignatureError::NoKey);
    }
    if given.is_empty() {
        return Err(SignatureError::Missing);
    }
    let tail = canonical_form(form);
    let urls = spellings(url);
    for key in keys.iter().filter(|key| !key.key.is_empty()) {
        for url in &urls {
            let expected = sign(key, url, &tail);
            if bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
                return Ok(&key.id);
            }
        }
    }
    Err(SignatureError::Mismatch)
}

/// Checks a body that is no form against the `bodySHA256` in the signed URL. To be called beside
/// [`verify`], which vouches for the URL.
///
/// # Errors
/// When the URL carries no hash, or another body's.
pub fn verify_body(url: &str, body: &[u8]) -> Result<(), SignatureError> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let given = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("bodySHA256="))
        .ok_or(SignatureError::BodyHashMissing)?;
    let mut expected = String::with_capacity(64);
    for byte in Sha256::digest(body) {
        use std::fmt::Write as _;
        write!(expected, "{byte:02x}").expect("writing to a string cannot fail");
    }
    let given = given.to_ascii_lowercase();
    if bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
        Ok(())
    } else {
        Err(SignatureError::BodyMismatch)
    }
}

fn sign(key: &SigningKey, url: &str, tail: &str) -> String {
    match key.algorithm {
        Algorithm::HmacSha1 => {
            let mut mac = Hmac::<Sha1>::new_from_slice(key.key.expose().as_bytes())
                .expect("HMAC takes a key of any length");
            mac.update(url.as_bytes());
            mac.update(tail.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        }
    }
}

/// Names in order, each followed by its value; a repeated name once per different value.
fn canonical_form(form: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = form.iter().collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect()
}

/// The URL as given, and with its port removed or the usual one added: the carrier's back end is
/// not consistent, and both official libraries accept either. They take 80 for `wss` too.
fn spellings(url: &str) -> Vec<String> {
    let mut urls = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return urls };
    let authority_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_len);
    match port_in(authority) {
        Some(at) => urls.push(format!("{scheme}://{}{tail}", &authority[..at])),
        None => {
            let usual: &[u16] = match scheme {
                "https" => &[443],
                "wss" => &[443, 80],
                _ => &[80],
            };
            urls.extend(usual.iter().map(|port| format!("{scheme}://{authority}:{port}{tail}")));
        }
    }
    urls
}

/// Where `:port` begins; not inside `user:password@` and not inside `[2001:db8::1]`.
fn port_in(authority: &str) -> Option<usize> {
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let at = host_at + authority[host_at..].rfind(':')?;
    let port = &authority[at + 1..];
    (!port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())).then_some(at)
}
