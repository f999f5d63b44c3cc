//! What one proxy may see of a plan, and what turns what it holds into that. Secrets travel in account
//! resources only, and only to proxies that may use the account.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use penstock_proto::ids::{ResourceKey, ResourceKind};
use penstock_proto::resource::{Refusal, Update, Versioned};
use sha2::{Digest, Sha256};

use crate::reconcile::Plan;

/// What a proxy's credential entitles it to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
    /// What the viewer may see. Costs what there is to see, not what there is: a cluster has a thousand namespaces.
    pub fn view(&self, viewer: &Viewer) -> View {
        let resources = match viewer {
            Viewer::All => self.resources.clone(),
            Viewer::Namespaces(namespaces) => {
                namespaces.iter().flat_map(|namespace| self.of_namespace(namespace)).collect()
            }
        };
        View { version: whole_version(&resources), resources }
    }

    /// The accounts that a namespace may use, and its own pools and grants. Not who signs callers' tokens: a sidecar
    /// serves its own pod, only a gateway has callers to tell apart.
    fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = (ResourceKey, Versioned)> {
        let accounts = self.usable.get(namespace).into_iter().flatten().flat_map(|id| {
            [ResourceKind::Account, ResourceKind::AccountState]
                .map(|kind| ResourceKey { kind, name: id.as_str().to_owned() })
        });
        let accounts = accounts.filter_map(|key| self.resources.get_key_value(&key));
        let prefix = format!("{namespace}/");
        let own = [ResourceKind::Pool, ResourceKind::Grant].into_iter().flat_map(move |kind| {
            let (first, prefix) = (ResourceKey { kind, name: prefix.clone() }, prefix.clone());
            let from = self.resources.range(first..);
            from.take_while(move |(key, _)| key.kind == kind && key.name.starts_with(&prefix))
        });
        accounts.chain(own).map(|(key, versioned)| (key.clone(), versioned.clone()))
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

    /// What of these refusals still stands at a proxy that was sent this view: each until its resource is another one, or
    /// gone, because what was refused is not offered again.
    pub fn still_refused(&self, refusals: impl IntoIterator<Item = Refusal>) -> Vec<Refusal> {
        let is_as_it_was = |refusal: &Refusal| {
            self.resources.get(&refusal.key).is_some_and(|now| now.version == refusal.version)
        };
        let standing = refusals.into_iter().filter(is_as_it_was);
        let standing: BTreeMap<_, _> = standing.map(|refusal| (refusal.key.clone(), refusal)).collect();
        standing.into_values().collect()
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
