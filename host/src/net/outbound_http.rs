//! Carries out the HTTP requests that tenants ask for.
//!
//! **One rule: a tenant reaches only what its operator listed, and never sees a secret.** A request must
//! match the tenant's [`HttpPolicy`]; secrets, each for its own servers, are put into header values here, after the tenant, and
//! taken out of the answer again should the server echo them. Redirects are not followed: the tenant
//! gets the 3xx and may ask anew, which is checked anew. A private address is reached only where the
//! operator listed the address itself; a name that resolves to one is refused at the moment of
//! connecting, so a name that changes its address between check and use gains nothing.

mod address;
mod failed;
mod prepare;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordboard_call::contract::{HttpRequest, HttpResponse};
use cordboard_tenant::{HttpBudget, HttpPolicy, OverLimit, Spending};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Method, redirect};

use crate::net::tls;
use crate::secret::Secret;
pub use failed::Failed;
use prepare::{Prepared, Reach, prepare};

/// Bounds of one request; every figure is the same for all tenants.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Bytes of a request's body; the call bounds URL, headers and body together by the same number.
    pub request_bytes_max: usize,
    /// Bytes of an answer's body. It enters a guest whose call may take 256 KiB in all.
    pub response_bytes_max: usize,
    /// Bytes of an answer's header names and values together; headers beyond are left out.
    pub response_header_bytes_max: usize,
    /// For a tenant that names no timeout.
    pub timeout: Duration,
    /// Nobody waits longer on the telephone.
    pub timeout_max: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            request_bytes_max: cordboard_call::Limits::default().http_bytes_max,
            response_bytes_max: 128 * 1024,
            response_header_bytes_max: 16 * 1024,
            timeout: Duration::from_secs(10),
            timeout_max: Duration::from_secs(30),
        }
    }
}

/// The connections over which tenants' requests go; cheap to clone.
#[derive(Debug, Clone)]
pub struct OutboundHttp {
    public: Client,
    anywhere: Client,
    bounds: Bounds,
    secrets: Arc<BTreeMap<String, Secret>>,
}

impl OutboundHttp {
    /// Sets up the connection pools. `secrets` are the operator's, by name; each tenant's policy says
    /// which of them it may name.
    ///
    /// # Errors
    /// The HTTP client cannot be built; a fault of the host.
    pub fn new(bounds: Bounds, secrets: BTreeMap<String, Secret>) -> Result<Self, reqwest::Error> {
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured((*tls::client_config()).clone())
                .redirect(redirect::Policy::none())
                // A proxy from the environment would resolve names behind our back.
                .no_proxy()
                .referer(false)
                .user_agent(concat!("cordboard/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_DEADLINE)
                .pool_max_idle_per_host(8)
        };
        Ok(Self {
            public: builder().dns_resolver(PublicOnly).build()?,
            anywhere: builder().build()?,
            bounds,
            secrets: Arc::new(secrets),
        })
    }

    /// Carries out one request under a tenant's policy and on its account.
    ///
    /// # Errors
    /// What was refused, or how the server failed.
    pub async fn execute(
        &self,
        policy: &HttpPolicy,
        spending: &Spending,
        request: HttpRequest,
    ) -> Result<HttpResponse, Failed> {
        let token = request.token;
        if request.body.len() > self.bounds.request_bytes_max {
            let max = self.bounds.request_bytes_max;
            return Err(format!("refused: the body is larger than {max} bytes").into());
        }
        let method = method(&request.method)?;
        let prepared = prepare(policy, &self.secrets, &request)?;
        let account = Account { spending, budget: policy.budget() };
        // As the tenant wrote it, which is nearly what is sent.
        let headers = request.headers.iter().map(|(name, value)| name.len() + value.len());
        let bytes = request.url.len() + request.body.len() + headers.sum::<usize>();
        spending.request(policy.budget(), bytes as u64, Instant::now())?;
        let timeout = match request.timeout_ms {
            0 => self.bounds.timeout,
            ms => Duration::from_millis(ms.into()).min(self.bounds.timeout_max),
        };
        let client = match prepared.reach {
            Reach::Public => &self.public,
            Reach::Anywhere => &self.anywhere,
        };
        let sending = client
            .request(method, prepared.url.clone())
            .headers(prepared.headers.clone())
            .body(request.body)
            .timeout(timeout)
            .send();
        let answer = match sending.await {
            Ok(answer) => answer,
            Err(error) => return Err(prepared.redact(&describe(error, timeout)).into()),
        };
        let (status, headers, body) = self.read(answer, &prepared, &account, timeout).await?;
        Ok(HttpResponse { token, status, headers, body })
    }

    async fn read(
        &self,
        mut answer: reqwest::Response,
        prepared: &Prepared,
        account: &Account<'_>,
        timeout: Duration,
    ) -> Result<(u16, Vec<(String, String)>, Vec<u8>), Failed> {
        let max = self.bounds.response_bytes_max;
        let status = answer.status().as_u16();
        let all = answer.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
        account.received(all.sum())?;
        let mut headers = Vec::new();
        let mut header_bytes = 0;
        for (name, value) in answer.headers() {
            header_bytes += name.as_str().len() + value.len();
            if header_bytes > self.bounds.response_header_bytes_max {
                break;
            }
            let value = String::from_utf8_lossy(value.as_bytes());
            headers.push((name.as_str().to_owned(), prepared.redact(&value)));
        }
        let mut body = Vec::new();
        let failed = |error| Failed::from(prepared.redact(&describe(error, timeout)));
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            account.received(chunk.len())?;
            if body.len() + chunk.len() > max {
                return Err(format!("the answer is larger than {max} bytes").into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, headers, prepared.redact_bytes(body)))
    }
}

/// Whose bytes an answer is made of.
struct Account<'a> {
    spending: &'a Spending,
    budget: &'a HttpBudget,
}

impl Account<'_> {
    fn received(&self, bytes: usize) -> Result<(), OverLimit> {
        self.spending.received(self.budget, bytes as u64, Instant::now())
    }
}

fn method(text: &str) -> Result<Method, String> {
    // CONNECT and TRACE would let a tenant see what was added to its request.
    match text {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => {
            Ok(Method::from_bytes(text.as_bytes()).expect("each of these is a legal method"))
        }
        _ => Err("refused: the method is none of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
            .to_owned()),
    }
}

/// Says how a request failed, without the URL and in one line.
fn describe(error: reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {} ms", timeout.as_millis());
    }
    let failed = if error.is_connect() { "the connection failed" } else { "the exchange failed" };
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("{failed}: {innermost}")
}

/// Resolves names to public addresses only.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // Port 0 is replaced by the client with the port of the URL.
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| !address::is_private(address.ip()))
                .collect();
            if public.is_empty() && !found.is_empty() {
                return Err(PRIVATE.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Said when a name or literal leads into a private network.
const PRIVATE: &str = "refused: the name leads to a private address; the operator may list the address itself in http.allow";

/// A server that takes longer to accept is down, as far as a caller is concerned.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
