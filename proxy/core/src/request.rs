//! What is asked for, and what of it remains to be tried.

use jiff::Timestamp;
use penstock_proto::dialect::Dialect;
use penstock_proto::ids::{AccountId, PoolId};

use crate::affinity::SessionKey;
use crate::pool::Candidate;
use crate::route::{Operation, Selector};

/// The facts of a request that decide where it goes.
#[derive(Debug, Clone)]
pub struct Request {
    /// The caller's pool.
    pub pool: PoolId,
    /// The client's format.
    pub dialect: Option<Dialect>,
    /// What is asked.
    pub operation: Operation,
    /// Whose accounts may serve ([`crate::route::Route::resolve`]).
    pub selector: Selector,
    /// Model asked for, without prefix; empty = none.
    pub model: String,
    /// Its conversation.
    pub session: Option<SessionKey>,
    /// The only account to use: name or `namespace/name`.
    pub forced: Option<String>,
    /// Providers not to be used.
    pub exclude_providers: Vec<String>,
    /// Whether the body is kept, so that it can be sent again.
    pub replayable: bool,
    /// When to give up.
    pub deadline: Timestamp,
}

/// What is not to be tried again in this request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) account: AccountId,
    /// `None` = the account as a whole.
    pub(crate) model: Option<String>,
    /// `None` = for good.
    pub(crate) until: Option<Timestamp>,
}

/// One step of the plan: accounts and a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leg<'a> {
    /// The only account of this step.
    pub(crate) account: Option<&'a AccountId>,
    pub(crate) selector: &'a Selector,
    pub(crate) model: &'a str,
}

impl Tried {
    /// Whether this model of this account is ruled out now.
    pub(crate) fn rules_out(&self, candidate: &Candidate, model: &str, now: Timestamp) -> bool {
        self.account == *candidate.id()
            && self.model.as_ref().is_none_or(|tried| tried == model)
            && self.until.is_none_or(|until| now < until)
    }
}
