//! One connection of the load generator: sends a request that was written before, reads the whole answer.
//! As little work as will do, so that the programs that are measured have the machine; but an answer that
//! is not complete, or not the right one, ends the benchmark.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use bytes::{Buf as _, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer's head and some events.
const ROOM: usize = 16 * 1024;

/// A kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Received, not yet read.
    buffer: BytesMut,
    body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(ROOM), body: Vec::new() })
    }

    /// Sends a request, reads its answer, and gives the answer's body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.body.clear();
        match self.head().await? {
            Some(length) => self.whole(length).await?,
            None => self.chunks().await?,
        }
        ensure!(self.buffer.is_empty(), "more came than the answer");
        Ok(&self.body)
    }

    /// The same, where the answer is known.
    pub(crate) async fn expect(&mut self, request: &[u8], answer: &[u8]) -> anyhow::Result<()> {
        let got = self.exchange(request).await?;
        ensure!(got == answer, "a wrong answer: {}", String::from_utf8_lossy(got));
        Ok(())
    }

    /// Sends a request and reads the beginning of its answer, as far as it is there.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(request).await?)
    }

    /// Waits until this much of a stream has come; then no buffer is kept for the rest.
    pub(crate) async fn await_text(&mut self, text: &[u8]) -> anyhow::Result<()> {
        while memmem::find(&self.buffer, text).is_none() {
            self.fill().await?;
        }
        ensure!(self.buffer.starts_with(b"HTTP/1.1 200 "), "a stream that did not begin well");
        self.buffer = BytesMut::new();
        Ok(())
    }

    /// Whether nothing came, and no end either.
    pub(crate) fn is_quiet(&self) -> bool {
        let read = self.stream.try_read(&mut [0; 64]);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Reads the head; the body's length, or `None` if it comes in chunks.
    async fn head(&mut self) -> anyhow::Result<Option<usize>> {
        let end = loop {
            match memmem::find(&self.buffer, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.fill().await?,
            }
        };
        let mut lines = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut lines);
        response.parse(&self.buffer[..end])?;
        if response.code != Some(200) {
            bail!("not a 200: {}", String::from_utf8_lossy(&self.buffer));
        }
        let length = response.headers.iter().find(|line| line.name.eq_ignore_ascii_case("content-length"));
        let length = length
            .map(|line| std::str::from_utf8(line.value).context("a length")?.parse().context("a length"));
        let length = length.transpose()?;
        self.buffer.advance(end);
        Ok(length)
    }

    async fn whole(&mut self, length: usize) -> anyhow::Result<()> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        self.take(length);
        Ok(())
    }

    async fn chunks(&mut self) -> anyhow::Result<()> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.buffer) else {
                self.fill().await?;
                continue;
            };
            let digits = std::str::from_utf8(&self.buffer[..end])?.trim_end();
            let size = usize::from_str_radix(digits, 16).context("a chunk's size")?;
            while self.buffer.len() < end + 1 + size + 2 {
                self.fill().await?;
            }
            self.buffer.advance(end + 1);
            self.take(size);
            ensure!(self.buffer.starts_with(b"\r\n"), "a chunk's end");
            self.buffer.advance(2);
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn take(&mut self, length: usize) {
        self.body.extend_from_slice(&self.buffer[..length]);
        self.buffer.advance(length);
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        self.buffer.reserve(ROOM);
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "an answer that was cut off");
        Ok(())
    }
}
