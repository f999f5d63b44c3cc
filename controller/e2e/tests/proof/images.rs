//! The images: ours, from the programs of this build, and that of the workloads.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use penstock_e2e::Cluster;
use penstock_e2e::parts::{Part, app_image};
use penstock_e2e::scratch::Scratch;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// What workloads run in, with the official SDKs.
pub(crate) const PYTHON: &str = "registry.test/app-python:1";
/// The same for Node.
pub(crate) const NODE: &str = "registry.test/app-node:1";
/// The version of everything.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The same programs under another tag, to upgrade to.
pub(crate) const NEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "-next");

const OURS: [&str; 5] = ["controller", "proxy", "cli", "simulator", "postgres"];
/// Those that an upgrade changes.
const UPGRADED: [&str; 3] = ["controller", "proxy", "postgres"];

/// Gives the node every image.
pub(crate) async fn load(cluster: &Cluster) -> Result<()> {
    static BUILT: OnceCell<Scratch> = OnceCell::const_new();
    let built = BUILT.get_or_try_init(async || build(VERSION, &OURS).await).await?;
    for name in OURS {
        cluster.load_image(&built.join(&format!("{name}.tar"))).await?;
    }
    for part in [Part::AppPython, Part::AppNode] {
        let (_, archive) = app_image(part)?;
        cluster.load_image(&archive).await?;
    }
    Ok(())
}

/// Gives the node what [`NEXT`] names.
pub(crate) async fn load_next(cluster: &Cluster) -> Result<()> {
    let built = build(NEXT, &UPGRADED).await?;
    for name in UPGRADED {
        cluster.load_image(&built.join(&format!("{name}.tar"))).await?;
    }
    Ok(())
}

/// A file of the checkout.
pub(crate) fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

async fn build(version: &str, names: &[&str]) -> Result<Scratch> {
    let scratch = Scratch::new("images")?;
    let program = std::env::current_exe()?;
    let programs = program.ancestors().nth(2).context("where this build puts programs")?;
    let mut command = Command::new(checkout(".ci/images"));
    command.arg("--programs").arg(programs).arg("--out").arg(scratch.path()).args([
        "--version",
        version,
        "--level=1",
    ]);
    let done = command.args(names).stdin(Stdio::null()).output().await.context(".ci/images")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{said}\nThe programs are built by: cargo build --workspace --bins");
    Ok(scratch)
}
