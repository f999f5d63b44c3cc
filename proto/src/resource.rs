//! What the controller pushes, piece by piece: each resource with its name and the version of its content.
//!
//! Both ends speak in these values: the controller computes a [`Change`] for everything that a proxy
//! does not hold in its current version, and [`Snapshot::apply`] takes it in.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::convert::ConvertError;
use crate::ids::{AccountId, ObjectId, ResourceKey, ResourceKind};
use crate::issuer::TokenIssuer;
use crate::snapshot::{Account, AccountState, Grant, Pool, Snapshot};

/// A resource's content. `Arc`, so that every view and snapshot shares it.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// An account with its credential.
    Account(Arc<Account>),
    /// Where an account stands.
    AccountState(AccountId, Arc<AccountState>),
    /// A pool.
    Pool(Arc<Pool>),
    /// A grant, with its name (`namespace/name`).
    Grant(String, Arc<Grant>),
    /// Who signs callers' tokens.
    TokenIssuer(Arc<TokenIssuer>),
}

/// A resource and the version of its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned {
    /// Hash of the content; equal content has an equal version.
    pub version: String,
    /// The content.
    pub resource: Resource,
}

/// One resource that is new, different or gone.
#[derive(Debug, Clone)]
pub enum Change {
    /// It is now this.
    Set(Versioned),
    /// It was sent, and cannot be read. The last good one stays in force.
    Unreadable {
        /// Which resource.
        key: ResourceKey,
        /// The version that was sent.
        version: String,
        /// Why it cannot be read.
        error: ConvertError,
    },
    /// It is gone.
    Removed(ResourceKey),
}

/// One push: what changed, and which view of the whole results.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// What is new, different or gone; each resource at most once.
    pub changes: Vec<Change>,
    /// Version of the whole view.
    pub view_version: String,
    /// When the controller computed it.
    pub as_of: Option<Timestamp>,
}

/// A resource that was not taken in, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which resource.
    pub key: ResourceKey,
    /// The version that was refused.
    pub version: String,
    /// Why, for people; never contains a credential.
    pub reason: String,
}

impl Resource {
    /// Its name and kind.
    pub fn key(&self) -> ResourceKey {
        let (kind, name) = match self {
            Self::Account(account) => (ResourceKind::Account, account.id.as_str()),
            Self::AccountState(id, _) => (ResourceKind::AccountState, id.as_str()),
            Self::Pool(pool) => (ResourceKind::Pool, pool.id.as_str()),
            Self::Grant(name, _) => (ResourceKind::Grant, name.as_str()),
            Self::TokenIssuer(issuer) => (ResourceKind::TokenIssuer, issuer.issuer.as_str()),
        };
        ResourceKey { kind, name: name.to_owned() }
    }

    /// With the version of its content ([`crate::convert::version`]).
    pub fn versioned(self) -> Versioned {
        Versioned { version: crate::convert::version(&self), resource: self }
    }
}

impl Update {
    /// What turns a peer that holds `held` into one that holds `view`: everything whose version
    /// differs, and the removal of everything that is not in it.
    pub fn between<'a>(
        held: &BTreeMap<ResourceKey, String>,
        view: impl IntoIterator<Item = (&'a ResourceKey, &'a Versioned)>,
    ) -> Vec<Change> {
        let mut gone = held.clone();
        let mut changes = Vec::new();
        for (key, versioned) in view {
            if gone.remove(key).as_ref() != Some(&versioned.version) {
                changes.push(Change::Set(versioned.clone()));
            }
        }
        changes.extend(gone.into_keys().map(Change::Removed));
        changes
    }
}

impl Snapshot {
    /// The snapshot after an update, sharing what did not change, and what was refused of it. A refused
    /// resource stays as it was; everything else of the same update is taken in.
    pub fn apply(&self, update: Update) -> (Self, Vec<Refusal>) {
        let Update { changes, view_version, as_of } = update;
        let mut next = Self { version: view_version, as_of: as_of.or(self.as_of), ..self.clone() };
        let mut refusals = Vec::new();
        for change in changes {
            match change {
                Change::Set(versioned) => next.set(versioned),
                Change::Removed(key) => next.remove(&key),
                Change::Unreadable { key, version, error } => {
                    refusals.push(Refusal { key, version, reason: error.to_string() });
                }
            }
        }
        (next, refusals)
    }

    fn set(&mut self, Versioned { version, resource }: Versioned) {
        self.versions.insert(resource.key(), version);
        match resource {
            Resource::Account(account) => drop(self.accounts.insert(account.id.clone(), account)),
            Resource::AccountState(id, state) => drop(self.states.insert(id, state)),
            Resource::Pool(pool) => drop(self.pools.insert(pool.id.clone(), pool)),
            Resource::Grant(name, grant) => drop(self.grants.insert(name, grant)),
            Resource::TokenIssuer(issuer) => drop(self.issuers.insert(issuer.issuer.clone(), issuer)),
        }
    }

    fn remove(&mut self, key: &ResourceKey) {
        self.versions.remove(key);
        match (key.kind, key.name.parse::<ObjectId>()) {
            (ResourceKind::Account, Ok(id)) => drop(self.accounts.remove(&id)),
            (ResourceKind::AccountState, Ok(id)) => drop(self.states.remove(&id)),
            (ResourceKind::Pool, Ok(id)) => drop(self.pools.remove(&id)),
            (ResourceKind::Grant, _) => drop(self.grants.remove(&key.name)),
            (ResourceKind::TokenIssuer, _) => drop(self.issuers.remove(&key.name)),
            // What is not a name, or of no known kind, is not held.
            (_, Err(_)) | (ResourceKind::Other(_), _) => {}
        }
    }
}
