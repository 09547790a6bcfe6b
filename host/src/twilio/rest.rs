//! What a running call asks of the carrier's REST interface: end it, pass it on, press keys.
//!
//! **One rule: an update may be repeated, so it is, until its deadline.** Twilio processes nothing it
//! answered with 429, and setting the same TwiML or status twice does no harm. A call that is gone
//! already is what a hang-up wanted. Nothing here shows the credentials: they go into one header,
//! marked as sensitive, and errors are made of the carrier's codes alone.

#[cfg(test)]
mod tests;

use std::time::Duration;

use cordboard_wire::twilio::{self, ConnectStream, Outcome, RestError, RestRequest, TwimlError};
use reqwest::{Client, redirect};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

use crate::config::RestAccess;
use crate::net::tls;

/// The carrier's REST interface for one account; cheap to clone.
#[derive(Debug, Clone)]
pub struct TwilioRest {
    client: Client,
    access: RestAccess,
    /// Before the second try; doubles for each further one.
    pause: Duration,
}

/// Why the carrier did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestFailure {
    /// Nothing was sent: what was asked for cannot be said to the carrier.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The credentials were refused.
    #[error(
        "the carrier refused our credentials: check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or \
         TWILIO_API_KEY with TWILIO_API_SECRET"
    )]
    Unauthorized,
    /// There is no such call any more.
    #[error("the call is over already")]
    Gone,
    /// Refused for good.
    #[error("the carrier refused{}", code.map(|code| format!(" with error {code}, see \
             https://www.twilio.com/docs/api/errors/{code}")).unwrap_or_default())]
    Refused {
        /// The carrier's error code.
        code: Option<u32>,
    },
    /// No answer that counts came in time.
    #[error("given up after {tries} tries: {last}")]
    GivenUp {
        /// How often it was tried.
        tries: u32,
        /// What went wrong the last time.
        last: String,
    },
}

impl From<&str> for RestFailure {
    fn from(what: &str) -> Self {
        Self::NotSent(what.to_owned())
    }
}

impl From<RestError> for RestFailure {
    fn from(error: RestError) -> Self {
        Self::NotSent(error.to_string())
    }
}

impl From<TwimlError> for RestFailure {
    fn from(error: TwimlError) -> Self {
        Self::NotSent(error.to_string())
    }
}

impl TwilioRest {
    /// Sets up the connection pool; nothing is sent.
    ///
    /// # Errors
    /// The HTTP client cannot be built; a fault of the host.
    pub fn new(access: RestAccess) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .tls_backend_preconfigured((*tls::client_config()).clone())
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("cordboard/", env!("CARGO_PKG_VERSION")))
            .timeout(TRY_DEADLINE)
            .build()?;
        Ok(Self { client, access, pause: PAUSE })
    }

    /// Ends a call, also one that still rings. A call that is over already is a success.
    ///
    /// # Errors
    /// See [`RestFailure`].
    pub async fn hang_up(&self, call_sid: &str) -> Result<(), RestFailure> {
        match self.send(twilio::hang_up_call(&self.access.account_sid, call_sid)?).await {
            Err(RestFailure::Gone) => Ok(()),
            sent => sent,
        }
    }

    /// Connects the caller to somebody else; the stream stops. The call ends with that conversation.
    ///
    /// # Errors
    /// See [`RestFailure`].
    pub async fn transfer(
        &self,
        call_sid: &str,
        to: &str,
        caller_id: Option<&str>,
    ) -> Result<(), RestFailure> {
        let twiml = twilio::dial(to, caller_id, None)?;
        self.update(call_sid, &twiml).await
    }

    /// Presses keys towards the far end, then opens the stream again under a new id: the carrier has
    /// no other way to send keys.
    ///
    /// # Errors
    /// See [`RestFailure`].
    pub async fn press_keys(
        &self,
        call_sid: &str,
        keys: &str,
        stream: &ConnectStream<'_>,
    ) -> Result<(), RestFailure> {
        let twiml = twilio::play_digits_then_connect(keys, stream)?;
        self.update(call_sid, &twiml).await
    }

    async fn update(&self, call_sid: &str, twiml: &str) -> Result<(), RestFailure> {
        self.send(twilio::update_call(&self.access.account_sid, call_sid, twiml)?).await
    }

    async fn send(&self, request: RestRequest) -> Result<(), RestFailure> {
        let deadline = Instant::now() + DEADLINE;
        let mut tries = 0;
        loop {
            tries += 1;
            let answered = timeout_at(deadline, self.try_once(&request));
            let last = match answered.await.unwrap_or(Err("no answer in time".to_owned())) {
                Ok((status, Outcome::Retry)) => format!("HTTP {status}"),
                Ok((_, Outcome::Done)) => return Ok(()),
                Ok((_, Outcome::AlreadyGone)) => return Err(RestFailure::Gone),
                Ok((_, Outcome::Unauthorized)) => return Err(RestFailure::Unauthorized),
                Ok((_, Outcome::Refused { code })) => return Err(RestFailure::Refused { code }),
                Err(last) => last,
            };
            let pause = with_chance(self.pause * 2_u32.pow(tries - 1));
            if tries == TRIES_MAX || Instant::now() + pause >= deadline {
                return Err(RestFailure::GivenUp { tries, last });
            }
            debug!(tries, last, "the carrier's REST interface is asked again");
            sleep(pause).await;
        }
    }

    async fn try_once(&self, request: &RestRequest) -> Result<(u16, Outcome), String> {
        let url = format!("{}{}", self.access.base_url, request.path);
        let mut answer = self
            .client
            .post(url)
            .basic_auth(&self.access.user, Some(self.access.password.expose()))
            .form(&request.form)
            .send()
            .await
            .map_err(describe)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while body.len() < ANSWER_BYTES_MAX
            && let Some(chunk) = answer.chunk().await.map_err(describe)?
        {
            body.extend_from_slice(&chunk);
        }
        let body = String::from_utf8_lossy(&body);
        Ok((status, twilio::classify(status, &body)))
    }
}

/// Lengthens a pause by up to as much again, so that a hundred calls that were refused together do not
/// come back together.
fn with_chance(pause: Duration) -> Duration {
    let mut chance = [0; 1];
    // Without randomness they come back together, which the carrier survives.
    match getrandom::fill(&mut chance) {
        Ok(()) => pause + pause.mul_f64(f64::from(chance[0]) / 255.0),
        Err(_) => pause,
    }
}

/// The URL holds the account and the call, so it is left out.
fn describe(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// For all tries together: nobody wants a transfer any more after that.
const DEADLINE: Duration = Duration::from_secs(10);

/// For one try.
const TRY_DEADLINE: Duration = Duration::from_secs(4);

const TRIES_MAX: u32 = 4;

const PAUSE: Duration = Duration::from_millis(250);

/// The carrier's answers are under 4 KiB; what is longer is not read to its end.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
