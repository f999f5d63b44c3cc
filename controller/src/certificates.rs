//! The controller's own certificate authority, and the server certificate of its listeners.
//!
//! | module | what it owns |
//! |---|---|
//! | `issue` | making certificates |
//! | `files` | the authority in the data folder: stand-alone |
//! | [`keeper`] | the authority in a Secret that all replicas share: in a cluster |
//! | [`distribute`] | what proxies are to trust, in a ConfigMap of every namespace |
//!
//! Server certificates live in memory only, end after a month and are replaced after ten days, without a
//! restart and without touching open connections. Proxies read what they trust at every connection.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use parking_lot::RwLock;
use penstock_controller_core::authority::{self, Authority};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tracing::{info, warn};

pub mod distribute;
mod files;
mod issue;
pub mod keeper;

use crate::own_secret::SecretError;
use issue::Signer;

/// When a server certificate is replaced: what fails then can be tried again for twenty days.
const RENEW_AFTER: Duration = Duration::from_hours(10 * 24);
/// After a failure.
const RETRY_AFTER: Duration = Duration::from_mins(10);

/// The authority, and the server certificate in use. Cheap to clone.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    names: Vec<String>,
    signing: RwLock<Signing>,
    current: RwLock<Arc<CertifiedKey>>,
    ends: RwLock<Date>,
    bundle: watch::Sender<Arc<str>>,
}

/// Who signs.
struct Signing {
    signer: Signer,
    /// The same in a cluster, with its end.
    authority: Option<Authority>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Something about a file.
    #[error("cannot {step} {path}")]
    File {
        /// What was being done, as `read`.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What should be an authority is none, or its parts do not fit each other.
    #[error("{place} are no certificate authority ({why}); remove them to have one made")]
    Authority {
        /// Where it is kept.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The Secret of the authority.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Issue(#[from] rcgen::Error),
    /// TLS refuses it.
    #[error("TLS refuses the certificate")]
    Tls(#[from] rustls::Error),
}

impl Certificates {
    /// Opens the authority in `data`, or makes it there, and issues a server certificate for `names` (DNS
    /// names and IP addresses; this machine's loopback names are always among them).
    pub fn open(data: &Path, names: &[String], now: Timestamp) -> Result<Self, CertificateError> {
        let (signer, certificate) = files::open(data, now)?;
        Self::new(Signing { signer, authority: None }, &certificate, names, now)
    }

    /// The same with an authority of a cluster.
    pub fn of(authority: Authority, names: &[String], now: Timestamp) -> Result<Self, CertificateError> {
        let bundle = authority.bundle();
        Self::new(Signing::by(authority)?, &bundle, names, now)
    }

    fn new(
        signing: Signing,
        bundle: &str,
        names: &[String],
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let mut names: Vec<String> = names.to_vec();
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        names.sort_unstable();
        names.dedup();
        let (current, ends) = signing.issue(&names, now)?;
        Ok(Self(Arc::new(Inner {
            names,
            signing: RwLock::new(signing),
            current: RwLock::new(Arc::new(current)),
            ends: RwLock::new(ends),
            bundle: watch::Sender::new(Arc::from(bundle)),
        })))
    }

    /// Goes on with another state of the cluster's authority; issues anew if another one signs now.
    pub fn adopt(&self, authority: Authority, now: Timestamp) -> Result<(), CertificateError> {
        let bundle: Arc<str> = authority.bundle().into();
        let same = |held: &Authority| held.signing.certificate == authority.signing.certificate;
        let signs_already = self.0.signing.read().authority.as_ref().is_some_and(same);
        if signs_already {
            self.0.signing.write().authority = Some(authority);
        } else {
            *self.0.signing.write() = Signing::by(authority)?;
            self.renew(now)?;
        }
        self.0.bundle.send_if_modified(|held| {
            let changed = *held != bundle;
            *held = bundle;
            changed
        });
        Ok(())
    }

    /// Replaces the server certificate: new connections get the new one, open ones go on.
    pub fn renew(&self, now: Timestamp) -> Result<(), CertificateError> {
        let (next, ends) = self.0.signing.read().issue(&self.0.names, now)?;
        *self.0.current.write() = Arc::new(next);
        *self.0.ends.write() = ends;
        info!(%ends, "the server certificate was renewed");
        Ok(())
    }

    /// Renews in time, for ever.
    pub async fn run(self) {
        let mut wait = RENEW_AFTER;
        loop {
            tokio::time::sleep(wait).await;
            wait = match self.renew(Timestamp::now()) {
                Ok(()) => RENEW_AFTER,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    warn!(error, "the server certificate could not be renewed; trying again");
                    RETRY_AFTER
                }
            };
        }
    }

    /// The last day on which the current server certificate is valid.
    pub fn ends(&self) -> Date {
        *self.0.ends.read()
    }

    /// What whoever connects is to trust, PEM, as it is and as it becomes.
    pub fn bundle(&self) -> watch::Receiver<Arc<str>> {
        self.0.bundle.subscribe()
    }

    /// TLS of the gRPC listener.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

impl Signing {
    fn by(authority: Authority) -> Result<Self, CertificateError> {
        let authority::Issuer { certificate, key, name, since: _ } = &authority.signing;
        let signer = issue::opened(name, &certificate.pem, key.expose()).map_err(|why| {
            CertificateError::Authority { place: "the Secret's tls.crt and tls.key".into(), why }
        })?;
        Ok(Self { signer, authority: Some(authority) })
    }

    fn issue(&self, names: &[String], now: Timestamp) -> Result<(CertifiedKey, Date), CertificateError> {
        let ends = match &self.authority {
            Some(authority) => authority.server_ends(now),
            None => now.saturating_add(authority::SERVER_LASTS).unwrap_or(Timestamp::MAX),
        };
        issue::server(&self.signer, names, now, ends)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current.read()))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("names", &self.0.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_authority_is_made_once_and_its_key_is_its_owners() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        Certificates::open(dir.path(), &[], now).unwrap();
        let made = std::fs::read(dir.path().join("ca.pem")).unwrap();
        let mode = std::fs::metadata(dir.path().join("ca.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        Certificates::open(dir.path(), &["penstock.llm.svc".to_owned()], now).unwrap();
        assert_eq!(std::fs::read(dir.path().join("ca.pem")).unwrap(), made);
    }

    #[test]
    fn a_key_of_another_authority_is_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&one, &other] {
            Certificates::open(dir.path(), &[], Timestamp::now()).unwrap();
        }
        std::fs::copy(other.path().join("ca.key"), one.path().join("ca.key")).unwrap();
        let error = Certificates::open(one.path(), &[], Timestamp::now()).unwrap_err();
        assert!(matches!(error, CertificateError::Authority { .. }), "{error}");
    }
}
