//! A response body, whatever protocol it comes by.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::error::UpstreamError;
use super::http1::body::Http1Body;
use super::http2::body::Http2Body;

/// Head and body of a final (not 1xx) response; hop-by-hop headers removed.
pub type Response = crate::head::Response<ResponseBody>;

/// A response's body. Dropping it before its end closes the connection (HTTP/2: resets the stream) at once.
///
/// Reads only when polled. Yields what has arrived as one frame of at most 64 KiB; its end is only reported when the
/// upstream really ended it, everything else is an error. Trailers are dropped.
pub struct ResponseBody(Kind);

enum Kind {
    Http1(Box<Http1Body>),
    Http2(Box<Http2Body>),
}

impl ResponseBody {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        std::future::poll_fn(|cx| self.poll_bytes(cx)).await
    }

    /// The next piece; `Ready(None)` at the end, and after an error.
    pub fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        match &mut self.0 {
            Kind::Http1(body) => body.poll_bytes(cx),
            Kind::Http2(body) => body.poll_bytes(cx),
        }
    }
}

impl From<Http1Body> for ResponseBody {
    fn from(body: Http1Body) -> Self {
        Self(Kind::Http1(Box::new(body)))
    }
}

impl From<Http2Body> for ResponseBody {
    fn from(body: Http2Body) -> Self {
        Self(Kind::Http2(Box::new(body)))
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
        match &self.0 {
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Http1(body) => body.size_hint(),
            Kind::Http2(body) => body.size_hint(),
        }
    }
}
