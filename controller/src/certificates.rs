//! The controller's own certificate authority, and the server certificate of its gRPC listener.
//!
//! The authority is made once and kept in the data folder: `ca.pem` for proxies to trust, `ca.key` for its
//! owner only. To replace it, remove both and start again: proxies read `ca.pem` at every connection.
//! Server certificates live in memory only, end after a month and are replaced after ten days, without a
//! restart and without touching open connections.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use parking_lot::RwLock;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

use crate::tokens::{write_private, write_public};

/// Clients that check it (rustls does not check a trusted root) have time to replace it.
const AUTHORITY_YEARS: i32 = 20;
/// How long a server certificate is valid.
const SERVER_DAYS: i32 = 30;
/// When it is replaced: what fails then can be tried again for twenty days.
const RENEW_AFTER: Duration = Duration::from_hours(10 * 24);
/// After a failure.
const RETRY_AFTER: Duration = Duration::from_mins(10);

/// The authority, and the server certificate in use. Cheap to clone.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    authority: Issuer<'static, KeyPair>,
    names: Vec<String>,
    current: RwLock<Arc<CertifiedKey>>,
    ends: RwLock<Date>,
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
    /// The authority's files do not fit each other or are not what they should be.
    #[error(
        "{path} and the ca.key beside it are no certificate authority ({why}); remove both to have one made"
    )]
    Authority {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
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
        let authority = authority(data, now)?;
        let mut names: Vec<String> = names.to_vec();
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        names.sort_unstable();
        names.dedup();
        let (current, ends) = issue(&authority, &names, now)?;
        Ok(Self(Arc::new(Inner {
            authority,
            names,
            current: RwLock::new(Arc::new(current)),
            ends: RwLock::new(ends),
        })))
    }

    /// Replaces the server certificate: new connections get the new one, open ones go on.
    pub fn renew(&self, now: Timestamp) -> Result<(), CertificateError> {
        let (next, ends) = issue(&self.0.authority, &self.0.names, now)?;
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

fn authority(data: &Path, now: Timestamp) -> Result<Issuer<'static, KeyPair>, CertificateError> {
    let (certificate_path, key_path) = (data.join("ca.pem"), data.join("ca.key"));
    let read = |path: &PathBuf| match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CertificateError::File { step: "read", path: path.clone(), source }),
    };
    match (read(&certificate_path)?, read(&key_path)?) {
        (Some(certificate), Some(key)) => match opened(&certificate, &key) {
            Ok(key) => Ok(Issuer::new(authority_params(now), key)),
            Err(why) => Err(CertificateError::Authority { path: certificate_path, why }),
        },
        (None, None) => {
            let key = KeyPair::generate()?;
            let params = authority_params(now);
            let certificate = params.self_signed(&key)?;
            let at = |path: &PathBuf| {
                let path = path.clone();
                move |source| CertificateError::File { step: "write", path, source }
            };
            // The key first: a certificate without its key would be trusted for nothing.
            write_private(&key_path, key.serialize_pem().as_bytes()).map_err(at(&key_path))?;
            write_public(&certificate_path, certificate.pem().as_bytes()).map_err(at(&certificate_path))?;
            info!(path = %certificate_path.display(), "made a certificate authority");
            Ok(Issuer::new(params, key))
        }
        (Some(_), None) => {
            Err(CertificateError::Authority { path: certificate_path, why: "no ca.key".into() })
        }
        (None, Some(_)) => {
            Err(CertificateError::Authority { path: certificate_path, why: "no ca.pem".into() })
        }
    }
}

/// Checks that both belong together.
fn opened(certificate: &str, key: &str) -> Result<KeyPair, String> {
    let pair = KeyPair::from_pem(key).map_err(|error| error.to_string())?;
    let certificate =
        CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| error.to_string())?;
    CertifiedKey::from_der(vec![certificate], key, &ring::default_provider())
        .map_err(|error| error.to_string())?;
    Ok(pair)
}

/// The name is constant, so that an authority read again issues under the same one.
fn authority_params(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("Penstock controller authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, Span::new().years(AUTHORITY_YEARS));
    params
}

fn issue(
    authority: &Issuer<'static, KeyPair>,
    names: &[String],
    now: Timestamp,
) -> Result<(CertifiedKey, Date), CertificateError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = name("Penstock controller");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let lifetime = Span::new().days(SERVER_DAYS);
    valid(&mut params, now, lifetime);
    let certificate = params.signed_by(&key, authority)?;
    let private =
        PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    let certified =
        CertifiedKey::from_der(vec![certificate.der().clone()], private, &ring::default_provider())?;
    Ok((certified, day(now).saturating_add(lifetime)))
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// From the day before, because clocks differ.
fn valid(params: &mut CertificateParams, now: Timestamp, lifetime: Span) {
    let moment = |date: Date| {
        let part = |value: i8| u8::try_from(value).unwrap_or(1);
        date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    params.not_before = moment(day(now).saturating_sub(Span::new().days(1)));
    params.not_after = moment(day(now).saturating_add(lifetime));
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
