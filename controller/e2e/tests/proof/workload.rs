//! Workloads in pods: they call the pool in a loop with the official SDKs (controller/e2e/workloads) and say what
//! became of each request.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use penstock_e2e::wait::PATIENCE;
use penstock_e2e::{await_condition, until};
use serde::Deserialize;
use serde_json::{Value, json};

use super::images::{NODE, PYTHON};
use super::team::Team;

/// Between two requests of a worker under load.
const PAUSE_MS: &str = "60";
/// Of a pod that has no sidecar: where it is mounted.
const TOKEN: &str = "/var/run/secrets/pool/token";

/// An official SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sdk {
    AnthropicPython,
    OpenaiPython,
    AnthropicNode,
    OpenaiNode,
}

/// How a workload reaches the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Through the sidecar in its pod, without a word about it in its manifest.
    Sidecar,
    /// Through the base URL in the cluster, with a ServiceAccount token as its API key.
    BaseUrl,
}

/// A pod with a workload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Worker {
    /// Of the pod.
    pub(crate) name: &'static str,
    /// What it calls with.
    pub(crate) sdk: Sdk,
    /// What it calls.
    pub(crate) way: Way,
}

/// The usual load: every SDK, both ways.
pub(crate) const EVERY_KIND: [Worker; 4] = [
    Worker { name: "anthropic-python", sdk: Sdk::AnthropicPython, way: Way::Sidecar },
    Worker { name: "openai-node", sdk: Sdk::OpenaiNode, way: Way::Sidecar },
    Worker { name: "openai-python", sdk: Sdk::OpenaiPython, way: Way::BaseUrl },
    Worker { name: "anthropic-node", sdk: Sdk::AnthropicNode, way: Way::BaseUrl },
];

/// What became of one request.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    n: usize,
    ok: bool,
    id: Option<String>,
    #[serde(default)]
    error: String,
    /// Unix time, of a failure.
    #[serde(default)]
    at: f64,
    ms: u64,
}

/// Workers that run.
pub(crate) struct Load<'a> {
    team: &'a Team<'a>,
    names: Vec<String>,
}

/// What became of all requests.
#[derive(Debug)]
pub(crate) struct Outcome {
    lines: BTreeMap<String, Vec<Line>>,
}

impl Sdk {
    /// Whose API it speaks, the image that has it, and the program that calls with it.
    fn command(self) -> (&'static str, &'static str, [&'static str; 2]) {
        match self {
            Self::AnthropicPython => ("anthropic", PYTHON, ["python3", "/workload/workload.py"]),
            Self::OpenaiPython => ("openai", PYTHON, ["python3", "/workload/workload.py"]),
            Self::AnthropicNode => ("anthropic", NODE, ["node", "/workload/workload.mjs"]),
            Self::OpenaiNode => ("openai", NODE, ["node", "/workload/workload.mjs"]),
        }
    }
}

impl Worker {
    /// The pod, or the template of one: `count` requests, 0 for until it is stopped.
    pub(crate) fn pod(&self, count: usize) -> Value {
        let (family, image, [interpreter, script]) = self.sdk.command();
        let container = json!({
            "name": "app",
            "image": image,
            "command": [interpreter, script, family],
            "env": [
                { "name": "COUNT", "value": count.to_string() },
                { "name": "PAUSE_MS", "value": PAUSE_MS },
            ],
            "volumeMounts": [{ "name": "workload", "mountPath": "/workload" }],
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        });
        let mut spec = json!({
            "serviceAccountName": "app",
            "restartPolicy": "Never",
            // The sidecar's, too, in which it delivers the last of history.
            "terminationGracePeriodSeconds": 60,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container],
            "volumes": [{ "name": "workload", "configMap": { "name": "workload" } }],
        });
        if self.way == Way::BaseUrl {
            use_base_url(&mut spec, family);
        }
        let labels =
            json!({ "app": self.name, "penstock.dev/inject": (self.way == Way::Sidecar).to_string() });
        json!({ "metadata": { "name": self.name, "labels": labels }, "spec": spec })
    }
}

impl<'a> Load<'a> {
    /// Starts workers, and waits until each has been answered.
    pub(crate) async fn start(team: &'a Team<'a>, workers: &[Worker]) -> Result<Self> {
        for worker in workers {
            let mut pod = worker.pod(0);
            pod["apiVersion"] = json!("v1");
            pod["kind"] = json!("Pod");
            team.apply(&pod).await?;
        }
        let load = Self { team, names: workers.iter().map(|worker| worker.name.to_owned()).collect() };
        load.passes(3).await?;
        Ok(load)
    }

    /// Waits until each worker has been answered this often from now on.
    pub(crate) async fn passes(&self, requests: usize) -> Result<()> {
        let before = self.served().await?;
        until("more answers for each worker", async || {
            let now = self.served().await?;
            let more = |name: &String| now.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
            let slow: Vec<_> = self.names.iter().filter(|name| more(name) < requests).collect();
            ensure!(slow.is_empty(), "fewer than {requests} answers for {slow:?}");
            Ok(())
        })
        .await
    }

    /// Stops the workers, and waits until each has ended.
    pub(crate) async fn stop(self) -> Result<Outcome> {
        let stop = ["sh", "-c", "kill -TERM 1"];
        let (cluster, namespace) = (self.team.cluster(), self.team.namespace());
        let stopping = self.names.iter().map(|name| cluster.exec(namespace, name, "app", &stop));
        let asked: Vec<Result<String>> = futures_util::future::join_all(stopping).await;
        let lines = try_join_all(self.names.iter().map(|name| lines_of(self.team, name))).await;
        // A worker that had ended before is a failure of its own, which its lines tell best.
        let lines = lines.with_context(|| format!("asked to stop: {asked:?}"))?;
        Ok(Outcome { lines: self.names.into_iter().zip(lines).collect() })
    }

    async fn served(&self) -> Result<BTreeMap<String, usize>> {
        self.team.simulator().served(&self.team.keys()).await
    }
}

impl Outcome {
    /// Of the pod of a worker that ends by itself.
    pub(crate) async fn of(team: &Team<'_>, pod: &str) -> Result<Self> {
        Ok(Self { lines: BTreeMap::from([(pod.to_owned(), lines_of(team, pod).await?)]) })
    }

    /// With those of another.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.lines.extend(other.lines);
        self
    }

    /// The ids of all requests.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.lines.values().flatten().filter_map(|line| line.id.as_deref())
    }

    /// How many requests were made.
    pub(crate) fn requests(&self) -> usize {
        self.lines.values().map(Vec::len).sum()
    }

    /// # Panics
    /// If a request failed, or was answered wrongly.
    pub(crate) fn assert_that_nothing_failed(&self) {
        let slowest = self.lines.values().flatten().map(|line| line.ms).max().unwrap_or_default();
        println!("{} requests, the slowest took {slowest} ms", self.requests());
        let failed: Vec<_> = self
            .lines
            .iter()
            .flat_map(|(name, lines)| lines.iter().map(move |line| (name, line)))
            .filter(|(_, line)| !line.ok)
            .map(|(name, line)| {
                format!("{name} {} at {:.3} after {} ms: {}", line.n, line.at, line.ms, line.error)
            })
            .collect();
        assert!(
            failed.is_empty(),
            "{} of {} requests failed:\n{}",
            failed.len(),
            self.requests(),
            failed.join("\n")
        );
        assert!(self.lines.values().all(|lines| !lines.is_empty()), "a worker asked nothing");
    }
}

/// What a person writes into the manifest of a pod that has no sidecar.
fn use_base_url(spec: &mut Value, family: &str) {
    let (variable, path) = match family {
        "openai" => ("OPENAI_BASE_URL", "/v1"),
        _ => ("ANTHROPIC_BASE_URL", ""),
    };
    let token = json!({ "audience": "penstock", "expirationSeconds": 3600, "path": "token" });
    let volume = json!({ "name": "token", "projected": { "sources": [{ "serviceAccountToken": token }] } });
    let add = |list: &mut Value, more: Value| list.as_array_mut().unwrap().push(more);
    add(&mut spec["volumes"], volume);
    let app = &mut spec["containers"][0];
    add(&mut app["volumeMounts"], json!({ "name": "token", "mountPath": "/var/run/secrets/pool" }));
    add(
        &mut app["env"],
        json!({ "name": variable, "value": format!("http://penstock.penstock-system{path}") }),
    );
    add(&mut app["env"], json!({ "name": "KEY_FILE", "value": TOKEN }));
}

/// What a worker printed, when it has ended.
async fn lines_of(team: &Team<'_>, pod: &str) -> Result<Vec<Line>> {
    let pods: Api<Pod> = Api::namespaced(team.client(), team.namespace());
    let ended = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
        phase == "Succeeded" || phase == "Failed"
    };
    await_condition(&pods, pod, |pod| pod.is_some_and(ended), PATIENCE).await?;
    let log = team.cluster().logs(team.namespace(), pod, "app").await?;
    let (requests, rest): (Vec<&str>, Vec<&str>) = log.lines().partition(|line| line.starts_with("{\"n\""));
    ensure!(rest.iter().any(|line| line.contains("summary")), "{pod} did not end well:\n{}", rest.join("\n"));
    requests.into_iter().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}
