//! README's commands for a cluster, literally; and what is left when it is uninstalled.

use std::collections::BTreeSet;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use penstock_e2e::parts::Part;
use penstock_e2e::product::{checkout, programs};
use penstock_e2e::wait::PATIENCE;
use penstock_e2e::{Cluster, await_condition, until};
use serde_json::json;

use super::images::PYTHON;
use super::installation::{NAMESPACE, PROVIDER, ready_for_install};

/// README's section of the commands.
const SECTION: &str = "## In a cluster";
const COMMANDS: usize = 5;
/// Kinds that come and go by themselves.
const PASSING: [&str; 2] = ["events", "events.events.k8s.io"];
/// A workload as anybody writes one: nothing in it is about Penstock.
const WORKLOAD_SCRIPT: &str = "import anthropic; print(anthropic.Anthropic(max_retries=0).messages.create(\
     model='claude-sonnet-5', max_tokens=99, messages=[{'role': 'user', 'content': 'Hello'}]).content[0].text)";

#[tokio::test]
async fn the_readme_leads_to_a_pool_and_uninstalling_leaves_nothing_but_the_definitions() {
    // Its own, as there can be only one installation of a name in a cluster.
    let cluster = Cluster::up().await.unwrap();
    if cluster.directory().is_none() {
        println!("a given cluster has the installation of the other tests already");
        return;
    }
    let watched = [NAMESPACE, PROVIDER, "default"];
    cluster.watch_over(&watched, async || follow(&cluster).await.unwrap()).await;
}

async fn follow(cluster: &Cluster) -> Result<()> {
    ready_for_install(cluster).await?;
    let before = inventory(cluster).await?;
    for command in commands()? {
        println!("$ {command}\n{}", shell(cluster, &command).await?);
    }
    // The one thing that a test does otherwise: the provider is in the cluster.
    let base = format!(r#"{{"spec":{{"baseUrl":"http://simulator.{PROVIDER}:8080/anthropic"}}}}"#);
    cluster.kubectl(&["patch", "provideraccount", "claude-1", "--type=merge", "--patch", &base]).await?;
    let said = until("an answer through the new address", async || ask(cluster).await).await?;
    ensure!(said.starts_with("You said: Hello."), "{said}");
    // What docs/install.md says next.
    let check = programs()?.join("penstock");
    println!("{}", shell(cluster, &format!("{} check", check.display())).await?);
    cluster.helm(&["test", "penstock", "-n", NAMESPACE, "--timeout=3m"]).await?;

    cluster.kubectl(&["label", "namespace", "default", "penstock.dev/inject-"]).await?;
    cluster.kubectl(&["delete", "provideraccount/claude-1", "secret/claude-1"]).await?;
    cluster.helm(&["uninstall", "penstock", "-n", NAMESPACE, "--wait"]).await?;
    until("nothing but the definitions", async || {
        let after = inventory(cluster).await?;
        let left: BTreeSet<&str> = after.difference(&before).map(String::as_str).collect();
        ensure!(left == expected_rest(), "what is left: {left:#?}");
        Ok(())
    })
    .await
}

/// Lines of the section's shell block; one may go on after a backslash.
fn commands() -> Result<Vec<String>> {
    let readme = std::fs::read_to_string(checkout().join("README.md"))?;
    let section = readme.split(SECTION).nth(1).with_context(|| format!("README has no {SECTION:?}"))?;
    let block = section.split("```sh\n").nth(1).context("it has no commands")?;
    let block = block.split("```").next().unwrap_or_default().replace("\\\n", "");
    let lines: Vec<String> = block.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    ensure!(lines.len() == COMMANDS, "README says {COMMANDS} commands and has {lines:#?}");
    Ok(lines)
}

/// What a command of a person prints who stands in the checkout and has these tools.
async fn shell(cluster: &Cluster, line: &str) -> Result<String> {
    let mut command = tokio::process::Command::new("bash");
    for (name, value) in cluster.tools().command("kubectl")?.as_std().get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let path = format!("{}:/usr/bin:/bin", Part::Kubernetes.directory()?.display());
    command.env("PATH", path).env("ANTHROPIC_API_KEY", "sk-of-a-reader").current_dir(checkout());
    let done = command.args(["-euc", line]).stdin(Stdio::null()).output().await?;
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    ensure!(done.status.success(), "{line}: {said}");
    Ok(said)
}

/// Runs a workload in the labelled namespace once; what it printed.
async fn ask(cluster: &Cluster) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), "default");
    let pod = json!({
        "metadata": { "name": "hello" },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "app", "image": PYTHON, "command": ["python3", "-c", WORKLOAD_SCRIPT] }],
        },
    });
    pods.create(&kube::api::PostParams::default(), &serde_json::from_value(pod)?).await?;
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let ended = |pod: &Pod| ["Succeeded", "Failed"].contains(&phase(pod).as_str());
    let pod = await_condition(&pods, "hello", |pod| pod.is_some_and(ended), PATIENCE).await?;
    let log = cluster.logs("default", "hello", "app").await?;
    cluster.kubectl(&["delete", "pod", "hello"]).await?;
    ensure!(pod.is_some_and(|pod| phase(&pod) == "Succeeded"), "{log}");
    Ok(log)
}

/// Every object of every kind, as `kind namespace/name`.
async fn inventory(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "--output=name"]).await?;
    let kinds: Vec<_> = kinds.lines().filter(|kind| !PASSING.contains(kind)).collect();
    let template = "jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}";
    let listed =
        cluster.kubectl(&["get", &kinds.join(","), "--all-namespaces", "--output", template]).await?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// The definitions, which keep everybody's accounts; and the namespace, which is not Helm's to delete, with what
/// Kubernetes puts into every one.
fn expected_rest() -> BTreeSet<&'static str> {
    BTreeSet::from([
        "APIService /v1alpha1.penstock.dev",
        "CustomResourceDefinition /accessgrants.penstock.dev",
        "CustomResourceDefinition /accountpools.penstock.dev",
        "CustomResourceDefinition /provideraccounts.penstock.dev",
        "Namespace /penstock-system",
        "ConfigMap penstock-system/kube-root-ca.crt",
        "ServiceAccount penstock-system/default",
    ])
}
