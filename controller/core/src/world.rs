//! Everything the controller knows: the objects, and what was observed beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use penstock_crds::account::ProviderAccountStatus;
use penstock_proto::ids::AccountId;
use penstock_proto::issuer::TokenIssuer;
use penstock_proto::snapshot::AccountState;

use crate::budget::Spent;
use crate::objects::Objects;
use crate::status;
use crate::validate::account;

/// Everything the controller knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    /// The objects, as their source last gave them.
    pub objects: Objects,
    /// What proxies and other replicas observed of accounts, joined. Outlives the objects' versions.
    pub observed: BTreeMap<AccountId, AccountState>,
    /// What the accounts with a budget have spent, as the history last said.
    pub spent: BTreeMap<AccountId, Spent>,
    /// How many proxies hold each account.
    pub in_use_by: BTreeMap<AccountId, u32>,
    /// Who signs the tokens of the cluster's ServiceAccounts; `None` outside one, and until it is known.
    pub issuer: Option<Arc<TokenIssuer>>,
}

/// What an observation changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    /// Nothing: it was known, or is about an account that is gone.
    Nothing,
    /// Something small; the next regular publication is soon enough.
    Small,
    /// Something began, ended or moved; every proxy should know at once.
    Change,
}

impl World {
    /// Takes in the objects as their source now has them. What other replicas wrote into statuses is joined
    /// with what is known; what is known of accounts that are gone is forgotten.
    pub fn set_objects(&mut self, objects: Objects) {
        for (id, account) in &objects.accounts {
            if let Some(written) = &account.status {
                let state = self.observed.entry(id.clone()).or_default();
                status::join(state, written);
                let before = self.objects.accounts.get(id).and_then(|held| held.status.as_ref());
                take_rejection(state, before, written, || {
                    account::check(id, account, &objects, Timestamp::MIN).fingerprint()
                });
            }
        }
        self.observed.retain(|id, _| objects.accounts.contains_key(id));
        self.spent.retain(|id, _| objects.accounts.contains_key(id));
        self.in_use_by.retain(|id, _| objects.accounts.contains_key(id));
        self.objects = objects;
    }

    /// Takes in what accounts have spent; of the others nothing changes.
    pub fn set_spent(&mut self, spent: BTreeMap<AccountId, Spent>) -> Observed {
        let mut observed = Observed::Nothing;
        for (id, spent) in spent {
            if self.objects.accounts.contains_key(&id) && self.spent.insert(id, spent) != Some(spent) {
                observed = Observed::Change;
            }
        }
        observed
    }

    /// Forgets the limits that an account is known to have, as if it had never been used: what a person asks
    /// for who knows better.
    pub fn forget_limits(&mut self, account: &AccountId, now: Timestamp) {
        if let Some(state) = self.observed.get_mut(account) {
            let scopes: Vec<_> = state.limits.cooldowns().map(|(scope, _)| scope.clone()).collect();
            scopes.into_iter().for_each(|scope| state.limits.lift(scope, now));
            state.rejected_fingerprint = None;
            state.blocked = None;
        }
    }
}

/// Takes in the credential that is written down as rejected, where that changed in the object: it is the last
/// word of all replicas. Only what this one knows of the credential in use and could not write yet stands above it.
fn take_rejection(
    state: &mut AccountState,
    before: Option<&ProviderAccountStatus>,
    written: &ProviderAccountStatus,
    in_use: impl FnOnce() -> Option<String>,
) {
    let rejected = |status: &ProviderAccountStatus| status.credentials.as_ref()?.rejected_fingerprint.clone();
    let (before, now) = (before.map(rejected), rejected(written));
    if before.as_ref() == Some(&now) || state.rejected_fingerprint == now {
        return;
    }
    if before.is_none() && now.is_none() {
        // Written by somebody who knew nothing of the account.
        return;
    }
    if state.rejected_fingerprint.is_none() || now.is_none() || state.rejected_fingerprint != in_use() {
        state.rejected_fingerprint = now;
    }
}
