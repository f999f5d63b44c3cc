//! A response body on an HTTP/2 connection.
//! Reads only when polled, which is what opens the stream's window again. Dropping it resets the stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, SizeHint};
use hyper::body::Incoming;

use super::StreamGuard;
use crate::alarm::{Alarm, Patience};
use crate::upstream::error::{Stage, UpstreamError};

/// As large as the pieces of HTTP/1.1.
const MAX_PIECE: usize = 64 * 1024;

/// A body that is being read.
pub(crate) struct Http2Body {
    incoming: Incoming,
    /// Read while gathering, but not to be joined with what was before it.
    ahead: Option<Result<Bytes, UpstreamError>>,
    ended: bool,
    idle: Patience,
    alarm: Alarm,
    _guard: StreamGuard,
}

impl Http2Body {
    pub(super) fn new(incoming: Incoming, guard: StreamGuard, idle: Duration) -> Self {
        let ended = incoming.is_end_stream();
        let idle = Patience::new(idle);
        Self { incoming, ahead: None, ended, idle, alarm: Alarm::default(), _guard: guard }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && (self.ended || self.incoming.is_end_stream())
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        if self.ahead.is_some() { SizeHint::default() } else { self.incoming.size_hint() }
    }

    /// Joins what has arrived in several frames: a provider sends one per event.
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        let first = match self.ahead.take() {
            Some(ahead) => Some(ahead),
            None => ready!(self.poll_data(cx)),
        };
        let Some(Ok(first)) = first else { return Poll::Ready(first) };
        let mut joined: Option<BytesMut> = None;
        let mut length = first.len();
        while length < MAX_PIECE {
            match self.poll_frame(cx) {
                Poll::Ready(Some(Ok(next))) if length + next.len() <= MAX_PIECE => {
                    length += next.len();
                    joined.get_or_insert_with(|| first[..].into()).extend_from_slice(&next);
                }
                Poll::Ready(Some(next)) => {
                    self.ahead = Some(next);
                    break;
                }
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Some(Ok(joined.map_or(first, BytesMut::freeze))))
    }

    /// The next frame's data, waited for no longer than allowed.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        let next = self.poll_frame(cx);
        if next.is_ready() {
            self.idle.stop();
            return next;
        }
        ready!(self.idle.poll_expired(&mut self.alarm, cx));
        self.ended = true;
        Poll::Ready(Some(Err(UpstreamError::Timeout(Stage::Body))))
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        while !self.ended {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers are dropped, and so are frames of padding alone.
                    if let Some(data) = frame.into_data().ok().filter(|data| !data.is_empty()) {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(UpstreamError::Http2(error))));
                }
                None => self.ended = true,
            }
        }
        Poll::Ready(None)
    }
}
