//! The tap on answers that are one JSON value.

use penstock_llm::usage::{Endpoint, Finish, Reading, Shape, Tap};
use penstock_proto::dialect::Dialect;
use penstock_proto::usage::{Usage, UsageSource};
use proptest::prelude::*;
use serde_json::Value;

use crate::random;
use crate::samples::chunks;

fn read(dialect: Dialect, endpoint: Endpoint, chunks: &[&[u8]]) -> Reading {
    let mut tap = Tap::new(Some(dialect), Some(Shape::Json), endpoint);
    chunks.iter().for_each(|chunk| tap.push(chunk));
    tap.finish();
    tap.reading()
}

fn created(dialect: Dialect, body: &str) -> Reading {
    let whole = read(dialect, Endpoint::Create, &[body.as_bytes()]);
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(read(dialect, Endpoint::Create, &chunks(body.as_bytes(), &[size])), whole);
    }
    whole
}

const MESSAGE: &str = r#"{"id":"msg_01","type":"message","model":"claude-x","content":[{"type":"text","text":"{\"usage\":{\"input_tokens\":9}}"}],"stop_reason":"end_turn","usage" : {"input_tokens":12,"cache_creation_input_tokens":100,"cache_read_input_tokens":900,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":0},"output_tokens":7,"output_tokens_details":{"thinking_tokens":3},"server_tool_use":null}}"#;

#[test]
fn a_message_of_anthropic() {
    let reading = created(Dialect::AnthropicMessages, MESSAGE);
    let expected = Usage {
        input_tokens: 12,
        cache_read_tokens: 900,
        cache_write_5m_tokens: 100,
        cache_write_1h_tokens: 0,
        output_tokens: 4,
        reasoning_tokens: 3,
    };
    assert_eq!((reading.usage, reading.source), (expected, UsageSource::Reported));
    assert_eq!((reading.finish, reading.model.as_deref()), (Finish::Terminal, Some("claude-x")));
}

#[test]
fn a_body_that_was_cut_is_open_and_estimated() {
    let cut = &MESSAGE.as_bytes()[..MESSAGE.len() - 1];
    assert_eq!(read(Dialect::AnthropicMessages, Endpoint::Create, &[cut]).finish, Finish::Open);
    let long = format!(r#"{{"id":"msg","model":"m","content":[{{"text":"{}"#, "word ".repeat(400));
    let reading = created(Dialect::AnthropicMessages, &long);
    assert_eq!((reading.finish, reading.source), (Finish::Open, UsageSource::Estimated));
    assert!((350..=500).contains(&reading.usage.output_tokens));
}

#[test]
fn only_what_was_begun_can_be_cut() {
    for (endpoint, body, finish) in [
        (Endpoint::Other, "", Finish::Terminal),
        (Endpoint::Create, "", Finish::Open),
        (Endpoint::Other, "null", Finish::Terminal),
        (Endpoint::Other, " [1,{}] ", Finish::Terminal),
        (Endpoint::Other, "[1,{}", Finish::Open),
        (Endpoint::Other, "\"text", Finish::Open),
        (Endpoint::Other, "\"text\"", Finish::Terminal),
    ] {
        assert_eq!(read(Dialect::OpenaiChat, endpoint, &[body.as_bytes()]).finish, finish, "{body:?}");
    }
}

#[test]
fn usage_may_come_before_what_it_counts_and_after_a_long_echo() {
    let echo = "x".repeat(200_000);
    let body = format!(
        r#"{{"usage":{{"input_tokens":3,"output_tokens":4}},"instructions":"{echo}","model":"gpt","status":"completed","error":null}}"#
    );
    let reading = created(Dialect::OpenaiResponses, &body);
    assert_eq!((reading.usage.total(), reading.finish), (7, Finish::Terminal));
}

#[test]
fn embeddings_count_and_counting_tokens_does_not() {
    let embeddings = r#"{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    let reading = created(Dialect::OpenaiChat, embeddings);
    assert_eq!((reading.usage.input_tokens, reading.usage.total()), (8, 8));
    let counted = read(Dialect::AnthropicMessages, Endpoint::Other, &[br#"{"input_tokens":2095}"#]);
    assert_eq!((counted.usage, counted.source), (Usage::default(), UsageSource::None));
    assert_eq!(counted.finish, Finish::Terminal);
}

#[test]
fn an_error_in_a_body_is_an_error() {
    let failed =
        r#"{"id":"resp","status":"failed","error":{"code":"server_error","message":"no"},"usage":null}"#;
    let reading = created(Dialect::OpenaiResponses, failed);
    assert_eq!((reading.finish, reading.source), (Finish::Errored, UsageSource::None));
    assert_eq!(reading.stream_error.unwrap().code.as_deref(), Some("server_error"));
    let error =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;
    let facts = created(Dialect::AnthropicMessages, error).stream_error.unwrap();
    assert_eq!(
        (facts.kind.as_deref(), facts.request_id.as_deref()),
        (Some("overloaded_error"), Some("req_1"))
    );
}

#[test]
fn numbers_may_be_written_in_many_ways() {
    for (written, expected) in [
        ("12", 12),
        ("12.0", 12),
        ("\"12\"", 12),
        ("null", 0),
        ("-3", 0),
        ("-3.5", 0),
        ("1e3", 1000),
        ("[]", 0),
        ("99999999999999999999999", u64::MAX),
    ] {
        let body = format!(r#"{{"usage":{{"input_tokens":{written},"output_tokens":1}}}}"#);
        assert_eq!(created(Dialect::AnthropicMessages, &body).usage.input_tokens, expected, "{written}");
        assert_eq!(created(Dialect::OpenaiChat, &body).usage.input_tokens, expected, "{written}");
    }
}

#[test]
fn the_arithmetic_repairs_what_servers_get_wrong() {
    for (usage, expected) in [
        // Cached tokens are never more than the prompt.
        (
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":99}}"#,
            (0, 10, 0, 1, 0),
        ),
        (
            r#"{"prompt_tokens":1000,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":300,"cache_write_tokens":200}}"#,
            (500, 300, 200, 5, 0),
        ),
        (r#"{"prompt_tokens":20,"completion_tokens":0,"total_tokens":50}"#, (20, 0, 0, 30, 0)),
        // Reasoning counted apart.
        (
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":45,"completion_tokens_details":{"reasoning_tokens":30}}"#,
            (10, 0, 0, 5, 30),
        ),
        (
            r#"{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":30}}"#,
            (10, 0, 0, 0, 5),
        ),
        (
            r#"{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":null,"completion_tokens_details":{}}"#,
            (1, 0, 0, 2, 0),
        ),
    ] {
        let usage = created(Dialect::OpenaiChat, &format!(r#"{{"usage":{usage}}}"#)).usage;
        let found = (
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_5m_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
        );
        assert_eq!(found, expected);
    }
    assert_eq!(created(Dialect::OpenaiChat, r#"{"usage":{}}"#).source, UsageSource::None);
}

proptest! {
    #[test]
    fn what_is_kept_of_any_object_is_what_a_full_parse_finds(
        body in random::body(),
        model in prop::option::of("[a-z0-9./-]{1,20}"),
        input in 0_u64..1_000_000,
        sizes in prop::collection::vec(1_usize..20, 1..40),
    ) {
        // The random object without its last bracket, and the answer's own members behind it.
        let open = body.trim_end().strip_suffix('}').unwrap().trim_end();
        let comma = if open.trim_start() == "{" { "" } else { "," };
        let named = model.map(|model| format!(r#","model":"{model}""#)).unwrap_or_default();
        let body = format!(r#"{open}{comma} "usage":{{"input_tokens":{input},"output_tokens":1}}{named}}}"#);
        let parsed: Value = serde_json::from_str(&body).unwrap();
        let whole = read(Dialect::AnthropicMessages, Endpoint::Create, &[body.as_bytes()]);
        prop_assert_eq!(whole.usage.input_tokens, input);
        if !body.contains("\\u006") && !body.contains("\"model\":null") {
            prop_assert_eq!(whole.model.as_deref().filter(|_| parsed["model"].is_string()), parsed["model"].as_str());
        }
        prop_assert_eq!(read(Dialect::AnthropicMessages, Endpoint::Create, &chunks(body.as_bytes(), &sizes)), whole);
    }
}
