//! What clients are told.

use std::time::Duration;

use penstock_llm::error::ErrorFacts;
use penstock_llm::phrase::{Problem, ProblemKind, StreamTail, phrase, stream_error};
use penstock_llm::sse::Boundary;
use penstock_llm::usage::Finish;
use penstock_proto::dialect::Dialect;

use crate::streams::read;

const A: Option<Dialect> = Some(Dialect::AnthropicMessages);
const C: Option<Dialect> = Some(Dialect::OpenaiChat);
const R: Option<Dialect> = Some(Dialect::OpenaiResponses);

const KINDS: [ProblemKind; 16] = [
    ProblemKind::InvalidRequest,
    ProblemKind::ContextLength,
    ProblemKind::TooLarge,
    ProblemKind::UnsupportedEncoding,
    ProblemKind::NotFound,
    ProblemKind::ModelNotFound,
    ProblemKind::Permission,
    ProblemKind::Policy,
    ProblemKind::Unauthenticated,
    ProblemKind::RateLimited,
    ProblemKind::Overloaded,
    ProblemKind::Timeout,
    ProblemKind::Unavailable,
    ProblemKind::BadGateway,
    ProblemKind::Server,
    ProblemKind::UpgradeRequired,
];

fn body(dialect: Option<Dialect>, problem: &Problem) -> String {
    String::from_utf8(phrase(dialect, problem).body.to_vec()).expect("JSON")
}

#[test]
fn the_whole_table() {
    let table: Vec<_> = KINDS
        .iter()
        .flat_map(|kind| {
            let problem = Problem::new(*kind, "m");
            [A, C].map(|dialect| {
                format!("{kind:?}: {} {}", phrase(dialect, &problem).status, body(dialect, &problem))
            })
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn anthropic_clients_see_only_types_that_their_sdk_knows() {
    const KNOWN: [&str; 11] = [
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "conflict_error",
        "rate_limit_error",
        "timeout_error",
        "api_error",
        "overloaded_error",
        "request_too_large",
    ];
    for kind in KINDS {
        let text = body(A, &Problem::new(kind, "m"));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(KNOWN.contains(&value["error"]["type"].as_str().unwrap()), "{text}");
    }
}

#[test]
fn an_exhausted_pool_names_each_reason_and_when_to_come_back() {
    let problem = Problem {
        details: vec!["team-1: 5-hour window used up".to_owned(), "team-2: paused".to_owned()],
        retry_after: Some(Duration::from_millis(5_430_200)),
        request_id: Some("01939".to_owned()),
        ..Problem::new(ProblemKind::RateLimited, "all accounts of pool llm/default are limited")
    };
    let answer = phrase(A, &problem);
    assert_eq!((answer.status, answer.content_type), (429, "application/json"));
    assert_eq!(answer.headers, [("retry-after", "5431".to_owned()), ("request-id", "01939".to_owned())]);
    insta::assert_snapshot!(body(A, &problem), @r#"{"type":"error","error":{"type":"rate_limit_error","message":"all accounts of pool llm/default are limited (team-1: 5-hour window used up; team-2: paused)"},"request_id":"01939"}"#);
    let headers = phrase(R, &problem).headers;
    let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["retry-after", "retry-after-ms", "x-request-id"]);
    let soon = Problem { retry_after: Some(Duration::ZERO), ..problem };
    assert_eq!(phrase(A, &soon).headers[0].1, "1");
}

#[test]
fn a_providers_error_becomes_the_clients() {
    for (status, error, kind) in [
        (
            Some(400),
            r#"{"error":{"message":"Your input exceeds the context window of this model"}}"#,
            ProblemKind::ContextLength,
        ),
        (
            Some(400),
            r#"{"error":{"type":"invalid_request_error","code":"context_length_exceeded"}}"#,
            ProblemKind::ContextLength,
        ),
        (
            Some(400),
            r#"{"detail":"The 'm' model is not supported when using Codex with a ChatGPT account."}"#,
            ProblemKind::ModelNotFound,
        ),
        (Some(400), r#"{"detail":"Unsupported parameter: x"}"#, ProblemKind::InvalidRequest),
        (Some(401), r#"{"error":{"code":"invalid_api_key"}}"#, ProblemKind::Unavailable),
        (
            Some(429),
            r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#,
            ProblemKind::Unavailable,
        ),
        (Some(429), "{}", ProblemKind::RateLimited),
        (
            Some(529),
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            ProblemKind::Overloaded,
        ),
        (Some(503), r#"{"error":{"code":"slow_down"}}"#, ProblemKind::Overloaded),
        (
            None,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            ProblemKind::Overloaded,
        ),
        (None, r#"{"error":{"type":"tokens","code":"rate_limit_exceeded"}}"#, ProblemKind::RateLimited),
        (None, r#"{"error":{"code":"server_error"}}"#, ProblemKind::Server),
        (Some(413), "<html>413</html>", ProblemKind::TooLarge),
        (Some(502), "<html>502</html>", ProblemKind::BadGateway),
    ] {
        let problem = Problem::from_facts(status, &ErrorFacts::parse(error.as_bytes()));
        assert_eq!(problem.kind, kind, "{error}");
    }
}

#[test]
fn a_long_prompt_is_said_in_the_words_that_make_clients_compact() {
    let facts =
        ErrorFacts::parse(br#"{"error":{"message":"Your input exceeds the context window of this model"}}"#);
    let problem = Problem::from_facts(Some(400), &facts);
    insta::assert_snapshot!(body(A, &problem), @r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: Your input exceeds the context window of this model"}}"#);
    insta::assert_snapshot!(body(C, &problem), @r#"{"error":{"message":"Your input exceeds the context window of this model","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}}"#);
}

#[test]
fn a_broken_stream_ends_with_an_error_of_its_dialect() {
    let problem = Problem::new(ProblemKind::BadGateway, "upstream stream ended early");
    let tail = StreamTail {
        boundary: Boundary::Clean,
        response_id: Some("resp_1".to_owned()),
        model: Some("gpt-x".to_owned()),
        created_at: Some(1_790_000_000),
        sequence_number: Some(7),
    };
    let event = |dialect, tail: &StreamTail| {
        String::from_utf8(stream_error(dialect, &problem, tail).to_vec()).unwrap()
    };
    let all = [event(A, &tail), event(C, &tail), event(R, &tail), event(R, &StreamTail::default())];
    insta::assert_snapshot!(all.concat());
    let in_line = StreamTail { boundary: Boundary::InLine, ..StreamTail::default() };
    assert!(event(A, &in_line).starts_with("\nevent: ping\n\nevent: error\n"));
    assert!(event(C, &in_line).starts_with("\n\ndata: {\"error\""));
}

#[test]
fn our_own_tap_reads_what_we_append_as_an_error() {
    let problem = Problem::new(ProblemKind::Overloaded, "upstream stream ended early");
    for (dialect, half) in [
        (A, "event: message_start\ndata: {\"type\":\"mess"),
        (C, "data: {\"choices\":[{\"delta\""),
        (
            R,
            "data: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\"}}\n\nevent: x\n",
        ),
    ] {
        let dialect = dialect.unwrap();
        let (_, tail) = read(dialect, &[half.as_bytes()]);
        let event = stream_error(Some(dialect), &problem, &tail.unwrap());
        let (reading, _) = read(dialect, &[half.as_bytes(), &event]);
        assert_eq!(reading.finish, Finish::Errored, "{dialect:?}");
        let facts = reading.stream_error.unwrap();
        assert_eq!(facts.message.as_deref(), Some("upstream stream ended early"));
    }
}
