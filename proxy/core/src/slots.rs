//! Concurrency and per-minute budgets of one account, as seen by this proxy.
//! Plain counters: acquiring and releasing are calls, the guard around them is the shell's.

use jiff::{SignedDuration, Timestamp};
use penstock_proto::snapshot::AccountLimits;

/// A minute, and one second more: what happened late in the oldest second is still within the minute.
const SECONDS: u8 = 61;

/// Why an account takes no further request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// As many requests as allowed are in flight.
    Concurrency,
    /// The requests or tokens of this minute are used up; room again at this instant.
    Minute(Timestamp),
}

/// Requests in flight and what was used in the last minute.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    in_flight: u32,
    // Only accounts with such a limit count.
    requests: Option<Box<Minute>>,
    tokens: Option<Box<Minute>>,
}

/// Amounts per second, over the last minute.
#[derive(Debug, Clone)]
struct Minute {
    amounts: [u64; SECONDS as usize],
    newest: i64,
}

impl Slots {
    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether another request may start.
    pub fn check(&self, limits: &AccountLimits, now: Timestamp) -> Result<(), Full> {
        if limits.max_concurrent_requests.is_some_and(|most| self.in_flight >= most) {
            return Err(Full::Concurrency);
        }
        let requests = limits.requests_per_minute.map(u64::from);
        let over = |used: &Option<Box<Minute>>, most: Option<u64>| {
            used.as_ref().zip(most).and_then(|(used, most)| used.room_at(most, now))
        };
        match over(&self.requests, requests).max(over(&self.tokens, limits.tokens_per_minute)) {
            Some(at) => Err(Full::Minute(at)),
            None => Ok(()),
        }
    }

    /// A request starts.
    pub fn acquire(&mut self, limits: &AccountLimits, now: Timestamp) {
        self.in_flight = self.in_flight.saturating_add(1);
        if limits.requests_per_minute.is_some() {
            self.requests.get_or_insert_default().add(1, now);
        }
        if limits.tokens_per_minute.is_some() {
            self.tokens.get_or_insert_default();
        }
    }

    /// A request is over.
    pub fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Tokens were used; counted only where they are limited.
    pub fn spent(&mut self, tokens: u64, now: Timestamp) {
        if let Some(minute) = &mut self.tokens {
            minute.add(tokens, now);
        }
    }
}

impl Default for Minute {
    fn default() -> Self {
        Self { amounts: [0; SECONDS as usize], newest: i64::MIN }
    }
}

impl Minute {
    fn add(&mut self, amount: u64, now: Timestamp) {
        let second = now.as_second();
        // Clears the seconds that nothing happened in; a clock that steps back adds to the newest.
        for old in self.newest.saturating_add(1).max(second - i64::from(SECONDS) + 1)..=second {
            self.amounts[index(old)] = 0;
        }
        self.newest = self.newest.max(second);
        let held = &mut self.amounts[index(self.newest)];
        *held = held.saturating_add(amount);
    }

    /// When less than `most` will have been used within a minute; `None` = it is so now.
    fn room_at(&self, most: u64, now: Timestamp) -> Option<Timestamp> {
        let oldest = now.as_second() - i64::from(SECONDS) + 1;
        let seconds = oldest.max(self.newest.saturating_sub(i64::from(SECONDS) - 1))..=self.newest;
        let mut used: u64 = seconds.clone().map(|second| self.amounts[index(second)]).sum();
        if used < most.max(1) {
            return None;
        }
        let freeing = seconds.into_iter().find(|second| {
            used -= self.amounts[index(*second)];
            used < most.max(1)
        });
        let at = Timestamp::from_second(freeing.unwrap_or(self.newest) + i64::from(SECONDS)).ok();
        at.or_else(|| now.checked_add(SignedDuration::from_mins(1)).ok())
    }
}

fn index(second: i64) -> usize {
    usize::try_from(second.rem_euclid(i64::from(SECONDS))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    #[test]
    fn no_more_requests_than_allowed_are_in_flight() {
        let limits = AccountLimits { max_concurrent_requests: Some(2), ..AccountLimits::default() };
        let mut slots = Slots::default();
        slots.acquire(&limits, at(0));
        assert_eq!(slots.check(&limits, at(0)), Ok(()));
        slots.acquire(&limits, at(0));
        assert_eq!(slots.check(&limits, at(0)), Err(Full::Concurrency));
        slots.release();
        assert_eq!(slots.check(&limits, at(0)), Ok(()));
    }

    #[test]
    fn no_more_requests_than_allowed_start_within_any_minute() {
        let limits = AccountLimits { requests_per_minute: Some(3), ..AccountLimits::default() };
        let mut slots = Slots::default();
        let mut started = Vec::new();
        for millis in (0..300_000).step_by(250) {
            if slots.check(&limits, at(millis)).is_ok() {
                slots.acquire(&limits, at(millis));
                slots.release();
                started.push(millis);
            }
        }
        assert!(started.windows(4).all(|four| four[3] - four[0] >= 60_000), "{started:?}");
        assert!(started.len() >= 12, "{started:?}");
    }

    #[test]
    fn tokens_are_counted_when_they_are_known_and_room_returns_at_the_instant_told() {
        let limits = AccountLimits { tokens_per_minute: Some(100), ..AccountLimits::default() };
        let mut slots = Slots::default();
        slots.acquire(&limits, at(0));
        slots.spent(60, at(0));
        slots.spent(60, at(5_000));
        let Err(Full::Minute(room)) = slots.check(&limits, at(6_000)) else { panic!("not full") };
        assert_eq!(room, at(61_000));
        assert!(slots.check(&limits, at(60_000)).is_err());
        assert_eq!(slots.check(&limits, room), Ok(()));
    }
}
