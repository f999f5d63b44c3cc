//! The upstream leg: one request to a provider, and its response as it arrives.

pub mod error;
pub mod target;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body::{Body, Frame, SizeHint};

pub use error::{BoxError, ProtocolError, Stage, UpstreamError};
pub use target::{InvalidTarget, Scheme, Target, Versions};

/// One worker's connections to all upstreams. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Upstreams {
    _spawn: Spawner,
}

/// Runs the driver of an HTTP/2 connection until the connection ends. The listener passes its own way of spawning.
pub type Spawner = Arc<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

/// Trusted roots and TLS sessions; one for all workers of the process. Cheap to make: roots load at the first use.
#[derive(Debug, Default)]
pub struct Tls {}

/// One request. It is borrowed, because whoever sends it may have to send it again elsewhere.
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Path and query, appended to the target's path; begins with `/`.
    pub path: &'a str,
    /// End-to-end headers. Hop-by-hop and framing headers (`host`, `content-length`, `connection`, `te`, …) are
    /// ignored: this module writes its own.
    pub headers: &'a HeaderMap,
    /// What follows the head.
    pub body: RequestBody<'a>,
}

/// A request's body.
pub enum RequestBody<'a> {
    /// None.
    Empty,
    /// All of it, in order; sent without being copied.
    Segments(&'a [Bytes]),
    /// Not kept, so it can be sent once only.
    Stream {
        /// Its length in bytes, if it is known.
        length: Option<u64>,
        /// Where it comes from; trailers are dropped.
        source: StreamSource,
    },
}

/// Where a streamed request body comes from.
pub type StreamSource = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For name resolution, TCP, CONNECT and TLS together.
    pub connect: Duration,
    /// From the start of `send` to the response head; a streamed request body that moves starts it anew.
    pub head: Duration,
    /// Between two pieces of the response body.
    pub idle: Duration,
}

/// Head and body of a final (not 1xx) response; hop-by-hop headers removed.
pub type Response = http::Response<ResponseBody>;

/// A response's body. Dropping it before its end closes the connection (HTTP/2: resets the stream) at once.
///
/// Reads only when polled. Yields what has arrived as one frame of at most 64 KiB; its end is only reported when the
/// upstream really ended it, everything else is an error. Trailers are dropped.
pub struct ResponseBody {}

impl Upstreams {
    /// No connections yet.
    pub fn new(_tls: Arc<Tls>, spawn: Spawner) -> Self {
        Self { _spawn: spawn }
    }

    /// Sends one request and waits for the response head.
    ///
    /// Dropping the future closes the connection it used.
    pub async fn send(
        &self,
        _target: &Target,
        _request: Request<'_>,
        _timeouts: Timeouts,
    ) -> Result<Response, UpstreamError> {
        std::future::ready(Err(UpstreamError::Closed)).await
    }

    /// Opens connections until `count` are idle. Returns how many were opened.
    pub async fn warm(&self, _target: &Target, _count: usize, _timeouts: Timeouts) -> Result<usize, UpstreamError> {
        std::future::ready(Ok(0)).await
    }

    /// Closes connections that have been idle too long or were closed by their peer. To be called every few seconds.
    pub fn sweep(&self) {}
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), head: Duration::from_secs(120), idle: Duration::from_secs(600) }
    }
}

impl ResponseBody {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        std::future::poll_fn(|cx| self.poll_bytes(cx)).await
    }

    /// The next piece; `Ready(None)` at the end.
    pub fn poll_bytes(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        Poll::Ready(None)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.poll_bytes(cx).map(|next| next.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
