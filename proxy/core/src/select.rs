//! Chooses the account for an attempt.
//! Never returns an account that is not eligible; never waits; same inputs, same answer.

mod eligible;
mod order;

use std::sync::Arc;

use jiff::Timestamp;
use penstock_proto::ids::AccountId;
use penstock_proto::limits::CooldownReason;
use penstock_proto::snapshot::Strategy;

use crate::live::Live;
use crate::pool::{Candidate, PoolView};
use crate::request::{Leg, Request, Tried};
use crate::retry::ABSORB;
use order::Order;

pub use eligible::available;

/// Why this account was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The client forced it.
    Forced,
    /// The conversation's key points to it.
    Session,
    /// The conversation moved to it earlier and stays.
    Moved,
    /// The conversation's account cannot serve now.
    Takeover,
    /// The pool's order, for a request without a conversation or a strategy without affinity.
    Order,
    /// The same account again, after a short wait.
    Again,
    /// Another account after a failed attempt.
    Failover,
}

/// Why an account cannot serve now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No usable credential, or one that HTTP cannot carry.
    NoCredential,
    /// Its access token has ended.
    CredentialExpired,
    /// The provider rejected its credential.
    CredentialRejected,
    /// Set aside by a person.
    Paused,
    /// Out of use until the spec changes; why.
    Blocked(String),
    /// Left alone until an instant.
    Cooling {
        /// Why.
        reason: CooldownReason,
        /// Until when.
        until: Timestamp,
    },
    /// A window is at the ceiling its owner set.
    Ceiling {
        /// Which window.
        window: String,
        /// When it starts anew.
        until: Option<Timestamp>,
    },
    /// All its slots are in use.
    Busy,
    /// Its per-minute budget is used up.
    Budget {
        /// When there is room again.
        until: Timestamp,
    },
    /// It just took over from another account and takes more step by step.
    RampingUp {
        /// When the next request may start.
        until: Timestamp,
    },
    /// This request tried it already.
    Tried,
}

/// Why one account cannot serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// Which.
    pub account: AccountId,
    /// Why.
    pub reason: Reason,
}

/// What an account is chosen for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) pool: &'a PoolView,
    pub(crate) request: &'a Request,
    pub(crate) leg: Leg<'a>,
    pub(crate) tried: &'a [Tried],
    /// Whether a short throttle of the conversation's own account may be waited out.
    pub(crate) may_absorb: bool,
    pub(crate) now: Timestamp,
    /// Stands in for the conversation where there is none.
    pub(crate) chance: u128,
}

/// The account chosen, or why none.
#[derive(Debug)]
pub(crate) enum Selection<'a> {
    Chosen(Chosen<'a>),
    /// Ask again then: the wait is too short to move for.
    Wait(Timestamp),
    /// None can serve; empty = the pool has none for this model and format.
    None(Vec<Unavailable>),
}

#[derive(Debug)]
pub(crate) struct Chosen<'a> {
    pub(crate) candidate: &'a Arc<Candidate>,
    pub(crate) model: &'a str,
    pub(crate) why: Why,
    /// Since when the account is gone that this one takes over from.
    pub(crate) lost_at: Option<Timestamp>,
}

/// One account that could serve, now or later.
struct Entry<'a> {
    candidate: &'a Arc<Candidate>,
    order: Order,
    /// The model to send, or why it cannot serve now.
    now: Result<&'a str, Reason>,
}

impl Why {
    /// Stable label for history, metrics and spans.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Forced => "forced",
            Self::Session => "session",
            Self::Moved => "moved",
            Self::Takeover => "takeover",
            Self::Order => "order",
            Self::Again => "again",
            Self::Failover => "failover",
        }
    }
}

impl Reason {
    /// Stable label for metrics and debugging.
    pub fn as_label(&self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::CredentialExpired => "credential_expired",
            Self::CredentialRejected => "credential_rejected",
            Self::Paused => "paused",
            Self::Blocked(_) => "blocked",
            Self::Cooling { reason, .. } => reason.as_label(),
            Self::Ceiling { .. } => "ceiling",
            Self::Busy => "busy",
            Self::Budget { .. } => "budget",
            Self::RampingUp { .. } => "ramping_up",
            Self::Tried => "tried",
        }
    }

    /// When it ends by itself, if it does.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Cooling { until, .. } | Self::Budget { until } | Self::RampingUp { until } => Some(*until),
            Self::Ceiling { until, .. } => *until,
            Self::NoCredential
            | Self::CredentialExpired
            | Self::CredentialRejected
            | Self::Paused
            | Self::Blocked(_)
            | Self::Busy
            | Self::Tried => None,
        }
    }

    /// Whether waiting ends it, so that the client is told 429 and not 503.
    pub fn is_limit(&self) -> bool {
        match self {
            Self::Cooling { reason, .. } => reason.is_limit(),
            Self::Ceiling { .. } | Self::Busy | Self::Budget { .. } | Self::RampingUp { .. } => true,
            Self::NoCredential
            | Self::CredentialExpired
            | Self::CredentialRejected
            | Self::Paused
            | Self::Blocked(_)
            | Self::Tried => false,
        }
    }

    /// Whether somebody has to act before it serves again: conversations do not wait for it.
    fn is_lasting(&self) -> bool {
        match self {
            Self::NoCredential
            | Self::CredentialExpired
            | Self::CredentialRejected
            | Self::Paused
            | Self::Blocked(_) => true,
            Self::Cooling { .. }
            | Self::Ceiling { .. }
            | Self::Busy
            | Self::Budget { .. }
            | Self::RampingUp { .. }
            | Self::Tried => false,
        }
    }
}

/// Chooses.
pub(crate) fn select<'a>(query: &Query<'a>, live: &Live) -> Selection<'a> {
    let Some(chosen) = stays(query, live) else { return among_all(query, live) };
    let same = |other: &Chosen<'_>| {
        other.candidate.id() == chosen.candidate.id()
            && (other.model, other.why) == (chosen.model, chosen.why)
    };
    debug_assert!(matches!(among_all(query, live), Selection::Chosen(other) if same(&other)));
    Selection::Chosen(chosen)
}

/// What nearly all requests come to, found without looking at every account: the conversation stays where it is,
/// because that account can serve and none is preferred to it.
fn stays<'a>(query: &Query<'a>, live: &Live) -> Option<Chosen<'a>> {
    let Query { pool, request, now, .. } = query;
    let session = request.session.filter(|_| pool.pool.strategy == Strategy::SessionAffinity)?;
    let place = live.sessions.place(session, pool.pool.affinity_ttl, *now)?;
    let candidate = pool.candidates.iter().find(|candidate| *candidate.id() == place.account)?;
    let is_preferred = |other: &Arc<Candidate>| other.account.priority < candidate.account.priority;
    if pool.candidates.iter().any(is_preferred) {
        return None;
    }
    eligible::rank(candidate, query)?;
    let model = eligible::model_now(candidate, query, live.account(candidate.id()), live).ok()?;
    let why = if place.moved { Why::Moved } else { Why::Session };
    Some(Chosen { candidate, model, why, lost_at: None })
}

fn among_all<'a>(query: &Query<'a>, live: &Live) -> Selection<'a> {
    let entries = entries(query, live);
    let best = entries.iter().filter(|entry| entry.now.is_ok()).min_by_key(|entry| entry.order);
    let home = home(query, live, &entries);
    if let Some((entry, why)) = home
        && let Ok(model) = entry.now
    {
        return Selection::Chosen(Chosen { candidate: entry.candidate, model, why, lost_at: None });
    }
    if let Some((Entry { now: Err(Reason::Cooling { reason: CooldownReason::Throttled, until }), .. }, _)) =
        home
        && query.may_absorb
        && until.duration_since(query.now) <= ABSORB
    {
        return Selection::Wait(*until);
    }
    match (best, home) {
        (None, _) => Selection::None(reasons(entries)),
        (Some(entry), None) => Selection::Chosen(chosen(query, entry, Why::Order, None)),
        (Some(_), Some((lost, _))) => take_over(query, live, &entries, lost),
    }
}

/// The accounts that could serve this request at all, with what keeps each from it now.
fn entries<'a>(query: &Query<'a>, live: &Live) -> Vec<Entry<'a>> {
    let mut entries = Vec::with_capacity(query.pool.candidates.len());
    for (place, candidate) in query.pool.candidates.iter().enumerate() {
        if let Some(rank) = eligible::rank(candidate, query) {
            let account = live.account(candidate.id());
            let order = order::order(candidate, rank, place, query, account);
            entries.push(Entry {
                candidate,
                order,
                now: eligible::model_now(candidate, query, account, live),
            });
        }
    }
    entries
}

/// Where the request belongs, whether or not that account can serve now.
fn home<'e, 'a>(query: &Query<'a>, live: &Live, entries: &'e [Entry<'a>]) -> Option<(&'e Entry<'a>, Why)> {
    let lasting = |entry: &&Entry<'_>| !entry.now.as_ref().is_err_and(Reason::is_lasting);
    let first = entries.iter().filter(lasting).min_by_key(|entry| entry.order)?;
    let (pool, now) = (&query.pool.pool, query.now);
    let session = query.request.session.filter(|_| pool.strategy == Strategy::SessionAffinity);
    let Some(session) = session else { return Some((first, Why::Order)) };
    let Some(place) = live.sessions.place(session, pool.affinity_ttl, now) else {
        return Some((first, Why::Session));
    };
    let held = entries.iter().filter(lasting).find(|entry| *entry.candidate.id() == place.account);
    match held {
        Some(held) if !returns(held, first) => {
            Some((held, if place.moved { Why::Moved } else { Why::Session }))
        }
        _ => Some((first, Why::Session)),
    }
}

/// Whether a conversation that moved goes back: only to an account that is preferred to the one it is on,
/// can serve, and takes its traffic back by its owner's word.
fn returns(held: &Entry<'_>, first: &Entry<'_>) -> bool {
    let priority = |entry: &Entry<'_>| entry.candidate.account.priority;
    first.now.is_ok() && priority(first) < priority(held) && first.candidate.account.auto_fallback
}

/// The next account for a request whose own is lost: by the order, as far as each takes over already.
fn take_over<'a>(query: &Query<'a>, live: &Live, entries: &[Entry<'a>], lost: &Entry<'_>) -> Selection<'a> {
    let lost_at = live.account(lost.candidate.id()).and_then(|account| account.lost_recently(query.now));
    let mut ready: Vec<_> = entries.iter().filter(|entry| entry.now.is_ok()).collect();
    ready.sort_unstable_by_key(|entry| entry.order);
    let mut earliest = Timestamp::MAX;
    for entry in ready {
        let account = live.account(entry.candidate.id());
        match account.zip(lost_at).map_or(Ok(()), |(account, lost_at)| account.ramps(lost_at, query.now)) {
            Ok(()) => return Selection::Chosen(chosen(query, entry, Why::Takeover, lost_at)),
            Err(at) => earliest = earliest.min(at),
        }
    }
    Selection::Wait(earliest)
}

fn chosen<'a>(query: &Query<'a>, entry: &Entry<'a>, why: Why, lost_at: Option<Timestamp>) -> Chosen<'a> {
    let model = entry.now.as_ref().copied().unwrap_or(query.leg.model);
    Chosen { candidate: entry.candidate, model, why, lost_at }
}

/// Why each account that could serve at all cannot now; those that can are left out.
pub(crate) fn unavailable(query: &Query<'_>, live: &Live) -> Vec<Unavailable> {
    reasons(entries(query, live))
}

fn reasons(entries: Vec<Entry<'_>>) -> Vec<Unavailable> {
    let unavailable = |entry: Entry<'_>| {
        let reason = entry.now.err()?;
        Some(Unavailable { account: entry.candidate.id().clone(), reason })
    };
    entries.into_iter().filter_map(unavailable).collect()
}
