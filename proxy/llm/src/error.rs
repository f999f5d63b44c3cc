//! What an error body or error event says, whatever its shape.
//!
//! Owns the reading of every error shape seen (wire.md 1.9, 2.5, 3.5, 3.7). Never decides what an error
//! means for an account: that is the pool's business.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::duration;

/// Longest message kept, in bytes.
pub const MAX_MESSAGE: usize = 2048;

/// What an error says. Everything is optional; nothing is invented.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorFacts {
    /// `error.type`, e.g. `overloaded_error`, `usage_limit_reached`.
    pub kind: Option<String>,
    /// `error.code` (numbers as text) or Anthropic's `error.details.error_code`.
    pub code: Option<String>,
    /// For people; at most [`MAX_MESSAGE`] bytes, without markup. Of a body that is not JSON, its text.
    pub message: Option<String>,
    /// Which request field is wrong.
    pub param: Option<String>,
    /// When the limit ends.
    pub resets_at: Option<Timestamp>,
    /// In how long the limit ends, counted from the answer: `resets_in_seconds`, or `try again in 6.5s` in
    /// the message.
    pub resets_in: Option<Duration>,
    /// `plan_type` of a ChatGPT account.
    pub plan: Option<String>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// `status` inside the error, as WebSocket frames carry it.
    pub status: Option<u16>,
    /// Headers inside an error event, as the Responses API sends them; names in lower case.
    pub headers: Vec<(String, String)>,
}

impl ErrorFacts {
    /// Reads an error body or the data of an error event. Never fails: what is no JSON becomes the message.
    pub fn parse(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_value(&value),
            Err(_) => Self { message: text_of(body), ..Self::default() },
        }
    }

    /// Reads an error that is already parsed.
    pub(crate) fn from_value(value: &Value) -> Self {
        match value {
            Value::Object(outer) => {
                let mut facts = Self::default();
                match nested(outer) {
                    Some(Value::Object(inner)) => {
                        facts.take(inner, true);
                        facts.take(outer, false);
                    }
                    Some(Value::String(message)) => {
                        facts.message = tidy(message);
                        facts.take(outer, false);
                    }
                    _ => facts.take(outer, true),
                }
                facts.finish()
            }
            Value::Array(list) => list.first().map(Self::from_value).unwrap_or_default(),
            Value::String(message) => Self { message: tidy(message), ..Self::default() }.finish(),
            _ => Self::default(),
        }
    }

    /// Whether `kind` or `code` is one of these.
    pub fn says(&self, names: &[&str]) -> bool {
        [&self.kind, &self.code].into_iter().flatten().any(|name| names.contains(&name.as_str()))
    }

    /// Whether the message contains one of these, in whatever case.
    pub fn mentions(&self, phrases: &[&str]) -> bool {
        let message = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        phrases.iter().any(|phrase| message.contains(phrase))
    }

    /// Fills what is still unknown. `own`: the object is the error itself, not what wraps it, so that its
    /// `type` names the error.
    fn take(&mut self, object: &Map<String, Value>, own: bool) {
        let text = |key: &str| object.get(key).and_then(as_text);
        if own {
            // A flat event calls itself "error": that is what it is, not which error it is.
            fill(&mut self.kind, text("type").filter(|kind| kind != "error"));
        }
        fill(&mut self.code, text("code").or_else(|| text("error_code")));
        let details = object.get("details").and_then(Value::as_object);
        fill(&mut self.code, details.and_then(|details| details.get("error_code")).and_then(as_text));
        let message = ["message", "detail", "error_description", "title"].into_iter().find_map(|key| {
            match object.get(key) {
                Some(Value::String(message)) => tidy(message),
                Some(value @ Value::Array(_)) => tidy(&value.to_string()),
                _ => None,
            }
        });
        fill(&mut self.message, message);
        fill(&mut self.param, text("param"));
        fill(&mut self.plan, text("plan_type"));
        fill(&mut self.request_id, text("request_id"));
        fill(&mut self.resets_at, object.get("resets_at").and_then(instant));
        fill(&mut self.resets_in, object.get("resets_in_seconds").and_then(seconds));
        fill(
            &mut self.status,
            object.get("status").and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok()),
        );
        if self.headers.is_empty()
            && let Some(Value::Object(headers)) = object.get("headers")
        {
            let known =
                headers.iter().filter_map(|(name, value)| Some((name.to_ascii_lowercase(), as_text(value)?)));
            self.headers = known.collect();
        }
    }

    fn finish(mut self) -> Self {
        if self.resets_in.is_none() {
            self.resets_in = self.message.as_deref().and_then(duration::in_message);
        }
        self
    }
}

/// The error inside its wrapper: `error`, `response.error`, `detail` as an object, or the first of `errors`.
fn nested(outer: &Map<String, Value>) -> Option<&Value> {
    let of_response = || outer.get("response").and_then(|response| response.get("error"));
    let first = || outer.get("errors").and_then(|errors| errors.get(0));
    let detail = || outer.get("detail").filter(|detail| detail.is_object());
    outer.get("error").or_else(of_response).filter(|error| !error.is_null()).or_else(first).or_else(detail)
}

fn fill<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(cut(text, MAX_MESSAGE).to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Epoch seconds, or a date.
pub(crate) fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => {
            let seconds = number.as_f64().filter(|seconds| *seconds > 0.0)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates; out of range is refused by Timestamp"
            )]
            Timestamp::from_second(seconds as i64).ok()
        }
        Value::String(text) => match text.parse::<i64>() {
            Ok(seconds) if seconds > 0 => Timestamp::from_second(seconds).ok(),
            Ok(_) => None,
            Err(_) => text.parse().ok(),
        },
        _ => None,
    }
}

/// A span in seconds, whole or not.
pub(crate) fn seconds(value: &Value) -> Option<Duration> {
    match value {
        Value::Number(number) => duration::parse(&number.to_string()),
        Value::String(text) => duration::parse(text),
        _ => None,
    }
}

/// The text of a body that is not JSON: of a web page, what a person would read.
fn text_of(body: &[u8]) -> Option<String> {
    // Markup is longer than what it says: look at more than is kept.
    let head = String::from_utf8_lossy(&body[..body.len().min(8 * MAX_MESSAGE)]);
    tidy(&head)
}

/// Without markup, credentials and needless blanks; at most [`MAX_MESSAGE`] bytes. `None` if nothing is left.
pub fn tidy(text: &str) -> Option<String> {
    let trimmed = text.trim_start();
    let plain = if trimmed.starts_with('<') { without_markup(trimmed) } else { text.to_owned() };
    let masked = without_credentials(plain.trim());
    let kept = cut(&masked, MAX_MESSAGE).trim_end();
    (!kept.is_empty()).then(|| kept.to_owned())
}

fn without_markup(html: &str) -> String {
    let mut plain = String::new();
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        plain.push_str(&rest[..open]);
        plain.push(' ');
        let tag = &rest[open..];
        let unread = ["style", "script"]
            .into_iter()
            .find(|name| tag.get(1..=name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)));
        let end = match unread {
            Some(name) => tag.find(&format!("</{name}>")).map(|at| at + name.len() + 3),
            None => tag.find('>').map(|at| at + 1),
        };
        rest = end.map_or("", |end| &tag[end..]);
    }
    plain.push_str(rest);
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Replaces what looks like a key or a token: providers sometimes quote the one they were sent.
fn without_credentials(text: &str) -> String {
    const SHORTEST: usize = 12;
    let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut masked = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !in_token(c)) {
        let token = word.trim_end_matches(|c: char| !in_token(c));
        let secret = ["sk-", "eyJ", "xai-", "gsk_"].iter().find(|prefix| token.starts_with(**prefix));
        match secret.filter(|_| token.len() >= SHORTEST) {
            Some(prefix) => {
                masked.push_str(prefix);
                masked.push_str("***");
                masked.push_str(&word[token.len()..]);
            }
            None => masked.push_str(word),
        }
    }
    masked
}

pub(crate) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
