//! Connections whose TLS handshake succeeded, for the listeners that proxies and the API server call.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

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
