//! Trusted roots and TLS settings towards upstreams.
//! Roots are loaded once per process, at the first TLS connection: they cost some hundred KiB and ten milliseconds,
//! which a proxy that only talks plaintext never pays.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rustls::client::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{RootCertStore, crypto};
use tokio_rustls::TlsConnector;

use super::target::{Origin, Versions};

/// CA bundles in use at a time: one per account that has its own. When an owner has rotated more than that, the
/// settings (not the connections) are made anew.
const MAX_SETTINGS: usize = 64;

/// Trusted roots and TLS sessions; one for all workers of the process. Cheap to make.
#[derive(Debug, Default)]
pub struct Tls {
    roots: OnceLock<RootCertStore>,
    /// Sessions are resumed within one of these.
    settings: Mutex<HashMap<Key, Arc<ClientConfig>>>,
}

/// What settings depend on: the CA bundle and the versions to be offered.
type Key = (Option<Arc<str>>, Versions);

impl Tls {
    /// What to connect to this origin with.
    pub(crate) fn connector(&self, origin: &Origin) -> io::Result<TlsConnector> {
        let key = (origin.ca_bundle.clone(), origin.versions);
        if let Some(config) = self.settings.lock().get(&key) {
            return Ok(Arc::clone(config).into());
        }
        let config = Arc::new(self.config(origin)?);
        let mut settings = self.settings.lock();
        if settings.len() >= MAX_SETTINGS {
            settings.clear();
        }
        Ok(Arc::clone(settings.entry(key).or_insert(config)).into())
    }

    fn config(&self, origin: &Origin) -> io::Result<ClientConfig> {
        let mut roots = self.roots.get_or_init(usual_roots).clone();
        for certificate in
            origin.ca_bundle.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem.as_bytes()))
        {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = match origin.versions {
            Versions::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Versions::Http1 => vec![b"http/1.1".to_vec()],
            Versions::Http2 => vec![b"h2".to_vec()],
        };
        Ok(config)
    }
}

/// Mozilla's roots, and the platform's where they can be read: a company's own CA is usually installed there.
fn usual_roots() -> RootCertStore {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let native = rustls_native_certs::load_native_certs();
    let (added, ignored) = roots.add_parsable_certificates(native.certs);
    tracing::debug!(added, ignored, errors = native.errors.len(), "the platform's trusted roots were read");
    roots
}
