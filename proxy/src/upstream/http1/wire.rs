//! One HTTP/1.1 connection: its byte stream and what has been read of it but not yet used.
//! Holds no buffer while it waits: ten thousand idle streams must fit in little memory.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, ReadBuf};

use crate::alarm::Alarm;
use crate::upstream::io::UpstreamIo;

/// A head with a short answer, or all events of one.
const MIN_READ: usize = 16 * 1024;
/// Largest piece handed on. Larger ones save no system calls worth having, and each slow reader holds one.
const MAX_READ: usize = 64 * 1024;

thread_local! {
    /// Where little is read to before it is known how little. Used within one poll only.
    static SCRATCH: RefCell<[u8; MIN_READ]> = const { RefCell::new([0; MIN_READ]) };
}

/// An open HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) io: UpstreamIo,
    /// Read but not used.
    pub(crate) buf: BytesMut,
    /// How much the next read may bring; follows what the last ones brought.
    room: usize,
    /// Has carried a request before, so that the peer may have closed it meanwhile.
    pub(crate) reused: bool,
    /// Limits the waits of all its requests.
    pub(crate) alarm: Alarm,
}

impl Wire {
    pub(crate) fn new(io: UpstreamIo) -> Self {
        Self { io, buf: BytesMut::new(), room: MIN_READ, reused: false, alarm: Alarm::default() }
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
        if self.room == MIN_READ && self.buf.capacity() - self.buf.len() < MIN_READ {
            return self.poll_read_little(cx);
        }
        ready!(self.io.poll_maybe_readable(cx))?;
        if self.buf.capacity() - self.buf.len() < self.room / 2 {
            // Takes the old allocation back if nothing refers to it any more.
            self.buf.reserve(self.room);
        }
        let free = self.room.min(self.buf.capacity() - self.buf.len());
        let read = ready!(pin!(self.io.read_buf(&mut (&mut self.buf).limit(free))).poll(cx))?;
        if read == free {
            self.room = (self.room * 2).min(MAX_READ);
        } else if read < self.room / 4 {
            self.room = (self.room / 2).max(MIN_READ);
        }
        Poll::Ready(Ok(read))
    }

    /// Reads through the thread's buffer, so that what is kept takes as much room as it has bytes: a head and a first
    /// event are held back until the answer has proved to be one.
    fn poll_read_little(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut into = ReadBuf::new(&mut scratch[..]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut into))?;
            let read = into.filled().len();
            self.buf.extend_from_slice(into.filled());
            if read == MIN_READ {
                self.room = MIN_READ * 2;
            }
            Poll::Ready(Ok(read))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_connection_that_waits_holds_no_buffer_and_a_busy_one_gets_a_larger_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("reachable");
        let (mut peer, _) = listener.accept().await.expect("a connection");
        let mut wire = Wire::new(UpstreamIo::Plain(stream));
        let waiting = |wire: &mut Wire| wire.poll_fill(&mut Context::from_waker(Waker::noop())).is_pending();

        assert!(waiting(&mut wire));
        assert_eq!(wire.buf.capacity(), 0);

        let sent = vec![1; 512 * 1024];
        let read = async {
            let (mut left, mut largest) = (sent.len(), 0);
            while left > 0 {
                left -= std::future::poll_fn(|cx| wire.poll_fill(cx)).await.expect("open");
                largest = largest.max(wire.buf.split().len());
            }
            largest
        };
        let (written, largest) = tokio::join!(peer.write_all(&sent), read);
        written.expect("open");
        assert!((MIN_READ + 1..=MAX_READ).contains(&largest), "{largest}");

        assert!(waiting(&mut wire));
        assert_eq!(wire.buf.capacity(), 0);
    }
}
