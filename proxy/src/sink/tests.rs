use tempfile::TempDir;

use super::example::event;
use super::*;

fn paths(batch: &Batch) -> Vec<&str> {
    batch.events().iter().map(|event| event.path.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn events_come_out_in_order_and_are_gone_when_stored() {
    let sink = Sink::open(None).unwrap();
    sink.offer(event("/1"));
    sink.offer(event("/2"));
    let batch = sink.take(10).await;
    assert_eq!(paths(&batch), ["/1", "/2"]);
    batch.stored();
    assert_eq!(sink.depth(), Depth { ring: 0, spool_bytes: 0, dropped: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_not_stored_is_offered_again_before_newer_events() {
    let sink = Sink::open(None).unwrap();
    sink.offer(event("/1"));
    drop(sink.take(10).await);
    sink.offer(event("/2"));
    assert_eq!(paths(&sink.take(10).await), ["/1", "/2"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_take_lets_the_next_one_through() {
    let sink = Sink::open(None).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), sink.take(10)).await.is_err());
    sink.offer(event("/1"));
    assert_eq!(paths(&sink.take(10).await), ["/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_ring_without_a_spool_drops_the_oldest_and_counts_it() {
    let sink = Sink::open(None).unwrap();
    for number in 0..=CAPACITY {
        sink.offer(event(&format!("/{number}")));
    }
    assert_eq!(sink.depth(), Depth { ring: CAPACITY, spool_bytes: 0, dropped: 1 });
    assert_eq!(paths(&sink.take(1).await), ["/1"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_too_long_goes_to_a_file_and_comes_out_first() {
    let dir = TempDir::new().unwrap();
    let sink = Sink::open(Some(dir.path())).unwrap();
    sink.offer(event("/old"));
    sink.spill_old(Timestamp::now());
    assert_eq!(sink.depth().ring, 0);
    assert!(sink.depth().spool_bytes > 0);
    sink.offer(event("/new"));
    let batch = sink.take(10).await;
    assert_eq!(paths(&batch), ["/old"]);
    batch.stored();
    let batch = sink.take(10).await;
    assert_eq!(paths(&batch), ["/new"]);
    assert_eq!(sink.depth().spool_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_end_is_found_by_the_next_process() {
    let dir = TempDir::new().unwrap();
    let sink = Sink::open(Some(dir.path())).unwrap();
    sink.offer(event("/left"));
    sink.flush();
    let next = Sink::open(Some(dir.path())).unwrap();
    assert_eq!(paths(&next.take(10).await), ["/left"]);
}
