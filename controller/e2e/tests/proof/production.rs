//! What a production installation has of its own: a Postgres, verified by its certificate, and TLS at the gateway.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use penstock_e2e::pki::{Authority, Identity};
use penstock_e2e::wait::PATIENCE;
use penstock_e2e::{Cluster, await_condition, until};
use serde_json::{Value, json};

use super::history::{Database, is_complete_in, query_in};
use super::images::POSTGRES;
use super::installation::{NAMESPACE, PROVIDER, reinstall, upgrade};
use super::team::{Team, alone_with_team};
use super::workload::{Outcome, Sdk, Way, Worker};

const OWN: Database = Database { namespace: PROVIDER, pod: "own-postgres" };
const GATEWAY: &str = "penstock.penstock-system.svc";
const VALUES: [&str; 6] = [
    "postgres.bundled=false",
    "postgres.url.secretName=own-postgres",
    "postgres.ca.configMapName=own-authority",
    "gateway.tls.secretName=own-gateway",
    "gateway.service.port=443",
    "gateway.autoscaling.enabled=true",
];

#[tokio::test]
async fn an_installation_takes_your_own_postgres_and_serves_tls() {
    alone_with_team(async |team: &Team| {
        let cluster = team.cluster();
        let authority = Authority::new("own").unwrap();
        own_postgres(team, &authority).await.unwrap();
        own_gateway(team, &authority).await.unwrap();
        upgrade(cluster, &VALUES).await.unwrap();
        for (name, _) in super::team::ACCOUNTS {
            team.state(name, "Available").await.unwrap();
        }
        let worker = Worker { name: "over-tls", sdk: Sdk::AnthropicNode, way: Way::BaseUrl };
        team.apply(&over_tls(&worker)).await.unwrap();
        let outcome = Outcome::of(team, worker.name).await.unwrap();
        outcome.assert_that_nothing_failed();
        is_complete_in(&OWN, cluster, team.namespace(), &outcome).await.unwrap();
        is_encrypted(cluster).await.unwrap();
        is_scaled_by_itself(cluster).await.unwrap();
        reinstall(cluster).await.unwrap();
    })
    .await;
}

/// A Postgres that is not the chart's, and what the chart is told of it.
async fn own_postgres(team: &Team<'_>, authority: &Authority) -> Result<()> {
    let host = format!("own-postgres.{PROVIDER}.svc");
    let served = authority.issue("own-postgres", None, &[&host])?;
    let password = "of-our-own";
    for object in [
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "own-postgres" },
            "stringData": { "password": password, "tls.crt": served.certificate, "tls.key": served.key },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "own-postgres" },
            "spec": { "selector": { "app": "own-postgres" }, "ports": [{ "port": 5432 }] },
        }),
        postgres_pod(),
    ] {
        team.apply_in(PROVIDER, &object).await?;
    }
    let url = format!("postgres://penstock:{password}@{host}:5432/penstock");
    for object in [
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "own-postgres" },
            "stringData": { "url": url },
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "own-authority" },
            "data": { "ca.crt": authority.certificate() },
        }),
    ] {
        team.apply_in(NAMESPACE, &object).await?;
    }
    let pods: Api<Pod> = Api::namespaced(team.client(), PROVIDER);
    let ready = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True")
    };
    await_condition(&pods, OWN.pod, |pod| pod.is_some_and(ready), PATIENCE).await.map(drop)
}

fn postgres_pod() -> Value {
    let container = json!({
        "name": "postgres",
        "image": POSTGRES,
        "args": ["-c", "ssl=on", "-c", "ssl_cert_file=/tls/tls.crt", "-c", "ssl_key_file=/tls/tls.key"],
        "env": [
            { "name": "PGDATA", "value": "/var/lib/postgresql/data" },
            { "name": "POSTGRES_PASSWORD_FILE", "value": "/etc/postgres-password/password" },
        ],
        "readinessProbe": { "exec": { "command": ["pg_isready", "-h", "127.0.0.1"] }, "periodSeconds": 1 },
        "volumeMounts": [
            { "name": "data", "mountPath": "/var/lib/postgresql" },
            { "name": "run", "mountPath": "/run/postgresql" },
            { "name": "secret", "mountPath": "/tls" },
            { "name": "secret", "mountPath": "/etc/postgres-password" },
        ],
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": OWN.pod, "labels": { "app": "own-postgres" } },
        "spec": {
            "securityContext": { "runAsUser": 65532, "fsGroup": 65532 },
            "containers": [container],
            "volumes": [
                { "name": "data", "emptyDir": {} },
                { "name": "run", "emptyDir": {} },
                { "name": "secret", "secret": { "secretName": "own-postgres", "defaultMode": 0o440 } },
            ],
        },
    })
}

/// The certificate of the gateway, and the authority for those who call it.
async fn own_gateway(team: &Team<'_>, authority: &Authority) -> Result<()> {
    let Identity { certificate, key } = authority.issue("gateway", None, &[GATEWAY])?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": { "name": "own-gateway" },
        "stringData": { "tls.crt": certificate, "tls.key": key },
    });
    team.apply_in(NAMESPACE, &secret).await?;
    team.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "own-authority" },
        "data": { "ca.crt": authority.certificate() },
    }))
    .await
}

/// A pod that calls the gateway's name by TLS, a few times.
fn over_tls(worker: &Worker) -> Value {
    let mut pod = worker.pod(5);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    let app = &mut pod["spec"]["containers"][0];
    for variable in app["env"].as_array_mut().into_iter().flatten() {
        if variable["name"] == "ANTHROPIC_BASE_URL" {
            variable["value"] = json!(format!("https://{GATEWAY}"));
        }
    }
    let add = |list: &mut Value, more: Value| list.as_array_mut().unwrap().push(more);
    add(&mut app["env"], json!({ "name": "NODE_EXTRA_CA_CERTS", "value": "/authority/ca.crt" }));
    add(&mut app["volumeMounts"], json!({ "name": "authority", "mountPath": "/authority" }));
    let volume = json!({ "name": "authority", "configMap": { "name": "own-authority" } });
    add(&mut pod["spec"]["volumes"], volume);
    pod
}

/// Every controller's connection to Postgres.
async fn is_encrypted(cluster: &Cluster) -> Result<()> {
    let sql = "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
               WHERE client_addr IS NOT NULL AND client_addr <> '127.0.0.1'";
    let counts = query_in(&OWN, cluster, sql).await?;
    let (encrypted, all) = counts.trim().split_once('|').unwrap_or_default();
    ensure!(all != "0" && encrypted == all, "{encrypted} of {all} connections are encrypted");
    Ok(())
}

/// The autoscaler has found the Deployment; numbers it has none of, without a metrics server.
async fn is_scaled_by_itself(cluster: &Cluster) -> Result<()> {
    let output = "--output=jsonpath={.status.conditions[?(@.type==\"AbleToScale\")].status}";
    let get = ["get", "hpa", "penstock-gateway", "-n", NAMESPACE, output];
    until("the autoscaler is able to scale", async || {
        let able = cluster.kubectl(&get).await?;
        ensure!(able == "True", "{able:?}");
        Ok(())
    })
    .await
}
