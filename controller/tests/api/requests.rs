//! The history over the API: filters, pages, one row, live.

use http::{Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use penstock_proto::event::{Ending, Event};
use serde_json::Value;

use crate::harness::{Api, Heard};
use crate::support::event;

/// Five requests, a second apart, the last one now: 1 went well on `llm/a`, 2 was limited, 3 was cut,
/// 4 came with a client key from another model, 5 went well on `default/b`.
fn events() -> Vec<Event> {
    let now = Timestamp::now();
    let mut events: Vec<_> =
        (1..=5).map(|seq| event(now - SignedDuration::from_secs(5 - seq), seq.unsigned_abs())).collect();
    events[1].status = 429;
    events[1].error = "every account is limited".into();
    events[2].ending = Ending::Truncated;
    events[3].caller.key = "laptop".into();
    events[3].model_asked = "gpt-5".into();
    events[3].provider = "openai".into();
    events[4].account = "default/b".parse().ok();
    events[4].path = "/v1/special".into();
    events
}

async fn stored(api: &Api) -> Vec<Event> {
    let events = events();
    api.ingest.submit(events.clone()).await.unwrap();
    events
}

fn numbers(page: &Value, events: &[Event]) -> Vec<usize> {
    let rows = page["requests"].as_array().unwrap().iter();
    rows.map(|row| 1 + events.iter().position(|event| row["id"] == event.id.to_string()).unwrap()).collect()
}

#[tokio::test]
async fn requests_are_found_by_what_is_asked_newest_first() {
    let api = Api::start().await;
    let events = stored(&api).await;
    let (second, fourth) = (events[1].received_at, events[3].received_at);
    for (query, found) in [
        (String::new(), vec![5, 4, 3, 2, 1]),
        ("account=b".into(), vec![5]),
        ("account=llm/a,b".into(), vec![5, 4, 3, 2, 1]),
        ("account=nobody".into(), vec![]),
        ("provider=openai".into(), vec![4]),
        ("model=gpt-5".into(), vec![4]),
        ("status=429".into(), vec![2]),
        ("status=4xx".into(), vec![2]),
        ("status=error".into(), vec![3, 2]),
        ("status=success&account=llm/a".into(), vec![4, 1]),
        ("ending=truncated".into(), vec![3]),
        ("key=laptop".into(), vec![4]),
        ("namespace=search&serviceAccount=indexer&session=s1&limit=1".into(), vec![5]),
        ("q=special".into(), vec![5]),
        (format!("q={}", events[2].id), vec![3]),
        (format!("from={second}&to={fourth}"), vec![3, 2]),
    ] {
        let page = api.shown(&format!("/api/requests?{query}")).await;
        assert_eq!(numbers(&page, &events), found, "{query}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let api = Api::start().await;
    let events = stored(&api).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for length in [2, 2, 1] {
        let page = api.shown(&format!("/api/requests?limit=2{cursor}")).await;
        assert_eq!(page["requests"].as_array().unwrap().len(), length);
        seen.extend(numbers(&page, &events));
        cursor = page["nextCursor"].as_str().map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
    assert_eq!((seen, cursor), (vec![5, 4, 3, 2, 1], String::new()));
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_is_refused_with_what_to_ask_instead() {
    let api = Api::start().await;
    for (query, said) in [
        ("cursor=nonsense", "nextCursor"),
        ("status=bad", "a class like 5xx"),
        ("ending=sudden", "client_left"),
        ("limit=0", "1 to 1000"),
        ("limit=1001", "1 to 1000"),
        ("limit=many", "limit: "),
        ("from=yesterday", "from: "),
        ("acount=a", "unknown field `acount`, expected"),
    ] {
        let answer = api.get(&format!("/api/requests?{query}")).await;
        let message = answer.refused(StatusCode::BAD_REQUEST);
        assert!(message.contains(said), "{query}: {message}");
    }
}

#[tokio::test]
async fn one_request_is_shown_with_everything_that_is_known() {
    let api = Api::start().await;
    let event = &stored(&api).await[1];
    let row = api.shown(&format!("/api/requests/{}", event.id)).await;
    assert_eq!(
        (row["status"].as_u64(), row["error"].as_str()),
        (Some(429), Some("every account is limited"))
    );
    assert_eq!(row["attempts"][0]["account"], "llm/a");
    assert_eq!(row["costUsd"], 0.002);
    let unknown = api.get(&format!("/api/requests/{}", uuid::Uuid::now_v7())).await;
    assert!(unknown.refused(StatusCode::NOT_FOUND).contains("no request"));
    let malformed = api.get("/api/requests/12").await;
    assert!(malformed.refused(StatusCode::BAD_REQUEST).contains("UUID"));
}

#[tokio::test]
async fn requests_are_seen_as_they_are_stored() {
    let api = Api::start().await;
    let opened = api.open(api.admin(Method::GET, "/api/requests/stream"), "").await;
    let kind = opened.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    assert_eq!((opened.status(), kind.as_str()), (StatusCode::OK, "text/event-stream"));
    let mut stream = Heard::from(opened.into_body());
    assert!(stream.until("\n\n").await.starts_with("event: connected\n"));
    let event = stored(&api).await.pop().unwrap();
    let heard = stream.until(&format!("{}\"", event.id)).await;
    let messages = heard.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
    let messages: Vec<Value> = messages.collect();
    for message in &messages {
        let path = "/api/requests/stream";
        api.document.check(&Method::GET, path, StatusCode::OK, "text/event-stream", message);
    }
    let found = messages
        .iter()
        .any(|message| message["type"] == "summary" && message["payload"]["id"] == event.id.to_string());
    assert!(found, "{heard}");
}
