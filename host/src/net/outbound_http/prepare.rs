//! From what a tenant asked for to what is sent. Pure: no request is made here.

use std::collections::BTreeMap;

use cordboard_call::contract::HttpRequest;
use cordboard_tenant::{HttpPolicy, OverLimit};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::{Host, Url};

use super::failed::Failed;
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
    /// Every secret the tenant may name: a server may show one that an earlier request brought it.
    hidden: Vec<Secret>,
}

/// Checks a request and puts secrets into its headers.
pub(super) fn prepare(
    policy: &HttpPolicy,
    secrets: &BTreeMap<String, Secret>,
    request: &HttpRequest,
) -> Result<Prepared, Failed> {
    let url = Url::parse(&request.url)
        .map_err(|error| format!("refused: the URL is not one: {error}"))?;
    if request.url.contains(OPENING) {
        return Err("refused: secrets go into header values only".to_owned().into());
    }
    if !policy.allows(&request.url) || walks_up(url.path()) {
        let origin = url.origin().ascii_serialization();
        let reason = format!("{origin} with this path is not allowed to this tenant");
        return Err(OverLimit { limit: "http.allow", reason }.into());
    }
    let splicer = Splicer { policy, secrets, url: &url };
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let (name, value) = splicer.header(name, value)?;
        headers.append(name, value);
    }
    let hidden = policy.secrets().filter_map(|name| secrets.get(name)).cloned().collect();
    Ok(Prepared { reach: reach(&url), url, headers, hidden })
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
    url: &'a Url,
}

impl Splicer<'_> {
    fn header(&self, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failed> {
        let legal: HeaderName =
            name.parse().map_err(|_| "refused: a header's name is not legal".to_owned())?;
        if OURS.contains(&legal.as_str()) {
            return Err(format!("refused: the header `{legal}` is the host's to set").into());
        }
        let text = self.splice(value)?;
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| format!("refused: the value of `{legal}` is not legal in a header"))?;
        // The HTTP client prints values that are not marked.
        value.set_sensitive(true);
        Ok((legal, value))
    }

    /// Replaces every `{{secret:NAME}}`.
    fn splice(&self, value: &str) -> Result<String, Failed> {
        let mut out = String::with_capacity(value.len());
        let mut rest = value;
        while let Some((before, after)) = rest.split_once(OPENING) {
            let (name, behind) = after
                .split_once("}}")
                .ok_or_else(|| format!("refused: `{OPENING}` without `}}}}`"))?;
            self.policy.check_secret(name, self.url)?;
            let secret = self.secrets.get(name).ok_or_else(|| UNSET.to_owned())?;
            out.push_str(before);
            out.push_str(secret.expose());
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
    }
}

impl Prepared {
    /// Takes the tenant's secrets out of a text that others wrote.
    pub(super) fn redact(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, secret| secret.redact(&text))
    }

    /// Takes the tenant's secrets out of an answer's body.
    pub(super) fn redact_bytes(&self, body: Vec<u8>) -> Vec<u8> {
        let echoed = |secret: &Secret| {
            let needle = secret.expose().as_bytes();
            !needle.is_empty() && body.windows(needle.len()).any(|window| window == needle)
        };
        if self.hidden.iter().any(echoed) {
            self.redact(&String::from_utf8_lossy(&body)).into_bytes()
        } else {
            body
        }
    }
}

const UNSET: &str = "refused: the operator has not set this secret: CORDBOARD_SECRET_ and its name, in \
                     the environment";

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
