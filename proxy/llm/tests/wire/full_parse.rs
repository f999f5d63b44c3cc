//! The same readings taken the slow way: the whole stream in memory, every event parsed by `serde_json`.

use penstock_proto::dialect::Dialect;
use penstock_proto::usage::Usage;
use serde_json::Value;

/// What a full parse finds.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) usage: Option<Usage>,
    pub(crate) model: Option<String>,
    pub(crate) terminal: bool,
    pub(crate) error: bool,
}

/// Reads a whole stream.
pub(crate) fn read(dialect: Dialect, stream: &[u8]) -> Parsed {
    let text = String::from_utf8_lossy(stream).replace("\r\n", "\n").replace('\r', "\n");
    let text = text.trim_start_matches('\u{feff}');
    let events: Vec<(String, String)> = text.split("\n\n").map(event).collect();
    match dialect {
        Dialect::AnthropicMessages => anthropic(&events),
        Dialect::OpenaiChat => chat(&events),
        Dialect::OpenaiResponses => responses(&events),
    }
}

fn event(block: &str) -> (String, String) {
    let field = |line: &str, name: &str| {
        line.strip_prefix(name).map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned())
    };
    let name = block.lines().filter_map(|line| field(line, "event:")).next_back().unwrap_or_default();
    let data: Vec<_> = block.lines().filter_map(|line| field(line, "data:")).collect();
    (name, data.join("\n"))
}

fn kind<'a>(name: &'a str, data: &'a Value) -> &'a str {
    data["type"].as_str().unwrap_or(name)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn anthropic(events: &[(String, String)]) -> Parsed {
    let (mut parsed, mut total, mut reported, mut open, mut reason) =
        (Parsed::default(), Value::Null, false, 0_u32, false);
    for (name, data) in events {
        let Ok(data) = serde_json::from_str::<Value>(data) else { continue };
        if parsed.error || parsed.terminal {
            break;
        }
        let mut usage = &Value::Null;
        match kind(name, &data) {
            "message_start" => {
                parsed.model = data["message"]["model"].as_str().map(str::to_owned);
                usage = &data["message"]["usage"];
            }
            "message_delta" => {
                usage = &data["usage"];
                reason |= data["delta"]["stop_reason"].is_string();
                reported |= usage["output_tokens"].is_u64();
            }
            "content_block_start" => open += 1,
            "content_block_stop" => open = open.saturating_sub(1),
            "message_stop" => parsed.terminal = true,
            "error" => parsed.error = true,
            _ => {}
        }
        if let Some(usage) = usage.as_object() {
            for (key, value) in usage.iter().filter(|(_, value)| !value.is_null()) {
                total[key] = value.clone();
            }
        }
    }
    parsed.terminal |= reason && open == 0;
    if reported || (parsed.terminal && total["output_tokens"].is_u64()) {
        let hour = number(&total["cache_creation"]["ephemeral_1h_input_tokens"]);
        let thinking = number(&total["output_tokens_details"]["thinking_tokens"]);
        parsed.usage = Some(Usage {
            input_tokens: number(&total["input_tokens"]),
            cache_read_tokens: number(&total["cache_read_input_tokens"]),
            cache_write_5m_tokens: number(&total["cache_creation_input_tokens"]) - hour,
            cache_write_1h_tokens: hour,
            output_tokens: number(&total["output_tokens"]) - thinking,
            reasoning_tokens: thinking,
        });
    }
    parsed
}

fn chat(events: &[(String, String)]) -> Parsed {
    let mut parsed = Parsed::default();
    for (_, data) in events {
        if data.trim() == "[DONE]" {
            parsed.terminal = true;
            break;
        }
        let Ok(data) = serde_json::from_str::<Value>(data) else { continue };
        let model = data["model"].as_str().filter(|model| !model.is_empty());
        parsed.model = parsed.model.or(model.map(str::to_owned));
        let usage = if data["usage"].is_object() { &data["usage"] } else { &data["x_groq"]["usage"] };
        parsed.usage = openai(usage).or(parsed.usage);
        parsed.terminal |=
            data["choices"][0]["finish_reason"].as_str().is_some_and(|reason| !reason.is_empty());
        parsed.error |= data["error"].is_object();
    }
    parsed
}

fn responses(events: &[(String, String)]) -> Parsed {
    let mut parsed = Parsed::default();
    for (name, data) in events {
        let Ok(data) = serde_json::from_str::<Value>(data) else { continue };
        let response = &data["response"];
        parsed.model = response["model"].as_str().map(str::to_owned).or(parsed.model);
        match kind(name, &data) {
            "response.completed" | "response.incomplete" => parsed.terminal = true,
            "response.failed" | "error" => parsed.error = true,
            _ => continue,
        }
        parsed.usage = openai(&response["usage"]);
        break;
    }
    parsed
}

fn openai(usage: &Value) -> Option<Usage> {
    usage.as_object()?;
    let first = |a: &str, b: &str| if usage[a].is_null() { &usage[b] } else { &usage[a] };
    let prompt = number(first("prompt_tokens", "input_tokens"));
    let details = first("prompt_tokens_details", "input_tokens_details");
    let (read, written) = (number(&details["cached_tokens"]), number(&details["cache_write_tokens"]));
    let mut output = number(first("completion_tokens", "output_tokens"));
    if output == 0 {
        output = number(&usage["total_tokens"]).saturating_sub(prompt);
    }
    let reasoning = number(&first("completion_tokens_details", "output_tokens_details")["reasoning_tokens"]);
    Some(Usage {
        input_tokens: prompt - read - written,
        cache_read_tokens: read,
        cache_write_5m_tokens: written,
        output_tokens: output - reasoning,
        reasoning_tokens: reasoning,
        ..Usage::default()
    })
}
