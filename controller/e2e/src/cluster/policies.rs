//! What enforces NetworkPolicies: Calico's agent of the node (Felix) and its network plugin, without anything else of
//! Calico: no routes between nodes, no addresses of its own, no policies of other kinds.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::namespaces::Namespaces;
use super::{Cluster, Own, node};
use crate::parts::Part;
use crate::process::Process;
use crate::wait::until;
use crate::web;

/// The agent.
const FELIX: &str = "calico-felix";
/// Where the agent says whether the node's rules are those of the policies.
const HEALTH_PORT: u16 = 9099;
/// What Calico's own start-up would write: its objects may be read.
const READY: &str = "\
apiVersion: crd.projectcalico.org/v1
kind: ClusterInformation
metadata: { name: default }
spec: { datastoreReady: true }
";

/// Makes Calico's kinds and starts the agent; waits until it has brought the node's rules in line with the policies.
pub(super) async fn enforce(cluster: &Cluster, own: &Own) -> Result<()> {
    let inside = &own.namespaces;
    let definitions = Part::Calico.directory()?.join("definitions").display().to_string();
    cluster.kubectl(&["apply", "--filename", &definitions]).await?;
    cluster.kubectl(&["wait", "--for=condition=Established", "--filename", &definitions]).await?;
    let ready = inside.scratch().write("calico.yaml", READY)?.display().to_string();
    cluster.kubectl(&["apply", "--filename", &ready]).await?;
    let program = Part::Calico.directory()?.join(FELIX);
    let felix = inside.start(&program.display().to_string(), &configuration(inside)?)?;
    own.programs().insert(FELIX, felix);
    let health = format!("http://{}:{HEALTH_PORT}/readiness", inside.network().node());
    until("Calico's agent", async || {
        own.programs().values_mut().try_for_each(Process::check)?;
        let (status, text) = web::send(http::Request::get(&health).body(String::new())?).await?;
        ensure!((200..300).contains(&status), "{status} {text}");
        Ok(())
    })
    .await
}

/// The plugin that gives each pod an interface by which the agent knows it.
pub(super) fn plugin(namespaces: &Namespaces) -> Value {
    let at = namespaces.scratch().path();
    json!({
        "type": "calico",
        "datastore_type": "kubernetes",
        "nodename": "node1",
        "nodename_file_optional": true,
        "log_level": "warning",
        "log_file_path": at.join("calico.log"),
        "policy": { "type": "k8s" },
        "kubernetes": { "kubeconfig": at.join("admin.kubeconfig") },
    })
}

/// The plugins of the node and Calico's: the runtime looks for all in one directory.
pub(super) fn plugins(namespaces: &Namespaces) -> Result<PathBuf> {
    let all = namespaces.scratch().join("network-plugins");
    std::fs::create_dir(&all).context("the directory of the network plugins")?;
    symlink(Part::Calico.directory()?.join("calico"), all.join("calico"))?;
    for name in ["host-local", "loopback", "portmap"] {
        symlink(node::plugins()?.join(name), all.join(name))?;
    }
    Ok(all)
}

/// What the agent is started with.
fn configuration(namespaces: &Namespaces) -> Result<Vec<String>> {
    let node = namespaces.network().node();
    // Pods reach the node itself, which is the API server and the name server, as far as their own policies let them.
    let configuration = format!(
        "[global]
FelixHostname = node1
DatastoreType = kubernetes
IptablesBackend = nft
Ipv6Support = false
XDPEnabled = false
DefaultEndpointToHostAction = ACCEPT
HealthEnabled = true
HealthHost = {node}
HealthPort = {HEALTH_PORT}
UsageReportingEnabled = false
LogFilePath = none
LogSeverityFile = none
LogSeveritySys = none
LogSeverityScreen = Warning
"
    );
    namespaces.scratch().write("felix.cfg", &configuration)?;
    Ok(["felix.cfg", "admin.kubeconfig"].map(str::to_owned).to_vec())
}
