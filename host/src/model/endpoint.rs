//! Where a model lives and how it is addressed.

use std::time::Duration;

use cordboard_wire::openai::{DEFAULT_MODEL, Dialect, realtime_url};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{HeaderName, HeaderValue};

use super::ConnectError;
use crate::secret::Secret;

/// A Realtime server, whose it may be.
#[derive(Debug, Clone)]
pub struct ModelEndpoint {
    /// A `wss://` or `ws://` address; the model's name is added to its query unless it names one.
    pub url: String,
    /// The model's name, or the deployment's at Azure.
    pub model: String,
    /// None for a server of one's own that asks for none.
    pub key: Option<Secret>,
    /// Which names the server speaks.
    pub dialect: Dialect,
    /// How the key is shown.
    pub auth: Auth,
    /// Further headers, lower-case names; values may be private.
    pub headers: Vec<(String, Secret)>,
    /// From name lookup to the end of the upgrade.
    pub connect_deadline: Duration,
    /// From the upgrade to `session.created`.
    pub session_deadline: Duration,
}

/// The header that carries the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// `authorization`, or `api-key` at Azure.
    pub header: String,
    /// The value, with `{key}` where the key goes.
    pub value: String,
}

impl Default for Auth {
    fn default() -> Self {
        Self { header: "authorization".to_owned(), value: "Bearer {key}".to_owned() }
    }
}

/// OpenAI's service, without a key.
impl Default for ModelEndpoint {
    fn default() -> Self {
        Self {
            url: "wss://api.openai.com/v1/realtime".to_owned(),
            model: DEFAULT_MODEL.to_owned(),
            key: None,
            dialect: Dialect::Ga,
            auth: Auth::default(),
            headers: Vec::new(),
            // Together within the 15 s after which a call gives an attempt up.
            connect_deadline: Duration::from_secs(6),
            session_deadline: Duration::from_secs(6),
        }
    }
}

impl ModelEndpoint {
    /// Returns the upgrade request. No subprotocol and no extension is offered: the service's own
    /// clients send none, and compressing base64 of noise only costs time.
    pub(super) fn request(&self) -> Result<Request, ConnectError> {
        let settings = |error: &dyn std::fmt::Display| ConnectError::Settings(error.to_string());
        let url = realtime_url(&self.url, &self.model).map_err(|error| settings(&error))?;
        let mut request = url.into_client_request().map_err(|error| settings(&error))?;
        let headers = request.headers_mut();
        if self.dialect == Dialect::Beta {
            headers.insert("openai-beta", HeaderValue::from_static("realtime=v1"));
        }
        if let Some(key) = &self.key {
            let value = self.auth.value.replace("{key}", key.expose());
            let (name, value) = header(&self.auth.header, &value)?;
            headers.insert(name, value);
        }
        for (name, value) in &self.headers {
            let (name, value) = header(name, value.expose())?;
            headers.insert(name, value);
        }
        Ok(request)
    }

    /// Takes everything private out of a text that a server wrote.
    pub(super) fn redact(&self, text: &str) -> String {
        let private = self.key.iter().chain(self.headers.iter().map(|(_, value)| value));
        private.fold(text.to_owned(), |text, secret| secret.redact(&text))
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ConnectError> {
    let wrong = |what: &str| ConnectError::Settings(format!("the header `{name}` {what}"));
    let legal: HeaderName = name.parse().map_err(|_| wrong("has no legal name"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        wrong("holds a character that no header may hold; is the key pasted whole?")
    })?;
    value.set_sensitive(true);
    Ok((legal, value))
}
