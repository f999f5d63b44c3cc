//! The events of a streamed message, in Anthropic's grammar.

use bytes::Bytes;

use super::{stop_reason, usage};
use crate::{
    answer::Answer,
    ask::Call,
    ids::Ids,
    json::{Null, Raw, array, object},
    reply::event,
};

/// Events that are not text: `message_start`, `content_block_start`, `ping`, `content_block_stop`,
/// `message_delta`, `message_stop`.
pub(crate) const FRAMING: usize = 6;

/// All events, first to last.
pub(crate) fn events(answer: &Answer, model: &str, ids: &mut Ids) -> Vec<Bytes> {
    let mut out = vec![start(answer, model, ids)];
    let mut index = 0;
    if let Some(thinking) = &answer.thinking {
        thought(&mut out, thinking, ids);
        index += 1;
    }
    text(&mut out, index, &answer.pieces);
    if let Some(call) = &answer.call {
        tool_use(&mut out, index + 1, call, ids);
    }
    let total = object! { "output_tokens": answer.usage.output };
    let delta = object! { "stop_reason": stop_reason(answer), "stop_sequence": Null };
    out.push(event("message_delta", &object! { "type": "message_delta", "delta": delta, "usage": total }));
    out.push(event("message_stop", &object! { "type": "message_stop" }));
    out
}

fn start(answer: &Answer, model: &str, ids: &mut Ids) -> Bytes {
    let message = object! {
        "model": model, "id": ids.message(), "type": "message", "role": "assistant", "content": array![],
        "stop_reason": Null, "stop_sequence": Null, "stop_details": Null, "usage": usage(&answer.usage, 1)
    };
    event("message_start", &object! { "type": "message_start", "message": message })
}

fn thought(out: &mut Vec<Bytes>, thinking: &str, ids: &mut Ids) {
    open(out, 0, &object! { "type": "thinking", "thinking": "", "signature": "" });
    delta(out, 0, &object! { "type": "thinking_delta", "thinking": thinking });
    delta(out, 0, &object! { "type": "signature_delta", "signature": ids.opaque("Eq") });
    close(out, 0);
}

fn text(out: &mut Vec<Bytes>, index: u32, pieces: &[String]) {
    open(out, index, &object! { "type": "text", "text": "" });
    out.push(Bytes::from_static(b"event: ping\ndata: {\"type\": \"ping\"}\n\n"));
    for piece in pieces {
        delta(out, index, &object! { "type": "text_delta", "text": piece });
    }
    close(out, index);
}

fn tool_use(out: &mut Vec<Bytes>, index: u32, call: &Call, ids: &mut Ids) {
    let block = object! { "type": "tool_use", "id": ids.tool_use(), "name": &call.name, "input": object! {} };
    open(out, index, &block);
    for fragment in std::iter::once("").chain(call.fragments()) {
        delta(out, index, &object! { "type": "input_json_delta", "partial_json": fragment });
    }
    close(out, index);
}

fn open(out: &mut Vec<Bytes>, index: u32, block: &Raw) {
    let data = object! { "type": "content_block_start", "index": index, "content_block": block };
    out.push(event("content_block_start", &data));
}

fn delta(out: &mut Vec<Bytes>, index: u32, delta: &Raw) {
    let data = object! { "type": "content_block_delta", "index": index, "delta": delta };
    out.push(event("content_block_delta", &data));
}

fn close(out: &mut Vec<Bytes>, index: u32) {
    out.push(event("content_block_stop", &object! { "type": "content_block_stop", "index": index }));
}
