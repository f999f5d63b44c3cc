//! What to answer when nothing can serve: status, when to come back, and each account's reason.
//! Never names a credential; never sends a client away for less than a second or more than eight days.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::limits::CooldownReason;

use crate::classify::Outcome;
use crate::limits::{LONGEST, SHORTEST};
use crate::request::Request;
use crate::select::{Reason, Unavailable};

/// Accounts named in the message; a client does not read more.
const NAMED: usize = 20;

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

/// How the last attempt ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Last<'a> {
    pub(crate) outcome: &'a Outcome,
    pub(crate) message: &'a str,
    pub(crate) relayable: bool,
    pub(crate) provider: &'a str,
}

/// What ended the attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The deadline.
    Late,
    /// There is nothing to try: the pool is not known (yet), or has no accounts.
    EmptyPool,
    /// There is nothing left to try.
    Tried,
}

impl Cause {
    /// Stable label for metrics and logs.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Overloaded => "overloaded",
            Self::Broken => "broken",
            Self::NoAccount => "no_account",
            Self::ServerFault => "server_fault",
            Self::Deadline => "deadline",
        }
    }
}

/// Puts the answer together.
pub(crate) fn exhausted(
    request: &Request,
    accounts: Vec<Unavailable>,
    last: Option<Last<'_>>,
    end: End,
    now: Timestamp,
) -> Exhausted {
    let cause = match end {
        End::Late => Cause::Deadline,
        // A person adds an account, or the first snapshot arrives: not the fault of the model's name.
        End::EmptyPool => Cause::Broken,
        End::Tried => cause(&accounts, last),
    };
    let earliest = earliest(cause, &accounts, now);
    let message = match end {
        End::EmptyPool => format!("Pool {} has no accounts.", request.pool),
        End::Late | End::Tried => message(request, cause, &accounts, last),
    };
    let relay_last = last.is_some_and(|last| last.relayable && speaks_best(last, earliest));
    Exhausted {
        cause,
        retry_after: earliest.map(|at| whole_seconds(at, now)),
        earliest,
        accounts,
        message,
        relay_last: relay_last && end == End::Tried,
    }
}

/// By the accounts where they still have something to say, else by how the last attempt ended.
fn cause(accounts: &[Unavailable], last: Option<Last<'_>>) -> Cause {
    let mut reasons = accounts.iter().map(|one| &one.reason).filter(|reason| **reason != Reason::Tried);
    let is = |reason: &Reason, of: CooldownReason| matches!(reason, Reason::Cooling { reason, .. } if *reason == of);
    let by_last = last.map(|last| match last.outcome {
        Outcome::QuotaExhausted { .. } | Outcome::Throttled { .. } | Outcome::Windowless => Cause::Limited,
        Outcome::Overloaded { .. } => Cause::Overloaded,
        Outcome::ServerFault | Outcome::Unreachable(_) => Cause::ServerFault,
        Outcome::ModelUnavailable => Cause::NoAccount,
        Outcome::CredentialRejected
        | Outcome::Forbidden
        | Outcome::Success
        | Outcome::ClientFault
        | Outcome::ClientLeft => Cause::Broken,
    });
    if accounts.is_empty() {
        return by_last.unwrap_or(Cause::NoAccount);
    }
    if let Some(cause @ Cause::ServerFault) = by_last {
        return cause;
    }
    let Some(first) = reasons.next() else { return by_last.unwrap_or(Cause::Broken) };
    let all = |of| is(first, of) && reasons.clone().all(|reason| is(reason, of));
    if all(CooldownReason::Overloaded) {
        Cause::Overloaded
    } else if all(CooldownReason::ModelUnavailable) {
        Cause::NoAccount
    } else if first.is_limit() || reasons.any(Reason::is_limit) {
        Cause::Limited
    } else {
        Cause::Broken
    }
}

/// When the first account that waiting helps is back. Being told of one that is not at a limit, a client
/// at a limit would come back in vain.
fn earliest(cause: Cause, accounts: &[Unavailable], now: Timestamp) -> Option<Timestamp> {
    let helps = |reason: &Reason| cause != Cause::Limited || reason.is_limit();
    let reasons = || accounts.iter().map(|one| &one.reason).filter(|reason| helps(reason));
    let soon = now.checked_add(SHORTEST).ok();
    let busy = reasons().any(|reason| *reason == Reason::Busy).then_some(soon).flatten();
    let known = reasons().filter_map(Reason::until).chain(busy).min();
    match cause {
        Cause::NoAccount | Cause::Deadline => None,
        // A failure has no end that could be known; another account's limit is not it.
        Cause::ServerFault => soon,
        // Nothing was said of limits: what a client that backs off would wait at least.
        Cause::Limited | Cause::Overloaded => known.or(soon),
        Cause::Broken => known,
    }
}

fn whole_seconds(at: Timestamp, now: Timestamp) -> Duration {
    let wait = at.duration_since(now).clamp(SHORTEST, LONGEST);
    let up = SignedDuration::from_nanos(999_999_999);
    let seconds = wait.checked_add(up).unwrap_or(LONGEST).as_secs();
    Duration::from_secs(u64::try_from(seconds).unwrap_or(1)).min(Duration::from_hours(8 * 24))
}

/// Whether the provider's last answer says more to the client than ours could: its failure, or what Codex
/// shows of a plan's limit.
fn speaks_best(last: Last<'_>, earliest: Option<Timestamp>) -> bool {
    match last.outcome {
        Outcome::ServerFault => true,
        Outcome::QuotaExhausted { until, .. } => last.provider == "codex" && earliest == Some(*until),
        _ => false,
    }
}

fn message(request: &Request, cause: Cause, accounts: &[Unavailable], last: Option<Last<'_>>) -> String {
    let pool = request.pool.as_str();
    let model = if request.model.is_empty() { String::new() } else { format!(" {}", request.model) };
    let mut text = match cause {
        Cause::Deadline => format!("No account of pool {pool} served{model} in time"),
        Cause::NoAccount => format!("No account of pool {pool} serves{model} here"),
        Cause::Limited | Cause::Overloaded | Cause::Broken | Cause::ServerFault => {
            let asked = if model.is_empty() { " this request" } else { &model };
            format!("No account of pool {pool} can serve{asked} now")
        }
    };
    for (n, one) in accounts.iter().take(NAMED).enumerate() {
        text.push_str(if n == 0 { ": " } else { "; " });
        let _ = write!(text, "{} {}", one.account.name(), told(&one.reason));
    }
    if accounts.len() > NAMED {
        let _ = write!(text, "; and {} more", accounts.len() - NAMED);
    }
    text.push('.');
    if let Some(last) = last.filter(|last| !last.message.is_empty() && says_what_failed(last.outcome)) {
        let _ = write!(text, " The last answer was: {}", last.message);
    }
    text
}

/// A provider's words about an account's credential or payment are its owner's affair, not the caller's.
fn says_what_failed(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::ServerFault | Outcome::Overloaded { .. } | Outcome::ModelUnavailable | Outcome::Windowless
    )
}

fn told(reason: &Reason) -> String {
    let at = |until: &Timestamp| until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    match reason {
        Reason::NoCredential => "has no usable credential".into(),
        Reason::CredentialExpired => "has an expired token".into(),
        Reason::CredentialRejected => "has a rejected credential".into(),
        Reason::Paused => "is paused".into(),
        Reason::Blocked(why) => format!("is out of use ({why})"),
        Reason::Cooling { reason, until } => {
            format!("is set aside until {} ({})", at(until), reason.as_label())
        }
        Reason::Ceiling { window, until: Some(until) } => {
            format!("is at its ceiling of window {window} until {}", at(until))
        }
        Reason::Ceiling { window, until: None } => format!("is at its ceiling of window {window}"),
        Reason::Busy => "has no free slot".into(),
        Reason::Budget { until } => format!("has used up its minute until {}", at(until)),
        Reason::RampingUp { until } => format!("takes over step by step, next at {}", at(until)),
        Reason::Tried => "was tried".into(),
    }
}
