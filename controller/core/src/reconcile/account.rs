//! Accounts: what proxies are told of each, and its status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use penstock_crds::ProviderAccount;
use penstock_crds::account::status::{CredentialKind, CredentialsStatus, ProviderAccountStatus};
use penstock_crds::account::{AllowedNamespaces, NamespacesFrom};
use penstock_crds::conditions as reasons;
use penstock_proto::ids::AccountId;
use penstock_proto::resource::Resource;
use penstock_proto::snapshot::AccountState;

use super::state::{self, Standing};
use super::{Plan, StatusWrite, Transition, change};
use crate::budget;
use crate::conditions::{self, Said};
use crate::observe::REMEMBER_LIFTS;
use crate::status;
use crate::validate::account::{self, Checked};
use crate::world::World;

/// Where each account stands.
pub(super) type Standings = BTreeMap<AccountId, Standing>;

pub(super) fn reconcile(world: &World, now: Timestamp, plan: &mut Plan) -> Standings {
    let mut standing = BTreeMap::new();
    for (id, object) in &world.objects.accounts {
        let checked = account::check(id, object, &world.objects, now);
        let observed = world.observed.get(id).cloned().unwrap_or_default();
        let spent = budget::is_spent(object, world.spent.get(id).copied(), now);
        let stands = state::standing(&object.spec, &checked, &observed, spent, now);
        plan.change_at(stands.next_change);
        plan.change_at(observed.limits.next_prune(now, REMEMBER_LIFTS));
        let status = status_of(object, &checked, &observed, &stands, world.in_use_by.get(id).copied(), now);
        note(id, object, &stands, status, plan);
        publish(id, checked, observed, &stands, plan);
        standing.insert(id.clone(), stands);
    }
    plan.usable = usable(world);
    standing
}

/// Which accounts each namespace may use: its own, and those that others share with it.
fn usable(world: &World) -> BTreeMap<String, BTreeSet<AccountId>> {
    let mut usable: BTreeMap<String, BTreeSet<AccountId>> =
        namespaces(world).into_iter().map(|namespace| (namespace, BTreeSet::new())).collect();
    for (id, object) in &world.objects.accounts {
        if let Some(own) = usable.get_mut(id.namespace()) {
            own.insert(id.clone());
        }
        // Few are shared: only these are looked at for every namespace.
        let Some(allowed) = &object.spec.allowed_namespaces else { continue };
        for (namespace, accounts) in &mut usable {
            if may_use(world, namespace, allowed) {
                accounts.insert(id.clone());
            }
        }
    }
    usable
}

fn publish(id: &AccountId, checked: Checked, observed: AccountState, stands: &Standing, plan: &mut Plan) {
    let Some(account) = checked.account else { return };
    plan.publish(Resource::Account(Arc::new(account)));
    let blocked = stands.blocked.then(|| stands.reason.clone());
    plan.publish(Resource::AccountState(id.clone(), Arc::new(AccountState { blocked, ..observed })));
}

fn note(
    id: &AccountId,
    object: &ProviderAccount,
    stands: &Standing,
    status: ProviderAccountStatus,
    plan: &mut Plan,
) {
    let held = object.status.as_ref();
    let from = held.and_then(|status| status.state);
    if from != Some(stands.state) {
        plan.transitions.push(Transition {
            account: id.clone(),
            from,
            to: stands.state,
            reason: stands.reason.clone(),
            message: stands.message.clone(),
        });
    }
    let change = change(&object.metadata, held, &status);
    plan.writes.extend(change.map(|change| StatusWrite::Account(id.clone(), change)));
    let version = object.metadata.resource_version.clone();
    plan.versions.extend(version.map(|version| (id.clone(), version)));
    plan.accounts.insert(id.clone(), status);
}

fn status_of(
    object: &ProviderAccount,
    checked: &Checked,
    observed: &AccountState,
    stands: &Standing,
    in_use_by: Option<u32>,
    now: Timestamp,
) -> ProviderAccountStatus {
    let generation = object.metadata.generation;
    let held = object.status.as_ref();
    let held_conditions = held.map_or(&[][..], |status| &status.conditions);
    // What has ended is left out by the hour and not by who happens to have forgotten it: else replicas would
    // put it back for each other.
    let mut limits = observed.limits.clone();
    limits.prune(now, REMEMBER_LIFTS);
    ProviderAccountStatus {
        observed_generation: generation,
        state: Some(stands.state),
        limited_until: stands.until,
        reason: Some(stands.reason.clone()),
        tightest_window: status::tightest(&limits, now),
        windows: status::windows(&limits),
        cooldowns: status::cooldowns(&limits),
        credentials: credentials(checked, observed, held),
        in_use_by,
        conditions: conditions::update(held_conditions, said(checked, stands), generation, now),
    }
}

fn credentials(
    checked: &Checked,
    observed: &AccountState,
    held: Option<&ProviderAccountStatus>,
) -> Option<CredentialsStatus> {
    let kind: CredentialKind = checked.kind?;
    let credential = checked.account.as_ref().and_then(|account| account.credential.as_ref());
    let held = held.and_then(|status| status.credentials.as_ref());
    Some(CredentialsStatus {
        kind,
        expires_at: credential.and_then(|credential| credential.expires_at),
        // Whoever logged in wrote it down; it is not in the Secret.
        identity: held.and_then(|held| held.identity.clone()),
        rejected_fingerprint: observed.rejected_fingerprint.clone(),
    })
}

fn said(checked: &Checked, stands: &Standing) -> Vec<Said> {
    let accepted = match &checked.spec_fault {
        None => Said::yes(reasons::ACCEPTED, reasons::REASON_ACCEPTED),
        Some(fault) => Said::no(reasons::ACCEPTED, fault.reason, &fault.message),
    };
    let valid = match (&checked.credential_fault, &stands.rejected) {
        (Some(fault), _) => Said::no(reasons::CREDENTIALS_VALID, fault.reason, &fault.message),
        (None, Some(message)) => {
            Said::no(reasons::CREDENTIALS_VALID, reasons::REASON_CREDENTIAL_REJECTED, message)
        }
        (None, None) => Said::yes(reasons::CREDENTIALS_VALID, reasons::REASON_VALID),
    };
    let available = if stands.is_available() {
        Said::yes(reasons::AVAILABLE, reasons::REASON_AVAILABLE)
    } else {
        Said::no(reasons::AVAILABLE, &stands.reason, &stands.message)
    };
    vec![accepted, valid, available]
}

/// Every namespace in which there is something, and those that are known.
fn namespaces(world: &World) -> BTreeSet<String> {
    let objects = &world.objects;
    let with_objects = objects.accounts.keys().chain(objects.pools.keys()).chain(objects.grants.keys());
    let names = with_objects.map(|id| id.namespace().to_owned());
    names.chain(objects.namespaces.keys().cloned()).collect()
}

fn may_use(world: &World, namespace: &str, allowed: &AllowedNamespaces) -> bool {
    match allowed.from {
        NamespacesFrom::Same => false,
        NamespacesFrom::All => true,
        NamespacesFrom::Selector => {
            let none = BTreeMap::new();
            let labels = world.objects.namespaces.get(namespace).unwrap_or(&none);
            allowed.selector.as_ref().is_some_and(|selector| selector.matches(labels))
        }
    }
}
