//! What is computed once per pushed snapshot, so that no request pays for it.
//! A value: published whole, read without locks, never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_proto::ids::{AccountId, PoolId};
use penstock_proto::snapshot::Snapshot;

use crate::authenticate::Keys;
use crate::authenticate::token::Issuers;
use crate::id_map::IdMap;
use crate::pool::{self, Candidate, PoolView};
use crate::route::Providers;

/// A snapshot, prepared for requests.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// What it was computed from.
    pub snapshot: Arc<Snapshot>,
    /// Client keys.
    pub keys: Keys,
    /// Who signs callers' tokens. The same `Arc` as before, unless they changed.
    pub issuers: Arc<Issuers>,
    /// Provider names, for routes and model prefixes.
    pub providers: Providers,
    pools: IdMap<PoolId, Arc<PoolView>>,
    candidates: IdMap<AccountId, Arc<Candidate>>,
}

impl View {
    /// Prepares a snapshot. Every namespace with accounts has a pool `default`, implicit unless defined.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self::after(&Self::default(), snapshot)
    }

    /// The same, sharing what did not change since the view before: a push concerns few accounts.
    pub fn after(before: &Self, snapshot: Arc<Snapshot>) -> Self {
        let candidates = pool::candidates(&snapshot, &before.candidates);
        let resolve = |pool| Arc::new(PoolView::new(pool, |id| candidates.get(id).cloned()));
        let mut pools: IdMap<_, _> =
            snapshot.pools.iter().map(|(id, pool)| (id.clone(), resolve(Arc::clone(pool)))).collect();
        for (id, accounts) in by_namespace(&snapshot) {
            let implicit = || resolve(Arc::new(pool::implicit(id.clone(), accounts)));
            pools.entry(id.clone()).or_insert_with(implicit);
        }
        let issuers = Issuers::new(&snapshot.issuers);
        let same = issuers == *before.issuers;
        Self {
            issuers: if same { Arc::clone(&before.issuers) } else { Arc::new(issuers) },
            keys: Keys::new(snapshot.grants.values().map(Arc::as_ref)),
            providers: Providers::new(snapshot.accounts.values().map(|account| account.provider.as_str())),
            pools,
            candidates,
            snapshot,
        }
    }

    /// A pool by id.
    pub fn pool(&self, id: &PoolId) -> Option<&Arc<PoolView>> {
        self.pools.get(id)
    }

    /// All pools, in no order.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<PoolView>> {
        self.pools.values()
    }

    /// An account by id.
    pub fn candidate(&self, id: &AccountId) -> Option<&Arc<Candidate>> {
        self.candidates.get(id)
    }

    /// All accounts, in no order.
    pub fn candidates(&self) -> impl Iterator<Item = &Arc<Candidate>> {
        self.candidates.values()
    }
}

/// The accounts of each namespace, under the id of its pool `default`.
fn by_namespace(snapshot: &Snapshot) -> BTreeMap<PoolId, Vec<AccountId>> {
    let mut pools: BTreeMap<PoolId, Vec<AccountId>> = BTreeMap::new();
    for id in snapshot.accounts.keys() {
        if let Ok(pool) = PoolId::new(id.namespace(), "default") {
            pools.entry(pool).or_default().push(id.clone());
        }
    }
    pools
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{account, snapshot};

    #[test]
    fn a_namespace_without_a_pool_has_one_of_all_its_accounts() {
        let view = View::new(Arc::new(snapshot([account("llm/a"), account("llm/b"), account("other/c")])));
        let names = |pool: &str| {
            let pool = view.pool(&pool.parse().unwrap()).unwrap();
            pool.candidates.iter().map(|c| c.id().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("llm/default"), ["llm/a", "llm/b"]);
        assert_eq!(names("other/default"), ["other/c"]);
        assert!(view.pool(&"nobody/default".parse().unwrap()).is_none());
    }

    #[test]
    fn what_a_push_does_not_change_is_shared_with_the_view_before() {
        let mut pushed = snapshot([account("llm/a"), account("llm/b")]);
        for id in ["llm/a", "llm/b"] {
            pushed.states.insert(id.parse().unwrap(), Arc::default());
        }
        let before = View::new(Arc::new(pushed.clone()));
        pushed.states.insert("llm/b".parse().unwrap(), Arc::default());
        let after = View::after(&before, Arc::new(pushed));
        let same = |id: &str| {
            let id = id.parse().unwrap();
            Arc::ptr_eq(before.candidate(&id).unwrap(), after.candidate(&id).unwrap())
        };
        assert!(same("llm/a") && !same("llm/b"));
    }

    #[test]
    fn a_defined_pool_has_its_accounts_in_its_order_without_those_unknown() {
        let mut snapshot = snapshot([account("llm/a"), account("llm/b")]);
        let ids = ["llm/b", "llm/gone", "llm/a"].map(|id| id.parse().unwrap()).to_vec();
        let pool = pool::implicit("llm/mine".parse().unwrap(), ids);
        snapshot.pools.insert(pool.id.clone(), Arc::new(pool));
        let view = View::new(Arc::new(snapshot));
        let mine = view.pool(&"llm/mine".parse().unwrap()).unwrap();
        assert_eq!(mine.candidates.iter().map(|c| c.id().name()).collect::<Vec<_>>(), ["b", "a"]);
        assert!(view.pool(&"llm/default".parse().unwrap()).is_some());
    }
}
