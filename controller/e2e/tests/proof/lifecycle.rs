//! Upgrade and rollback under load.

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
        let load = Load::start(team, &EVERY_KIND).await.unwrap();
        let rolls_everything = "controller.podAnnotations.upgraded=yes,gateway.podAnnotations.upgraded=yes";
        upgrade(cluster, &[rolls_everything]).await.unwrap();
        load.passes(5).await.unwrap();
        upgrade(cluster, &[&format!("image.tag={next}")]).await.unwrap();
        load.passes(5).await.unwrap();
        let rollback = ["rollback", "penstock", "1", "-n", NAMESPACE, "--wait", "--timeout=3m"];
        cluster.helm(&rollback).await.unwrap();
        load.passes(5).await.unwrap();
        let outcome = load.stop().await.unwrap();
        outcome.assert_that_nothing_failed();
        history::is_complete(cluster, team.namespace(), &outcome).await.unwrap();
    })
    .await;
}
