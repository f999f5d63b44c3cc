//! Where history events wait for the controller: a bounded ring in memory, then files ([`spool`]). They wait as the
//! contract writes them, which is a third of what they took before, and nothing has to be made of them later.
//! Never blocks a request, never grows without bound; what had to be dropped is counted.
//!
//! `completion` offers, `control::report` takes batches (oldest first, one at a time), [`Sink::keep`]
//! moves what waits too long into files.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use penstock_proto::event::Event;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::spool::{Position, Spool};

/// Four seconds at 1,000 requests a second, at some 350 bytes each: about 1.5 MiB. When it is full, the oldest
/// event is dropped and counted.
const CAPACITY: usize = 4_096;

/// Half the ring: from here on the rest of it is the time that writing a file may take.
const SPILL_AT: usize = CAPACITY / 2;

/// What waited at one look and waits at the next goes to a file, so after five seconds at the latest: the controller is
/// away or slow, and a file survives the end of this process.
const LOOK_EVERY: Duration = Duration::from_millis(2_500);

/// How long a batch is gathered at most. While little happens, waking the reporting thread, whose caches are cold, is
/// most of what a report costs; but what waits is lost with a process that is killed.
const GATHER: Duration = Duration::from_millis(250);

/// A batch of this size is not gathered any longer: it fills a message, and more of them in memory save nothing.
const BATCH_READY: usize = 384;

/// Events wait in pieces of memory of this size, bytes, so that offering one allocates nothing, mostly.
const PIECE: usize = 8 << 10;

/// Largest total of all spool files, bytes: about 400,000 events. Above it the oldest file is dropped.
const SPOOL_BYTES: u64 = 256 << 20;

/// Takes events from requests and hands them out in batches. Cheap to clone.
#[derive(Clone)]
pub struct Sink(Arc<Shared>);

/// Events on their way to the controller. Dropped without [`Batch::stored`], they are offered again.
pub struct Batch {
    events: Vec<Bytes>,
    source: Source,
    sink: Sink,
}

/// How much waits, and what was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Events in memory.
    pub ring: usize,
    /// Bytes in files.
    pub spool_bytes: u64,
    /// Events lost since the start.
    pub dropped: u64,
}

impl Depth {
    /// Nothing waits to be delivered.
    pub fn is_empty(&self) -> bool {
        self.ring == 0 && self.spool_bytes == 0
    }
}

struct Shared {
    ring: Mutex<Ring>,
    spool: Mutex<Option<Spool>>,
    /// The first event of a batch, or a full batch, is there.
    arrived: Notify,
    /// The ring should be emptied into a file.
    crowded: Notify,
    /// A batch is out: the next one waits, so that files are read in order.
    out: AtomicBool,
    returned: Notify,
    dropped: AtomicU64,
}

/// What waits in memory.
#[derive(Default)]
struct Ring {
    /// The oldest first, each as the contract writes it, in a piece of memory that it shares with its neighbours.
    events: VecDeque<Bytes>,
    /// Where the next ones are put.
    piece: BytesMut,
    /// Where one is written before its size is known.
    scratch: Vec<u8>,
    /// How many came since the last look for what waits too long.
    fresh: usize,
}

enum Source {
    Ring,
    Spool(Position),
}

impl Sink {
    /// Opens the spool in `dir` (and finds there what an earlier process left); `None` = memory only.
    pub fn open(dir: Option<&Path>) -> io::Result<Self> {
        let spool = dir.map(|dir| Spool::open(dir, SPOOL_BYTES)).transpose()?;
        Ok(Self(Arc::new(Shared {
            ring: Mutex::default(),
            spool: Mutex::new(spool),
            arrived: Notify::new(),
            crowded: Notify::new(),
            out: AtomicBool::new(false),
            returned: Notify::new(),
            dropped: AtomicU64::new(0),
        })))
    }

    /// Takes one event in; constant time, never waits.
    pub fn offer(&self, event: &Event) {
        let length = {
            let mut ring = self.0.ring.lock();
            if ring.events.len() >= CAPACITY {
                ring.events.pop_front();
                self.0.dropped.fetch_add(1, Ordering::Relaxed);
            }
            ring.push(event);
            ring.events.len()
        };
        // Waking another thread costs more than all of the above, so it is done once per batch.
        if length == 1 || length == BATCH_READY {
            self.0.arrived.notify_one();
        }
        if length == SPILL_AT {
            self.0.crowded.notify_one();
        }
    }

    /// Waits for events and hands out up to `max`, the oldest first; from `hurry` on, as soon as there is one. One
    /// batch is out at a time.
    pub async fn take(&self, max: usize, hurry: &CancellationToken) -> Batch {
        while self.0.out.swap(true, Ordering::AcqRel) {
            self.0.returned.notified().await;
        }
        // From here on, being cancelled must clear `out`: the empty batch does so when it is dropped.
        let mut batch = Batch { events: Vec::new(), source: Source::Ring, sink: self.clone() };
        loop {
            if let Some((events, position)) = self.spooled(max) {
                batch.events = events;
                batch.source = Source::Spool(position);
                return batch;
            }
            let waiting = self.0.ring.lock().events.len();
            if waiting == 0 {
                self.0.arrived.notified().await;
                continue;
            }
            self.gathered(BATCH_READY.min(max), hurry).await;
            batch.events = self.0.ring.lock().take(max);
            if !batch.events.is_empty() {
                return batch;
            }
        }
    }

    /// Waits until so many events wait, or long enough, or for `hurry`.
    async fn gathered(&self, ready: usize, hurry: &CancellationToken) {
        let enough = async {
            // A notification may be left over of what was taken already.
            while self.0.ring.lock().events.len() < ready {
                self.0.arrived.notified().await;
            }
        };
        let _ = tokio::time::timeout(GATHER, hurry.run_until_cancelled(enough)).await;
    }

    /// Moves what waits too long into files, until `stop`; then everything that is left.
    pub async fn keep(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.0.crowded.notified() => self.spill(),
                () = tokio::time::sleep(LOOK_EVERY) => self.spill_old(),
            }
        }
    }

    /// Writes what is left in memory to a file and makes it durable. The last thing before the end.
    pub fn flush(&self) {
        self.spill();
        if let Some(spool) = self.0.spool.lock().as_mut()
            && let Err(error) = spool.sync()
        {
            error!(%error, "the spool could not be made durable");
        }
        let lost = self.0.ring.lock().events.len();
        if lost > 0 {
            error!(events = lost, "history could not be delivered or spooled before the end");
        }
    }

    /// How much waits now.
    pub fn depth(&self) -> Depth {
        let (spool_bytes, spool_dropped) =
            self.0.spool.lock().as_ref().map_or((0, 0), |spool| (spool.bytes(), spool.dropped()));
        let dropped = self.0.dropped.load(Ordering::Relaxed) + spool_dropped;
        Depth { ring: self.0.ring.lock().events.len(), spool_bytes, dropped }
    }

    fn spooled(&self, max: usize) -> Option<(Vec<Bytes>, Position)> {
        let mut spool = self.0.spool.lock();
        let found = spool.as_mut()?.read(max);
        found.inspect_err(|error| error!(%error, "the spool could not be read")).ok().flatten()
    }

    fn spill_old(&self) {
        let waits_since_the_last_look = {
            let mut ring = self.0.ring.lock();
            let fresh = std::mem::take(&mut ring.fresh);
            ring.events.len() > fresh
        };
        if waits_since_the_last_look {
            self.spill();
        }
    }

    fn spill(&self) {
        let mut spool = self.0.spool.lock();
        let Some(spool) = spool.as_mut() else { return };
        let events = self.0.ring.lock().take(usize::MAX);
        if events.is_empty() {
            return;
        }
        match spool.append(&events) {
            Ok(()) => info!(events = events.len(), "history waits in the spool"),
            Err(error) => {
                error!(%error, "the spool could not be written; history waits in memory");
                self.put_back(events);
            }
        }
        self.0.arrived.notify_one();
    }

    /// Puts events in front of those that came since; what does not fit is dropped, the oldest first.
    fn put_back(&self, events: Vec<Bytes>) {
        let mut ring = self.0.ring.lock();
        let room = CAPACITY.saturating_sub(ring.events.len());
        let lost = events.len().saturating_sub(room);
        self.0.dropped.fetch_add(lost as u64, Ordering::Relaxed);
        for event in events.into_iter().skip(lost).rev() {
            ring.events.push_front(event);
        }
    }
}

impl Ring {
    fn push(&mut self, event: &Event) {
        self.scratch.clear();
        event.write(&mut self.scratch);
        if self.piece.capacity() < self.scratch.len() {
            self.piece = BytesMut::with_capacity(PIECE.max(self.scratch.len()));
        }
        self.piece.extend_from_slice(&self.scratch);
        self.events.push_back(self.piece.split().freeze());
        self.fresh += 1;
    }

    fn take(&mut self, max: usize) -> Vec<Bytes> {
        let count = self.events.len().min(max);
        let events = self.events.drain(..count).collect();
        if self.events.is_empty() {
            // A burst's memory is given back.
            self.events = VecDeque::new();
        }
        events
    }
}

impl Batch {
    /// The events as the contract writes them, the oldest first; never empty.
    pub fn events(&self) -> &[Bytes] {
        &self.events
    }

    /// The controller has stored them: forget them here.
    pub fn stored(mut self) {
        self.events = Vec::new();
        if let Source::Spool(position) = &self.source
            && let Some(spool) = self.sink.0.spool.lock().as_mut()
        {
            spool.forget(position);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let events = std::mem::take(&mut self.events);
        match self.source {
            // The files still hold them.
            Source::Spool(_) => {}
            Source::Ring => self.sink.put_back(events),
        }
        self.sink.0.out.store(false, Ordering::Release);
        self.sink.0.returned.notify_one();
    }
}

#[cfg(test)]
pub(crate) mod example;
#[cfg(test)]
mod tests;
