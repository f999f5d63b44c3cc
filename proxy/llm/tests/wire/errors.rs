//! Reading error bodies.

use std::time::Duration;

use penstock_llm::error::{ErrorFacts, MAX_MESSAGE};
use proptest::prelude::*;

fn parse(body: &str) -> ErrorFacts {
    ErrorFacts::parse(body.as_bytes())
}

#[test]
fn every_shape_of_an_error_gives_its_kind_code_and_message() {
    for (body, kind, code, message) in [
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow down","details":{"error_code":"ramp_limit_exceeded"}},"request_id":"req_1"}"#,
            Some("rate_limit_error"),
            Some("ramp_limit_exceeded"),
            Some("Slow down"),
        ),
        (
            r#"{"error":{"message":"No","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            Some("insufficient_quota"),
            Some("insufficient_quota"),
            Some("No"),
        ),
        (r#"{"error":{"message":"No","type":null,"code":1234}}"#, None, Some("1234"), Some("No")),
        (r#"{"error":"text"}"#, None, None, Some("text")),
        (r#"{"message":"bare","code":"c"}"#, None, Some("c"), Some("bare")),
        (r#"{"detail":"Unsupported parameter: x"}"#, None, None, Some("Unsupported parameter: x")),
        (
            r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
            None,
            None,
            Some(r#"[{"loc":["body"],"msg":"field required"}]"#),
        ),
        (r#"{"detail":{"code":"deactivated_workspace"}}"#, None, Some("deactivated_workspace"), None),
        (r#"{"errors":[{"message":"first","code":7},{"message":"second"}]}"#, None, Some("7"), Some("first")),
        (r#"[{"error":{"code":429,"message":"quota"}}]"#, None, Some("429"), Some("quota")),
        (
            r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"m"}}}"#,
            None,
            Some("server_error"),
            Some("m"),
        ),
        ("upstream connect error", None, None, Some("upstream connect error")),
        (
            "<html><head><title>413 Too Large</title><style>a{b:c}</style></head>\n<body><h1>413</h1> nginx</body></html>",
            None,
            None,
            Some("413 Too Large 413 nginx"),
        ),
        ("", None, None, None),
        ("null", None, None, None),
        ("{}", None, None, None),
    ] {
        let facts = parse(body);
        assert_eq!(facts.kind.as_deref(), kind, "{body}");
        assert_eq!(facts.code.as_deref(), code, "{body}");
        assert_eq!(facts.message.as_deref(), message, "{body}");
    }
}

#[test]
fn a_usage_limit_says_when_it_ends() {
    let facts = parse(
        r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_at":1790000000,"resets_in_seconds":5430}}"#,
    );
    assert!(facts.says(&["usage_limit_reached"]));
    assert_eq!(facts.resets_at.map(jiff::Timestamp::as_second), Some(1_790_000_000));
    assert_eq!((facts.resets_in, facts.plan.as_deref()), (Some(Duration::from_secs(5430)), Some("plus")));
    let worded = parse(r#"{"error":{"message":"Rate limit reached for gpt-x. Please try again in 1m30s."}}"#);
    assert_eq!(worded.resets_in, Some(Duration::from_secs(90)));
    for nonsense in ["-5", "0", "1e400", "\"soon\"", "null", "99999999999999999999"] {
        assert_eq!(
            parse(&format!(r#"{{"error":{{"resets_at":{nonsense}}}}}"#)).resets_at,
            None,
            "{nonsense}"
        );
    }
}

#[test]
fn credentials_in_messages_are_hidden_and_long_ones_are_cut() {
    let facts =
        parse(r#"{"error":{"message":"Incorrect API key provided: sk-proj-abcdef0123456789. You can"}}"#);
    assert_eq!(facts.message.as_deref(), Some("Incorrect API key provided: sk-*** You can"));
    let long = parse(&"é".repeat(MAX_MESSAGE)).message.unwrap();
    assert!(long.len() <= MAX_MESSAGE && long.len() > MAX_MESSAGE - 4);
}

proptest! {
    #[test]
    fn no_body_panics_and_no_message_is_too_long(body in prop::collection::vec(any::<u8>(), 0..4000)) {
        let facts = ErrorFacts::parse(&body);
        prop_assert!(facts.message.is_none_or(|message| message.len() <= MAX_MESSAGE));
    }

    #[test]
    fn no_markup_panics(body in "[<>a-z/é \\-s]{0,80}") {
        let _ = ErrorFacts::parse(format!("<{body}").as_bytes());
    }
}
