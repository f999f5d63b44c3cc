//! How long to wait before trying again, and each provider host's circuit breaker.
//! Pure: chance is an argument.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use rand::Rng;

/// A wait this short is waited out on the same account: moving would lose the prompt cache.
pub const ABSORB: SignedDuration = SignedDuration::from_secs(2);
/// First pause after an overload; the next is longer. Longer than a provider's own load shedding takes.
pub const OVERLOAD_FIRST: SignedDuration = SignedDuration::from_millis(750);
/// Longest pause after an overload: people wait for the first token.
pub const OVERLOAD_LONGEST: SignedDuration = SignedDuration::from_secs(3);
/// Longest pause after a 429 that says nothing: long enough to leave a burst behind.
pub const WINDOWLESS_LONGEST: SignedDuration = SignedDuration::from_millis(500);
/// How often a request goes on to another account after a provider's failure: it is seldom the account.
pub const SERVER_FAULTS: u32 = 2;
/// No wait is shorter, so that a loop of waits ends.
pub const SHORTEST_WAIT: SignedDuration = SignedDuration::from_millis(10);

/// Failures within [`BREAKER_WITHIN`] that open the breaker.
pub const BREAKER_FAILURES: usize = 5;
/// See [`BREAKER_FAILURES`].
pub const BREAKER_WITHIN: SignedDuration = SignedDuration::from_secs(30);
/// How long an open breaker keeps requests away.
pub const BREAKER_OPEN: SignedDuration = SignedDuration::from_secs(10);
/// A probe that was never reported (it cannot be; but then the breaker would stay closed to all).
const PROBE_LOST: SignedDuration = SignedDuration::from_mins(15);

/// What is random in waiting: full jitter, so that many who wait do not come back at once.
pub fn overload_pause(retry: u32, rng: &mut impl Rng) -> SignedDuration {
    let longest = OVERLOAD_FIRST.saturating_mul(1 << retry.min(10)).min(OVERLOAD_LONGEST);
    jittered(longest, rng)
}

/// The pause after a 429 without any limits.
pub fn windowless_pause(rng: &mut impl Rng) -> SignedDuration {
    jittered(WINDOWLESS_LONGEST, rng)
}

fn jittered(longest: SignedDuration, rng: &mut impl Rng) -> SignedDuration {
    let longest = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
    SignedDuration::from_millis(rng.random_range(0..=longest)).max(SHORTEST_WAIT)
}

/// Whether a provider's host answers. Local to this proxy: another's network is not ours.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    failures: VecDeque<Timestamp>,
    open_until: Option<Timestamp>,
    probing_since: Option<Timestamp>,
}

/// What a breaker says to one more request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Go.
    Closed,
    /// Go, as the one that finds out.
    Probe,
    /// Stay away until then.
    Open(Timestamp),
}

impl Breaker {
    /// Whether a request may go.
    pub fn admits(&self, now: Timestamp) -> Admission {
        match (self.open_until, self.probing_since) {
            (None, _) => Admission::Closed,
            (Some(until), _) if now < until => Admission::Open(until),
            (Some(_), Some(since)) if now.duration_since(since) < PROBE_LOST => {
                Admission::Open(now.checked_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX))
            }
            (Some(_), _) => Admission::Probe,
        }
    }

    /// A probe was sent.
    pub fn probe(&mut self, now: Timestamp) {
        self.probing_since = Some(now);
    }

    /// The host answered: whatever it said, it is there.
    pub fn succeeded(&mut self) {
        self.failures.clear();
        self.open_until = None;
        self.probing_since = None;
    }

    /// The host failed, or was not reached.
    pub fn failed(&mut self, was_probe: bool, now: Timestamp) {
        self.failures.retain(|at| now.duration_since(*at) < BREAKER_WITHIN);
        self.failures.push_back(now);
        if was_probe || (self.open_until.is_none() && self.failures.len() >= BREAKER_FAILURES) {
            self.open_until = now.checked_add(BREAKER_OPEN).ok();
            self.probing_since = None;
            self.failures.clear();
        }
    }

    /// A probe ended without an answer, because its client left: another may try.
    pub fn abandon_probe(&mut self) {
        self.probing_since = None;
    }

    /// Whether it keeps nothing that matters.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        let old = |at: &Timestamp| now.duration_since(*at) >= BREAKER_WITHIN;
        self.open_until.is_none() && self.failures.iter().all(old)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn five_failures_in_thirty_seconds_open_it_for_ten() {
        let mut breaker = Breaker::default();
        for second in [0, 5, 10, 29] {
            breaker.failed(false, at(second));
        }
        assert_eq!(breaker.admits(at(29)), Admission::Closed);
        breaker.failed(false, at(30));
        assert_eq!(breaker.admits(at(30)), Admission::Closed, "the first failure is too old to count");
        breaker.failed(false, at(31));
        assert_eq!(breaker.admits(at(31)), Admission::Open(at(41)));
    }

    #[test]
    fn one_probe_decides_whether_it_closes() {
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| breaker.failed(false, at(0)));
        assert_eq!(breaker.admits(at(10)), Admission::Probe);
        breaker.probe(at(10));
        assert!(matches!(breaker.admits(at(11)), Admission::Open(_)), "one probe at a time");
        breaker.failed(true, at(12));
        assert_eq!(breaker.admits(at(12)), Admission::Open(at(22)));
        breaker.probe(at(22));
        breaker.abandon_probe();
        assert_eq!(breaker.admits(at(23)), Admission::Probe);
        breaker.succeeded();
        assert_eq!(breaker.admits(at(23)), Admission::Closed);
    }

    #[test]
    fn a_late_failure_of_an_older_request_does_not_prolong_an_open_breaker() {
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| breaker.failed(false, at(0)));
        (0..9).for_each(|_| breaker.failed(false, at(9)));
        assert_eq!(breaker.admits(at(10)), Admission::Probe);
    }

    #[test]
    fn pauses_are_jittered_within_their_bounds() {
        let mut rng = SmallRng::seed_from_u64(7);
        let mut seen = Vec::new();
        for retry in 0..4 {
            for _ in 0..200 {
                let pause = overload_pause(retry, &mut rng);
                assert!(pause <= OVERLOAD_LONGEST && pause >= SHORTEST_WAIT);
                assert!(retry > 0 || pause <= OVERLOAD_FIRST);
                seen.push(pause);
            }
        }
        assert!(seen.iter().any(|pause| *pause > OVERLOAD_FIRST));
        assert!((0..99).all(|_| windowless_pause(&mut rng) <= WINDOWLESS_LONGEST));
    }
}
