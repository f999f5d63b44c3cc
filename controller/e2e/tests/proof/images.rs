//! The images: ours, from the programs of this build, and those of the workloads.

use anyhow::Result;
use penstock_e2e::Cluster;
use penstock_e2e::parts::{Part, app_image};
use penstock_e2e::product;

/// What workloads run in, with the official SDKs.
pub(crate) const PYTHON: &str = "registry.test/app-python:1";
/// The same for Node.
pub(crate) const NODE: &str = "registry.test/app-node:1";
/// The chart's Postgres.
pub(crate) const POSTGRES: &str = concat!("registry.penstock.dev/postgres:", env!("CARGO_PKG_VERSION"));
/// The same programs under another tag, to upgrade to.
pub(crate) const NEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "-next");

/// Gives the node every image.
pub(crate) async fn load(cluster: &Cluster) -> Result<()> {
    product::load_images(cluster).await?;
    for part in [Part::AppPython, Part::AppNode] {
        let (_, archive) = app_image(part)?;
        cluster.load_image(&archive).await?;
    }
    Ok(())
}

/// Gives the node what [`NEXT`] names.
pub(crate) async fn load_next(cluster: &Cluster) -> Result<()> {
    let next = product::build_images(NEXT, &["controller", "proxy", "postgres"]).await?;
    product::load_all(cluster, &next).await
}
