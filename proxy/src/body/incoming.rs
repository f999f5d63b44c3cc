//! A request's body as it arrives, whatever protocol it comes by. Never reads ahead of whoever takes it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::Body as _;

use crate::listener::Upload;
use crate::respond::Refusal;

/// What is still to come of a body.
pub(crate) enum Incoming {
    /// All of it arrived with the head.
    Whole(Bytes),
    Http1(Upload),
    Http2(hyper::body::Incoming),
}

impl Incoming {
    /// Its length, if that is known.
    pub(super) fn announced(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Http1(upload) => upload.announced(),
            Self::Http2(incoming) => incoming.size_hint().exact(),
        }
    }

    /// Appends what comes next to `body`; false at the end. Trailers are dropped.
    pub(super) fn poll_into(
        &mut self,
        body: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, Refusal>> {
        if let Self::Http1(upload) = self {
            return upload.poll_into(body, cx).map_err(|_| Refusal::BrokenBody);
        }
        let piece = ready!(self.poll_piece(cx))?;
        Poll::Ready(Ok(piece.is_some_and(|piece| {
            body.extend_from_slice(&piece);
            true
        })))
    }

    /// The next piece; `None` at the end. Trailers are dropped.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        let incoming = match self {
            Self::Whole(bytes) => {
                let piece = std::mem::take(bytes);
                return Poll::Ready(Ok((!piece.is_empty()).then_some(piece)));
            }
            Self::Http1(upload) => return upload.poll_piece(cx).map_err(|_| Refusal::BrokenBody),
            Self::Http2(incoming) => incoming,
        };
        loop {
            match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(_)) => return Poll::Ready(Err(Refusal::BrokenBody)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
            }
        }
    }
}
