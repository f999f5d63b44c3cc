//! The objects as plain ordered maps. They come from a Kubernetes API or from a folder; nothing here knows which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use penstock_crds::{AccessGrant, AccountPool, ProviderAccount};
use penstock_proto::ids::{InvalidObjectId, ObjectId};
use penstock_proto::secret::Secret;

/// The namespace of objects that do not say one, outside a cluster.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The objects, as their source last gave them. Each behind an `Arc`, so that a copy of all is cheap.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// By `namespace/name`.
    pub accounts: BTreeMap<ObjectId, Arc<ProviderAccount>>,
    /// By `namespace/name`.
    pub pools: BTreeMap<ObjectId, Arc<AccountPool>>,
    /// By `namespace/name`.
    pub grants: BTreeMap<ObjectId, Arc<AccessGrant>>,
    /// Those that an object refers to, and client keys.
    pub secrets: BTreeMap<ObjectId, Arc<SecretObject>>,
    /// `ca.crt` of the ConfigMaps that an account refers to, PEM.
    pub ca_bundles: BTreeMap<ObjectId, Arc<str>>,
    /// Namespaces whose Secrets the controller may not read.
    pub forbidden_secrets: BTreeSet<String>,
    /// Labels of the namespaces; those that are not here have none.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Outside a cluster: Secrets labelled as client keys are grants by themselves.
    pub standalone: bool,
}

/// A Secret.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SecretObject {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its values by key.
    pub data: BTreeMap<String, Secret>,
}

/// `namespace/name` of an object; one without a namespace is in [`DEFAULT_NAMESPACE`].
///
/// # Errors
/// If the object's names are not names of Kubernetes.
pub fn id_of(object: &impl ResourceExt) -> Result<ObjectId, InvalidObjectId> {
    let namespace = object.namespace();
    ObjectId::new(namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE), &object.name_any())
}

impl PartialEq for Objects {
    /// Of thousands of objects all but one are usually the very same ones, which need not be compared.
    fn eq(&self, other: &Self) -> bool {
        let Self { accounts, pools, grants, secrets, ca_bundles, forbidden_secrets, namespaces, standalone } =
            self;
        same(accounts, &other.accounts)
            && same(pools, &other.pools)
            && same(grants, &other.grants)
            && same(secrets, &other.secrets)
            && same(ca_bundles, &other.ca_bundles)
            && *forbidden_secrets == other.forbidden_secrets
            && *namespaces == other.namespaces
            && *standalone == other.standalone
    }
}

fn same<T: PartialEq + ?Sized>(one: &BTreeMap<ObjectId, Arc<T>>, other: &BTreeMap<ObjectId, Arc<T>>) -> bool {
    let pairs = one.iter().zip(other);
    one.len() == other.len()
        && pairs
            .into_iter()
            .all(|(one, other)| one.0 == other.0 && (Arc::ptr_eq(one.1, other.1) || one.1 == other.1))
}
