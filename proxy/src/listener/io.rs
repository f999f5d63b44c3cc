//! A client's connection.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::stalled::Stalled;
use crate::io::Io;

/// Of a client that may not stop reading for ever.
pub(super) type ClientIo = Io<Stalled<TcpStream>, TlsStream<Stalled<TcpStream>>>;

impl ClientIo {
    /// `Pending` while there is certainly nothing to read, so that a reader need not hold a buffer while it waits.
    pub(super) fn poll_maybe_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.get_ref().poll_read_ready(cx),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Lets the connection end with a reset: the client must not take its end for that of an answer.
    pub(super) fn abort(&self) {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        };
        // Where it cannot be set, there is no connection to be misunderstood.
        let _ = SockRef::from(socket.get_ref()).set_linger(Some(Duration::ZERO));
    }
}
