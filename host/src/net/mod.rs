//! Sockets and what is needed to open them: listening, WebSockets, TLS, tenants' HTTP requests.

pub(crate) mod listen;
pub mod outbound_http;
pub mod socket;
pub mod tls;
