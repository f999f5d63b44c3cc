//! What runs in a cluster anywhere runs here.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::PostParams;
use kube::{Api, Client};
use penstock_e2e::report::describe;
use penstock_e2e::wait::PATIENCE;
use penstock_e2e::{Cluster, await_condition, until, with_cluster};
use serde_json::{Value, json};

const BUSYBOX: &str = "registry.test/busybox:1";
/// Goes on until it is asked to end.
const STAY: &str = "trap exit TERM; while :; do sleep 1 & wait $!; done";

fn shell(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": BUSYBOX, "command": ["sh", "-c", script] })
}

async fn create<K>(client: &Client, namespace: &str, object: Value) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    api
}

async fn running_pod(cluster: &Cluster, namespace: &str, spec: Value) -> Pod {
    let pod = json!({ "metadata": { "name": "app" }, "spec": spec });
    let pods: Api<Pod> = create(&cluster.client(), namespace, pod).await;
    await_condition(&pods, "app", |pod| pod.is_some_and(is_ready), PATIENCE).await.unwrap().unwrap()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[tokio::test]
async fn a_service_is_found_by_name_in_the_cluster_and_by_address_from_the_machine() {
    with_cluster(async |cluster: &'static Cluster, namespace: &str| {
        let client = cluster.client();
        let mut web =
            shell("web", "mkdir /tmp/w; echo here >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w");
        web["readinessProbe"] = json!({ "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 });
        let labels = json!({ "app": "web" });
        let deployment = json!({
            "metadata": { "name": "web" },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": { "containers": [web] } },
            },
        });
        let deployments: Api<Deployment> = create(&client, namespace, deployment).await;
        let service = json!({
            "metadata": { "name": "web" },
            "spec": { "selector": labels, "ports": [{ "port": 80, "targetPort": 8080 }] },
        });
        let services: Api<Service> = create(&client, namespace, service).await;
        let available = |deployment: &Deployment| deployment.status.as_ref()?.available_replicas;
        await_condition(&deployments, "web", |found| found.and_then(available) == Some(2), PATIENCE)
            .await
            .unwrap();

        let address = services.get("web").await.unwrap().spec.unwrap().cluster_ip.unwrap();
        let answer = until("the Service's answer to the machine", async || get(&address, 80)).await.unwrap();
        assert!(answer.ends_with("here\n"), "{answer}");

        running_pod(cluster, namespace, json!({ "containers": [shell("c", STAY)] })).await;
        let by_name = format!("timeout 5 wget -qO- http://web.{namespace}.svc.cluster.local/");
        let ask = async || cluster.exec(namespace, "app", "c", &["sh", "-c", &by_name]).await;
        assert_eq!(until("the Service's answer to a pod", ask).await.unwrap(), "here\n");
    })
    .await;
}

fn get(address: &str, port: u16) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect((address, port))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test]
async fn a_pod_reaches_a_server_of_the_test() {
    with_cluster(async |cluster: &'static Cluster, namespace: &str| {
        let listener = TcpListener::bind((cluster.host_address().unwrap(), 0)).unwrap();
        let server = std::thread::spawn({
            let listener = listener.try_clone().unwrap();
            move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nfrom the test\n").unwrap();
            }
        });
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let script = format!("wget -qO- {url}; {STAY}");
        running_pod(cluster, namespace, json!({ "containers": [shell("c", &script)] })).await;
        let log = until("the log", async || {
            let log = cluster.logs(namespace, "app", "c").await?;
            anyhow::ensure!(!log.is_empty(), "nothing logged");
            Ok(log)
        });
        assert_eq!(log.await.unwrap(), "from the test\n");
        server.join().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_job_with_a_native_sidecar_and_a_projected_token_completes() {
    with_cluster(async |cluster: &'static Cluster, namespace: &str| {
        let mut sidecar = shell("side", &format!("touch /tmp/up; {STAY}"));
        sidecar["restartPolicy"] = json!("Always");
        sidecar["startupProbe"] = json!({ "exec": { "command": ["ls", "/tmp/up"] }, "periodSeconds": 1 });
        let mut app = shell("app", "wc -c </token/token");
        app["volumeMounts"] = json!([{ "name": "token", "mountPath": "/token" }]);
        let token = json!({ "serviceAccountToken": {
            "audience": "penstock", "expirationSeconds": 3600, "path": "token" } });
        let spec = json!({
            "restartPolicy": "Never",
            "initContainers": [sidecar],
            "containers": [app],
            "volumes": [{ "name": "token", "projected": { "sources": [token] } }],
        });
        let job = json!({ "metadata": { "name": "job" }, "spec": { "backoffLimit": 0, "template": { "spec": spec } } });
        let jobs: Api<Job> = create(&cluster.client(), namespace, job).await;
        let succeeded = |job: &Job| job.status.as_ref()?.succeeded;
        await_condition(&jobs, "job", |job| job.and_then(succeeded) == Some(1), PATIENCE).await.unwrap();
        let log = cluster.kubectl(&["logs", "-n", namespace, "job/job", "-c", "app"]).await.unwrap();
        assert!(log.trim().parse::<u32>().unwrap() > 500, "{log}");
    })
    .await;
}

#[tokio::test]
async fn the_report_of_a_failed_test_shows_events_states_and_logs() {
    with_cluster(async |cluster: &'static Cluster, namespace: &str| {
        let client = cluster.client();
        let pod = json!({
            "metadata": { "name": "app" },
            "spec": { "restartPolicy": "Never", "containers": [shell("c", "echo no such luck; exit 3")] },
        });
        let pods: Api<Pod> = create(&client, namespace, pod).await;
        let failed =
            |pod: &Pod| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Failed"));
        await_condition(&pods, "app", |pod| pod.is_some_and(failed), PATIENCE).await.unwrap();
        let report = describe(&client, &[namespace]).await;
        for shown in ["Pod/app Scheduled", "pod app Failed", r#""exitCode":3"#, "c: no such luck"] {
            assert!(report.contains(shown), "{shown:?} is not in\n{report}");
        }
    })
    .await;
}

#[tokio::test]
async fn pods_go_on_while_the_api_server_is_away() {
    let cluster = Cluster::up().await.unwrap();
    let pod =
        running_pod(&cluster, "default", json!({ "containers": [shell("c", "httpd -f -p 8080 -h /etc")] }))
            .await;
    let address = pod.status.unwrap().pod_ip.unwrap();
    cluster.stop_api_server().unwrap();
    assert!(cluster.kubectl(&["get", "nodes"]).await.is_err(), "nobody should answer");
    until("an answer of the pod", async || get(&address, 8080)).await.unwrap();
    cluster.start_api_server().await.unwrap();
    let nodes = cluster.kubectl(&["get", "nodes", "-o", "name"]).await.unwrap();
    assert_eq!(nodes, "node/node1\n");

    cluster.freeze_api_server().unwrap();
    until("an answer of the pod", async || get(&address, 8080)).await.unwrap();
    cluster.thaw_api_server().unwrap();
    cluster.kubectl(&["get", "nodes"]).await.unwrap();
}
