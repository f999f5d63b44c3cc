//! One worker's open connections, by origin.
//! Never hands out a connection that it can see is closed; never waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use penstock_proxy_core::id_map::IdMap;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use super::http1::wire::Wire;
use super::http2::Http2;
use super::target::{Origin, Scheme, Versions};

/// Shorter than the idle limit of the load balancers before the usual servers (60 s at AWS, 75 s at nginx), so that we
/// close first and seldom meet a connection that is just being closed.
const MAX_IDLE: Duration = Duration::from_secs(55);
/// Idle connections per origin and worker: a burst of agents that comes back after its tools have run. An idle one
/// costs half a KiB (plaintext) to some ten KiB (TLS).
const MAX_IDLE_COUNT: usize = 128;

/// What one worker has open.
#[derive(Default)]
pub(crate) struct Pool {
    // Only its worker uses it, so the lock is never contended; it is what makes futures `Send`.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    slots: IdMap<Arc<Origin>, Slot>,
    counts: Counts,
}

/// How connections were used since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections opened.
    pub opened: u64,
    /// Requests sent on a connection that was open already.
    pub reused: u64,
    /// Requests sent again because the connection they were sent on had been closed meanwhile.
    pub stale: u64,
}

#[derive(Default)]
struct Slot {
    /// Oldest first; used from the back, so that surplus ones grow old.
    idle: VecDeque<Idle>,
    http2: Vec<Shared>,
    /// A first connection is being opened; others wait to see whether it can be shared.
    opening: Option<Arc<Notify>>,
    /// The origin chose HTTP/1.1 last time, so there is nothing to wait for.
    chose_http1: bool,
}

struct Idle {
    wire: Box<Wire>,
    since: Instant,
}

struct Shared {
    connection: Http2,
    /// Since when no stream has been seen on it.
    idle_since: Option<Instant>,
}

/// Where a connection came from and goes back to.
pub(crate) struct Home {
    pub(crate) pool: Arc<Pool>,
    pub(crate) origin: Arc<Origin>,
}

/// An open connection to send on.
pub(crate) enum Open {
    Http1(Box<Wire>),
    Http2(Http2),
}

/// Whether to open a connection now.
pub(crate) enum Turn {
    /// Yes; the guard tells those who wait when it is done.
    Open(Opening),
    /// Somebody does, and it may become one to share.
    Wait(OwnedNotified),
}

/// A connection is being opened.
pub(crate) struct Opening(Option<(Arc<Pool>, Arc<Origin>)>);

impl Pool {
    /// An open connection to this origin. `unreplayable`: none that may turn out to have been closed meanwhile (an idle
    /// HTTP/1.1 one); an HTTP/2 one says what it has not processed.
    pub(crate) fn take(&self, origin: &Origin, unreplayable: bool) -> Option<Open> {
        let mut inner = self.inner.lock();
        let slot = inner.slots.get_mut(origin)?;
        let open = slot.take_shared().or_else(|| if unreplayable { None } else { slot.take_idle() })?;
        inner.counts.reused += 1;
        Some(open)
    }

    /// Whether to open a connection, or to wait for one that somebody else opens.
    pub(crate) fn turn(self: &Arc<Self>, origin: &Arc<Origin>) -> Turn {
        let may_share = origin.versions == Versions::Http2
            || (origin.versions == Versions::Negotiated && origin.scheme == Scheme::Https);
        if !may_share {
            return Turn::Open(Opening::alone());
        }
        let mut inner = self.inner.lock();
        let slot = inner.slots.entry(Arc::clone(origin)).or_default();
        match &slot.opening {
            _ if slot.chose_http1 => Turn::Open(Opening::alone()),
            Some(opening) => Turn::Wait(Arc::clone(opening).notified_owned()),
            None => {
                slot.opening = Some(Arc::default());
                Turn::Open(Opening(Some((Arc::clone(self), Arc::clone(origin)))))
            }
        }
    }

    /// A connection was opened. An HTTP/2 one is shared from now on.
    pub(crate) fn opened(&self, origin: &Arc<Origin>, open: &Open) {
        let mut inner = self.inner.lock();
        inner.counts.opened += 1;
        let slot = inner.slots.entry(Arc::clone(origin)).or_default();
        slot.chose_http1 = matches!(open, Open::Http1(_));
        if let Open::Http2(connection) = open {
            slot.http2.push(Shared { connection: connection.clone(), idle_since: None });
        }
    }

    /// A request is sent again because its connection was stale.
    pub(crate) fn count_stale(&self) {
        self.inner.lock().counts.stale += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.inner.lock().counts
    }

    /// Connections ready to be used at once; one that can be shared counts as any number.
    pub(crate) fn ready(&self, origin: &Origin) -> usize {
        let inner = self.inner.lock();
        let Some(slot) = inner.slots.get(origin) else { return 0 };
        if slot.http2.iter().any(|shared| shared.connection.has_room()) {
            usize::MAX
        } else {
            slot.idle.len()
        }
    }

    /// Closes what has been idle too long or was closed by its peer, and forgets origins with nothing open.
    pub(crate) fn sweep(&self, now: Instant) {
        self.inner.lock().slots.retain(|_, slot| {
            slot.idle.retain_mut(|idle| idle.is_usable(now));
            slot.http2.retain_mut(|shared| shared.is_usable(now));
            !slot.idle.is_empty() || !slot.http2.is_empty() || slot.opening.is_some()
        });
    }

    fn put(&self, origin: Arc<Origin>, mut wire: Box<Wire>) {
        wire.rest();
        let now = Instant::now();
        let mut inner = self.inner.lock();
        let slot = inner.slots.entry(origin).or_default();
        let is_old = |idle: &Idle| now.duration_since(idle.since) > MAX_IDLE;
        while slot.idle.len() >= MAX_IDLE_COUNT || slot.idle.front().is_some_and(is_old) {
            slot.idle.pop_front();
        }
        slot.idle.push_back(Idle { wire, since: now });
    }
}

impl Slot {
    fn take_idle(&mut self) -> Option<Open> {
        let now = Instant::now();
        while let Some(mut idle) = self.idle.pop_back() {
            if idle.is_usable(now) {
                return Some(Open::Http1(idle.wire));
            }
        }
        None
    }

    fn take_shared(&mut self) -> Option<Open> {
        self.http2.retain(|shared| !shared.connection.is_closed());
        let shared = self.http2.iter_mut().find(|shared| shared.connection.has_room())?;
        shared.idle_since = None;
        Some(Open::Http2(shared.connection.clone()))
    }
}

impl Idle {
    fn is_usable(&mut self, now: Instant) -> bool {
        now.duration_since(self.since) <= MAX_IDLE && self.wire.io.is_quiet()
    }
}

impl Shared {
    fn is_usable(&mut self, now: Instant) -> bool {
        if self.connection.is_in_use() {
            self.idle_since = None;
        }
        let is_kept = self.connection.is_in_use()
            || now.duration_since(*self.idle_since.get_or_insert(now)) <= MAX_IDLE;
        is_kept && !self.connection.is_closed()
    }
}

impl Opening {
    /// One that nobody waits for.
    pub(crate) fn alone() -> Self {
        Self(None)
    }
}

impl Home {
    /// Keeps the connection for the next request.
    pub(crate) fn give_back(self, wire: Box<Wire>) {
        self.pool.put(self.origin, wire);
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some((pool, origin)) = self.0.take()
            && let Some(slot) = pool.inner.lock().slots.get_mut(&*origin)
            && let Some(opening) = slot.opening.take()
        {
            opening.notify_waiters();
        }
    }
}
