//! Where a response body ends, and taking its bytes out of the read buffer.
//! Never reports an end that the upstream did not announce.

use bytes::{Bytes, BytesMut};
use http_body::SizeHint;

use super::chunked::Chunks;
use crate::upstream::error::{ProtocolError, UpstreamError};

/// How a body is delimited, with what is left of it.
#[derive(Debug)]
pub(crate) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks, the last of which is empty.
    Chunked(Chunks),
    /// All until the upstream closes the connection.
    UntilClose,
}

impl Framing {
    /// A body of no bytes.
    pub(crate) const EMPTY: Self = Self::Length(0);

    /// Whether all of the body has been taken.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.is_done(),
            Self::UntilClose => false,
        }
    }

    /// How the connection's end ends this body. `clean`: closed as the transport's rules say (TLS: `close_notify`).
    pub(crate) fn at_eof(&self, clean: bool) -> Result<(), UpstreamError> {
        match self {
            Self::UntilClose if clean => Ok(()),
            _ if self.is_done() => Ok(()),
            Self::UntilClose | Self::Length(_) | Self::Chunked(_) => Err(UpstreamError::Truncated),
        }
    }

    /// What is known about the bytes to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }

    /// Takes the body bytes that have arrived, without copying; bytes after the end stay.
    pub(crate) fn decode(&mut self, buf: &mut BytesMut) -> Result<Bytes, ProtocolError> {
        match self {
            Self::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                *left -= take as u64;
                Ok(buf.split_to(take).freeze())
            }
            Self::Chunked(chunks) => chunks.decode(buf),
            Self::UntilClose => Ok(buf.split().freeze()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_to_its_last_byte_and_no_further() {
        let mut framing = Framing::Length(5);
        assert_eq!(framing.decode(&mut BytesMut::from("abc")).expect("valid"), "abc");
        assert!(matches!(framing.at_eof(true), Err(UpstreamError::Truncated)));
        let mut rest = BytesMut::from("deX");
        assert_eq!(framing.decode(&mut rest).expect("valid"), "de");
        assert!(framing.is_done() && framing.at_eof(false).is_ok());
        assert_eq!(rest, "X");
    }

    #[test]
    fn only_a_body_delimited_by_the_end_may_end_with_the_connection() {
        assert!(Framing::UntilClose.at_eof(true).is_ok());
        assert!(Framing::UntilClose.at_eof(false).is_err());
        assert!(Framing::Chunked(Chunks::default()).at_eof(true).is_err());
        assert!(Framing::EMPTY.at_eof(true).is_ok());
    }
}
