//! From batches of events to stored rows: many small batches become few large writes, and each batch is
//! acknowledged after the commit that holds it, never before.
//!
//! | module | what it does |
//! |---|---|
//! | `writer` | one writer: gathers, writes, acknowledges, waits for a database that is away |
//! | `company` | what other controllers on the same database store, for live views |
//!
//! Memory is bounded by [`CAPACITY`] events. While the database is away, and when the queue is full,
//! batches are refused at once with a hint when to try again: proxies keep them, so nothing is lost.

mod company;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use penstock_proto::event::Event;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::company::Company;
use crate::store::Store;
use crate::store::row::RequestRow;

/// Events in memory at most, waiting or being written: at about a kilobyte each 32 MB, and half a second
/// of the rate the store can take.
const CAPACITY: usize = 32_768;
/// Rows of the live stream that a slow reader may lag behind before it misses some.
const LIVE_BUFFER: usize = 1_024;
/// Writes at the same time: one is encoded and sent while the database works on the other.
const WRITERS: usize = 2;

/// What an event costs, in nano-dollars; `None` = its model has no price.
pub type Pricer = Arc<dyn Fn(&Event) -> Option<i64> + Send + Sync>;

/// Gives batches to the writers. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    queue: mpsc::Sender<Pending>,
    room: Arc<Semaphore>,
    away: watch::Receiver<Option<Duration>>,
    live: broadcast::Sender<Live>,
    counters: Arc<Counters>,
}

/// The writers. Run them with [`Ingester::run`].
pub struct Ingester {
    store: Store,
    price: Pricer,
    queue: Mutex<mpsc::Receiver<Pending>>,
    away: watch::Sender<Option<Duration>>,
    live: broadcast::Sender<Live>,
    counters: Arc<Counters>,
    company: Option<Company>,
}

/// What a live view is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Live {
    /// A row is in the history.
    Stored(Arc<RequestRow>),
    /// So many more are, which another controller stored at once.
    Missed(u64),
}

/// The batch was not taken; nothing of it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("history cannot be stored now")]
pub struct Busy {
    /// When to try again.
    pub retry_after: Duration,
}

/// Counts since the start, for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events stored.
    pub inserted: AtomicU64,
    /// Events that were there already.
    pub duplicates: AtomicU64,
    /// Events that will never be stored: of removed days, without a usable id, or refused by the database.
    pub dropped: AtomicU64,
    /// Batches refused for now.
    pub busy: AtomicU64,
    /// Transactions.
    pub writes: AtomicU64,
}

/// A batch on its way, its room in memory, and who waits for it.
struct Pending {
    events: Vec<Event>,
    done: oneshot::Sender<Result<(), Busy>>,
    room: OwnedSemaphorePermit,
}

/// The two ends: one to give batches to, one to run.
pub fn channel(store: Store, price: Pricer) -> (Ingest, Ingester) {
    // Every batch holds room for at least one event, so this never blocks before the room does.
    let (queue, batches) = mpsc::channel(CAPACITY);
    let (away, is_away) = watch::channel(None);
    let (live, _) = broadcast::channel(LIVE_BUFFER);
    let counters = Arc::<Counters>::default();
    let room = Arc::new(Semaphore::new(CAPACITY));
    let ingest = Ingest { queue, room, away: is_away, live: live.clone(), counters: Arc::clone(&counters) };
    let ingester = Ingester { store, price, queue: Mutex::new(batches), away, live, counters, company: None };
    (ingest, ingester)
}

impl Ingest {
    /// Stores a batch: returns when it is committed, so that none of it need be sent again. If the caller
    /// stops waiting, it may still be stored; sending it again does no harm.
    pub async fn submit(&self, events: Vec<Event>) -> Result<(), Busy> {
        let result = self.enqueue(events).await;
        if result.is_err() {
            self.counters.busy.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    async fn enqueue(&self, events: Vec<Event>) -> Result<(), Busy> {
        if events.is_empty() {
            return Ok(());
        }
        if let Some(retry_after) = *self.away.borrow() {
            return Err(Busy { retry_after });
        }
        // A batch larger than all the room takes all of it.
        let wanted = u32::try_from(events.len().min(CAPACITY)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(wanted);
        let room = room.map_err(|_| Busy { retry_after: FULL })?;
        let (done, result) = oneshot::channel();
        let pending = Pending { events, done, room };
        self.queue.try_send(pending).map_err(|_| Busy { retry_after: FULL })?;
        // The writers are gone without an answer: shutting down.
        result.await.unwrap_or(Err(Busy { retry_after: FULL }))
    }

    /// Rows as they are stored, from now on, by this controller and those it is among. A reader that lags
    /// far behind misses some.
    pub fn live(&self) -> broadcast::Receiver<Live> {
        self.live.subscribe()
    }

    /// Whether the database answered lately.
    pub fn is_storing(&self) -> bool {
        self.away.borrow().is_none()
    }

    /// Waits until it is so: `is_so` is given whether the database answered lately.
    pub async fn wait_until(&self, is_so: impl Fn(bool) -> bool) {
        // An error says that the writers are gone: then nothing will change any more.
        let _ = self.away.clone().wait_for(|away| is_so(away.is_none())).await;
    }

    /// Events waiting or being written.
    pub fn depth(&self) -> usize {
        CAPACITY.saturating_sub(self.room.available_permits())
    }

    /// Counts since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// The queue drains within this time at the rate the store can take.
const FULL: Duration = Duration::from_millis(500);

impl Ingester {
    /// On a database that other controllers may share: live views show what they store, too.
    #[must_use]
    pub fn among(mut self, me: Uuid, others: watch::Receiver<bool>) -> Self {
        self.company = Some(Company { me, others });
        self
    }

    /// Writes until `stop`, and then what is still queued.
    pub async fn run(self, stop: CancellationToken) {
        let writers = std::iter::repeat_with(|| self.write_batches(&stop)).take(WRITERS);
        tokio::select! {
            _ = futures_util::future::join_all(writers) => {}
            () = self.follow_others() => {}
        }
    }

    /// Refuses batches until [`Ingester::take_batches`]: for as long as they could not be stored.
    pub fn refuse_batches(&self, retry_after: Duration) {
        self.away.send_replace(Some(retry_after));
        self.refuse_queued(retry_after);
    }

    /// Takes batches again.
    pub fn take_batches(&self) {
        self.away.send_replace(None);
    }
}
