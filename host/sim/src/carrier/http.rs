//! The carrier's HTTP requests: which URL is signed, where it is reached, what is posted.

use std::time::Instant;

use url::Url;

use super::report::Request;
use super::signature::sign;
use super::{CallPlan, CarrierConfig, Knobs};

/// Translates between the URLs both sides speak of and the addresses that exist.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    /// The public origin, if one is pretended.
    public: Option<Url>,
    /// Where it is really reached.
    actual: Url,
}

impl Addresses {
    pub(super) fn new(config: &CarrierConfig, actual: Url) -> Self {
        let public = config.public_origin.as_deref().and_then(|o| Url::parse(o).ok());
        Self { public, actual }
    }

    /// Returns the URL the other side knows a resource by.
    pub(super) fn public_url(&self, url: &Url) -> Url {
        match &self.public {
            Some(public) if same_origin(url, &self.actual) => moved(url, public),
            _ => url.clone(),
        }
    }

    /// Returns the URL the other side knows a WebSocket by.
    pub(super) fn public_socket(&self, url: &Url) -> Url {
        let mut public = self.public_url(url);
        let scheme = match public.scheme() {
            "https" => "wss",
            "http" => "ws",
            _ => return public,
        };
        public.set_scheme(scheme).expect("http and ws are both special schemes");
        public
    }

    /// Returns the URL a resource is reached at.
    pub(super) fn actual_url(&self, url: &Url) -> Url {
        match &self.public {
            Some(public) if same_host(url, public) => {
                let mut actual = moved(url, &self.actual);
                if matches!(url.scheme(), "ws" | "wss") {
                    let scheme = match self.actual.scheme() {
                        "https" | "wss" => "wss",
                        _ => "ws",
                    };
                    actual.set_scheme(scheme).expect("http and ws are both special schemes");
                }
                actual
            }
            _ => url.clone(),
        }
    }
}

fn moved(url: &Url, origin: &Url) -> Url {
    let mut moved = origin.clone();
    moved.set_path(url.path());
    moved.set_query(url.query());
    moved.set_fragment(None);
    moved
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

/// Compares host and port, taking `wss` for `https` and `ws` for `http`.
fn same_host(a: &Url, b: &Url) -> bool {
    a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

/// The form of a webhook about an inbound call, empty fields included.
pub(super) fn voice_form(
    config: &CarrierConfig,
    plan: &CallPlan,
    call_sid: &str,
    status: &str,
) -> Vec<(String, String)> {
    let mut form: Vec<(String, String)> = [
        ("To", plan.to.as_str()),
        ("From", &plan.from),
        ("Called", &plan.to),
        ("Caller", &plan.from),
        ("FromCity", ""),
        ("CalledState", ""),
        ("FromZip", ""),
        ("FromState", "CA"),
        ("CallerCountry", "US"),
        ("ToCountry", "US"),
        ("FromCountry", "US"),
        ("CalledCountry", "US"),
        ("ToState", ""),
        ("ToZip", ""),
        ("CallerZip", ""),
        ("CalledZip", ""),
        ("CalledCity", ""),
        ("CallerCity", ""),
        ("ToCity", ""),
        ("CallSid", call_sid),
        ("CallStatus", status),
        ("Direction", "inbound"),
        ("AccountSid", &config.account_sid),
        ("CallerState", "CA"),
        ("ApiVersion", "2010-04-01"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in &plan.form {
        match form.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => old.clone_from(value),
            None => form.push((name.clone(), value.clone())),
        }
    }
    form
}

/// Posts (or gets) with everything the real carrier sends, and notes what came back.
#[derive(Debug)]
pub(super) struct Poster<'a> {
    pub(super) client: &'a reqwest::Client,
    pub(super) config: &'a CarrierConfig,
    pub(super) addresses: &'a Addresses,
    pub(super) knobs: &'a Knobs,
}

impl Poster<'_> {
    pub(super) async fn post(
        &self,
        purpose: &str,
        url: &Url,
        method: &str,
        form: &[(String, String)],
        idempotency_token: &str,
    ) -> Request {
        let mut public = self.addresses.public_url(url);
        public.set_fragment(None);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let by_get = method.eq_ignore_ascii_case("GET");
        if by_get && !body.is_empty() {
            let query = match public.query() {
                Some(query) => format!("{query}&{body}"),
                None => body.clone(),
            };
            public.set_query(Some(&query));
        }
        let signature = self.signature(&public, if by_get { &[] } else { form });
        let actual = self.addresses.actual_url(&public);
        let host = host_header(&public);
        let request = if by_get { self.client.get(actual) } else { self.client.post(actual) };
        let mut request = request
            .header("Host", host)
            .header("Accept", "*/*")
            .header("User-Agent", "TwilioProxy/1.1")
            .header("X-Home-Region", "us1")
            .header("I-Twilio-Idempotency-Token", idempotency_token)
            .header("Connection", "close");
        if let Some(signature) = signature {
            request = request.header("X-Twilio-Signature", signature);
        }
        if !by_get {
            request = request
                .header("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
                .body(body);
        }
        let began = Instant::now();
        let outcome = async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            let content_type = response
                .headers()
                .get("content-type")
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            Ok::<_, reqwest::Error>((status, content_type, response.text().await?))
        }
        .await;
        let elapsed_ms = began.elapsed().as_secs_f64() * 1e3;
        let (status, content_type, body) = match outcome {
            Ok((status, content_type, body)) => (Some(status), content_type, body),
            Err(e) => (None, None, format!("{e:?}")),
        };
        Request {
            purpose: purpose.into(),
            url: public.into(),
            status,
            content_type,
            body,
            elapsed_ms,
        }
    }

    /// Signs, as well or as badly as the knobs say.
    pub(super) fn signature(&self, public: &Url, form: &[(String, String)]) -> Option<String> {
        if self.knobs.no_signature {
            return None;
        }
        let token = match self.knobs.wrong_signature {
            true => "a wrong token",
            false => &self.config.auth_token,
        };
        Some(sign(token, public.as_str(), form))
    }
}

/// Returns host and port as a client writes them: the port only if it is not the scheme's own.
pub(super) fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Returns the present moment as the stream callbacks write it: ISO 8601 with nanoseconds.
pub(super) fn timestamp_nanos() -> String {
    format!("{:.9}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_origin_is_named_and_the_actual_address_is_reached() {
        let config = CarrierConfig {
            public_origin: Some("https://gw.example.com".into()),
            ..CarrierConfig::default()
        };
        let addresses = Addresses::new(&config, url("http://127.0.0.1:8080/"));
        let public = addresses.public_url(&url("http://127.0.0.1:8080/incoming-call?a=1"));
        assert_eq!(public.as_str(), "https://gw.example.com/incoming-call?a=1");
        let socket = addresses.actual_url(&url("wss://gw.example.com/tw/x"));
        assert_eq!(socket.as_str(), "ws://127.0.0.1:8080/tw/x");
        let direct = Addresses::new(&config, url("ws://127.0.0.1:8080/tw/x"));
        let public = direct.public_socket(&url("ws://127.0.0.1:8080/tw/x"));
        assert_eq!(public.as_str(), "wss://gw.example.com/tw/x");
        assert_eq!(direct.actual_url(&public).as_str(), "ws://127.0.0.1:8080/tw/x");
        let other = addresses.actual_url(&url("wss://elsewhere.example.com/tw/x"));
        assert_eq!(other.as_str(), "wss://elsewhere.example.com/tw/x");
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }
}
