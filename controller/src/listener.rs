//! Connections whose TLS handshake succeeded, for the listeners that proxies and the API server call; and how a
//! listener takes its leave of clients that keep their connections.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use http::HeaderValue;
use http::header::CONNECTION;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// A peer that does not finish its TLS handshake in this time is let go.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes at the same time: a fleet that reconnects all at once queues in the kernel.
const HANDSHAKES: usize = 256;

/// A TLS listener as `axum::serve` takes it.
pub struct TlsListener {
    connections: Pin<Box<dyn Stream<Item = io::Result<TlsStream<TcpStream>>> + Send>>,
    address: SocketAddr,
}

impl TlsListener {
    /// # Errors
    /// If the listener has no address.
    pub fn new(listener: TcpListener, tls: Arc<ServerConfig>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { connections: Box::pin(handshakes(listener, tls)), address })
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Some(Ok(stream)) = self.connections.next().await {
                let peer = stream.get_ref().0.peer_addr().unwrap_or(self.address);
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// Serves until `stop`, and for `last_calls` more, in which each answer sends its client to another connection. Whoever
/// keeps a connection and calls just as it is closed gets no answer, so that only those are closed that nobody used.
///
/// # Errors
/// Those of the listener.
pub async fn serve_and_leave<L>(
    listener: L,
    router: Router,
    stop: CancellationToken,
    last_calls: Duration,
) -> io::Result<()>
where
    L: axum::serve::Listener<Addr: Debug>,
{
    let leaving = stop.clone();
    let router = router.layer(map_response(move |mut response: Response| {
        if leaving.is_cancelled() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        std::future::ready(response)
    }));
    let left = async move {
        stop.cancelled().await;
        tokio::time::sleep(last_calls).await;
    };
    axum::serve(listener, router).with_graceful_shutdown(left).await
}

/// Whichever handshake is done first. Those that fail are the peer's to explain.
pub fn handshakes(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
    let accepted = stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        if accepted.is_err() {
            // Out of file descriptors, most likely: some will be free in a moment.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Some((accepted, listener))
    });
    let acceptor = TlsAcceptor::from(tls);
    accepted
        .map(move |accepted| {
            let acceptor = acceptor.clone();
            async move {
                let stream = accepted.ok()?;
                stream.set_nodelay(true).ok()?;
                let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
                handshake
                    .await
                    .ok()?
                    .inspect_err(|error| tracing::debug!(%error, "a TLS handshake failed"))
                    .ok()
            }
        })
        .buffer_unordered(HANDSHAKES)
        .filter_map(|stream| std::future::ready(stream.map(Ok)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_kept_connection_is_answered_once_more_and_then_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, router) = (CancellationToken::new(), Router::new().route("/", get(async || "here")));
        let long = Duration::from_secs(600);
        let serving = serve_and_leave(listener, router, stop.clone(), long);
        let client = async {
            let mut connection = TcpStream::connect(address).await.unwrap();
            let mut first = Vec::new();
            connection.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
            while !first.ends_with(b"here") {
                assert!(connection.read_buf(&mut first).await.unwrap() > 0, "closed");
            }
            stop.cancel();
            let mut last = String::new();
            connection.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
            connection.read_to_string(&mut last).await.unwrap();
            (first, last)
        };
        let (first, last) = tokio::select! {
            answers = client => answers,
            ended = serving => panic!("nobody serves: {ended:?}"),
        };
        assert!(last.starts_with("HTTP/1.1 200") && last.ends_with("here"), "{last}");
        assert!(last.contains("connection: close") && !first.windows(5).any(|it| it == b"close"), "{last}");
    }
}
