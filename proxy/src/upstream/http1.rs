//! HTTP/1.1 with an upstream: writes the request and reads the response in the request's own task.
//! No task per connection, no copy of a body byte, no end of a body that the upstream did not announce.
//!
//! | module | what it does |
//! |---|---|
//! | [`request_head`] | writes the head |
//! | [`upload`] | writes head and body |
//! | [`wire`] | the connection and its read buffer |
//! | [`response_head`] | reads the head |
//! | [`framing`], [`chunked`] | find the body's bytes and its end |
//! | [`body`] | the response body as it is polled |

pub(crate) mod body;
pub(crate) mod chunked;
pub(crate) mod framing;
pub(crate) mod request_head;
pub(crate) mod response_head;
pub(crate) mod upload;
pub(crate) mod wire;

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::error::{Stage, UpstreamError};
use super::pool::Home;
use body::Http1Body;
use framing::Framing;
use response_head::{Head, take};
use upload::Upload;
use wire::Wire;

/// A request that is being written while its response is awaited.
pub(crate) struct Exchange {
    pub(crate) wire: Box<Wire>,
    pub(crate) upload: Upload,
    /// The request is HEAD.
    pub(crate) bodiless: bool,
    /// Writing failed. The upstream may have answered before it closed, so reading goes on.
    write_error: Option<UpstreamError>,
    /// A byte of a response has arrived.
    answered: bool,
}

/// An exchange that came to nothing.
pub(crate) struct Failed {
    pub(crate) error: UpstreamError,
    /// The peer closed a connection that had been idle, without a byte of an answer.
    pub(crate) was_stale: bool,
}

impl Exchange {
    pub(crate) fn new(wire: Box<Wire>, upload: Upload, bodiless: bool) -> Self {
        Self { wire, upload, bodiless, write_error: None, answered: false }
    }

    /// Writes the request and reads the response head, both at the same time: an upstream that refuses a large body
    /// answers before it has read it.
    ///
    /// `limit` is what a streamed body that moves extends the deadline by.
    pub(crate) async fn run(&mut self, deadline: Instant, limit: Duration) -> Result<Head, Failed> {
        let mut deadline = deadline;
        let result = std::future::poll_fn(|cx| {
            if let Poll::Ready(result) = self.poll_head(cx) {
                return Poll::Ready(result);
            }
            while self.wire.alarm.poll_at(deadline, cx).is_ready() {
                if !self.upload.take_moved() {
                    return Poll::Ready(Err(UpstreamError::Timeout(Stage::Head)));
                }
                deadline = Instant::now() + limit;
            }
            Poll::Pending
        });
        let result = result.await;
        result.map_err(|error| Failed { was_stale: self.was_stale(&error), error })
    }

    /// The response's body, once its head has been read.
    pub(crate) fn into_body(self, framing: Framing, home: Option<Home>, idle: Duration) -> Http1Body {
        // After a failed write the rest of the request cannot be sent, so the connection is of no further use.
        let home = home.filter(|_| self.write_error.is_none());
        let upload = Some(self.upload).filter(|upload| self.write_error.is_none() && !upload.is_done());
        Http1Body::new(framing, self.wire, upload, home, idle)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, UpstreamError>> {
        if !self.upload.is_done() && self.write_error.is_none() {
            match self.upload.poll(&mut self.wire.io, cx) {
                Poll::Ready(Err(error @ UpstreamError::RequestBody(_))) => return Poll::Ready(Err(error)),
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        loop {
            match ready!(self.wire.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(Err(self.ended(None))),
                Ok(_) => self.answered = true,
                Err(error) => return Poll::Ready(Err(self.ended(Some(error)))),
            }
            if let Some(head) = take(&mut self.wire.buf, self.bodiless)? {
                return Poll::Ready(Ok(head));
            }
        }
    }

    /// The connection's end before the end of a head, as an error.
    fn ended(&mut self, error: Option<io::Error>) -> UpstreamError {
        match (self.write_error.take(), error.filter(|error| !is_unclean_eof(error))) {
            (_, None) if self.answered => UpstreamError::Truncated,
            (Some(error), _) => error,
            (None, Some(error)) => UpstreamError::Reset(error),
            (None, None) => UpstreamError::Closed,
        }
    }

    fn was_stale(&self, error: &UpstreamError) -> bool {
        let closed_by_peer = match error {
            UpstreamError::Closed => true,
            UpstreamError::Reset(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe
            ),
            _ => false,
        };
        closed_by_peer && self.wire.reused && !self.answered
    }
}

/// How rustls reports a TLS connection that ended without `close_notify`.
pub(crate) fn is_unclean_eof(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}
