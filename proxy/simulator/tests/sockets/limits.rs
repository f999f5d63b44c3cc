//! Windows that count, and the headers that tell of them.

use std::time::Duration;

use penstock_simulator::{Config, limits::LimitSpec};

use crate::client::Bench;

fn spec(json: &str) -> LimitSpec {
    serde_json::from_str(json).unwrap()
}

#[tokio::test]
async fn a_subscription_is_refused_when_its_window_is_full_and_only_it() {
    let bench = Bench::start(Config { five_hour_requests: Some(2), ..Config::default() }).await;
    let one = bench.message("sk-one", false).await.unwrap();
    assert_eq!(one.header("anthropic-ratelimit-unified-5h-utilization"), Some("0.5"));
    assert_eq!(one.header("anthropic-ratelimit-unified-status"), Some("allowed"));
    let full = bench.message("sk-one", false).await.unwrap();
    assert_eq!(full.header("anthropic-ratelimit-unified-5h-status"), Some("allowed_warning"));
    let refused = bench.message("sk-one", true).await.unwrap();
    assert_eq!((refused.status, refused.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    assert_eq!(refused.header("anthropic-ratelimit-unified-5h-status"), Some("rejected"));
    assert_eq!(refused.header("anthropic-ratelimit-unified-7d-status"), Some("allowed"));
    assert_eq!(refused.header("anthropic-ratelimit-unified-representative-claim"), Some("five_hour"));
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 17_000);
    assert_eq!(bench.message("sk-two", false).await.unwrap().status, 200);
    let causes: Vec<_> =
        bench.simulator.state().journal.entries(|e| e.account == "sk-one").iter().map(|e| e.cause).collect();
    assert_eq!(causes, [None, None, Some("five_hour")]);
}

#[tokio::test]
async fn an_api_key_is_refused_by_the_minute() {
    let bench = Bench::start(Config { requests_per_minute: Some(1), ..Config::default() }).await;
    let served = bench.message("sk-one", false).await.unwrap();
    assert_eq!(served.header("anthropic-ratelimit-requests-limit"), Some("1"));
    assert_eq!(served.header("anthropic-ratelimit-requests-remaining"), Some("0"));
    let refused = bench.message("sk-one", false).await.unwrap();
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() <= 61);
    assert_eq!(refused.header("anthropic-ratelimit-unified-status"), None);

    let body = r#"{"model":"gpt-5","messages":[{"role":"user","content":"hi"}]}"#;
    let served = bench.post("/v1/chat/completions", "sk-two", body).await;
    assert_eq!(served.header("x-ratelimit-remaining-requests"), Some("0"));
    let refused = bench.post("/v1/chat/completions", "sk-two", body).await;
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (429, Some("rate_limit_exceeded"))
    );
    assert!(refused.header("retry-after-ms").is_some());
}

#[tokio::test]
async fn a_window_serves_again_after_its_reset() {
    let config =
        Config { five_hour: Duration::from_millis(300), five_hour_requests: Some(1), ..Config::default() };
    let bench = Bench::start(config).await;
    assert_eq!(bench.message("sk-one", false).await.unwrap().status, 200);
    // Resets are whole seconds, so this ends within two.
    while bench.message("sk-one", false).await.unwrap().status == 429 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn limits_can_be_set_while_it_runs_and_windows_started_anew() {
    let bench = Bench::start(Config::default()).await;
    let state = bench.simulator.state();
    state.accounts.limit(
        "sk-one",
        spec(r#"{"sevenDay":{"tokens":1},"modelWindow":{"model":"opus","quota":{"requests":9}}}"#),
    );
    let served = bench.message("sk-one", false).await.unwrap();
    assert!(served.header("anthropic-ratelimit-unified-7d_oi-status").is_some());
    let refused = bench.message("sk-one", false).await.unwrap();
    assert_eq!(refused.header("anthropic-ratelimit-unified-7d-status"), Some("rejected"));
    state.accounts.reset(Some("sk-one"));
    assert_eq!(bench.message("sk-one", false).await.unwrap().status, 200);
    state.accounts.limit_others(spec(r#"{"requestsPerMinute":0}"#));
    assert_eq!(bench.message("sk-two", false).await.unwrap().status, 429);
}

#[tokio::test]
async fn codex_windows_refuse_in_its_own_words() {
    let bench = Bench::start(Config { five_hour_requests: Some(0), ..Config::default() }).await;
    let body = r#"{"model":"gpt-5","instructions":"","input":[],"stream":true,"store":false}"#;
    let refused = bench.post("/codex/responses", "eyJ", body).await;
    assert_eq!(
        (refused.status, refused.json()["error"]["type"].as_str()),
        (429, Some("usage_limit_reached"))
    );
    assert_eq!(refused.header("x-codex-primary-used-percent"), Some("100"));
}
