//! Acknowledged after the commit, refused when the database is away or there is no room.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use penstock_controller::ingest::{self, Live, Pricer};
use penstock_controller::store::Store;
use penstock_proto::event::Event;
use tokio_util::sync::CancellationToken;

use crate::support::{at, database, event, events};

fn by_tokens() -> Pricer {
    Arc::new(|event: &Event| i64::try_from(event.usage.total()).ok())
}

#[tokio::test]
async fn an_acknowledged_batch_is_stored_priced_and_shown_live() {
    let database = database().await;
    let (ingest, ingester) = ingest::channel(database.store.clone(), by_tokens());
    let stop = CancellationToken::new();
    let mut live = ingest.live();
    let work = async {
        let sent = event(at("2026-11-21T12:00:00Z"), 1);
        ingest.submit(vec![sent.clone()]).await.expect("stored");
        let row = database.store.request(sent.id).await.expect("an answer").expect("a row");
        assert_eq!(row.cost_usd, Some(160e-9));
        assert_eq!(live.recv().await.expect("a row"), Live::Stored(Arc::new(row)));
        ingest.submit(vec![sent]).await.expect("there already");
        assert!(live.try_recv().is_err(), "a duplicate is not new");
        assert_eq!(ingest.counters().duplicates.load(Ordering::Relaxed), 1);
        stop.cancel();
    };
    tokio::join!(work, ingester.run(stop.clone()));
    assert_eq!(ingest.depth(), 0);
}

#[tokio::test]
async fn batches_that_wait_together_are_written_together() {
    let database = database().await;
    let (ingest, ingester) = ingest::channel(database.store.clone(), by_tokens());
    let stop = CancellationToken::new();
    let mut batches: Vec<_> = events(at("2026-11-21T12:00:00Z"), 200)
        .into_iter()
        .map(|event| ingest.submit(vec![event]).boxed())
        .collect();
    // All are in the queue before a writer looks.
    assert!(batches.iter_mut().all(|batch| batch.now_or_never().is_none()));
    assert_eq!(ingest.depth(), 200);
    let work = async {
        for batch in batches {
            batch.await.expect("stored");
        }
        stop.cancel();
    };
    tokio::join!(work, ingester.run(stop.clone()));
    assert_eq!(database.number("SELECT count(*) FROM requests").await, 200);
    assert!(ingest.counters().writes.load(Ordering::Relaxed) <= 2);
}

#[tokio::test]
async fn what_is_queued_when_the_end_comes_is_still_stored() {
    let database = database().await;
    let (ingest, ingester) = ingest::channel(database.store.clone(), by_tokens());
    let stop = CancellationToken::new();
    let mut batch = ingest.submit(events(at("2026-11-21T12:00:00Z"), 10)).boxed();
    assert!((&mut batch).now_or_never().is_none());
    stop.cancel();
    ingester.run(stop).await;
    batch.await.expect("stored");
    assert!(ingest.submit(events(at("2026-11-21T13:00:00Z"), 1)).await.is_err(), "nobody stores it any more");
}

#[tokio::test]
async fn without_room_a_batch_is_refused_at_once() {
    let database = database().await;
    let (ingest, _ingester) = ingest::channel(database.store.clone(), by_tokens());
    let mut large = ingest.submit(events(at("2026-11-21T12:00:00Z"), 100_000)).boxed();
    assert!((&mut large).now_or_never().is_none(), "larger than the room, it takes all of it");
    let refused = ingest.submit(events(at("2026-11-21T12:00:00Z"), 1)).now_or_never();
    assert!(refused.expect("no waiting").is_err());
    assert_eq!(ingest.counters().busy.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn while_the_database_is_away_batches_are_refused_with_a_hint() {
    let nowhere = tempfile::tempdir().expect("a folder");
    let mut config = tokio_postgres::Config::new();
    config.host_path(nowhere.path()).user("penstock");
    let store = Store::new(&config).expect("a pool, though nobody is there");
    let (ingest, ingester) = ingest::channel(store, by_tokens());
    let stop = CancellationToken::new();
    let work = async {
        let busy = ingest.submit(events(at("2026-11-21T12:00:00Z"), 5)).await.expect_err("nobody stores it");
        assert!(!busy.retry_after.is_zero());
        ingest.wait_until(|storing| !storing).await;
        let refused = ingest.submit(events(at("2026-11-21T12:00:00Z"), 5)).now_or_never();
        assert!(refused.expect("no waiting").is_err());
        assert_eq!(ingest.depth(), 0, "nothing is kept");
        stop.cancel();
    };
    tokio::join!(work, ingester.run(stop.clone()));
}
