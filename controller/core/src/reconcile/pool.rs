//! Pools: those with an object, and the implicit pool `default` of every namespace that may use accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use penstock_crds::DEFAULT_POOL;
use penstock_crds::conditions as reasons;
use penstock_crds::pool::{AccountPoolSpec, AccountPoolStatus};
use penstock_proto::ids::{AccountId, PoolId};
use penstock_proto::resource::Resource;
use penstock_proto::snapshot::Pool;

use super::account::Standings;
use super::{Plan, StatusWrite, change, refusal};
use crate::conditions::{self, Said};
use crate::validate::pool::{Candidates, check};
use crate::validate::{Fault, Kind};
use crate::world::World;

pub(super) fn reconcile(world: &World, accounts: &Standings, now: Timestamp, plan: &mut Plan) {
    for (id, object) in &world.objects.pools {
        let (pool, faults) = check(id, &object.spec, &candidates(world, plan.usable.get(id.namespace())));
        let generation = object.metadata.generation;
        let held = object.status.as_ref();
        let held_conditions = held.map_or(&[][..], |status| &status.conditions);
        let status = status(&pool, &faults, accounts, held_conditions, generation, now);
        plan.refused.extend(refusal(Kind::Pool, id, held_conditions, &status.conditions));
        let change = change(&object.metadata, held, &status);
        plan.writes.extend(change.map(|change| StatusWrite::Pool(id.clone(), change)));
        plan.pools.insert(id.clone(), status);
        plan.publish(Resource::Pool(Arc::new(pool)));
    }
    let implicit: Vec<_> = plan
        .usable
        .iter()
        .filter_map(|(namespace, usable)| {
            let id = PoolId::new(namespace, DEFAULT_POOL).ok()?;
            let is_implicit = !usable.is_empty() && !world.objects.pools.contains_key(&id);
            is_implicit
                .then(|| (check(&id, &AccountPoolSpec::default(), &candidates(world, Some(usable))), id))
        })
        .collect();
    for ((pool, faults), id) in implicit {
        let status = status(&pool, &faults, accounts, &[], None, now);
        plan.pools.insert(id, status);
        plan.publish(Resource::Pool(Arc::new(pool)));
    }
}

/// What a pool can be made of where these accounts may be used, the preferred ones first.
fn candidates<'a>(world: &'a World, usable: Option<&BTreeSet<AccountId>>) -> Candidates<'a> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    let accounts = &world.objects.accounts;
    let mut usable: Vec<_> =
        usable.into_iter().flatten().filter_map(|id| Some((id, accounts.get(id)?))).collect();
    usable.sort_by_key(|(_, object)| object.spec.priority);
    let labelled =
        usable.into_iter().map(|(id, object)| (id.clone(), object.metadata.labels.as_ref().unwrap_or(&NONE)));
    Candidates { usable: labelled.collect(), all: accounts }
}

fn status(
    pool: &Pool,
    faults: &[Fault],
    accounts: &Standings,
    held: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> AccountPoolStatus {
    let stands = |id: &&AccountId| accounts.get(*id).is_some_and(super::state::Standing::is_available);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (members, available) = (pool.accounts.len(), pool.accounts.iter().filter(stands).count());
    let accepted = match faults.first() {
        None => Said::yes(reasons::ACCEPTED, reasons::REASON_ACCEPTED),
        Some(first) => {
            let messages: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
            Said::no(reasons::ACCEPTED, first.reason, messages.join("; "))
        }
    };
    let serving = if available > 0 {
        Said::yes(reasons::AVAILABLE, reasons::REASON_AVAILABLE)
    } else if members == 0 {
        let message = "no account is in the pool; create a ProviderAccount that its selector or refs name";
        Said::no(reasons::AVAILABLE, reasons::REASON_NO_ACCOUNTS, message)
    } else {
        let message = format!("none of its {members} accounts can serve now; their own conditions say why");
        Said::no(reasons::AVAILABLE, reasons::REASON_NO_ACCOUNT_AVAILABLE, message)
    };
    AccountPoolStatus {
        observed_generation: generation,
        accounts: count(members),
        available: count(available),
        conditions: conditions::update(held, vec![accepted, serving], generation, now),
    }
}
