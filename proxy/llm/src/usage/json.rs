//! Reads an answer that is one JSON value.

use penstock_proto::dialect::Dialect;
use penstock_proto::usage::{Usage, UsageSource};
use serde_json::Value;

use crate::error::ErrorFacts;
use crate::estimate;

use super::walk::{Path, Walker};
use super::{Endpoint, Finish, Reading, count, text};

const PATHS: &[Path] =
    &[&["id"], &["model"], &["usage"], &["error"], &["status"], &["request_id"], &["x_groq", "usage"]];
const ID: usize = 0;
const MODEL: usize = 1;
const USAGE: usize = 2;
const ERROR: usize = 3;
const STATUS: usize = 4;
const REQUEST_ID: usize = 5;
const GROQ_USAGE: usize = 6;

/// What an answer has besides its content, about.
const ENVELOPE: u64 = 400;

pub(super) struct JsonTap {
    dialect: Dialect,
    endpoint: Endpoint,
    walker: Walker,
    bytes: u64,
}

impl JsonTap {
    pub(super) fn new(dialect: Dialect, endpoint: Endpoint) -> Self {
        Self { dialect, endpoint, walker: Walker::new(PATHS), bytes: 0 }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        self.walker.push(chunk);
    }

    pub(super) fn reading(&self) -> Reading {
        let stream_error = self.error();
        let failed = stream_error.is_some()
            || text(self.walker.get(STATUS))
                .is_some_and(|status| status == "failed" || status == "cancelled");
        // Nothing at all is a whole answer to a deletion, not to a prompt.
        let missing = self.bytes == 0 && self.endpoint == Endpoint::Create;
        let finish = match (failed, missing || self.walker.is_inside()) {
            (true, _) => Finish::Errored,
            (false, true) => Finish::Open,
            (false, false) => Finish::Terminal,
        };
        let output_bytes = if failed { 0 } else { self.bytes.saturating_sub(ENVELOPE) };
        let mut reading = Reading {
            model: text(self.walker.get(MODEL)),
            id: text(self.walker.get(ID)),
            finish,
            stream_error,
            output_bytes,
            ..Reading::default()
        };
        if self.endpoint == Endpoint::Create {
            self.read_usage(&mut reading);
        }
        reading
    }

    fn read_usage(&self, reading: &mut Reading) {
        let usage = self.walker.get(USAGE).or_else(|| self.walker.get(GROQ_USAGE));
        let reported = usage.and_then(|usage| match self.dialect {
            Dialect::AnthropicMessages => count::Anthropic::parse(usage).map(count::Anthropic::classes),
            Dialect::OpenaiChat | Dialect::OpenaiResponses => count::openai(usage),
        });
        if let Some(usage) = reported {
            reading.usage = usage;
            reading.source = UsageSource::Reported;
            reading.input_known = true;
        } else if reading.output_bytes > 0 {
            reading.usage =
                Usage { output_tokens: estimate::tokens(reading.output_bytes), ..Usage::default() };
            reading.source = UsageSource::Estimated;
        }
    }

    fn error(&self) -> Option<ErrorFacts> {
        let error: Value = serde_json::from_slice(self.walker.get(ERROR)?).ok()?;
        let mut facts = ErrorFacts::from_value(&error);
        facts.request_id = facts.request_id.or_else(|| text(self.walker.get(REQUEST_ID)));
        Some(facts)
    }
}
