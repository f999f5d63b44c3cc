//! Upgrade and rollback under load.

use anyhow::{Context, Result};
use penstock_e2e::Cluster;
use serde_json::Value;

use super::history;
use super::images::{NEXT, load_next};
use super::installation::{NAMESPACE, upgrade};
use super::team::{Team, alone_with_team};
use super::workload::{EVERY_KIND, Load};

#[tokio::test]
async fn upgrades_and_rollbacks_lose_no_request() {
    alone_with_team(async |team: &Team| {
        let cluster = team.cluster();
        // A given cluster has the one version that it was given.
        let next = if cluster.directory().is_some() { NEXT } else { env!("CARGO_PKG_VERSION") };
        load_next(cluster).await.unwrap();
        let before = revision(cluster).await.unwrap();
        let load = Load::start(team, &EVERY_KIND).await.unwrap();
        let rolls_everything = "controller.podAnnotations.upgraded=yes,gateway.podAnnotations.upgraded=yes";
        upgrade(cluster, &[rolls_everything]).await.unwrap();
        load.passes(5).await.unwrap();
        upgrade(cluster, &[&format!("image.tag={next}")]).await.unwrap();
        load.passes(5).await.unwrap();
        let rollback = ["rollback", "penstock", &before, "-n", NAMESPACE, "--wait", "--timeout=3m"];
        cluster.helm(&rollback).await.unwrap();
        load.passes(5).await.unwrap();
        let outcome = load.stop().await.unwrap();
        outcome.assert_that_nothing_failed();
        history::is_complete(cluster, team.namespace(), &outcome).await.unwrap();
    })
    .await;
}

/// The one that is installed. In a given cluster it need not be the first, nor is the first kept for ever.
async fn revision(cluster: &Cluster) -> Result<String> {
    let status = cluster.helm(&["status", "penstock", "-n", NAMESPACE, "--output=json"]).await?;
    let status: Value = serde_json::from_str(&status)?;
    status["version"].as_u64().map(|revision| revision.to_string()).context("no revision in its status")
}
