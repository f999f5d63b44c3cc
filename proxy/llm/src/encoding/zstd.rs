//! zstd, frame by frame.
//!
//! What a frame decodes to comes out when its window is full or it ends, not before: the decoder keeps the
//! window to itself. Good for whole bodies; a stream is read late.

use std::io::{self, Write};

use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::stage::{Coder, Out};

/// The largest window that HTTP allows for zstd (RFC 9659).
const WINDOW: u64 = 8 * 1024 * 1024;

/// A block with its header, and a frame's header: with this much input the decoder must get on.
const BLOCK: usize = 128 * 1024 + 3 + 18;

/// The longest frame header.
const HEADER: usize = 18;

/// How much is taken out of the decoder at once.
const SCRATCH: usize = 16 * 1024;

pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// Input that is not a whole block or header yet.
    pending: Vec<u8>,
    in_frame: bool,
    /// Bytes left of a frame that is to be skipped.
    skip: usize,
    out: Out,
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { decoder, pending: Vec::new(), in_frame: false, skip: 0, out: Out::default() }
    }

    /// Decodes what can be decoded; false when more input is needed.
    fn step(&mut self) -> io::Result<bool> {
        if self.skip > 0 {
            let skipped = self.skip.min(self.pending.len());
            self.pending.drain(..skipped);
            self.skip -= skipped;
            return Ok(!self.pending.is_empty());
        }
        if !self.in_frame {
            return if self.pending.is_empty() { Ok(false) } else { self.begin() };
        }
        let mut scratch = [0; SCRATCH];
        let (read, written) =
            self.decoder.decode_from_to(&self.pending, &mut scratch).map_err(io::Error::other)?;
        // The decoder says so when a checksum is not there as a whole; it has read nothing.
        if read > self.pending.len() {
            return Ok(false);
        }
        self.out.write_all(&scratch[..written])?;
        self.pending.drain(..read);
        if self.decoder.is_finished() && self.decoder.can_collect() == 0 {
            self.in_frame = false;
            return Ok(true);
        }
        Ok(read > 0 || written > 0)
    }

    /// Reads a frame's header; false when it is not there as a whole.
    fn begin(&mut self) -> io::Result<bool> {
        let mut source = self.pending.as_slice();
        let result = self.decoder.reset(&mut source);
        let read = self.pending.len() - source.len();
        match result {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                self.skip = length as usize;
            }
            Err(_) if self.pending.len() < HEADER => return Ok(false),
            Err(error) => return Err(io::Error::other(error)),
        }
        self.pending.drain(..read);
        Ok(true)
    }
}

impl Write for Zstd {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(input);
        while self.step()? {}
        if self.pending.len() > 2 * BLOCK {
            return Err(io::Error::other("a block that does not end"));
        }
        Ok(input.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Coder for Zstd {
    fn out(&mut self) -> &mut Out {
        &mut self.out
    }

    fn end(&mut self) -> io::Result<()> {
        let whole = !self.in_frame && self.skip == 0 && self.pending.is_empty();
        if whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
