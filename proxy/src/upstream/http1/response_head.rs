//! Reads a response head, and what it says about the body and the connection.
//! Refuses what two readers could understand differently.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use memchr::memmem;

use super::chunked::Chunks;
use super::framing::Framing;
use crate::names;
use crate::upstream::error::ProtocolError;
use crate::upstream::headers::is_hop_by_hop;

/// Ten times the largest head of a provider we have seen (≈ 6 KiB, with a content-security-policy).
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// Three times the longest head of a provider we have seen (≈ 40 lines).
const MAX_HEADERS: usize = 128;
/// What every response begins with. Anything else is seen at once, not when the wait for a head is over.
const VERSION: &[u8] = b"HTTP/1.";

/// A final response's head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// End-to-end ones only.
    pub(crate) headers: HeaderMap,
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
        let Some(end) = memmem::find(buf, b"\r\n\r\n").map(|end| end + 4).filter(|end| *end <= MAX_HEAD)
        else {
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
            Fields::read(wire, response.headers)?.into_head(status, is_http10, bodiless).map(Some)
        }
    }
}

/// A head's lines, sorted into what is passed on and what is about this connection.
#[derive(Default)]
struct Fields {
    headers: HeaderMap,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    connection: Vec<HeaderValue>,
}

impl Fields {
    fn read(wire: &Bytes, lines: &[httparse::Header<'_>]) -> Result<Self, ProtocolError> {
        let mut fields = Self { headers: HeaderMap::with_capacity(lines.len()), ..Self::default() };
        for line in lines {
            let name = names::name(line.name.as_bytes()).map_err(|_| ProtocolError::MalformedHead)?;
            let value = HeaderValue::from_maybe_shared(wire.slice_ref(line.value))
                .map_err(|_| ProtocolError::MalformedHead)?;
            fields.add(name, value)?;
        }
        fields.drop_named_by_connection();
        if fields.chunked && fields.length.is_some() {
            return Err(ProtocolError::ConflictingFraming);
        }
        Ok(fields)
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), ProtocolError> {
        if name == header::CONTENT_LENGTH {
            let length = decimal(value.as_bytes()).ok_or(ProtocolError::ContentLength)?;
            // Also two equal ones: nobody needs them, and readers differ.
            if self.length.replace(length).is_some() {
                return Err(ProtocolError::ContentLength);
            }
        } else if name == header::TRANSFER_ENCODING {
            if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(ProtocolError::TransferEncoding);
            }
            self.chunked = true;
        } else if name == header::CONNECTION {
            self.connection.push(value);
            return Ok(());
        }
        if !is_hop_by_hop(&name) || name == header::CONTENT_LENGTH {
            self.headers.append(name, value);
        }
        Ok(())
    }

    fn drop_named_by_connection(&mut self) {
        for value in std::mem::take(&mut self.connection) {
            for token in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if token.eq_ignore_ascii_case(b"close") {
                    self.close = true;
                } else if let Ok(name) = HeaderName::from_bytes(token)
                    && name != header::CONTENT_LENGTH
                {
                    self.headers.remove(name);
                }
            }
        }
    }

    fn into_head(
        mut self,
        status: StatusCode,
        is_http10: bool,
        bodiless: bool,
    ) -> Result<Head, ProtocolError> {
        if self.chunked && is_http10 {
            return Err(ProtocolError::TransferEncoding);
        }
        if status == StatusCode::NO_CONTENT {
            self.headers.remove(header::CONTENT_LENGTH);
        }
        let framing = if bodiless || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            Framing::EMPTY
        } else if self.chunked {
            Framing::Chunked(Chunks::default())
        } else {
            self.length.map_or(Framing::UntilClose, Framing::Length)
        };
        let keep_alive = !is_http10 && !self.close && !matches!(framing, Framing::UntilClose);
        Ok(Head { status, headers: self.headers, framing, keep_alive })
    }
}

/// Digits only: `+5`, `5, 5` and an empty value are not a length.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
