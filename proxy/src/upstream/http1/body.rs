//! A response body on an HTTP/1.1 connection.
//! Reads only when polled; gives the connection back to the pool when the body has been read to its end, and closes
//! it in every other case.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::SizeHint;

use super::framing::Framing;
use super::is_unclean_eof;
use super::upload::Upload;
use super::wire::Wire;
use crate::alarm::Patience;
use crate::upstream::error::{Stage, UpstreamError};
use crate::upstream::pool::Home;

/// A body that is being read.
pub(crate) struct Http1Body {
    framing: Framing,
    /// Gone when the body has ended, well or not.
    reading: Option<Reading>,
    idle: Patience,
}

struct Reading {
    wire: Box<Wire>,
    /// The rest of a request that was answered early: the upstream may want it before it goes on.
    upload: Option<Upload>,
    /// Where the connection goes afterwards; `None` = it is closed.
    home: Option<Home>,
}

impl Http1Body {
    pub(crate) fn new(
        framing: Framing,
        wire: Box<Wire>,
        upload: Option<Upload>,
        home: Option<Home>,
        idle: Duration,
    ) -> Self {
        let reading = Some(Reading { wire, upload, home });
        let mut body = Self { framing, reading, idle: Patience::new(idle) };
        body.end_if_done();
        body
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.reading.is_none()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        if self.reading.is_none() { SizeHint::with_exact(0) } else { self.framing.size_hint() }
    }

    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        let piece = ready!(self.poll_piece(cx)).transpose();
        match &piece {
            Some(Ok(_)) => {
                self.idle.stop();
                self.end_if_done();
            }
            Some(Err(_)) | None => self.reading = None,
        }
        Poll::Ready(piece)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, UpstreamError>> {
        let Some(reading) = &mut self.reading else { return Poll::Ready(Ok(None)) };
        reading.write_on(cx);
        loop {
            if !reading.wire.buf.is_empty() {
                let piece = self.framing.decode(&mut reading.wire.buf)?;
                if !piece.is_empty() {
                    return Poll::Ready(Ok(Some(piece)));
                }
                if self.framing.is_done() {
                    self.end_if_done();
                    return Poll::Ready(Ok(None));
                }
            }
            let clean = match reading.wire.poll_fill(cx) {
                Poll::Ready(Ok(0)) => true,
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(error)) if is_unclean_eof(&error) => false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(UpstreamError::Reset(error))),
                Poll::Pending => {
                    ready!(self.idle.poll_expired(&mut reading.wire.alarm, cx));
                    return Poll::Ready(Err(UpstreamError::Timeout(Stage::Body)));
                }
            };
            return Poll::Ready(self.framing.at_eof(clean).map(|()| None));
        }
    }

    /// As soon as the last byte is there, and not when the reader asks once more: it may not.
    fn end_if_done(&mut self) {
        if self.framing.is_done()
            && let Some(Reading { wire, upload, home }) = self.reading.take()
            && upload.is_none_or(|upload| upload.is_done())
            && wire.buf.is_empty()
            && let Some(home) = home
        {
            home.give_back(wire);
        }
    }
}

impl Reading {
    /// Writes what the socket takes. A failure to write is not one to read: the answer may be complete.
    fn write_on(&mut self, cx: &mut Context<'_>) {
        if let Some(upload) = &mut self.upload
            && let Poll::Ready(result) = upload.poll(&mut self.wire.io, cx)
        {
            if result.is_err() {
                self.home = None;
            }
            self.upload = None;
        }
    }
}
