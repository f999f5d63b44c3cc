//! Reads a response head, and what it says about the body and the connection.
//! Refuses what two readers could understand differently.

use std::mem::MaybeUninit;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use memchr::memmem::Finder;
use penstock_proxy_core::headers::Headers;

use super::chunked::Chunks;
use super::framing::Framing;
use crate::head::{ResponseHead, members, read_length};
use crate::upstream::error::ProtocolError;
use crate::upstream::headers::is_hop_by_hop;

/// Ten times the largest head of a provider we have seen (≈ 6 KiB, with a content-security-policy).
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// Three times the longest head of a provider we have seen (≈ 40 lines).
const MAX_HEADERS: usize = 128;
/// What every response begins with. Anything else is seen at once, not when the wait for a head is over.
const VERSION: &[u8] = b"HTTP/1.";

/// Prepared once: making it takes as long as finding it.
static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// A final response's head.
#[derive(Debug)]
pub(crate) struct Head {
    /// With end-to-end lines only.
    pub(crate) response: ResponseHead,
    pub(crate) framing: Framing,
    /// Whether the connection may carry another request when the body has been read.
    pub(crate) keep_alive: bool,
}

/// Takes a final response's head from `buf`, once all of it is there; interim (1xx) ones before it are skipped.
///
/// `bodiless`: the request was HEAD, so no body follows whatever the head says.
pub(crate) fn take(buf: &mut BytesMut, bodiless: bool) -> Result<Option<Head>, ProtocolError> {
    loop {
        let start = buf.len().min(VERSION.len());
        if buf[..start] != VERSION[..start] {
            return Err(ProtocolError::MalformedHead);
        }
        let Some(end) = END.find(buf).map(|end| end + 4).filter(|end| *end <= MAX_HEAD) else {
            return if buf.len() < MAX_HEAD { Ok(None) } else { Err(ProtocolError::HeadTooLarge) };
        };
        // Split off before parsing, so that header values can share the buffer instead of being copied.
        if let Some(head) = parse(&buf.split_to(end).freeze(), bodiless)? {
            return Ok(Some(head));
        }
    }
}

/// One whole head; `None` if it was an interim one.
fn parse(wire: &Bytes, bodiless: bool) -> Result<Option<Head>, ProtocolError> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, wire, &mut lines) {
        // An end before the end we looked for: the head ended in bare line feeds.
        Ok(httparse::Status::Complete(length)) if length == wire.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(ProtocolError::HeadTooLarge),
        Ok(_) | Err(_) => return Err(ProtocolError::MalformedHead),
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    match status.ok_or(ProtocolError::MalformedHead)? {
        StatusCode::SWITCHING_PROTOCOLS => Err(ProtocolError::Switch),
        status if status.is_informational() => Ok(None),
        status => {
            let is_http10 = response.version == Some(0);
            let lines = response.headers.iter().map(|line| (line.name, line.value));
            let response = ResponseHead { status, headers: Headers::received(wire, lines) };
            Fields::read(&response.headers)?.into_head(response, is_http10, bodiless).map(Some)
        }
    }
}

/// What a head's lines say about the body and the connection.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    /// There is a line `connection`, which may name others.
    connection: bool,
}

impl Fields {
    fn read(headers: &Headers) -> Result<Self, ProtocolError> {
        let mut fields = Self::default();
        for (name, value) in headers.iter() {
            fields.note(name, value)?;
        }
        if fields.chunked && fields.length.is_some() {
            return Err(ProtocolError::ConflictingFraming);
        }
        Ok(fields)
    }

    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), ProtocolError> {
        match name.as_bytes() {
            b"content-length" => {
                let length = read_length(value).ok_or(ProtocolError::ContentLength)?;
                // Also two equal ones: nobody needs them, and readers differ.
                if self.length.replace(length).is_some() {
                    return Err(ProtocolError::ContentLength);
                }
            }
            b"transfer-encoding" => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(ProtocolError::TransferEncoding);
                }
                self.chunked = true;
            }
            b"connection" => {
                self.connection = true;
                self.close |= members(value).any(|token| token.eq_ignore_ascii_case(b"close"));
            }
            _ => {}
        }
        Ok(())
    }

    fn into_head(
        self,
        mut response: ResponseHead,
        is_http10: bool,
        bodiless: bool,
    ) -> Result<Head, ProtocolError> {
        if self.chunked && is_http10 {
            return Err(ProtocolError::TransferEncoding);
        }
        let no_content = response.status == StatusCode::NO_CONTENT;
        let framing = if bodiless || no_content || response.status == StatusCode::NOT_MODIFIED {
            Framing::EMPTY
        } else if self.chunked {
            Framing::Chunked(Chunks::default())
        } else {
            self.length.map_or(Framing::UntilClose, Framing::Length)
        };
        self.keep_end_to_end(&mut response.headers, no_content);
        let keep_alive = !is_http10 && !self.close && !matches!(framing, Framing::UntilClose);
        Ok(Head { response, framing, keep_alive })
    }

    /// Leaves out what is about this connection, by its name or because `connection` says so.
    fn keep_end_to_end(&self, headers: &mut Headers, no_content: bool) {
        let named = self.connection.then(|| headers.clone());
        let is_named = |name: &str| {
            let lists = named.iter().flat_map(|named| named.get_all("connection"));
            lists.flat_map(members).any(|token| token.eq_ignore_ascii_case(name.as_bytes()))
        };
        headers.retain(|name| match name {
            "content-length" => !no_content,
            name => !is_hop_by_hop(name) && !is_named(name),
        });
    }
}

#[cfg(test)]
mod tests;
