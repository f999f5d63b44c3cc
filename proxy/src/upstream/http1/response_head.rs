//! Reads a response head, and what it says about the body and the connection.
//! Refuses what two readers could understand differently.

use bytes::BytesMut;
use http::StatusCode;
use penstock_proxy_core::headers::{BadLines, Headers, LineEnds, is_control};

use super::chunked::Chunks;
use super::framing::Framing;
use crate::head::{ResponseHead, find_end, members, read_length};
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
        let Some(end) = find_end(buf).filter(|end| *end <= MAX_HEAD) else {
            return if buf.len() < MAX_HEAD { Ok(None) } else { Err(ProtocolError::HeadTooLarge) };
        };
        if let Some(head) = parse(&buf.split_to(end), bodiless)? {
            return Ok(Some(head));
        }
    }
}

/// One whole head; `None` if it was an interim one.
fn parse(head: &[u8], bodiless: bool) -> Result<Option<Head>, ProtocolError> {
    let end = memchr::memchr(b'\n', head).ok_or(ProtocolError::MalformedHead)?;
    let line = head[..end].strip_suffix(b"\r").unwrap_or(&head[..end]);
    let StatusLine { status, is_http10 } = StatusLine::read(line).ok_or(ProtocolError::MalformedHead)?;
    // Also of one that is skipped: where it ends must be beyond doubt.
    let headers = Headers::received(&head[end + 1..], LineEnds::Lenient, MAX_HEADERS)?;
    match status {
        StatusCode::SWITCHING_PROTOCOLS => Err(ProtocolError::Switch),
        status if status.is_informational() => Ok(None),
        status => {
            let response = ResponseHead { status, headers };
            Fields::read(&response.headers)?.into_head(response, is_http10, bodiless).map(Some)
        }
    }
}

/// The first line of a response.
struct StatusLine {
    status: StatusCode,
    is_http10: bool,
}

impl StatusLine {
    /// The words behind the number may be anything but control characters, and may be missing.
    fn read(line: &[u8]) -> Option<Self> {
        let [version @ (b'0' | b'1'), b' ', rest @ ..] = line.strip_prefix(VERSION)? else { return None };
        let (code, words) = rest.split_at_checked(3)?;
        if !(words.is_empty() || words[0] == b' ') || words.iter().any(|byte| is_control(*byte)) {
            return None;
        }
        Some(Self { status: StatusCode::from_bytes(code).ok()?, is_http10: *version == b'0' })
    }
}

/// What a head's lines say about the body and the connection.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    hop_by_hop: HopByHop,
}

/// Which lines are about this connection.
#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HopByHop {
    #[default]
    None,
    /// Some, known by their names.
    Known,
    /// Whatever `connection` names, too.
    Named,
}

impl Fields {
    fn read(headers: &Headers) -> Result<Self, ProtocolError> {
        let mut fields = Self::default();
        for line in headers.iter() {
            fields.note(line.name(), line.value())?;
        }
        if fields.chunked && fields.length.is_some() {
            return Err(ProtocolError::ConflictingFraming);
        }
        Ok(fields)
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), ProtocolError> {
        match name {
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
                self.hop_by_hop = HopByHop::Named;
                self.close |= members(value).any(|token| token.eq_ignore_ascii_case(b"close"));
            }
            _ => {}
        }
        if name != b"content-length" && is_hop_by_hop(name) {
            self.hop_by_hop = self.hop_by_hop.max(HopByHop::Known);
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
        if self.hop_by_hop == HopByHop::None && !no_content {
            return;
        }
        let named = (self.hop_by_hop == HopByHop::Named).then(|| headers.clone());
        let is_named = |name: &[u8]| {
            let lists = named.iter().flat_map(|named| named.get_all("connection"));
            lists.flat_map(members).any(|token| token.eq_ignore_ascii_case(name))
        };
        headers.retain(|name| match name {
            b"content-length" => !no_content,
            name => !is_hop_by_hop(name) && !is_named(name),
        });
    }
}

impl From<BadLines> for ProtocolError {
    fn from(error: BadLines) -> Self {
        match error {
            BadLines::Malformed => Self::MalformedHead,
            BadLines::TooMany => Self::HeadTooLarge,
        }
    }
}

#[cfg(test)]
mod tests;
