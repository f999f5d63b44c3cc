//! Where objects come from and go to, opened and watched as the settings say.

use std::sync::Arc;

use anyhow::Context;

use super::tasks::Tasks;
use crate::cluster::Cluster;
use crate::cluster::directory::{self, Directory};
use crate::config::{Config, Source};

/// Opens what the settings name. What is in force there is in force when this returns.
pub(super) async fn open(config: &Config, tasks: &mut Tasks) -> anyhow::Result<Cluster> {
    match &config.source {
        Source::Directory => directory(config, tasks).await,
        Source::Kubernetes(_) => anyhow::bail!("--source kubernetes is not built yet"),
    }
}

/// The folder of manifests, watched.
async fn directory(config: &Config, tasks: &mut Tasks) -> anyhow::Result<Cluster> {
    let directory = Directory::open(directory::Settings {
        folder: config.config.clone(),
        status_file: Some(config.data.join("status.json")),
        api_keys: config.api_keys.clone(),
    });
    let directory = directory.await.context("opening the folder of manifests")?;
    let watching = Arc::clone(&directory).watch(tasks.stop_front.clone());
    tasks.front("manifests", async move {
        watching.await;
        Ok(())
    });
    Ok(Cluster::Directory(directory))
}
