//! Nothing is left behind, however a test ends: no process, mount, network link, control group or file. Shown on the
//! program `cluster`, which uses the library as a test does, and can be killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Result, ensure};
use penstock_e2e::process::send_signal;
use penstock_e2e::until;
use rustix::process::Signal;

/// The program when it is up.
struct Running {
    program: Child,
    directory: PathBuf,
    /// Kept, as a program that prints to nobody fails.
    _output: BufReader<ChildStdout>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
        let mut program = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let kubeconfig =
            line.strip_prefix("export KUBECONFIG=").expect("it comes up").split(' ').next().unwrap();
        Self { program, directory: Path::new(kubeconfig).parent().unwrap().to_owned(), _output: output }
    }

    fn name(&self) -> &str {
        self.directory.file_name().unwrap().to_str().unwrap()
    }

    /// The error names what is left.
    fn is_gone(&self) -> Result<()> {
        ensure!(!self.directory.exists(), "{} is left", self.directory.display());
        let processes = processes_with(self.name());
        ensure!(processes.is_empty(), "processes are left: {processes:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        ensure!(!mounts.contains(self.name()), "mounts are left:\n{mounts}");
        let groups = Command::new("find").args(["/sys/fs/cgroup", "-name", self.name()]).output()?;
        ensure!(
            groups.stdout.is_empty(),
            "control groups are left: {}",
            String::from_utf8_lossy(&groups.stdout)
        );
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended, as it should have.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Command lines of processes that mention the name, or are in a control group of it.
fn processes_with(name: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let text =
        |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\0', " ");
    processes
        .filter(|path| path.join("cmdline").exists())
        .map(|path| (text(path.join("cmdline")), text(path.join("cgroup"))))
        .filter(|(command, groups)| command.contains(name) || groups.contains(name))
        .map(|(command, _)| command)
        .collect()
}

fn link_of(running: &Running) -> String {
    fs::read_to_string(running.directory.join("link")).unwrap()
}

#[tokio::test]
async fn a_cluster_whose_test_was_killed_is_gone() {
    killed_is_gone(&[]).await;
}

#[tokio::test]
async fn one_that_enforces_policies_is_gone_as_well() {
    killed_is_gone(&["--policies"]).await;
}

async fn killed_is_gone(arguments: &[&str]) {
    let mut cluster = Running::start(arguments);
    let link = Path::new("/sys/class/net").join(link_of(&cluster));
    assert!(link.exists() && !processes_with(cluster.name()).is_empty());
    cluster.program.kill().unwrap();
    cluster.program.wait().unwrap();
    until("the cluster's end", async || cluster.is_gone()).await.unwrap();
    assert!(!link.exists(), "{} is left", link.display());
}

#[tokio::test]
async fn two_clusters_stand_side_by_side_and_each_ends_for_itself() {
    let (mut one, mut two) = (Running::start(&[]), Running::start(&[]));
    assert_ne!(link_of(&one), link_of(&two));
    send_signal(one.program.id(), Signal::INT).unwrap();
    one.program.wait().unwrap();
    one.is_gone().unwrap();
    assert!(Path::new("/sys/class/net").join(link_of(&two)).exists());
    send_signal(two.program.id(), Signal::INT).unwrap();
    two.program.wait().unwrap();
    two.is_gone().unwrap();
}

#[tokio::test]
async fn an_api_server_whose_test_was_killed_is_gone() {
    let mut server = Running::start(&["--api-server"]);
    assert!(!processes_with(server.name()).is_empty());
    server.program.kill().unwrap();
    server.program.wait().unwrap();
    until("the API server's end", async || server.is_gone()).await.unwrap();
}
