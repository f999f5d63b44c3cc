//! Filters, pages, statistics, analytics.

use std::collections::HashSet;

use penstock_controller::store::filter::{RequestFilter, StatusFilter};
use penstock_controller::store::queries::Cursor;
use penstock_controller::store::queries::span::{Range, Span};
use penstock_proto::event::{Ending, Event};
use penstock_proto::usage::Usage;
use uuid::Uuid;

use crate::support::{Database, at, database, event, events, priced};

async fn with(events: &[Event]) -> Database {
    let database = database().await;
    let batch: Vec<_> = events.iter().cloned().map(priced).collect();
    database.store.write(&batch).await.expect("written");
    database
}

async fn page(database: &Database, after: Option<Cursor>, limit: u32) -> (Vec<Uuid>, Option<Cursor>) {
    let page = database.store.requests(&RequestFilter::default(), after, limit).await.expect("a page");
    let next = page.next_cursor.map(|text| Cursor::decode(&text).expect("our own text"));
    (page.requests.iter().map(|row| row.id).collect(), next)
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_a_row_while_new_and_late_rows_arrive() {
    let first_day = at("2026-11-20T23:59:00Z");
    let there = events(first_day, 120);
    let database = with(&there).await;
    let (mut seen, mut next) = page(&database, None, 50).await;
    assert_eq!(seen.first(), there.last().map(|event| &event.id), "newest first");
    let newer = events(at("2026-11-21T12:00:00Z"), 10);
    let late = events(at("2026-11-19T12:00:00Z"), 5);
    let arrived: Vec<_> = newer.iter().chain(&late).cloned().map(priced).collect();
    database.store.write(&arrived).await.expect("written");
    while let Some(cursor) = next {
        let (more, following) = page(&database, Some(cursor), 50).await;
        seen.extend(more);
        next = following;
    }
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "in order, none twice");
    let seen: HashSet<Uuid> = seen.into_iter().collect();
    assert!(there.iter().all(|event| seen.contains(&event.id)), "none skipped");
    assert!(newer.iter().all(|event| !seen.contains(&event.id)), "what is newer is above the first page");
}

#[tokio::test]
async fn the_last_page_says_that_it_is_the_last() {
    let database = with(&events(at("2026-11-21T12:00:00Z"), 4)).await;
    let (rows, next) = page(&database, None, 4).await;
    assert_eq!((rows.len(), next), (4, None));
    let (rows, next) = page(&database, None, 3).await;
    assert_eq!((rows.len(), next.is_some()), (3, true));
}

/// Four requests that differ in everything a filter knows.
fn four() -> [Event; 4] {
    let ok = event(at("2026-11-21T12:00:00Z"), 1);
    let mut limited = event(at("2026-11-21T12:00:01Z"), 2);
    limited.account = None;
    limited.provider = String::new();
    limited.status = 429;
    limited.ending = Ending::Error;
    limited.error = "every account is limited".into();
    limited.model_answered = String::new();
    limited.model_sent = String::new();
    limited.model_asked = "gpt-6".into();
    let mut cut = event(at("2026-11-21T12:00:02Z"), 3);
    cut.account = "llm/b".parse().ok();
    cut.provider = "zai".into();
    cut.ending = Ending::Truncated;
    cut.model_sent = "glm-5".into();
    cut.model_answered = "glm-5".into();
    cut.path = "/v1/chat/completions".into();
    let mut left = event(at("2026-11-21T12:00:03Z"), 4);
    left.status = 0;
    left.ending = Ending::ClientLeft;
    left.session = "s2".into();
    left.caller.namespace = "chat".into();
    left.caller.service_account = "bot".into();
    left.caller.key = "laptop".into();
    [ok, limited, cut, left]
}

#[tokio::test]
async fn each_filter_finds_its_rows_and_no_others() {
    let all = four();
    let database = with(&all).await;
    let none = RequestFilter::default;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let status = |text| RequestFilter { status: StatusFilter::parse(text), ..none() };
    let search = |text: &str| RequestFilter { search: Some(text.into()), ..none() };
    let cases = [
        ("all", none(), vec![4, 3, 2, 1]),
        ("from", RequestFilter { from: Some(at("2026-11-21T12:00:02Z")), ..none() }, vec![4, 3]),
        ("to", RequestFilter { to: Some(at("2026-11-21T12:00:02Z")), ..none() }, vec![2, 1]),
        ("account", RequestFilter { accounts: words(&["llm/a"]), ..none() }, vec![4, 1]),
        ("accounts", RequestFilter { accounts: words(&["llm/a", "llm/b"]), ..none() }, vec![4, 3, 1]),
        ("provider", RequestFilter { providers: words(&["zai"]), ..none() }, vec![3]),
        ("asked", RequestFilter { models: words(&["gpt-6"]), ..none() }, vec![2]),
        ("answered", RequestFilter { models: words(&["glm-5"]), ..none() }, vec![3]),
        ("code", status("429"), vec![2]),
        ("class", status("2xx"), vec![3, 1]),
        ("failed class", status("4xx"), vec![2]),
        ("success", status("success"), vec![1]),
        ("error", status("error"), vec![3, 2]),
        ("ending", RequestFilter { ending: Some(Ending::ClientLeft), ..none() }, vec![4]),
        ("namespace", RequestFilter { namespace: Some("chat".into()), ..none() }, vec![4]),
        (
            "service account",
            RequestFilter { service_account: Some("indexer".into()), ..none() },
            vec![3, 2, 1],
        ),
        ("key", RequestFilter { key: Some("laptop".into()), ..none() }, vec![4]),
        ("session", RequestFilter { session: Some("s2".into()), ..none() }, vec![4]),
        ("path", search("CHAT/comp"), vec![3]),
        ("a quote is text", search("' OR 1=1 --"), vec![]),
        ("id", search(&all[1].id.to_string()), vec![2]),
        ("id's beginning", search(&all[1].id.to_string()[..20]), vec![2]),
    ];
    for (what, filter, expected) in cases {
        let page = database.store.requests(&filter, None, 10).await.expect("a page");
        let found: Vec<Uuid> = page.requests.iter().map(|row| row.id).collect();
        let expected: Vec<Uuid> = expected.into_iter().map(|n: usize| all[n - 1].id).collect();
        assert_eq!(found, expected, "{what}");
    }
}

#[tokio::test]
async fn statistics_count_who_stayed_and_name_what_failed() {
    let database = with(&four()).await;
    let stats = database.store.stats(None).await.expect("statistics");
    assert_eq!(stats.total_requests, 4);
    // One complete, one refused, one cut; who left is held against nobody.
    assert!((stats.success_rate - 100.0 / 3.0).abs() < 1e-9, "{}", stats.success_rate);
    assert_eq!(stats.active_accounts, 2);
    assert_eq!(stats.total_tokens, 4 * 160);
    assert!((stats.total_cost_usd - 4.0).abs() < 1e-9);
    assert!((stats.avg_response_time - 1_500.0).abs() < 1e-9);
    assert!((stats.avg_tokens_per_second - 10.0).abs() < 1e-9, "{}", stats.avg_tokens_per_second);
    let models: Vec<_> = stats.top_models.iter().map(|share| (share.model.as_str(), share.count)).collect();
    assert_eq!(models, [("claude-opus-5", 2), ("glm-5", 1), ("gpt-6", 1)]);
    let accounts: Vec<_> =
        stats.accounts.iter().map(|share| (share.name.as_str(), share.request_count)).collect();
    assert_eq!(accounts, [("llm/a", 2), ("llm/b", 1)]);
    assert_eq!(
        stats.recent_errors,
        ["POST /v1/chat/completions: 200, truncated", "every account is limited"]
    );
}

#[tokio::test]
async fn analytics_have_a_point_for_each_bucket_and_add_up() {
    let database = with(&four()).await;
    let now = at("2026-11-21T12:30:00Z");
    for range in [Range::Hour, Range::SixHours, Range::Day, Range::Week, Range::Month] {
        let span = range.ending_at(now);
        let answer = database.store.analytics(span, &RequestFilter::default()).await.expect("an answer");
        let seconds = answer.to.as_second() - answer.from.as_second();
        let points = i64::try_from(answer.time_series.len()).expect("few");
        assert_eq!(points * answer.bucket_seconds, seconds);
        let in_points: u64 = answer.time_series.iter().map(|point| point.measures.requests).sum();
        assert_eq!((answer.totals.measures.requests, in_points), (4, 4), "{range:?}");
        assert_eq!(answer.totals.active_accounts, 2);
        let at_noon = answer.time_series.iter().find(|point| point.measures.requests == 4).expect("a point");
        assert!(at_noon.ts <= at("2026-11-21T12:00:00Z").as_millisecond());
        assert!((at_noon.measures.cache_hit_rate - 100.0 / 3.0).abs() < 1e-9);
    }
}

#[tokio::test]
async fn analytics_break_down_by_model_account_status_and_caller() {
    let database = with(&four()).await;
    let now = at("2026-11-21T12:30:00Z");
    let span = Range::Day.ending_at(now);
    let answer = database.store.analytics(span, &RequestFilter::default()).await.expect("an answer");
    let names = |slices: &[penstock_controller::store::queries::analytics::Slice]| {
        let mut names: Vec<_> =
            slices.iter().map(|slice| (slice.name.clone(), slice.measures.requests)).collect();
        names.sort();
        names
    };
    let named = |pairs: &[(&str, u64)]| -> Vec<_> {
        pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    assert_eq!(names(&answer.by_model), named(&[("claude-opus-5", 2), ("glm-5", 1), ("gpt-6", 1)]));
    assert_eq!(names(&answer.by_account), named(&[("", 1), ("llm/a", 2), ("llm/b", 1)]));
    assert_eq!(names(&answer.by_status), named(&[("0", 1), ("200", 2), ("429", 1)]));
    let callers: Vec<_> = answer
        .by_caller
        .iter()
        .map(|slice| (slice.namespace.as_str(), slice.service_account.as_str(), slice.measures.requests))
        .collect();
    assert_eq!(callers, [("search", "indexer", 3), ("chat", "bot", 1)]);
    let only = RequestFilter { status: Some(StatusFilter::Error), ..RequestFilter::default() };
    let errors = database.store.analytics(span, &only).await.expect("an answer");
    assert_eq!(errors.totals.measures.requests, 2);
    assert!((errors.totals.measures.error_rate - 100.0).abs() < 1e-9);
}

#[tokio::test]
async fn percentiles_lie_where_the_durations_do() {
    let mut all = events(at("2026-11-21T12:00:00Z"), 100);
    for (event, seconds) in all.iter_mut().zip(1_i64..) {
        event.finished_at = event.received_at + jiff::SignedDuration::from_millis(seconds * 100);
        event.usage = Usage::default();
    }
    let database = with(&all).await;
    let now = at("2026-11-21T12:30:00Z");
    let span = Span::between(at("2026-11-21T12:00:00Z"), now, Some(1_800), now).expect("a span");
    let answer = database.store.analytics(span, &RequestFilter::default()).await.expect("an answer");
    let measures = answer.totals.measures;
    assert!((measures.p50_response_time - 5_000.0).abs() < 100.0, "{}", measures.p50_response_time);
    assert!((measures.p95_response_time - 9_500.0).abs() < 800.0, "{}", measures.p95_response_time);
    assert!((measures.avg_response_time - 5_050.0).abs() < 1e-9);
    assert_eq!(measures.unpriced_requests, 0);
}

#[tokio::test]
async fn nothing_stored_is_an_answer_too() {
    let database = database().await;
    let span = Range::Hour.ending_at(at("2026-11-21T12:30:00Z"));
    let answer = database.store.analytics(span, &RequestFilter::default()).await.expect("an answer");
    assert_eq!((answer.time_series.len(), answer.totals.measures.requests), (60, 0));
    assert_eq!(database.store.stats(None).await.expect("statistics").recent_errors, Vec::<String>::new());
    let size = database.store.size().await.expect("a size");
    assert_eq!((size.rows, size.partitions, size.oldest_day), (0, 0, None));
    assert!(size.database_bytes > 0);
}
