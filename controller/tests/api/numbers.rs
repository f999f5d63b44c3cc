//! Sums over the history.

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::Api;
use crate::support::event;

/// Ten requests of the last minutes, a minute apart; three of them were answered with 529.
async fn with_requests() -> Api {
    let api = Api::start().await;
    let now = Timestamp::now();
    let mut events: Vec<_> =
        (0..10).map(|age| event(now - SignedDuration::from_mins(age), age.unsigned_abs())).collect();
    events.iter_mut().take(3).for_each(|event| event.status = 529);
    api.ingest.submit(events).await.unwrap();
    api
}

#[tokio::test]
async fn the_numbers_of_the_overview_are_those_of_the_rows() {
    let api = with_requests().await;
    let stats = api.shown("/api/stats").await;
    assert_eq!((&stats["totalRequests"], &stats["successRate"]), (&json!(10), &json!(70.0)));
    assert_eq!((&stats["totalTokens"], &stats["totalCostUsd"]), (&json!(1_600), &json!(0.02)));
    assert_eq!(stats["topModels"][0]["model"], "claude-opus-5");
    assert_eq!(stats["accounts"][0]["name"], "llm/a");
}

#[tokio::test]
async fn analytics_are_asked_for_by_name_and_by_time() {
    let api = with_requests().await;
    for range in ["", "1h", "6h", "24h", "7d", "30d"] {
        let query = if range.is_empty() { String::new() } else { format!("?range={range}") };
        let answer = api.shown(&format!("/api/analytics{query}")).await;
        assert_eq!(answer["totals"]["requests"], 10, "{range}");
        let points = answer["timeSeries"].as_array().unwrap();
        let sum: u64 = points.iter().map(|point| point["requests"].as_u64().unwrap()).sum();
        assert_eq!(sum, 10, "{range}");
        assert_eq!(answer["byStatus"].as_array().unwrap().len(), 2, "{range}");
    }
    let (from, to) = (Timestamp::now() - SignedDuration::from_hours(2), Timestamp::now());
    let between = api.shown(&format!("/api/analytics?from={from}&to={to}&bucketSeconds=300")).await;
    assert_eq!((&between["bucketSeconds"], &between["totals"]["requests"]), (&json!(300), &json!(10)));
    let before =
        api.shown(&format!("/api/analytics?from={}&to={from}", from - SignedDuration::from_hours(1))).await;
    assert_eq!(before["totals"]["requests"], 0);
}

#[tokio::test]
async fn analytics_are_narrowed() {
    let api = with_requests().await;
    for (query, requests) in [
        ("accounts=llm/a", 10),
        ("accounts=nobody", 0),
        ("models=claude-opus-5", 10),
        ("status=529", 3),
        ("status=success", 7),
        ("status=all", 10),
    ] {
        let answer = api.shown(&format!("/api/analytics?{query}")).await;
        assert_eq!(answer["totals"]["requests"], requests, "{query}");
    }
}

#[tokio::test]
async fn a_time_that_cannot_be_is_refused_with_one_that_can() {
    let api = Api::start().await;
    for (query, said) in [
        ("range=2h", "use 1h, 6h, 24h, 7d or 30d"),
        ("range=1h&from=2026-11-21T10:00:00Z", "not both"),
        ("from=2026-11-21T10:00:00Z&to=2026-11-21T09:00:00Z", "from must lie before to"),
        ("from=noon", "from: "),
        ("status=bad", "a class like 5xx"),
        ("account=a", "unknown field `account`, expected"),
    ] {
        let answer = api.get(&format!("/api/analytics?{query}")).await;
        let message = answer.refused(StatusCode::BAD_REQUEST);
        assert!(message.contains(said), "{query}: {message}");
    }
}

#[tokio::test]
async fn the_history_is_emptied_only_when_that_is_confirmed() {
    let api = with_requests().await;
    let unconfirmed = api.call(Method::POST, "/api/stats/reset", &Value::Null).await;
    unconfirmed.refused(StatusCode::BAD_REQUEST);
    let without_body = api.send(api.admin(Method::POST, "/api/stats/reset"), "").await;
    assert_eq!(without_body.json["confirmationRequired"], true);
    assert_eq!(api.shown("/api/stats").await["totalRequests"], 10);
    let reset = api.call(Method::POST, "/api/stats/reset", &json!({"confirm": "history"})).await;
    assert_eq!(reset.status, StatusCode::OK);
    assert_eq!(api.shown("/api/stats").await["totalRequests"], 0);
}
