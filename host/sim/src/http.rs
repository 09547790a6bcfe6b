//! How the simulators, and the tests around them, ask over HTTP.

use std::sync::Arc;

use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};

/// Begins a client that goes straight to the server it is given: no proxy of the environment takes
/// part. It trusts Mozilla's authorities.
///
/// # Panics
///
/// Never: ring supports the versions of TLS that rustls asks of it.
pub fn client() -> ClientBuilder {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // The provider is named here: reqwest would look for one installed for the whole process.
    let tls =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
    Client::builder().no_proxy().tls_backend_preconfigured(tls)
}
