//! The scan of request bodies: equal to `serde_json` on whatever is JSON, and exact about where things are.

use bytes::Bytes;
use penstock_llm::request::{Asked, BodyFault, scan, scan_beginning};
use penstock_llm::splice::splice;
use penstock_proto::dialect::Dialect;
use proptest::prelude::*;
use serde_json::Value;

use crate::random;

const DIALECTS: [Option<Dialect>; 4] =
    [None, Some(Dialect::AnthropicMessages), Some(Dialect::OpenaiChat), Some(Dialect::OpenaiResponses)];

fn asked(dialect: Dialect, body: &str) -> Asked {
    scan(Some(dialect), body.as_bytes()).expect("a body")
}

fn texts(body: &str, asked: &Asked) -> Vec<String> {
    asked.opening.parts(body.as_bytes()).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

#[test]
fn the_python_client_of_anthropic() {
    let body = r#"{"max_tokens":64,"messages":[{"role":"user","content":"hi"}],"model":"claude-sonnet-4-5-20250929","stream":true}"#;
    let asked = asked(Dialect::AnthropicMessages, body);
    let model = asked.model.clone().unwrap();
    assert_eq!(
        (model.value.as_str(), &body[model.range]),
        ("claude-sonnet-4-5-20250929", "\"claude-sonnet-4-5-20250929\"")
    );
    assert!(asked.stream);
    assert_eq!(asked.max_output_tokens, Some(64));
    assert_eq!(texts(body, &asked), ["\"hi\""]);
}

#[test]
fn the_shape_of_claude_code() {
    let body = r#"{"model":"claude-opus-4-8","messages":[{"role":"user","content":[{"type":"text","text":"<system-reminder>\nToday\n</system-reminder>"},{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]},{"role":"system","content":"later"}],"system":[{"type":"text","text":"one"},{"type":"text","text":"two","cache_control":{"type":"ephemeral"}}],"tools":[{"name":"x","input_schema":{"properties":{"model":{"type":"string"},"stream":false}}}],"metadata":{"user_id":"{\"session_id\":\"e7b8\"}"},"max_tokens":64000,"stream":true}"#;
    let asked = asked(Dialect::AnthropicMessages, body);
    assert_eq!(asked.user_id.as_deref(), Some(r#"{"session_id":"e7b8"}"#));
    assert!(asked.stream);
    let expected = ["\"one\"", "\"two\"", r#""<system-reminder>\nToday\n</system-reminder>""#, "\"hi\""];
    assert_eq!(texts(body, &asked), expected);
}

#[test]
fn the_shape_of_codex_and_of_the_openai_clients() {
    let body = r#"{"model":"gpt-5","stream":true,"input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"rules"}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},{"role":"user","content":"more"}],"prompt_cache_key":"01a1","store":false,"previous_response_id":"resp_1","conversation":{"id":"conv_1"}}"#;
    let codex = asked(Dialect::OpenaiResponses, body);
    assert_eq!(codex.prompt_cache_key.as_deref(), Some("01a1"));
    assert_eq!(codex.previous_response_id.as_deref(), Some("resp_1"));
    assert_eq!(codex.conversation.as_deref(), Some("conv_1"));
    assert_eq!(texts(body, &codex), ["\"rules\"", "\"hi\""]);
    let body = r#"{"model":"gpt-5","input":"hi","instructions":"be kind"}"#;
    assert_eq!(texts(body, &asked(Dialect::OpenaiResponses, body)), ["\"be kind\"", "\"hi\""]);
    let body = r#"{"model":"gpt-5","messages":[{"role":"system","content":"s"},{"content":"d","role":"developer"},{"role":"user","content":"u"},{"role":"user","content":"v"}],"stream":false}"#;
    assert_eq!(texts(body, &asked(Dialect::OpenaiChat, body)), ["\"s\"", "\"d\"", "\"u\""]);
}

#[test]
fn the_opening_of_a_conversation_stays_the_same_from_turn_to_turn() {
    let first = r#"{"model":"m","system":"s","messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}]}"#;
    let second = r#"{"model":"m","system":"s","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":"yes?"},{"role":"user","content":"more"}]}"#;
    let opening = |body: &str| texts(body, &asked(Dialect::AnthropicMessages, body));
    assert_eq!(opening(first), opening(second));
    let image = r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"data":"AAAA"}}]}]}"#;
    assert_eq!(opening(image), [r#"[{"type":"image","source":{"data":"AAAA"}}]"#]);
}

#[test]
fn only_a_literal_true_asks_for_a_stream() {
    for (value, expected) in
        [("true", true), ("false", false), ("null", false), ("\"true\"", false), ("1", false)]
    {
        let body = format!(r#"{{"stream":{value}}}"#);
        assert_eq!(scan(None, body.as_bytes()).unwrap().stream, expected, "{value}");
    }
}

#[test]
fn the_last_model_counts_and_all_are_replaced() {
    let body = r#"{"model":"a","x":{"model":"no"},"mod\u0065l":"b","model": "\u0063" }"#;
    let span = scan(None, body.as_bytes()).unwrap().model.unwrap();
    assert_eq!((span.value.as_str(), span.shadowed.len()), ("c", 2));
    let spliced: Vec<u8> = splice(&Bytes::from(body), &span, "new \"one\"").concat();
    let expected =
        r#"{"model":"new \"one\"","x":{"model":"no"},"mod\u0065l":"new \"one\"","model": "new \"one\"" }"#;
    assert_eq!(String::from_utf8(spliced).unwrap(), expected);
}

#[test]
fn a_body_that_is_no_object_is_refused_with_the_place() {
    for (body, offset, fault) in [
        ("", 0, BodyFault::NotAnObject),
        ("  ", 2, BodyFault::NotAnObject),
        ("[]", 0, BodyFault::NotAnObject),
        ("\u{feff}{}", 0, BodyFault::NotAnObject),
        ("{", 1, BodyFault::Unfinished),
        (r#"{"a""#, 4, BodyFault::Unfinished),
        (r#"{"a":"#, 5, BodyFault::Unfinished),
        (r#"{"a" 1}"#, 5, BodyFault::ExpectedColon),
        (r#"{"a":1,}"#, 7, BodyFault::ExpectedKey),
        ("{a:1}", 1, BodyFault::ExpectedKey),
        (r#"{"a":1 "b":2}"#, 7, BodyFault::ExpectedSeparator),
        (r#"{"a":}"#, 5, BodyFault::ExpectedValue),
        (r#"{"a":01}"#, 5, BodyFault::ExpectedValue),
        (r#"{"a":tru}"#, 5, BodyFault::ExpectedValue),
        (r#"{"a":tru"#, 8, BodyFault::Unfinished),
        (r#"{"a":{"b":1}"#, 12, BodyFault::Unfinished),
        (r#"{"a":"\""#, 8, BodyFault::Unfinished),
        (r#"{"model":"\x"}"#, 9, BodyFault::InvalidString),
        ("{} {}", 3, BodyFault::TrailingData),
    ] {
        let error = scan(None, body.as_bytes()).unwrap_err();
        assert_eq!((error.offset, error.fault), (offset, fault), "{body:?}");
    }
    let error = scan(None, b"{\"model\":\"\xFF\"}").unwrap_err();
    assert_eq!(error.fault, BodyFault::InvalidString);
}

#[test]
fn of_a_body_s_beginning_only_what_is_whole_counts() {
    let body = r#"{"system":"s","model":"m","max_tokens":64,"messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let whole = asked(Dialect::AnthropicMessages, body);
    for cut in 1..body.len() {
        let found = scan_beginning(Some(Dialect::AnthropicMessages), &body.as_bytes()[..cut]).unwrap();
        let is_behind = |text: &str| cut >= body.find(text).unwrap() + text.len();
        let mut expected = whole.clone();
        expected.model = expected.model.filter(|_| is_behind(r#""m""#));
        expected.max_output_tokens = expected.max_output_tokens.filter(|_| is_behind("64,"));
        expected.stream = is_behind("true}");
        if !is_behind(r#""s""#) {
            expected.opening.system.clear();
        }
        if !is_behind(r#""hi"}"#) {
            expected.opening.first_user.clear();
        }
        assert_eq!(found, expected, "cut at {cut}");
    }
    assert!(scan_beginning(None, b"no json").is_err());
}

#[test]
fn ten_thousand_brackets_do_not_overflow_the_stack() {
    for dialect in DIALECTS {
        let deep = format!(r#"{{"messages":{}{},"model":"m"}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(scan(dialect, deep.as_bytes()).is_ok());
        let open = format!(r#"{{"messages":{}"#, "[{\"a\":".repeat(10_000));
        assert!(scan(dialect, open.as_bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn whatever_is_an_object_is_read_as_serde_json_reads_it(body in random::body()) {
        let parsed: Value = serde_json::from_str(&body).unwrap();
        for dialect in DIALECTS {
            let asked = scan(dialect, body.as_bytes()).unwrap();
            prop_assert_eq!(asked.model.as_ref().map(|span| span.value.as_str()), parsed["model"].as_str());
            prop_assert_eq!(asked.stream, parsed["stream"] == Value::Bool(true));
            prop_assert_eq!(asked.prompt_cache_key.as_deref(), parsed["prompt_cache_key"].as_str());
            prop_assert_eq!(asked.previous_response_id.as_deref(), parsed["previous_response_id"].as_str());
            prop_assert!(asked.opening.parts(body.as_bytes()).all(|part| serde_json::from_slice::<Value>(part).is_ok()));
        }
    }

    #[test]
    fn splicing_changes_the_model_and_nothing_else(body in random::body(), model in ".{0,20}") {
        let Some(span) = scan(None, body.as_bytes()).unwrap().model else { return Ok(()) };
        let spliced = splice(&Bytes::from(body.clone()), &span, &model).concat();
        let mut expected: Value = serde_json::from_str(&body).unwrap();
        expected["model"] = Value::from(model);
        prop_assert_eq!(serde_json::from_slice::<Value>(&spliced).unwrap(), expected);
        let back = scan(None, &spliced).unwrap().model.unwrap();
        if span.shadowed.is_empty() {
            let again = splice(&Bytes::from(spliced), &back, &span.value).concat();
            prop_assert_eq!(&again[..span.range.start], &body.as_bytes()[..span.range.start]);
            prop_assert!(again.ends_with(&body.as_bytes()[span.range.end..]));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        for dialect in DIALECTS {
            let _ = scan(dialect, &body);
        }
    }

    #[test]
    fn broken_json_never_panics(body in random::body(), cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = body.into_bytes();
        let at = cut.index(body.len());
        body[at] = byte;
        for dialect in DIALECTS {
            let _ = scan(dialect, &body);
            let _ = scan(dialect, &body[..at]);
        }
    }
}
