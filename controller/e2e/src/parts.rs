//! The parts that clusters are made of: `prepare` builds each once into a cache outside the checkout.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

/// The script that builds a part and prints where it is.
const PREPARE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/prepare");

/// A directory of `controller/e2e/parts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The programs of Kubernetes, Helm, CoreDNS.
    Kubernetes,
    /// What a node runs beside Kubernetes, and the images that every cluster has.
    Node,
    /// What enforces NetworkPolicies.
    Calico,
    /// An image with Python and the SDKs of the model providers.
    AppPython,
    /// The same with Node.
    AppNode,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Node => "node",
            Self::Calico => "calico",
            Self::AppPython => "app-python",
            Self::AppNode => "app-node",
        }
    }

    /// Where the part is. The first call on a machine builds it, which takes minutes for Kubernetes.
    pub fn directory(self) -> Result<PathBuf> {
        static MADE: [OnceLock<Result<PathBuf, String>>; 5] = [const { OnceLock::new() }; 5];
        let made =
            MADE[self as usize].get_or_init(|| prepare(self.name()).map_err(|error| format!("{error:#}")));
        made.clone().map_err(|error| anyhow!(error))
    }
}

/// An image for applications: its name, and the archive to give to a cluster.
pub fn app_image(part: Part) -> Result<(String, PathBuf)> {
    Ok((format!("registry.test/{}:1", part.name()), part.directory()?.join("image.tar")))
}

/// The path of a program of [`Part::Kubernetes`].
pub fn program(name: &str) -> Result<PathBuf> {
    Ok(Part::Kubernetes.directory()?.join(name))
}

fn prepare(part: &str) -> Result<PathBuf> {
    let done = Command::new(PREPARE)
        .arg(part)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{PREPARE} {part} could not be started"))?;
    ensure!(done.status.success(), "{PREPARE} {part} failed; its output above says why");
    let printed = String::from_utf8(done.stdout).context("prepare printed something that is not UTF-8")?;
    Ok(PathBuf::from(printed.trim_end()))
}
