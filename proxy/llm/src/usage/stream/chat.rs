//! Chunks of Chat Completions. wire.md 2.4.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use penstock_proto::usage::Usage;
use serde_json::Value;

use crate::error::ErrorFacts;
use crate::usage::walk::{Path, Walker};
use crate::usage::{Finish, Reading, count, reported_or_estimated, text};

use super::Passed;

pub(super) const PATHS: &[Path] =
    &[&["id"], &["model"], &["usage"], &["x_groq", "usage"], &["error"], &["choices", "[]", "finish_reason"]];
const ID: usize = 0;
const MODEL: usize = 1;
const USAGE: usize = 2;
const GROQ_USAGE: usize = 3;
const ERROR: usize = 4;
const FINISH_REASON: usize = 5;

/// What a chunk has besides its text, about.
const ENVELOPE: u64 = 220;

/// Keys whose value, unless `null`, makes a chunk worth walking. A key between its quotes cannot come from
/// text: there the quotes are escaped.
static KEYS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
    [r#""finish_reason""#, r#""usage""#, r#""error""#].map(|key| Finder::new(key.as_bytes()))
});

#[derive(Default)]
pub(super) struct Chat {
    id: Option<String>,
    model: Option<String>,
    usage: Option<Usage>,
    finished: bool,
    done: bool,
    error: Option<ErrorFacts>,
    content_bytes: u64,
}

impl Chat {
    /// Whether the chunk needs no walk, which only its whole line tells. Chunks are walked until one names
    /// the model.
    pub(super) fn pass(&self, line: &[u8], whole: bool) -> Option<Passed> {
        let plain = self.model.is_some() && whole && line.trim_ascii_end().ends_with(b"}");
        (plain && !KEYS.iter().any(|key| may_have_value(line, key))).then_some(Passed::Content)
    }

    pub(super) fn passed(&mut self, bytes: u64) {
        if !self.done {
            self.content_bytes = self.content_bytes.saturating_add(bytes.saturating_sub(ENVELOPE));
        }
    }

    pub(super) fn done(&mut self) {
        self.done = true;
    }

    pub(super) fn walked(&mut self, walker: &Walker, bytes: u64) {
        if self.done {
            return;
        }
        if self.model.is_none() {
            self.model = text(walker.get(MODEL)).filter(|model| !model.is_empty());
            self.id = text(walker.get(ID));
        }
        let usage = walker.get(USAGE).or_else(|| walker.get(GROQ_USAGE)).and_then(count::openai);
        let has_usage = usage.is_some();
        self.usage = usage.or(self.usage);
        self.finished |= text(walker.get(FINISH_REASON)).is_some_and(|reason| !reason.is_empty());
        let error = walker.get(ERROR).and_then(error);
        if !has_usage && error.is_none() {
            self.passed(bytes);
        }
        self.error = self.error.take().or(error);
    }

    pub(super) fn reading(&self) -> Reading {
        let finish = match (&self.error, self.done || self.finished) {
            (Some(_), _) => Finish::Errored,
            (None, true) => Finish::Terminal,
            (None, false) => Finish::Open,
        };
        Reading {
            model: self.model.clone(),
            id: self.id.clone(),
            finish,
            stream_error: self.error.clone(),
            ..reported_or_estimated(self.usage, self.content_bytes)
        }
    }
}

/// An error is an object that says something, or a string; `false`, `0` and `{}` are none.
fn error(text: &[u8]) -> Option<ErrorFacts> {
    let error: Value = serde_json::from_slice(text).ok()?;
    let facts = ErrorFacts::from_value(&error);
    (facts != ErrorFacts::default()).then_some(facts)
}

/// Whether the line may have this key with another value than `null`: all but `"key":n…` and a mere string.
fn may_have_value(line: &[u8], key: &Finder<'_>) -> bool {
    key.find_iter(line).any(|at| {
        let rest = line[at + key.needle().len()..].trim_ascii_start();
        match rest.split_first() {
            Some((b':', value)) => !value.trim_ascii_start().starts_with(b"n"),
            Some((b',' | b'}' | b']', _)) => false,
            _ => true,
        }
    })
}
