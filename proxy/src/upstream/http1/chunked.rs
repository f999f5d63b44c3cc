//! Takes the framing of a chunked body out of the buffer it arrived in.
//! Strict: a size that is not plain hexadecimal, a bare line feed or an endless extension is refused.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::upstream::error::ProtocolError;

/// Bytes of chunk extensions and trailers that one body may carry. We drop both; more is an attack, not a message.
const MAX_OVERHEAD: u32 = 64 * 1024;

/// Digits of a chunk's size that are read at once; no chunk that arrives in one piece needs more.
const MOST_DIGITS: usize = 8;

/// Where in the framing the next byte belongs. Any split of the bytes leads to the same places.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    place: Place,
    overhead: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first digit of a chunk's size.
    #[default]
    SizeStart,
    Size(u64),
    /// Blanks between size and extension or line end.
    SizePadding(u64),
    Extension(u64),
    SizeLineFeed(u64),
    Data(u64),
    DataReturn,
    DataLineFeed,
    TrailerStart,
    Trailer,
    TrailerLineFeed,
    LastLineFeed,
    Done,
}

impl Chunks {
    /// Whether the last chunk and the trailers have been read.
    pub(crate) fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    /// Takes everything that has arrived out of `buf` and gives the data in it as one piece: data of later chunks is
    /// moved down over the framing before it. The piece is empty when only framing arrived. Bytes after the end of the
    /// body stay in `buf`.
    pub(crate) fn decode(&mut self, buf: &mut BytesMut) -> Result<Bytes, ProtocolError> {
        let (mut read, mut kept) = (0, 0);
        while read < buf.len() && self.place != Place::Done {
            let Place::Data(left) = self.place else {
                if let Some((size, taken)) = plain_size(self.place, &buf[read..]) {
                    self.place = Place::Data(size);
                    read += taken;
                } else {
                    self.place = self.after(buf[read])?;
                    read += 1;
                }
                continue;
            };
            if kept == 0 {
                // Nothing to close the gap to: the framing is skipped, not overwritten.
                buf.advance(read);
                read = 0;
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len() - read);
            if read != kept {
                buf.copy_within(read..read + length, kept);
            }
            read += length;
            kept += length;
            let left = left - length as u64;
            self.place = if left == 0 { Place::DataReturn } else { Place::Data(left) };
        }
        let piece = if kept == 0 { Bytes::new() } else { buf.split_to(kept).freeze() };
        buf.advance(read - kept);
        Ok(piece)
    }

    /// The place after one byte of framing.
    fn after(&mut self, byte: u8) -> Result<Place, ProtocolError> {
        use Place::{
            Data, DataLineFeed, DataReturn, Done, Extension, LastLineFeed, Size, SizeLineFeed, SizePadding,
            SizeStart, Trailer, TrailerLineFeed, TrailerStart,
        };
        let next = match (self.place, byte) {
            (SizeStart, byte) => Size(hex_digit(byte)?),
            (Size(size) | SizePadding(size) | Extension(size), b'\r') => SizeLineFeed(size),
            (Size(size) | SizePadding(size), b';') => Extension(size),
            (Size(size), b' ' | b'\t') => SizePadding(size),
            // Sixteen digits are as much as 64 bits hold.
            (Size(size), byte) if size >> 60 == 0 => Size(size << 4 | hex_digit(byte)?),
            (SizePadding(size), b' ' | b'\t') => self.counted(SizePadding(size))?,
            (Extension(size), byte) if byte != b'\n' => self.counted(Extension(size))?,
            (SizeLineFeed(0) | TrailerLineFeed, b'\n') => TrailerStart,
            (SizeLineFeed(size), b'\n') => Data(size),
            (DataReturn, b'\r') => DataLineFeed,
            (DataLineFeed, b'\n') => SizeStart,
            (TrailerStart, b'\r') => LastLineFeed,
            (Trailer, b'\r') => TrailerLineFeed,
            (TrailerStart | Trailer, byte) if byte != b'\n' => self.counted(Trailer)?,
            (LastLineFeed, b'\n') => Done,
            _ => return Err(ProtocolError::Chunk),
        };
        Ok(next)
    }

    fn counted(&mut self, place: Place) -> Result<Place, ProtocolError> {
        self.overhead += 1;
        if self.overhead > MAX_OVERHEAD { Err(ProtocolError::Chunk) } else { Ok(place) }
    }
}

/// What nearly every chunk begins with, seen at once instead of byte by byte: the line end of the chunk before, and
/// digits with a line end. The size, and how many bytes that is; `None` for anything else.
fn plain_size(place: Place, bytes: &[u8]) -> Option<(u64, usize)> {
    let line = match place {
        Place::SizeStart => bytes,
        Place::DataReturn => bytes.strip_prefix(b"\r\n")?,
        _ => return None,
    };
    let mut size = 0;
    for (at, byte) in line.iter().enumerate().take(MOST_DIGITS) {
        match hex_digit(*byte) {
            Ok(digit) => size = size << 4 | digit,
            // A chunk without data is the last one, and more than its size follows.
            Err(_) if size > 0 && line[at..].starts_with(b"\r\n") => {
                return Some((size, bytes.len() - line.len() + at + 2));
            }
            Err(_) => return None,
        }
    }
    None
}

fn hex_digit(byte: u8) -> Result<u64, ProtocolError> {
    char::from(byte).to_digit(16).map(u64::from).ok_or(ProtocolError::Chunk)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `wire` in pieces of the given lengths (the last one repeats); what came out and what was left over.
    fn decoded(wire: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, bool, Vec<u8>), ProtocolError> {
        let mut chunks = Chunks::default();
        let (mut buf, mut out, mut rest) = (BytesMut::new(), Vec::new(), wire);
        let mut cuts = cuts.iter().copied().chain(std::iter::repeat(usize::MAX));
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap_or(1).clamp(1, rest.len()));
            buf.extend_from_slice(now);
            out.extend_from_slice(&chunks.decode(&mut buf)?);
            rest = later;
        }
        Ok((out, chunks.is_done(), buf.to_vec()))
    }

    fn encoded(pieces: &[Vec<u8>]) -> Vec<u8> {
        let mut wire = Vec::new();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        wire
    }

    #[test]
    fn all_chunks_that_arrived_become_one_piece() {
        let mut buf = BytesMut::from(&b"3\r\nabc\r\n2;x=y\r\nde\r\n1\r\nf"[..]);
        let mut chunks = Chunks::default();
        assert_eq!(chunks.decode(&mut buf).expect("valid"), "abcdef");
        assert!(buf.is_empty() && !chunks.is_done());
    }

    #[test]
    fn trailers_and_extensions_are_dropped_and_what_follows_the_body_stays() {
        let wire = b"A ;a=\"b\"\r\n0123456789\r\n000\r\nx-sum: 1\r\ny: 2\r\n\r\nHTTP";
        assert_eq!(decoded(wire, &[]), Ok((b"0123456789".to_vec(), true, b"HTTP".to_vec())));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        let malformed: [&[u8]; 14] = [
            b"\r\n",
            b" 1\r\na\r\n",
            b"+1\r\na\r\n",
            b"-1\r\na\r\n",
            b"0x1\r\na\r\n",
            b"g\r\n",
            b"1\na\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\n",
            b"1;x\ny\r\na",
            b"1 1\r\na",
            b"11111111111111111\r\n",
            b"0\r\n\n",
            b"0\r\nx: 1\n\r\n",
        ];
        for wire in malformed {
            assert_eq!(decoded(wire, &[]), Err(ProtocolError::Chunk), "{:?}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn an_endless_trailer_is_refused() {
        let mut wire = b"0\r\n".to_vec();
        wire.resize(wire.len() + 70_000, b'x');
        assert_eq!(decoded(&wire, &[]), Err(ProtocolError::Chunk));
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_body(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            cuts in prop::collection::vec(1usize..50, 0..40),
        ) {
            let (body, done, rest) = decoded(&encoded(&pieces), &cuts).expect("valid");
            prop_assert_eq!(body, pieces.concat());
            prop_assert!(done && rest.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_splits_agree(
            wire in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), b'0'..=b'9', Just(b';'), any::<u8>()], 0..80),
            cuts in prop::collection::vec(1usize..9, 0..30),
        ) {
            // The piece decoded before a mistake is lost with it, so only complete readings are compared.
            prop_assert_eq!(decoded(&wire, &[]).ok(), decoded(&wire, &cuts).ok());
        }
    }
}
