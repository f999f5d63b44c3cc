//! What to answer when nothing can serve: status, when to come back, and each account's reason.
//! Never names a credential; never sends a client away for less than a second or more than eight days.

use std::time::Duration;

use jiff::Timestamp;

use crate::select::Unavailable;

/// Why nothing can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Every account that could is at a limit: 429.
    Limited,
    /// Every account that could is overloaded: 529 to Anthropic clients, else 503.
    Overloaded,
    /// Accounts are broken, paused or unreachable: 503.
    Broken,
    /// The pool has no account that serves this model or format: 404 for a model, else 503.
    NoAccount,
    /// The provider failed on every attempt: 502.
    ServerFault,
    /// Time ran out: 504.
    Deadline,
}

/// The end of a request that nothing could serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// Why.
    pub cause: Cause,
    /// For `retry-after`, whole seconds, 1 s to 8 d; `None` = nobody knows.
    pub retry_after: Option<Duration>,
    /// The instant behind it.
    pub earliest: Option<Timestamp>,
    /// Why each account cannot serve.
    pub accounts: Vec<Unavailable>,
    /// For the error body: names each account's reason, without secrets.
    pub message: String,
    /// The last answer of a provider is no account's fault and may be relayed unchanged instead, if the
    /// shell still holds it.
    pub relay_last: bool,
}
