//! What one tenant may reach, and with which secrets. Pure: no request is made here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::{Host, Url};

use super::{PRIVATE, address};
use crate::secret::Secret;

/// A tenant's allowlist, read once when the tenant is loaded.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    secrets: BTreeMap<String, Secret>,
}

/// What is wrong with an allowlist, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

/// An origin with a path before everything that may be asked for there.
#[derive(Debug, Clone)]
struct Rule {
    scheme: String,
    host: String,
    port: Option<u16>,
    path: String,
    reach: Reach,
}

/// Where a request may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Public,
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

impl Policy {
    /// Reads a tenant's allowlist: URLs on the internet, URLs that may lead into private networks, and
    /// names out of the operator's secrets.
    ///
    /// A URL allows its scheme, host and port, and every path below its own: `https://crm.example.com/api`
    /// allows `/api` and `/api/x`, not `/apix`.
    ///
    /// # Errors
    /// Names the entry that is wrong, or the secret that the operator has not set.
    pub fn new<T: AsRef<str>>(
        allow: &[T],
        allow_private: &[T],
        names: &[T],
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<Self, PolicyError> {
        let public = allow.iter().map(|text| Rule::parse(text.as_ref(), Reach::Public));
        let private = allow_private.iter().map(|text| Rule::parse(text.as_ref(), Reach::Anywhere));
        let rules = private.chain(public).collect::<Result<_, _>>()?;
        let secrets = names
            .iter()
            .map(|name| match secrets.get(name.as_ref()) {
                Some(secret) => Ok((name.as_ref().to_owned(), secret.clone())),
                None => Err(PolicyError(format!(
                    "the secret `{name}` is not set: set CORDBOARD_SECRET_{name}",
                    name = name.as_ref()
                ))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { rules, secrets })
    }

    /// Checks a request and puts secrets into its headers.
    pub(super) fn prepare(
        &self,
        url: &str,
        headers: &[(String, String)],
    ) -> Result<Prepared, String> {
        let url =
            Url::parse(url).map_err(|error| format!("refused: the URL is not one: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("refused: the URL holds a user or password; use a header".to_owned());
        }
        let Some(rule) = self.rules.iter().find(|rule| rule.allows(&url)) else {
            let origin = url.origin().ascii_serialization();
            return Err(format!(
                "refused: {origin} with this path is not in the tenant's http.allow"
            ));
        };
        if rule.reach == Reach::Public && literal(&url).is_some_and(address::is_private) {
            return Err(PRIVATE.to_owned());
        }
        if url.as_str().contains("%7B%7Bsecret") || url.as_str().contains("{{secret") {
            return Err("refused: secrets go into header values only".to_owned());
        }
        let mut used = Vec::new();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let (name, value) = self.header(name, value, &mut used)?;
            map.append(name, value);
        }
        Ok(Prepared { url, headers: map, reach: rule.reach, used })
    }

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
        value.set_sensitive(text.len() != value.len() || !used.is_empty());
        Ok((legal, value))
    }

    /// Replaces every `{{secret:NAME}}`.
    fn splice(&self, value: &str, used: &mut Vec<Secret>) -> Result<String, String> {
        let mut out = String::with_capacity(value.len());
        let mut rest = value;
        while let Some((before, after)) = rest.split_once("{{secret:") {
            let (name, behind) = after
                .split_once("}}")
                .ok_or_else(|| "refused: `{{secret:` without `}}`".to_owned())?;
            // Whether the operator has such a secret for others is none of this tenant's business.
            let secret = self.secrets.get(name).ok_or_else(|| {
                "refused: the secret is not in the tenant's http.secrets".to_owned()
            })?;
            out.push_str(before);
            out.push_str(secret.expose());
            used.push(secret.clone());
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
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

impl Rule {
    fn parse(text: &str, reach: Reach) -> Result<Self, PolicyError> {
        let wrong = |what: &str| PolicyError(format!("`{text}` in the allowlist: {what}"));
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("begin with https:// or http://"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(wrong("only scheme, host, port and path belong here"));
        }
        if url.host_str().is_some_and(|host| host.contains('*')) {
            return Err(wrong("name every host; there are no wildcards"));
        }
        if reach == Reach::Public && literal(&url).is_some_and(address::is_private) {
            return Err(wrong("a private address belongs under allow_private"));
        }
        Ok(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default(),
            path: url.path().to_owned(),
            reach,
        })
    }

    fn allows(&self, url: &Url) -> bool {
        self.scheme == url.scheme()
            && url.host_str() == Some(&self.host)
            && self.port == url.port_or_known_default()
            && self.allows_path(url.path())
    }

    fn allows_path(&self, path: &str) -> bool {
        if self.path == "/" {
            return true;
        }
        // A server may undo these after our check and then walk upwards.
        let lower = path.to_ascii_lowercase();
        if lower.contains("%2f") || lower.contains("%5c") || lower.contains("%2e") {
            return false;
        }
        match path.strip_prefix(&self.path) {
            Some(below) => below.is_empty() || self.path.ends_with('/') || below.starts_with('/'),
            None => false,
        }
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

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
