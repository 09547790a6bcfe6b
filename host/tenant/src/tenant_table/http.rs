//! What a tenant's HTTP requests may reach.

use url::Url;

/// The URLs a tenant may ask for, and the secrets its requests may name.
///
/// The values of secrets are the host's business: they are put into a request after it has left the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpPolicy {
    allow: Vec<Url>,
    secrets: Vec<String>,
}

impl HttpPolicy {
    /// Reads an allowlist of URL prefixes (`https://api.example.com/v1/`) and names of environment variables.
    ///
    /// # Errors
    ///
    /// A sentence that names the entry.
    pub fn parse(allow: &[String], secrets: &[String]) -> Result<Self, String> {
        let allow = allow.iter().map(|text| prefix(text)).collect::<Result<_, _>>()?;
        for name in secrets {
            let plain =
                name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            if name.is_empty() || !plain || name.len() > 64 {
                return Err(format!(
                    "http.secrets: {name:?} is not the name of an environment variable (A-Z, 0-9, _)"
                ));
            }
        }
        Ok(Self { allow, secrets: secrets.to_vec() })
    }

    /// Whether a request to `url` may be made. Nothing may by default.
    ///
    /// Scheme, host and port must be an entry's own, its path a beginning of the URL's, by whole segments.
    /// User names and passwords in URLs are never allowed: they are a way to make one host look like another.
    pub fn allows(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        let plain = url.username().is_empty() && url.password().is_none();
        plain
            && self
                .allow
                .iter()
                .any(|entry| entry.origin() == url.origin() && begins(url.path(), entry.path()))
    }

    /// The environment variables that `{{secret:NAME}}` may name.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }
}

fn prefix(text: &str) -> Result<Url, String> {
    let wrong = |why: &str| Err(format!("http.allow: {text:?} {why}"));
    let Ok(url) = Url::parse(text) else {
        return wrong("is not a URL such as https://api.example.com/");
    };
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && local) {
        return wrong("is not https (http is for this machine alone)");
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return wrong("has more than scheme, host and path");
    }
    Ok(url)
}

/// Whether `path` is `beginning` or lies below it.
fn begins(path: &str, beginning: &str) -> bool {
    match path.strip_prefix(beginning) {
        Some(rest) => rest.is_empty() || beginning.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str]) -> HttpPolicy {
        let allow: Vec<String> = allow.iter().map(|it| (*it).to_owned()).collect();
        HttpPolicy::parse(&allow, &[]).unwrap()
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        assert!(!HttpPolicy::default().allows("https://example.com/"));
    }

    #[test]
    fn an_entry_allows_itself_and_what_lies_below() {
        let policy = policy(&["https://api.example.com/v1", "http://127.0.0.1:8080/"]);

        assert!(policy.allows("https://api.example.com/v1"));
        assert!(policy.allows("https://api.example.com:443/v1/orders?id=1"));
        assert!(policy.allows("http://127.0.0.1:8080/x"));
    }

    #[test]
    fn what_only_looks_like_an_entry_is_refused() {
        let policy = policy(&["https://api.example.com/v1"]);

        for url in [
            "http://api.example.com/v1",
            "https://api.example.com/v10",
            "https://api.example.com/v1/../admin",
            "https://api.example.com.evil.test/v1",
            "https://api.example.com@evil.test/v1",
            "https://user@api.example.com/v1",
            "https://api.example.com:8443/v1",
            "file:///v1",
            "v1",
        ] {
            assert!(!policy.allows(url), "{url}");
        }
    }

    #[test]
    fn entries_that_promise_too_little_are_refused_by_name() {
        for entry in
            ["http://example.com/", "example.com", "https://example.com/?q", "https://u@e.com/"]
        {
            let error = HttpPolicy::parse(&[entry.to_owned()], &[]).unwrap_err();
            assert!(error.contains(entry), "{error}");
        }
        let error = HttpPolicy::parse(&[], &["lower".to_owned()]).unwrap_err();
        assert!(error.contains("http.secrets"), "{error}");
    }
}
