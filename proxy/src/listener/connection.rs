//! One client connection: which protocol it speaks, and its limits.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::stalled::Stalled;
use crate::pipeline::Worker;

/// Largest request head, bytes: some clients send long tokens and baggage, none comes near this.
const MAX_HEAD: usize = 64 << 10;

/// Most header lines of a request.
const MAX_HEADER_LINES: usize = 128;

/// What a connection reads at once and may hold for writing, bytes. Small, because it is held per open
/// stream; large enough for a whole head.
const BUFFER: usize = MAX_HEAD;

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
    let bounds = &worker.state().config.bounds;
    let (head_timeout, write_progress) = (bounds.head_timeout, bounds.write_progress);
    let stream = Stalled::new(stream, write_progress);
    match tls {
        None => {
            let first = timeout(head_timeout, begins_as_http2(stream.get_ref()));
            let http2 = tokio::select! {
                http2 = first => http2??,
                // Nothing was asked yet.
                () = worker.state().shutdown.drain.cancelled() => return Ok(()),
            };
            speak(stream, http2, worker).await
        }
        // Boxed: the state of TLS is some KiB that cleartext connections need not keep room for.
        Some(acceptor) => Box::pin(serve_tls(stream, acceptor, worker)).await,
    }
}

async fn serve_tls(
    stream: Stalled<TcpStream>,
    acceptor: Arc<TlsAcceptor>,
    worker: Worker,
) -> Result<(), Failure> {
    let handshake = timeout(worker.state().config.bounds.head_timeout, acceptor.accept(stream));
    let stream = tokio::select! {
        stream = handshake => stream??,
        () = worker.state().shutdown.drain.cancelled() => return Ok(()),
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    speak(stream, http2, worker).await
}

/// Looks at the first bytes without taking them. A client that speaks HTTP/2 by prior knowledge sends
/// its whole preface at once.
async fn begins_as_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; PREFACE_START.len()];
    let length = stream.peek(&mut start).await?;
    Ok(&start[..length] == PREFACE_START)
}

async fn speak<S>(stream: S, http2: bool, worker: Worker) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let drain = worker.state().shutdown.drain.clone();
    let head_timeout = worker.state().config.bounds.head_timeout;
    let io = TokioIo::new(stream);
    let service = service_fn(move |request: Request<Incoming>| {
        // Boxed, so that a connection that only streams does not hold the memory of its request's stages.
        let answer = Box::pin(worker.clone().handle(request));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // Boxed where it is made: held in this future, it would take its room two and three times over.
    if http2 {
        let mut connection = Box::pin(h2().serve_connection(io, service));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return Ok(ended?),
            () = drain.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    } else {
        let mut connection = Box::pin(h1(head_timeout).serve_connection(io, service));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return Ok(ended?),
            () = drain.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }
}

fn h1(head_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_header_size(MAX_HEAD)
        .max_headers(MAX_HEADER_LINES)
        .max_buf_size(BUFFER);
    builder
}

fn h2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(H2_WINDOW)
        .initial_connection_window_size(H2_WINDOW)
        .max_send_buf_size(BUFFER)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING);
    builder
}
