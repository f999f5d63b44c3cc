//! The accounts a pool offers, prepared for selection: parsed headers, breaker key, headroom.
//! Computed from pushed state only, so that every proxy with the same snapshot has the same.

mod headroom;

use std::sync::Arc;
use std::time::Duration;

use penstock_proto::ids::{AccountId, PoolId};
use penstock_proto::limits::glob_matches;
use penstock_proto::snapshot::{Account, AccountState, FallbackTarget, Pool, Snapshot, Strategy};
use sha2::{Digest, Sha256};

use crate::headers::AccountHeaders;
use crate::id_map::IdMap;
pub use headroom::{Headroom, HeadroomClass};

/// How long an idle conversation keeps its account in a pool that nobody configured: the longer of the
/// providers' prompt caches.
const AFFINITY_TTL: Duration = Duration::from_hours(1);
/// Attempts in a pool that nobody configured.
const ATTEMPTS: u32 = 4;
/// Longer than the slowest answer that providers still give without streaming.
const PER_TRY_TIMEOUT: Duration = Duration::from_mins(10);
/// Attempts again on an overloaded account, in a pool that nobody configured.
const OVERLOAD_RETRIES: u32 = 2;

/// A pool with its accounts resolved.
#[derive(Debug, Clone)]
pub struct PoolView {
    /// Its settings.
    pub pool: Arc<Pool>,
    /// Its accounts, in the pool's order.
    pub candidates: Vec<Arc<Candidate>>,
}

/// One account of a pool.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The account.
    pub account: Arc<Account>,
    /// What it puts on requests; `None` = its headers cannot be sent, so it is not used.
    pub headers: Option<AccountHeaders>,
    /// The pushed state.
    pub state: Arc<AccountState>,
    /// Scheme, host and port of its base URL with its egress: what breaks together.
    pub host: Arc<str>,
    /// How much room the pushed windows leave.
    pub headroom: Headroom,
    /// For rendezvous hashing; the same in every proxy.
    pub(crate) seed: u64,
}

impl PoolView {
    /// Resolves a pool's accounts; one that is not (or no longer) known is left out.
    pub(crate) fn new(pool: Arc<Pool>, candidates: impl Fn(&AccountId) -> Option<Arc<Candidate>>) -> Self {
        let candidates = pool.accounts.iter().filter_map(candidates).collect();
        Self { pool, candidates }
    }

    /// The chain for a model; empty = every account of the pool, with the model asked for.
    pub fn fallbacks(&self, model: &str) -> &[FallbackTarget] {
        let matches = |globs: &[String]| globs.iter().any(|glob| glob_matches(glob, model));
        let chain = self.pool.fallbacks.iter().find(|chain| matches(&chain.models));
        chain.map_or(&[], |chain| &chain.targets)
    }
}

impl Candidate {
    pub(crate) fn new(account: &Arc<Account>, state: Arc<AccountState>) -> Self {
        let digest = Sha256::digest(account.id.as_str().as_bytes());
        let mut seed = [0; 8];
        seed.copy_from_slice(&digest[..8]);
        Self {
            account: Arc::clone(account),
            headers: AccountHeaders::new(account).ok(),
            headroom: Headroom::new(&state.limits, &account.limits.window_ceilings),
            host: host(account),
            seed: u64::from_be_bytes(seed),
            state,
        }
    }

    /// Its id.
    pub fn id(&self) -> &AccountId {
        &self.account.id
    }

    /// Whether a client's `x-penstock-account` means it.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.id().as_str() == name || self.id().name() == name
    }
}

/// The pool of a namespace that defines none: all accounts of the namespace.
pub(crate) fn implicit(id: PoolId, accounts: Vec<AccountId>) -> Pool {
    Pool {
        id,
        accounts,
        strategy: Strategy::default(),
        affinity_ttl: AFFINITY_TTL,
        attempts: ATTEMPTS,
        per_try_timeout: PER_TRY_TIMEOUT,
        overload_retries: OVERLOAD_RETRIES,
        hold: Duration::ZERO,
        fallbacks: Vec::new(),
    }
}

/// What breaks together: the provider's origin, by the way this account gets there.
fn host(account: &Account) -> Arc<str> {
    let url = &account.base_url;
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    match &account.egress.proxy_url {
        Some(proxy) => format!("{} via {proxy}", &url[..end]).into(),
        None => url[..end].into(),
    }
}

/// The accounts of a snapshot, prepared; what did not change since `before` is shared with it.
pub(crate) fn candidates(
    snapshot: &Snapshot,
    before: &IdMap<AccountId, Arc<Candidate>>,
) -> IdMap<AccountId, Arc<Candidate>> {
    let prepare = |(id, account): (&AccountId, &Arc<Account>)| {
        let state = snapshot.states.get(id);
        let held = before.get(id).filter(|held| {
            let same_state = state.is_some_and(|state| Arc::ptr_eq(&held.state, state));
            same_state && Arc::ptr_eq(&held.account, account)
        });
        let new = || Arc::new(Candidate::new(account, state.cloned().unwrap_or_default()));
        (id.clone(), held.map_or_else(new, Arc::clone))
    };
    snapshot.accounts.iter().map(prepare).collect()
}
