//! Writing statuses: by server-side apply with a name of our own, each only over the version of the object that it
//! was decided on. What others write into the same status stays.

use std::collections::BTreeMap;
use std::fmt::Debug;

use futures_util::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use penstock_controller_core::objects::Objects;
use penstock_controller_core::reconcile::{Change, StatusWrite};
use penstock_controller_core::validate::Kind;
use penstock_crds::conditions::{ACCEPTED, AVAILABLE, CREDENTIALS_VALID};
use penstock_crds::{API_VERSION, AccessGrant, AccountPool, ProviderAccount};
use penstock_proto::ids::ObjectId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::debug;

use super::edit::write_error;
use super::{Kubernetes, is_at_least};
use crate::cluster::{Outcome, Written};

/// The one manager of all replicas: they write the same fields, one after the other.
const MANAGER: &str = "penstock-controller";

/// Writes at the same time: many accounts can end up limited at once.
const AT_ONCE: usize = 8;

/// Versions that writes led to, by kind and object.
type Versions = BTreeMap<(Kind, ObjectId), String>;

impl Kubernetes {
    pub(in crate::cluster) async fn write_status(&self, writes: &[StatusWrite]) -> Written {
        let under_way: Vec<_> = writes.iter().map(|write| self.write_one(write)).collect();
        let results: Vec<_> = stream::iter(under_way).buffered(AT_ONCE).collect().await;
        let (mut outcomes, mut failed, mut versions) = (Vec::new(), None, Versions::new());
        for (write, result) in writes.iter().zip(results) {
            let (kind, id, _) = write.target();
            outcomes.push(match result {
                Ok(version) => {
                    versions.extend(version.map(|version| ((kind, id.clone()), version)));
                    Outcome::Written
                }
                // Gone, or changed since: the watch tells, and the next plan is made of that.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                    debug!(kind = kind.name(), %id, "the object has changed since its status was decided on");
                    Outcome::Superseded
                }
                Err(error) => {
                    let what = format!("the status of {} {id}", kind.name());
                    failed.get_or_insert(write_error(what, error));
                    Outcome::Failed
                }
            });
        }
        if !versions.is_empty() {
            self.returned(|objects| have(objects, &versions)).await;
        }
        Written { outcomes, failed }
    }

    async fn write_one(&self, write: &StatusWrite) -> Result<Option<String>, kube::Error> {
        match write {
            StatusWrite::Account(id, change) => {
                let mut change = change.clone();
                retain_ours(&mut change.wanted.conditions);
                self.apply::<ProviderAccount, _>(id, &change).await
            }
            StatusWrite::Pool(id, change) => {
                let mut change = change.clone();
                retain_ours(&mut change.wanted.conditions);
                self.apply::<AccountPool, _>(id, &change).await
            }
            StatusWrite::Grant(id, change) => {
                let mut change = change.clone();
                retain_ours(&mut change.wanted.conditions);
                self.apply::<AccessGrant, _>(id, &change).await
            }
        }
    }

    async fn apply<K, S>(&self, id: &ObjectId, change: &Change<S>) -> Result<Option<String>, kube::Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
        S: Serialize,
    {
        let patch = json!({
            "apiVersion": API_VERSION,
            "kind": K::kind(&()),
            "metadata": {
                "name": id.name(), "namespace": id.namespace(), "resourceVersion": change.based_on,
            },
            "status": change.wanted,
        });
        let params = PatchParams::apply(MANAGER).force();
        let api = Api::<K>::namespaced(self.client.clone(), id.namespace());
        let written = api.patch_status(id.name(), &params, &Patch::Apply(&patch)).await?;
        Ok(written.resource_version())
    }
}

/// A condition of somebody else is not ours to repeat: it would come back when that one takes it away.
fn retain_ours(conditions: &mut Vec<Condition>) {
    conditions.retain(|one| [ACCEPTED, CREDENTIALS_VALID, AVAILABLE].contains(&one.type_.as_str()));
}

fn have(objects: &Objects, versions: &Versions) -> bool {
    versions.iter().all(|((kind, id), version)| {
        let metadata = match kind {
            Kind::Account => objects.accounts.get(id).map(|object| &object.metadata),
            Kind::Pool => objects.pools.get(id).map(|object| &object.metadata),
            Kind::Grant => objects.grants.get(id).map(|object| &object.metadata),
        };
        metadata.is_none_or(|held| is_at_least(held.resource_version.as_ref(), Some(version)))
    })
}
