//! Responses: whole, streamed, and compacted. The Codex backend speaks the same.

use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    answer::{Answer, Usage},
    ask::Ask,
    ids::Ids,
    json::{Null, Raw, array, object, raw},
    reply::event,
};

mod items;

use items::Item;

/// Events that are not text: created, in progress, item added, part added; text done, part done, item done,
/// completed.
pub(crate) const FRAMING: usize = 8;

/// What every version of one response object repeats.
pub(crate) struct Frame {
    id: String,
    created_at: i64,
    model: String,
    echoed: Vec<(&'static str, Raw)>,
}

/// A stream being written: its events are numbered.
pub(crate) struct Stream {
    out: Vec<Bytes>,
    sequence: u64,
}

impl Frame {
    /// Takes from the request what a response repeats of it.
    pub(crate) fn new(ask: &Ask<'_>, now: Timestamp, ids: &mut Ids) -> Self {
        let echo = |key: &str, otherwise: &str| Raw(ask.raw(key).unwrap_or(otherwise).to_owned());
        Self {
            id: ids.item("resp"),
            created_at: now.as_second(),
            model: ask.model(),
            echoed: vec![
                ("instructions", echo("instructions", "null")),
                ("max_output_tokens", echo("max_output_tokens", "null")),
                ("parallel_tool_calls", echo("parallel_tool_calls", "true")),
                ("previous_response_id", echo("previous_response_id", "null")),
                ("reasoning", echo("reasoning", r#"{"effort":null,"summary":null}"#)),
                ("store", echo("store", "true")),
                ("temperature", echo("temperature", "1.0")),
                ("text", echo("text", r#"{"format":{"type":"text"}}"#)),
                ("tool_choice", echo("tool_choice", r#""auto""#)),
                ("tools", echo("tools", "[]")),
                ("top_p", echo("top_p", "1.0")),
                ("truncation", echo("truncation", r#""disabled""#)),
                ("metadata", echo("metadata", "{}")),
            ],
        }
    }

    /// The response object.
    pub(crate) fn object(&self, status: &str, output: &Raw, usage: Option<&Usage>, error: &Raw) -> Raw {
        let mut made = crate::json::Object::default();
        made.push("id", &self.id);
        made.push("object", "response");
        made.push("created_at", &self.created_at);
        made.push("status", status);
        made.push("background", &false);
        made.push("error", error);
        made.push("incomplete_details", &Null);
        made.push("model", &self.model);
        made.push("output", output);
        for (key, value) in &self.echoed {
            made.push(key, value);
        }
        made.push("service_tier", "default");
        made.push("usage", &usage.map(usage_of));
        made.push("user", &Null);
        made.finish()
    }
}

/// A whole response.
pub(crate) fn response(answer: &Answer, frame: &Frame, ids: &mut Ids) -> Raw {
    let output: Vec<Raw> = items::of(answer, ids).iter().map(Item::done).collect();
    frame.object("completed", &raw(&output), Some(&answer.usage), &raw(&Null))
}

/// All events, first to last.
pub(crate) fn events(answer: &Answer, frame: &Frame, ids: &mut Ids) -> Vec<Bytes> {
    let mut stream = Stream { out: Vec::new(), sequence: 0 };
    let started = frame.object("in_progress", &array![], None, &raw(&Null));
    stream.push("response.created", &[("response", started.clone())]);
    stream.push("response.in_progress", &[("response", started)]);
    let items = items::of(answer, ids);
    for (index, item) in items.iter().enumerate() {
        let index = raw(&index);
        stream.push("response.output_item.added", &[("output_index", index.clone()), ("item", item.begun())]);
        item.stream(&mut stream, &index, &answer.pieces);
        stream.push("response.output_item.done", &[("output_index", index), ("item", item.done())]);
    }
    let output: Vec<Raw> = items.iter().map(Item::done).collect();
    let done = frame.object("completed", &raw(&output), Some(&answer.usage), &raw(&Null));
    stream.push("response.completed", &[("response", done)]);
    stream.out
}

/// A conversation, compacted.
pub(crate) fn compaction(ask: &Ask<'_>, now: Timestamp, ids: &mut Ids) -> Raw {
    let usage = Usage { input: ask.tokens(), output: 60, ..Usage::default() };
    let item =
        object! { "id": ids.item("cmp"), "type": "compaction", "encrypted_content": ids.opaque("gAAAA") };
    object! {
        "id": ids.item("resp"), "object": "response.compaction", "created_at": now.as_second(),
        "output": array![item], "usage": usage_of(&usage)
    }
}

impl Stream {
    /// An event with its number and these fields.
    pub(crate) fn push(&mut self, name: &str, fields: &[(&str, Raw)]) {
        let mut made = crate::json::Object::default();
        made.push("type", name);
        made.push("sequence_number", &self.sequence);
        for (key, value) in fields {
            made.push(key, value);
        }
        self.sequence += 1;
        self.out.push(event(name, &made.finish()));
    }
}

fn usage_of(usage: &Usage) -> Raw {
    object! {
        "input_tokens": usage.input, "input_tokens_details": object! { "cached_tokens": usage.cache_read },
        "output_tokens": usage.output,
        "output_tokens_details": object! { "reasoning_tokens": usage.thinking },
        "total_tokens": usage.input + usage.output
    }
}
