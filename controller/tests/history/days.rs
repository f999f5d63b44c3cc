//! Partitions and retention.

use jiff::SignedDuration;
use penstock_controller::store::day::Day;
use penstock_controller::store::partitions::Removed;

use crate::support::{at, database, event, priced};

#[tokio::test]
async fn a_partition_is_there_for_any_day_that_an_event_arrives_for() {
    let database = database().await;
    let days =
        ["1999-12-31T23:59:59.999Z", "2026-02-28T00:00:00Z", "2026-11-21T12:00:00Z", "2031-01-01T00:00:00Z"];
    let batch: Vec<_> = days.iter().map(|day| priced(event(at(day), 1))).collect();
    assert_eq!(database.store.write(&batch).await.expect("written").inserted.len(), 4);
    let size = database.store.size().await.expect("a size");
    assert_eq!((size.rows, size.partitions), (4, 4));
    assert_eq!(size.oldest_day, Some(at("1999-12-31T00:00:00Z")));
}

#[tokio::test]
async fn days_are_made_ahead_and_making_them_again_changes_nothing() {
    let database = database().await;
    let now = at("2026-12-31T23:59:00Z");
    for _ in 0..2 {
        database.store.prepare_days(now).await.expect("prepared");
        assert_eq!(database.store.size().await.expect("a size").partitions, 3);
    }
}

#[tokio::test]
async fn retention_drops_whole_days_and_what_it_dropped_does_not_come_back() {
    let database = database().await;
    let now = at("2026-11-21T12:00:00Z");
    let day = |n: i64| priced(event(now - SignedDuration::from_hours(24 * n), 1));
    let all: Vec<_> = (0..6).map(day).collect();
    database.store.write(&all).await.expect("written");
    let rows_from = Day::of(now).plus(-2);
    let removed = database.store.remove_before(rows_from, Day::of(now).plus(-4).start(), now).await;
    // Of the sums: by the minute those of 4 and 5 days ago, by the hour and the day those of 5 days ago.
    assert_eq!(removed.expect("removed"), Removed { partitions: 3, rollup_lines: 4 });
    assert_eq!(database.number("SELECT count(*) FROM requests").await, 3);
    let replayed = database.store.write(&all).await.expect("written");
    assert_eq!((replayed.expired, replayed.duplicates, replayed.inserted.len()), (3, 3, 0));
    assert_eq!(database.store.size().await.expect("a size").partitions, 3);
    let again = database.store.remove_before(rows_from, Day::of(now).plus(-4).start(), now).await;
    assert_eq!(again.expect("removed"), Removed::default());
}

#[tokio::test]
async fn a_partition_that_another_controller_dropped_is_missed_by_nobody() {
    let database = database().await;
    let now = at("2026-11-21T12:00:00Z");
    database.store.write(&[priced(event(now, 1))]).await.expect("written");
    database.query("DROP TABLE requests_20261121").await;
    let written = database.store.write(&[priced(event(now, 2))]).await.expect("written");
    assert_eq!(written.inserted.len(), 1);
}

#[tokio::test]
async fn a_reset_leaves_nothing_and_counting_begins_anew() {
    let database = database().await;
    let now = at("2026-11-21T12:00:00Z");
    database.store.write(&[priced(event(now, 1)), priced(event(now, 2))]).await.expect("written");
    assert_eq!(database.store.reset().await.expect("reset"), 2);
    assert_eq!(database.store.stats(None).await.expect("statistics").total_requests, 0);
    database.store.write(&[priced(event(now, 3))]).await.expect("written");
    assert_eq!(database.store.stats(None).await.expect("statistics").total_requests, 1);
}
