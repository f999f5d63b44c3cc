//! A client that writes and reads raw bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its end as framed.
    pub(crate) whole: bool,
}

impl Answer {
    /// Every value of a header, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(held, _)| held.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A POST of JSON with further header lines (each ending in `\r\n`).
pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: penstock\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A GET with further header lines.
pub(crate) fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: penstock\r\n{headers}\r\n")
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads on until the unread bytes contain `text`.
    pub(crate) async fn read_until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.buffer).contains(text) {
            assert!(self.more().await, "the connection ended before {text:?}: {:?}", self.unread());
        }
    }

    pub(crate) fn unread(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Reads everything until the connection ends.
    pub(crate) async fn read_to_end(&mut self) -> String {
        while self.more().await {}
        self.unread()
    }

    /// One answer, to the end of its body or of the connection.
    pub(crate) async fn answer(&mut self) -> Answer {
        let (first, mut answer) = self.head().await;
        answer.status = first.split(' ').nth(1).unwrap().parse().unwrap();
        self.body(&mut answer).await;
        answer
    }

    /// The other way: one request, to the end of its body. Its status is 0.
    pub(crate) async fn request(&mut self) -> Answer {
        let (_, mut request) = self.head().await;
        self.body(&mut request).await;
        request
    }

    async fn body(&mut self, answer: &mut Answer) {
        let length: Option<usize> =
            answer.values("content-length").first().map(|length| length.parse().unwrap());
        match length {
            Some(length) => self.counted(answer, length).await,
            None => while !answer.whole && self.chunk(answer).await {},
        }
    }

    /// A first line, and what follows it up to the body.
    async fn head(&mut self) -> (String, Answer) {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.more().await, "no whole head: {:?}", self.unread());
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let first = lines.next().unwrap().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        (first, Answer { status: 0, headers, body: Vec::new(), whole: false })
    }

    async fn counted(&mut self, answer: &mut Answer, length: usize) {
        while self.buffer.len() < length && self.more().await {}
        answer.whole = self.buffer.len() >= length;
        answer.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
    }

    /// One chunk; false when the connection ended inside it.
    async fn chunk(&mut self, answer: &mut Answer) -> bool {
        let line = loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            if !self.more().await {
                return false;
            }
        };
        let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..line]).unwrap(), 16).unwrap();
        while self.buffer.len() < line + 2 + size + 2 {
            if !self.more().await {
                return false;
            }
        }
        answer.body.extend_from_slice(&self.buffer[line + 2..line + 2 + size]);
        self.buffer.drain(..line + 2 + size + 2);
        answer.whole = size == 0;
        true
    }

    /// Reads once; false at the end of the connection.
    pub(crate) async fn more(&mut self) -> bool {
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|count| count > 0)
    }
}
