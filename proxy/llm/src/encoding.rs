//! Compressed bodies, decoded for reading. The compressed bytes themselves pass on unchanged.
//!
//! Owns the content codings gzip, deflate (zlib or raw), br and zstd, alone or stacked. Never holds more
//! than a coding's window, never produces more than a limit, and treats every input as hostile.

mod stage;
mod zstd;

use std::io;

use bytes::Bytes;

use stage::Stage;

/// Input is decoded in slices of this size, so that what comes out of one stays small as a rule.
const SLICE: usize = 1024;

/// More stacked codings than this have no honest reason.
const MAX_STACKED: usize = 3;

/// Why a body cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The coding is not known: 415.
    #[error("content encoding {0:?} is not supported")]
    Unsupported(String),
    /// The bytes are not what the coding says: 400.
    #[error("the body is not valid {coding}")]
    Bad {
        /// The coding.
        coding: &'static str,
        /// What its decoder said.
        source: io::Error,
    },
    /// Decoded, it is larger than allowed: 413.
    #[error("the body is larger than {0} bytes after decoding")]
    TooLarge(usize),
}

/// Decodes a stream, push by push.
pub struct Decoder {
    /// The coding that was applied last first: the order of decoding.
    stages: Vec<Stage>,
}

impl Decoder {
    /// By `content-encoding`. `None`: nothing to decode.
    pub fn new(encoding: &str) -> Result<Option<Self>, DecodeError> {
        let mut stages = Vec::new();
        for name in encoding.split(',').map(|name| name.trim().to_ascii_lowercase()) {
            match name.as_str() {
                "" | "identity" => {}
                _ if stages.len() == MAX_STACKED => {
                    return Err(DecodeError::Unsupported(encoding.to_owned()));
                }
                _ => match Stage::new(&name) {
                    Some(stage) => stages.push(stage),
                    None => return Err(DecodeError::Unsupported(name)),
                },
            }
        }
        stages.reverse();
        Ok((!stages.is_empty()).then_some(Self { stages }))
    }

    /// By the first bytes of a body that came without `content-encoding`.
    pub fn sniff(body: &[u8]) -> Option<Self> {
        let name = match body {
            [0x1F, 0x8B, ..] => "gzip",
            [0x28, 0xB5, 0x2F, 0xFD, ..] => "zstd",
            _ => return None,
        };
        Stage::new(name).map(|stage| Self { stages: vec![stage] })
    }

    /// Whether what went in comes out at once, and not only when the body ends.
    pub fn is_prompt(&self) -> bool {
        self.stages.iter().all(Stage::is_prompt)
    }

    /// Decodes the next bytes; `each` is given what they decode to, in order. At most `limit` bytes come out
    /// of one push.
    pub fn push(
        &mut self,
        chunk: &[u8],
        limit: usize,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), DecodeError> {
        let mut left = limit;
        let mut sink = |piece: &[u8]| {
            left = left.checked_sub(piece.len())?;
            each(piece);
            Some(())
        };
        for slice in chunk.chunks(SLICE) {
            run(&mut self.stages, slice, limit, &mut sink)?;
        }
        Ok(())
    }
}

/// Decodes a whole request body. `cap`: most bytes that it may decode to.
pub fn decode_body(encoding: &str, body: &Bytes, cap: usize) -> Result<Bytes, DecodeError> {
    let Some(mut decoder) = Decoder::new(encoding)? else {
        return Ok(body.clone());
    };
    let mut plain = Vec::new();
    decoder.push(body, cap, |piece| plain.extend_from_slice(piece))?;
    decoder.stages.iter_mut().try_for_each(Stage::check_end)?;
    Ok(Bytes::from(plain))
}

fn run(
    stages: &mut [Stage],
    input: &[u8],
    limit: usize,
    sink: &mut impl FnMut(&[u8]) -> Option<()>,
) -> Result<(), DecodeError> {
    let Some((stage, rest)) = stages.split_first_mut() else {
        return sink(input).ok_or(DecodeError::TooLarge(limit));
    };
    let decoded = stage.push(input, limit)?;
    if decoded.is_empty() {
        return Ok(());
    }
    if rest.is_empty() {
        return sink(&decoded).ok_or(DecodeError::TooLarge(limit));
    }
    decoded.chunks(SLICE).try_for_each(|slice| run(rest, slice, limit, sink))
}
