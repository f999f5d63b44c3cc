//! One writer: gathers batches, writes them in one transaction, acknowledges them. When the database is
//! away it says so, lets go of what it holds, and looks for it until it is back.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use penstock_proto::event::Event;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{Busy, Ingester, Live, Pending};
use crate::store::error::StoreError;
use crate::store::row::RequestRow;
use crate::store::write::{Priced, Written};

/// Rows of one transaction, about. Larger ones are hardly faster and hold their memory longer.
const ROWS: usize = 8_192;
/// How long a batch waits for company: less than the commit that follows takes.
const LINGER: Duration = Duration::from_millis(3);
/// Between looks for a database that is away: the first, and the longest.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Ingester {
    /// Writes until `stop`, and then what is still queued.
    pub(super) async fn write_batches(&self, stop: &CancellationToken) {
        while let Some(batches) = self.gather(stop).await {
            if let Err(error) = self.write(batches).await {
                warn!(error = &error as &dyn std::error::Error, "history cannot be stored; proxies keep it");
                self.wait_for_database(stop).await;
            }
        }
    }

    /// The next batches, together; `None` when there are no more and none will come.
    async fn gather(&self, stop: &CancellationToken) -> Option<Vec<Pending>> {
        let mut queue = self.queue.lock().await;
        let first = tokio::select! {
            biased;
            first = queue.recv() => first,
            () = stop.cancelled() => {
                queue.close();
                queue.recv().await
            }
        }?;
        let mut rows = first.events.len();
        let mut batches = vec![first];
        let linger = tokio::time::sleep(LINGER);
        tokio::pin!(linger);
        while rows < ROWS {
            let next = tokio::select! {
                biased;
                next = queue.recv() => next,
                () = &mut linger => None,
            };
            let Some(next) = next else { break };
            rows += next.events.len();
            batches.push(next);
        }
        Some(batches)
    }

    /// Writes the batches and answers each: done, or on an error that will pass, `Busy`.
    async fn write(&self, batches: Vec<Pending>) -> Result<(), StoreError> {
        let mut priced = Vec::with_capacity(batches.iter().map(|batch| batch.events.len()).sum());
        let mut waiting = Vec::with_capacity(batches.len());
        for Pending { events, done, room } in batches {
            priced.extend(events.into_iter().map(|event| self.priced(event)));
            // The room is given back when the batch is answered.
            waiting.push((done, room));
        }
        let result = self.write_or_split(&priced).await;
        for (done, room) in waiting {
            let answer = if result.is_ok() { Ok(()) } else { Err(Busy { retry_after: LOOK.0 }) };
            // Whoever waits no longer will send it again, and it will be there already.
            let _ = done.send(answer);
            drop(room);
        }
        let inserted = result?;
        self.publish(&priced, &inserted);
        self.announce(inserted).await;
        Ok(())
    }

    fn priced(&self, event: Event) -> Priced {
        Priced { cost_nano_usd: (self.price)(&event), event }
    }

    /// Writes them together. Should the database refuse a value, halves are tried until it is alone: one
    /// odd event must not keep the others from being stored.
    async fn write_or_split(&self, events: &[Priced]) -> Result<HashSet<Uuid>, StoreError> {
        let mut inserted = HashSet::new();
        let mut parts = vec![events];
        while let Some(part) = parts.pop() {
            match self.store.write(part).await {
                Ok(written) => {
                    self.count(&written);
                    inserted.extend(written.inserted);
                }
                Err(error) if error.is_bad_data() => match part {
                    [only] => {
                        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                        let error: &dyn std::error::Error = &error;
                        error!(request.id = %only.event.id, error, "the database refuses this event for ever");
                    }
                    _ => parts.extend(<[_; 2]>::from(part.split_at(part.len() / 2))),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(inserted)
    }

    fn count(&self, written: &Written) {
        let Written { inserted, duplicates, expired, refused } = written;
        let counters = &self.counters;
        counters.writes.fetch_add(1, Ordering::Relaxed);
        counters.inserted.fetch_add(inserted.len() as u64, Ordering::Relaxed);
        counters.duplicates.fetch_add(*duplicates, Ordering::Relaxed);
        counters.dropped.fetch_add(expired + refused, Ordering::Relaxed);
    }

    /// Tells the live streams, if there are any, what is new.
    fn publish(&self, events: &[Priced], inserted: &HashSet<Uuid>) {
        if self.live.receiver_count() == 0 {
            return;
        }
        for Priced { event, cost_nano_usd } in
            events.iter().filter(|priced| inserted.contains(&priced.event.id))
        {
            // An error says that the last reader has just left.
            let _ = self.live.send(Live::Stored(Arc::new(RequestRow::of(event, *cost_nano_usd))));
        }
    }

    /// Refuses batches until the database answers again, or `stop`.
    async fn wait_for_database(&self, stop: &CancellationToken) {
        let (mut delay, longest) = LOOK;
        loop {
            self.refuse_batches(delay);
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.cancelled() => return,
            }
            if self.store.ping().await.is_ok() {
                self.take_batches();
                info!("the database answers; history is stored again");
                return;
            }
            delay = (delay * 2).min(longest);
        }
    }

    /// What was queued before the database was found to be away. If the other writer has the queue, it
    /// will find out by itself.
    pub(super) fn refuse_queued(&self, retry_after: Duration) {
        let Ok(mut queue) = self.queue.try_lock() else { return };
        while let Ok(pending) = queue.try_recv() {
            let _ = pending.done.send(Err(Busy { retry_after }));
        }
    }
}
