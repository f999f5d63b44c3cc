//! Whether a call of the management API may come from a page of its own, or from a page of somebody else that a
//! browser was tricked into sending with what it holds.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// Names by which browsers reach the dashboard, besides its addresses and localhost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicHosts(BTreeSet<String>);

/// Not a name of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not the name of a host, without scheme and port")]
pub struct InvalidHost {
    /// What was given.
    pub given: String,
}

/// What of a call says where it comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origins<'a> {
    /// Whom it was sent to: `Host`, with its port if it says one. Browsers always send it.
    pub host: Option<&'a str>,
    /// The page that sent it: `Origin`.
    pub origin: Option<&'a str>,
    /// Whether a browser added what it holds.
    pub has_cookie: bool,
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Anybody can point a name of theirs at this address (DNS rebinding), and a browser believes it is one site.
    Host,
    /// A page of another site sent it.
    Origin,
}

impl PublicHosts {
    /// Reads names.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidHost> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        let read = |given: &'a str| {
            if given.is_empty() || given.len() > 253 || !given.bytes().all(good) {
                return Err(InvalidHost { given: given.to_owned() });
            }
            Ok(given.to_ascii_lowercase())
        };
        names.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    fn has(&self, host: &str) -> bool {
        self.0.contains(&name_of(host).to_ascii_lowercase())
    }
}

/// Whether a call may be what it looks like.
///
/// # Errors
/// If a page of somebody else may have caused it.
pub fn judge(call: Origins<'_>, public: &PublicHosts) -> Result<(), Foreign> {
    let Origins { host, origin, has_cookie } = call;
    let Some(host) = host else { return Ok(()) };
    if has_cookie && !is_address_or_localhost(host) && !public.has(host) {
        return Err(Foreign::Host);
    }
    // `null` is a page that hides where it is from.
    let from = origin.map(|origin| origin.split_once("://").map_or("", |(_, from)| from));
    match from {
        Some(from) if !from.eq_ignore_ascii_case(host) && !public.has(from) => Err(Foreign::Origin),
        _ => Ok(()),
    }
}

fn is_address_or_localhost(host: &str) -> bool {
    let name = name_of(host);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Without the port, and the brackets of an address.
fn name_of(host: &str) -> &str {
    let is_port = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    name.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(host: &str, origin: Option<&str>, has_cookie: bool) -> Result<(), Foreign> {
        let public = PublicHosts::parse(["Penstock.example.com"]).unwrap();
        judge(Origins { host: Some(host), origin, has_cookie }, &public)
    }

    #[test]
    fn a_browser_reaches_the_dashboard_by_address_as_localhost_and_by_the_names_that_were_said() {
        for host in
            ["127.0.0.1:8090", "[::1]:8090", "localhost", "penstock.example.com", "PENSTOCK.example.com:443"]
        {
            assert_eq!(judged(host, None, true), Ok(()), "{host}");
        }
        for host in
            ["evil.example:8090", "example.com", "x.penstock.example.com", "penstock.llm.svc:8090", ""]
        {
            assert_eq!(judged(host, None, true), Err(Foreign::Host), "{host}");
        }
        assert_eq!(judged("penstock.llm.svc:8090", None, false), Ok(()), "a program with a token");
    }

    #[test]
    fn a_page_of_another_site_is_refused_whatever_it_shows() {
        for has_cookie in [true, false] {
            let from = |host, origin| judged(host, Some(origin), has_cookie);
            assert_eq!(from("127.0.0.1:8090", "http://127.0.0.1:8090"), Ok(()));
            assert_eq!(from("penstock.example.com", "https://penstock.example.com"), Ok(()));
            assert_eq!(
                from("127.0.0.1:8090", "https://penstock.example.com:8443"),
                Ok(()),
                "Host was rewritten"
            );
            for foreign in ["http://evil.example", "https://example.com", "http://127.0.0.1:1", "null", ""] {
                assert_eq!(from("127.0.0.1:8090", foreign), Err(Foreign::Origin), "{foreign}");
            }
        }
    }

    #[test]
    fn a_public_host_is_a_name_and_nothing_more() {
        for wrong in ["", "https://a.example", "a.example:443", "a b", "*.example", "a/b"] {
            assert!(PublicHosts::parse([wrong]).is_err(), "{wrong:?}");
        }
    }
}
