//! An upstream, parsed once from an account's base URL and egress.
//! Never prints the egress proxy's password.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Uri;
use http::uri::Authority;
use penstock_proto::secret::Secret;
use penstock_proto::snapshot::Egress;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

/// Where a request goes: an origin, and what its paths begin with.
///
/// Cheap to clone. Targets with equal origins share connections, whatever their path prefix.
#[derive(Debug, Clone)]
pub struct Target {
    origin: Arc<Origin>,
    prefix: Box<str>,
    authority: Authority,
}

/// What a connection is made to. Two equal origins may use each other's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// TLS or not.
    pub(crate) scheme: Scheme,
    /// Name or address, without brackets.
    pub(crate) host: Box<str>,
    /// TCP port.
    pub(crate) port: u16,
    /// Which protocol versions may be used.
    pub(crate) versions: Versions,
    /// Asked for a tunnel.
    pub(crate) proxy: Option<EgressProxy>,
    /// Trusted besides the usual roots; the PEM it was read from.
    pub(crate) ca_bundle: Option<Arc<str>>,
}

/// The scheme of a base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plaintext.
    Http,
    /// TLS.
    Https,
}

/// Which HTTP versions may be used with an upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Versions {
    /// What TLS ALPN agrees on, HTTP/2 preferred; HTTP/1.1 over plaintext.
    #[default]
    Negotiated,
    /// Only HTTP/1.1.
    Http1,
    /// Only HTTP/2; over plaintext by prior knowledge.
    Http2,
}

/// An HTTP proxy that opens tunnels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EgressProxy {
    /// Name or address, without brackets.
    pub(crate) host: Box<str>,
    /// TCP port.
    pub(crate) port: u16,
    /// Value of `proxy-authorization`.
    pub(crate) authorization: Option<Secret>,
}

/// Why a base URL or egress cannot be used. Does not repeat the URL: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Not `http://host[:port][/path]` or `https://…`.
    #[error("the base URL is not an absolute http or https URL")]
    BaseUrl,
    /// User names belong into credentials, queries into requests.
    #[error("the base URL has a user part or a query")]
    BaseUrlParts,
    /// The host is neither a DNS name nor an IP address.
    #[error("the base URL's host is not valid")]
    Host,
    /// Not `http://[user:password@]host[:port]`.
    #[error("the egress proxy is not an http URL of host and port")]
    Proxy,
    /// No certificate, or not PEM.
    #[error("the CA bundle holds no PEM certificate")]
    CaBundle,
}

impl Target {
    /// Parses an account's base URL and egress.
    pub fn parse(base_url: &str, egress: &Egress) -> Result<Self, InvalidTarget> {
        let uri: Uri = base_url.parse().map_err(|_| InvalidTarget::BaseUrl)?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("https") => (Scheme::Https, 443),
            _ => return Err(InvalidTarget::BaseUrl),
        };
        let authority = uri.authority().ok_or(InvalidTarget::BaseUrl)?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(InvalidTarget::BaseUrlParts);
        }
        let port = authority.port_u16().unwrap_or(default_port);
        let host = bare_host(authority.host());
        ServerName::try_from(host).map_err(|_| InvalidTarget::Host)?;
        let shown = if port == default_port { authority.host() } else { authority.as_str() };
        let origin = Origin {
            scheme,
            host: host.to_ascii_lowercase().into(),
            port,
            versions: Versions::default(),
            proxy: egress.proxy_url.as_deref().map(EgressProxy::parse).transpose()?,
            ca_bundle: egress.ca_bundle_pem.as_deref().map(checked_bundle).transpose()?,
        };
        Ok(Self {
            origin: Arc::new(origin),
            prefix: uri.path().trim_end_matches('/').into(),
            authority: shown.parse().map_err(|_| InvalidTarget::Host)?,
        })
    }

    /// The same target, with other HTTP versions than the default.
    #[must_use]
    pub fn with_versions(mut self, versions: Versions) -> Self {
        Arc::make_mut(&mut self.origin).versions = versions;
        self
    }

    /// The host, without port and brackets; for spans and messages.
    pub fn host(&self) -> &str {
        &self.origin.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.origin.port
    }

    /// TLS or not.
    pub fn scheme(&self) -> Scheme {
        self.origin.scheme
    }

    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// What every path begins with; empty or `/…` without a slash at the end.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Value of `host`: without the port where it is the scheme's own.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl Scheme {
    /// As written in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Origin {
    /// The name TLS asks for and checks.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, InvalidTarget> {
        ServerName::try_from(String::from(&*self.host)).map_err(|_| InvalidTarget::Host)
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub(crate) fn authority(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

impl Hash for Origin {
    /// Host and port tell nearly all origins apart; a CA bundle of many KiB is not hashed per request.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.host.hash(state);
        self.port.hash(state);
    }
}

impl EgressProxy {
    fn parse(url: &str) -> Result<Self, InvalidTarget> {
        let uri: Uri = url.parse().map_err(|_| InvalidTarget::Proxy)?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(InvalidTarget::Proxy);
        }
        let authority = uri.authority().ok_or(InvalidTarget::Proxy)?;
        let authorization = authority.as_str().rsplit_once('@').map(|(user, _)| basic(user)).transpose()?;
        let host = bare_host(authority.host()).into();
        Ok(Self { host, port: authority.port_u16().unwrap_or(80), authorization })
    }
}

/// `user:password` as it stands in a URL → value of `proxy-authorization`.
fn basic(user: &str) -> Result<Secret, InvalidTarget> {
    let decoded = percent_decoded(user).ok_or(InvalidTarget::Proxy)?;
    Ok(Secret::new(format!("Basic {}", BASE64.encode(decoded))))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

fn bare_host(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn checked_bundle(pem: &str) -> Result<Arc<str>, InvalidTarget> {
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).peekable();
    if certificates.peek().is_none() || certificates.any(|certificate| certificate.is_err()) {
        return Err(InvalidTarget::CaBundle);
    }
    Ok(pem.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, InvalidTarget> {
        Target::parse(url, &Egress::default())
    }

    #[test]
    fn a_base_url_gives_origin_prefix_and_host_field() {
        let cases = [
            ("https://api.anthropic.com", "api.anthropic.com", 443, "", "api.anthropic.com"),
            ("https://API.Example.com:443/v1/", "api.example.com", 443, "/v1", "API.Example.com"),
            ("http://localhost:11434/a/b", "localhost", 11434, "/a/b", "localhost:11434"),
            ("http://[::1]:8080", "::1", 8080, "", "[::1]:8080"),
        ];
        for (url, host, port, prefix, authority) in cases {
            let target = parse(url).expect(url);
            assert_eq!((target.host(), target.port(), target.prefix()), (host, port, prefix));
            assert_eq!(target.authority().as_str(), authority);
        }
    }

    #[test]
    fn what_is_not_a_plain_base_url_is_refused() {
        let cases = [
            ("", InvalidTarget::BaseUrl),
            ("api.anthropic.com", InvalidTarget::BaseUrl),
            ("/v1", InvalidTarget::BaseUrl),
            ("ftp://example.com", InvalidTarget::BaseUrl),
            ("https://user:pass@example.com", InvalidTarget::BaseUrlParts),
            ("https://example.com/?key=1", InvalidTarget::BaseUrlParts),
            ("https://ex_ample..com", InvalidTarget::Host),
        ];
        for (url, why) in cases {
            assert_eq!(parse(url).err(), Some(why), "{url:?}");
        }
    }

    #[test]
    fn an_egress_that_cannot_be_used_is_refused() {
        for url in ["https://proxy:1", "socks5://proxy:1", "proxy:1", "http://proxy/path", "http://%zz@proxy"]
        {
            let egress = Egress { proxy_url: Some(url.into()), ca_bundle_pem: None };
            let refused = Target::parse("https://example.com", &egress);
            assert_eq!(refused.err(), Some(InvalidTarget::Proxy), "{url:?}");
        }
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        for pem in ["", "not PEM", broken] {
            let egress = Egress { proxy_url: None, ca_bundle_pem: Some(pem.into()) };
            let refused = Target::parse("https://example.com", &egress);
            assert_eq!(refused.err(), Some(InvalidTarget::CaBundle), "{pem:?}");
        }
    }

    #[test]
    fn only_equal_ways_to_an_origin_share_connections() {
        let plain = parse("https://example.com/a").expect("valid");
        assert_eq!(plain.origin(), parse("https://EXAMPLE.com:443/b").expect("valid").origin());
        assert_ne!(plain.origin(), parse("http://example.com:443").expect("valid").origin());
        assert_ne!(plain.origin(), plain.clone().with_versions(Versions::Http1).origin());
        let egress = Egress { proxy_url: Some("http://proxy:3128".into()), ca_bundle_pem: None };
        assert_ne!(plain.origin(), Target::parse("https://example.com", &egress).expect("valid").origin());
    }
}
