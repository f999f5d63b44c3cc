//! Every fault, as a client sees it.

use std::time::Duration;

use penstock_simulator::{
    Config,
    faults::{FaultKind, Rule},
    journal::Ending,
};

use crate::client::{Answer, Bench};

async fn struck(rule: Rule, stream: bool) -> (Bench, Option<Answer>) {
    let bench = Bench::start(Config::default()).await;
    bench.simulator.state().fault(rule);
    let answer = bench.message("sk-one", stream).await;
    (bench, answer)
}

fn ending(bench: &Bench) -> Ending {
    bench.simulator.state().journal.entries(|_| true)[0].ending
}

#[tokio::test]
async fn failures_have_the_providers_status_and_type() {
    for (kind, status, name) in [
        (FaultKind::FiveHour, 429, "rate_limit_error"),
        (FaultKind::SevenDay, 429, "rate_limit_error"),
        (FaultKind::ModelWindow, 429, "rate_limit_error"),
        (FaultKind::PerMinute, 429, "rate_limit_error"),
        (FaultKind::Windowless, 429, "rate_limit_error"),
        (FaultKind::Overloaded, 529, "overloaded_error"),
        (FaultKind::Unauthorized, 401, "authentication_error"),
        (FaultKind::Billing, 402, "billing_error"),
        (FaultKind::Forbidden, 403, "permission_error"),
        (FaultKind::ModelNotFound, 404, "not_found_error"),
        (FaultKind::ServerError, 500, "api_error"),
        (FaultKind::Unavailable, 503, "api_error"),
        (FaultKind::GatewayTimeout, 504, "timeout_error"),
    ] {
        let (_bench, answer) = struck(Rule::new(kind), true).await;
        let answer = answer.unwrap();
        let body = answer.json();
        assert_eq!((answer.status, body["error"]["type"].as_str()), (status, Some(name)), "{kind:?}");
        assert_eq!(body["request_id"].as_str(), answer.header("request-id"));
    }
}

#[tokio::test]
async fn a_429_says_what_its_kind_says() {
    let (_bench, answer) = struck(Rule::new(FaultKind::ModelWindow), true).await;
    let answer = answer.unwrap();
    for (window, status) in [("5h", "allowed"), ("7d", "allowed"), ("7d_oi", "rejected")] {
        assert_eq!(answer.header(&format!("anthropic-ratelimit-unified-{window}-status")), Some(status));
    }
    let (_bench, answer) = struck(Rule::new(FaultKind::Windowless), true).await;
    let limits = |name: &&str| name.contains("ratelimit") || *name == "retry-after";
    assert!(!answer.unwrap().headers.keys().map(http::HeaderName::as_str).any(|name| limits(&name)));
    let (_bench, answer) = struck(Rule::new(FaultKind::PerMinute), true).await;
    assert_eq!(answer.unwrap().header("anthropic-ratelimit-requests-remaining"), Some("0"));
}

#[tokio::test]
async fn openai_and_codex_have_words_of_their_own() {
    let chat = r#"{"model":"gpt-5","messages":[{"role":"user","content":"hi"}]}"#;
    for (kind, path, status, code) in [
        (FaultKind::PerMinute, "/v1/chat/completions", 429, "rate_limit_exceeded"),
        (FaultKind::InsufficientQuota, "/v1/chat/completions", 429, "insufficient_quota"),
        (FaultKind::Overloaded, "/v1/chat/completions", 503, "server_is_overloaded"),
        (FaultKind::ModelNotFound, "/v1/chat/completions", 404, "model_not_found"),
        (FaultKind::UsageLimitReached, "/codex/responses", 429, "usage_limit_reached"),
        (FaultKind::UsageNotIncluded, "/codex/responses", 429, "usage_not_included"),
    ] {
        let bench = Bench::start(Config::default()).await;
        bench.simulator.state().fault(Rule::new(kind));
        let answer = bench.post(path, "sk-one", chat).await;
        let error = answer.json()["error"].clone();
        assert_eq!(answer.status, status);
        assert!(error["code"] == code || error["type"] == code, "{kind:?}: {error}");
    }
}

#[tokio::test]
async fn an_overload_can_be_the_first_event_and_an_error_a_late_one() {
    let (_bench, answer) = struck(Rule::new(FaultKind::OverloadedEvent), true).await;
    let answer = answer.unwrap();
    let (name, data) = &answer.events()[0];
    assert_eq!(
        (answer.status, name.as_str(), data["error"]["type"].as_str()),
        (200, "error", Some("overloaded_error"))
    );

    let rule = Rule { after_events: Some(5), ..Rule::new(FaultKind::ErrorEvent) };
    let (_bench, answer) = struck(rule, true).await;
    let names: Vec<_> = answer.unwrap().events().into_iter().map(|(name, _)| name).collect();
    assert_eq!((names.len(), names[5].as_str()), (6, "error"));
}

#[tokio::test]
async fn responses_fail_with_an_event_that_belongs_to_them() {
    let bench = Bench::start(Config::default()).await;
    bench.simulator.state().fault(Rule::new(FaultKind::ErrorEvent));
    let answer = bench.post("/v1/responses", "sk-one", r#"{"model":"m","input":"hi","stream":true}"#).await;
    let events = answer.events();
    let (first, last) = (&events[0].1, &events[events.len() - 1].1);
    assert_eq!(
        (last["type"].as_str(), &last["response"]["id"]),
        (Some("response.failed"), &first["response"]["id"])
    );
    assert_eq!(last["sequence_number"].as_u64(), Some(events.len() as u64 - 1));
}

#[tokio::test]
async fn a_cut_stream_delivers_what_it_had_and_then_breaks() {
    let rule = Rule { after_events: Some(7), ..Rule::new(FaultKind::Cut) };
    let (bench, answer) = struck(rule.clone(), true).await;
    let answer = answer.unwrap();
    assert_eq!((answer.broken, answer.events().len(), ending(&bench)), (true, 7, Ending::Broken));

    let bench = Bench::start_http2(Config::default()).await;
    bench.simulator.state().fault(rule);
    let answer = bench.message("sk-one", true).await.unwrap();
    assert_eq!((answer.broken, answer.events().len()), (true, 7));
}

#[tokio::test]
async fn half_a_body_breaks_and_a_truncated_one_does_not() {
    let (_bench, answer) = struck(Rule::new(FaultKind::Cut), false).await;
    let cut = answer.unwrap();
    assert!(cut.broken && serde_json::from_slice::<serde_json::Value>(&cut.body).is_err());
    let (_bench, answer) = struck(Rule::new(FaultKind::Truncated), false).await;
    let truncated = answer.unwrap();
    assert!(!truncated.broken && serde_json::from_slice::<serde_json::Value>(&truncated.body).is_err());
    let (_bench, answer) = struck(Rule::new(FaultKind::Truncated), true).await;
    let truncated = answer.unwrap();
    assert!(!truncated.broken && truncated.events().iter().all(|(name, _)| name != "message_stop"));
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let (bench, answer) = struck(Rule::new(FaultKind::Reset), true).await;
    assert!(answer.is_none());
    assert_eq!(ending(&bench), Ending::Broken);
    let (_bench, answer) = struck(Rule::new(FaultKind::ResetMidway), true).await;
    assert!(answer.is_none_or(|answer| answer.broken));
}

#[tokio::test(start_paused = true)]
async fn silence_lasts_until_the_client_leaves() {
    for kind in [FaultKind::Hang, FaultKind::HangMidway] {
        let bench = Bench::start(Config::default()).await;
        bench.simulator.state().fault(Rule::new(kind));
        let asked = tokio::time::timeout(Duration::from_secs(3600), bench.message("sk-one", true)).await;
        assert!(asked.is_err());
        while ending(&bench) == Ending::Open {
            tokio::task::yield_now().await;
        }
        assert_eq!(ending(&bench), Ending::ClientLeft);
    }
}

#[tokio::test]
async fn slowness_is_only_slow() {
    let rule = Rule { first_byte_delay_ms: 5, event_delay_ms: 1, ..Rule::new(FaultKind::Slow) };
    let (_bench, answer) = struck(rule, true).await;
    assert_eq!(answer.unwrap().events().len(), 56);
}

#[tokio::test]
async fn a_bad_gateway_speaks_html() {
    let (_bench, answer) = struck(Rule::new(FaultKind::BadGateway), true).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("text/html")));
}
