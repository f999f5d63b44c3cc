//! One content coding: bytes in, decoded bytes out, as soon as they can be had.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::DecodeError;
use super::zstd::Zstd;

/// Scratch space of the brotli decoder.
const SCRATCH: usize = 16 * 1024;

/// A decoder and its name.
pub(super) struct Stage {
    name: &'static str,
    coder: Box<dyn Coder>,
}

/// A decoder that writes into an [`Out`].
pub(super) trait Coder: Write + Send {
    /// Where decoded bytes are.
    fn out(&mut self) -> &mut Out;
    /// Fails if the input so far is no whole body.
    fn end(&mut self) -> io::Result<()>;
}

/// Decoded bytes, up to a limit.
#[derive(Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    room: usize,
    full: bool,
}

/// `deflate`: zlib as the standard says, or raw as some send it. The first two bytes tell.
#[derive(Default)]
struct Deflate {
    seen: Vec<u8>,
    out: Out,
    coder: Option<Box<dyn Coder>>,
}

impl Stage {
    pub(super) fn new(name: &str) -> Option<Self> {
        let (name, coder): (_, Box<dyn Coder>) = match name {
            "gzip" | "x-gzip" => ("gzip", Box::new(MultiGzDecoder::new(Out::default()))),
            "deflate" => ("deflate", Box::new(Deflate::default())),
            "br" => ("br", Box::new(DecompressorWriter::new(Out::default(), SCRATCH))),
            "zstd" => ("zstd", Box::new(Zstd::new())),
            _ => return None,
        };
        Some(Self { name, coder })
    }

    /// Decodes a slice to at most `limit` bytes.
    pub(super) fn push(&mut self, input: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
        self.coder.out().room = limit;
        let result = self.coder.write_all(input).and_then(|()| self.coder.flush());
        let out = self.coder.out();
        match result {
            _ if out.full => Err(DecodeError::TooLarge(limit)),
            Ok(()) => Ok(std::mem::take(&mut out.bytes)),
            Err(source) => Err(DecodeError::Bad { coding: self.name, source }),
        }
    }

    pub(super) fn is_prompt(&self) -> bool {
        self.name != "zstd"
    }

    /// Fails if the input so far is no whole body.
    pub(super) fn check_end(&mut self) -> Result<(), DecodeError> {
        self.coder.end().map_err(|source| DecodeError::Bad { coding: self.name, source })
    }
}

impl Write for Out {
    fn write(&mut self, decoded: &[u8]) -> io::Result<usize> {
        let Some(room) = self.room.checked_sub(decoded.len()) else {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.room = room;
        self.bytes.extend_from_slice(decoded);
        Ok(decoded.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Coder for MultiGzDecoder<Out> {
    fn out(&mut self) -> &mut Out {
        self.get_mut()
    }

    fn end(&mut self) -> io::Result<()> {
        self.try_finish()
    }
}

impl Coder for ZlibDecoder<Out> {
    fn out(&mut self) -> &mut Out {
        self.get_mut()
    }

    fn end(&mut self) -> io::Result<()> {
        self.try_finish()
    }
}

impl Coder for DeflateDecoder<Out> {
    fn out(&mut self) -> &mut Out {
        self.get_mut()
    }

    fn end(&mut self) -> io::Result<()> {
        self.try_finish()
    }
}

impl Coder for DecompressorWriter<Out> {
    fn out(&mut self) -> &mut Out {
        self.get_mut()
    }

    fn end(&mut self) -> io::Result<()> {
        self.close()
    }
}

impl Coder for Deflate {
    fn out(&mut self) -> &mut Out {
        match &mut self.coder {
            Some(coder) => coder.out(),
            None => &mut self.out,
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match &mut self.coder {
            Some(coder) => coder.end(),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Write for Deflate {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        if let Some(coder) = &mut self.coder {
            return coder.write(input);
        }
        self.seen.extend_from_slice(input);
        if let [first, second, ..] = self.seen[..] {
            // RFC 1950: method 8, and the header is a multiple of 31.
            let zlib = first & 0x0F == 8 && u16::from_be_bytes([first, second]).is_multiple_of(31);
            let out = std::mem::take(&mut self.out);
            let coder: Box<dyn Coder> =
                if zlib { Box::new(ZlibDecoder::new(out)) } else { Box::new(DeflateDecoder::new(out)) };
            self.coder.insert(coder).write_all(&self.seen)?;
            self.seen = Vec::new();
        }
        Ok(input.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.coder.as_mut().map_or(Ok(()), Write::flush)
    }
}
