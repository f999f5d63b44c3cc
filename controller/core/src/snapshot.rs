//! What one proxy may see of a plan, and what turns what it holds into that. Secrets travel in account
//! resources only, and only to proxies that may use the account.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use penstock_proto::resource::{Resource, ResourceKey, ResourceKind, Update, Versioned};
use sha2::{Digest, Sha256};

use crate::reconcile::Plan;

/// What a proxy's credential entitles it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// Everything: the proxy of a stand-alone Penstock.
    All,
    /// What the workloads of these namespaces may use.
    Namespaces(BTreeSet<String>),
}

/// What one viewer may see.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// By key, with the version of each content.
    pub resources: BTreeMap<ResourceKey, Versioned>,
    /// Version of the whole; equal for two views of the same content.
    pub version: String,
}

impl Plan {
    /// What the viewer may see.
    pub fn view(&self, viewer: &Viewer) -> View {
        let resources: BTreeMap<_, _> = self
            .resources
            .iter()
            .filter(|(key, versioned)| self.visible(viewer, key, versioned))
            .map(|(key, versioned)| (key.clone(), versioned.clone()))
            .collect();
        View { version: whole_version(&resources), resources }
    }

    fn visible(&self, viewer: &Viewer, key: &ResourceKey, versioned: &Versioned) -> bool {
        let Viewer::Namespaces(namespaces) = viewer else { return true };
        let mut usable = namespaces.iter().filter_map(|namespace| self.usable.get(namespace));
        match &versioned.resource {
            Resource::Account(account) => usable.any(|accounts| accounts.contains(&account.id)),
            Resource::AccountState(id, _) => usable.any(|accounts| accounts.contains(id)),
            Resource::Pool(pool) => namespaces.contains(pool.id.namespace()),
            Resource::Grant(_, grant) => {
                debug_assert_eq!(key.kind, ResourceKind::Grant);
                namespaces.contains(&grant.namespace)
            }
            // A sidecar serves its own pod; only a gateway has callers to tell apart.
            Resource::TokenIssuer(_) => false,
        }
    }
}

impl View {
    /// What turns a proxy that holds `held` into one that holds this view; no changes if it already does.
    pub fn update(&self, held: &BTreeMap<ResourceKey, String>, now: Timestamp) -> Update {
        Update {
            changes: Update::between(held, &self.resources),
            view_version: self.version.clone(),
            as_of: Some(now),
        }
    }

    /// The version of each resource: what a proxy holds that has taken in all of this.
    pub fn held(&self) -> BTreeMap<ResourceKey, String> {
        self.resources.iter().map(|(key, versioned)| (key.clone(), versioned.version.clone())).collect()
    }
}

fn whole_version(resources: &BTreeMap<ResourceKey, Versioned>) -> String {
    let mut hash = Sha256::new();
    for (key, versioned) in resources {
        for part in [key.kind.as_label(), &key.name, &versioned.version] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
