//! What others rely on goes away under load: no request fails, and each is in the history once.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use penstock_e2e::until;

use super::history;
use super::installation::{NAMESPACE, all_pods_of, pods_of};
use super::team::{Team, alone_with_team};
use super::workload::{EVERY_KIND, Load};

/// Answers for each worker while something is away: some seconds.
const A_WHILE: usize = 20;
/// As long as the API server is away: half a minute. Every lease of controllers (15 s) has ended by then.
const LONG: usize = 120;

/// Runs a test under load, and looks whether everybody got and everything has what it should.
async fn under_load(disturb: impl AsyncFnOnce(&Team<'_>, &Load<'_>) -> Result<()>) {
    alone_with_team(async |team: &Team| {
        let load = Load::start(team, &EVERY_KIND).await.unwrap();
        let disturbed = disturb(team, &load).await;
        if disturbed.is_ok() {
            load.passes(A_WHILE).await.unwrap();
        }
        // What the clients saw explains best why something did not happen.
        let outcome = load.stop().await.unwrap();
        outcome.assert_that_nothing_failed();
        disturbed.unwrap();
        history::is_complete(team.cluster(), team.namespace(), &outcome).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_leader_is_killed() {
    under_load(async |team: &Team, _: &Load<'_>| {
        let leader = leader(team).await?;
        kill(team, &[&leader]).await?;
        until("another leader", async || {
            let now = self::leader(team).await?;
            ensure!(now != leader, "{now} still leads");
            Ok(())
        })
        .await?;
        rolled_out(team, "deployment/penstock-controller").await
    })
    .await;
}

#[tokio::test]
async fn every_controller_is_killed() {
    under_load(async |team: &Team, load: &Load<'_>| {
        let pods = pods_of(team.cluster(), "controller").await?;
        let names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
        kill(team, &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        load.passes(A_WHILE).await?;
        rolled_out(team, "deployment/penstock-controller").await
    })
    .await;
}

#[tokio::test]
async fn there_is_no_controller_for_a_while() {
    under_load(async |team: &Team, load: &Load<'_>| {
        scale(team, "deployment/penstock-controller", 0).await?;
        gone(team, "controller").await?;
        load.passes(A_WHILE).await?;
        scale(team, "deployment/penstock-controller", 2).await?;
        rolled_out(team, "deployment/penstock-controller").await
    })
    .await;
}

#[tokio::test]
async fn controllers_and_gateways_are_rolled() {
    under_load(async |team: &Team, _: &Load<'_>| {
        roll(team, &["deployment/penstock-controller", "deployment/penstock-gateway"]).await
    })
    .await;
}

#[tokio::test]
async fn every_pod_gets_its_sidecar_while_controllers_are_rolled() {
    alone_with_team(async |team: &Team| {
        let rolled = async {
            let before: Vec<_> = pods_of(team.cluster(), "controller").await?;
            roll(team, &["deployment/penstock-controller"]).await?;
            until("none of the old controllers", async || {
                let now = all_pods_of(team.cluster(), "controller").await?;
                ensure!(
                    before.iter().all(|old| now.iter().all(|pod| pod.uid() != old.uid())),
                    "some are left"
                );
                Ok(())
            })
            .await
        };
        let created = injected_until(team, rolled).await.unwrap();
        println!("{created} pods were created meanwhile");
    })
    .await;
}

#[tokio::test]
async fn the_api_server_is_away() {
    under_load(async |team: &Team, load: &Load<'_>| {
        if team.cluster().directory().is_none() {
            println!("the API server of a given cluster is not ours to stop");
            return Ok(());
        }
        team.cluster().stop_api_server()?;
        let went_on = load.passes(LONG).await;
        team.cluster().start_api_server().await?;
        went_on?;
        load.passes(A_WHILE).await?;
        team.cluster().freeze_api_server()?;
        let went_on = load.passes(A_WHILE).await;
        team.cluster().thaw_api_server()?;
        went_on?;
        rolled_out(team, "deployment/penstock-controller").await?;
        until("a leader", async || leader(team).await).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn postgres_is_away() {
    under_load(async |team: &Team, load: &Load<'_>| {
        scale(team, "statefulset/penstock-postgres", 0).await?;
        gone(team, "postgres").await?;
        load.passes(A_WHILE).await?;
        scale(team, "statefulset/penstock-postgres", 1).await?;
        rolled_out(team, "statefulset/penstock-postgres").await?;
        load.passes(A_WHILE).await?;
        kill(team, &["penstock-postgres-0"]).await?;
        load.passes(A_WHILE).await?;
        rolled_out(team, "statefulset/penstock-postgres").await
    })
    .await;
}

/// Has pods created, without being kept, until `done`; each must have its sidecar. Their number.
async fn injected_until(team: &Team<'_>, done: impl Future<Output = Result<()>>) -> Result<usize> {
    let pods: Api<Pod> = Api::namespaced(team.client(), team.namespace());
    let [worker, ..] = EVERY_KIND;
    let pod: Pod = serde_json::from_value(worker.pod(0))?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let mut done = std::pin::pin!(done);
    let mut created = 0;
    loop {
        let admitted = tokio::select! {
            ended = &mut done => return ended.map(|()| created),
            admitted = pods.create(&dry_run, &pod) => admitted?.spec.unwrap_or_default(),
        };
        let all = admitted.init_containers.iter().flatten().chain(&admitted.containers);
        let names: Vec<_> = all.map(|container| container.name.as_str()).collect();
        ensure!(names.contains(&"penstock-proxy"), "pod {created} has only {names:?}");
        created += 1;
    }
}

/// The pod that holds the lease.
async fn leader(team: &Team<'_>) -> Result<String> {
    let leases: Api<Lease> = Api::namespaced(team.client(), NAMESPACE);
    let lease = leases.get("penstock-controller").await?;
    let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    // The pod, and which of its starts.
    let (pod, _) = holder.rsplit_once('_').context("nobody holds the lease")?;
    Ok(pod.to_owned())
}

/// Without a moment to say good-bye.
async fn kill(team: &Team<'_>, pods: &[&str]) -> Result<()> {
    let delete = ["delete", "pod", "-n", NAMESPACE, "--grace-period=0", "--force", "--wait=false"];
    team.cluster().kubectl(&[&delete, pods].concat()).await.map(drop)
}

async fn scale(team: &Team<'_>, what: &str, replicas: u8) -> Result<()> {
    let replicas = format!("--replicas={replicas}");
    team.cluster().kubectl(&["scale", "-n", NAMESPACE, what, &replicas]).await.map(drop)
}

async fn gone(team: &Team<'_>, component: &str) -> Result<()> {
    until("no pod of it", async || {
        let left = all_pods_of(team.cluster(), component).await?.len();
        ensure!(left == 0, "{left} pods of {component} are left");
        Ok(())
    })
    .await
}

/// Replaces every pod of these.
async fn roll(team: &Team<'_>, all: &[&str]) -> Result<()> {
    team.cluster().kubectl(&[&["rollout", "restart", "-n", NAMESPACE], all].concat()).await?;
    for one in all {
        rolled_out(team, one).await?;
    }
    Ok(())
}

async fn rolled_out(team: &Team<'_>, what: &str) -> Result<()> {
    team.cluster().kubectl(&["rollout", "status", "-n", NAMESPACE, what, "--timeout=120s"]).await.map(drop)
}
