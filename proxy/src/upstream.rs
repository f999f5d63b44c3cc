//! The upstream leg: one request to a provider, and its response as it arrives.
//! Never decides whom to ask, never reads what a body means, never retries but where the first try cannot have counted.
//!
//! | module | what it does |
//! |---|---|
//! | [`target`] | an upstream, parsed once from an account's base URL and egress |
//! | [`error`] | why no complete response came |
//! | [`pool`] | one worker's open connections, by origin |
//! | [`connect`] | name, TCP, tunnel through an egress proxy, TLS, protocol version |
//! | [`tls`] | trusted roots and sessions, one for all workers |
//! | [`io`] | a byte stream, plaintext or TLS |
//! | [`http1`] | our own codec: everything happens in the request's task |
//! | [`http2`] | hyper's client: one task per connection |
//! | [`headers`] | which header fields belong to one leg only |
//!
//! The flow of [`Upstreams::send`]: take an open connection from the pool, or open one → write head and body, at the
//! same time read the head → give the caller head and [`ResponseBody`] → the body is read when polled → at its end the
//! connection goes back to the pool; in every other case it is closed.
//!
//! **Sending twice.** A kept connection may be closed by its peer at the moment we write to it. A request that costs
//! money must not be doubled by guessing, so `send` repeats it only if all of this holds: the connection had been idle
//! in the pool, the peer closed or reset it, not one byte of a response had arrived, and the body can be sent again.
//! Then it is sent once more on a new connection. That is the rule of RFC 9112 section 9.3.1 as browsers and nginx
//! apply it; the remaining risk (a server that read the request, worked, and closed without a word) is the one that
//! any client takes that keeps connections. HTTP/2 needs no guess: the peer says what it has not processed. Bodies
//! that cannot be sent again never travel on a connection that has been idle.

pub(crate) mod connect;
pub mod error;
pub(crate) mod headers;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod io;
pub mod pool;
mod response;
pub mod target;
pub mod tls;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body::Body;
use penstock_proxy_core::headers::Line;
use tokio::time::{Instant, timeout_at};

use connect::{Connected, connect};
pub use error::{BoxError, ProtocolError, Stage, UpstreamError};
use http1::Exchange;
use http1::upload::Upload;
use http1::wire::Wire;
use http2::Http2;
pub use pool::Counts;
use pool::{Home, Open, Opening, Pool, Turn};
pub use response::{Response, ResponseBody};
use target::Origin;
pub use target::{InvalidTarget, Scheme, Target, Versions};
pub use tls::Tls;

/// One worker's connections to all upstreams. Cheap to clone; clones share the connections.
///
/// Make one per worker and use it on that worker only: a connection is driven by the runtime that opened it.
#[derive(Clone)]
pub struct Upstreams {
    pool: Arc<Pool>,
    tls: Arc<Tls>,
    spawn: Spawner,
    own: Option<SocketAddr>,
}

/// Runs the driver of an HTTP/2 connection until the connection ends. The worker passes its own way of spawning.
pub type Spawner = Arc<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

/// One request. It is borrowed, because whoever sends it may have to send it again elsewhere.
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Path and query, appended to the target's path; begins with `/`.
    pub path: &'a str,
    /// End-to-end headers. Hop-by-hop and framing headers (`host`, `content-length`, `connection`, `te`, …) are
    /// ignored: this module writes its own.
    pub headers: &'a [Line<'a>],
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

/// The attempt in hand: whom, and until when.
struct Attempt<'a> {
    target: &'a Target,
    timeouts: Timeouts,
    deadline: Instant,
}

impl Upstreams {
    /// No connections yet.
    pub fn new(tls: Arc<Tls>, spawn: Spawner) -> Self {
        Self { pool: Arc::default(), tls, spawn, own: None }
    }

    /// Never connects to `own`, where this proxy itself listens.
    #[must_use]
    pub fn but_not_to(self, own: SocketAddr) -> Self {
        Self { own: Some(own), ..self }
    }

    /// Sends one request and waits for the response head.
    ///
    /// Dropping the future closes the connection it used (HTTP/2: resets the stream) at once.
    pub async fn send(
        &self,
        target: &Target,
        mut request: Request<'_>,
        timeouts: Timeouts,
    ) -> Result<Response, UpstreamError> {
        let attempt = Attempt { target, timeouts, deadline: Instant::now() + timeouts.head };
        let unreplayable = matches!(request.body, RequestBody::Stream { .. });
        if let Some(open) = self.pool.take(target.origin(), unreplayable) {
            match self.send_on(open, &attempt, &mut request).await {
                Err(failed) if failed.may_repeat && !unreplayable => self.pool.count_stale(),
                result => return result.map_err(|failed| failed.error),
            }
        }
        // Boxed: a handshake's state is some KiB that every request's task would otherwise keep room for.
        let open = Box::pin(self.open(target.origin(), attempt.deadline, timeouts.connect)).await?;
        self.send_on(open, &attempt, &mut request).await.map_err(|failed| failed.error)
    }

    /// Opens connections until `count` are ready to be used at once. Returns how many were opened.
    pub async fn warm(
        &self,
        target: &Target,
        count: usize,
        timeouts: Timeouts,
    ) -> Result<usize, UpstreamError> {
        let missing = count.saturating_sub(self.pool.ready(target.origin()));
        for opened in 0..missing {
            let deadline = Instant::now() + timeouts.connect;
            match Box::pin(self.open(target.origin(), deadline, timeouts.connect)).await? {
                Open::Http1(wire) => self.home(target).give_back(wire),
                Open::Http2(_) => return Ok(opened + 1),
            }
        }
        Ok(missing)
    }

    /// Closes connections that have been idle too long or were closed by their peer. To be called every few seconds.
    pub fn sweep(&self) {
        self.pool.sweep(Instant::now());
    }

    /// How connections were used since the start.
    pub fn counts(&self) -> Counts {
        self.pool.counts()
    }

    async fn send_on(
        &self,
        open: Open,
        attempt: &Attempt<'_>,
        request: &mut Request<'_>,
    ) -> Result<Response, Failed> {
        match open {
            Open::Http1(wire) => self.send_http1(wire, attempt, request).await,
            Open::Http2(connection) => {
                let Timeouts { head, idle, .. } = attempt.timeouts;
                let sent = connection.exchange(attempt.target, request, attempt.deadline, head, idle).await;
                let failed = |failed: http2::Failed| Failed {
                    error: failed.error,
                    may_repeat: failed.was_not_processed,
                };
                sent.map(|(head, body)| Response { head, body: body.into() }).map_err(failed)
            }
        }
    }

    async fn send_http1(
        &self,
        wire: Box<Wire>,
        attempt: &Attempt<'_>,
        request: &mut Request<'_>,
    ) -> Result<Response, Failed> {
        let upload = Upload::new(attempt.target, request).map_err(Failed::finally)?;
        let mut exchange = Exchange::new(wire, upload, *request.method == Method::HEAD);
        let head = exchange.run(attempt.deadline, attempt.timeouts.head).await;
        let head = head.map_err(|failed| Failed { error: failed.error, may_repeat: failed.was_stale })?;
        let home = head.keep_alive.then(|| self.home(attempt.target));
        let body = exchange.into_body(head.framing, home, attempt.timeouts.idle);
        Ok(Response { head: head.response, body: body.into() })
    }

    /// A new connection, or a shared one that somebody else opened meanwhile.
    async fn open(
        &self,
        origin: &Arc<Origin>,
        deadline: Instant,
        limit: Duration,
    ) -> Result<Open, UpstreamError> {
        let opening = match self.pool.turn(origin) {
            Turn::Open(opening) => opening,
            Turn::Wait(opened) => {
                // Whether it came in time or not, nobody waits twice.
                let _ = timeout_at(deadline, opened).await;
                if let Some(shared) = self.pool.take(origin, true) {
                    return Ok(shared);
                }
                Opening::alone()
            }
        };
        let open = match connect(origin, &self.tls, self.own, deadline, limit).await? {
            Connected::Http1(io) => Open::Http1(Box::new(Wire::new(io))),
            Connected::Http2(io) => Open::Http2(Http2::begin(io, &self.spawn).await?),
        };
        self.pool.opened(origin, &open);
        drop(opening);
        Ok(open)
    }

    fn home(&self, target: &Target) -> Home {
        Home { pool: Arc::clone(&self.pool), origin: Arc::clone(target.origin()) }
    }
}

/// Why an attempt on one connection failed.
struct Failed {
    error: UpstreamError,
    may_repeat: bool,
}

impl Failed {
    fn finally(error: UpstreamError) -> Self {
        Self { error, may_repeat: false }
    }
}

/// Ten seconds to connect; two minutes to a head, longer than the slowest first byte seen; ten minutes between bytes.
impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            head: Duration::from_secs(120),
            idle: Duration::from_secs(600),
        }
    }
}

#[cfg(test)]
mod tests;
