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
        let mut depth = 1_usize;
        let mut at = self.at;
        while let Some(&byte) = self.text.get(at) {
            match byte {
                b'"' => match string_end(self.text, at) {
                    Some(end) => at = end,
                    None => break,
                },
                b'{' | b'[' => {
                    depth += 1;
                    at += 1;
                }
                b'}' | b']' => {
                    depth -= 1;
                    at += 1;
                    if depth == 0 {
                        self.at = at;
                        return Ok(());
                    }
                }
                _ => at += 1,
            }
        }
        Err(BodyError { offset: self.text.len(), fault: BodyFault::Unfinished })
    }

    fn scalar(&mut self) -> Result<Range<usize>, BodyError> {
        let rest = &self.text[self.at.min(self.text.len())..];
        let len = rest
            .iter()
            .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r'))
            .unwrap_or(rest.len());
        if !matches!(&rest[..len], b"true" | b"false" | b"null") && !is_number(&rest[..len]) {
            return self.fail(BodyFault::ExpectedValue);
        }
        self.at += len;
        Ok(self.at - len..self.at)
    }
}

/// The end of the string whose opening quote is at `open`, behind its closing quote.
///
/// Stops at quotes only, and looks back for backslashes: text is full of `\n`, and rarely of `\"`.
#[inline]
pub(crate) fn string_end(text: &[u8], open: usize) -> Option<usize> {
    let mut from = open + 1;
    loop {
        let quote = from + memchr(b'"', text.get(from..)?)?;
        let escapes = text[from..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return Some(quote + 1);
        }
        from = quote + 1;
    }
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
