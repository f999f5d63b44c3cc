//! HTTP/1.1 and HTTP/1.0 with clients: everything of a connection happens in its own task, one request after
//! the other. Holds no buffer while it waits; looks into nothing but heads and framing.
//!
//! | module | what it does |
//! |---|---|
//! | [`head`] | reads a request's head, strictly |
//! | [`wire`] | the connection: bytes read ahead, the body's framing |
//! | [`upload`] | a body that did not arrive with its head |
//! | [`answer_head`] | writes an answer's head |
//! | [`sending`] | writes an answer as it arrives |
//!
//! A request's way: head → handler, with the body or the means to read it → answer → next head. While the handler
//! works, the connection is watched: a client that leaves ends the handler at once, and what it had asked for
//! upstream with it.

mod answer_head;
mod head;
mod sending;
mod upload;
mod wire;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, Version};
use parking_lot::Mutex;
use penstock_proxy_core::headers::Headers;
use tokio::io::AsyncWrite as _;
use tokio::time::{Instant, timeout};
use tokio_util::sync::WaitForCancellationFuture;

pub(super) use head::MAX_HEAD;
pub(crate) use upload::Upload;

use super::io::ClientIo;
use crate::alarm::Alarm;
use crate::body::Incoming;
use crate::config::Bounds;
use crate::head::ResponseHead;
use crate::pipeline::Worker;
use answer_head::{Asked, BodyFraming};
use head::{BadHead, Head};
use sending::{SendError, Sending};
use wire::{HeadError, Wire};

/// A client that was answered before it had sent everything may go on sending for this long, so that it reads
/// the answer instead of a reset connection.
const LINGER: Duration = Duration::from_secs(5);

/// Why a connection ended that should not have.
#[derive(Debug, thiserror::Error)]
pub(super) enum Http1Error {
    #[error("no request could be read")]
    Head(#[from] HeadError),
    #[error("an answer could not be sent")]
    Send(#[from] SendError),
    #[error("the client left while it was served")]
    ClientLeft,
}

/// What comes after an answer.
enum Then {
    NextRequest,
    Close,
}

/// Serves one connection to its end.
pub(super) async fn serve(io: ClientIo, worker: Worker) -> Result<(), Http1Error> {
    let connection = Connection { wire: Arc::new(Mutex::new(Wire::new(io))), worker };
    let drain = connection.worker.state().shutdown.drain.clone();
    let mut drained = pin!(drain.cancelled());
    let mut waiting = Waiting::new(connection.worker.state().config.bounds);
    loop {
        let head = match poll_fn(|cx| waiting.poll(&connection.wire, drained.as_mut(), cx)).await {
            Ok(Some(head)) => head,
            Ok(None) => break,
            Err(error) => {
                if let HeadError::Bad(bad) = error {
                    connection.refuse(bad).await;
                }
                return Err(error.into());
            }
        };
        match connection.exchange(head).await? {
            Then::NextRequest => waiting.again(),
            Then::Close => break,
        }
    }
    connection.close().await;
    Ok(())
}

/// A connection, and who answers what comes over it.
struct Connection {
    /// Shared with the body of the request that is being served. Never contended: both are of one task.
    wire: Arc<Mutex<Wire>>,
    worker: Worker,
}

impl Connection {
    async fn exchange(&self, head: Head) -> Result<Then, Http1Error> {
        let Head { request, framing: _, keep_alive, expects_continue: _ } = head;
        let (version, bodiless) = (request.version, request.method == Method::HEAD);
        let whole = self.wire.lock().whole_body();
        let incoming = match whole {
            Some(body) => Incoming::Whole(body),
            None => Incoming::Http1(Upload::new(Arc::clone(&self.wire))),
        };
        // Boxed, so that a connection that only streams does not hold the memory of its request's stages.
        let mut handling = Box::pin(self.worker.handle(request, incoming));
        let answered = poll_fn(|cx| match handling.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => self.wire.lock().poll_gone(cx).map(|()| None),
        });
        let response = answered.await.ok_or(Http1Error::ClientLeft)?;
        drop(handling);
        let draining = self.worker.state().shutdown.drain.is_cancelled();
        let keep_alive = keep_alive && !draining && self.wire.lock().is_body_done();
        let mut sending = Sending::new(response, Asked { version, bodiless, keep_alive });
        let sent = poll_fn(|cx| self.poll_send(&mut sending, cx)).await;
        match sent {
            Ok(()) if sending.leaves_open() && self.wire.lock().is_body_done() => Ok(Then::NextRequest),
            Ok(()) => Ok(Then::Close),
            Err(error) => {
                if sending.ends_with_connection() {
                    self.wire.lock().io.abort();
                }
                Err(error.into())
            }
        }
    }

    fn poll_send(&self, sending: &mut Sending, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if let Poll::Ready(sent) = sending.poll(&self.wire, cx) {
            return Poll::Ready(sent);
        }
        ready!(self.wire.lock().poll_gone(cx));
        Poll::Ready(Err(SendError::Client(io::ErrorKind::ConnectionReset.into())))
    }

    /// Answers what is no request, and ends the connection.
    async fn refuse(&self, bad: BadHead) {
        let mut text = Vec::new();
        let asked = Asked { version: Version::HTTP_11, bodiless: false, keep_alive: false };
        let head = ResponseHead { status: bad.status(), headers: Headers::default() };
        answer_head::encode(&mut text, &head, BodyFraming::Length(0), asked);
        let mut rest = &text[..];
        let written = poll_fn(|cx| {
            while !rest.is_empty() {
                match ready!(Pin::new(&mut self.wire.lock().io).poll_write(cx, rest)) {
                    Ok(written) if written > 0 => rest = &rest[written..],
                    _ => return Poll::Ready(false),
                }
            }
            Poll::Ready(true)
        });
        if written.await {
            self.close().await;
        }
    }

    /// Ends the connection so that the client can read what it was sent.
    async fn close(&self) {
        let shut = poll_fn(|cx| Pin::new(&mut self.wire.lock().io).poll_shutdown(cx)).await;
        let is_quiet = {
            let wire = self.wire.lock();
            wire.is_body_done() && !wire.has_begun()
        };
        if shut.is_ok() && !is_quiet {
            let _ = timeout(LINGER, poll_fn(|cx| self.wire.lock().poll_drained(cx))).await;
        }
    }
}

/// The wait for a head: long for its first byte, shorter for the rest.
struct Waiting {
    bounds: Bounds,
    alarm: Alarm,
    since: Instant,
    /// A first byte has come.
    begun: bool,
    /// When an idle connection is closed because the proxy stops.
    leaves: Option<Instant>,
}

impl Waiting {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, alarm: Alarm::default(), since: Instant::now(), begun: false, leaves: None }
    }

    /// An answer was sent.
    fn again(&mut self) {
        self.since = Instant::now();
        self.begun = false;
    }

    /// The next head; `None` when the connection is to be closed.
    fn poll(
        &mut self,
        wire: &Mutex<Wire>,
        drained: Pin<&mut WaitForCancellationFuture<'_>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Head>, HeadError>> {
        let mut wire = wire.lock();
        if let Poll::Ready(head) = wire.poll_head(cx) {
            return Poll::Ready(head);
        }
        if wire.has_begun() && !self.begun {
            self.begun = true;
            self.since = Instant::now();
        }
        if drained.poll(cx).is_ready() {
            self.leaves.get_or_insert_with(|| Instant::now() + self.bounds.drain_idle);
        }
        let due = if self.begun {
            self.since + self.bounds.head_timeout
        } else {
            let idle = self.since + self.bounds.idle_timeout;
            self.leaves.map_or(idle, |leaves| leaves.min(idle))
        };
        ready!(self.alarm.poll_at(due, cx));
        Poll::Ready(if self.begun { Err(BadHead::Slow.into()) } else { Ok(None) })
    }
}
