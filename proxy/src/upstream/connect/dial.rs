//! Name → address → TCP connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tracing::warn;

use crate::dial::first_to_answer;
use crate::upstream::error::UpstreamError;

/// A provider may think for minutes without sending a byte: shorter than the shortest idle limit of a NAT gateway
/// in use (350 s at AWS, 240 s at Azure).
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Between probes; a dead peer is seen after the system's usual nine.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Connects to the first address of `host` that answers, unless that is `own`, where this proxy listens: an account that
/// leads there would be asked in a circle, until there are no more connections to be had.
pub(crate) async fn dial(host: &str, port: u16, own: Option<SocketAddr>) -> Result<TcpStream, UpstreamError> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => lookup_host((host, port)).await.map_err(UpstreamError::Dns)?.collect(),
    };
    let stream = first_to_answer(alternating(addresses)).await.map_err(UpstreamError::Connect)?;
    let (near, far) = ends(&stream).map_err(UpstreamError::Connect)?;
    if own.is_some_and(|own| is_own(own, near, far)) {
        warn!(host, port, "an account's base URL leads back to this proxy; give the provider's own");
        return Err(UpstreamError::Connect(io::Error::other("it is this proxy itself")));
    }
    tune(&stream).map_err(UpstreamError::Connect)?;
    Ok(stream)
}

fn ends(stream: &TcpStream) -> io::Result<(SocketAddr, SocketAddr)> {
    Ok((stream.local_addr()?, stream.peer_addr()?))
}

/// Whether the far end is where a listener listens, at one address or (`0.0.0.0`, `::`) at all of this machine.
fn is_own(listener: SocketAddr, near: SocketAddr, far: SocketAddr) -> bool {
    let everywhere = listener.ip().is_unspecified() && far.ip() == near.ip();
    far.port() == listener.port() && (far.ip() == listener.ip() || everywhere)
}

/// The resolver's order of preference, but families take turns.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let longest = first.len().max(second.len());
    let turns = (0..longest).flat_map(|turn| [first.get(turn), second.get(turn)]);
    turns.flatten().copied().collect()
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_where_the_proxy_itself_listens_is_known() {
        let at = |text: &str| text.parse().expect("valid");
        for (listener, near, far, own) in [
            ("127.0.0.1:8080", "127.0.0.1:40000", "127.0.0.1:8080", true),
            ("0.0.0.0:8080", "127.0.0.1:40000", "127.0.0.1:8080", true),
            ("[::]:8080", "10.0.0.5:40000", "10.0.0.5:8080", true),
            ("127.0.0.1:8080", "127.0.0.1:40000", "127.0.0.1:8081", false),
            ("0.0.0.0:8080", "10.0.0.5:40000", "10.0.0.6:8080", false),
            ("127.0.0.1:8080", "10.0.0.5:40000", "10.0.0.5:8080", false),
        ] {
            assert_eq!(is_own(at(listener), at(near), at(far)), own, "{listener} {far}");
        }
    }

    #[test]
    fn address_families_take_turns_beginning_with_the_preferred_one() {
        let address = |text: &str| SocketAddr::new(text.parse().expect("valid"), 1);
        let [a, b, c, v4] = [address("::1"), address("::2"), address("::3"), address("127.0.0.1")];
        assert_eq!(alternating(vec![a, b, c, v4]), [a, v4, b, c]);
        assert_eq!(alternating(vec![v4, a]), [v4, a]);
        assert_eq!(alternating(vec![]), []);
    }
}
