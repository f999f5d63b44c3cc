//! The simulated providers, and what a run is made of.

use jiff::{SignedDuration, Timestamp};
use rand::Rng;

use crate::support::answers::Answer;
use penstock_proxy_core::classify::TransportError;

/// What is simulated.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) accounts: usize,
    /// Requests that an account's window takes.
    pub(crate) window_quota: u32,
    /// Conversations that ask one request after the other.
    pub(crate) clients: u64,
    pub(crate) proxies: usize,
    pub(crate) length: SignedDuration,
    pub(crate) faults: Faults,
    /// Whether the last account never fails nor fills.
    pub(crate) healthy_last: bool,
    pub(crate) seed: u64,
}

/// How often a request meets a fault, 0–1.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) overloaded: f64,
    pub(crate) server_fault: f64,
    pub(crate) unreachable: f64,
    /// A 429 that says nothing.
    pub(crate) refused: f64,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) served: usize,
    pub(crate) per_account: Vec<usize>,
    pub(crate) refused: usize,
    pub(crate) given_up: usize,
    pub(crate) served_after_giving_up: usize,
    /// Requests sent to an account after any proxy saw its refusal and before its reset.
    pub(crate) sent_to_limited: usize,
    /// The same, later than the push to the other proxies takes.
    pub(crate) sent_to_limited_after_push: usize,
    pub(crate) moves: usize,
}

/// One simulated account: a 5-hour window that fills by requests, shortened to ten minutes.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    quota: u32,
    used: u32,
    resets_at: Option<Timestamp>,
    faults: Faults,
    /// Since when every proxy could know that it is limited, until its reset.
    pub(crate) refused: Option<(Timestamp, Timestamp)>,
}

/// Length of the simulated window.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);

impl Default for Plan {
    fn default() -> Self {
        Self {
            accounts: 3,
            window_quota: 100,
            clients: 10,
            proxies: 1,
            length: SignedDuration::from_mins(45),
            faults: Faults::default(),
            healthy_last: false,
            seed: 0,
        }
    }
}

impl Provider {
    pub(crate) fn all(plan: &Plan) -> Vec<Self> {
        let one = |n: usize| {
            let healthy = plan.healthy_last && n + 1 == plan.accounts;
            Self {
                quota: if healthy { u32::MAX } else { plan.window_quota },
                used: 0,
                resets_at: None,
                faults: if healthy { Faults::default() } else { plan.faults },
                refused: None,
            }
        };
        (0..plan.accounts).map(one).collect()
    }

    /// A request arrives.
    pub(crate) fn answer(&mut self, now: Timestamp, rng: &mut impl Rng) -> Answer {
        if self.resets_at.is_none_or(|reset| reset <= now) {
            // Resets are told, and happen, in whole seconds.
            let reset = Timestamp::from_second((now + WINDOW).as_second()).ok();
            (self.used, self.resets_at) = (0, reset);
        }
        let reset = self.resets_at.unwrap_or(now);
        if self.used >= self.quota {
            return Answer::window_rejected_until("5h", reset);
        }
        let Faults { overloaded, server_fault, unreachable, refused } = self.faults;
        let lot: f64 = rng.random();
        if lot < overloaded {
            Answer::status(529, "overloaded_error", "Overloaded")
        } else if lot < overloaded + server_fault {
            Answer::status(500, "api_error", "Internal server error")
        } else if lot < overloaded + server_fault + unreachable {
            Answer::Failure(TransportError::Reset)
        } else if lot < overloaded + server_fault + unreachable + refused {
            Answer::status(429, "rate_limit_error", "Error")
        } else {
            self.used += 1;
            let used = f64::from(self.used) / f64::from(self.quota);
            Answer::ok()
                .header("anthropic-ratelimit-unified-5h-status", "allowed")
                .header("anthropic-ratelimit-unified-5h-utilization", &used.to_string())
                .header("anthropic-ratelimit-unified-5h-reset", &reset.as_second().to_string())
        }
    }
}
