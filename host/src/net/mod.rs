//! Sockets and what is needed to open them: listening, WebSockets, TLS, tenants' HTTP requests.

mod impatient;
pub(crate) mod listen;
pub mod outbound_http;
mod places;
pub mod proxies;
pub mod socket;
pub mod tls;
