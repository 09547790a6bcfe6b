//! From what a tenant asked for to what is sent. Pure: no request is made here.

use std::collections::BTreeMap;

use cordboard_call::contract::HttpRequest;
use cordboard_tenant::HttpPolicy;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::{Host, Url};

use crate::secret::Secret;

/// Where a request may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The internet.
    Public,
    /// Also a private address, for the operator listed it by itself.
    Anywhere,
}

/// A request that was found to be allowed, with its secrets in place.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) reach: Reach,
    used: Vec<Secret>,
}

/// Checks a request and puts secrets into its headers.
pub(super) fn prepare(
    policy: &HttpPolicy,
    secrets: &BTreeMap<String, Secret>,
    request: &HttpRequest,
) -> Result<Prepared, String> {
    let url = Url::parse(&request.url)
        .map_err(|error| format!("refused: the URL is not one: {error}"))?;
    if request.url.contains(OPENING) {
        return Err("refused: secrets go into header values only".to_owned());
    }
    if !policy.allows(&request.url) || walks_up(url.path()) {
        let origin = url.origin().ascii_serialization();
        return Err(format!("refused: {origin} with this path is not in the tenant's http.allow"));
    }
    let splicer = Splicer { policy, secrets };
    let mut used = Vec::new();
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let (name, value) = splicer.header(name, value, &mut used)?;
        headers.append(name, value);
    }
    Ok(Prepared { reach: reach(&url), url, headers, used })
}

/// Only a URL that names an address itself was allowed by somebody who knew where it leads.
fn reach(url: &Url) -> Reach {
    match url.host() {
        Some(Host::Ipv4(_) | Host::Ipv6(_) | Host::Domain("localhost")) => Reach::Anywhere,
        Some(Host::Domain(_)) | None => Reach::Public,
    }
}

/// Whether a server that undoes `%2F` before it looks for `..` would leave the allowed path.
fn walks_up(path: &str) -> bool {
    let undone =
        path.to_ascii_lowercase().replace("%2f", "/").replace("%5c", "/").replace("%2e", ".");
    undone.split('/').any(|segment| segment == "..")
}

struct Splicer<'a> {
    policy: &'a HttpPolicy,
    secrets: &'a BTreeMap<String, Secret>,
}

impl Splicer<'_> {
    fn header(
        &self,
        name: &str,
        value: &str,
        used: &mut Vec<Secret>,
    ) -> Result<(HeaderName, HeaderValue), String> {
        let legal: HeaderName =
            name.parse().map_err(|_| "refused: a header's name is not legal".to_owned())?;
        if OURS.contains(&legal.as_str()) {
            return Err(format!("refused: the header `{legal}` is the host's to set"));
        }
        let text = self.splice(value, used)?;
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| format!("refused: the value of `{legal}` is not legal in a header"))?;
        // The HTTP client prints values that are not marked.
        value.set_sensitive(true);
        Ok((legal, value))
    }

    /// Replaces every `{{secret:NAME}}`.
    fn splice(&self, value: &str, used: &mut Vec<Secret>) -> Result<String, String> {
        let mut out = String::with_capacity(value.len());
        let mut rest = value;
        while let Some((before, after)) = rest.split_once(OPENING) {
            let (name, behind) = after
                .split_once("}}")
                .ok_or_else(|| format!("refused: `{OPENING}` without `}}}}`"))?;
            let allowed = self.policy.secrets().iter().any(|allowed| allowed == name);
            // Whether the operator has such a secret for others is none of this tenant's business.
            let secret = (self.secrets.get(name).filter(|_| allowed))
                .ok_or_else(|| format!("refused: {}", unavailable(allowed)))?;
            out.push_str(before);
            out.push_str(secret.expose());
            used.push(secret.clone());
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn unavailable(allowed: bool) -> &'static str {
    if allowed {
        "the operator has not set this secret: CORDBOARD_SECRET_ and its name, in the environment"
    } else {
        "the secret is not in the tenant's http.secrets"
    }
}

impl Prepared {
    /// Takes the secrets of this request out of a text that others wrote.
    pub(super) fn redact(&self, text: &str) -> String {
        self.used.iter().fold(text.to_owned(), |text, secret| secret.redact(&text))
    }

    /// Takes the secrets of this request out of an answer's body.
    pub(super) fn redact_bytes(&self, body: Vec<u8>) -> Vec<u8> {
        let echoed = |secret: &Secret| {
            let needle = secret.expose().as_bytes();
            !needle.is_empty() && body.windows(needle.len()).any(|window| window == needle)
        };
        if self.used.iter().any(echoed) {
            self.redact(&String::from_utf8_lossy(&body)).into_bytes()
        } else {
            body
        }
    }
}

/// What a placeholder begins with.
const OPENING: &str = "{{secret:";

/// Headers that decide how a message is framed or routed.
const OURS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "proxy-authorization",
    "proxy-connection",
];
