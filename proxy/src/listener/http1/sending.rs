//! An answer on its way to the client: what has arrived of it is written at once, in one system call, framing
//! and all. Asks the answer for more only when the client has taken what there was.
//! Never copies a large piece, never holds a buffer while it waits for one.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use parking_lot::Mutex;
use tokio::io::AsyncWrite as _;

use super::answer_head::{Asked, BodyFraming, encode};
use super::wire::Wire;
use crate::head::{Response, ResponseHead};
use crate::listener::io::ClientIo;
use crate::relay::BrokenAnswer;
use crate::respond::Answer;

/// Pieces up to this size, bytes, are copied beside their framing: that costs less than one more slice in a
/// system call. An event of a stream is smaller.
const SMALL: usize = 2 << 10;

/// What is gathered before it is written: more saves no system calls worth having.
const MOST: usize = 16 << 10;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const LINE_END_AND_LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

thread_local! {
    /// Where an answer's bytes are put together. Used within one poll only.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(MOST + SMALL));
}

/// Why an answer was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::listener) enum SendError {
    #[error("the client does not take the answer")]
    Client(#[from] io::Error),
    #[error(transparent)]
    Answer(#[from] BrokenAnswer),
    #[error("the answer is not as long as was announced")]
    Length,
}

/// What is still to be sent of an answer.
pub(super) struct Sending {
    /// Gone when it has been put together.
    head: Option<ResponseHead>,
    answer: Answer,
    asked: Asked,
    framing: BodyFraming,
    /// A piece that came too late for the burst before.
    next: Bytes,
    /// What the socket did not take at once.
    left: Burst,
    /// Handed to TLS, perhaps not to the socket.
    unflushed: bool,
    /// The last byte has been put together.
    ended: bool,
    /// The answer broke off: what there was of it is sent, then the connection is cut.
    broken: Option<SendError>,
}

/// Bytes for one system call.
#[derive(Default)]
struct Burst {
    before: Vec<u8>,
    large: Bytes,
    after: &'static [u8],
}

impl Sending {
    pub(super) fn new(response: Response<Answer>, asked: Asked) -> Self {
        let Response { head, body: answer } = response;
        let framing = BodyFraming::of(head.status, answer.length(), asked);
        let ended = framing == BodyFraming::None || framing == BodyFraming::Length(0);
        Self {
            head: Some(head),
            answer,
            asked,
            framing,
            next: Bytes::new(),
            left: Burst::default(),
            unflushed: false,
            ended,
            broken: None,
        }
    }

    /// Whether another request may follow.
    pub(super) fn leaves_open(&self) -> bool {
        self.asked.keep_alive && self.framing.leaves_open()
    }

    /// Whether the client takes the connection's end for that of the answer.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.framing == BodyFraming::UntilClose
    }

    /// Sends what there is; ready when the client has been handed everything.
    ///
    /// The connection is not held while the answer is asked for more: a body may still be sent upstream, which is
    /// read from the same connection.
    pub(super) fn poll(&mut self, wire: &Mutex<Wire>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        loop {
            ready!(self.poll_left(&mut wire.lock().io, cx))?;
            if let Some(error) = self.broken.take() {
                return Poll::Ready(Err(error));
            }
            if self.ended && self.head.is_none() {
                return Poll::Ready(Ok(()));
            }
            let waits = SCRATCH.with_borrow_mut(|scratch| {
                scratch.clear();
                let mut burst = Burst { before: std::mem::take(scratch), ..Burst::default() };
                let waits = self.gather(&mut burst, cx);
                let result = self.write(&mut burst, &mut wire.lock().io, cx);
                // The thread's buffer goes back; only what is left over was copied out of it.
                *scratch = burst.before;
                result.map(|()| waits)
            })?;
            if waits {
                ready!(self.poll_left(&mut wire.lock().io, cx))?;
                return Poll::Pending;
            }
        }
    }

    /// Puts together what has arrived. True if the answer has to be waited for.
    fn gather(&mut self, burst: &mut Burst, cx: &mut Context<'_>) -> bool {
        if let Some(head) = self.head.take() {
            encode(&mut burst.before, &head, self.framing, self.asked);
        }
        if !self.next.is_empty() {
            let piece = std::mem::take(&mut self.next);
            self.put(piece, burst);
        }
        while !self.ended && self.broken.is_none() && burst.before.len() < MOST {
            match self.answer.poll_bytes(cx) {
                Poll::Pending => return true,
                Poll::Ready(Some(Ok(piece))) if burst.large.is_empty() => self.put(piece, burst),
                Poll::Ready(Some(Ok(piece))) => {
                    self.next = piece;
                    break;
                }
                Poll::Ready(Some(Err(error))) => self.broken = Some(error.into()),
                Poll::Ready(None) => self.end(burst),
            }
        }
        false
    }

    /// Puts a piece, framed, behind the others.
    fn put(&mut self, piece: Bytes, burst: &mut Burst) {
        // An empty chunk would end the body.
        if piece.is_empty() {
            return;
        }
        if let BodyFraming::Length(left) = &mut self.framing {
            let Some(rest) = left.checked_sub(piece.len() as u64) else {
                self.broken = Some(SendError::Length);
                return;
            };
            *left = rest;
            self.ended = rest == 0;
        }
        let line_end: &[u8] = match self.framing {
            BodyFraming::Chunked => {
                put_size(&mut burst.before, piece.len());
                b"\r\n"
            }
            BodyFraming::None | BodyFraming::Length(_) | BodyFraming::UntilClose => b"",
        };
        if piece.len() <= SMALL {
            burst.before.extend_from_slice(&piece);
            burst.before.extend_from_slice(line_end);
        } else {
            burst.large = piece;
            burst.after = line_end;
        }
    }

    fn end(&mut self, burst: &mut Burst) {
        self.ended = true;
        match self.framing {
            BodyFraming::Chunked if burst.large.is_empty() => burst.before.extend_from_slice(LAST_CHUNK),
            BodyFraming::Chunked => burst.after = LINE_END_AND_LAST_CHUNK,
            BodyFraming::Length(left) if left > 0 => self.broken = Some(SendError::Length),
            BodyFraming::None | BodyFraming::Length(_) | BodyFraming::UntilClose => {}
        }
    }

    /// Writes once. What the socket does not take is kept.
    fn write(&mut self, burst: &mut Burst, io: &mut ClientIo, cx: &mut Context<'_>) -> io::Result<()> {
        if burst.is_empty() {
            return Ok(());
        }
        self.unflushed = true;
        let written = match burst.poll_write(io, cx) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        let of_before = written.min(burst.before.len());
        self.left.before.extend_from_slice(&burst.before[of_before..]);
        self.left.large = std::mem::take(&mut burst.large);
        self.left.after = burst.after;
        self.left.advance_behind(written - of_before);
        Ok(())
    }

    /// Writes what is left over, and sees to it that TLS keeps nothing back.
    fn poll_left(&mut self, io: &mut ClientIo, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.left.is_empty() {
            let written = ready!(self.left.poll_write(io, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_before = written.min(self.left.before.len());
            self.left.before.drain(..of_before);
            self.left.advance_behind(written - of_before);
            if self.left.is_empty() {
                self.left = Burst::default();
            }
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Burst {
    fn is_empty(&self) -> bool {
        self.before.is_empty() && self.large.is_empty() && self.after.is_empty()
    }

    fn poll_write(&self, io: &mut ClientIo, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.large.is_empty() && self.after.is_empty() {
            return Pin::new(io).poll_write(cx, &self.before);
        }
        let slices = [&self.before, &*self.large, self.after].map(IoSlice::new);
        Pin::new(io).poll_write_vectored(cx, &slices)
    }

    /// Steps over bytes behind the first part.
    fn advance_behind(&mut self, written: usize) {
        let of_large = written.min(self.large.len());
        self.large.advance(of_large);
        self.after = &self.after[written - of_large..];
    }
}

/// The line before a chunk. Not by `write!`, which takes as long as all the rest of a small chunk.
fn put_size(out: &mut Vec<u8>, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4);
    for at in (0..digits).rev() {
        out.push(b"0123456789abcdef"[size >> (at * 4) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
