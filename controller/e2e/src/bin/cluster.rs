//! Brings a cluster up to look into and to try things in: `cluster [--api-server|--policies] [IMAGE.tar…]`. Prints how to
//! reach it, and removes it at Ctrl-C, or when it ends in any other way. `--api-server`: only an API server, without
//! nodes or root. `--policies`: NetworkPolicies are enforced.

use std::path::Path;

use anyhow::{Context, Result};
use penstock_e2e::{ApiServer, Cluster, parts};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, images): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| argument.starts_with("--"));
    if flags.iter().any(|flag| *flag == "--api-server") {
        let server = ApiServer::start().await?;
        server.apply_crds().await?;
        show(server.kubeconfig(), server.directory())?;
        return stopped().await;
    }
    let enforced = flags.iter().any(|flag| *flag == "--policies");
    let cluster = if enforced { Cluster::with_policies().await? } else { Cluster::up().await? };
    for image in images {
        cluster.load_image(&Path::new(image).canonicalize().with_context(|| image.clone())?).await?;
    }
    show(cluster.tools().kubeconfig(), cluster.directory().unwrap_or(Path::new("not here")))?;
    stopped().await
}

fn show(kubeconfig: &Path, directory: &Path) -> Result<()> {
    let programs = parts::Part::Kubernetes.directory()?;
    println!("export KUBECONFIG={} PATH={}:$PATH", kubeconfig.display(), programs.display());
    println!("# Logs and data are in {}; Ctrl-C removes everything.", directory.display());
    Ok(())
}

async fn stopped() -> Result<()> {
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")
}
