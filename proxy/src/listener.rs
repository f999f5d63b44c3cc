//! The workload listener: sockets, TLS, HTTP/1.1 and HTTP/2 from clients, one task per connection.
//! Never looks into a request; what it refuses (malformed framing, heads too large or too slow) never
//! reaches the pipeline.
//!
//! | module | what it does |
//! |---|---|
//! | [`connection`] | which protocol a connection speaks |
//! | [`http1`] | our own codec of HTTP/1.1 |
//! | [`tls`] | certificate and key |
//! | [`io`] | a client's connection |
//! | [`stalled`] | the limit on how long a client takes nothing |

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::pipeline::Worker;
use crate::upstream::Spawner;

mod connection;
mod http1;
mod io;
mod stalled;
mod tls;

pub(crate) use http1::Upload;
pub(crate) use tls::{TlsError, acceptor};

/// Connections the kernel holds for us while we are busy.
const BACKLOG: i32 = 1_024;

/// Pause after a failed accept (no file descriptors left), so that it does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds the port once per worker. With several, the kernel spreads connections over them.
pub(crate) fn bind(address: SocketAddr, workers: usize) -> std::io::Result<Vec<std::net::TcpListener>> {
    let first = bind_one(address, workers > 1)?;
    let bound = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..workers {
        listeners.push(bind_one(bound, true)?);
    }
    Ok(listeners)
}

fn bind_one(address: SocketAddr, shared: bool) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Only with several workers: otherwise a second proxy on the same port would go unnoticed.
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts connections until draining, then waits for those that are open, until they end or the stop.
#[expect(clippy::disallowed_methods, reason = "one task per connection, tracked to its end")]
pub(crate) async fn serve(listener: TcpListener, tls: Option<Arc<TlsAcceptor>>, worker: Worker) {
    let open = tokio_util::task::TaskTracker::new();
    let shutdown = worker.state().shutdown.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.drain.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = accept(stream, peer, tls.clone(), worker.clone());
                tokio::spawn(open.track_future(connection));
            }
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    open.close();
    tokio::select! {
        () = open.wait() => {}
        () = shutdown.stop.cancelled() => {}
    }
}

async fn accept(stream: TcpStream, peer: SocketAddr, tls: Option<Arc<TlsAcceptor>>, worker: Worker) {
    let state = Arc::clone(worker.state());
    let _open = state.metrics.connection_opened();
    let ended = connection::serve(stream, tls, worker).await;
    if let Err(error) = ended {
        state.metrics.connection_failed();
        debug!(%peer, error = &*error as &dyn std::error::Error, "a connection ended with an error");
    }
}

/// How the upstream leg runs the drivers of its HTTP/2 connections: one task per connection, too.
#[expect(clippy::disallowed_methods, reason = "one task per connection; it ends with its connection")]
pub(crate) fn spawner() -> Spawner {
    Arc::new(|driver| drop(tokio::spawn(driver)))
}
