//! Where the database is and how its server proves who it is: `postgres://user:password@host/database` (or
//! libpq's `key=value` form), its `sslmode`, and the authority to trust.
//!
//! | `sslmode` | TLS | the server's certificate |
//! |---|---|---|
//! | `disable` | no | |
//! | `prefer`, or none | if the server has it | verified |
//! | `require`, `verify-full` | yes | verified, with the host's name |
//! | `verify-ca` | yes | verified, whatever name it has |
//!
//! Verified is against the given authority, else against the roots of the platform. With an authority given,
//! there is always TLS. Never repeats the URL: it may hold a password.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Where the database is and how its server proves who it is.
#[derive(Debug, Clone)]
pub struct Target {
    config: Config,
    name: Name,
    roots: Roots,
}

/// Why a URL and an authority lead to no database.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTarget {
    /// Something in the URL is not understood.
    #[error("it is not understood: {source}")]
    Url {
        /// What the parser says; names options, never their values.
        source: tokio_postgres::Error,
    },
    /// Neither form. What was found instead is not said: a password may be part of it.
    #[error("it is neither postgres://user:password@host/database nor options like host=… user=…")]
    Form,
    /// No way to use TLS that we know.
    #[error("its sslmode is none of disable, prefer, require, verify-ca and verify-full")]
    SslMode,
    /// The URL says where its authority is.
    #[error("it has sslrootcert: name the authority's file with --database-ca instead")]
    SslRootCert,
    /// The authority's file cannot be read.
    #[error("the certificates of {path} cannot be read: {source}")]
    Ca {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The authority's file holds none.
    #[error("{path} holds no certificate (PEM)")]
    NoCa {
        /// Which file.
        path: PathBuf,
    },
}

/// Whether the certificate has to name the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Verified,
    Any,
}

#[derive(Debug, Clone)]
enum Roots {
    Platform,
    Given(Vec<CertificateDer<'static>>),
}

impl Target {
    /// Reads a URL (or libpq's `key=value` form) and the file of the authority to trust, if one is given.
    pub fn parse(url: &str, ca: Option<&Path>) -> Result<Self, InvalidTarget> {
        let (url, name) = take_name(url);
        let mut config = match Config::from_str(&url) {
            Ok(config) => config,
            Err(_) if option(&url, "sslrootcert").is_some() => return Err(InvalidTarget::SslRootCert),
            Err(_) if has_unknown_mode(&url) => return Err(InvalidTarget::SslMode),
            Err(source) if is_url(&url) => return Err(InvalidTarget::Url { source }),
            Err(_) => return Err(InvalidTarget::Form),
        };
        let roots = match ca {
            None => Roots::Platform,
            Some(path) => {
                if config.get_ssl_mode() == SslMode::Prefer {
                    config.ssl_mode(SslMode::Require);
                }
                Roots::Given(read(path)?)
            }
        };
        Ok(Self { config, name, roots })
    }

    /// As tokio-postgres calls it.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// How to speak TLS; `None` = in clear.
    pub(super) fn tls(&self) -> Result<Option<ClientConfig>, Error> {
        if !wants_tls(&self.config) {
            return Ok(None);
        }
        let mut roots = RootCertStore::empty();
        // A root that cannot be read is left out; without any, no certificate verifies and connecting says
        // so. `SSL_CERT_FILE` names other roots of the platform.
        match &self.roots {
            Roots::Platform => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)
            }
            Roots::Given(certificates) => roots.add_parsable_certificates(certificates.iter().cloned()),
        };
        let (roots, provider) = (Arc::new(roots), Arc::new(rustls::crypto::ring::default_provider()));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        if self.name == Name::Verified {
            return Ok(Some(builder.with_root_certificates(roots).with_no_client_auth()));
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)));
        Ok(Some(builder.with_no_client_auth()))
    }
}

/// Verified against the roots of the platform, by name.
impl From<&Config> for Target {
    fn from(config: &Config) -> Self {
        Self { config: config.clone(), name: Name::Verified, roots: Roots::Platform }
    }
}

fn wants_tls(config: &Config) -> bool {
    let over_tcp = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
    over_tcp && config.get_ssl_mode() != SslMode::Disable
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidTarget> {
    let unreadable = |source| InvalidTarget::Ca { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(InvalidTarget::NoCa { path: path.to_owned() });
    }
    Ok(certificates)
}

/// tokio-postgres knows no mode that verifies. All of ours do, so for it these are `require`.
fn take_name(url: &str) -> (String, Name) {
    let name = match option(url, "sslmode") {
        Some("verify-full") => Name::Verified,
        Some("verify-ca") => Name::Any,
        _ => return (url.to_owned(), Name::Verified),
    };
    let is_mode = |option: &&str| option.starts_with("sslmode=");
    let mode = options(url).find(is_mode).unwrap_or_default();
    // Where in the text it stands: options are parts of it.
    let at = mode.as_ptr().addr() - url.as_ptr().addr();
    (format!("{}sslmode=require{}", &url[..at], &url[at + mode.len()..]), name)
}

fn has_unknown_mode(url: &str) -> bool {
    option(url, "sslmode").is_some_and(|mode| !["disable", "prefer", "require"].contains(&mode))
}

/// The value of an option, if it stands there plainly.
fn option<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    options(url).find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
}

fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// The options of a URL, or of libpq's form, each as `key=value`.
fn options(url: &str) -> Box<dyn Iterator<Item = &str> + '_> {
    if !is_url(url) {
        let mut quoted = false;
        let mut escaped = false;
        return Box::new(url.split(move |c: char| {
            quoted ^= c == '\'' && !escaped;
            escaped = c == '\\' && !escaped;
            c.is_ascii_whitespace() && !quoted
        }));
    }
    // A password may hold a question mark, what follows it may not be taken for options.
    let host = url.find('@').map_or(url, |at| &url[at..]);
    Box::new(host.split_once('?').map_or("", |(_, options)| options).split('&'))
}

/// Verifies everything but the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            // The name is looked at last: all else was right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_spoken_to_in_clear_and_a_host_over_tls_unless_told_otherwise() {
        use SslMode::{Disable, Prefer, Require};
        for (url, mode, tls, name) in [
            ("host=/run/postgresql user=a", Prefer, false, Name::Verified),
            ("postgres://a@db.example/p", Prefer, true, Name::Verified),
            ("postgres://a@db.example/p?sslmode=disable", Disable, false, Name::Verified),
            ("postgres://a@db.example/p?sslmode=require", Require, true, Name::Verified),
            (
                "postgres://a@db.example/p?sslmode=verify-full&connect_timeout=3",
                Require,
                true,
                Name::Verified,
            ),
            ("postgres://a:x?sslmode=y@db.example/p?sslmode=verify-ca", Require, true, Name::Any),
            ("postgresql://db.example/p?user=a&sslmode=verify-ca", Require, true, Name::Any),
            ("host=db.example password='a sslmode=x' sslmode=verify-ca user=a", Require, true, Name::Any),
            (r"host=db.example password='a\' sslmode=x' sslmode=verify-full", Require, true, Name::Verified),
        ] {
            let target = Target::parse(url, None).unwrap_or_else(|error| panic!("{url}: {error}"));
            let found = (target.config.get_ssl_mode(), wants_tls(&target.config), target.name);
            assert_eq!(found, (mode, tls, name), "{url}");
        }
    }

    #[test]
    fn a_wrong_url_is_refused_with_what_is_wrong_and_without_its_password() {
        for (url, said) in [
            ("postgres://a:hunter2@db.example/p?sslmode=perhaps", "none of disable"),
            ("postgres://a:hunter2@db.example/p?sslmode=allow", "none of disable"),
            ("postgres://a:hunter2@db.example/p?sslrootcert=/ca.pem&sslmode=verify-full", "--database-ca"),
            ("postgres://a:hunter2@db.example/p?colour=red", "colour"),
            ("mysql://a:hunter2@db.example/p", "postgres://"),
        ] {
            let error = Target::parse(url, None).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(said) && !text.contains("hunter2"), "{url}: {text}");
        }
    }

    #[test]
    fn an_authority_that_is_none_is_refused_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let refused = || Target::parse("postgres://a@db/p", Some(&file)).unwrap_err().to_string();
        assert!(refused().contains("cannot be read"));
        std::fs::write(&file, "nothing of the kind").unwrap();
        assert!(refused().contains("holds no certificate"));
        assert!(refused().contains("ca.pem"));
    }
}
