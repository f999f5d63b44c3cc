//! Worlds to tell stories in. Not a test by itself.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;

use jiff::Timestamp;
use penstock_controller_core::budget::{self, Spent};
use penstock_controller_core::objects::{Objects, SecretObject};
use penstock_controller_core::{Plan, World, reconcile};
use penstock_crds::values::Period;
use penstock_crds::{AccessGrant, AccountPool, ProviderAccount};
use penstock_proto::ids::ObjectId;
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope, Window, WindowStatus};
use penstock_proto::observation::Observation;
use penstock_proto::resource::Resource;
use penstock_proto::secret::Secret;
use penstock_proto::snapshot::{Account, Grant, Pool};

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("an instant")
}

pub(crate) fn id(raw: &str) -> ObjectId {
    raw.parse().expect("a name")
}

fn object<T: serde::de::DeserializeOwned>(kind: &str, raw: &str, spec: &str) -> (ObjectId, Arc<T>) {
    let id = id(raw);
    let spec: serde_json::Value = serde_saphyr::from_str(spec).expect("YAML");
    let metadata = serde_json::json!({"name": id.name(), "namespace": id.namespace(), "generation": 1});
    let object = serde_json::json!({"apiVersion": "penstock.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    (id, Arc::new(serde_json::from_value(object).expect("an object")))
}

pub(crate) fn account(raw: &str, spec: &str) -> (ObjectId, Arc<ProviderAccount>) {
    object("ProviderAccount", raw, spec)
}

pub(crate) fn add_pool(world: &mut World, raw: &str, spec: &str) {
    let made: (_, Arc<AccountPool>) = object("AccountPool", raw, spec);
    world.objects.pools.extend([made]);
}

pub(crate) fn add_grant(world: &mut World, raw: &str, spec: &str) {
    let made: (_, Arc<AccessGrant>) = object("AccessGrant", raw, spec);
    world.objects.grants.extend([made]);
}

pub(crate) fn secret(raw: &str, values: &[(&str, &str)]) -> (ObjectId, Arc<SecretObject>) {
    let data = values.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect();
    (id(raw), Arc::new(SecretObject { data, ..SecretObject::default() }))
}

pub(crate) fn world<const A: usize, const S: usize>(
    accounts: [(ObjectId, Arc<ProviderAccount>); A],
    secrets: [(ObjectId, Arc<SecretObject>); S],
) -> World {
    let objects = Objects { accounts: accounts.into(), secrets: secrets.into(), ..Objects::default() };
    let mut world = World::default();
    world.set_objects(objects);
    world
}

/// The history says what was spent in the period of the story's beginning.
pub(crate) fn spend(world: &mut World, raw: &str, period: Period, micros: u64) {
    let (since, _) = budget::around(period, at(0));
    world.set_spent([(id(raw), Spent { since, micros })].into());
}

/// Reconciles, checks that the one account is limited, and applies that.
pub(crate) fn limited(world: &mut World, now: Timestamp) {
    let plan = reconcile(world, now);
    assert!(plan.accounts.values().all(|status| status.limited_until.is_some()));
    plan.apply(world);
}

pub(crate) fn window(utilization: f64, resets: Option<i64>, status: WindowStatus, observed: i64) -> Window {
    Window { utilization, resets_at: resets.map(at), status, remaining: None, observed_at: at(observed) }
}

pub(crate) struct Seen(pub(crate) Observation);

pub(crate) fn observation(raw: &str, second: i64) -> Seen {
    Seen(Observation::about(id(raw), at(second)))
}

impl Seen {
    pub(crate) fn window(mut self, name: &str, window: Window) -> Self {
        self.0.windows.push((name.to_owned(), window));
        self
    }

    pub(crate) fn cooldown(mut self, reason: CooldownReason, model: Option<&str>, until: i64) -> Self {
        let scope = CooldownScope { reason, model: model.map(str::to_owned) };
        self.0.cooldowns.push((scope, Cooldown { until: at(until), observed_at: self.0.observed_at }));
        self
    }

    pub(crate) fn rejected(mut self, fingerprint: &str) -> Self {
        self.0.rejected_fingerprint = Some(fingerprint.to_owned());
        self
    }
}

pub(crate) fn proto_account(plan: &Plan, raw: &str) -> Arc<Account> {
    let found = plan.resources.values().find_map(|one| match &one.resource {
        Resource::Account(account) if account.id == id(raw) => Some(Arc::clone(account)),
        _ => None,
    });
    found.expect(raw)
}

pub(crate) fn pool(plan: &Plan, raw: &str) -> Arc<Pool> {
    let found = plan.resources.values().find_map(|one| match &one.resource {
        Resource::Pool(pool) if pool.id == id(raw) => Some(Arc::clone(pool)),
        _ => None,
    });
    found.expect(raw)
}

pub(crate) fn grant(plan: &Plan, name: &str) -> Arc<Grant> {
    let found = plan.resources.values().find_map(|one| match &one.resource {
        Resource::Grant(held, grant) if held == name => Some(Arc::clone(grant)),
        _ => None,
    });
    found.expect(name)
}

/// Status, reason and message of a condition of an account.
pub(crate) fn condition(plan: &Plan, account: &str, kind: &str) -> (String, String, String) {
    let conditions = &plan.accounts[&id(account)].conditions;
    let found = conditions.iter().find(|condition| condition.type_ == kind).expect(kind);
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

pub(crate) fn names(ids: &[ObjectId]) -> Vec<&str> {
    ids.iter().map(ObjectId::as_str).collect()
}
