//! The controller's authority is replaced under load: proxies move to the next one, and no client notices.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::body::{Body, Bytes};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use penstock_e2e::{Cluster, until, web};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::history;
use super::installation::{NAMESPACE, pods_of};
use super::team::{Team, account, alone_with_team};
use super::workload::{EVERY_KIND, Load, Outcome, Sdk, Way, Worker};

/// Of the account at a provider whose one stream ends when the test says so.
const LONG: &str = "long-9";
const WORKER: Worker = Worker { name: "long", sdk: Sdk::AnthropicPython, way: Way::Sidecar };
/// Asks once, and prints what became of it as the workload does, and all that it heard.
const ASK: &str = "\
import anthropic, json, os
with anthropic.Anthropic(max_retries=0, timeout=900).messages.stream(model='claude-sonnet-5', max_tokens=99,
        messages=[{'role': 'user', 'content': 'Go on.'}]) as events:
    id = events.response.headers['x-penstock-request-id']
    answer = events.get_final_message()
heard = answer.content[0].text
print(json.dumps({'n': 0, 'ok': answer.stop_reason == 'end_turn', 'id': id, 'ms': 0}))
print(json.dumps({'summary': len(heard.split()), 'gapless': heard.split() == [str(n) for n in range(len(heard.split()))]}))
";
/// Connects to each address as a proxy does, trusting only the given authority; fails if one shows another's certificate.
const VERIFY: &str = "\
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(cadata=sys.argv[1])
for address in sys.argv[2:]:
    with socket.create_connection((address, 8091), 20) as plain:
        context.wrap_socket(plain, server_hostname='penstock-controller.penstock-system.svc').close()
";

/// A provider with one endless stream.
struct Endless {
    at: SocketAddr,
    said: Arc<AtomicUsize>,
    end: CancellationToken,
    _serving: JoinSet<()>,
}

#[tokio::test]
async fn the_authority_is_replaced_and_no_client_notices() {
    if Cluster::is_given() {
        println!("a given cluster's pods may not reach this machine, nor this test their volumes");
        return;
    }
    alone_with_team(async |team: &Team| {
        let provider = Endless::start(team).await.unwrap();
        let load = Load::start(team, &EVERY_KIND).await.unwrap();
        endless_request(team, &provider).await.unwrap();
        let replaced = replace(team).await;
        let before_the_end = provider.said.load(Ordering::Relaxed);
        if replaced.is_ok() {
            load.passes(10).await.unwrap();
        }
        provider.end.cancel();
        let long = Outcome::of(team, WORKER.name).await.unwrap();
        let outcome = load.stop().await.unwrap().and(long);
        // What the clients saw explains best why something did not happen.
        outcome.assert_that_nothing_failed();
        replaced.unwrap();
        let said = provider.said.load(Ordering::Relaxed);
        let log = team.cluster().logs(team.namespace(), WORKER.name, "app").await.unwrap();
        assert!(log.contains(&format!(r#"{{"summary": {said}, "gapless": true}}"#)), "{said} said: {log}");
        println!("a stream of {said} words, {before_the_end} of them before the last proxy had moved");
        history::is_complete(team.cluster(), team.namespace(), &outcome).await.unwrap();
    })
    .await;
}

/// What happens within months otherwise: a successor, told to everybody; it signs; proxies connect anew.
async fn replace(team: &Team<'_>) -> Result<()> {
    let cluster = team.cluster();
    let first = value(team, "tls.crt").await?;
    ends_soon(team).await?;
    let next = until("a successor", async || value(team, "next.crt").await).await?;
    ensure!(first != next, "it is the same");
    until("trust in both, in every pod with a proxy", async || {
        for trusted in trusted(team).await? {
            ensure!([&first, &next].iter().all(|one| trusted.contains(one.trim())), "not yet: {trusted}");
        }
        Ok(())
    })
    .await?;
    verifies(team, &first).await.context("the first one signs")?;
    ensure!(verifies(team, &next).await.is_err(), "the successor signs already");

    let long_ago = Timestamp::now() - SignedDuration::from_hours(11 * 24);
    change_terms(team, |terms| terms["successor"]["since"] = json!(long_ago)).await?;
    until("another authority that signs", async || {
        let now = value(team, "tls.crt").await?;
        ensure!(now == next, "not yet");
        Ok(())
    })
    .await?;
    // A controller ends its proxies' connections within twenty minutes; one that is rolled does so at once.
    let deployment = ["-n", NAMESPACE, "deployment/penstock-controller"];
    cluster.kubectl(&[&["rollout", "restart"], &deployment[..]].concat()).await?;
    cluster.kubectl(&[&["rollout", "status", "--timeout=120s"], &deployment[..]].concat()).await?;
    until("certificates of the next one only", async || verifies(team, &next).await).await?;
    ensure!(verifies(team, &first).await.is_err(), "the first one signs still");
    let proxies = team.proxies().await?;
    ensure!(proxies.len() >= 5, "three sidecars and two gateways: {proxies:?}");
    try_join_all(proxies.iter().map(connected)).await.map(drop)
}

async fn connected(proxy: &String) -> Result<()> {
    until("the proxy is connected", async || {
        let state = web::get(&format!("http://{proxy}:9901/debug/state")).await?;
        ensure!(state["controller"]["connected"] == true, "{proxy}: {}", state["controller"]);
        Ok(())
    })
    .await
}

/// The authority is said to end soon.
pub(crate) async fn ends_soon(team: &Team<'_>) -> Result<()> {
    let soon = Timestamp::now() + SignedDuration::from_hours(100 * 24);
    change_terms(team, |terms| terms["signing"]["ends"] = json!(soon)).await
}

/// Waits for the successor of one that ends soon.
pub(crate) async fn has_successor(team: &Team<'_>) -> Result<()> {
    until("a successor of the authority", async || value(team, "next.crt").await).await.map(drop)
}

async fn change_terms(team: &Team<'_>, change: impl FnOnce(&mut Value)) -> Result<()> {
    let mut terms = serde_json::from_str(&value(team, "terms.json").await?)?;
    change(&mut terms);
    let patch = json!({ "stringData": { "terms.json": terms.to_string() } }).to_string();
    let patch = ["patch", "secret", "penstock-ca", "-n", NAMESPACE, "--type=merge", "--patch", &patch];
    team.cluster().kubectl(&patch).await.map(drop)
}

/// A value of the authority's Secret.
async fn value(team: &Team<'_>, key: &str) -> Result<String> {
    let get = ["get", "secret", "penstock-ca", "-n", NAMESPACE, "-o", "json"];
    let secret: Value = serde_json::from_str(&team.cluster().kubectl(&get).await?)?;
    let encoded = secret["data"][key].as_str().with_context(|| format!("no {key}"))?;
    Ok(String::from_utf8(STANDARD.decode(encoded)?)?)
}

/// Whether every controller that there is shows a certificate of this authority.
async fn verifies(team: &Team<'_>, authority: &str) -> Result<()> {
    let pods = pods_of(team.cluster(), "controller").await?;
    let addresses = pods.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.as_deref());
    let addresses: Vec<_> = addresses.collect();
    ensure!(addresses.len() == 2, "two controllers: {addresses:?}");
    let command = [&["python3", "-c", VERIFY, authority], &addresses[..]].concat();
    team.cluster().exec(team.namespace(), "openai-python", "app", &command).await.map(drop)
}

/// What each proxy would trust if it connected now, as its pod has it.
async fn trusted(team: &Team<'_>) -> Result<Vec<String>> {
    let cluster = team.cluster();
    let node = cluster.directory().context("a cluster of our own")?.join("kubelet/pods");
    let sidecars: Api<Pod> = Api::namespaced(team.client(), team.namespace());
    let sidecars = sidecars.list(&ListParams::default().labels("penstock.dev/inject=true")).await?;
    let pods = pods_of(cluster, "gateway").await?.into_iter().chain(sidecars);
    pods.map(|pod| trusted_by(&pod, &node)).collect()
}

fn trusted_by(pod: &Pod, node: &Path) -> Result<String> {
    let is_it = |source: &ConfigMapVolumeSource| source.name == "penstock-ca";
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let volume = volumes.into_iter().find(|volume| volume.config_map.as_ref().is_some_and(is_it));
    let volume = volume.with_context(|| format!("{} trusts nobody", pod.name_any()))?;
    let directory = node.join(pod.uid().context("a pod's uid")?).join("volumes/kubernetes.io~configmap");
    let file = directory.join(&volume.name).join("ca.crt");
    std::fs::read_to_string(&file).with_context(|| file.display().to_string())
}

/// A pod with a pool of its own asks, and is answered without end.
async fn endless_request(team: &Team<'_>, provider: &Endless) -> Result<()> {
    team.set_key(LONG, &team.key(LONG)).await?;
    let mut long = account(LONG, "anthropic", "");
    long["spec"]["baseUrl"] = json!(format!("http://{}", provider.at));
    team.apply(&long).await?;
    team.apply(&json!({
        "apiVersion": "penstock.dev/v1alpha1", "kind": "AccountPool", "metadata": { "name": "endless" },
        "spec": { "accounts": { "refs": [{ "name": LONG }] } },
    }))
    .await?;
    team.state(LONG, "Available").await?;
    let mut pod = WORKER.pod(0);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["annotations"] = json!({ "penstock.dev/pool": "endless" });
    pod["spec"]["containers"][0]["command"] = json!(["python3", "-c", ASK]);
    team.apply(&pod).await?;
    until("the first words", async || {
        ensure!(provider.said.load(Ordering::Relaxed) > 0, "nobody has asked");
        Ok(())
    })
    .await
}

impl Endless {
    async fn start(team: &Team<'_>) -> Result<Self> {
        let listener = TcpListener::bind((team.cluster().host_address()?, 0)).await?;
        let (at, said, end) =
            (listener.local_addr()?, Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let answer = {
            let (said, end) = (Arc::clone(&said), end.clone());
            move || std::future::ready(([("content-type", "text/event-stream")], speech(said, end)))
        };
        let router = axum::Router::new().route("/v1/messages", post(answer));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Ok(Self { at, said, end, _serving: serving })
    }
}

/// Counts until it is to end, then ends as a whole answer does.
fn speech(said: Arc<AtomicUsize>, end: CancellationToken) -> Body {
    let begin = json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 1, "output_tokens": 1 },
    } });
    let text = json!({ "type": "text", "text": "" });
    let block = json!({ "type": "content_block_start", "index": 0, "content_block": text });
    let words = stream::unfold((said, end), async |(said, end)| {
        let more = end.run_until_cancelled(tokio::time::sleep(Duration::from_millis(50))).await;
        more?;
        let n = said.fetch_add(1, Ordering::Relaxed);
        let delta = json!({ "type": "text_delta", "text": format!("{n} ") });
        Some((json!({ "type": "content_block_delta", "index": 0, "delta": delta }), (said, end)))
    });
    let ends = [
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null },
            "usage": { "output_tokens": 1 },
        }),
        json!({ "type": "message_stop" }),
    ];
    let events = stream::iter([begin, block]).chain(words).chain(stream::iter(ends));
    Body::from_stream(events.map(|event| {
        let kind = event["type"].as_str().unwrap_or_default();
        Ok::<_, std::convert::Infallible>(Bytes::from(format!("event: {kind}\ndata: {event}\n\n")))
    }))
}
