//! Every decision the proxy makes. The shell brings sockets, clocks and chance; here are only values.
//!
//! | module | decides |
//! |---|---|
//! | [`authenticate`] | who calls, and whose accounts serve the call |
//! | [`route`] | what is asked for: dialect, operation, which family or provider, which upstream path |
//! | [`directives`] | what the client asks of us in `x-penstock-*` headers |
//! | [`headers`] | which headers go to the provider, and which come back |
//! | [`view`] | what is computed once per pushed snapshot: keys, providers, pools |
//! | [`pool`] | the accounts a pool offers, prepared for selection |
//! | [`affinity`] | which conversation a request belongs to, and where conversations moved to |
//! | [`request`] | nothing: what is asked for, and what of it remains to be tried |
//! | [`select`] | which account serves an attempt, or why none can, and when |
//! | [`attempt`] | the loop around it: try, wait or give up |
//! | [`exhausted`] | what to answer when nothing can serve |
//! | [`classify`] | what an upstream answer means |
//! | [`limits`] | the windows and waits that response headers tell of |
//! | [`retry`] | how long to wait before trying again, and each provider host's circuit breaker |
//! | [`slots`] | concurrency and per-minute budgets of one account |
//! | [`live`] | the proxy's own, changing knowledge of its accounts, and what of it is to be reported |
//! | [`id_map`] | maps by our own ids |
//! | [`event`] | the history row of a request |
//!
//! A request: `authenticate → route → affinity → attempt::Attempts { next → (headers, send) → classify →
//! record }* → event`.

pub mod affinity;
pub mod attempt;
pub mod authenticate;
pub mod classify;
pub mod directives;
pub mod event;
pub mod exhausted;
pub mod headers;
pub mod id_map;
pub mod limits;
pub mod live;
pub mod pool;
pub mod request;
pub mod retry;
pub mod route;
pub mod select;
pub mod slots;
pub mod view;

#[cfg(test)]
mod test_support;
