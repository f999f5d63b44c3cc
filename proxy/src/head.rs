//! Heads of requests and answers, the same whatever protocol they come or go by.

use std::sync::LazyLock;

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use memchr::memmem::Finder;
use penstock_proxy_core::headers::Headers;

/// What a client asks for.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: Headers,
}

/// How an answer begins.
#[derive(Debug)]
pub struct ResponseHead {
    /// Its status.
    pub status: StatusCode,
    /// Its lines.
    pub headers: Headers,
}

/// An answer.
#[derive(Debug)]
pub struct Response<B> {
    /// How it begins.
    pub head: ResponseHead,
    /// What follows.
    pub body: B,
}

/// Prepared once: making it takes as long as finding it.
static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// Where a head ends, behind its empty line.
pub(crate) fn find_end(text: &[u8]) -> Option<usize> {
    END.find(text).map(|at| at + 4)
}

/// Appends the line that says a body's length. Not by `write!`, which takes longer than all else in a short head.
pub(crate) fn put_length(out: &mut Vec<u8>, length: u64) {
    let (mut digits, mut from, mut rest) = ([0; 20], 20, length);
    loop {
        from -= 1;
        digits[from] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(&digits[from..]);
    out.extend_from_slice(b"\r\n");
}

/// What a line says of a body's length. Digits only: `+5`, `5, 5` and an empty value are not a length.
pub(crate) fn read_length(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The members of a list like that of `connection`.
pub(crate) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

impl From<http::request::Parts> for RequestHead {
    fn from(parts: http::request::Parts) -> Self {
        let http::request::Parts { method, uri, version, headers, .. } = parts;
        Self { method, uri, version, headers: Headers::from(&headers) }
    }
}

impl<B> From<Response<B>> for http::Response<B> {
    /// For hyper.
    fn from(response: Response<B>) -> Self {
        let Response { head, body } = response;
        let mut made = Self::new(body);
        *made.status_mut() = head.status;
        for line in head.headers.iter() {
            // Lines are kept only if they can be one.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(line.name()), HeaderValue::from_bytes(line.value()))
            {
                made.headers_mut().append(name, value);
            }
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_written_in_decimal_digits() {
        for length in [0, 7, 10, 999, 1_000, u64::MAX] {
            let mut line = Vec::new();
            put_length(&mut line, length);
            assert_eq!(line, format!("content-length: {length}\r\n").as_bytes());
        }
    }
}
