//! The proxy's own, changing knowledge of its accounts, and what of it is to be reported.
//! The shell puts it behind one mutex, held for microseconds: nothing here waits or computes for long.

use jiff::Timestamp;
use penstock_proto::ids::AccountId;
use penstock_proto::observation::Observation;

use crate::view::View;

/// Everything that changes with requests.
#[derive(Debug, Default)]
pub struct Live {}

/// A request's hold on an account, from being chosen to its last byte. Give it back with
/// [`Live::release`], however the request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a ticket that is not given back occupies a slot for ever"]
pub struct Ticket {
    /// Which account.
    pub account: AccountId,
    pub(crate) host: std::sync::Arc<str>,
    pub(crate) probe: bool,
}

impl Live {
    /// Takes in a new snapshot's states; forgets accounts that are gone and limits that have ended.
    pub fn apply_snapshot(&mut self, _view: &View, _now: Timestamp) {
        todo!()
    }

    /// Takes in something learned of an account.
    pub fn observe(&mut self, _observation: &Observation, _now: Timestamp) {
        todo!()
    }

    /// Gives back a slot.
    pub fn release(&mut self, _ticket: Ticket, _now: Timestamp) {
        todo!()
    }

    /// Counts tokens against the account's per-minute budget.
    pub fn spent(&mut self, _account: &AccountId, _tokens: u64, _now: Timestamp) {
        todo!()
    }
}
