//! A proxy's introduction, and what it says it holds.

use std::collections::BTreeMap;

use crate::ids::ResourceKey;
use crate::peer::ProxyIdentity;
use crate::wire;

impl From<wire::ProxyIdentity> for ProxyIdentity {
    fn from(wire: wire::ProxyIdentity) -> Self {
        let wire::ProxyIdentity { id, version, namespace, pod, role } = wire;
        Self { id, version, namespace, pod, role }
    }
}

impl From<&ProxyIdentity> for wire::ProxyIdentity {
    fn from(identity: &ProxyIdentity) -> Self {
        let ProxyIdentity { id, version, namespace, pod, role } = identity.clone();
        Self { id, version, namespace, pod, role }
    }
}

impl wire::Hello {
    /// The introduction of a proxy that holds these versions.
    pub fn new(proxy: &ProxyIdentity, held: &BTreeMap<ResourceKey, String>) -> Self {
        let held = held.iter().map(|(key, version)| wire::HeldResource {
            kind: key.kind.into(),
            name: key.name.clone(),
            version: version.clone(),
        });
        Self { proxy: Some(proxy.into()), held: held.collect() }
    }

    /// Who it is and what it holds.
    pub fn into_parts(self) -> (ProxyIdentity, BTreeMap<ResourceKey, String>) {
        let held = self
            .held
            .into_iter()
            .map(|held| (ResourceKey { kind: held.kind.into(), name: held.name }, held.version));
        (self.proxy.unwrap_or_default().into(), held.collect())
    }
}
