//! Whether a stream has begun to answer. wire.md 0.3.
//!
//! Until it has, nothing was sent to the client and an error is an error like any other: it may be
//! answered with its proper status or by another account. Counts no time; the caller limits how long and
//! how many events it holds back.

use std::borrow::Cow;

use penstock_proto::dialect::Dialect;
use serde::Deserialize;
use serde_json::Value;

use crate::encoding::Decoder;
use crate::error::ErrorFacts;
use crate::kind::leading_type;
use crate::sse::{Event, Framer, is_done};

/// Most of an event's data that is looked at. Errors and first chunks are far below; the echo in
/// `response.created` may be longer, and is told by its beginning.
const MAX_EVENT: usize = 16 * 1024;

/// Most bytes that one chunk of a beginning may decode to.
const MAX_DECODED: usize = 1024 * 1024;

/// Where a stream stands before its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Commit {
    /// Nothing yet that would be missed.
    #[default]
    Pending,
    /// The answer has begun.
    Committed,
    /// The first event that matters is an error.
    Failed(Box<ErrorFacts>),
}

/// Watches the beginning of a stream.
pub struct CommitDetector {
    decoder: Option<Box<Decoder>>,
    watch: Watch,
}

struct Watch {
    dialect: Option<Dialect>,
    framer: Framer,
    events: u32,
    verdict: Commit,
}

impl CommitDetector {
    /// `None`: a format we do not know; its first event commits.
    pub fn new(dialect: Option<Dialect>) -> Self {
        let framer = Framer::new(MAX_EVENT);
        Self { decoder: None, watch: Watch { dialect, framer, events: 0, verdict: Commit::Pending } }
    }

    /// Reads a decoded copy of a stream with this `content-encoding`. One that cannot be read event by event
    /// (also zstd, which comes out late) commits at once: holding it back would hold back the answer.
    #[must_use]
    pub fn with_encoding(mut self, encoding: &str) -> Self {
        match Decoder::new(encoding) {
            Ok(Some(decoder)) if decoder.is_prompt() => self.decoder = Some(Box::new(decoder)),
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => self.watch.verdict = Commit::Committed,
        }
        self
    }

    /// Takes the next bytes. Once it answered something else than `Pending`, that stays.
    pub fn push(&mut self, chunk: &[u8]) -> &Commit {
        let Self { decoder, watch } = self;
        match decoder {
            _ if watch.verdict != Commit::Pending => {}
            None => watch.push(chunk),
            Some(decoder) => {
                if decoder.push(chunk, MAX_DECODED, |piece| watch.push(piece)).is_err() {
                    watch.verdict = Commit::Committed;
                }
            }
        }
        &self.watch.verdict
    }

    /// The stream ended. `Pending` now means that it ended without an answer.
    pub fn finish(&mut self) -> &Commit {
        let Watch { dialect, framer, events, verdict } = &mut self.watch;
        framer.finish(|event| take(*dialect, events, verdict, event));
        &self.watch.verdict
    }

    /// Events seen up to the verdict.
    pub fn events(&self) -> u32 {
        self.watch.events
    }
}

impl Watch {
    fn push(&mut self, decoded: &[u8]) {
        let Self { dialect, framer, events, verdict } = self;
        // Line by line: what follows the event that decides is not looked at here.
        for line in decoded.split_inclusive(|byte| *byte == b'\n') {
            framer.push(line, |event| take(*dialect, events, verdict, event));
            if *verdict != Commit::Pending {
                return;
            }
        }
    }
}

fn take(dialect: Option<Dialect>, events: &mut u32, verdict: &mut Commit, event: Event<'_>) {
    if *verdict == Commit::Pending {
        *events += 1;
        *verdict = meaning(dialect, event);
    }
}

fn meaning(dialect: Option<Dialect>, event: Event<'_>) -> Commit {
    match dialect {
        Some(Dialect::OpenaiChat) => chat(event),
        Some(Dialect::AnthropicMessages) => match kind(event).as_ref() {
            b"message_start" | b"ping" => Commit::Pending,
            b"error" => Commit::Failed(Box::new(ErrorFacts::parse(event.data))),
            _ => Commit::Committed,
        },
        Some(Dialect::OpenaiResponses) => match kind(event).as_ref() {
            b"response.created" | b"response.queued" | b"response.in_progress" | b"keepalive" => {
                Commit::Pending
            }
            b"error" | b"response.failed" => Commit::Failed(Box::new(ErrorFacts::parse(event.data))),
            kind if kind.starts_with(b"codex.") => Commit::Pending,
            _ => Commit::Committed,
        },
        None => Commit::Committed,
    }
}

/// What the data says it is; else what the event line says.
fn kind(event: Event<'_>) -> Cow<'_, [u8]> {
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    match leading_type(event.data) {
        Some(kind) => Cow::Borrowed(kind),
        None => match serde_json::from_slice::<Typed>(event.data) {
            Ok(typed) => Cow::Owned(typed.r#type.into_bytes()),
            Err(_) => Cow::Borrowed(event.name),
        },
    }
}

fn chat(event: Event<'_>) -> Commit {
    if event.cut || is_done(event.data) {
        return Commit::Committed;
    }
    let Ok(chunk) = serde_json::from_slice::<Value>(event.data) else {
        return Commit::Committed;
    };
    if chunk.get("error").is_some_and(|error| !error.is_null()) {
        return Commit::Failed(Box::new(ErrorFacts::from_value(&chunk)));
    }
    match chunk.get("choices").and_then(Value::as_array) {
        Some(choices) if !choices.iter().any(says_something) => Commit::Pending,
        _ => Commit::Committed,
    }
}

/// Whether a choice finishes, or carries anything but its role.
fn says_something(choice: &Value) -> bool {
    let finished =
        choice.get("finish_reason").and_then(Value::as_str).is_some_and(|reason| !reason.is_empty());
    let delta = choice.get("delta").and_then(Value::as_object);
    let in_delta =
        delta.is_some_and(|delta| delta.iter().any(|(key, value)| key != "role" && !is_blank(value)));
    let text = choice.get("text").is_some_and(|text| !is_blank(text));
    finished || in_delta || text
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
