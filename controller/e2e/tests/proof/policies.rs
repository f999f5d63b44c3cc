//! NetworkPolicies in force: in a cluster whose network enforces them, whoever needs Penstock reaches it, and nobody else.
//! The same connections are tried without policies first, where each of them succeeds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, ResourceExt};
use penstock_e2e::wait::PATIENCE;
use penstock_e2e::{Cluster, await_condition, until};
use serde_json::json;

use super::history;
use super::installation::{Installation, NAMESPACE, PROVIDER, TURN, apply, pods_of, upgrade};
use super::team::{Team, run};
use super::workload::{EVERY_KIND, Load};

/// Neither workloads nor monitoring.
const STRANGERS: &str = "strangers";
/// Allowed to read metrics.
const MONITORING: &str = "monitoring";
/// A container that tries connections: in a pod of its own, or beside a program whose image has nothing to do so with.
const PROBE: &str = "probe";
/// It has nothing else to do.
const IDLE: &str = "trap exit TERM; sleep 86400 & wait";
/// Tries all at once, as NAME HOST PORT each; prints the names of those that accepted. What a policy forbids is silence.
const TRY: &str =
    "while [ $# -gt 0 ]; do (nc -w 5 $2 $3 -e true 2>/dev/null && echo $1) & shift 3; done; wait";
const EVERYTHING: [&str; 9] =
    ["admin", "api", "gateway", "grpc", "kubernetes", "names", "postgres", "provider", "webhook"];
/// What has policies of its own, and is started again under them.
const PROTECTED: [&str; 3] =
    ["deployment/penstock-controller", "deployment/penstock-gateway", "statefulset/penstock-postgres"];

/// Whose connections are tried, and what it reaches.
type Reached = BTreeMap<&'static str, BTreeSet<String>>;

#[tokio::test]
async fn under_network_policies_who_needs_penstock_reaches_it_and_nobody_else() {
    if Cluster::is_given() {
        println!("whether a given cluster enforces policies is not known");
        return;
    }
    // It is a cluster of its own, which disturbs nobody; but two under load are much for a small machine.
    let turn = TURN.write().await;
    let cluster = Cluster::with_policies().await.unwrap();
    let install = async || Installation::make(&cluster).await.unwrap();
    let installation = cluster.watch_over(&[NAMESPACE, PROVIDER], install).await;
    run(&installation, async |team: &Team| {
        let names = [STRANGERS, MONITORING, NAMESPACE, team.namespace()];
        for namespace in names {
            outsider(&cluster, namespace).await.unwrap();
        }
        reaches(team, &without_policies()).await.unwrap();
        upgrade(&cluster, &values(team).each_ref().map(String::as_str)).await.unwrap();
        reaches(team, &with_policies()).await.unwrap();
        serves(team).await.unwrap();
        // The same for the pods that have come meanwhile.
        reaches(team, &with_policies()).await.unwrap();
    })
    .await;
    drop(turn);
}

fn without_policies() -> Reached {
    let all = || EVERYTHING.into_iter().map(str::to_owned).collect();
    ["stranger", "monitoring", "neighbour", "workload", "controller", "postgres"]
        .map(|who| (who, all()))
        .into()
}

fn with_policies() -> Reached {
    // Nobody's way out is closed but the controller's and Postgres'.
    let out = ["kubernetes", "names", "provider"];
    // Proxies, and the API server, may be anywhere.
    let open = ["grpc", "webhook"];
    let outside = |more: &[&str]| more.iter().chain(&open).chain(&out).map(|&name| name.to_owned()).collect();
    [
        ("stranger", outside(&[])),
        ("monitoring", outside(&["api", "admin"])),
        ("neighbour", outside(&["api", "admin"])),
        ("workload", outside(&["gateway"])),
        ("controller", ["kubernetes", "names", "postgres"].map(str::to_owned).into()),
        ("postgres", BTreeSet::new()),
    ]
    .into()
}

fn values(team: &Team) -> [String; 3] {
    let of = |list: &str, namespace: &str| {
        let label = r"matchLabels.kubernetes\.io/metadata\.name";
        format!("networkPolicy.{list}[0].namespaceSelector.{label}={namespace}")
    };
    let (gateway, api) = (of("gatewayFrom", team.namespace()), of("apiFrom", MONITORING));
    ["networkPolicy.enabled=true".to_owned(), gateway, api]
}

/// Waits until everybody reaches exactly this: policies are enforced a moment after they are made.
async fn reaches(team: &Team<'_>, expected: &Reached) -> Result<()> {
    let cluster = team.cluster();
    let beside = async |component: &str| {
        let pods = pods_of(cluster, component).await?;
        let pod = pods.first().with_context(|| format!("no {component}"))?.name_any();
        probe_beside(cluster, &pod).await?;
        anyhow::Ok(pod)
    };
    let (controller, postgres) = (beside("controller").await?, beside("postgres").await?);
    let who = [
        ("stranger", STRANGERS, "outsider"),
        ("monitoring", MONITORING, "outsider"),
        ("neighbour", NAMESPACE, "outsider"),
        ("workload", team.namespace(), "outsider"),
        ("controller", NAMESPACE, &controller),
        ("postgres", NAMESPACE, &postgres),
    ];
    until("everybody reaches what they should and nothing else", async || {
        let targets = targets(cluster).await?;
        let command = [&["sh", "-c", TRY, "sh"], &targets.iter().map(String::as_str).collect::<Vec<_>>()[..]];
        let command = command.concat();
        let tries = who.map(async |(name, namespace, pod)| {
            let accepted = cluster.exec(namespace, pod, PROBE, &command).await?;
            anyhow::Ok((name, accepted.split_whitespace().map(str::to_owned).collect()))
        });
        let reached: Reached = try_join_all(tries).await?.into_iter().collect();
        ensure!(reached == *expected, "reached: {reached:#?}\nexpected: {expected:#?}");
        Ok(())
    })
    .await
}

/// Name, address and port of everything, by addresses, as names are a target of their own.
async fn targets(cluster: &Cluster) -> Result<Vec<String>> {
    let service = async |namespace: &str, name: &str| {
        let services: Api<Service> = Api::namespaced(cluster.client(), namespace);
        let found = services.get(name).await?.spec.and_then(|spec| spec.cluster_ip);
        found.with_context(|| format!("the address of {name}"))
    };
    let gateway = pods_of(cluster, "gateway").await?.into_iter().next().and_then(|pod| pod.status);
    let gateway = gateway.context("a gateway that runs")?;
    let controller = service(NAMESPACE, "penstock-controller").await?;
    let targets = [
        ("admin", gateway.pod_ip.context("its address")?, 9901),
        ("api", controller.clone(), 8090),
        ("gateway", service(NAMESPACE, "penstock").await?, 80),
        ("grpc", controller, 8091),
        ("kubernetes", service("default", "kubernetes").await?, 443),
        // The name server is the node's.
        ("names", gateway.host_ip.context("its node")?, 53),
        ("postgres", service(NAMESPACE, "penstock-postgres").await?, 5432),
        ("provider", service(PROVIDER, "simulator").await?, 8080),
        ("webhook", service(NAMESPACE, "penstock-webhook").await?, 443),
    ];
    Ok(targets.into_iter().flat_map(|(name, host, port)| [name.to_owned(), host, port.to_string()]).collect())
}

/// Everything is started again under the policies, and does its work: the webhook is called, sidecars and gateways get
/// what they serve with, requests reach the provider and rows Postgres, and the kubelet finds all of them well.
async fn serves(team: &Team<'_>) -> Result<()> {
    let cluster = team.cluster();
    cluster.kubectl(&[&["rollout", "restart", "-n", NAMESPACE], &PROTECTED[..]].concat()).await?;
    for one in PROTECTED {
        cluster.kubectl(&["rollout", "status", "-n", NAMESPACE, one, "--timeout=120s"]).await?;
    }
    let load = Load::start(team, &EVERY_KIND).await?;
    load.passes(20).await?;
    let outcome = load.stop().await?;
    outcome.assert_that_nothing_failed();
    history::is_complete(cluster, team.namespace(), &outcome).await?;
    cluster.helm(&["test", "penstock", "-n", NAMESPACE, "--timeout=3m"]).await.map(drop)
}

/// A pod that has nothing to do with Penstock.
async fn outsider(cluster: &Cluster, namespace: &str) -> Result<()> {
    let security = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "outsider", "namespace": namespace, "labels": { "penstock.dev/inject": "false" },
        },
        "spec": {
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": PROBE, "image": "registry.test/busybox:1", "command": ["sh", "-c", IDLE],
                "securityContext": security,
            }],
        },
    });
    let in_it = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
    if [STRANGERS, MONITORING].contains(&namespace) {
        apply(cluster, &in_it.to_string()).await?;
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(cluster.client(), namespace);
        await_condition(&accounts, "default", |account| account.is_some(), PATIENCE).await?;
    }
    apply(cluster, &pod.to_string()).await?;
    probes(cluster, namespace, "outsider").await
}

/// A container more in a pod of Penstock: what it reaches, the pod reaches.
async fn probe_beside(cluster: &Cluster, pod: &str) -> Result<()> {
    let debug = ["debug", "-n", NAMESPACE, pod, "--image=registry.test/busybox:1", "--profile=restricted"];
    let pods: Api<Pod> = Api::namespaced(cluster.client(), NAMESPACE);
    let spec = pods.get(pod).await?.spec.context("a pod's spec")?;
    if !spec.ephemeral_containers.iter().flatten().any(|container| container.name == PROBE) {
        let container = format!("--container={PROBE}");
        let command = [container.as_str(), "--image-pull-policy=IfNotPresent", "--", "sh", "-c", IDLE];
        cluster.kubectl(&[&debug, &command[..]].concat()).await?;
    }
    probes(cluster, NAMESPACE, pod).await
}

/// Waits until the container that tries runs.
async fn probes(cluster: &Cluster, namespace: &str, pod: &str) -> Result<()> {
    until("the container that tries connections", async || {
        cluster.exec(namespace, pod, PROBE, &["true"]).await.map(drop)
    })
    .await
}
