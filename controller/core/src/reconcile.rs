//! `reconcile(&World, now) -> Plan`: what every proxy should know, and what to write about each object.
//! Same world and instant, same plan; applying a plan and reconciling again leaves nothing to do.

mod account;
mod grant;
mod pool;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use penstock_crds::account::status::{ProviderAccountStatus, State};
use penstock_crds::grant::AccessGrantStatus;
use penstock_crds::pool::AccountPoolStatus;
use penstock_proto::ids::{AccountId, ObjectId, PoolId};
use penstock_proto::resource::{Resource, ResourceKey, Versioned};

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
    /// The status of every account, whether it must be written or not.
    pub accounts: BTreeMap<AccountId, ProviderAccountStatus>,
    /// The status of every pool with an object, and of the implicit ones.
    pub pools: BTreeMap<PoolId, AccountPoolStatus>,
    /// When time alone changes this plan; `None`: never.
    pub next_change: Option<Timestamp>,
}

/// A status to write.
#[derive(Debug, Clone, PartialEq)]
pub enum StatusWrite {
    /// Of an account.
    Account(AccountId, Box<ProviderAccountStatus>),
    /// Of a pool.
    Pool(PoolId, Box<AccountPoolStatus>),
    /// Of a grant.
    Grant(ObjectId, Box<AccessGrantStatus>),
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
    let checked = account::reconcile(world, now, &mut plan);
    pool::reconcile(world, &checked, now, &mut plan);
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
    /// Writes the status into the world's object, if it is there.
    pub fn apply(&self, world: &mut World) {
        match self {
            Self::Account(id, status) => {
                if let Some(object) = world.objects.accounts.get_mut(id) {
                    Arc::make_mut(object).status = Some((**status).clone());
                }
            }
            Self::Pool(id, status) => {
                if let Some(object) = world.objects.pools.get_mut(id) {
                    Arc::make_mut(object).status = Some((**status).clone());
                }
            }
            Self::Grant(id, status) => {
                if let Some(object) = world.objects.grants.get_mut(id) {
                    Arc::make_mut(object).status = Some((**status).clone());
                }
            }
        }
    }
}
