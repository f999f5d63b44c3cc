//! The namespaces that a cluster lives in (processes, mounts, network, host name, IPC, control groups) and its link to
//! the machine. Killing their PID 1 ends every process in them, and takes mounts, bridges and rules along.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::cgroups::Cgroups;
use crate::parts::Part;
use crate::process::Process;
use crate::scratch::Scratch;
use crate::wait::until;

/// What PID 1 does.
const INIT: &str = include_str!("namespaces.sh");
/// What removes everything else.
const REMOVE: &str = include_str!("remove.sh");
/// Clusters side by side: each has three networks of its own.
const MOST: u8 = 50;

/// The namespaces of one cluster.
#[derive(Debug)]
pub(super) struct Namespaces {
    // In the order in which they must go.
    init: Option<Process>,
    pid: u32,
    cgroups: Cgroups,
    path: String,
    libraries: String,
    scratch: Scratch,
    network: Network,
}

/// The addresses of a cluster. They differ by one number, so that several stand side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    index: u8,
}

impl Network {
    /// The machine, as the cluster sees it.
    pub(super) fn host(self) -> String {
        format!("10.99.{}.1", self.index)
    }

    /// The node, as the machine sees it.
    pub(super) fn node(self) -> String {
        format!("10.99.{}.2", self.index)
    }

    /// Addresses of pods.
    pub(super) fn pods(self) -> String {
        format!("10.{}.0.0/16", 100 + self.index)
    }

    /// Those of the pods of the one node.
    pub(super) fn pods_of_node(self) -> String {
        format!("10.{}.0.0/24", 100 + self.index)
    }

    /// Addresses of Services.
    pub(super) fn services(self) -> String {
        format!("10.{}.0.0/16", 200 + self.index)
    }

    /// The Service of the API server: the first address of all.
    pub(super) fn api_service(self) -> String {
        format!("10.{}.0.1", 200 + self.index)
    }

    fn link(self) -> String {
        format!("penstock{}", self.index)
    }
}

impl Namespaces {
    /// Makes them.
    pub(super) async fn make() -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "a cluster with a node needs root, for namespaces and mounts; \
             or set PENSTOCK_E2E_KUBECONFIG to a cluster for tests"
        );
        let scratch = Scratch::with_last_act("cluster", REMOVE)?;
        let name = scratch.path().file_name().context("its name")?.to_string_lossy().into_owned();
        let cgroups = Cgroups::of(&name)?;
        let directories: Vec<_> =
            cgroups.directories().iter().map(|at| format!("{}\n", at.display())).collect();
        scratch.write("cgroups", &directories.concat())?;
        cgroups.make()?;
        let mut init = Process::start(&init_command(&cgroups, &scratch)?, &scratch.join("init.log"))?;
        let pid = until("the cluster's PID 1", async || {
            init.check()?;
            ensure!(scratch.join("private").exists(), "its mounts are not made yet");
            only_child(init.id())
        })
        .await?;
        let network = connect(&scratch, pid)?;
        let root = Part::Node.directory()?.join("root");
        let root = root.display();
        let programs = Part::Kubernetes.directory()?;
        Ok(Self {
            path: format!(
                "{}:{root}/usr/sbin:{root}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                programs.display()
            ),
            libraries: format!("{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu"),
            init: Some(init),
            pid,
            cgroups,
            scratch,
            network,
        })
    }

    /// Ends every process inside.
    pub(super) fn end(&mut self) {
        self.init = None;
    }

    /// The cluster's directory.
    pub(super) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Its addresses.
    pub(super) fn network(&self) -> Network {
        self.network
    }

    /// A command that runs inside, from the cluster's directory, with the node's programs in its path.
    pub(super) fn command(&self, program: &str) -> Command {
        let enter = format!(
            r#"{}exec nsenter --target {} --all -- sh -c 'cd "$0" && exec "$@"' "$0" "$@""#,
            self.cgroups.join_script(),
            self.pid
        );
        let mut command = Command::new("sh");
        command.args(["-c", &enter]).arg(self.scratch.path()).arg(program);
        command.env("PATH", &self.path).env("LD_LIBRARY_PATH", &self.libraries);
        let extensions = self.libraries.split(':').next().unwrap_or_default();
        command.env("XTABLES_LIBDIR", format!("{extensions}/xtables"));
        command.env("TMPDIR", self.scratch.join("tmp"));
        // An API server that was frozen is given up by Kubernetes' own programs after these, not after 45 s.
        command.env("HTTP2_READ_IDLE_TIMEOUT_SECONDS", "5").env("HTTP2_PING_TIMEOUT_SECONDS", "5");
        command
    }

    /// Starts a program inside, by its name or path; its output is in the cluster's directory as `NAME.log`.
    pub(super) fn start(&self, program: &str, arguments: &[String]) -> Result<Process> {
        let mut command = self.command(program);
        command.args(arguments);
        let name = program.rsplit('/').next().unwrap_or_default();
        Process::start_as(name, &command, &self.log(name))
    }

    /// Where the output of a program is.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.scratch.join(&format!("{name}.log"))
    }
}

/// The one process that `parent` started and that has not ended.
pub(super) fn only_child(parent: u32) -> Result<u32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    children.trim().parse().with_context(|| format!("process {parent} has these children: {children:?}"))
}

fn init_command(cgroups: &Cgroups, scratch: &Scratch) -> Result<Command> {
    std::fs::create_dir(scratch.join("tmp")).context("its temporary directory")?;
    let pause = Part::Kubernetes.directory()?.join("pause");
    let enter = format!(
        r#"{}exec unshare --mount --net --uts --ipc --cgroup --pid --fork --kill-child --mount-proc \
        --propagation private sh -c "$@""#,
        cgroups.join_script()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &enter, "sh", INIT, "sh"]).arg(scratch.path()).arg(pause);
    command.args(cgroups.hierarchies());
    Ok(command)
}

/// Links the cluster to the machine, with addresses that no other cluster has.
fn connect(scratch: &Scratch, pid: u32) -> Result<Network> {
    for index in 0..MOST {
        let network = Network { index };
        // Whoever makes the link has the index.
        let made = ip(&format!("link add {} type veth peer name eth0 netns {pid}", network.link()));
        match made {
            Err(error) if error.to_string().contains("File exists") => continue,
            made => made?,
        }
        let index = std::fs::read_to_string(format!("/sys/class/net/{}/ifindex", network.link()));
        scratch.write("link-index", index.context("the link's index")?.trim())?;
        scratch.write("link", &network.link())?;
        ip(&format!("address add {}/30 dev {}", network.host(), network.link()))?;
        ip(&format!("link set {} up", network.link()))?;
        for routed in [network.pods(), network.services()] {
            ip(&format!("route add {routed} via {}", network.node()))?;
        }
        return Ok(network);
    }
    bail!("{MOST} clusters are up already, or their links penstock0, penstock1, … were left behind")
}

fn ip(arguments: &str) -> Result<()> {
    let done =
        Command::new("ip").args(arguments.split(' ')).output().context("`ip` of the package iproute2")?;
    ensure!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
