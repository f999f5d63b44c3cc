//! Anthropic's manners: Messages, token counts, models, usage of a subscription.

use jiff::Timestamp;

use crate::{
    answer::{Answer, Usage},
    ask::Ask,
    ids::Ids,
    json::{Null, Raw, object},
    limits::Readings,
    reply::Failure,
};

mod errors;
mod headers;
mod stream;

pub(crate) use errors::{error_event, phrase};
pub(crate) use headers::headers;
pub(crate) use stream::{FRAMING, events};

/// Refuses what Anthropic refuses.
pub(crate) fn check(ask: &Ask<'_>, version: Option<&str>, creates: bool) -> Result<(), Failure> {
    let missing = |field: &str| Failure::invalid(format!("{field}: Field required"));
    let Some(version) = version else {
        return Err(Failure::invalid("anthropic-version: header is required"));
    };
    for field in ["model", "messages"] {
        if !ask.has(field) {
            return Err(missing(field));
        }
    }
    if creates && !ask.has("max_tokens") {
        return Err(missing("max_tokens"));
    }
    if ask.raw("messages") == Some("[]") {
        return Err(Failure::invalid("messages: at least one message is required"));
    }
    if version >= "2026-10-21" {
        for field in ["temperature", "top_p", "top_k"] {
            if ask.has(field) {
                return Err(Failure::invalid(format!("{field}: Extra inputs are not permitted")));
            }
        }
    }
    Ok(())
}

/// Whether the request lets the model think.
pub(crate) fn thinks(ask: &Ask<'_>) -> bool {
    ask.value("thinking")
        .is_some_and(|thinking| matches!(thinking["type"].as_str(), Some("enabled" | "adaptive")))
}

/// A whole message.
pub(crate) fn message(answer: &Answer, model: &str, ids: &mut Ids) -> Raw {
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        content.push(object! { "type": "thinking", "thinking": thinking, "signature": ids.opaque("Eq") });
    }
    content.push(object! { "type": "text", "text": answer.text() });
    if let Some(call) = &answer.call {
        content.push(object! {
            "type": "tool_use", "id": ids.tool_use(), "name": &call.name, "input": Raw(call.arguments.clone())
        });
    }
    object! {
        "id": ids.message(), "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop_reason(answer), "stop_sequence": Null, "stop_details": Null,
        "usage": usage(&answer.usage, answer.usage.output)
    }
}

/// `{"input_tokens":N}`
pub(crate) fn count(ask: &Ask<'_>) -> Raw {
    object! { "input_tokens": ask.tokens() }
}

/// The list of models, in one page.
pub(crate) fn models(ids: &[String]) -> Raw {
    let all: Vec<Raw> = ids.iter().map(|id| model(id)).collect();
    object! { "data": all, "has_more": false, "first_id": ids.first(), "last_id": ids.last() }
}

/// One model.
pub(crate) fn model(id: &str) -> Raw {
    object! {
        "type": "model", "id": id, "display_name": display_name(id), "created_at": "2026-02-05T00:00:00Z",
        "max_input_tokens": 200_000, "max_tokens": 64_000
    }
}

/// A subscription's windows.
pub(crate) fn windows(readings: &Readings) -> Raw {
    let window = |utilization: f64, resets_at: Timestamp| {
        object! { "utilization": (utilization * 1000.0).round() / 10.0, "resets_at": resets_at.to_string() }
    };
    object! {
        "five_hour": window(readings.five_hour.utilization, readings.five_hour.resets_at),
        "seven_day": window(readings.seven_day.utilization, readings.seven_day.resets_at),
        "seven_day_oauth_apps": Null,
        "seven_day_opus": readings.model.map(|model| window(model.utilization, model.resets_at)),
        "extra_usage": object! { "is_enabled": false, "monthly_limit": Null, "used_credits": Null, "utilization": Null }
    }
}

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.call.is_some() { "tool_use" } else { "end_turn" }
}

fn usage(usage: &Usage, output: u64) -> Raw {
    let fresh = usage.input - usage.cache_read - usage.cache_write;
    object! {
        "input_tokens": fresh, "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": object! {
            "ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": 0
        },
        "output_tokens": output, "service_tier": "standard"
    }
}

/// `claude-sonnet-5` is `Claude Sonnet 5`.
fn display_name(id: &str) -> String {
    let mut words = Vec::new();
    for word in id.split('-') {
        let mut letters = word.chars();
        words.extend(letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()));
    }
    words.join(" ")
}
