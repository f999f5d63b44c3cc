//! What a request asks for: model, stream, and what names its conversation.
//!
//! One pass over the top-level keys; everything else is skipped without being copied. Owns no bytes of
//! the body but the few short strings it reports; never changes a body (that is [`crate::splice`]).

use std::borrow::Cow;
use std::ops::Range;

use penstock_proto::dialect::Dialect;

pub use crate::scan::{BodyError, BodyFault};
use crate::scan::{Cursor, text};

mod later;

pub use later::ModelWatch;

/// Text parts of a message that go into a session hash; later ones say nothing new.
const MAX_TEXTS: usize = 8;

/// What one request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The model, where the body names one as a string.
    pub model: Option<ModelSpan>,
    /// Whether `stream` is literally `true`.
    pub stream: bool,
    /// `max_tokens`, `max_completion_tokens` or `max_output_tokens`.
    pub max_output_tokens: Option<u64>,
    /// `metadata.user_id`.
    pub user_id: Option<String>,
    /// `prompt_cache_key`.
    pub prompt_cache_key: Option<String>,
    /// `previous_response_id`: lives on the account that gave it.
    pub previous_response_id: Option<String>,
    /// `conversation` (a string, or an object's `id`): lives on the account that made it.
    pub conversation: Option<String>,
    /// What tells one conversation from another where nothing names it.
    pub opening: Opening,
}

/// Where the model is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSpan {
    /// The name, unescaped.
    pub value: String,
    /// The JSON string in the body, quotes included.
    pub range: Range<usize>,
    /// Earlier top-level `model` members, as a rule none. JSON parsers take the last one, so does
    /// `value`; [`crate::splice::splice`] replaces all of them, so that no reader sees another model.
    pub shadowed: Vec<Range<usize>>,
}

/// How a conversation begins: what stays the same in all its requests.
///
/// Ranges of JSON strings, quotes included. Only texts: cache markers move from turn to turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    /// System text: `system`, `instructions`, or the leading `system` and `developer` messages.
    pub system: Vec<Range<usize>>,
    /// The first message of the user.
    pub first_user: Vec<Range<usize>>,
}

impl Opening {
    /// The bytes to hash, in order, borrowed from the same body that was scanned.
    pub fn parts<'b>(&'b self, body: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        self.system.iter().chain(&self.first_user).filter_map(|range| body.get(range.clone()))
    }

    /// Whether there is nothing to tell conversations apart by.
    pub fn is_empty(&self) -> bool {
        self.system.is_empty() && self.first_user.is_empty()
    }
}

/// Finds what a request body asks for. `dialect` says which keys hold the conversation; `None` looks for
/// the model and `stream` alone.
///
/// Strict about the top level and about what is reported; nested values are only balanced, not checked.
pub fn scan(dialect: Option<Dialect>, body: &[u8]) -> Result<Asked, BodyError> {
    let mut scan = Scan { body, cursor: Cursor::new(body), dialect, asked: Asked::default() };
    scan.object()?;
    Ok(scan.asked)
}

/// The same of a body's first bytes, where the rest is yet to come: what is named only in the rest is not found.
pub fn scan_beginning(dialect: Option<Dialect>, beginning: &[u8]) -> Result<Asked, BodyError> {
    let mut scan = Scan { body: beginning, cursor: Cursor::new(beginning), dialect, asked: Asked::default() };
    match scan.object() {
        Ok(()) | Err(BodyError { fault: BodyFault::Unfinished, .. }) => Ok(scan.asked),
        Err(error) => Err(error),
    }
}

struct Scan<'a> {
    body: &'a [u8],
    cursor: Cursor<'a>,
    dialect: Option<Dialect>,
    asked: Asked,
}

impl Scan<'_> {
    fn object(&mut self) -> Result<(), BodyError> {
        if !self.cursor.take(b'{') {
            return Err(BodyError { fault: BodyFault::NotAnObject, ..self.here() });
        }
        let mut first = true;
        while let Some(key) = self.cursor.next_key(first)? {
            first = false;
            self.member(key)?;
        }
        match self.cursor.peek() {
            None => Ok(()),
            Some(_) => self.cursor.fail(BodyFault::TrailingData),
        }
    }

    fn member(&mut self, key: Range<usize>) -> Result<(), BodyError> {
        let key = name(self.body, key)?;
        match (self.dialect, key.as_ref()) {
            (_, b"model") => self.model(),
            (_, b"stream") => {
                self.asked.stream = self.raw_value()? == b"true";
                Ok(())
            }
            (_, b"max_tokens" | b"max_completion_tokens" | b"max_output_tokens") => {
                let value = std::str::from_utf8(self.raw_value()?).ok().and_then(|value| value.parse().ok());
                self.asked.max_output_tokens = value;
                Ok(())
            }
            (_, b"metadata") => self.id_within(b"user_id").map(|id| self.asked.user_id = id),
            (_, b"prompt_cache_key") => self.text().map(|text| self.asked.prompt_cache_key = text),
            (_, b"previous_response_id") => self.text().map(|text| self.asked.previous_response_id = text),
            (Some(Dialect::OpenaiResponses), b"conversation") => {
                self.id_within(b"id").map(|id| self.asked.conversation = id)
            }
            (Some(Dialect::AnthropicMessages), b"system")
            | (Some(Dialect::OpenaiResponses), b"instructions") => {
                self.asked.opening.system = self.texts()?;
                Ok(())
            }
            (Some(Dialect::AnthropicMessages | Dialect::OpenaiChat), b"messages")
            | (Some(Dialect::OpenaiResponses), b"input") => self.messages(),
            _ => self.cursor.value().map(drop),
        }
    }

    fn model(&mut self) -> Result<(), BodyError> {
        let mut shadowed = Vec::new();
        if let Some(earlier) = self.asked.model.take() {
            shadowed = earlier.shadowed;
            shadowed.push(earlier.range);
        }
        let is_string = self.cursor.peek() == Some(b'"');
        let range = self.cursor.value()?;
        if is_string {
            let value = unescape(self.body, range.clone())?;
            self.asked.model = Some(ModelSpan { value, range, shadowed });
        }
        Ok(())
    }

    /// The next value's bytes.
    fn raw_value(&mut self) -> Result<&[u8], BodyError> {
        let range = self.cursor.value()?;
        Ok(&self.body[range])
    }

    /// The next value, if it is a string.
    fn text(&mut self) -> Result<Option<String>, BodyError> {
        let is_string = self.cursor.peek() == Some(b'"');
        let range = self.cursor.value()?;
        if is_string { unescape(self.body, range).map(Some) } else { Ok(None) }
    }

    /// The next value, if it is a string; or the string at `key` of it, if it is an object.
    fn id_within(&mut self, key: &[u8]) -> Result<Option<String>, BodyError> {
        if !self.cursor.take(b'{') {
            return self.text();
        }
        let (mut found, mut first) = (None, true);
        while let Some(at) = self.cursor.next_key(first)? {
            first = false;
            if name(self.body, at)?.as_ref() == key {
                found = self.text()?;
            } else {
                self.cursor.value()?;
            }
        }
        Ok(found)
    }

    /// A list of messages or input items up to the first one of the user; or a plain string.
    fn messages(&mut self) -> Result<(), BodyError> {
        self.asked.opening.first_user = Vec::new();
        if !self.cursor.take(b'[') {
            self.asked.opening.first_user = self.texts()?;
            return Ok(());
        }
        let mut first = true;
        while self.cursor.next_element(first)? {
            first = false;
            if self.message()? {
                return self.cursor.close();
            }
        }
        Ok(())
    }

    /// One message; true once it was the user's.
    fn message(&mut self) -> Result<bool, BodyError> {
        if !self.cursor.take(b'{') {
            return self.cursor.value().map(|_| false);
        }
        let (mut role, mut texts, mut first) = (None, Vec::new(), true);
        while let Some(key) = self.cursor.next_key(first)? {
            first = false;
            match name(self.body, key)?.as_ref() {
                b"role" => role = self.text()?,
                b"content" => texts = self.texts()?,
                _ => self.cursor.value().map(drop)?,
            }
        }
        match role.as_deref() {
            Some("user") => {
                self.asked.opening.first_user = texts;
                Ok(true)
            }
            Some("system" | "developer") => {
                let room = MAX_TEXTS.saturating_sub(self.asked.opening.system.len());
                self.asked.opening.system.extend(texts.into_iter().take(room));
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// The texts of the next value: itself if it is a string, else `text` of each part of the list. A list
    /// without any text stands for itself.
    fn texts(&mut self) -> Result<Vec<Range<usize>>, BodyError> {
        if self.cursor.peek() != Some(b'[') {
            return Ok(vec![self.cursor.value()?]);
        }
        let start = self.cursor.at();
        self.cursor.take(b'[');
        let (mut texts, mut first) = (Vec::new(), true);
        while self.cursor.next_element(first)? {
            first = false;
            if texts.len() == MAX_TEXTS {
                self.cursor.close()?;
                break;
            }
            if let Some(range) = self.part()? {
                texts.push(range);
            }
        }
        if texts.is_empty() {
            texts.push(start..self.cursor.at());
        }
        Ok(texts)
    }

    fn part(&mut self) -> Result<Option<Range<usize>>, BodyError> {
        if !self.cursor.take(b'{') {
            let is_string = self.cursor.peek() == Some(b'"');
            let range = self.cursor.value()?;
            return Ok(is_string.then_some(range));
        }
        let (mut text, mut first) = (None, true);
        while let Some(key) = self.cursor.next_key(first)? {
            first = false;
            let is_text = name(self.body, key)?.as_ref() == b"text" && self.cursor.peek() == Some(b'"');
            let range = self.cursor.value()?;
            if is_text {
                text = Some(range);
            }
        }
        Ok(text)
    }

    fn here(&self) -> BodyError {
        BodyError { offset: self.cursor.at(), fault: BodyFault::NotAnObject }
    }
}

/// A key without its quotes, unescaped if it has escapes.
fn name(body: &[u8], key: Range<usize>) -> Result<Cow<'_, [u8]>, BodyError> {
    let raw = &body[key.start + 1..key.end - 1];
    if raw.contains(&b'\\') {
        return unescape(body, key).map(|name| Cow::Owned(name.into_bytes()));
    }
    Ok(Cow::Borrowed(raw))
}

fn unescape(body: &[u8], range: Range<usize>) -> Result<String, BodyError> {
    let fault = BodyError { offset: range.start, fault: BodyFault::InvalidString };
    text(&body[range]).ok_or(fault)
}
