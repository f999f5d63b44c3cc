//! What somebody else said of something, kept as long as it counts: asked for once at a time however many want to know,
//! and in bounded room. Never decides how long an answer counts.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use penstock_controller_core::access::{Refusal, Said};
use penstock_controller_core::identity::{Reviewed, Worth};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tracing::debug;

use crate::metrics::Asked;
use crate::reconcile::Clock;

/// Questions asked at the same time: a fleet that reconnects does not crowd out the API server's other callers.
const AT_ONCE: usize = 32;
/// For one question, and for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A longer token is none of an API server, and nothing to bother it with.
pub(crate) const LONGEST_TOKEN: usize = 16 << 10;

/// Something that was said.
pub(crate) trait Answer: Clone {
    /// What it is worth at `now`.
    fn worth(&self, now: Timestamp) -> Worth;
}

/// What was said of each.
pub(crate) struct Known<K, V> {
    capacity: usize,
    clock: Clock,
    turns: Semaphore,
    slots: Mutex<HashMap<K, Arc<Slot<V>>>>,
    asked: Asked,
}

/// One question. Whoever holds the lock asks; the others wait for the answer.
type Slot<V> = tokio::sync::Mutex<Option<V>>;

/// What a token goes by where it must not be kept.
pub(crate) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl<K: Eq + Hash, V: Answer> Known<K, V> {
    /// Nothing yet; at most so many.
    pub(crate) fn new(capacity: usize, clock: Clock, asked: Asked) -> Self {
        Self { capacity, clock, turns: Semaphore::new(AT_ONCE), slots: Mutex::default(), asked }
    }

    /// What is known of `key`, else what `ask` says.
    ///
    /// # Errors
    /// If nobody can say now, and nothing that was said counts any more.
    pub(crate) async fn get(
        &self,
        key: K,
        ask: impl Future<Output = Result<V, anyhow::Error>>,
    ) -> Result<V, anyhow::Error> {
        let slot = self.slot(key);
        let mut held = slot.lock().await;
        let worth = held.as_ref().map_or(Worth::Nothing, |said| said.worth((self.clock)()));
        if let Some(said) = held.as_ref().filter(|_| worth == Worth::Counts) {
            self.asked.known();
            return Ok(said.clone());
        }
        match (self.ask(ask).await, held.as_ref()) {
            (Ok(said), _) => {
                self.asked.answered();
                *held = Some(said.clone());
                Ok(said)
            }
            (Err(error), Some(spare)) if worth == Worth::Spare => {
                self.asked.failed();
                debug!(%error, "nobody can be asked again now; what was said last counts on");
                Ok(spare.clone())
            }
            (Err(error), _) => {
                self.asked.failed();
                Err(error)
            }
        }
    }

    async fn ask(&self, ask: impl Future<Output = Result<V, anyhow::Error>>) -> Result<V, anyhow::Error> {
        let asked = async {
            let _turn = self.turns.acquire().await?;
            ask.await
        };
        tokio::time::timeout(PATIENCE, asked).await?
    }

    fn slot(&self, key: K) -> Arc<Slot<V>> {
        let mut slots = self.slots.lock();
        if slots.len() >= self.capacity && !slots.contains_key(&key) {
            self.make_room(&mut slots);
        }
        Arc::clone(slots.entry(key).or_default())
    }

    /// Forgets what is worth nothing, then what is easiest to ask for again; what is being asked for stays.
    fn make_room(&self, slots: &mut HashMap<K, Arc<Slot<V>>>) {
        let now = (self.clock)();
        let worth = |slot: &Slot<V>| match slot.try_lock() {
            Ok(held) => held.as_ref().map_or(Worth::Nothing, |said| said.worth(now)),
            Err(_) => Worth::Counts,
        };
        slots.retain(|_, slot| worth(slot) != Worth::Nothing);
        if slots.len() >= self.capacity {
            let mut kept = 0;
            slots.retain(|_, slot| {
                kept += usize::from(kept < self.capacity / 2);
                kept < self.capacity / 2 || slot.try_lock().is_err()
            });
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.lock().len()
    }
}

impl Answer for Reviewed {
    fn worth(&self, now: Timestamp) -> Worth {
        Self::worth(self, now)
    }
}

impl<T: Clone + Refusal> Answer for Said<T> {
    fn worth(&self, now: Timestamp) -> Worth {
        Self::worth(self, now)
    }
}
