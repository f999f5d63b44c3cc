//! The proxy's own, changing knowledge of its accounts, and what of it is to be reported.
//! The shell puts it behind one mutex, held for microseconds: nothing here waits or computes for long.

mod account;
mod report;

use std::sync::Arc;

use jiff::Timestamp;
use penstock_proto::ids::AccountId;
use penstock_proto::limits::Limits;
use penstock_proto::observation::Observation;

use crate::affinity::Sessions;
use crate::classify::{Outcome, Verdict};
use crate::id_map::IdMap;
use crate::limits::Windows;
use crate::pool::Candidate;
use crate::retry::{Admission, Breaker};
use crate::view::View;
pub(crate) use account::LiveAccount;

/// Everything that changes with requests.
#[derive(Debug, Default)]
pub struct Live {
    accounts: IdMap<AccountId, LiveAccount>,
    breakers: IdMap<Arc<str>, Breaker>,
    pub(crate) sessions: Sessions,
}

/// A request's hold on an account, from being chosen to its last byte. Give it back with
/// [`Live::release`], however the request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a ticket that is not given back occupies a slot for ever"]
pub struct Ticket {
    /// Which account.
    pub account: AccountId,
    pub(crate) host: Arc<str>,
    pub(crate) probe: bool,
}

/// What one attempt was, to learn from its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) candidate: &'a Candidate,
    pub(crate) model: &'a str,
    pub(crate) at: Timestamp,
    pub(crate) probe: bool,
}

impl Live {
    /// Takes in a new snapshot's states; forgets accounts that are gone and limits that have ended.
    pub fn apply_snapshot(&mut self, view: &View, now: Timestamp) {
        self.accounts.retain(|id, _| view.candidate(id).is_some());
        for candidate in view.candidates() {
            self.accounts.entry(candidate.id().clone()).or_default().apply(candidate, now);
        }
        self.breakers.retain(|_, breaker| !breaker.is_idle(now));
    }

    /// Takes in something learned of an account.
    pub fn observe(&mut self, observation: &Observation, now: Timestamp) {
        if let Some(account) = self.accounts.get_mut(&observation.account) {
            account.observe(observation, now);
        }
    }

    /// Takes in windows that an account told of in the middle of an answer. Returns what the controller is
    /// to know now.
    pub fn learn_windows(
        &mut self,
        account: &AccountId,
        windows: &Windows,
        now: Timestamp,
    ) -> Option<Observation> {
        self.accounts.get_mut(account)?.learn_windows(account, windows, now)
    }

    /// Gives back a slot.
    pub fn release(&mut self, ticket: Ticket, now: Timestamp) {
        let Ticket { account, host, probe } = ticket;
        if let Some(account) = self.accounts.get_mut(&account) {
            account.release(now);
        }
        // A probe that has been answered has no breaker any more, or an open one.
        if probe && let Some(breaker) = self.breakers.get_mut(&host) {
            breaker.abandon_probe();
        }
    }

    /// Counts tokens against the account's per-minute budget.
    pub fn spent(&mut self, account: &AccountId, tokens: u64, now: Timestamp) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.slots.spent(tokens, now);
        }
    }

    /// An account's limits: the pushed ones joined with this proxy's own.
    pub fn limits(&self, account: &AccountId) -> Option<&Limits> {
        self.accounts.get(account).map(|account| &account.limits)
    }

    /// Requests in flight on an account.
    pub fn in_flight(&self, account: &AccountId) -> u32 {
        self.accounts.get(account).map_or(0, |account| account.slots.in_flight())
    }

    /// Conversations whose account is remembered.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn account(&self, id: &AccountId) -> Option<&LiveAccount> {
        self.accounts.get(id)
    }

    /// Whether an account's host takes a request.
    pub(crate) fn admits(&self, host: &str, now: Timestamp) -> Admission {
        // Nearly always there is none.
        if self.breakers.is_empty() {
            return Admission::Closed;
        }
        self.breakers.get(host).map_or(Admission::Closed, |breaker| breaker.admits(now))
    }

    /// Takes a slot. `lost_at`: since when the account is gone that this one takes over from.
    pub(crate) fn acquire(
        &mut self,
        candidate: &Candidate,
        lost_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Ticket {
        let probe = self.admits(&candidate.host, now) == Admission::Probe;
        if probe && let Some(breaker) = self.breakers.get_mut(&candidate.host) {
            breaker.probe(now);
        }
        let account = self.accounts.entry(candidate.id().clone()).or_default();
        if let Some(lost_at) = lost_at {
            account.take_over(lost_at, now);
        }
        account.slots.acquire(&candidate.account.limits, now);
        Ticket { account: candidate.id().clone(), host: Arc::clone(&candidate.host), probe }
    }

    /// Learns from the end of an attempt. Returns what the controller is to know now.
    pub(crate) fn learn(&mut self, sent: Sent<'_>, verdict: &Verdict, now: Timestamp) -> Option<Observation> {
        self.judge_host(&sent, &verdict.outcome, now);
        let account = self.accounts.entry(sent.candidate.id().clone()).or_default();
        account.learn(&sent, verdict, now)
    }

    fn judge_host(&mut self, sent: &Sent<'_>, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Outcome::ServerFault | Outcome::Unreachable(_) => {
                let breaker = self.breakers.entry(Arc::clone(&sent.candidate.host)).or_default();
                breaker.failed(sent.probe, now);
            }
            Outcome::ClientLeft => {}
            // Nearly always there is none.
            _ if self.breakers.is_empty() => {}
            _ => drop(self.breakers.remove(&sent.candidate.host)),
        }
    }
}
