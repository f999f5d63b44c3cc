//! A whole Kubernetes of the test's own: etcd, API server, controllers, scheduler, DNS and one node with kubelet,
//! kube-proxy and containerd, as real programs in private namespaces. Needs root; ready in seconds.
//!
//! | module | what it holds |
//! |---|---|
//! | `namespaces` | what the cluster lives in, and its link to the machine |
//! | `cgroups` | its control groups |
//! | `control_plane` | etcd, API server, controllers, scheduler, DNS |
//! | `node` | containerd, kubelet, kube-proxy |
//! | `policies` | what enforces NetworkPolicies, in a cluster that asks for it |
//!
//! From the test, every pod and every Service is reachable by its address, and the other way round.

mod cgroups;
mod control_plane;
mod namespaces;
mod node;
mod policies;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use futures_util::FutureExt;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::sync::OnceCell;

use crate::parts::Part;
use crate::process::{Process, errors_in, send_signal};
use crate::report::describe;
use crate::scratch::Scratch;
use crate::tools::Tools;
use crate::wait::{PATIENCE, await_condition, until};
use namespaces::{Namespaces, only_child};
use rustix::process::Signal;

/// Names a kubeconfig of a cluster to use instead of one of our own.
const GIVEN: &str = "PENSTOCK_E2E_KUBECONFIG";
const API_SERVER: &str = "kube-apiserver";

/// A cluster; one of our own ends and leaves nothing behind when dropped, or when the test's process ends in any way.
#[derive(Debug)]
pub struct Cluster {
    tools: Tools,
    config: Config,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Own(Box<Own>),
    /// Somebody else's, with a directory for what the tools remember.
    Given(#[expect(dead_code, reason = "kept for its drop")] Scratch),
}

/// What connects the pods of our own cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PodNetwork {
    /// Everybody reaches everybody.
    Bridge,
    /// As NetworkPolicies say.
    Policies,
}

#[derive(Debug)]
struct Own {
    programs: Mutex<BTreeMap<&'static str, Process>>,
    namespaces: Namespaces,
}

impl Cluster {
    /// Brings one up and waits until pods can be started, or connects to the one that `PENSTOCK_E2E_KUBECONFIG` names.
    pub async fn up() -> Result<Self> {
        match std::env::var_os(GIVEN) {
            Some(kubeconfig) => Self::given(Path::new(&kubeconfig)).await,
            None => Self::own(PodNetwork::Bridge).await,
        }
    }

    /// Brings up one of our own whose network enforces NetworkPolicies.
    pub async fn with_policies() -> Result<Self> {
        Self::own(PodNetwork::Policies).await
    }

    /// Whether `PENSTOCK_E2E_KUBECONFIG` names a cluster. What needs one of its own is left out then.
    pub fn is_given() -> bool {
        std::env::var_os(GIVEN).is_some()
    }

    /// The one that all tests of a test program share. It ends with the program.
    ///
    /// # Panics
    /// If it cannot be brought up.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_init(async || Self::up().await.expect("a cluster for the tests")).await
    }

    /// A client that may do everything. Belongs to the calling test's runtime.
    pub fn client(&self) -> Client {
        Client::try_from(self.config.clone()).expect("the configuration was used before")
    }

    /// How to connect as one who may do everything.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// `kubectl` and `helm`.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// What `kubectl` prints; an error shows what it complained about.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.tools.kubectl(arguments).await
    }

    /// What `helm` prints; an error shows what it complained about.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.tools.helm(arguments).await
    }

    /// What a command prints in a container.
    pub async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        command: &[&str],
    ) -> Result<String> {
        let kubectl = ["exec", "-n", namespace, pod, "-c", container, "--"];
        self.kubectl(&[&kubectl, command].concat()).await
    }

    /// The log of a container.
    pub async fn logs(&self, namespace: &str, pod: &str, container: &str) -> Result<String> {
        self.kubectl(&["logs", "-n", namespace, pod, "-c", container]).await
    }

    /// Gives the node the images in an archive (as `docker save` or an OCI layout's tar). A given cluster is expected to
    /// have them.
    pub async fn load_image(&self, archive: &Path) -> Result<()> {
        match &self.kind {
            Kind::Own(own) => own.load_image(archive).await,
            Kind::Given(_) => Ok(()),
        }
    }

    /// The address at which pods reach this machine, e.g. for a server of the test's own.
    pub fn host_address(&self) -> Result<IpAddr> {
        match &self.kind {
            Kind::Own(own) => own.namespaces.network().host().parse().context("the host's address"),
            Kind::Given(_) => bail!("whether pods of a given cluster reach this machine is not known"),
        }
    }

    /// Kills the API server; connections are refused until [`Self::start_api_server`].
    pub fn stop_api_server(&self) -> Result<()> {
        let server =
            self.own_programs()?.0.remove(API_SERVER).context("the API server is stopped already")?;
        signal_inside(&server, Signal::KILL)
    }

    /// Starts the API server again and waits until it is ready.
    pub async fn start_api_server(&self) -> Result<()> {
        {
            let (mut programs, own) = self.own_programs()?;
            ensure!(!programs.contains_key(API_SERVER), "the API server was not stopped");
            let server =
                own.namespaces.start(API_SERVER, &control_plane::api_server(own.namespaces.network()))?;
            programs.insert(API_SERVER, server);
        }
        self.api_ready().await
    }

    /// Holds the API server still: connections are accepted, and nothing is answered until [`Self::thaw_api_server`].
    pub fn freeze_api_server(&self) -> Result<()> {
        self.signal_api_server(Signal::STOP)
    }

    /// Lets it go on.
    pub fn thaw_api_server(&self) -> Result<()> {
        self.signal_api_server(Signal::CONT)
    }

    /// Runs a test; if it panics, shows what there is to know about these namespaces, and lets it.
    pub async fn watch_over<T>(&self, namespaces: &[&str], test: impl AsyncFnOnce() -> T) -> T {
        match AssertUnwindSafe(test()).catch_unwind().await {
            Ok(value) => value,
            Err(panic) => {
                eprintln!("{}{}", describe(&self.client(), namespaces).await, self.complaints());
                std::panic::resume_unwind(panic)
            }
        }
    }

    /// The last errors that the cluster's own programs logged.
    pub fn complaints(&self) -> String {
        let Kind::Own(own) = &self.kind else { return String::new() };
        let programs = own.programs();
        let of = |name: &&'static str| {
            let errors = errors_in(&own.namespaces.log(name));
            if errors.is_empty() { errors } else { format!("──── {name}\n{errors}\n") }
        };
        programs.keys().map(of).collect()
    }

    /// What ServiceAccounts other than the cluster's own asked of the API server, as its audit log has it; of our own
    /// cluster.
    pub fn audited(&self) -> Result<Vec<serde_json::Value>> {
        let directory = self.directory().context("the audit log of a given cluster is not ours")?;
        let log =
            std::fs::read_to_string(directory.join(control_plane::AUDIT_LOG)).context("the audit log")?;
        // The last line may be half written.
        Ok(log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Where logs and data of our own cluster are, as long as it lives.
    pub fn directory(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Own(own) => Some(own.namespaces.scratch().path()),
            Kind::Given(_) => None,
        }
    }

    fn signal_api_server(&self, signal: Signal) -> Result<()> {
        let (programs, _) = self.own_programs()?;
        signal_inside(programs.get(API_SERVER).context("the API server is stopped")?, signal)
    }

    async fn given(kubeconfig: &Path) -> Result<Self> {
        let scratch = Scratch::new("tools")?;
        let read =
            Kubeconfig::read_from(kubeconfig).with_context(|| format!("{GIVEN}={}", kubeconfig.display()))?;
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
        Ok(Self { tools: Tools::new(kubeconfig, scratch.path()), config, kind: Kind::Given(scratch) })
    }

    async fn own(network: PodNetwork) -> Result<Self> {
        let namespaces = Namespaces::make().await?;
        let scratch = namespaces.scratch();
        let admin = control_plane::write_pki(scratch, namespaces.network())?;
        let config = Config::from_custom_kubeconfig(admin, &KubeConfigOptions::default()).await?;
        let tools = Tools::new(&scratch.join("admin.kubeconfig"), scratch.path());
        let own = Own { programs: Mutex::new(BTreeMap::new()), namespaces };
        own.connect()?;
        let cluster = Self { tools, config, kind: Kind::Own(Box::new(own)) };
        let up = cluster.start_programs(network).await;
        up.with_context(|| format!("the cluster did not come up\n{}", cluster.complaints()))?;
        Ok(cluster)
    }

    async fn start_programs(&self, network: PodNetwork) -> Result<()> {
        let Kind::Own(own) = &self.kind else { return Ok(()) };
        let inside = &own.namespaces;
        own.start("etcd", &control_plane::etcd())?;
        own.start(API_SERVER, &control_plane::api_server(inside.network()))?;
        let (plugin, plugins) = match network {
            PodNetwork::Bridge => (node::bridge(), node::plugins()?),
            PodNetwork::Policies => (policies::plugin(inside), policies::plugins(inside)?),
        };
        own.start("containerd", &node::containerd(inside, plugin, &plugins)?)?;
        until("containerd", async || own.ctr(&["version"]).await).await?;
        for image in ["pause.tar", "busybox.tar"] {
            own.load_image(&Part::Node.directory()?.join("images").join(image)).await?;
        }
        own.start("kubelet", &node::kubelet(inside)?)?;
        self.api_ready().await?;
        own.start("kube-controller-manager", &control_plane::controller_manager())?;
        own.start("kube-scheduler", &control_plane::scheduler())?;
        own.start("kube-proxy", &node::kube_proxy(inside)?)?;
        let rights = inside.scratch().write("coredns.yaml", include_str!("cluster/coredns.yaml"))?;
        self.kubectl(&["apply", "-f", &rights.display().to_string()]).await?;
        own.start("coredns", &control_plane::coredns(inside)?)?;
        if network == PodNetwork::Policies {
            policies::enforce(self, own).await?;
        }
        self.pods_can_start().await
    }

    async fn api_ready(&self) -> Result<()> {
        let client = self.client();
        until("the API server's /readyz", async || {
            self.own_programs()?.0.values_mut().try_for_each(Process::check)?;
            let request = http::Request::get("/readyz").body(vec![])?;
            client.request_text(request).await.map(drop).map_err(Into::into)
        })
        .await
    }

    async fn pods_can_start(&self) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client());
        await_condition(&nodes, "node1", |node| node.is_some_and(is_ready), PATIENCE).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), "default");
        await_condition(&accounts, "default", |account| account.is_some(), PATIENCE).await?;
        Ok(())
    }

    fn own_programs(&self) -> Result<(MutexGuard<'_, BTreeMap<&'static str, Process>>, &Own)> {
        match &self.kind {
            Kind::Own(own) => Ok((own.programs(), own)),
            Kind::Given(_) => bail!("the programs of a given cluster are not ours"),
        }
    }
}

impl Own {
    /// The node's end of the link to the machine.
    fn connect(&self) -> Result<()> {
        let network = self.namespaces.network();
        let (node, host) = (network.node(), network.host());
        for arguments in [
            format!("address add {node}/30 dev eth0"),
            "link set eth0 up".to_owned(),
            format!("route add default via {host}"),
        ] {
            let mut command = self.namespaces.command("ip");
            let done = command.args(arguments.split(' ')).output().context("ip")?;
            ensure!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    }

    fn start(&self, name: &'static str, arguments: &[String]) -> Result<()> {
        let program = self.namespaces.start(name, arguments)?;
        self.programs().insert(name, program);
        Ok(())
    }

    fn programs(&self) -> MutexGuard<'_, BTreeMap<&'static str, Process>> {
        // A test that panicked meanwhile has not left the map half changed.
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load_image(&self, archive: &Path) -> Result<()> {
        let path = archive.display().to_string();
        self.ctr(&["--namespace", "k8s.io", "images", "import", &path]).await
    }

    async fn ctr(&self, arguments: &[&str]) -> Result<()> {
        let mut command: Command = self.namespaces.command("ctr");
        command.args(["--address", node::CONTAINERD_SOCKET]).args(arguments);
        let done =
            tokio::process::Command::from(command).stdin(Stdio::null()).output().await.context("ctr")?;
        ensure!(
            done.status.success(),
            "ctr {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Everything inside dies first; then what we started it with is waited for; then the rest is removed.
        self.namespaces.end();
        self.programs().clear();
    }
}

/// Runs a test in the shared cluster with a namespace of its own; if it panics, shows what there is to know.
pub async fn with_cluster<T>(test: impl AsyncFnOnce(&'static Cluster, &str) -> T) -> T {
    let cluster = Cluster::shared().await;
    crate::with_temp_ns(&cluster.client(), async |namespace: &str| {
        cluster.watch_over(&[], async || test(cluster, namespace).await).await
    })
    .await
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// To the program inside; the process that brought it there only waits for it.
fn signal_inside(program: &Process, signal: Signal) -> Result<()> {
    send_signal(only_child(program.id())?, signal)
}
