//! Walks through JSON text that arrives in pieces and keeps the values at a few paths.
//!
//! Never fails: of malformed text it keeps what it had found. Builds nothing else, so that an echo of
//! 100 KB of instructions costs a pass over its bytes and no memory.

use memchr::memchr2;

use crate::scan::string_end;

/// Keys from the outermost object to the value; `[]` stands for each element of an array.
pub(super) type Path = &'static [&'static str];

/// Longest object kept (`usage` with a list of iterations); longer ones count as absent.
const MAX_OBJECT: usize = 8 * 1024;

/// Longest string or number kept; longer ones count as absent.
const MAX_PLAIN: usize = 2 * 1024;

/// Room made at once for an object: a `usage` as providers send it.
const ROOM_OBJECT: usize = 512;

/// Room made at once for a string or number: a model's name, an id.
const ROOM_PLAIN: usize = 48;

/// Longest key that can be one of ours.
const MAX_KEY: usize = 40;

/// Containers deeper than this hold nothing that is wanted.
const MAX_DEPTH: usize = 4;

/// A set of paths, by index.
type Paths = u16;

/// One value being read, wherever its pieces are cut.
#[derive(Debug, Clone)]
pub(super) struct Walker {
    paths: &'static [Path],
    found: Vec<Option<Vec<u8>>>,
    place: Place,
    /// Open brackets.
    depth: usize,
    /// Paths that the container at each depth may still lead to; index 0 is unused.
    open: [Level; MAX_DEPTH + 1],
    /// Paths that the value to come may be on.
    next: Paths,
    key: Vec<u8>,
    capture: Option<Capture>,
    /// Where depth is above this, nothing is wanted.
    skim_above: usize,
    /// The outermost value is complete.
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    /// In a string; `is_key` if it names a member; `escaped` behind a backslash.
    Text {
        is_key: bool,
        escaped: bool,
    },
}

#[derive(Debug, Clone, Copy, Default)]
struct Level {
    paths: Paths,
    is_object: bool,
    /// In an object, before a member's colon.
    at_key: bool,
}

#[derive(Debug, Clone)]
struct Capture {
    path: usize,
    /// The depth at which the value began.
    depth: usize,
    bytes: Vec<u8>,
    overflowed: bool,
}

impl Walker {
    pub(super) fn new(paths: &'static [Path]) -> Self {
        debug_assert!(paths.len() <= Paths::BITS as usize, "one bit for each path");
        Self {
            paths,
            found: vec![None; paths.len()],
            place: Place::Outside,
            depth: 0,
            open: [Level::default(); MAX_DEPTH + 1],
            next: 0,
            key: Vec::with_capacity(MAX_KEY),
            capture: None,
            skim_above: usize::MAX,
            closed: false,
        }
    }

    /// Forgets everything: another value begins.
    pub(super) fn reset(&mut self) {
        self.found.iter_mut().for_each(|value| *value = None);
        self.place = Place::Outside;
        self.depth = 0;
        self.next = 0;
        self.capture = None;
        self.skim_above = usize::MAX;
        self.closed = false;
    }

    /// The text of the value at a path: the last one there that is not `null`.
    pub(super) fn get(&self, path: usize) -> Option<&[u8]> {
        self.found.get(path)?.as_deref()
    }

    /// Whether the outermost object or array is complete.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a string, object or array is not complete.
    pub(super) fn is_inside(&self) -> bool {
        !self.closed && (self.depth > 0 || self.place != Place::Outside)
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() && !self.closed {
            rest = match self.place {
                Place::Text { is_key, escaped } => self.text(rest, is_key, escaped),
                Place::Outside if self.is_gathering() => self.gather(rest),
                Place::Outside if self.depth > self.skim_above => self.skim(rest),
                Place::Outside => self.outside(rest),
            };
        }
    }

    fn text<'c>(&mut self, rest: &'c [u8], is_key: bool, escaped: bool) -> &'c [u8] {
        // Behind a backslash any byte is text, a quote too.
        let from = usize::from(escaped);
        let end = memchr2(b'"', b'\\', &rest[from..]).map(|at| from + at);
        let text = &rest[..end.unwrap_or(rest.len())];
        let next = &rest[end.map_or(rest.len(), |end| end + 1)..];
        self.keep(&rest[..rest.len() - next.len()]);
        if is_key {
            self.keep_key(text);
        }
        match end.map(|end| rest[end]) {
            None => self.place = Place::Text { is_key, escaped: false },
            Some(b'\\') => {
                if is_key {
                    self.keep_key(b"\\");
                }
                self.place = Place::Text { is_key, escaped: true };
            }
            Some(_) => {
                self.place = Place::Outside;
                if is_key { self.take_key() } else { self.end_value() }
            }
        }
        next
    }

    fn outside<'c>(&mut self, rest: &'c [u8]) -> &'c [u8] {
        let byte = rest[0];
        match byte {
            b'"' => {
                let is_key = self.level().is_some_and(|level| level.at_key);
                if !is_key {
                    self.begin_value();
                }
                if let Some(end) = string_end(rest, 0) {
                    return self.string(rest, end, is_key);
                }
                self.key.clear();
                self.keep(b"\"");
                self.place = Place::Text { is_key, escaped: false };
            }
            b'{' | b'[' => self.enter(byte),
            b'}' | b']' => self.leave(byte),
            b',' => self.separate(),
            b':' => {
                self.keep(b":");
                if let Some(level) = self.level_mut() {
                    level.at_key = false;
                }
            }
            b' ' | b'\n' | b'\t' | b'\r' => self.end_scalar(),
            _ => return self.scalar(rest),
        }
        &rest[1..]
    }

    /// A string that is here as a whole, as nearly all are.
    fn string<'c>(&mut self, rest: &'c [u8], end: usize, is_key: bool) -> &'c [u8] {
        self.keep(&rest[..end]);
        if is_key {
            self.next = self.leading(&rest[1..end - 1]);
        } else {
            self.end_value();
        }
        &rest[end..]
    }

    /// Outside strings, where nothing is wanted: up to the end of all this.
    fn skim<'c>(&mut self, rest: &'c [u8]) -> &'c [u8] {
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    let Some(end) = string_end(rest, at - 1) else {
                        self.place = Place::Text { is_key: false, escaped: false };
                        return &rest[at..];
                    };
                    at = end;
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == self.skim_above {
                        self.skim_above = usize::MAX;
                        self.next = 0;
                        return &rest[at..];
                    }
                }
                _ => {}
            }
        }
        &[]
    }

    /// Whether an object or array is being kept, so that all that matters is where it ends.
    fn is_gathering(&self) -> bool {
        self.capture.as_ref().is_some_and(|capture| self.depth > capture.depth)
    }

    /// Outside strings, inside an object or array that is kept: up to its end, in one piece.
    fn gather<'c>(&mut self, rest: &'c [u8]) -> &'c [u8] {
        let began = self.capture.as_ref().map_or(0, |capture| capture.depth);
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    let Some(end) = string_end(rest, at - 1) else {
                        self.keep(&rest[..at]);
                        self.place = Place::Text { is_key: false, escaped: false };
                        return &rest[at..];
                    };
                    at = end;
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == began {
                        self.keep(&rest[..at]);
                        self.end_value();
                        self.closed = self.depth == 0;
                        return &rest[at..];
                    }
                }
                _ => {}
            }
        }
        self.keep(rest);
        &[]
    }

    /// A number or a literal, or a part of it.
    fn scalar<'c>(&mut self, rest: &'c [u8]) -> &'c [u8] {
        let len = rest
            .iter()
            .position(|byte| {
                matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\n' | b'\t' | b'\r')
            })
            .unwrap_or(rest.len());
        self.begin_value();
        self.keep(&rest[..len]);
        &rest[len..]
    }

    fn enter(&mut self, byte: u8) {
        self.begin_value();
        self.keep(&[byte]);
        let paths = if self.depth == 0 { Paths::MAX } else { self.next };
        self.depth += 1;
        let is_object = byte == b'{';
        if self.depth > 1 && self.next == 0 && self.capture.is_none() {
            self.skim_above = self.depth - 1;
        }
        if self.depth <= MAX_DEPTH {
            self.open[self.depth] = Level { paths, is_object, at_key: is_object };
            self.next = 0;
            if !is_object {
                let paths = self.leading(b"[]");
                self.open[self.depth].paths = paths;
                self.next = paths;
            }
        } else {
            self.next = 0;
        }
    }

    fn leave(&mut self, byte: u8) {
        self.end_scalar();
        self.keep(&[byte]);
        self.depth = self.depth.saturating_sub(1);
        self.end_value();
        self.closed = self.depth == 0;
    }

    fn separate(&mut self) {
        self.end_scalar();
        self.keep(b",");
        let Some(level) = self.level_mut() else { return };
        level.at_key = level.is_object;
        self.next = if level.is_object { 0 } else { level.paths };
    }

    fn take_key(&mut self) {
        let key = std::mem::take(&mut self.key);
        self.next = self.leading(&key);
        self.key = key;
    }

    /// The paths of this container that go on with `key`.
    fn leading(&self, key: &[u8]) -> Paths {
        let Some(level) = self.level().filter(|level| level.paths != 0 && self.capture.is_none()) else {
            return 0;
        };
        let fits = |path: &Path| path.get(self.depth - 1).is_some_and(|name| name.as_bytes() == key);
        let all =
            self.paths.iter().enumerate().filter(|(at, path)| level.paths & (1 << at) != 0 && fits(path));
        all.fold(0, |set, (at, _)| set | 1 << at)
    }

    /// A value begins here: is it one that is wanted?
    fn begin_value(&mut self) {
        if self.next == 0 || self.capture.is_some() {
            return;
        }
        let ends = |at: &usize| self.next & (1 << at) != 0 && self.paths[*at].len() == self.depth;
        if let Some(path) = (0..self.paths.len()).find(ends) {
            self.capture = Some(Capture { path, depth: self.depth, bytes: Vec::new(), overflowed: false });
        }
    }

    /// What ends a number or literal, if one is being read.
    fn end_scalar(&mut self) {
        let is_scalar = |capture: &Capture| !matches!(capture.bytes.first(), None | Some(b'"' | b'{' | b'['));
        if self.capture.as_ref().is_some_and(is_scalar) {
            self.end_value();
        }
    }

    fn end_value(&mut self) {
        self.next = 0;
        if let Some(capture) = self.capture.take_if(|capture| capture.depth == self.depth)
            && !capture.overflowed
            && capture.bytes != b"null"
        {
            self.found[capture.path] = Some(capture.bytes);
        }
    }

    fn keep_key(&mut self, text: &[u8]) {
        // One byte more than the longest, so that a longer key equals none.
        let room = MAX_KEY + 1 - self.key.len();
        self.key.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(capture) = &mut self.capture else { return };
        let is_object = matches!(capture.bytes.first().or(bytes.first()), Some(b'{' | b'['));
        let limit = if is_object { MAX_OBJECT } else { MAX_PLAIN };
        capture.overflowed |= capture.bytes.len() + bytes.len() > limit;
        if !capture.overflowed {
            if capture.bytes.capacity() == 0 {
                capture.bytes.reserve(if is_object { ROOM_OBJECT } else { ROOM_PLAIN });
            }
            capture.bytes.extend_from_slice(bytes);
        }
    }

    fn level(&self) -> Option<&Level> {
        if self.depth == 0 { None } else { self.open.get(self.depth) }
    }

    fn level_mut(&mut self) -> Option<&mut Level> {
        if self.depth == 0 { None } else { self.open.get_mut(self.depth) }
    }
}
