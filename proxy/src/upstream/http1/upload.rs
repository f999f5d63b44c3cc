//! Writes a request, head and body, in as few system calls as the socket takes.
//! Never copies a body byte (TLS apart), never reads more of a streamed body than the socket has taken.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite as _;

use super::request_head::{BodyFraming, encode};
use crate::upstream::error::UpstreamError;
use crate::upstream::io::UpstreamIo;
use crate::upstream::{Request, RequestBody, StreamSource, Target};

/// Buffers per write; the kernel takes up to 1,024, a body of ours rarely has more than a few.
const MAX_SLICES: usize = 32;

/// What is still to be written of a request.
pub(crate) struct Upload {
    queue: VecDeque<Bytes>,
    source: Option<Source>,
    flushed: bool,
    /// Bytes were taken from the source since last asked.
    moved: bool,
}

struct Source {
    body: StreamSource,
    framing: SourceFraming,
}

enum SourceFraming {
    Chunked,
    /// Bytes still to come.
    Length(u64),
}

impl Upload {
    /// The request as it goes to this target. A streamed body is moved out of it.
    pub(crate) fn new(target: &Target, request: &mut Request<'_>) -> Result<Self, UpstreamError> {
        let (framing, body, source) = match std::mem::replace(&mut request.body, RequestBody::Empty) {
            RequestBody::Empty if request.method.is_safe() => (BodyFraming::None, &[][..], None),
            RequestBody::Empty => (BodyFraming::Length(0), &[][..], None),
            RequestBody::Segments(segments) => {
                request.body = RequestBody::Segments(segments);
                let length = segments.iter().map(|segment| segment.len() as u64).sum();
                (BodyFraming::Length(length), segments, None)
            }
            RequestBody::Stream { length: Some(length), source } => {
                let framing = SourceFraming::Length(length);
                (BodyFraming::Length(length), &[][..], Some(Source { body: source, framing }))
            }
            RequestBody::Stream { length: None, source } => {
                let framing = SourceFraming::Chunked;
                (BodyFraming::Chunked, &[][..], Some(Source { body: source, framing }))
            }
        };
        let head = encode(target, request.method, request.path, request.headers, framing)?;
        let mut queue = VecDeque::with_capacity(body.len() + 1);
        queue.push_back(head);
        queue.extend(body.iter().filter(|segment| !segment.is_empty()).cloned());
        Ok(Self { queue, source, flushed: false, moved: false })
    }

    /// Whether everything has been handed to the socket.
    pub(crate) fn is_done(&self) -> bool {
        self.flushed
    }

    /// Whether a streamed body has moved since the last call.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Writes until all is written or the socket takes no more.
    pub(crate) fn poll(
        &mut self,
        io: &mut UpstreamIo,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UpstreamError>> {
        loop {
            ready!(self.poll_write_queue(io, cx)).map_err(UpstreamError::Reset)?;
            let Some(source) = &mut self.source else {
                ready!(Pin::new(io).poll_flush(cx)).map_err(UpstreamError::Reset)?;
                self.flushed = true;
                return Poll::Ready(Ok(()));
            };
            let Poll::Ready(more) = source.poll_into(&mut self.queue, cx) else {
                // What has been written so far must not wait for what comes next.
                return match Pin::new(io).poll_flush(cx) {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(UpstreamError::Reset(error))),
                    _ => Poll::Pending,
                };
            };
            self.moved = true;
            if !more? {
                self.source = None;
            }
        }
    }

    fn poll_write_queue(&mut self, io: &mut UpstreamIo, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(bytes);
            }
            let count = self.queue.len().min(MAX_SLICES);
            let mut written = ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            while let Some(first) = self.queue.front_mut() {
                if written < first.len() {
                    first.advance(written);
                    break;
                }
                written -= first.len();
                self.queue.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Source {
    /// Puts the next piece, framed, into the queue. `false` = that was the end.
    fn poll_into(
        &mut self,
        queue: &mut VecDeque<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, UpstreamError>> {
        let frame =
            ready!(self.body.as_mut().poll_frame(cx)).transpose().map_err(UpstreamError::RequestBody)?;
        let Some(frame) = frame else { return Poll::Ready(self.end(queue).map(|()| false)) };
        // Trailers are dropped; an empty chunk would end the body.
        let data = frame.into_data().unwrap_or_default();
        if data.is_empty() {
            return Poll::Ready(Ok(true));
        }
        match &mut self.framing {
            SourceFraming::Chunked => {
                let size = Bytes::from(format!("{:x}\r\n", data.len()));
                queue.extend([size, data, Bytes::from_static(b"\r\n")]);
            }
            SourceFraming::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(|| wrong_length("longer"))?;
                queue.push_back(data);
            }
        }
        Poll::Ready(Ok(true))
    }

    fn end(&self, queue: &mut VecDeque<Bytes>) -> Result<(), UpstreamError> {
        match self.framing {
            SourceFraming::Chunked => queue.push_back(Bytes::from_static(b"0\r\n\r\n")),
            SourceFraming::Length(0) => {}
            SourceFraming::Length(_) => return Err(wrong_length("shorter")),
        }
        Ok(())
    }
}

fn wrong_length(how: &str) -> UpstreamError {
    UpstreamError::RequestBody(format!("the request body is {how} than announced").into())
}
