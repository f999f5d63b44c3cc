//! An `AccountPool` with the accounts that its namespace may use: the pool as a proxy uses it, and everything
//! that is wrong. What is wrong with one account of a pool never keeps the others from serving.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use penstock_crds::ProviderAccount;
use penstock_crds::conditions as reasons;
use penstock_crds::pool::fallback::FallbackTarget as Target;
use penstock_crds::pool::{AccountPoolSpec, AccountRef, Strategy as Written};
use penstock_proto::ids::{AccountId, PoolId};
use penstock_proto::snapshot::{Fallback, FallbackTarget, Pool, Strategy};

use super::Fault;

/// What a pool can be made of.
pub struct Candidates<'a> {
    /// Accounts that the pool's namespace may use, the preferred ones first, with their labels.
    pub usable: Vec<(AccountId, &'a BTreeMap<String, String>)>,
    /// Every account there is.
    pub all: &'a BTreeMap<AccountId, Arc<ProviderAccount>>,
}

/// The pool, and what is wrong with it.
pub fn check(id: &PoolId, spec: &AccountPoolSpec, candidates: &Candidates<'_>) -> (Pool, Vec<Fault>) {
    let mut faults = Vec::new();
    let accounts = members(id, spec, candidates, &mut faults);
    let fallbacks = spec.fallbacks.iter().map(|chain| Fallback {
        models: chain.matches.models.clone(),
        targets: chain.targets.iter().filter_map(|step| target(id, step, candidates, &mut faults)).collect(),
    });
    let fallbacks = fallbacks.collect();
    let pool = Pool {
        id: id.clone(),
        accounts,
        strategy: strategy(spec.strategy),
        affinity_ttl: spec.affinity.ttl.get(),
        attempts: spec.retry.attempts.max(1),
        per_try_timeout: spec.retry.per_try_timeout.get().max(Duration::from_secs(1)),
        overload_retries: spec.retry.overload_retries,
        hold: spec.on_exhausted.hold.get(),
        fallbacks,
    };
    (pool, faults)
}

fn members(
    id: &PoolId,
    spec: &AccountPoolSpec,
    candidates: &Candidates<'_>,
    faults: &mut Vec<Fault>,
) -> Vec<AccountId> {
    let usable = candidates.usable.iter();
    let Some(selection) = &spec.accounts else { return usable.map(|(account, _)| account.clone()).collect() };
    if let Some(refs) = &selection.refs {
        let mut seen = BTreeSet::new();
        let named = refs.iter().filter_map(|named| resolve(id, named, candidates, faults));
        return named.filter(|account| seen.insert(account.clone())).collect();
    }
    let selector = selection.selector.clone().unwrap_or_default();
    usable.filter(|(_, labels)| selector.matches(labels)).map(|(account, _)| account.clone()).collect()
}

fn target(
    id: &PoolId,
    step: &Target,
    candidates: &Candidates<'_>,
    faults: &mut Vec<Fault>,
) -> Option<FallbackTarget> {
    let account = match &step.account {
        None => None,
        Some(written) => {
            let (namespace, name) = written.split_once('/').unwrap_or((id.namespace(), written));
            let named = AccountRef { name: name.to_owned(), namespace: Some(namespace.to_owned()) };
            Some(resolve(id, &named, candidates, faults)?)
        }
    };
    Some(FallbackTarget { account, model: step.model.clone() })
}

fn resolve(
    id: &PoolId,
    named: &AccountRef,
    candidates: &Candidates<'_>,
    faults: &mut Vec<Fault>,
) -> Option<AccountId> {
    let namespace = named.namespace.as_deref().unwrap_or(id.namespace());
    let account = AccountId::new(namespace, &named.name).ok();
    let fault = match account {
        Some(account) if candidates.usable.iter().any(|(usable, _)| *usable == account) => {
            return Some(account);
        }
        Some(account) if candidates.all.contains_key(&account) => Fault::new(
            reasons::REASON_ACCOUNT_NOT_ALLOWED,
            format!(
                "account {account} does not allow namespace {}; add it to the account's allowedNamespaces",
                id.namespace()
            ),
        ),
        _ => Fault::new(
            reasons::REASON_ACCOUNT_NOT_FOUND,
            format!("account {namespace}/{} was not found; create it or remove it from the pool", named.name),
        ),
    };
    faults.push(fault);
    None
}

fn strategy(written: Written) -> Strategy {
    match written {
        Written::SessionAffinity => Strategy::SessionAffinity,
        Written::Session => Strategy::Session,
        Written::DrainSoonest => Strategy::DrainSoonest,
        Written::LeastUtilized => Strategy::LeastUtilized,
    }
}
