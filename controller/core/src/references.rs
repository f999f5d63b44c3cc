//! Which Secrets and ConfigMaps objects refer to: of all that a cluster holds, only these are read and kept.

use penstock_crds::grant::SubjectKind;
use penstock_crds::{AccessGrant, ProviderAccount};
use penstock_proto::ids::ObjectId;

/// The kinds that objects refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Referent {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// Something that an object refers to. It may not exist.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Of which kind.
    pub kind: Referent,
    /// Which.
    pub id: ObjectId,
}

impl Reference {
    /// To a name as it stands in an object of this namespace; `None` if there cannot be such an object.
    pub fn new(kind: Referent, namespace: &str, name: &str) -> Option<Self> {
        ObjectId::new(namespace, name).ok().map(|id| Self { kind, id })
    }
}

/// What an account refers to: its credential and its certificate authorities.
pub fn of_account(id: &ObjectId, account: &ProviderAccount) -> Vec<Reference> {
    let namespace = id.namespace();
    let credentials = account.spec.credentials.as_ref().map(|named| named.secret_ref.name.as_str());
    let bundle = account.spec.egress.ca_bundle.as_ref().map(|named| named.config_map_ref.name.as_str());
    let secret = credentials.and_then(|name| Reference::new(Referent::Secret, namespace, name));
    let config_map = bundle.and_then(|name| Reference::new(Referent::ConfigMap, namespace, name));
    secret.into_iter().chain(config_map).collect()
}

/// What a grant refers to: its client keys.
pub fn of_grant(id: &ObjectId, grant: &AccessGrant) -> Vec<Reference> {
    let keys = grant.spec.subjects.iter().filter(|subject| subject.kind == SubjectKind::ClientKey);
    keys.filter_map(|subject| Reference::new(Referent::Secret, id.namespace(), &subject.name)).collect()
}
