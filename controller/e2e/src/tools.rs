//! `kubectl` and `helm` of the cluster's own version, from outside, as one who may do everything.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::parts;

/// The tools of one cluster.
#[derive(Debug)]
pub struct Tools {
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Tools {
    /// For the cluster of this kubeconfig; `home` keeps what the tools remember.
    pub fn new(kubeconfig: &Path, home: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), home: home.to_owned() }
    }

    /// The kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What `kubectl` prints; an error shows what it complained about.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run("kubectl", arguments).await
    }

    /// What `helm` prints; an error shows what it complained about.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.run("helm", arguments).await
    }

    /// A tool that is not started yet, for one that runs beside the test or reads from it. Ends when it is dropped.
    pub fn command(&self, tool: &str) -> Result<Command> {
        let mut command = Command::new(parts::program(tool)?);
        // Elsewhere their caches would outlive the cluster, and lead the next one astray.
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", self.home.join("kubectl"));
        for kind in ["CACHE", "CONFIG", "DATA"] {
            command.env(format!("HELM_{kind}_HOME"), self.home.join("helm"));
        }
        command.kill_on_drop(true);
        Ok(command)
    }

    async fn run(&self, tool: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(tool)?;
        let done = command.args(arguments).stdin(Stdio::null()).output().await;
        let done = done.with_context(|| format!("{tool} could not be started"))?;
        let printed =
            String::from_utf8(done.stdout).with_context(|| format!("{tool} {}", arguments.join(" ")))?;
        let complained = String::from_utf8_lossy(&done.stderr);
        ensure!(
            done.status.success(),
            "{tool} {}: {}\n{printed}{complained}",
            arguments.join(" "),
            done.status
        );
        Ok(printed)
    }
}
