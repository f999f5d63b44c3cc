//! Events of the Responses API and of the Codex backend. wire.md 3.5, 3.7.

use penstock_proto::usage::Usage;
use serde_json::{Map, Value};

use crate::error::ErrorFacts;
use crate::kind::leading_type;
use crate::phrase::StreamTail;
use crate::usage::limits;
use crate::usage::walk::{Path, Walker};
use crate::usage::{CodexLimits, Finish, Reading, count, reported_or_estimated, text};

use super::Passed;

pub(super) const PATHS: &[Path] = &[
    &["type"],
    &["sequence_number"],
    &["response", "id"],
    &["response", "model"],
    &["response", "created_at"],
    &["response", "status"],
    &["response", "usage"],
    &["response", "error"],
    &["error"],
    &["code"],
    &["message"],
    &["param"],
    &["plan_type"],
    &["rate_limits"],
];
const TYPE: usize = 0;
const SEQUENCE_NUMBER: usize = 1;
const ID: usize = 2;
const MODEL: usize = 3;
const CREATED_AT: usize = 4;
const STATUS: usize = 5;
const USAGE: usize = 6;
const RESPONSE_ERROR: usize = 7;
const ERROR: usize = 8;
const CODE: usize = 9;
const MESSAGE: usize = 10;
const PARAM: usize = 11;
const PLAN: usize = 12;
const RATE_LIMITS: usize = 13;

/// What a delta's data has besides its text, about.
const ENVELOPE: u64 = 180;

#[derive(Default)]
pub(super) struct Responses {
    begun: bool,
    id: Option<String>,
    model: Option<String>,
    created_at: Option<u64>,
    sequence_number: Option<u64>,
    usage: Option<Usage>,
    completed: bool,
    /// It ended with `failed`, which may come without an error.
    failed: bool,
    error: Option<ErrorFacts>,
    codex_limits: Option<CodexLimits>,
    content_bytes: u64,
}

impl Responses {
    /// What an event is whose beginning tells it, if it needs no walk. The first one is always walked: its
    /// number is where the counting begins.
    pub(super) fn pass(&self, data: &[u8]) -> Option<Passed> {
        if self.begun { by_type(leading_type(data)?) } else { None }
    }

    pub(super) fn passed(&mut self, passed: Passed, bytes: u64) {
        if self.is_over() || passed == Passed::Foreign {
            return;
        }
        self.sequence_number = Some(self.sequence_number.map_or(0, |last| last.saturating_add(1)));
        if passed == Passed::Content {
            self.content_bytes = self.content_bytes.saturating_add(bytes.saturating_sub(ENVELOPE));
        }
    }

    pub(super) fn walked(&mut self, walker: &Walker, event: &[u8], bytes: u64) {
        if self.is_over() {
            return;
        }
        let kind = text(walker.get(TYPE)).map_or_else(|| event.to_vec(), String::into_bytes);
        if kind == b"codex.rate_limits" {
            let plan = text(walker.get(PLAN));
            self.codex_limits = walker.get(RATE_LIMITS).and_then(|found| limits::parse(found, plan));
            return;
        }
        let passed = by_type(&kind);
        self.passed(passed.unwrap_or(Passed::Other), bytes);
        if passed.is_some() && self.begun {
            return;
        }
        self.begun |= passed != Some(Passed::Foreign);
        self.sequence_number = number(walker.get(SEQUENCE_NUMBER)).or(self.sequence_number);
        self.id = text(walker.get(ID)).or(self.id.take());
        self.model = text(walker.get(MODEL)).or(self.model.take());
        self.created_at = number(walker.get(CREATED_AT)).or(self.created_at);
        match kind.as_slice() {
            b"error" => self.error = Some(event_error(walker)),
            b"response.completed" | b"response.incomplete" | b"response.failed" | b"response.done" => {
                self.end(walker, &kind);
            }
            _ => {}
        }
    }

    pub(super) fn reading(&self) -> Reading {
        let finish = match (self.error.is_some() || self.failed, self.completed) {
            (true, _) => Finish::Errored,
            (false, true) => Finish::Terminal,
            (false, false) => Finish::Open,
        };
        Reading {
            model: self.model.clone(),
            id: self.id.clone(),
            finish,
            stream_error: self.error.clone(),
            ..reported_or_estimated(self.usage, self.content_bytes)
        }
    }

    pub(super) fn take_codex_limits(&mut self) -> Option<CodexLimits> {
        self.codex_limits.take()
    }

    pub(super) fn tail(&self) -> StreamTail {
        StreamTail {
            response_id: self.id.clone(),
            model: self.model.clone(),
            created_at: self.created_at,
            sequence_number: self.sequence_number,
            ..StreamTail::default()
        }
    }

    /// The terminal event: its status counts, not its name.
    fn end(&mut self, walker: &Walker, kind: &[u8]) {
        self.usage = walker.get(USAGE).and_then(count::openai);
        let status = text(walker.get(STATUS));
        self.failed = kind == b"response.failed" || matches!(status.as_deref(), Some("failed" | "cancelled"));
        self.completed = !self.failed;
        if self.failed {
            self.error = walker.get(RESPONSE_ERROR).map(ErrorFacts::parse);
        }
    }

    fn is_over(&self) -> bool {
        self.completed || self.failed || self.error.is_some()
    }
}

fn by_type(kind: &[u8]) -> Option<Passed> {
    match kind {
        b"response.created"
        | b"response.completed"
        | b"response.incomplete"
        | b"response.failed"
        | b"response.done"
        | b"error"
        | b"codex.rate_limits" => None,
        _ if !kind.starts_with(b"response.") => Some(Passed::Foreign),
        _ if kind.ends_with(b".delta") => Some(Passed::Content),
        _ => Some(Passed::Other),
    }
}

/// An `error` event, flat as documented or nested as it comes.
fn event_error(walker: &Walker) -> ErrorFacts {
    let keys = [("error", ERROR), ("code", CODE), ("message", MESSAGE), ("param", PARAM)];
    let known = keys
        .into_iter()
        .filter_map(|(key, path)| Some((key.to_owned(), serde_json::from_slice(walker.get(path)?).ok()?)));
    ErrorFacts::from_value(&Value::Object(known.collect::<Map<_, _>>()))
}

fn number(text: Option<&[u8]>) -> Option<u64> {
    serde_json::from_slice(text?).ok()
}
