//! Opens a connection to an origin: name, TCP, tunnel, TLS, protocol version.

mod dial;
mod tunnel;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::error::{Stage, UpstreamError};
use super::io::UpstreamIo;
use super::target::{Origin, Scheme, Versions};
use super::tls::Tls;

/// An open connection, and the protocol to be spoken on it.
pub(crate) enum Connected {
    Http1(UpstreamIo),
    Http2(UpstreamIo),
}

/// Opens a connection before `deadline` and within `limit`, but not to `own`, where this proxy listens.
pub(crate) async fn connect(
    origin: &Origin,
    tls: &Tls,
    own: Option<SocketAddr>,
    deadline: Instant,
    limit: Duration,
) -> Result<Connected, UpstreamError> {
    let deadline = deadline.min(Instant::now() + limit);
    let steps = async {
        let stream = reach(origin, own).await?;
        match origin.scheme {
            Scheme::Http if origin.versions == Versions::Http2 => {
                Ok(Connected::Http2(UpstreamIo::Plain(stream)))
            }
            Scheme::Http => Ok(Connected::Http1(UpstreamIo::Plain(stream))),
            Scheme::Https => secure(origin, tls, stream).await,
        }
    };
    timeout_at(deadline, steps).await.unwrap_or(Err(UpstreamError::Timeout(Stage::Connect)))
}

/// A TCP connection that ends at the origin.
async fn reach(origin: &Origin, own: Option<SocketAddr>) -> Result<TcpStream, UpstreamError> {
    let Some(proxy) = &origin.proxy else { return dial::dial(&origin.host, origin.port, own).await };
    let mut stream = dial::dial(&proxy.host, proxy.port, own).await?;
    tunnel::open(&mut stream, proxy, &origin.authority()).await?;
    Ok(stream)
}

async fn secure(origin: &Origin, tls: &Tls, stream: TcpStream) -> Result<Connected, UpstreamError> {
    let name = origin.server_name().map_err(|error| UpstreamError::Tls(std::io::Error::other(error)))?;
    let connector = tls.connector(origin).map_err(UpstreamError::Tls)?;
    let stream = connector.connect(name, stream).await.map_err(UpstreamError::Tls)?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2") || origin.versions == Versions::Http2;
    let io = UpstreamIo::Tls(Box::new(stream));
    Ok(if is_http2 { Connected::Http2(io) } else { Connected::Http1(io) })
}
