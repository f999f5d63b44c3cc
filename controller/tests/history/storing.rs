//! Exactly once, whatever is replayed and whoever writes.

use std::collections::HashSet;

use futures_util::future::join_all;
use jiff::Timestamp;
use penstock_controller::store::Store;
use penstock_controller::store::row::RequestRow;
use penstock_proto::event::Ending;
use uuid::Uuid;

use crate::support::{at, database, empty_database, event, events, priced};

#[tokio::test]
async fn controllers_that_start_together_migrate_once_and_again_without_harm() {
    let database = empty_database().await;
    let others: Vec<Store> = (0..4).map(|_| Store::new(&database.config).expect("a pool")).collect();
    for result in join_all(others.iter().map(Store::migrate)).await {
        result.expect("migrated");
    }
    let now = at("2026-11-21T12:00:00Z");
    database.store.write(&[priced(event(now, 1))]).await.expect("written");
    database.store.migrate().await.expect("nothing left to do");
    assert_eq!(database.number("SELECT count(*) FROM requests").await, 1);
}

#[tokio::test]
async fn a_row_reads_back_as_the_event_was() {
    let database = database().await;
    let written = event(at("2026-11-21T12:00:00.123Z"), 1);
    database.store.write(&[priced(written.clone())]).await.expect("written");
    let read = database.store.request(written.id).await.expect("an answer");
    assert_eq!(read, Some(RequestRow::of(&written, Some(1_000_000_000))));
    assert_eq!(database.store.request(Uuid::now_v7()).await.expect("an answer"), None);
}

#[tokio::test]
async fn overlapping_batches_from_several_writers_leave_one_row_for_each_id() {
    let database = database().await;
    let all: Vec<_> = events(at("2026-11-21T23:50:00Z"), 1_200).into_iter().map(priced).collect();
    let twin = Store::new(&database.config).expect("a pool");
    // Each writer sends its batches in another order, backwards and forwards, with most events twice.
    let writer = |store: &Store, shift: usize| {
        let mut order = all.clone();
        order.rotate_left(shift);
        if shift % 2 == 1 {
            order.reverse();
        }
        let store = store.clone();
        async move {
            let mut inserted = Vec::new();
            for batch in order.windows(300).step_by(150) {
                inserted.extend(store.write(batch).await.expect("written").inserted);
            }
            inserted
        }
    };
    let stores = [&database.store, &twin];
    let writers = (0..6).map(|n| writer(stores[n % 2], n * 217));
    let inserted: Vec<Uuid> = join_all(writers).await.concat();
    let ids: HashSet<Uuid> = all.iter().map(|priced| priced.event.id).collect();
    assert_eq!(inserted.len(), ids.len(), "each id was new exactly once");
    assert_eq!(inserted.into_iter().collect::<HashSet<_>>(), ids);
    assert_eq!(database.number("SELECT count(*) FROM requests").await, 1_200);
    assert_eq!(database.number("SELECT sum(requests)::bigint FROM rollup_minute").await, 1_200);
    assert_eq!(database.number("SELECT sum(requests)::bigint FROM rollup_hour").await, 1_200);
}

#[tokio::test]
async fn an_event_that_comes_again_in_another_shape_is_the_same_event() {
    let database = database().await;
    let first = event(at("2026-11-21T12:00:00Z"), 1);
    let mut again = first.clone();
    again.received_at = at("2026-11-25T12:00:00Z");
    again.status = 500;
    database.store.write(&[priced(first.clone())]).await.expect("written");
    let written = database.store.write(&[priced(again.clone()), priced(again)]).await.expect("written");
    assert_eq!((written.inserted.len(), written.duplicates), (0, 2));
    let read = database.store.request(first.id).await.expect("an answer").expect("a row");
    assert_eq!(read.status, 200);
    assert_eq!(database.number("SELECT sum(requests)::bigint FROM rollup_hour").await, 1);
}

#[tokio::test]
async fn an_odd_event_is_stored_as_far_as_it_can_be_and_harms_no_other() {
    let database = database().await;
    let now = at("2026-11-21T12:00:00Z");
    let mut odd = event(now, 1);
    odd.path = "/v1/\0messages".into();
    odd.error = "x".repeat(100_000);
    odd.model_asked = "ä".repeat(5_000);
    odd.caller.namespace = "n\0".into();
    odd.attempts[0].outcome = "a\0b".into();
    odd.trace_id = "not hex".into();
    odd.usage.input_tokens = u64::MAX;
    odd.request_bytes = u64::MAX;
    odd.status = u16::MAX;
    odd.ending = Ending::Error;
    odd.first_byte_at = Some(Timestamp::MIN);
    odd.finished_at = Timestamp::MAX;
    let mut nameless = event(now, 2);
    nameless.id = Uuid::max();
    let batch = [priced(odd.clone()), priced(nameless), priced(event(now, 3))];
    let written = database.store.write(&batch).await.expect("written");
    assert_eq!((written.inserted.len(), written.refused), (2, 1));
    let read = database.store.request(odd.id).await.expect("an answer").expect("a row");
    assert_eq!(read.path, "/v1/");
    assert_eq!(read.attempts[0].outcome, "a\u{fffd}b");
}
