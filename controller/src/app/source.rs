//! Where objects come from and go to, opened and watched as the settings say, and who among several replicas leads.

use std::sync::Arc;

use anyhow::Context;
use kube::Client;
use penstock_controller_core::price::PriceTable;

use super::tasks::Tasks;
use crate::cluster::Cluster;
use crate::cluster::directory::{self, Directory};
use crate::cluster::kubernetes::{Kubernetes, client};
use crate::config::{Config, InCluster, Source};
use crate::leader::{Election, lease};
use crate::metrics::ClusterMetrics;

/// What was opened.
pub(super) struct Opened {
    pub(super) cluster: Cluster,
    pub(super) election: Election,
    /// The API server, and what this controller must know of itself there; `None` outside a cluster.
    pub(super) api_server: Option<(Client, InCluster)>,
}

/// Opens what the settings name. What is in force there is in force when this returns.
pub(super) async fn open(
    config: &Config,
    metrics: &ClusterMetrics,
    tasks: &mut Tasks,
) -> anyhow::Result<Opened> {
    match &config.source {
        Source::Directory => {
            metrics.leads(true);
            directory(config, tasks).await
        }
        Source::Kubernetes(settings) => kubernetes(settings, metrics, tasks).await,
    }
}

/// The folder of manifests, watched. It belongs to this controller alone.
async fn directory(config: &Config, tasks: &mut Tasks) -> anyhow::Result<Opened> {
    let directory = Directory::open(directory::Settings {
        folder: config.config.clone(),
        status_file: Some(config.data.join("status.json")),
        api_keys: config.api_keys.clone(),
        prices: PriceTable::built_in()?,
    });
    let directory = directory.await.context("opening the folder of manifests")?;
    let watching = Arc::clone(&directory).watch(tasks.stop_front.clone());
    tasks.front("manifests", async move {
        watching.await;
        Ok(())
    });
    Ok(Opened { cluster: Cluster::Directory(directory), election: Election::Alone, api_server: None })
}

/// A Kubernetes API, watched. Several controllers may share it.
async fn kubernetes(
    settings: &InCluster,
    metrics: &ClusterMetrics,
    tasks: &mut Tasks,
) -> anyhow::Result<Opened> {
    let client = client::client().await.context("finding the way to the API server of the cluster")?;
    let prices = PriceTable::built_in()?;
    let kubernetes = Kubernetes::new(client.clone(), settings.clone(), prices, metrics.clone());
    let watching = Arc::clone(&kubernetes).watch(tasks.stop_front.clone());
    tasks.front("watches", async move {
        watching.await;
        Ok(())
    });
    let stop = tasks.stop_front.clone();
    stop.run_until_cancelled(kubernetes.ready())
        .await
        .context("asked to stop before the objects were known")?;
    let lease = lease::Settings {
        namespace: settings.own_namespace.clone(),
        name: format!("{}-controller", settings.name),
        pod: settings.pod.clone(),
    };
    let (election, elector) = lease::election(client.clone(), lease, metrics.clone());
    tasks.front("election", async move {
        elector.run(stop).await;
        Ok(())
    });
    let api_server = Some((client, settings.clone()));
    Ok(Opened { cluster: Cluster::Kubernetes(kubernetes), election, api_server })
}
