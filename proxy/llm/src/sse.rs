//! Server-Sent Events cut out of network chunks, wherever those are cut. wire.md 0.2.
//!
//! [`Splitter`] finds lines and says which bytes are data; it keeps no data itself. [`Framer`] collects
//! whole events up to a limit. Neither ever changes, holds back or refuses a byte.

use memchr::memchr2;

/// Longest event name kept; no provider has one half as long.
const MAX_NAME: usize = 64;

/// What a [`Splitter`] tells.
pub trait Lines {
    /// A piece of a data line. `event` is the name in force; `starts` and `ends` say whether the piece
    /// begins and completes its line. An empty line of data is one empty piece.
    fn data(&mut self, event: &[u8], piece: &[u8], starts: bool, ends: bool);
    /// A blank line: the event, if it had any data, is complete.
    fn blank(&mut self, event: &[u8]);
}

/// Cuts a stream into lines. O(1) memory.
#[derive(Debug, Clone)]
pub struct Splitter {
    state: State,
    /// Bytes at the start of the stream that look like a byte order mark.
    mark: usize,
    /// The last byte was `\r`: a `\n` that follows belongs to the same line end.
    after_cr: bool,
    field: Short<8>,
    name: Short<MAX_NAME>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing of the line was seen.
    LineStart,
    /// Its field is not known yet.
    Field,
    /// Behind `event:` or `data:`; one blank is to be left out.
    EventStart,
    DataStart,
    Event,
    Data,
    Ignored,
}

/// Where a stream stands, for whoever wants to append an event to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Boundary {
    /// Between events.
    #[default]
    Clean,
    /// Between two lines of an event.
    InEvent,
    /// Inside a line.
    InLine,
}

/// An event, complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its `event:` line; empty if it had none.
    pub name: &'a [u8],
    /// Its data lines, joined with `\n`; at most the framer's limit.
    pub data: &'a [u8],
    /// Whether there was more data than the limit.
    pub cut: bool,
}

/// Collects whole events.
#[derive(Debug, Clone)]
pub struct Framer {
    splitter: Splitter,
    pending: Pending,
}

#[derive(Debug, Clone)]
struct Pending {
    data: Vec<u8>,
    limit: usize,
    has_data: bool,
    cut: bool,
}

/// A few bytes, kept in place; what does not fit is left out.
#[derive(Debug, Clone)]
struct Short<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self { state: State::LineStart, mark: 0, after_cr: false, field: Short::new(), name: Short::new() }
    }
}

impl Splitter {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: &[u8], lines: &mut impl Lines) {
        let mut rest = chunk;
        while self.mark < BOM.len() && !rest.is_empty() {
            rest = self.skip_mark(rest);
        }
        while !rest.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                if rest[0] == b'\n' {
                    rest = &rest[1..];
                    continue;
                }
            }
            rest = self.step(rest, lines);
        }
    }

    /// The stream ended: a last event without its blank line counts if its data is whole JSON or `[DONE]`,
    /// which the receiver knows.
    pub fn finish(&mut self, lines: &mut impl Lines) {
        if matches!(self.state, State::DataStart | State::Data) {
            lines.data(self.name.get(), b"", self.state == State::DataStart, true);
        }
        self.state = State::LineStart;
        lines.blank(self.name.get());
        self.name.clear();
    }

    /// Whether the stream stands between lines.
    pub fn between_lines(&self) -> bool {
        self.state == State::LineStart
    }

    /// Whether an `event:` line waits for its data.
    pub fn has_name(&self) -> bool {
        !self.name.get().is_empty()
    }

    fn skip_mark<'c>(&mut self, rest: &'c [u8]) -> &'c [u8] {
        if rest[0] == BOM[self.mark] {
            self.mark += 1;
            return &rest[1..];
        }
        // A field beginning with half a mark is an unknown one.
        if self.mark > 0 {
            self.state = State::Ignored;
        }
        self.mark = BOM.len();
        rest
    }

    /// Consumes part of one line.
    fn step<'c>(&mut self, rest: &'c [u8], lines: &mut impl Lines) -> &'c [u8] {
        match self.state {
            State::LineStart => self.line_start(rest, lines),
            State::Field => self.field_byte(rest, lines),
            State::EventStart | State::DataStart if rest[0] == b' ' => {
                if self.state == State::DataStart {
                    self.data_line(&rest[1..], lines, true)
                } else {
                    self.state = State::Event;
                    &rest[1..]
                }
            }
            State::EventStart | State::Event => self.event_name(rest),
            State::DataStart => self.data_line(rest, lines, true),
            State::Data => self.data_line(rest, lines, false),
            State::Ignored => match memchr2(b'\n', b'\r', rest) {
                Some(end) => self.end_line(rest, end),
                None => &[],
            },
        }
    }

    fn line_start<'c>(&mut self, rest: &'c [u8], lines: &mut impl Lines) -> &'c [u8] {
        if let Some(data) = rest.strip_prefix(b"data:") {
            self.state = State::DataStart;
            return data;
        }
        if let Some(name) = rest.strip_prefix(b"event:") {
            self.name.clear();
            self.state = State::EventStart;
            return name;
        }
        match rest[0] {
            b'\n' | b'\r' => {
                lines.blank(self.name.get());
                self.name.clear();
                self.end_line(rest, 0)
            }
            b'd' | b'e' => {
                self.field.clear();
                self.state = State::Field;
                rest
            }
            _ => {
                self.state = State::Ignored;
                rest
            }
        }
    }

    /// One byte of a field name that was not there as a whole.
    fn field_byte<'c>(&mut self, rest: &'c [u8], lines: &mut impl Lines) -> &'c [u8] {
        match (rest[0], self.field.get()) {
            (b':', b"data") => self.state = State::DataStart,
            (b':', b"event") => {
                self.name.clear();
                self.state = State::EventStart;
            }
            // A field without a colon has an empty value.
            (b'\n' | b'\r', b"data") => {
                lines.data(self.name.get(), b"", true, true);
                return self.end_line(rest, 0);
            }
            (b'\n' | b'\r', field) => {
                if field == b"event" {
                    self.name.clear();
                }
                return self.end_line(rest, 0);
            }
            (_, field) if field.len() >= b"event".len() => self.state = State::Ignored,
            (byte, _) => self.field.push(&[byte]),
        }
        &rest[1..]
    }

    fn event_name<'c>(&mut self, rest: &'c [u8]) -> &'c [u8] {
        self.state = State::Event;
        let end = memchr2(b'\n', b'\r', rest);
        self.name.push(&rest[..end.unwrap_or(rest.len())]);
        end.map_or(&[], |end| self.end_line(rest, end))
    }

    fn data_line<'c>(&mut self, rest: &'c [u8], lines: &mut impl Lines, starts: bool) -> &'c [u8] {
        self.state = State::Data;
        let end = memchr2(b'\n', b'\r', rest);
        lines.data(self.name.get(), &rest[..end.unwrap_or(rest.len())], starts, end.is_some());
        end.map_or(&[], |end| self.end_line(rest, end))
    }

    fn end_line<'c>(&mut self, rest: &'c [u8], end: usize) -> &'c [u8] {
        self.after_cr = rest[end] == b'\r';
        self.state = State::LineStart;
        &rest[end + 1..]
    }
}

impl Framer {
    /// A framer that keeps at most `limit` bytes of an event's data.
    pub fn new(limit: usize) -> Self {
        let pending = Pending { data: Vec::new(), limit, has_data: false, cut: false };
        Self { splitter: Splitter::default(), pending }
    }

    /// Takes the next bytes; calls `each` for every event that they complete.
    pub fn push(&mut self, chunk: &[u8], each: impl FnMut(Event<'_>)) {
        self.splitter.push(chunk, &mut Collector { pending: &mut self.pending, each });
    }

    /// The stream ended: gives the last event if only its blank line is missing.
    pub fn finish(&mut self, mut each: impl FnMut(Event<'_>)) {
        let whole = |event: Event<'_>| {
            if is_done(event.data) || serde_json::from_slice::<serde::de::IgnoredAny>(event.data).is_ok() {
                each(event);
            }
        };
        self.splitter.finish(&mut Collector { pending: &mut self.pending, each: whole });
    }
}

/// Whether data is the `[DONE]` that ends a stream of Chat Completions.
pub fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

struct Collector<'a, F> {
    pending: &'a mut Pending,
    each: F,
}

impl<F: FnMut(Event<'_>)> Lines for Collector<'_, F> {
    fn data(&mut self, _event: &[u8], piece: &[u8], starts: bool, _ends: bool) {
        if starts && self.pending.has_data {
            self.pending.keep(b"\n");
        }
        self.pending.has_data = true;
        self.pending.keep(piece);
    }

    fn blank(&mut self, event: &[u8]) {
        let Pending { data, has_data, cut, .. } = &*self.pending;
        if *has_data {
            (self.each)(Event { name: event, data, cut: *cut });
        }
        self.pending.data.clear();
        self.pending.has_data = false;
        self.pending.cut = false;
    }
}

impl Pending {
    fn keep(&mut self, piece: &[u8]) {
        let room = self.limit - self.data.len();
        self.cut |= piece.len() > room;
        self.data.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

impl<const N: usize> Short<N> {
    fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    fn push(&mut self, more: &[u8]) {
        let take = more.len().min(N - self.len);
        self.bytes[self.len..self.len + take].copy_from_slice(&more[..take]);
        self.len += take;
    }
}
