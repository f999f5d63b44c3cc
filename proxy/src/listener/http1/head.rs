//! Reads a request's head, and what it says about the body and the connection.
//! Refuses what two readers could understand differently: whoever stands before us may have read it otherwise.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};
use penstock_proxy_core::headers::{BadLines, Headers, LineEnds};

use crate::head::{RequestHead, find_end, members, read_length};
use crate::upstream::http1::chunked::Chunks;
use crate::upstream::http1::framing::Framing;

/// Largest request head, bytes: some clients send long tokens and baggage, none comes near this.
pub(in crate::listener) const MAX_HEAD: usize = 64 << 10;

/// Most header lines of a request.
const MAX_HEADER_LINES: usize = 128;

/// A request's head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: RequestHead,
    /// How its body ends.
    pub(super) framing: Framing,
    /// Whether the client wants to send another request afterwards.
    pub(super) keep_alive: bool,
    /// Whether the client waits for our word before it sends the body.
    pub(super) expects_continue: bool,
}

/// Why a head is not a request's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::listener) enum BadHead {
    /// Not HTTP/1, or not strictly.
    #[error("the head is not strictly HTTP/1.1")]
    Malformed,
    /// Readers could disagree on where the body ends.
    #[error("the head says in more than one way, or wrongly, where the body ends")]
    Framing,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    #[error("the head is of an unknown version of HTTP")]
    Version,
    /// More bytes or lines than a request needs.
    #[error("the head is too large")]
    TooLarge,
    /// It did not come to its end in time.
    #[error("the head did not come to its end in time")]
    Slow,
}

impl BadHead {
    /// What the client is told.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Framing => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// Where the head in `received` ends; `None` = not yet. `scanned` is how much of it earlier calls have seen.
pub(super) fn end(received: &[u8], scanned: &mut usize) -> Result<Option<usize>, BadHead> {
    let from = *scanned;
    // The last bytes seen may be the first ones of the end.
    let again = from.saturating_sub(3);
    if let Some(end) = find_end(&received[again..]) {
        return if again + end <= MAX_HEAD { Ok(Some(again + end)) } else { Err(BadHead::TooLarge) };
    }
    if received.len() >= MAX_HEAD {
        return Err(BadHead::TooLarge);
    }
    // What can be no request is refused at once, not when the wait for its end is over: a lone line feed, which ends
    // a line for some readers and not for others, …
    let mut feeds = memchr::memchr_iter(b'\n', &received[from..]).map(|at| from + at);
    if feeds.any(|at| at == 0 || received[at - 1] != b'\r') {
        return Err(BadHead::Malformed);
    }
    // … and what does not even begin as one.
    if from == 0 {
        let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADER_LINES];
        let mut request = httparse::Request::new(&mut []);
        request.parse_with_uninit_headers(received, &mut lines).map_err(BadHead::from)?;
    }
    *scanned = received.len();
    Ok(None)
}

/// Reads a whole head.
pub(super) fn parse(wire: &Bytes) -> Result<Head, BadHead> {
    let mut start = 0;
    // Empty lines before a request are skipped (RFC 9112 section 2.2).
    while wire[start..].starts_with(b"\r\n") {
        start += 2;
    }
    let end = memchr::memchr(b'\n', &wire[start..]).map_or(wire.len(), |at| start + at + 1);
    let line = wire[start..end].strip_suffix(b"\r\n").ok_or(BadHead::Malformed)?;
    let RequestLine { method, target, version } = RequestLine::read(line)?;
    let request = RequestHead {
        method,
        uri: Uri::from_maybe_shared(wire.slice_ref(target.as_bytes())).map_err(|_| BadHead::Malformed)?,
        version,
        headers: Headers::received(&wire[end..], LineEnds::Strict, MAX_HEADER_LINES)?,
    };
    Fields::read(&request.headers)?.into_head(request)
}

/// The first line of a request.
struct RequestLine<'a> {
    method: Method,
    target: &'a str,
    version: Version,
}

impl<'a> RequestLine<'a> {
    /// Its parts have one space between them. What else may be in a target, its type knows.
    fn read(line: &'a [u8]) -> Result<Self, BadHead> {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadHead::Malformed);
        };
        let method = Method::from_bytes(method).map_err(|_| BadHead::Malformed)?;
        let target = std::str::from_utf8(target).map_err(|_| BadHead::Malformed)?;
        let is_visible = |byte: u8| byte > b' ' && byte != 0x7f;
        if target.is_empty() || !target.bytes().all(is_visible) {
            return Err(BadHead::Malformed);
        }
        let version = match version {
            b"HTTP/1.1" => Version::HTTP_11,
            b"HTTP/1.0" => Version::HTTP_10,
            more if more.starts_with(b"HTTP/1.1") || more.starts_with(b"HTTP/1.0") => {
                return Err(BadHead::Malformed);
            }
            _ => return Err(BadHead::Version),
        };
        Ok(Self { method, target, version })
    }
}

/// What a head's lines say to us.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    connection: Option<Persistence>,
    expects_continue: bool,
    hosts: usize,
}

/// What `connection` says of the connection's end.
#[derive(PartialEq, Eq)]
enum Persistence {
    Close,
    KeepAlive,
}

impl Fields {
    fn read(headers: &Headers) -> Result<Self, BadHead> {
        let mut fields = Self::default();
        for line in headers.iter() {
            fields.note(line.name(), line.value())?;
        }
        Ok(fields)
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadHead> {
        match name {
            b"content-length" => {
                let length = read_length(value).ok_or(BadHead::Framing)?;
                if self.length.replace(length).is_some_and(|before| before != length) {
                    return Err(BadHead::Framing);
                }
            }
            b"transfer-encoding" => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(BadHead::Framing);
                }
                self.chunked = true;
            }
            b"connection" => {
                for option in members(value) {
                    // The end, once said, is not taken back.
                    if option.eq_ignore_ascii_case(b"close") {
                        self.connection = Some(Persistence::Close);
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        self.connection.get_or_insert(Persistence::KeepAlive);
                    }
                }
            }
            b"expect" => self.expects_continue = value.eq_ignore_ascii_case(b"100-continue"),
            b"host" => self.hosts += 1,
            _ => {}
        }
        Ok(())
    }

    fn into_head(self, request: RequestHead) -> Result<Head, BadHead> {
        let is_old = request.version == Version::HTTP_10;
        if self.chunked && (is_old || self.length.is_some()) {
            return Err(BadHead::Framing);
        }
        if self.hosts > 1 || (self.hosts == 0 && !is_old) {
            return Err(BadHead::Malformed);
        }
        let framing = if self.chunked {
            Framing::Chunked(Chunks::default())
        } else {
            Framing::Length(self.length.unwrap_or(0))
        };
        let keep_alive = match self.connection {
            Some(said) => said == Persistence::KeepAlive,
            None => !is_old,
        };
        let expects_continue = self.expects_continue && !is_old && !framing.is_done();
        Ok(Head { request, framing, keep_alive, expects_continue })
    }
}

impl From<BadLines> for BadHead {
    fn from(error: BadLines) -> Self {
        match error {
            BadLines::Malformed => Self::Malformed,
            BadLines::TooMany => Self::TooLarge,
        }
    }
}

impl From<httparse::Error> for BadHead {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::TooLarge,
            httparse::Error::Version => Self::Version,
            _ => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests;
