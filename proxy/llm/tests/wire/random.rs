//! Random JSON, written in every way that JSON may be written, and random streams of it.

use penstock_proto::dialect::Dialect;
use proptest::prelude::*;

/// An object's text, with the keys that matter and others like them, at the top and nested.
pub(crate) fn body() -> impl Strategy<Value = String> {
    (blank(), object(value()), blank()).prop_map(|(before, object, after)| format!("{before}{object}{after}"))
}

/// A stream of well-formed events that a provider might send, in an order it might not.
pub(crate) fn stream(dialect: Dialect) -> impl Strategy<Value = String> {
    let line_end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    (prop::collection::vec(event(dialect), 0..12), line_end)
        .prop_map(|(events, line_end)| events.concat().replace('\n', line_end))
}

/// One event: its members in any order, something unknown among them, with or without its event line.
fn event(dialect: Dialect) -> impl Strategy<Value = String> {
    let members = match dialect {
        Dialect::AnthropicMessages => ANTHROPIC,
        Dialect::OpenaiChat => CHAT,
        Dialect::OpenaiResponses => RESPONSES,
    };
    let body = body().prop_map(|body| body.replace(['\n', '\r'], " "));
    let text = string().prop_map(|text| text.replace(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'], " "));
    (prop::sample::select(members.to_vec()), body, text, any::<bool>(), 0..3_u8).prop_map(
        |((kind, members), body, text, named, order)| {
            let unknown = format!(r#""x":{body},"y":{text}"#);
            let kind_member = if kind.is_empty() { String::new() } else { format!(r#""type":"{kind}","#) };
            let all = match order {
                0 => format!("{kind_member}{members},{unknown}"),
                1 => format!("{kind_member}{unknown},{members}"),
                _ => format!("{unknown},{kind_member}{members}"),
            };
            let line = if named && !kind.is_empty() { format!("event: {kind}\n") } else { String::new() };
            format!("{line}data: {{{all}}}\n\n")
        },
    )
}

const ANTHROPIC: &[(&str, &str)] = &[
    (
        "message_start",
        r#""message":{"id":"msg","model":"m","usage":{"input_tokens":5,"cache_read_input_tokens":7,"output_tokens":1}}"#,
    ),
    ("message_start", r#""message":{"usage":null}"#),
    ("content_block_start", r#""index":0,"content_block":{"type":"text"}"#),
    ("content_block_delta", r#""index":0,"delta":{"type":"text_delta","text":"error"}"#),
    ("content_block_stop", r#""index":0"#),
    (
        "message_delta",
        r#""delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":null,"output_tokens":9}"#,
    ),
    ("message_delta", r#""delta":{"stop_reason":null}"#),
    ("message_stop", r#""z":0"#),
    ("ping", r#""usage":{"output_tokens":99}"#),
    ("error", r#""error":{"type":"overloaded_error","message":"Overloaded"}"#),
    ("unheard_of", r#""error":{"type":"x"}"#),
];

const CHAT: &[(&str, &str)] = &[
    (
        "",
        r#""id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}],"usage":null"#,
    ),
    ("", r#""id":"c","model":"","choices":[]"#),
    ("", r#""choices":[{"index":0,"delta":{"content":"usage"},"finish_reason": null}]"#),
    ("", r#""choices":[{"index":0,"delta":{"content":"error"},"finish_reason":""}],"error":null"#),
    ("", r#""choices":[{"index":0,"delta":{},"finish_reason" : "stop"}]"#),
    ("", r#""choices":[],"usage" : {"prompt_tokens":11,"completion_tokens":4,"total_tokens":15}"#),
    ("", r#""choices":[],"usage":{"prompt_tokens":12,"completion_tokens":5}"#),
    ("", r#""x_groq":{"usage":{"prompt_tokens":13,"completion_tokens":6}}"#),
    ("", r#""error":{"message":"no","type":"server_error"}"#),
];

const RESPONSES: &[(&str, &str)] = &[
    (
        "response.created",
        r#""response":{"id":"r","model":"m","created_at":5,"status":"in_progress","usage":null}"#,
    ),
    ("response.in_progress", r#""response":{"status":"in_progress"}"#),
    ("response.output_text.delta", r#""delta":"{\"response\":{\"usage\":{}}}""#),
    ("response.output_item.done", r#""item":{"type":"message"}"#),
    (
        "response.completed",
        r#""response":{"model":"m","status":"completed","usage":{"input_tokens":5,"output_tokens":6}}"#,
    ),
    (
        "response.incomplete",
        r#""response":{"status":"incomplete","usage":{"input_tokens":5,"output_tokens":6}}"#,
    ),
    ("response.failed", r#""response":{"status":"failed","error":{"code":"server_error"},"usage":null}"#),
    ("error", r#""error":{"code":"rate_limit_exceeded"}"#),
    ("error", r#""code":"server_error","message":"no""#),
    ("codex.rate_limits", r#""rate_limits":{"primary":{"used_percent":1,"window_minutes":300}}"#),
    ("keepalive", r#""sequence_number":3"#),
];

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        string(),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
    ];
    leaf.prop_recursive(4, 40, 6, |inner| prop_oneof![array(inner.clone()), object(inner)])
}

fn array(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((blank(), inner, blank()), 0..5).prop_map(|items| {
        let items: Vec<_> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
        format!("[{}]", items.join(","))
    })
}

fn object(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (blank(), key(), blank(), blank(), inner, blank());
    prop::collection::vec(member, 0..6).prop_map(|members| {
        let members: Vec<_> = members
            .into_iter()
            .map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = [
        "model",
        "mod\\u0065l",
        "stream",
        "messages",
        "input",
        "system",
        "metadata",
        "user_id",
        "role",
        "content",
        "text",
        "prompt_cache_key",
        "previous_response_id",
        "conversation",
        "id",
        "max_tokens",
        "Model",
        "model ",
    ];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(|key| format!("\"{key}\"")), string()]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\\\"".to_owned()),
        Just("\\\\".to_owned()),
        Just("\\n".to_owned()),
        Just("\\u00e9".to_owned()),
        Just("\\ud83d\\ude00".to_owned()),
        Just("{\\\"model\\\":[".to_owned()),
        Just("user".to_owned()),
        Just("}]{[:,".to_owned()),
        "[^\"\\\\\\x00-\\x1f]{0,12}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}
