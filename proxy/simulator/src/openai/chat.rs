//! Chat Completions: whole and streamed.

use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    answer::{Answer, Usage},
    ids::Ids,
    json::{Null, Raw, array, object, raw},
    reply::data,
};

/// Events that are not text: the role, the finish, the usage and `[DONE]`.
pub(crate) const FRAMING: usize = 4;

/// The parts every chunk of an answer repeats.
struct Chunks {
    id: String,
    created: i64,
    model: String,
    with_usage: bool,
}

/// A whole completion.
pub(crate) fn completion(answer: &Answer, model: &str, now: Timestamp, ids: &mut Ids) -> Raw {
    let calls = answer.call.as_ref().map(|call| {
        let function = object! { "name": &call.name, "arguments": &call.arguments };
        array![object! { "id": ids.call(), "type": "function", "function": function }]
    });
    let text = answer.call.is_none().then(|| answer.text());
    let message = if let Some(calls) = calls {
        object! {
            "role": "assistant", "content": text, "tool_calls": calls, "refusal": Null, "annotations": array![]
        }
    } else {
        object! { "role": "assistant", "content": text, "refusal": Null, "annotations": array![] }
    };
    let choice =
        object! { "index": 0, "message": message, "logprobs": Null, "finish_reason": finish_reason(answer) };
    object! {
        "id": ids.completion(), "object": "chat.completion", "created": now.as_second(), "model": model,
        "choices": array![choice], "usage": usage(&answer.usage), "service_tier": "default",
        "system_fingerprint": Null
    }
}

/// All events, first to last.
pub(crate) fn events(
    answer: &Answer,
    model: &str,
    with_usage: bool,
    now: Timestamp,
    ids: &mut Ids,
) -> Vec<Bytes> {
    let chunks =
        Chunks { id: ids.completion(), created: now.as_second(), model: model.to_owned(), with_usage };
    let mut out = Vec::with_capacity(answer.pieces.len() + FRAMING);
    let content = if answer.call.is_some() { raw(&Null) } else { raw("") };
    out.push(chunks.delta(&object! { "role": "assistant", "content": content, "refusal": Null }));
    match &answer.call {
        Some(call) => {
            let function = object! { "name": &call.name, "arguments": "" };
            out.push(
                chunks
                    .call(object! { "index": 0, "id": ids.call(), "type": "function", "function": function }),
            );
            for fragment in call.fragments() {
                out.push(chunks.call(object! { "index": 0, "function": object! { "arguments": fragment } }));
            }
        }
        None => out.extend(answer.pieces.iter().map(|piece| chunks.delta(&object! { "content": piece }))),
    }
    out.push(chunks.choice(&object! {}, Some(finish_reason(answer))));
    if with_usage {
        out.push(chunks.chunk(&array![], &usage(&answer.usage)));
    }
    out.push(Bytes::from_static(b"data: [DONE]\n\n"));
    out
}

impl Chunks {
    fn delta(&self, delta: &Raw) -> Bytes {
        self.choice(delta, None)
    }

    fn call(&self, call: Raw) -> Bytes {
        self.delta(&object! { "tool_calls": vec![call] })
    }

    fn choice(&self, delta: &Raw, finish: Option<&str>) -> Bytes {
        let choice = object! { "index": 0, "delta": delta, "logprobs": Null, "finish_reason": finish };
        self.chunk(&array![choice], &raw(&Null))
    }

    fn chunk(&self, choices: &Raw, usage: &Raw) -> Bytes {
        let (id, created, model) = (&self.id, self.created, &self.model);
        data(&if self.with_usage {
            object! {
                "id": id, "object": "chat.completion.chunk", "created": created, "model": model,
                "service_tier": "default", "system_fingerprint": Null, "choices": choices, "usage": usage
            }
        } else {
            object! {
                "id": id, "object": "chat.completion.chunk", "created": created, "model": model,
                "service_tier": "default", "system_fingerprint": Null, "choices": choices
            }
        })
    }
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.call.is_some() { "tool_calls" } else { "stop" }
}

fn usage(usage: &Usage) -> Raw {
    object! {
        "prompt_tokens": usage.input, "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": object! { "cached_tokens": usage.cache_read, "audio_tokens": 0 },
        "completion_tokens_details": object! {
            "reasoning_tokens": usage.thinking, "audio_tokens": 0, "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0
        }
    }
}
