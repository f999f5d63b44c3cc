//! One HTTP/1.1 connection: its byte stream and what has been read of it but not yet used.
//! Holds no buffer while it waits: ten thousand idle streams must fit in little memory.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;

use crate::upstream::io::Io;

/// A head with a short answer, or some dozen events.
const MIN_READ: usize = 8 * 1024;
/// Largest piece handed on. Larger ones save no system calls worth having, and each slow reader holds one.
const MAX_READ: usize = 64 * 1024;

/// An open HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) io: Io,
    /// Read but not used.
    pub(crate) buf: BytesMut,
    /// How much the next read may bring; follows what the last ones brought.
    room: usize,
    /// Has carried a request before, so that the peer may have closed it meanwhile.
    pub(crate) reused: bool,
}

impl Wire {
    pub(crate) fn new(io: Io) -> Self {
        Self { io, buf: BytesMut::new(), room: MIN_READ, reused: false }
    }

    /// Gets ready to wait for another request.
    pub(crate) fn rest(&mut self) {
        self.buf = BytesMut::new();
        self.room = MIN_READ;
        self.reused = true;
    }

    /// Reads once, behind what `buf` holds. 0 = the peer closed the connection.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = self.poll_read(cx);
        if read.is_pending() && self.buf.is_empty() {
            self.buf = BytesMut::new();
        }
        read
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.io.poll_maybe_readable(cx))?;
        let free = self.buf.capacity() - self.buf.len();
        if free < self.room / 2 {
            // Takes the old allocation back if nothing refers to it any more.
            self.buf.reserve(self.room);
        }
        let free = self.buf.capacity() - self.buf.len();
        let read = ready!(pin!(self.io.read_buf(&mut self.buf)).poll(cx))?;
        if read == free {
            self.room = (self.room * 2).min(MAX_READ);
        } else if read < self.room / 4 {
            self.room = (self.room / 2).max(MIN_READ);
        }
        Poll::Ready(Ok(read))
    }
}
