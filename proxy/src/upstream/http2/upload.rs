//! A request body as hyper takes it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame, SizeHint};

use crate::upstream::error::{BoxError, UpstreamError};
use crate::upstream::{RequestBody, StreamSource};

/// What is still to be sent of a body.
pub(super) enum Http2Upload {
    /// No body, and no length to announce.
    None,
    Segments {
        queue: VecDeque<Bytes>,
        left: u64,
    },
    Stream {
        length: Option<u64>,
        source: StreamSource,
        progress: Arc<Progress>,
    },
}

/// How a streamed body fares, for the request that waits for its answer.
#[derive(Default)]
pub(super) struct Progress {
    moved: AtomicBool,
    failed: AtomicBool,
}

impl Http2Upload {
    /// Takes the body; segments stay for another attempt.
    pub(super) fn new(body: &mut RequestBody<'_>, method: &Method, progress: &Arc<Progress>) -> Self {
        match std::mem::replace(body, RequestBody::Empty) {
            RequestBody::Empty if method.is_safe() => Self::None,
            RequestBody::Empty => Self::Segments { queue: VecDeque::new(), left: 0 },
            RequestBody::Segments(segments) => {
                *body = RequestBody::Segments(segments);
                let left = segments.iter().map(|segment| segment.len() as u64).sum();
                Self::Segments { queue: segments.iter().cloned().collect(), left }
            }
            RequestBody::Stream { length, source } => {
                Self::Stream { length, source, progress: Arc::clone(progress) }
            }
        }
    }

    /// What `content-length` says.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Segments { left, .. } => Some(*left),
            Self::Stream { length, .. } => *length,
        }
    }
}

impl Progress {
    /// Whether the body has moved since the last call.
    pub(super) fn take_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }

    /// The source's failure, if it was that.
    pub(super) fn source_error(&self) -> Option<UpstreamError> {
        let failed = self.failed.load(Ordering::Relaxed);
        failed.then(|| UpstreamError::RequestBody("the source of the request body failed".into()))
    }
}

impl Body for Http2Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::None => Poll::Ready(None),
            Self::Segments { queue, left } => Poll::Ready(queue.pop_front().map(|segment| {
                *left -= segment.len() as u64;
                Ok(Frame::data(segment))
            })),
            Self::Stream { source, progress, .. } => loop {
                let frame = ready!(source.as_mut().poll_frame(cx));
                match &frame {
                    Some(Ok(frame)) if frame.is_data() => progress.moved.store(true, Ordering::Relaxed),
                    Some(Ok(_)) => continue,
                    Some(Err(_)) => progress.failed.store(true, Ordering::Relaxed),
                    None => {}
                }
                return Poll::Ready(frame);
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None => true,
            Self::Segments { left, .. } => *left == 0,
            Self::Stream { source, .. } => source.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
