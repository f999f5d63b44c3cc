//! The tap: reads tokens, model and ending of an answer that passes by. wire.md 6.
//!
//! It only watches: no method can fail, and nothing is held back or changed. Memory is bounded whatever
//! arrives (a few short values are kept), results do not depend on where chunks are cut.

mod count;
mod json;
mod limits;
mod stream;
mod walk;

use std::time::Duration;

use jiff::Timestamp;
use penstock_proto::dialect::Dialect;
use penstock_proto::usage::{Usage, UsageSource};

use crate::encoding::Decoder;
use crate::error::ErrorFacts;
use crate::estimate;
use crate::phrase::StreamTail;
use crate::scan;

/// Most bytes that one chunk may decode to; a chunk that grows more is no answer of a model.
const MAX_DECODED: usize = 8 * 1024 * 1024;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Server-Sent Events.
    Stream,
    /// One JSON value.
    Json,
}

/// What the request asked the provider to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Generate an answer, or embeddings: it uses tokens.
    Create,
    /// Count tokens, list models, anything else: it uses none.
    Other,
}

/// Whether an answer came to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Finish {
    /// Its last part was seen.
    Terminal,
    /// It ended with an error of the provider.
    Errored,
    /// Its last part was not seen: cut, if nothing follows.
    #[default]
    Open,
}

/// What the tap has read so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Tokens, in disjoint classes. Estimated output is in `output_tokens`.
    pub usage: Usage,
    /// Whether the provider said so.
    pub source: UsageSource,
    /// Whether the provider said how many tokens the prompt has; if not, `usage` has none for it (see
    /// [`crate::estimate`]).
    pub input_known: bool,
    /// The model as the provider answered.
    pub model: Option<String>,
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// Whether it came to its end.
    pub finish: Finish,
    /// The error in the stream, or in the body.
    pub stream_error: Option<ErrorFacts>,
    /// Bytes of generated content, about.
    pub output_bytes: u64,
}

/// Windows of a ChatGPT account, as its stream tells them. wire.md 3.7.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CodexLimits {
    /// E.g. `plus`.
    pub plan: Option<String>,
    /// `primary`, `secondary` and whatever else is there.
    pub windows: Vec<CodexWindow>,
}

/// One window of a ChatGPT account.
#[derive(Debug, Clone, PartialEq)]
pub struct CodexWindow {
    /// The provider's name for it. Which window it is, its length says, not its name.
    pub name: String,
    /// 0–100.
    pub used_percent: f64,
    /// Its length.
    pub minutes: Option<u64>,
    /// When it starts anew.
    pub resets_at: Option<Timestamp>,
    /// The same, counted from now.
    pub resets_in: Option<Duration>,
}

/// Reads one answer.
pub struct Tap {
    reader: Reader,
    decoding: Decoding,
}

/// How the bytes that pass by become what is read.
enum Decoding {
    /// Nothing came yet and no coding was named.
    Unknown,
    Plain,
    Through(Box<Decoder>),
    /// Not, or not any more: the coding is unknown or the bytes are not what it says.
    Impossible,
}

enum Reader {
    Stream(Box<stream::StreamTap>),
    Json(Box<json::JsonTap>),
    /// Nothing that we can read.
    Blind,
}

impl Shape {
    /// By `content-type`; `None` for anything else than an event stream or JSON.
    pub fn of_content_type(value: &str) -> Option<Self> {
        // As nearly all say it.
        match value {
            "application/json" => return Some(Self::Json),
            "text/event-stream" | "text/event-stream; charset=utf-8" => return Some(Self::Stream),
            _ => {}
        }
        let media = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media.as_str() {
            "text/event-stream" => Some(Self::Stream),
            "application/json" => Some(Self::Json),
            other if other.ends_with("+json") => Some(Self::Json),
            _ => None,
        }
    }

    /// By the first bytes of a body that came without `content-type`. `None`: neither, or too few bytes.
    pub fn sniff(body: &[u8]) -> Option<Self> {
        const FIELDS: [&[u8]; 4] = [b"event:", b"data:", b"id:", b":"];
        let start = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
        match start.first() {
            Some(b'{' | b'[') => Some(Self::Json),
            _ if FIELDS.iter().any(|field| start.starts_with(field)) => Some(Self::Stream),
            _ => None,
        }
    }
}

impl Tap {
    /// A tap for an answer. Without a dialect or a shape that we can read it reads nothing.
    pub fn new(dialect: Option<Dialect>, shape: Option<Shape>, endpoint: Endpoint) -> Self {
        let reader = match (dialect, shape) {
            (Some(dialect), Some(Shape::Stream)) => Reader::Stream(Box::new(stream::StreamTap::new(dialect))),
            (Some(dialect), Some(Shape::Json)) => {
                Reader::Json(Box::new(json::JsonTap::new(dialect, endpoint)))
            }
            _ => Reader::Blind,
        };
        Self { reader, decoding: Decoding::Unknown }
    }

    /// Reads a decoded copy of an answer with this `content-encoding`. An unknown one is not read.
    #[must_use]
    pub fn with_encoding(mut self, encoding: &str) -> Self {
        self.decoding = match Decoder::new(encoding) {
            Ok(Some(decoder)) => Decoding::Through(Box::new(decoder)),
            Ok(None) => Decoding::Unknown,
            Err(_) => Decoding::Impossible,
        };
        self
    }

    /// Reads the next bytes as they pass by.
    pub fn push(&mut self, chunk: &[u8]) {
        let Self { reader, decoding } = self;
        if matches!(decoding, Decoding::Unknown) && !chunk.is_empty() {
            // Some servers compress and do not say so.
            *decoding =
                Decoder::sniff(chunk).map_or(Decoding::Plain, |decoder| Decoding::Through(Box::new(decoder)));
        }
        match decoding {
            Decoding::Unknown | Decoding::Plain => reader.push(chunk),
            Decoding::Through(decoder) => {
                if decoder.push(chunk, MAX_DECODED, |piece| reader.push(piece)).is_err() {
                    *decoding = Decoding::Impossible;
                }
            }
            Decoding::Impossible => {}
        }
    }

    /// The body ended: a last event that only lacks its blank line counts. Not for a connection that broke.
    pub fn finish(&mut self) {
        if let Reader::Stream(stream) = &mut self.reader {
            stream.finish();
        }
    }

    /// What was read so far; any time, also after a cancellation.
    pub fn reading(&self) -> Reading {
        match &self.reader {
            Reader::Stream(stream) => stream.reading(),
            Reader::Json(json) => json.reading(),
            Reader::Blind => Reading::default(),
        }
    }

    /// The windows of a `codex.rate_limits` event that passed by since this was last asked for.
    pub fn take_codex_limits(&mut self) -> Option<CodexLimits> {
        match &mut self.reader {
            Reader::Stream(stream) => stream.take_codex_limits(),
            Reader::Json(_) | Reader::Blind => None,
        }
    }

    /// Whether the answer cannot be read: then `reading` says nothing about how it ended.
    pub fn is_blind(&self) -> bool {
        matches!(self.reader, Reader::Blind) || matches!(self.decoding, Decoding::Impossible)
    }

    /// What [`crate::phrase::stream_error`] needs; `None` if no event can be appended to this body.
    pub fn tail(&self) -> Option<StreamTail> {
        match (&self.reader, &self.decoding) {
            (Reader::Stream(stream), Decoding::Unknown | Decoding::Plain) => Some(stream.tail()),
            _ => None,
        }
    }
}

impl Reader {
    fn push(&mut self, chunk: &[u8]) {
        match self {
            Self::Stream(stream) => stream.push(chunk),
            Self::Json(json) => json.push(chunk),
            Self::Blind => {}
        }
    }
}

/// What the provider reported of a stream's tokens, else an estimate from what was generated.
fn reported_or_estimated(reported: Option<Usage>, content_bytes: u64) -> Reading {
    let (usage, source) = match (reported, content_bytes) {
        (Some(usage), _) => (usage, UsageSource::Reported),
        (None, 0) => (Usage::default(), UsageSource::None),
        (None, bytes) => {
            let usage = Usage { output_tokens: estimate::tokens(bytes), ..Usage::default() };
            (usage, UsageSource::Estimated)
        }
    };
    let input_known = reported.is_some();
    Reading { usage, source, input_known, output_bytes: content_bytes, ..Reading::default() }
}

/// A kept JSON string, unescaped.
fn text(value: Option<&[u8]>) -> Option<String> {
    scan::text(value?)
}
