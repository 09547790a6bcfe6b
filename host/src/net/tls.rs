//! The one place where TLS is set up: rustls, ring, the system's roots and Mozilla's.

use std::sync::{Arc, LazyLock};

use rustls::{ClientConfig, RootCertStore};

use crate::renewable::Renewable;

/// Returns the configuration for every outgoing TLS connection.
///
/// The roots are read from disk once, and when the operator asks, for reading them costs more than the
/// handshake; a connection keeps those it began with. Both sets are trusted: the system's for an operator's
/// own authority, Mozilla's because small container images have no system set.
pub fn client_config() -> Arc<ClientConfig> {
    CONFIG.now()
}

/// Reads the roots from disk again, for connections that begin from now on. Clients that hold a
/// configuration have to be built anew.
pub(crate) fn read_roots_again() {
    CONFIG.renew(read_config());
}

static CONFIG: LazyLock<Renewable<ClientConfig>> = LazyLock::new(|| Renewable::new(read_config()));

fn read_config() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "a system root certificate is not readable");
    }
    roots.add_parsable_certificates(native.certs);
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // The provider is named here and not installed for the process: a library that picks another
    // one can then not change what our connections use.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
