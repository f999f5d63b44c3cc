use tempfile::TempDir;
use tokio::time::Instant;

use super::example::event;
use super::*;

fn paths(batch: &Batch) -> Vec<String> {
    batch.events().iter().map(|event| Event::from_bytes(event).unwrap().path).collect()
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

#[tokio::test(start_paused = true)]
async fn events_come_out_in_order_and_are_gone_when_stored() {
    let sink = Sink::open(None).unwrap();
    sink.offer(&event("/1"));
    sink.offer(&event("/2"));
    let batch = sink.take(10, &never()).await;
    assert_eq!(paths(&batch), ["/1", "/2"]);
    batch.stored();
    assert_eq!(sink.depth(), Depth { ring: 0, spool_bytes: 0, dropped: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_not_stored_is_offered_again_before_newer_events() {
    let sink = Sink::open(None).unwrap();
    sink.offer(&event("/1"));
    drop(sink.take(10, &never()).await);
    sink.offer(&event("/2"));
    assert_eq!(paths(&sink.take(10, &never()).await), ["/1", "/2"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_take_lets_the_next_one_through() {
    let sink = Sink::open(None).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), sink.take(10, &never())).await.is_err());
    sink.offer(&event("/1"));
    assert_eq!(paths(&sink.take(10, &never()).await), ["/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_ring_without_a_spool_drops_the_oldest_and_counts_it() {
    let sink = Sink::open(None).unwrap();
    for number in 0..=CAPACITY {
        sink.offer(&event(&format!("/{number}")));
    }
    assert_eq!(sink.depth(), Depth { ring: CAPACITY, spool_bytes: 0, dropped: 1 });
    assert_eq!(paths(&sink.take(1, &never()).await), ["/1"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_too_long_goes_to_a_file_and_comes_out_first() {
    let dir = TempDir::new().unwrap();
    let sink = Sink::open(Some(dir.path())).unwrap();
    sink.offer(&event("/old"));
    sink.spill_old();
    assert_eq!(sink.depth().ring, 1, "it has just come");
    sink.spill_old();
    assert_eq!(sink.depth().ring, 0);
    assert!(sink.depth().spool_bytes > 0);
    sink.offer(&event("/new"));
    let batch = sink.take(10, &never()).await;
    assert_eq!(paths(&batch), ["/old"]);
    batch.stored();
    let batch = sink.take(10, &never()).await;
    assert_eq!(paths(&batch), ["/new"]);
    assert_eq!(sink.depth().spool_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_end_is_found_by_the_next_process() {
    let dir = TempDir::new().unwrap();
    let sink = Sink::open(Some(dir.path())).unwrap();
    sink.offer(&event("/left"));
    sink.flush();
    let next = Sink::open(Some(dir.path())).unwrap();
    assert_eq!(paths(&next.take(10, &never()).await), ["/left"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_gathered_until_it_is_full_or_somebody_is_in_a_hurry() {
    let sink = Sink::open(None).unwrap();
    sink.offer(&event("/1"));
    let batch = sink.take(2, &never()).await;
    let start = Instant::now();
    sink.offer(&event("/2"));
    batch.stored();
    assert_eq!(paths(&sink.take(2, &never()).await), ["/2"]);
    assert_eq!(start.elapsed(), GATHER, "what came while the last batch was out is no reason to hasten");
    let start = Instant::now();
    sink.offer(&event("/3"));
    assert_eq!(paths(&sink.take(2, &never()).await), ["/2", "/3"]);
    let hurry = never();
    hurry.cancel();
    assert_eq!(paths(&sink.take(9, &hurry).await), ["/2", "/3"]);
    assert_eq!(start.elapsed(), Duration::ZERO);
}
