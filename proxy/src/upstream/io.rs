//! A connection to an upstream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::io::Io;

/// Directly or through a tunnel.
pub(crate) type UpstreamIo = Io<TcpStream, TlsStream<TcpStream>>;

impl UpstreamIo {
    /// `Pending` while there is certainly nothing to read, so that a reader need not hold a buffer while it waits.
    pub(crate) fn poll_maybe_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether an idle connection is still open and nothing has been sent on it that nobody asked for. TLS session
    /// tickets are taken in on the way.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(self).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}
