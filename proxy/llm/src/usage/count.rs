//! What `usage` objects say, as disjoint token classes. wire.md 1.8, 4.1.10, 6.4.

use penstock_proto::usage::Usage;
use serde_json::Value;

mod anthropic;
mod plain;

/// Anthropic's counters. Totals, not increments: a later one takes the place of an earlier one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Anthropic {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    pub(super) output: Option<u64>,
    thinking: Option<u64>,
}

impl Anthropic {
    pub(super) fn parse(usage: &[u8]) -> Option<Self> {
        plain::read(usage).or_else(|| serde_json::from_slice(usage).ok())
    }

    /// What stands after `later` was said too: what it does not mention stays.
    pub(super) fn overwritten_by(self, later: Self) -> Self {
        Self {
            input: later.input.or(self.input),
            cache_read: later.cache_read.or(self.cache_read),
            cache_write: later.cache_write.or(self.cache_write),
            cache_write_5m: later.cache_write_5m.or(self.cache_write_5m),
            cache_write_1h: later.cache_write_1h.or(self.cache_write_1h),
            output: later.output.or(self.output),
            thinking: later.thinking.or(self.thinking),
        }
    }

    /// Input excludes the cache here already; output includes thinking.
    pub(super) fn classes(self) -> Usage {
        let (five, hour) = (self.cache_write_5m.unwrap_or(0), self.cache_write_1h.unwrap_or(0));
        let written = self.cache_write.unwrap_or(0).max(five.saturating_add(hour));
        let output = self.output.unwrap_or(0);
        let reasoning = self.thinking.unwrap_or(0).min(output);
        Usage {
            input_tokens: self.input.unwrap_or(0),
            cache_read_tokens: self.cache_read.unwrap_or(0),
            // What no lifetime is given for lives the default 5 minutes.
            cache_write_5m_tokens: written.saturating_sub(hour),
            cache_write_1h_tokens: hour,
            output_tokens: output.saturating_sub(reasoning),
            reasoning_tokens: reasoning,
        }
    }
}

/// The usage of Chat Completions, Responses and embeddings: the same numbers under two sets of names.
pub(super) fn openai(usage: &[u8]) -> Option<Usage> {
    let usage = object(usage)?;
    let first = |names: [&[&str]; 2]| names.into_iter().find_map(|name| count(&usage, name));
    let prompt = first([&["prompt_tokens"], &["input_tokens"]]);
    let completion = first([&["completion_tokens"], &["output_tokens"]]);
    let total = count(&usage, &["total_tokens"]);
    if prompt.is_none() && completion.is_none() && total.is_none() {
        return None;
    }
    let details = |name: &'static str| {
        count(&usage, &["prompt_tokens_details", name])
            .or_else(|| count(&usage, &["input_tokens_details", name]))
            .unwrap_or(0)
    };
    let prompt = prompt.unwrap_or(0);
    let read = details("cached_tokens").min(prompt);
    let written = details("cache_write_tokens").min(prompt - read);
    let thought = first([
        &["completion_tokens_details", "reasoning_tokens"],
        &["output_tokens_details", "reasoning_tokens"],
    ])
    .unwrap_or(0);
    let generated = generated(prompt, completion.unwrap_or(0), thought, total.unwrap_or(0));
    let reasoning = thought.min(generated);
    Some(Usage {
        input_tokens: prompt - read - written,
        cache_read_tokens: read,
        cache_write_5m_tokens: written,
        cache_write_1h_tokens: 0,
        output_tokens: generated - reasoning,
        reasoning_tokens: reasoning,
    })
}

/// All generated tokens, with the repairs that some servers need.
fn generated(prompt: u64, completion: u64, thought: u64, total: u64) -> u64 {
    let rest = total.saturating_sub(prompt);
    if completion == 0 {
        return rest;
    }
    // Some count reasoning apart.
    let together = completion.saturating_add(thought);
    if thought > completion && together == rest { together } else { completion }
}

/// The object, if it is one.
fn object(text: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Value>(text).ok().filter(Value::is_object)
}

/// A number of tokens, however it is written: negative is 0, too large is the largest; `None` for null,
/// absent and what is no number.
fn count(usage: &Value, path: &[&str]) -> Option<u64> {
    match path.iter().try_fold(usage, |value, key| value.get(key))? {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().map(saturate)),
        Value::String(text) => from_text(text),
        _ => None,
    }
}

fn from_text(text: &str) -> Option<u64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(saturate)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is wanted"
)]
fn saturate(number: f64) -> u64 {
    number as u64
}
