//! The installation that the tests share, in the cluster that they share, and whose turn it is.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use penstock_e2e::product::{self, VERSION};
use penstock_e2e::scratch::Scratch;
use penstock_e2e::wait::PATIENCE;
use penstock_e2e::{Cluster, await_condition};
use serde_json::json;
use tokio::sync::{OnceCell, RwLock};

use super::images;
use super::simulator::Simulator;

pub(crate) use product::NAMESPACE;

/// Where the provider is.
pub(crate) const PROVIDER: &str = "provider";
/// Held for reading by tests that bear each other, for writing by those that disturb all others.
pub(crate) static TURN: RwLock<()> = RwLock::const_new(());

/// Small, so that it fits beside the tests, and quick to leave: in a cluster of one node everybody hears at once that a
/// gateway goes.
const SMALL: &str = "controller.resources.requests.cpu=20m,gateway.resources.requests.cpu=20m,\
                     postgres.resources.requests.cpu=20m,gateway.preStopSeconds=3,gateway.drainSeconds=20";

/// A cluster with Penstock and a provider.
#[derive(Debug)]
pub(crate) struct Installation<'a> {
    cluster: &'a Cluster,
    simulator: Simulator,
}

impl Installation<'static> {
    /// The one of all tests.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Installation<'static>> = OnceCell::const_new();
        SHARED
            .get_or_init(async || {
                let cluster = Cluster::shared().await;
                cluster.watch_over(&[NAMESPACE, PROVIDER], async || Self::make(cluster).await.unwrap()).await
            })
            .await
    }
}

impl<'a> Installation<'a> {
    /// The cluster.
    pub(crate) fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// The provider.
    pub(crate) fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// One in a cluster, and the provider.
    pub(crate) async fn make(cluster: &'a Cluster) -> Result<Self> {
        let simulator = ready_for_install(cluster).await?;
        let restricted = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE, "labels": restricted } });
        apply(cluster, &namespace.to_string()).await?;
        // A given cluster may have it from the last time.
        upgrade(cluster, &[]).await?;
        Ok(Self { cluster, simulator })
    }
}

/// Uninstalls and installs, after a test that has changed what an upgrade cannot change back: the history is empty.
pub(crate) async fn reinstall(cluster: &Cluster) -> Result<()> {
    cluster.helm(&["uninstall", "penstock", "-n", NAMESPACE, "--wait"]).await?;
    if cluster.directory().is_some() {
        product::provide_storage(cluster).await?;
    }
    upgrade(cluster, &[]).await
}

/// Everything that an installation finds in a cluster: images, a volume, a provider.
pub(crate) async fn ready_for_install(cluster: &Cluster) -> Result<Simulator> {
    images::load(cluster).await?;
    // A given cluster has its own.
    if cluster.directory().is_some() {
        product::provide_storage(cluster).await?;
    }
    let manifest = json!({ "apiVersion": "v1", "kind": "List", "items": simulator() });
    apply(cluster, &manifest.to_string()).await?;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client(), PROVIDER);
    let available =
        |found: &Deployment| found.status.as_ref().is_some_and(|status| status.available_replicas == Some(1));
    await_condition(&deployments, "simulator", |found| found.is_some_and(available), PATIENCE).await?;
    let pods: Api<Pod> = Api::namespaced(cluster.client(), PROVIDER);
    let pod = pods.list(&ListParams::default().labels("app=simulator")).await?.items.into_iter().next();
    let address = pod.and_then(|pod| pod.status?.pod_ip).context("the simulator's address")?;
    Ok(Simulator::at(&address))
}

/// Installs or upgrades the shared installation, with more values; waits until all of it is ready.
pub(crate) async fn upgrade(cluster: &Cluster, values: &[&str]) -> Result<()> {
    let chart = product::chart().display().to_string();
    let mut arguments = vec!["upgrade", "--install", "penstock", &chart, "-n", NAMESPACE];
    arguments.extend(["--wait", "--timeout=3m", "--set", SMALL]);
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    cluster.helm(&arguments).await.map(drop)
}

/// The pods of a part of Penstock that are there to stay.
pub(crate) async fn pods_of(cluster: &Cluster, component: &str) -> Result<Vec<Pod>> {
    let mut found = all_pods_of(cluster, component).await?;
    found.retain(stays);
    Ok(found)
}

/// With those that are on their way out.
pub(crate) async fn all_pods_of(cluster: &Cluster, component: &str) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), NAMESPACE);
    let labels = format!("app.kubernetes.io/component={component}");
    let mut found = pods.list(&ListParams::default().labels(&labels)).await?.items;
    found.sort_by_key(ResourceExt::name_any);
    Ok(found)
}

/// Whether nobody has asked for its end.
pub(crate) fn stays(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
}

/// `kubectl apply -f`.
pub(crate) async fn apply(cluster: &Cluster, manifest: &str) -> Result<()> {
    let scratch = Scratch::new("manifest")?;
    let file = scratch.write("manifest.json", manifest)?;
    cluster.kubectl(&["apply", "-f", &file.display().to_string()]).await.map(drop)
}

fn simulator() -> serde_json::Value {
    let labels = json!({ "app": "simulator" });
    let container = json!({
        "name": "simulator",
        "image": format!("registry.penstock.dev/simulator:{VERSION}"),
        // Streams last long enough that something can happen to them.
        "args": ["--listen=0.0.0.0:8080", "--first-byte-delay=10ms", "--event-delay=4ms"],
        "readinessProbe": { "httpGet": { "path": "/_control/health", "port": 8080 }, "periodSeconds": 1 },
    });
    json!([
        { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": PROVIDER } },
        {
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "simulator", "namespace": PROVIDER },
            "spec": {
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
            },
        },
        {
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "simulator", "namespace": PROVIDER },
            "spec": { "selector": labels, "ports": [{ "port": 8080 }] },
        },
    ])
}
