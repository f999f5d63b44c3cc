//! The output items of a response: reasoning, a message, a function call.

use super::Stream;
use crate::{
    answer::Answer,
    ask::Call,
    ids::Ids,
    json::{Raw, array, object, raw},
};

/// An output item with its id.
pub(super) enum Item {
    Reasoning { id: String, summary: String, encrypted: String },
    Message { id: String, text: String },
    Call { id: String, call_id: String, call: Call },
}

/// The items of an answer, in order.
pub(super) fn of(answer: &Answer, ids: &mut Ids) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some(summary) = &answer.thinking {
        let (id, encrypted) = (ids.item("rs"), ids.opaque("gAAAA"));
        items.push(Item::Reasoning { id, summary: summary.clone(), encrypted });
    }
    items.push(match &answer.call {
        Some(call) => Item::Call { id: ids.item("fc"), call_id: ids.call(), call: call.clone() },
        None => Item::Message { id: ids.item("msg"), text: answer.text() },
    });
    items
}

impl Item {
    /// As it is announced, still empty.
    pub(super) fn begun(&self) -> Raw {
        match self {
            Self::Reasoning { id, .. } => object! { "id": id, "type": "reasoning", "summary": array![] },
            Self::Message { id, .. } => object! {
                "id": id, "type": "message", "status": "in_progress", "content": array![], "role": "assistant"
            },
            Self::Call { id, call_id, call } => object! {
                "id": id, "type": "function_call", "status": "in_progress", "arguments": "",
                "call_id": call_id, "name": &call.name
            },
        }
    }

    /// As it is in the end.
    pub(super) fn done(&self) -> Raw {
        match self {
            Self::Reasoning { id, summary, encrypted } => object! {
                "id": id, "type": "reasoning", "summary": array![summary_part(summary)],
                "encrypted_content": encrypted
            },
            Self::Message { id, text } => object! {
                "id": id, "type": "message", "status": "completed", "content": array![text_part(text)],
                "role": "assistant"
            },
            Self::Call { id, call_id, call } => object! {
                "id": id, "type": "function_call", "status": "completed", "arguments": &call.arguments,
                "call_id": call_id, "name": &call.name
            },
        }
    }

    /// The events between both.
    pub(super) fn stream(&self, stream: &mut Stream, index: &Raw, pieces: &[String]) {
        match self {
            Self::Reasoning { id, summary, .. } => {
                reasoning(stream, &place(id, index, "summary_index"), summary);
            }
            Self::Message { id, text } => message(stream, &place(id, index, "content_index"), text, pieces),
            Self::Call { id, call, .. } => function_call(stream, &place(id, index, "")[..2], call),
        }
    }
}

/// Where an event belongs: item, its index, and the index of the part in it.
fn place<'a>(id: &str, index: &Raw, part: &'a str) -> [(&'a str, Raw); 3] {
    [("item_id", raw(id)), ("output_index", index.clone()), (part, raw(&0))]
}

fn reasoning(stream: &mut Stream, at: &[(&str, Raw)], summary: &str) {
    let mut push = |name: &str, key, value| stream.push(name, &[at, &[(key, value)]].concat());
    push("response.reasoning_summary_part.added", "part", summary_part(""));
    push("response.reasoning_summary_text.delta", "delta", raw(summary));
    push("response.reasoning_summary_text.done", "text", raw(summary));
    push("response.reasoning_summary_part.done", "part", summary_part(summary));
}

fn message(stream: &mut Stream, at: &[(&str, Raw)], text: &str, pieces: &[String]) {
    let no_logprobs = ("logprobs", array![]);
    stream.push("response.content_part.added", &[at, &[("part", text_part(""))]].concat());
    for piece in pieces {
        let delta = [("delta", raw(piece)), no_logprobs.clone()];
        stream.push("response.output_text.delta", &[at, &delta].concat());
    }
    stream.push("response.output_text.done", &[at, &[("text", raw(text)), no_logprobs]].concat());
    stream.push("response.content_part.done", &[at, &[("part", text_part(text))]].concat());
}

fn function_call(stream: &mut Stream, at: &[(&str, Raw)], call: &Call) {
    for fragment in call.fragments() {
        stream.push("response.function_call_arguments.delta", &[at, &[("delta", raw(fragment))]].concat());
    }
    let arguments = ("arguments", raw(&call.arguments));
    stream.push("response.function_call_arguments.done", &[at, &[arguments]].concat());
}

fn text_part(text: &str) -> Raw {
    object! { "type": "output_text", "annotations": array![], "logprobs": array![], "text": text }
}

fn summary_part(text: &str) -> Raw {
    object! { "type": "summary_text", "text": text }
}
