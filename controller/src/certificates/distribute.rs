//! What proxies are to trust, in a ConfigMap of every namespace that may have proxies: written by the leader, where
//! it is missing or different. A namespace that is new has it at once; what was changed or removed by somebody
//! else is put right within a minute.
//!
//! Rights: `create` on configmaps, and `list`, `patch` on those of this name (a list by `metadata.name` counts as
//! one of that name), in every watched namespace and in our own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use penstock_controller_core::objects::Objects;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::leader::{Election, Leadership};

/// The key in the ConfigMap: what `PENSTOCK_CONTROLLER_CA` is mounted from.
const KEY: &str = "ca.crt";
/// Who wrote the ConfigMaps, as they themselves tell.
const FIELD_MANAGER: &str = "penstock-controller";
/// Between two looks at what there is.
const LOOK: Duration = Duration::from_mins(1);
/// After something could not be written.
const RETRY: Duration = Duration::from_secs(5);
/// Between looks at whether this replica leads, while it does not.
const LEADS: Duration = Duration::from_secs(1);
/// Writes at the same time: a thousand namespaces are done in seconds without crowding others out.
const AT_ONCE: usize = 8;
/// Namespaces of the cluster itself, where no workload of ours runs.
const NOT_IN: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Where the ConfigMaps are.
pub struct Distribution {
    /// Of the cluster.
    pub client: Client,
    /// Their name.
    pub name: String,
    /// The namespaces to have one; empty: all there are.
    pub namespaces: BTreeSet<String>,
    /// Our own, which has one in any case.
    pub own_namespace: String,
}

/// What is known to be right, so that nothing is written twice.
#[derive(Default)]
struct Done {
    bundle: Arc<str>,
    namespaces: BTreeSet<String>,
}

impl Distribution {
    /// Keeps them right until `stop`, as long as this replica leads.
    pub async fn run(
        self,
        mut bundle: watch::Receiver<Arc<str>>,
        mut objects: watch::Receiver<Arc<Objects>>,
        election: Election,
        stop: CancellationToken,
    ) {
        let (mut done, mut look, mut failing) = (Done::default(), Instant::now(), false);
        while !stop.is_cancelled() {
            let pem = Arc::clone(&bundle.borrow_and_update());
            let wanted = self.wanted(&objects.borrow_and_update());
            let wake = if let Some(leadership) = election.leadership() {
                if Instant::now() >= look {
                    (done, look) = (Done::default(), Instant::now() + LOOK);
                }
                let result = self.once(&leadership, &pem, &wanted, &mut done).await;
                failing = told(result, failing);
                if failing { look.min(Instant::now() + RETRY) } else { look }
            } else {
                look = Instant::now();
                Instant::now() + LEADS
            };
            // Objects change all the time; namespaces seldom.
            let differs = |objects: &Arc<Objects>| self.wanted(objects) != wanted;
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep_until(wake) => {}
                Ok(()) = bundle.changed() => {}
                Ok(_) = objects.wait_for(differs) => {}
            }
        }
    }

    fn wanted(&self, objects: &Objects) -> BTreeSet<String> {
        let all = || objects.namespaces.keys().filter(|name| !NOT_IN.contains(&name.as_str())).cloned();
        let mut wanted: BTreeSet<String> =
            if self.namespaces.is_empty() { all().collect() } else { self.namespaces.clone() };
        wanted.insert(self.own_namespace.clone());
        wanted
    }

    /// Writes what is not right yet. An error: the first of those that happened.
    async fn once(
        &self,
        leadership: &Leadership,
        pem: &Arc<str>,
        wanted: &BTreeSet<String>,
        done: &mut Done,
    ) -> Result<(), kube::Error> {
        if done.bundle != *pem {
            *done = Done { bundle: Arc::clone(pem), namespaces: self.right(pem).await? };
        }
        // A namespace that is gone and comes again has none.
        done.namespaces.retain(|namespace| wanted.contains(namespace));
        let missing: Vec<_> = wanted.difference(&done.namespaces).cloned().collect();
        let mut writes = stream::iter(missing)
            .map(|namespace| async {
                let written = self.write(leadership, &namespace, pem).await;
                (namespace, written)
            })
            .buffer_unordered(AT_ONCE);
        let (mut result, mut count) = (Ok(()), 0);
        while let Some((namespace, written)) = writes.next().await {
            match written {
                Ok(()) => count += usize::from(done.namespaces.insert(namespace)),
                Err(error) if is_going(&error) => {
                    debug!(namespace, "a namespace that goes needs no authority");
                    done.namespaces.insert(namespace);
                }
                Err(error) if result.is_ok() => result = Err(error),
                Err(_) => {}
            }
        }
        if count > 0 {
            info!(namespaces = count, "told proxies which authority to trust");
        }
        result
    }

    /// Where it is as it should be already.
    async fn right(&self, pem: &str) -> Result<BTreeSet<String>, kube::Error> {
        let params = ListParams::default().fields(&format!("metadata.name={}", self.name));
        let mut held = Vec::new();
        if self.namespaces.is_empty() {
            held.extend(Api::<ConfigMap>::all(self.client.clone()).list(&params).await?);
        } else {
            for namespace in self.namespaces.iter().chain([&self.own_namespace]) {
                held.extend(
                    Api::<ConfigMap>::namespaced(self.client.clone(), namespace).list(&params).await?,
                );
            }
        }
        let right = held
            .iter()
            .filter(|map| map.data.as_ref().and_then(|data| data.get(KEY)).is_some_and(|held| held == pem));
        Ok(right.filter_map(ResourceExt::namespace).collect())
    }

    async fn write(&self, _leader: &Leadership, namespace: &str, pem: &str) -> Result<(), kube::Error> {
        let labels = BTreeMap::from([("app.kubernetes.io/managed-by", "penstock")]);
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": self.name, "namespace": namespace, "labels": labels },
            "data": { KEY: pem },
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), namespace);
        api.patch(&self.name, &params, &Patch::Apply(map)).await.map(drop)
    }
}

/// Whether it failed; said when it begins.
fn told(result: Result<(), kube::Error>, failing: bool) -> bool {
    let Err(error) = result else { return false };
    if !failing {
        let error: &dyn std::error::Error = &error;
        warn!(error, "ConfigMaps with our authority cannot be written; proxies that start there wait");
    }
    true
}

/// The namespace is being deleted, or is gone.
fn is_going(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 404 || causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}
