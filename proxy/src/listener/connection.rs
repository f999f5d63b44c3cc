//! One client connection: which protocol it speaks, and its limits.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::http1::{self, MAX_HEAD};
use super::io::ClientIo;
use super::stalled::Stalled;
use crate::body::Incoming;
use crate::head::RequestHead;
use crate::pipeline::Worker;

/// What an HTTP/2 stream may hold for writing, bytes.
const SEND_BUFFER: usize = 64 << 10;

/// Requests in flight on one HTTP/2 connection.
const MAX_STREAMS: u32 = 250;

/// Request body bytes in flight per HTTP/2 stream and connection.
const H2_WINDOW: u32 = 1 << 20;

/// How often a silent HTTP/2 peer is asked whether it is still there; gone after as long again.
const H2_PING: Duration = Duration::from_secs(30);

/// How the bytes of an HTTP/2 connection begin. No HTTP/1 request does.
const PREFACE_START: &[u8] = b"PRI ";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    tls: Option<Arc<TlsAcceptor>>,
    worker: Worker,
) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let bounds = worker.state().config.bounds;
    let stream = Stalled::new(stream, bounds.write_progress);
    match tls {
        None => {
            let first = timeout(bounds.idle_timeout, begins_as_http2(stream.get_ref()));
            let http2 = tokio::select! {
                http2 = first => http2??,
                // Nothing was asked yet.
                () = leaves(&worker) => return Ok(()),
            };
            if http2 {
                speak_http2(stream, worker).await
            } else {
                Ok(http1::serve(ClientIo::Plain(stream), worker).await?)
            }
        }
        // Boxed: the state of TLS is some KiB that cleartext connections need not keep room for.
        Some(acceptor) => Box::pin(serve_tls(stream, acceptor, worker)).await,
    }
}

/// Until idle connections are closed because the proxy stops.
async fn leaves(worker: &Worker) {
    worker.state().shutdown.drain.cancelled().await;
    tokio::time::sleep(worker.state().config.bounds.drain_idle).await;
}

async fn serve_tls(
    stream: Stalled<TcpStream>,
    acceptor: Arc<TlsAcceptor>,
    worker: Worker,
) -> Result<(), Failure> {
    let handshake = timeout(worker.state().config.bounds.head_timeout, acceptor.accept(stream));
    let stream = tokio::select! {
        stream = handshake => stream??,
        () = leaves(&worker) => return Ok(()),
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        speak_http2(stream, worker).await
    } else {
        Ok(http1::serve(ClientIo::Tls(Box::new(stream)), worker).await?)
    }
}

/// Looks at the first bytes without taking them. A client that speaks HTTP/2 by prior knowledge sends
/// its whole preface at once.
async fn begins_as_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; PREFACE_START.len()];
    let length = stream.peek(&mut start).await?;
    Ok(&start[..length] == PREFACE_START)
}

async fn speak_http2<S>(stream: S, worker: Worker) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let drain = worker.state().shutdown.drain.clone();
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let worker = worker.clone();
        let (head, incoming) = request.into_parts();
        let head = RequestHead::from(head);
        // Boxed, so that a stream does not hold the memory of its request's stages.
        let answer = Box::pin(async move { worker.handle(head, Incoming::Http2(incoming)).await });
        async move { Ok::<_, Infallible>(http::Response::from(answer.await)) }
    });
    // Boxed where it is made: held in this future, it would take its room two and three times over.
    let mut connection = Box::pin(h2().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        biased;
        ended = connection.as_mut() => return Ok(ended?),
        () = drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

fn h2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(H2_WINDOW)
        .initial_connection_window_size(H2_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING);
    builder
}
