//! Reads a stream of events.
//!
//! Events that say nothing about usage are passed over with a look at their first bytes; the others are
//! walked. Passing over is only a shortcut: in well-formed events walking would find nothing either, so
//! results do not depend on where chunks are cut.

mod anthropic;
mod chat;
mod responses;

use penstock_proto::dialect::Dialect;

use crate::phrase::StreamTail;
use crate::sse::{Boundary, Lines, Splitter, is_done};

use super::walk::Walker;
use super::{CodexLimits, Reading};

pub(super) struct StreamTap {
    splitter: Splitter,
    events: Events,
}

/// Puts lines together to events.
struct Events {
    walker: Walker,
    grammar: Grammar,
    mode: Mode,
    /// Bytes of the event's data so far.
    data_bytes: u64,
    /// Its first bytes, to know `[DONE]` by, if it is walked.
    head: [u8; 16],
    /// The last byte of it that is not blank: whole JSON ends with a bracket.
    last: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// No data yet.
    Empty,
    /// Told by its beginning; nothing in it is wanted.
    Passed(Passed),
    Walked,
}

/// What an event is that is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// Generated content.
    Content,
    /// Anthropic: a block begins or ends.
    BlockStart,
    BlockStop,
    /// Anthropic: the end.
    Stop,
    /// Anything else of the dialect.
    Other,
    /// Not of the dialect.
    Foreign,
}

/// What the events of a dialect mean, and what they have said so far.
enum Grammar {
    Anthropic(anthropic::Anthropic),
    Chat(chat::Chat),
    Responses(responses::Responses),
}

impl StreamTap {
    pub(super) fn new(dialect: Dialect) -> Self {
        let (grammar, paths) = match dialect {
            Dialect::AnthropicMessages => {
                (Grammar::Anthropic(anthropic::Anthropic::default()), anthropic::PATHS)
            }
            Dialect::OpenaiChat => (Grammar::Chat(chat::Chat::default()), chat::PATHS),
            Dialect::OpenaiResponses => {
                (Grammar::Responses(responses::Responses::default()), responses::PATHS)
            }
        };
        let events = Events {
            walker: Walker::new(paths),
            grammar,
            mode: Mode::Empty,
            data_bytes: 0,
            head: [0; 16],
            last: 0,
        };
        Self { splitter: Splitter::default(), events }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.splitter.push(chunk, &mut self.events);
    }

    pub(super) fn finish(&mut self) {
        if self.events.is_whole() {
            self.splitter.finish(&mut self.events);
        }
    }

    pub(super) fn reading(&self) -> Reading {
        match &self.events.grammar {
            Grammar::Anthropic(grammar) => grammar.reading(),
            Grammar::Chat(grammar) => grammar.reading(),
            Grammar::Responses(grammar) => grammar.reading(),
        }
    }

    pub(super) fn take_codex_limits(&mut self) -> Option<CodexLimits> {
        match &mut self.events.grammar {
            Grammar::Responses(grammar) => grammar.take_codex_limits(),
            Grammar::Anthropic(_) | Grammar::Chat(_) => None,
        }
    }

    pub(super) fn tail(&self) -> StreamTail {
        let boundary = if !self.splitter.between_lines() {
            Boundary::InLine
        } else if self.splitter.has_name() || self.events.mode != Mode::Empty {
            Boundary::InEvent
        } else {
            Boundary::Clean
        };
        match &self.events.grammar {
            Grammar::Responses(grammar) => StreamTail { boundary, ..grammar.tail() },
            Grammar::Anthropic(_) | Grammar::Chat(_) => StreamTail { boundary, ..StreamTail::default() },
        }
    }
}

impl Events {
    /// Whether the data so far is whole JSON, or `[DONE]`.
    fn is_whole(&self) -> bool {
        match self.mode {
            Mode::Empty => false,
            Mode::Passed(_) => self.last == b'}',
            Mode::Walked => self.walker.is_closed() || self.is_done(),
        }
    }

    fn is_done(&self) -> bool {
        let len = usize::try_from(self.data_bytes).unwrap_or(usize::MAX);
        self.head.get(..len).is_some_and(is_done)
    }

    fn note(&mut self, piece: &[u8]) {
        if self.mode == Mode::Walked
            && let Ok(from) = usize::try_from(self.data_bytes)
            && let Some(free) = self.head.get_mut(from..)
        {
            let take = free.len().min(piece.len());
            free[..take].copy_from_slice(&piece[..take]);
        }
        self.data_bytes = self.data_bytes.saturating_add(piece.len() as u64);
        if let Some(last) = piece.iter().rev().find(|byte| !byte.is_ascii_whitespace()) {
            self.last = *last;
        }
    }
}

impl Lines for Events {
    fn data(&mut self, _event: &[u8], piece: &[u8], starts: bool, ends: bool) {
        if self.mode == Mode::Empty {
            let passed = match &self.grammar {
                Grammar::Anthropic(_) => anthropic::pass(piece),
                Grammar::Chat(grammar) => grammar.pass(piece, ends),
                Grammar::Responses(grammar) => grammar.pass(piece),
            };
            self.mode = passed.map_or(Mode::Walked, Mode::Passed);
        } else if starts && self.mode == Mode::Walked {
            self.walker.push(b"\n");
        }
        self.note(piece);
        if self.mode == Mode::Walked {
            self.walker.push(piece);
        }
    }

    fn blank(&mut self, event: &[u8]) {
        let (bytes, done) = (self.data_bytes, self.mode == Mode::Walked && self.is_done());
        match (&mut self.grammar, self.mode) {
            (_, Mode::Empty) => return,
            (Grammar::Chat(grammar), Mode::Walked) if done => grammar.done(),
            (_, Mode::Walked) if done => {}
            (Grammar::Anthropic(grammar), Mode::Passed(passed)) => grammar.passed(passed, bytes),
            (Grammar::Anthropic(grammar), Mode::Walked) => grammar.walked(&self.walker, event, bytes),
            (Grammar::Chat(grammar), Mode::Passed(_)) => grammar.passed(bytes),
            (Grammar::Chat(grammar), Mode::Walked) => grammar.walked(&self.walker, bytes),
            (Grammar::Responses(grammar), Mode::Passed(passed)) => grammar.passed(passed, bytes),
            (Grammar::Responses(grammar), Mode::Walked) => grammar.walked(&self.walker, event, bytes),
        }
        if self.mode == Mode::Walked {
            self.walker.reset();
        }
        self.mode = Mode::Empty;
        self.data_bytes = 0;
        self.last = 0;
    }
}
