//! Name → address → TCP connection.
//! Does not wait for one dead address while another one lives (RFC 8305, in short).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};

use crate::upstream::error::UpstreamError;

/// When the next address is tried beside the one that has not answered (RFC 8305 section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// A provider may think for minutes without sending a byte: shorter than the shortest idle limit of a NAT gateway
/// in use (350 s at AWS, 240 s at Azure).
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Between probes; a dead peer is seen after the system's usual nine.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Connects to the first address of `host` that answers.
pub(crate) async fn dial(host: &str, port: u16) -> Result<TcpStream, UpstreamError> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => lookup_host((host, port)).await.map_err(UpstreamError::Dns)?.collect(),
    };
    let stream = first_to_answer(alternating(addresses)).await.map_err(UpstreamError::Connect)?;
    tune(&stream).map_err(UpstreamError::Connect)?;
    Ok(stream)
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

async fn first_to_answer(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = waiting.next() {
            trying.push(TcpStream::connect(address));
        } else if trying.is_empty() {
            return Err(last_error);
        }
        let pause = tokio::time::sleep(NEXT_ADDRESS_AFTER);
        tokio::select! {
            Some(result) = trying.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = error,
            },
            () = pause => {}
        }
    }
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
    fn address_families_take_turns_beginning_with_the_preferred_one() {
        let address = |text: &str| SocketAddr::new(text.parse().expect("valid"), 1);
        let [a, b, c, v4] = [address("::1"), address("::2"), address("::3"), address("127.0.0.1")];
        assert_eq!(alternating(vec![a, b, c, v4]), [a, v4, b, c]);
        assert_eq!(alternating(vec![v4, a]), [v4, a]);
        assert_eq!(alternating(vec![]), []);
    }
}
