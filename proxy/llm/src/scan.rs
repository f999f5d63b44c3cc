//! Steps through JSON text without building anything from it.
//!
//! Owns where keys and values begin and end. Checks what it has to step on; what it skips it only
//! balances (strings and brackets), because the provider reads the body again and is the judge of it.

use std::ops::Range;

use memchr::memchr;

/// Why a body cannot be read as a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {offset}")]
pub struct BodyError {
    /// Where, in bytes from the start of the body.
    pub offset: usize,
    /// What is wrong there.
    pub fault: BodyFault,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// The body is something else than a JSON object.
    #[error("expected a JSON object")]
    NotAnObject,
    /// It ends before its last bracket or quote.
    #[error("the body ends in the middle of a value")]
    Unfinished,
    /// An object's member does not begin with a string.
    #[error("expected a key")]
    ExpectedKey,
    /// A key without its colon.
    #[error("expected ':'")]
    ExpectedColon,
    /// A member that is not followed by another one or the end.
    #[error("expected ',' or a closing bracket")]
    ExpectedSeparator,
    /// Neither a string, number, literal, array nor object.
    #[error("expected a value")]
    ExpectedValue,
    /// A string with an unknown escape, a control character or invalid UTF-8.
    #[error("invalid string")]
    InvalidString,
    /// Something follows the object.
    #[error("unexpected data after the object")]
    TrailingData,
}

/// A place in a JSON text.
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Bytes from the start of the text.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn fail<T>(&self, fault: BodyFault) -> Result<T, BodyError> {
        let fault = if self.at >= self.text.len() { BodyFault::Unfinished } else { fault };
        Err(BodyError { offset: self.at.min(self.text.len()), fault })
    }

    /// The first byte of what comes next, blanks stepped over.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Steps over `byte` if it comes next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    /// Inside an object: steps to the value of its next member and returns the key with its quotes;
    /// `None` once the object is closed.
    pub(crate) fn next_key(&mut self, first: bool) -> Result<Option<Range<usize>>, BodyError> {
        if self.take(b'}') {
            return Ok(None);
        }
        if !first && !self.take(b',') {
            return self.fail(BodyFault::ExpectedSeparator);
        }
        if self.peek() != Some(b'"') {
            return self.fail(BodyFault::ExpectedKey);
        }
        let key = self.string()?;
        if !self.take(b':') {
            return self.fail(BodyFault::ExpectedColon);
        }
        self.peek();
        Ok(Some(key))
    }

    /// Inside an array: steps to its next element; false once the array is closed.
    pub(crate) fn next_element(&mut self, first: bool) -> Result<bool, BodyError> {
        if self.take(b']') {
            return Ok(false);
        }
        if !first && !self.take(b',') {
            return self.fail(BodyFault::ExpectedSeparator);
        }
        if self.peek() == Some(b']') {
            return self.fail(BodyFault::ExpectedValue);
        }
        Ok(true)
    }

    /// Steps over the value that comes next and returns where it is.
    pub(crate) fn value(&mut self) -> Result<Range<usize>, BodyError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') => {
                let start = self.at;
                self.at += 1;
                self.close()?;
                Ok(start..self.at)
            }
            _ => self.scalar(),
        }
    }

    /// Steps over the string that comes next; the range includes its quotes.
    pub(crate) fn string(&mut self) -> Result<Range<usize>, BodyError> {
        let start = self.at;
        match string_end(self.text, start) {
            Some(end) => {
                self.at = end;
                Ok(start..end)
            }
            None => Err(BodyError { offset: self.text.len(), fault: BodyFault::Unfinished }),
        }
    }

    /// Inside one array or object: steps behind its closing bracket, whatever is nested in between.
    pub(crate) fn close(&mut self) -> Result<(), BodyError> {
        let unfinished = BodyError { offset: self.text.len(), fault: BodyFault::Unfinished };
        let mut depth = 1_usize;
        let mut at = self.at;
        while let Some(&byte) = self.text.get(at) {
            if byte == b'"' {
                at = string_end(self.text, at).ok_or(unfinished)?;
                continue;
            }
            at += 1;
            let step = NESTING[usize::from(byte)];
            if step != 0 {
                depth = depth.wrapping_add_signed(step);
                if depth == 0 {
                    self.at = at;
                    return Ok(());
                }
            }
        }
        Err(unfinished)
    }

    fn scalar(&mut self) -> Result<Range<usize>, BodyError> {
        let rest = &self.text[self.at.min(self.text.len())..];
        let len = rest
            .iter()
            .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r'))
            .unwrap_or(rest.len());
        if len == rest.len() {
            // What has no end may be but the beginning of a value.
            return Err(BodyError { offset: self.text.len(), fault: BodyFault::Unfinished });
        }
        if !matches!(&rest[..len], b"true" | b"false" | b"null") && !is_number(&rest[..len]) {
            return self.fail(BodyFault::ExpectedValue);
        }
        self.at += len;
        Ok(self.at - len..self.at)
    }
}

/// How each byte outside strings changes the depth: a table, because a `match` is guessed wrongly too often.
const NESTING: [isize; 256] = {
    let mut steps = [0; 256];
    steps[b'{' as usize] = 1;
    steps[b'[' as usize] = 1;
    steps[b'}' as usize] = -1;
    steps[b']' as usize] = -1;
    steps
};

/// The end of the string whose opening quote is at `open`, behind its closing quote.
///
/// Stops at quotes only, and looks back for backslashes: text is full of `\n`, and rarely of `\"`.
#[inline]
pub(crate) fn string_end(text: &[u8], open: usize) -> Option<usize> {
    let mut from = open + 1;
    loop {
        let quote = find_quote(text, from)?;
        let escapes = text[from..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return Some(quote + 1);
        }
        from = quote + 1;
    }
}

/// Whether a character of a JSON string stands for itself. Those beyond ASCII are not looked at.
pub(crate) fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// A JSON string, unescaped; `None` for any other value.
pub(crate) fn text(json: &[u8]) -> Option<String> {
    match json {
        // Nearly all are what they look like.
        [b'"', text @ .., b'"'] if text.iter().all(|byte| is_plain(*byte)) => {
            String::from_utf8(text.to_vec()).ok()
        }
        _ => serde_json::from_slice(json).ok(),
    }
}

/// The next quote. Most strings are keys and short values, for which calling `memchr` costs more than
/// looking: of a body of 260 KB the scan takes a fifth less time so.
#[inline]
fn find_quote(text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    if let Some((words, _)) = rest.split_first_chunk::<16>() {
        let (first, second) = words.split_at(8);
        if let Some(at) = quote_in_word(first) {
            return Some(from + at);
        }
        if let Some(at) = quote_in_word(second) {
            return Some(from + 8 + at);
        }
    }
    memchr(b'"', rest).map(|at| from + at)
}

/// Where the first quote is among eight bytes, all looked at in one word.
#[inline]
fn quote_in_word(word: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    let differing = u64::from_le_bytes(word.try_into().ok()?) ^ QUOTES;
    // The lowest top bit that is set belongs to the first byte that is zero; later ones may not.
    let zeros = differing.wrapping_sub(ONES) & !differing & TOPS;
    (zeros != 0).then_some(zeros.trailing_zeros() as usize / 8)
}

/// JSON's grammar of numbers.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = digits(fraction);
        if len == 0 {
            return false;
        }
        rest = &fraction[len..];
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let exponent =
            exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let len = digits(exponent);
        return len > 0 && len == exponent.len();
    }
    rest.is_empty()
}
