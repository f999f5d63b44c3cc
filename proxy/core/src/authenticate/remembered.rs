//! Tokens that were verified, so that a caller's next request costs one look-up. Bounded: of those that
//! were not used for longest, half are forgotten at once, which costs their callers one verification.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::token::{Issuers, Verified};
use super::{Digest, Identity};

/// Tokens kept at most, some 300 bytes each: a gateway of the largest cluster (150,000 pods) sees fewer in
/// the hour that a token lives, and whoever comes back after being forgotten is verified again.
const CAPACITY: usize = 16_384;

/// Verified tokens by digest. What one set of keys verified says nothing under another.
#[derive(Debug, Default)]
pub struct Remembered {
    issuers: Arc<Issuers>,
    /// Used since the last turn, and those used before.
    recent: HashMap<Digest, Verified>,
    older: HashMap<Digest, Verified>,
}

impl Remembered {
    /// Whose token it is, if it was verified with these keys and has not ended.
    pub fn get(&mut self, issuers: &Arc<Issuers>, digest: &Digest, now: Timestamp) -> Option<Arc<Identity>> {
        self.keys_are(issuers);
        if let Some(found) = self.recent.get(digest) {
            return (now < found.until).then(|| Arc::clone(&found.identity));
        }
        let found = self.older.remove(digest).filter(|found| now < found.until)?;
        let identity = Arc::clone(&found.identity);
        self.keep(*digest, found);
        Some(identity)
    }

    /// Remembers a token that was verified with these keys.
    pub fn put(&mut self, issuers: &Arc<Issuers>, digest: Digest, verified: Verified) {
        self.keys_are(issuers);
        self.keep(digest, verified);
    }

    fn keep(&mut self, digest: Digest, verified: Verified) {
        if self.recent.len() >= CAPACITY / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(digest, verified);
    }

    fn keys_are(&mut self, issuers: &Arc<Issuers>) {
        // A view shares them with the one before unless they changed.
        if !Arc::ptr_eq(&self.issuers, issuers) {
            *self = Self { issuers: Arc::clone(issuers), ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use penstock_proto::event::Caller;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn verified() -> Verified {
        let identity = Arc::new(Identity::new(Caller::default(), "llm", None).unwrap());
        Verified { identity, until: at(100) }
    }

    fn digest(number: usize) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        digest
    }

    #[test]
    fn a_token_is_known_until_it_ends_or_the_keys_change() {
        let (mut remembered, issuers) = (Remembered::default(), Arc::<Issuers>::default());
        remembered.put(&issuers, digest(1), verified());
        assert!(remembered.get(&issuers, &digest(1), at(99)).is_some());
        assert!(remembered.get(&issuers, &digest(2), at(99)).is_none());
        assert!(remembered.get(&issuers, &digest(1), at(100)).is_none());
        let next = Arc::<Issuers>::default();
        assert!(remembered.get(&next, &digest(1), at(99)).is_none(), "its key may be the one that is gone");
    }

    #[test]
    fn what_is_used_stays_and_there_is_never_more_than_there_is_room_for() {
        let (mut remembered, issuers) = (Remembered::default(), Arc::<Issuers>::default());
        for number in 0..3 * CAPACITY {
            remembered.put(&issuers, digest(number), verified());
            assert!(remembered.get(&issuers, &digest(0), at(0)).is_some(), "{number}");
            assert!(remembered.recent.len() + remembered.older.len() <= CAPACITY);
        }
        assert!(remembered.get(&issuers, &digest(1), at(0)).is_none());
    }
}
