//! An account's error is not the client's problem while another account could serve.

use std::sync::Arc;
use std::time::Duration;

use penstock_proto::event::{Ending, Event};
use penstock_proto::snapshot::Snapshot;
use tokio::sync::Notify;

use crate::support::*;

/// What the first account answers, and what that means.
type Row = (&'static str, fn() -> Vec<Do>, &'static str);

fn error(status: u16, headers: &[(&str, &str)], kind: &str, message: &str) -> Vec<Do> {
    let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#);
    let headers: Vec<_> = [("content-type", "application/json")].iter().chain(headers).copied().collect();
    reply(status, &headers, body)
}

fn five_hours_used_up() -> Vec<Do> {
    let reset = (jiff::Timestamp::now().as_second() + 3_600).to_string();
    let headers = [
        ("anthropic-ratelimit-unified-status", "rejected"),
        ("anthropic-ratelimit-unified-5h-status", "rejected"),
        ("anthropic-ratelimit-unified-5h-utilization", "1.0"),
        ("anthropic-ratelimit-unified-5h-reset", reset.as_str()),
        ("retry-after", "3600"),
    ];
    error(429, &headers, "rate_limit_error", "used up")
}

const ROWS: [Row; 13] = [
    ("a used-up quota", five_hours_used_up, "quota_exhausted"),
    ("too many requests", || error(429, &[("retry-after", "60")], "rate_limit_error", "slow"), "throttled"),
    ("a 429 without limits", || error(429, &[], "rate_limit_error", "no"), "windowless"),
    ("529", || error(529, &[], "overloaded_error", "Overloaded"), "overloaded"),
    ("401", || error(401, &[], "authentication_error", "invalid x-api-key"), "credential_rejected"),
    ("402", || error(402, &[], "billing_error", "pay"), "forbidden"),
    ("403", || error(403, &[], "permission_error", "not allowed"), "forbidden"),
    ("an unknown model", || error(404, &[], "not_found_error", "model: claude-x"), "model_unavailable"),
    ("500", || error(500, &[], "api_error", "oops"), "server_fault"),
    ("502 of a gateway", || reply(502, &[("content-type", "text/html")], "<html>bad</html>"), "server_fault"),
    ("a reset before the head", || vec![Do::Reset], "unreachable"),
    ("a connection closed before the head", || vec![Do::Close], "unreachable"),
    ("a head that is not HTTP", || vec![Do::Send(b"SSH-2.0-x\r\n\r\n".to_vec()), Do::Close], "unreachable"),
];

fn outcomes(event: &Event) -> Vec<(&str, &str)> {
    event.attempts.iter().map(|attempt| (attempt.account.name(), attempt.outcome.as_str())).collect()
}

#[tokio::test]
async fn every_account_error_is_answered_by_the_next_account() {
    for (name, answer, outcome) in ROWS {
        let broken = Provider::always(answer).await;
        let mut healthy = Provider::always(|| json(200, MESSAGE)).await;
        let proxy = Proxy::start(vec![account("a", &broken, 0), account("b", &healthy, 10)]).await;
        let answer = proxy.post("/v1/messages", ASK).await;
        assert_eq!((answer.status, answer.text()), (200, MESSAGE), "{name}");
        assert_eq!(healthy.request().await.body, ASK.as_bytes(), "{name}: the same bytes again");
        let event = proxy.event().await;
        assert_eq!(outcomes(&event), [("a", outcome), ("b", "success")], "{name}");
        assert_eq!((event.ending, event.account.unwrap().name()), (Ending::Complete, "b"), "{name}");
    }
}

#[tokio::test]
async fn a_limited_account_sees_no_further_request() {
    for (name, answer, outcome) in ROWS {
        if !["quota_exhausted", "throttled", "credential_rejected", "forbidden"].contains(&outcome) {
            continue;
        }
        let mut broken = Provider::always(answer).await;
        let healthy = Provider::always(|| json(200, MESSAGE)).await;
        let proxy = Proxy::start(vec![account("a", &broken, 0), account("b", &healthy, 10)]).await;
        proxy.post("/v1/messages", ASK).await;
        broken.request().await;
        for _ in 0..5 {
            assert_eq!(proxy.post("/v1/messages", ASK).await.status, 200, "{name}");
        }
        assert_eq!(broken.waiting(), 0, "{name}");
        let learned = proxy.observations.take().await;
        assert!(learned.iter().any(|seen| seen.account.name() == "a" && seen.is_transition()), "{name}");
    }
}

#[tokio::test]
async fn an_account_that_does_not_answer_in_time_is_left_for_the_next() {
    let mut silent = Provider::always(|| vec![Do::WaitForClose]).await;
    let healthy = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &silent, 0), account("b", &healthy, 10)];
    let mut pool = pool(&accounts);
    pool.per_try_timeout = Duration::from_millis(100);
    let proxy = Proxy::start_with(accounts, pool, |_| {}).await;
    assert_eq!(proxy.post("/v1/messages", ASK).await.status, 200);
    assert_eq!(outcomes(&proxy.event().await), [("a", "unreachable"), ("b", "success")]);
    silent.request().await.gone.unwrap().await.expect("the slow connection is closed");
}

#[tokio::test]
async fn an_account_that_cannot_be_connected_to_is_left_for_the_next() {
    let healthy = Provider::always(|| json(200, MESSAGE)).await;
    let nowhere = Nowhere::new();
    let mut unreachable = account("a", &healthy, 0);
    unreachable.base_url = format!("http://{}", nowhere.address);
    let proxy = Proxy::start(vec![unreachable, account("b", &healthy, 10)]).await;
    assert_eq!(proxy.post("/v1/messages", ASK).await.status, 200);
    assert_eq!(outcomes(&proxy.event().await), [("a", "unreachable"), ("b", "success")]);
}

#[tokio::test]
async fn an_account_that_leads_back_to_the_proxy_itself_is_not_asked_in_a_circle() {
    let healthy = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("b", &healthy, 10)]).await;
    let mut itself = account("a", &healthy, 0);
    itself.base_url = format!("http://{}", proxy.listen);
    let accounts = vec![itself, account("b", &healthy, 10)];
    let pool = pool(&accounts);
    proxy.push(Snapshot { version: "v2".into(), ..snapshot(accounts, pool) }).await;
    assert_eq!(proxy.post("/v1/messages", ASK).await.status, 200);
    assert_eq!(outcomes(&proxy.event().await), [("a", "unreachable"), ("b", "success")]);
}

#[tokio::test]
async fn an_error_event_before_the_answer_is_an_error_like_any_other() {
    let overloaded =
        Provider::always(|| vec![chunked(), chunk(START), chunk(PING), chunk(OVERLOADED), Do::Close]).await;
    let healthy =
        Provider::always(|| vec![chunked(), chunk(START), chunk(TEXT), chunk(END), chunk("")]).await;
    let proxy = Proxy::start(vec![account("a", &overloaded, 0), account("b", &healthy, 10)]).await;
    let answer = proxy.post("/v1/messages", ASK_STREAM).await;
    assert_eq!((answer.status, answer.text()), (200, [START, TEXT, END].concat().as_str()));
    assert_eq!(outcomes(&proxy.event().await), [("a", "overloaded"), ("b", "success")]);
}

#[tokio::test]
async fn a_stream_that_ends_or_breaks_before_the_answer_is_left_for_the_next() {
    let endings: [fn() -> Vec<Do>; 3] = [
        || vec![chunked(), chunk(START), Do::Close],
        || vec![chunked(), chunk(START), chunk("")],
        || vec![chunked(), chunk(START), Do::Reset],
    ];
    for answer in endings {
        let broken = Provider::always(answer).await;
        let healthy =
            Provider::always(|| vec![chunked(), chunk(START), chunk(TEXT), chunk(END), chunk("")]).await;
        let proxy = Proxy::start(vec![account("a", &broken, 0), account("b", &healthy, 10)]).await;
        let answer = proxy.post("/v1/messages", ASK_STREAM).await;
        assert_eq!(answer.text(), [START, TEXT, END].concat());
        assert_eq!(outcomes(&proxy.event().await), [("a", "unreachable"), ("b", "success")]);
    }
}

#[tokio::test]
async fn the_client_s_own_mistake_is_relayed_unchanged_and_costs_one_attempt() {
    let body = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: Field required"},"request_id":"req_9"}"#;
    let strict = Provider::start(move |_| {
        reply(400, &[("content-type", "application/json"), ("request-id", "req_9")], body)
    })
    .await;
    let mut other = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &strict, 0), account("b", &other, 10)]).await;
    let answer = proxy.post("/v1/messages", ASK).await;
    assert_eq!((answer.status, answer.text(), answer.whole), (400, body, true));
    assert_eq!(answer.values("request-id"), ["req_9"]);
    let event = proxy.event().await;
    assert_eq!((event.status, event.ending), (400, Ending::Complete));
    assert_eq!(outcomes(&event), [("a", "client_fault")]);
    assert_eq!(other.waiting(), 0);
    // The account is as good as before.
    proxy.post("/v1/messages", ASK).await;
    assert_eq!(other.waiting(), 0);
    let _ = &mut other;
}

#[tokio::test]
async fn when_every_account_is_limited_the_answer_says_when_to_come_back() {
    let limited = Provider::always(five_hours_used_up).await;
    let proxy = Proxy::start(vec![account("a", &limited, 0), account("b", &limited, 1)]).await;
    let answer = proxy.post("/v1/messages", ASK).await;
    assert_eq!(answer.status, 429);
    let wait: u64 = answer.values("retry-after")[0].parse().unwrap();
    assert!((3_590..=3_600).contains(&wait), "{wait}");
    assert!(answer.text().contains("rate_limit_error"), "{}", answer.text());
    assert!(answer.text().contains("default/a") || answer.text().contains('a'), "{}", answer.text());
    assert!(!answer.text().contains("sk-ant"));
    assert_eq!(answer.values("anthropic-ratelimit-unified-status"), ["rejected"]);
    let event = proxy.event().await;
    assert_eq!((event.status, event.ending, event.attempts.len()), (429, Ending::Error, 2));
    assert!(event.account.is_none() && !event.error.is_empty());
}

#[tokio::test]
async fn when_every_account_is_broken_the_client_s_key_is_not_blamed() {
    let rejected = Provider::always(|| error(401, &[], "authentication_error", "invalid x-api-key")).await;
    let proxy = Proxy::start(vec![account("a", &rejected, 0)]).await;
    let answer = proxy.post("/v1/messages", ASK).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(proxy.event().await.attempts[0].outcome, "credential_rejected");
}

#[tokio::test]
async fn a_request_waits_for_a_reset_that_is_near_and_is_served_then() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let provider = Provider::start(move |_| match tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => error(429, &[("retry-after", "1")], "rate_limit_error", "slow"),
        _ => json(200, MESSAGE),
    })
    .await;
    let accounts = vec![account("a", &provider, 0)];
    let mut pool = pool(&accounts);
    pool.hold = Duration::from_secs(20);
    let proxy = Proxy::start_with(accounts, pool, |_| {}).await;
    assert_eq!(proxy.post("/v1/messages", ASK).await.status, 200);
    assert_eq!(outcomes(&proxy.event().await), [("a", "throttled"), ("a", "success")]);
}

#[tokio::test]
async fn a_request_over_the_concurrency_limit_waits_for_a_free_slot() {
    let wait = Arc::new(Notify::new());
    let held = Arc::clone(&wait);
    let mut provider = Provider::start(move |_| {
        let mut steps = vec![Do::Wait(Arc::clone(&held))];
        steps.extend(json(200, MESSAGE));
        steps
    })
    .await;
    let mut one = account("a", &provider, 0);
    one.limits.max_concurrent_requests = Some(1);
    let mut pool = pool(std::slice::from_ref(&one));
    pool.hold = Duration::from_secs(20);
    let proxy = Proxy::start_with(vec![one], pool, |_| {}).await;
    let one_at_a_time = async {
        for _ in 0..2 {
            provider.request().await;
            assert_eq!(provider.waiting(), 0);
            wait.notify_one();
        }
    };
    let (first, second) = (proxy.post("/v1/messages", ASK), proxy.post("/v1/messages", ASK));
    let (first, second, ()) = tokio::join!(first, second, one_at_a_time);
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(proxy.events(2).await.len(), 2);
}

#[tokio::test]
async fn under_many_clients_a_limited_account_is_left_alone_after_those_in_flight() {
    let mut limited = Provider::always(five_hours_used_up).await;
    let healthy = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &limited, 0), account("b", &healthy, 10)]).await;
    assert_eq!(proxy.post("/v1/messages", ASK).await.status, 200);
    limited.request().await;
    let clients = (0..50).map(|_| async { proxy.post("/v1/messages", ASK).await.status });
    let statuses = futures_util::future::join_all(clients).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(limited.waiting(), 0);
    assert_eq!(proxy.events(51).await.len(), 51);
}
