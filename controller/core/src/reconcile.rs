//! `reconcile(&World, now) -> Plan`: what every proxy should know, and what to write about each object.
//! Same world and instant, same plan; applying a plan and reconciling again leaves nothing to do.

mod account;
mod grant;
mod pool;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use penstock_crds::account::status::{ProviderAccountStatus, State};
use penstock_crds::conditions as reasons;
use penstock_crds::grant::AccessGrantStatus;
use penstock_crds::pool::AccountPoolStatus;
use penstock_proto::ids::{AccountId, ObjectId, PoolId, ResourceKey};
use penstock_proto::resource::{Resource, Versioned};

use crate::validate::Kind;
use crate::world::World;

/// What to publish and what to write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Everything that proxies may be told, by key.
    pub resources: BTreeMap<ResourceKey, Versioned>,
    /// Which accounts each namespace with objects may use.
    pub usable: BTreeMap<String, BTreeSet<AccountId>>,
    /// Statuses that differ from what stands in the objects.
    pub writes: Vec<StatusWrite>,
    /// Accounts whose state changed against what stands in the objects.
    pub transitions: Vec<Transition>,
    /// Pools and grants that are refused, and for another reason than stands in them.
    pub refused: Vec<Refused>,
    /// The status of every account, whether it must be written or not.
    pub accounts: BTreeMap<AccountId, ProviderAccountStatus>,
    /// The version of every account that was decided on, where its source has versions.
    pub versions: BTreeMap<AccountId, String>,
    /// The status of every pool with an object, and of the implicit ones.
    pub pools: BTreeMap<PoolId, AccountPoolStatus>,
    /// When time alone changes this plan; `None`: never.
    pub next_change: Option<Timestamp>,
}

/// A status to write.
#[derive(Debug, Clone, PartialEq)]
pub enum StatusWrite {
    /// Of an account.
    Account(AccountId, Box<Change<ProviderAccountStatus>>),
    /// Of a pool.
    Pool(PoolId, Box<Change<AccountPoolStatus>>),
    /// Of a grant.
    Grant(ObjectId, Box<Change<AccessGrantStatus>>),
}

/// A status as it stands and as it should.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<S> {
    /// The version of the object that this was decided on; a write is void if it has another one by then.
    /// `None`: its source has no versions.
    pub based_on: Option<String>,
    /// As it stands.
    pub held: Option<S>,
    /// As it should.
    pub wanted: S,
}

/// An object that is not used as it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// Of which kind.
    pub kind: Kind,
    /// Which.
    pub id: ObjectId,
    /// Stable, from `penstock_crds::conditions`.
    pub reason: String,
    /// For people: what to do.
    pub message: String,
}

/// An account went from one state to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Which.
    pub account: AccountId,
    /// `None`: it is new.
    pub from: Option<State>,
    /// Where it is now.
    pub to: State,
    /// Stable, e.g. `FiveHourWindowExhausted`.
    pub reason: String,
    /// For people: what happened and what to do.
    pub message: String,
}

/// Decides what every proxy should know and what to write about each object.
pub fn reconcile(world: &World, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let standings = account::reconcile(world, now, &mut plan);
    pool::reconcile(world, &standings, now, &mut plan);
    grant::reconcile(world, now, &mut plan);
    if let Some(issuer) = &world.issuer {
        plan.publish(Resource::TokenIssuer(Arc::clone(issuer)));
    }
    plan
}

impl Plan {
    fn publish(&mut self, resource: Resource) {
        self.resources.insert(resource.key(), resource.versioned());
    }

    fn change_at(&mut self, at: Option<Timestamp>) {
        self.next_change = [self.next_change, at].into_iter().flatten().min();
    }

    /// The world after the plan's writes, as its source will show it.
    pub fn apply(&self, world: &mut World) {
        for write in &self.writes {
            write.apply(world);
        }
    }
}

impl StatusWrite {
    /// Which object, and which version of it.
    pub fn target(&self) -> (Kind, &ObjectId, Option<&str>) {
        match self {
            Self::Account(id, change) => (Kind::Account, id, change.based_on.as_deref()),
            Self::Pool(id, change) => (Kind::Pool, id, change.based_on.as_deref()),
            Self::Grant(id, change) => (Kind::Grant, id, change.based_on.as_deref()),
        }
    }

    /// Writes the status into the world's object, if it is there.
    pub fn apply(&self, world: &mut World) {
        match self {
            Self::Account(id, change) => {
                if let Some(object) = world.objects.accounts.get_mut(id) {
                    Arc::make_mut(object).status = Some(change.wanted.clone());
                }
            }
            Self::Pool(id, change) => {
                if let Some(object) = world.objects.pools.get_mut(id) {
                    Arc::make_mut(object).status = Some(change.wanted.clone());
                }
            }
            Self::Grant(id, change) => {
                if let Some(object) = world.objects.grants.get_mut(id) {
                    Arc::make_mut(object).status = Some(change.wanted.clone());
                }
            }
        }
    }
}

/// What turns the status that stands in an object into the one that should; `None`: it does already.
fn change<S: Clone + PartialEq>(
    metadata: &ObjectMeta,
    held: Option<&S>,
    wanted: &S,
) -> Option<Box<Change<S>>> {
    (held != Some(wanted)).then(|| {
        let (based_on, held) = (metadata.resource_version.clone(), held.cloned());
        Box::new(Change { based_on, held, wanted: wanted.clone() })
    })
}

/// The refusal that `wanted` tells of, unless `held` already does.
fn refusal(kind: Kind, id: &ObjectId, held: &[Condition], wanted: &[Condition]) -> Option<Refused> {
    let refused = |all: &[Condition]| {
        let accepted = all.iter().find(|one| one.type_ == reasons::ACCEPTED && one.status == "False")?;
        Some((accepted.reason.clone(), accepted.message.clone()))
    };
    let now = refused(wanted).filter(|now| refused(held).as_ref() != Some(now));
    now.map(|(reason, message)| Refused { kind, id: id.clone(), reason, message })
}
