//! A namespace of its own for each test, with accounts at the simulated provider.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use penstock_crds::ProviderAccount;
use penstock_e2e::scratch::Scratch;
use penstock_e2e::wait::PATIENCE;
use penstock_e2e::{Cluster, await_condition, until, web};
use serde_json::{Value, json};

use super::installation::{Installation, NAMESPACE, PROVIDER, TURN, stays};
use super::simulator::Simulator;

/// What the accounts of every team are called, the preferred ones first.
pub(crate) const ACCOUNTS: [(&str, &str); 4] =
    [("claude-1", "anthropic"), ("claude-2", "anthropic"), ("gpt-1", "openai"), ("gpt-2", "openai")];

/// Where a proxy in a cluster tells its state.
const ADMIN_PORT: u16 = 9901;

/// The namespace of a test.
pub(crate) struct Team<'a> {
    installation: &'a Installation<'a>,
    namespace: String,
    client: Client,
    scratch: Scratch,
}

/// Runs a test with a team beside others.
pub(crate) async fn with_team(test: impl AsyncFnOnce(&Team<'_>)) {
    let installation = Installation::shared().await;
    let turn = TURN.read().await;
    run(installation, test).await;
    drop(turn);
}

/// Runs a test that disturbs all others, while no other runs.
pub(crate) async fn alone_with_team(test: impl AsyncFnOnce(&Team<'_>)) {
    let installation = Installation::shared().await;
    let turn = TURN.write().await;
    run(installation, test).await;
    drop(turn);
}

/// Runs a test with a team of an installation.
pub(crate) async fn run(installation: &Installation<'_>, test: impl AsyncFnOnce(&Team<'_>)) {
    let cluster = installation.cluster();
    let client = cluster.client();
    penstock_e2e::with_temp_ns(&client, async |namespace: &str| {
        let test = async || {
            let team = Team::new(installation, namespace, cluster.client()).await.unwrap();
            test(&team).await;
        };
        cluster.watch_over(&[NAMESPACE, PROVIDER], test).await;
    })
    .await;
}

impl<'a> Team<'a> {
    async fn new(installation: &'a Installation<'a>, namespace: &str, client: Client) -> Result<Self> {
        let team =
            Self { installation, namespace: namespace.to_owned(), client, scratch: Scratch::new("team")? };
        let labels = ["penstock.dev/inject=true", "pod-security.kubernetes.io/enforce=restricted"];
        team.cluster().kubectl(&[&["label", "namespace", namespace], &labels[..]].concat()).await?;
        team.apply(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "app" } }))
            .await?;
        let scripts = json!({
            "workload.py": include_str!("../../workloads/workload.py"),
            "workload.mjs": include_str!("../../workloads/workload.mjs"),
        });
        team.apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "workload" }, "data": scripts,
        }))
        .await?;
        for (name, provider) in ACCOUNTS {
            let key = team.key(name);
            team.add_account(name, provider, &key).await?;
        }
        // One that has just lost its controller hears of them when it has another.
        let gateways = team.gateways().await?;
        for (name, _) in ACCOUNTS {
            team.state(name, "Available").await?;
            team.known_to(&gateways, name, |found| found["state"] == "Available").await?;
        }
        Ok(team)
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> &'a Cluster {
        self.installation.cluster()
    }

    /// For this test.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The provider of its accounts.
    pub(crate) fn simulator(&self) -> &Simulator {
        self.installation.simulator()
    }

    /// The key of an account as it was created.
    pub(crate) fn key(&self, account: &str) -> String {
        format!("sk-{}-{account}", self.namespace)
    }

    /// Those of all accounts.
    pub(crate) fn keys(&self) -> Vec<String> {
        ACCOUNTS.iter().map(|(name, _)| self.key(name)).collect()
    }

    /// `kubectl apply -f` in the namespace.
    pub(crate) async fn apply(&self, object: &Value) -> Result<()> {
        self.apply_in(&self.namespace, object).await
    }

    /// The same in another.
    pub(crate) async fn apply_in(&self, namespace: &str, object: &Value) -> Result<()> {
        let name = object["metadata"]["name"].as_str().context("a name")?;
        let file = self.scratch.write(&format!("{name}.json"), &object.to_string())?;
        let file = file.display().to_string();
        self.cluster().kubectl(&["apply", "-n", namespace, "-f", &file]).await.map(drop)
    }

    /// A file of the test.
    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.scratch.join(name)
    }

    /// An account and its Secret. The last character of the name is the priority.
    pub(crate) async fn add_account(&self, name: &str, provider: &str, key: &str) -> Result<()> {
        self.set_key(name, key).await?;
        self.apply(&account(name, provider, &format!("http://simulator.{PROVIDER}:8080"))).await
    }

    /// Puts a key into the Secret of an account.
    pub(crate) async fn set_key(&self, account: &str, key: &str) -> Result<()> {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": account }, "stringData": { "apiKey": key },
        }))
        .await
    }

    /// Waits for the state of an account.
    pub(crate) async fn state(&self, account: &str, state: &str) -> Result<ProviderAccount> {
        let accounts: Api<ProviderAccount> = Api::namespaced(self.client(), &self.namespace);
        let reached = |account: &ProviderAccount| {
            let status = serde_json::to_value(&account.status).unwrap_or_default();
            status["state"] == state
        };
        let found =
            await_condition(&accounts, account, |account| account.is_some_and(reached), PATIENCE).await?;
        found.context("it was there")
    }

    /// The reasons of the events about an object.
    pub(crate) async fn events(&self, object: &str) -> Result<Vec<String>> {
        let about = format!("regarding.name={object}");
        let template = "{range .items[*]}{.type} {.reason}: {.note}{'\\n'}{end}";
        let output = format!("jsonpath={template}");
        let printed = self
            .cluster()
            .kubectl(&[
                "get",
                "events.v1.events.k8s.io",
                "-n",
                &self.namespace,
                "--field-selector",
                &about,
                "-o",
                &output,
            ])
            .await?;
        Ok(printed.lines().map(str::to_owned).collect())
    }

    /// The addresses of the proxies that serve this team: its sidecars and all gateways.
    pub(crate) async fn proxies(&self) -> Result<Vec<String>> {
        let mut found = self.addresses(&self.namespace, "penstock.dev/inject=true").await?;
        found.extend(self.gateways().await?);
        Ok(found)
    }

    /// The addresses of all gateways.
    async fn gateways(&self) -> Result<Vec<String>> {
        self.addresses(NAMESPACE, "app.kubernetes.io/component=gateway").await
    }

    /// Waits until each of these proxies says of an account of the team what is `wanted`.
    pub(crate) async fn known_to(
        &self,
        proxies: &[String],
        account: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        let id = format!("{}/{account}", self.namespace);
        let known = async |address: &String| {
            until("it knows", async || {
                let state = web::get(&format!("http://{address}:{ADMIN_PORT}/debug/state")).await?;
                let accounts = state["accounts"].as_array().cloned().unwrap_or_default();
                let found = accounts.into_iter().find(|account| account["id"] == *id);
                let found = found.with_context(|| format!("{address} does not hold {id}: {state}"))?;
                ensure!(wanted(&found), "{address}: {found}");
                Ok(())
            })
            .await
        };
        try_join_all(proxies.iter().map(known)).await.map(drop)
    }

    async fn addresses(&self, namespace: &str, labels: &str) -> Result<Vec<String>> {
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let found = pods.list(&ListParams::default().labels(labels)).await?;
        let address = |pod: Pod| pod.status?.pod_ip;
        Ok(found.into_iter().filter(stays).filter_map(address).collect())
    }
}

/// An account at the simulator; the last character of its name is its priority.
pub(crate) fn account(name: &str, provider: &str, simulator: &str) -> Value {
    let path = if provider == "openai" { "openai/v1" } else { "anthropic" };
    let priority = name.chars().last().and_then(|last| last.to_digit(10)).unwrap_or_default();
    json!({
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ProviderAccount",
        "metadata": { "name": name },
        "spec": {
            "provider": provider,
            "baseUrl": format!("{simulator}/{path}"),
            "priority": priority,
            "credentials": { "secretRef": { "name": name } },
        },
    })
}
