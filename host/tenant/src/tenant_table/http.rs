//! What a tenant's HTTP requests may reach.

use serde::Deserialize;
use url::Url;

use super::carrier::OverLimit;

/// `[http]` of a `tenant.toml`: the URLs a tenant may ask for, and the secrets its requests may name,
/// each with where it may be sent.
///
/// The values of secrets are the host's business: they are put into a request after it has left the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Text")]
pub struct HttpPolicy {
    allow: Vec<Url>,
    secrets: Vec<BoundSecret>,
    budget: HttpBudget,
}

/// How much a tenant's requests may move, all its calls together.
///
/// Each is filled evenly and holds as much as it names: so much at once, and as much again over the next
/// minute or hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpBudget {
    /// Requests. 600: a hundred calls that each use a tool every ten seconds.
    pub requests_per_minute: u64,
    /// Bytes of requests: URLs, headers, bodies. 64 MiB: half a request's greatest body every second.
    pub bytes_out_per_hour: u64,
    /// Bytes of answers: headers, bodies. 256 MiB: 7 KiB for each of the requests; all of it every hour is
    /// 6 GiB a day, which costs the operator no more than a call does.
    pub bytes_in_per_hour: u64,
}

impl Default for HttpBudget {
    fn default() -> Self {
        Self {
            requests_per_minute: 600,
            bytes_out_per_hour: 64 << 20,
            bytes_in_per_hour: 256 << 20,
        }
    }
}

impl HttpBudget {
    fn parse(text: &Text) -> Result<Self, String> {
        let usual = Self::default();
        let within = |key, value: Option<u64>, max, unit: u64, usual| match value {
            Some(value) if value > max => {
                Err(format!("http.{key}: {value} is not within 0 to {max}"))
            }
            Some(value) => Ok(value * unit),
            None => Ok(usual),
        };
        let mib = |key, value, usual| within(key, value, MIB_PER_HOUR_MAX, 1 << 20, usual);
        Ok(Self {
            requests_per_minute: within(
                "requests_per_minute",
                text.requests_per_minute,
                REQUESTS_PER_MINUTE_MAX,
                1,
                usual.requests_per_minute,
            )?,
            bytes_out_per_hour: mib(
                "mib_out_per_hour",
                text.mib_out_per_hour,
                usual.bytes_out_per_hour,
            )?,
            bytes_in_per_hour: mib(
                "mib_in_per_hour",
                text.mib_in_per_hour,
                usual.bytes_in_per_hour,
            )?,
        })
    }
}

/// A secret and where it may be sent, as beginnings of URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BoundSecret {
    name: String,
    origins: Vec<Url>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Text {
    allow: Vec<String>,
    secrets: Vec<SecretText>,
    requests_per_minute: Option<u64>,
    mib_out_per_hour: Option<u64>,
    mib_in_per_hour: Option<u64>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "http.secrets: write { name = \"NAME\", origins = [\"https://api.example.com\"] }"
)]
enum SecretText {
    Bare(String),
    Bound(BoundText),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundText {
    name: String,
    origins: Vec<String>,
}

impl TryFrom<Text> for HttpPolicy {
    type Error = String;

    /// # Errors
    ///
    /// A sentence that names the entry.
    fn try_from(text: Text) -> Result<Self, String> {
        let budget = HttpBudget::parse(&text)?;
        let prefix = |text: &String| prefix("http.allow", text);
        let allow = text.allow.iter().map(prefix).collect::<Result<Vec<_>, _>>()?;
        let secrets = text.secrets.into_iter().map(|text| bound(text, &allow));
        let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
        for (at, secret) in secrets.iter().enumerate() {
            if secrets[..at].iter().any(|earlier| earlier.name == secret.name) {
                return Err(format!("http.secrets: {} is there twice", secret.name));
            }
        }
        Ok(Self { allow, secrets, budget })
    }
}

/// Binds a secret to where it may be sent.
///
/// A name alone says it only where nothing has to be said: everything the tenant reaches is one origin.
fn bound(text: SecretText, allow: &[Url]) -> Result<BoundSecret, String> {
    let (name, origins) = match text {
        SecretText::Bound(BoundText { name, origins }) => {
            let place = format!("http.secrets: {name}");
            let origins = origins.iter().map(|origin| prefix(&place, origin));
            (name, Some(origins.collect::<Result<Vec<_>, _>>()?))
        }
        SecretText::Bare(name) => (name, None),
    };
    let plain = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if name.is_empty() || !plain || name.len() > 64 {
        return Err(format!(
            "http.secrets: {name:?} is not the name of an environment variable (A-Z, 0-9, _)"
        ));
    }
    let is_reached = |origin: &Url| allow.iter().any(|entry| entry.origin() == origin.origin());
    match origins {
        Some(origins) if origins.is_empty() => Err(format!(
            "http.secrets: {name} has no origins, so it is sent nowhere: write where it is for, or drop it"
        )),
        Some(origins) => match origins.iter().find(|origin| !is_reached(origin)) {
            Some(origin) => {
                Err(format!("http.secrets: {name} is for {origin}, which http.allow does not have"))
            }
            None => Ok(BoundSecret { name, origins }),
        },
        None if allow.windows(2).all(|two| two[0].origin() == two[1].origin()) => {
            Ok(BoundSecret { name, origins: allow.to_vec() })
        }
        None => Err(format!(
            "http.secrets: {name} would be sent to any of several origins: write {{ name = {name:?}, \
             origins = [{:?}] }} with the one it is for",
            allow[0].origin().ascii_serialization()
        )),
    }
}

impl HttpPolicy {
    /// Whether a request to `url` may be made. Nothing may by default.
    ///
    /// Scheme, host and port must be an entry's own, its path a beginning of the URL's, by whole segments.
    /// User names and passwords in URLs are never allowed: they are a way to make one host look like another.
    pub fn allows(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        let plain = url.username().is_empty() && url.password().is_none();
        plain && self.allow.iter().any(|entry| lies_below(&url, entry))
    }

    /// The environment variables that `{{secret:NAME}}` may name.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|secret| secret.name.as_str())
    }

    /// How much its requests may move.
    pub fn budget(&self) -> &HttpBudget {
        &self.budget
    }

    /// Whether a request to `url` may carry this secret.
    ///
    /// # Errors
    ///
    /// The secret is not the tenant's, or for other servers than this one.
    pub fn check_secret(&self, name: &str, url: &Url) -> Result<(), OverLimit> {
        let secret = self.secrets.iter().find(|secret| secret.name == name);
        // Whether the operator has such a secret for others is none of this tenant's business.
        let Some(secret) = secret else {
            return Err(OverLimit::new("http.secrets", "the secret is not this tenant's"));
        };
        match secret.origins.iter().any(|origin| lies_below(url, origin)) {
            true => Ok(()),
            false => {
                let origin = url.origin().ascii_serialization();
                let reason = format!("the secret {name} is not for {origin} with this path");
                Err(OverLimit::new("http.secrets", reason))
            }
        }
    }
}

/// The most an operator may set: a thousand requests a second, and a TiB an hour. What is beyond is no budget.
const REQUESTS_PER_MINUTE_MAX: u64 = 60_000;
const MIB_PER_HOUR_MAX: u64 = 1 << 20;

fn prefix(place: &str, text: &str) -> Result<Url, String> {
    let wrong = |why: &str| Err(format!("{place}: {text:?} {why}"));
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

/// Whether a URL is of an entry's scheme, host and port, and its path the entry's or below it.
fn lies_below(url: &Url, entry: &Url) -> bool {
    entry.origin() == url.origin() && begins(url.path(), entry.path())
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
        read(&format!("allow = {allow:?}")).unwrap()
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
            let error = read(&format!("allow = [{entry:?}]")).unwrap_err();
            assert!(error.contains(entry), "{error}");
        }
        let error = read("secrets = ['lower']").unwrap_err();
        assert!(error.contains("http.secrets"), "{error}");
    }

    #[test]
    fn a_secret_goes_to_its_own_origins_and_nowhere_else() {
        let policy = read(
            "allow = ['https://shop.example/', 'https://crm.example/', 'https://evil.test/']
             secrets = [{ name = 'SHOP', origins = ['https://shop.example'] },
                        { name = 'CRM', origins = ['https://crm.example/v1', 'https://shop.example/crm/'] }]",
        )
        .unwrap();
        let goes = |name, url: &str| policy.check_secret(name, &url.parse().unwrap()).is_ok();

        assert!(goes("SHOP", "https://shop.example/orders"));
        assert!(
            goes("CRM", "https://crm.example/v1/people")
                && goes("CRM", "https://shop.example/crm/x")
        );
        for (name, url) in [
            ("SHOP", "https://evil.test/"),
            ("SHOP", "https://shop.example.evil.test/"),
            ("SHOP", "https://shop.example:8443/"),
            ("SHOP", "http://shop.example/"),
            ("CRM", "https://crm.example/v10"),
            ("CRM", "https://shop.example/"),
            ("OTHER", "https://shop.example/"),
        ] {
            assert!(!goes(name, url), "{name} to {url}");
        }
    }

    #[test]
    fn a_secret_without_origins_is_taken_where_only_one_can_be_meant() {
        let one =
            read("allow = ['https://a.test/v1', 'https://a.test/v2']\nsecrets = ['S']").unwrap();
        assert!(one.check_secret("S", &"https://a.test/v2/x".parse().unwrap()).is_ok());
        assert!(one.check_secret("S", &"https://a.test/v3".parse().unwrap()).is_err());

        let two =
            read("allow = ['https://a.test/', 'https://b.test/']\nsecrets = ['S']").unwrap_err();
        assert!(two.contains("write { name = \"S\", origins = [\"https://a.test\"] }"), "{two}");
    }

    #[test]
    fn secrets_that_could_never_be_sent_or_are_unclear_are_refused_by_name() {
        for (secrets, words) in [
            ("[{ name = 'S', origins = [] }]", "S has no origins"),
            ("[{ name = 'S', origins = ['https://b.test'] }]", "S is for https://b.test/"),
            ("[{ name = 'S', origins = ['b.test'] }]", "http.secrets: S: \"b.test\""),
            ("[{ name = 'S' }]", "write { name ="),
            ("['S', { name = 'S', origins = ['https://a.test'] }]", "S is there twice"),
        ] {
            let error =
                read(&format!("allow = ['https://a.test/']\nsecrets = {secrets}")).unwrap_err();
            assert!(error.contains(words), "{secrets} -> {error}");
        }
    }

    #[test]
    fn a_budget_is_read_in_its_own_units_and_has_defaults() {
        let policy = read("requests_per_minute = 5\nmib_in_per_hour = 2").unwrap();

        let budget = policy.budget();
        assert_eq!((budget.requests_per_minute, budget.bytes_in_per_hour), (5, 2 << 20));
        assert_eq!(budget.bytes_out_per_hour, HttpBudget::default().bytes_out_per_hour);
        let error = read("mib_out_per_hour = 1048577").unwrap_err();
        assert!(error.contains("http.mib_out_per_hour: 1048577"), "{error}");
    }

    fn read(text: &str) -> Result<HttpPolicy, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}
