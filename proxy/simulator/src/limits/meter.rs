//! One window: it starts with the first request, counts, and ends after its length.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Quota;

/// A window that counts.
#[derive(Debug, Clone)]
pub struct Meter {
    quota: Quota,
    length: Duration,
    /// Whole second at which the running window ends; `None` before the first request.
    resets_at: Option<Timestamp>,
    requests: u64,
    tokens: u64,
}

/// A window at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// What may be spent.
    pub quota: Quota,
    /// Requests counted.
    pub requests: u64,
    /// Tokens counted.
    pub tokens: u64,
    /// The fuller of both, as a fraction; 0 when nothing is limited, may exceed 1.
    pub utilization: f64,
    /// When it starts anew; an unstarted window would end its whole length from now.
    pub resets_at: Timestamp,
}

impl Meter {
    pub(super) fn new(quota: Quota, length: Duration) -> Self {
        Self { quota, length, resets_at: None, requests: 0, tokens: 0 }
    }

    pub(super) fn reset(&mut self) {
        (self.resets_at, self.requests, self.tokens) = (None, 0, 0);
    }

    /// When it serves again, if it is full at `now`.
    pub(super) fn refuses_until(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.roll(now);
        let full = |used: u64, limit: Option<u64>| limit.is_some_and(|limit| used >= limit);
        let is_full = full(self.requests, self.quota.requests) || full(self.tokens, self.quota.tokens);
        is_full.then(|| self.resets_at.unwrap_or_else(|| self.end_from(now)))
    }

    pub(super) fn charge(&mut self, now: Timestamp, tokens: u64) {
        if self.resets_at.is_none() {
            self.resets_at = Some(self.end_from(now));
        }
        self.requests += 1;
        self.tokens += tokens;
    }

    /// Its state at `now`.
    pub fn read(&self, now: Timestamp) -> Reading {
        let mut current = self.clone();
        current.roll(now);
        Reading {
            quota: current.quota,
            requests: current.requests,
            tokens: current.tokens,
            utilization: fraction(current.requests, current.quota.requests)
                .max(fraction(current.tokens, current.quota.tokens)),
            resets_at: current.resets_at.unwrap_or_else(|| current.end_from(now)),
        }
    }

    fn roll(&mut self, now: Timestamp) {
        if self.resets_at.is_some_and(|end| end <= now) {
            self.reset();
        }
    }

    /// Rounded up to a whole second, because that is how a reset is announced: a client that comes back at
    /// the announced time is served.
    fn end_from(&self, now: Timestamp) -> Timestamp {
        let length = SignedDuration::try_from(self.length).unwrap_or(SignedDuration::from_hours(24 * 365));
        now.saturating_add(length).ok().map_or(Timestamp::MAX, round_up)
    }
}

/// The next whole second, or `at` itself if it is one.
pub(crate) fn round_up(at: Timestamp) -> Timestamp {
    let second = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a utilisation needs no more than 52 bits")]
fn fraction(used: u64, limit: Option<u64>) -> f64 {
    limit.map_or(0.0, |limit| used as f64 / limit.max(1) as f64)
}
