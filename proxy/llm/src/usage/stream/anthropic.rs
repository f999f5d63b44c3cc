//! Events of Anthropic Messages. wire.md 1.8.

use penstock_proto::usage::{Usage, UsageSource};

use crate::error::ErrorFacts;
use crate::estimate;
use crate::kind::leading_type;
use crate::usage::walk::{Path, Walker};
use crate::usage::{Finish, Reading, count, text};

use super::Passed;

pub(super) const PATHS: &[Path] = &[
    &["type"],
    &["message", "id"],
    &["message", "model"],
    &["message", "usage"],
    &["usage"],
    &["delta", "stop_reason"],
    &["error"],
    &["request_id"],
];
const TYPE: usize = 0;
const ID: usize = 1;
const MODEL: usize = 2;
const START_USAGE: usize = 3;
const DELTA_USAGE: usize = 4;
const STOP_REASON: usize = 5;
const ERROR: usize = 6;
const REQUEST_ID: usize = 7;

/// What a delta's data has besides its text, about.
const ENVELOPE: u64 = 110;

#[derive(Default)]
pub(super) struct Anthropic {
    id: Option<String>,
    model: Option<String>,
    usage: Option<count::Anthropic>,
    /// A `message_delta` has said how much was generated.
    output_reported: bool,
    stop_reason: bool,
    open_blocks: u32,
    stopped: bool,
    error: Option<ErrorFacts>,
    content_bytes: u64,
}

/// What an event is whose beginning tells it, if it needs no walk.
pub(super) fn pass(data: &[u8]) -> Option<Passed> {
    // Nearly all are this one.
    if data.starts_with(br#"{"type":"content_block_delta""#) {
        return Some(Passed::Content);
    }
    by_type(leading_type(data)?)
}

fn by_type(kind: &[u8]) -> Option<Passed> {
    Some(match kind {
        b"message_start" | b"message_delta" | b"error" => return None,
        b"content_block_delta" => Passed::Content,
        b"content_block_start" => Passed::BlockStart,
        b"content_block_stop" => Passed::BlockStop,
        b"message_stop" => Passed::Stop,
        _ => Passed::Other,
    })
}

impl Anthropic {
    pub(super) fn passed(&mut self, passed: Passed, bytes: u64) {
        if self.is_over() {
            return;
        }
        match passed {
            Passed::Content => {
                self.content_bytes = self.content_bytes.saturating_add(bytes.saturating_sub(ENVELOPE));
            }
            Passed::BlockStart => self.open_blocks = self.open_blocks.saturating_add(1),
            Passed::BlockStop => self.open_blocks = self.open_blocks.saturating_sub(1),
            Passed::Stop => self.stopped = true,
            Passed::Other | Passed::Foreign => {}
        }
    }

    pub(super) fn walked(&mut self, walker: &Walker, event: &[u8], bytes: u64) {
        if self.is_over() {
            return;
        }
        let kind = text(walker.get(TYPE)).map_or_else(|| event.to_vec(), String::into_bytes);
        match kind.as_slice() {
            b"message_start" => {
                self.id = text(walker.get(ID));
                self.model = text(walker.get(MODEL));
                self.take_usage(walker.get(START_USAGE));
            }
            b"message_delta" => {
                self.stop_reason |= walker.get(STOP_REASON).is_some();
                self.output_reported |= self.take_usage(walker.get(DELTA_USAGE));
            }
            b"error" => {
                let mut facts = walker.get(ERROR).map(ErrorFacts::parse).unwrap_or_default();
                facts.request_id = facts.request_id.or_else(|| text(walker.get(REQUEST_ID)));
                self.error = Some(facts);
            }
            other => {
                if let Some(passed) = by_type(other) {
                    self.passed(passed, bytes);
                }
            }
        }
    }

    pub(super) fn reading(&self) -> Reading {
        let complete = self.stopped || (self.stop_reason && self.open_blocks == 0);
        let finish = match (&self.error, complete) {
            (Some(_), _) => Finish::Errored,
            (None, true) => Finish::Terminal,
            (None, false) => Finish::Open,
        };
        let mut reading = Reading {
            usage: self.usage.map(count::Anthropic::classes).unwrap_or_default(),
            input_known: self.usage.is_some(),
            model: self.model.clone(),
            id: self.id.clone(),
            finish,
            stream_error: self.error.clone(),
            output_bytes: self.content_bytes,
            ..Reading::default()
        };
        // Some compatible servers put all of it in `message_start`.
        let whole_in_start =
            finish == Finish::Terminal && self.usage.is_some_and(|usage| usage.output.is_some());
        if self.output_reported || whole_in_start {
            reading.source = UsageSource::Reported;
        } else if self.usage.is_some() || self.content_bytes > 0 {
            reading.source = UsageSource::Estimated;
            let output = estimate::tokens(self.content_bytes).max(reading.usage.output_tokens);
            reading.usage = Usage { output_tokens: output, ..reading.usage };
        }
        reading
    }

    /// Whether it says how much was generated.
    fn take_usage(&mut self, usage: Option<&[u8]>) -> bool {
        let Some(usage) = usage.and_then(count::Anthropic::parse) else {
            return false;
        };
        self.usage = Some(self.usage.unwrap_or_default().overwritten_by(usage));
        usage.output.is_some()
    }

    fn is_over(&self) -> bool {
        self.stopped || self.error.is_some()
    }
}
