//! The connection as the request's body and its answer share it: the byte stream, what was read of it but not
//! used, and how far the present body has come.
//! Reads through a buffer of the thread, so that a connection that waits holds none of its own.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::head::{self, BadHead, Head, MAX_HEAD};
use crate::listener::io::ClientIo;
use crate::upstream::http1::framing::Framing;

/// What one read may bring of a head and what comes with it: a body of some size. It is copied twice, while the rest
/// of a large body is read straight to its place.
const READ_HEAD: usize = 16 << 10;

/// What one read may bring of a body that has no place yet.
const READ: usize = 64 << 10;

/// Bytes of later requests that are read while one is being served; more stay in the socket.
const MAX_AHEAD: usize = MAX_HEAD;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

thread_local! {
    /// Where bytes are read to before it is known how many there are. Used within one poll only.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// A client's connection.
pub(super) struct Wire {
    pub(super) io: ClientIo,
    /// Read but not used.
    buf: BytesMut,
    /// How much of `buf` is known to hold no end of a head.
    scanned: usize,
    /// What is left of the present request's body.
    framing: Framing,
    /// The body broke off or was framed wrongly: nothing that follows can be trusted.
    broken: bool,
    /// What is still to be written of the word that the client waits for before it sends the body.
    promise: &'static [u8],
    /// Waits for the client to leave, and cannot see it before the body is read, perhaps by another task.
    watcher: Option<Waker>,
}

impl Wire {
    pub(super) fn new(io: ClientIo) -> Self {
        Self {
            io,
            buf: BytesMut::new(),
            scanned: 0,
            framing: Framing::EMPTY,
            broken: false,
            promise: &[],
            watcher: None,
        }
    }

    /// Whether anything of a next request has arrived.
    pub(super) fn has_begun(&self) -> bool {
        !self.buf.is_empty()
    }

    /// Whether the present body was read to its end.
    pub(super) fn is_body_done(&self) -> bool {
        self.framing.is_done() && !self.broken
    }

    /// Reads until a head is complete; `None` = the client closed the connection between two requests, or in the
    /// middle of a head.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Head>, HeadError>> {
        loop {
            if let Some(head) = self.take_head()? {
                return Poll::Ready(Ok(Some(head)));
            }
            if ready!(self.poll_fill(READ_HEAD, cx))? == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }

    fn take_head(&mut self) -> Result<Option<Head>, BadHead> {
        if self.buf.is_empty() {
            return Ok(None);
        }
        let Some(end) = head::end(&self.buf, &mut self.scanned)? else { return Ok(None) };
        self.scanned = 0;
        let received = self.buf.split_to(end).freeze();
        if self.buf.is_empty() {
            self.buf = BytesMut::new();
        }
        let mut head = head::parse(&received)?;
        self.framing = std::mem::replace(&mut head.framing, Framing::EMPTY);
        self.promise = if head.expects_continue { CONTINUE } else { &[] };
        Ok(Some(head))
    }

    /// The whole body, if it has arrived with its head.
    pub(super) fn whole_body(&mut self) -> Option<Bytes> {
        match self.framing {
            Framing::Length(0) => Some(Bytes::new()),
            Framing::Length(left) if left <= self.buf.len() as u64 => {
                let body = self.framing.decode(&mut self.buf).ok();
                if self.buf.is_empty() {
                    self.buf = BytesMut::new();
                }
                body
            }
            _ => None,
        }
    }

    /// Bytes of the body still to come, if the client said how many.
    pub(super) fn announced(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(left) => Some(left),
            Framing::Chunked(_) | Framing::UntilClose => None,
        }
    }

    /// The next piece of the body; `None` at its end.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        ready!(self.poll_promise(cx))?;
        loop {
            if self.broken {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if self.framing.is_done() {
                if let Some(watcher) = self.watcher.take().filter(|watcher| !watcher.will_wake(cx.waker())) {
                    watcher.wake();
                }
                return Poll::Ready(Ok(None));
            }
            if !self.buf.is_empty() {
                match self.framing.decode(&mut self.buf) {
                    Ok(piece) if piece.is_empty() => continue,
                    Ok(piece) => return Poll::Ready(Ok(Some(piece))),
                    Err(_) => self.broken = true,
                }
                continue;
            }
            ready!(self.poll_more_body(cx))?;
        }
    }

    /// Reads a body of known length straight into `body`, which is made large enough; false at the end.
    /// For any other framing, appends the next piece.
    pub(super) fn poll_body_into(
        &mut self,
        body: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        if let Framing::Length(left) = self.framing
            && left > 0
            && self.buf.is_empty()
            && !self.broken
        {
            ready!(self.poll_promise(cx))?;
            ready!(self.io.poll_maybe_readable(cx))?;
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            // An announcement is not trusted with memory: the buffer grows with what really comes.
            if body.len() == body.capacity() {
                body.reserve(most.min(body.len().max(READ)));
            }
            let read = ready!(poll_read(&mut self.io, body, most, cx))?;
            if read == 0 {
                self.broken = true;
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.framing = Framing::Length(left - read as u64);
            return Poll::Ready(Ok(true));
        }
        Poll::Ready(match ready!(self.poll_body(cx))? {
            None => Ok(false),
            Some(piece) => {
                body.extend_from_slice(&piece);
                Ok(true)
            }
        })
    }

    fn poll_more_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let read = match ready!(self.poll_fill(READ, cx)) {
            Ok(read) => read,
            Err(error) => {
                self.broken = true;
                return Poll::Ready(Err(error));
            }
        };
        if read == 0 {
            self.broken = true;
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(()))
    }

    /// Tells a client that waits for our word to go on.
    fn poll_promise(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.promise.is_empty() && !self.has_begun() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, self.promise))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.promise = &self.promise[written..];
            if self.promise.is_empty() {
                ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            }
        }
        self.promise = &[];
        Poll::Ready(Ok(()))
    }

    /// Ready when the client has left, seen while its request is served. What it sends meanwhile is kept for later.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.broken {
            return Poll::Ready(());
        }
        if !self.framing.is_done() {
            // Whoever reads the body will see.
            if self.watcher.as_ref().is_none_or(|watcher| !watcher.will_wake(cx.waker())) {
                self.watcher = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        while self.buf.len() < MAX_AHEAD {
            match ready!(self.poll_fill(READ_HEAD, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    /// Throws away what still comes; ready at the end of the connection.
    pub(super) fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.buf = BytesMut::new();
            match ready!(self.poll_fill(READ, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// Reads once, at most so much, behind what is there. 0 = the client closed the connection.
    fn poll_fill(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.io.poll_maybe_readable(cx))?;
        SCRATCH.with_borrow_mut(|scratch| {
            let mut into = ReadBuf::new(&mut scratch[..most]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut into))?;
            self.buf.extend_from_slice(into.filled());
            Poll::Ready(Ok(into.filled().len()))
        })
    }
}

/// Why no further head came.
#[derive(Debug, thiserror::Error)]
pub(in crate::listener) enum HeadError {
    #[error(transparent)]
    Bad(#[from] BadHead),
    #[error("the connection broke")]
    Broke(#[from] io::Error),
}

/// Reads once into the room that `into` has, at most `most` bytes.
fn poll_read(
    io: &mut ClientIo,
    into: &mut BytesMut,
    most: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    use bytes::BufMut as _;
    use tokio::io::AsyncReadExt as _;
    let mut limited = into.limit(most);
    std::pin::pin!(io.read_buf(&mut limited)).poll(cx)
}
