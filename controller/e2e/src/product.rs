//! Penstock itself for a cluster: its images, made of the programs of this build, its chart, and a volume for the bundled
//! Postgres.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::cluster::Cluster;
use crate::scratch::Scratch;
use crate::wait::{PATIENCE, await_condition};

/// The namespace that documents and tests install into.
pub const NAMESPACE: &str = "penstock-system";
/// Of everything that this build makes.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where the node keeps the volume.
const VOLUME: &str = "/var/lib/penstock-test-volume";

/// Where this build puts programs.
pub fn programs() -> Result<PathBuf> {
    let test = std::env::current_exe().context("the path of this test")?;
    let programs = test.ancestors().find(|folder| folder.join("penstock-simulator").is_file());
    Ok(programs.context("no programs beside this test; run `cargo build --workspace --bins`")?.to_owned())
}

/// The chart.
pub fn chart() -> PathBuf {
    checkout().join("charts/penstock")
}

/// The root of the checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Makes images of this build's programs, with this tag: `NAME.tar` in a directory. No names: all of them.
pub async fn build_images(tag: &str, names: &[&str]) -> Result<Scratch> {
    let scratch = Scratch::new("images")?;
    let mut images = Command::new(checkout().join(".ci/images"));
    images.args(["--unpacked", "--version", tag]).arg("--programs").arg(programs()?);
    let done = images.arg("--out").arg(scratch.path()).args(names).output().await;
    let done = done.context(".ci/images could not be started")?;
    ensure!(done.status.success(), ".ci/images: {}", String::from_utf8_lossy(&done.stderr));
    Ok(scratch)
}

/// Gives the node the images of Penstock under the names that the chart has for them. They are made once.
pub async fn load_images(cluster: &Cluster) -> Result<()> {
    static MADE: OnceCell<Scratch> = OnceCell::const_new();
    let made = MADE.get_or_try_init(|| build_images(VERSION, &[])).await?;
    load_all(cluster, made).await
}

/// Gives the node every image of a directory.
pub async fn load_all(cluster: &Cluster, images: &Scratch) -> Result<()> {
    for image in std::fs::read_dir(images.path())? {
        cluster.load_image(&image?.path()).await?;
    }
    Ok(())
}

/// Gives the cluster a default StorageClass and one empty volume, where nobody provides any. Needs the images. Called
/// again, when what used it is gone, it does the same again.
pub async fn provide_storage(cluster: &Cluster) -> Result<()> {
    let client = cluster.client();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "kube-system");
    let before = ["pod/penstock-test-volume", "persistentvolume/test"];
    cluster.kubectl(&[&["delete", "--ignore-not-found", "-n", "kube-system"], &before[..]].concat()).await?;
    let pod = serde_json::from_value(maker_of_the_directory())?;
    pods.create(&PostParams::default(), &pod).await.context("the pod that makes the volume's directory")?;
    let ended =
        |pod: Option<&Pod>| pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref()) == Some("Succeeded");
    await_condition(&pods, "penstock-test-volume", ended, PATIENCE).await?;
    for object in storage() {
        let scratch = Scratch::new("storage")?;
        let file = scratch.write("object.json", &object.to_string())?;
        cluster.kubectl(&["apply", "--filename", &file.display().to_string()]).await?;
    }
    Ok(())
}

fn maker_of_the_directory() -> Value {
    json!({
        "metadata": { "name": "penstock-test-volume" },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "maker",
                "image": format!("registry.penstock.dev/postgres:{VERSION}"),
                "command": ["sh", "-c", "rm -rf /volume/*"],
                "volumeMounts": [{ "name": "volume", "mountPath": "/volume" }],
            }],
            "volumes": [{ "name": "volume", "hostPath": { "path": VOLUME, "type": "DirectoryOrCreate" } }],
        },
    })
}

fn storage() -> [Value; 2] {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {
            "name": "test",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    });
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": { "name": "test" },
        "spec": {
            "storageClassName": "test",
            "capacity": { "storage": "10Gi" },
            "accessModes": ["ReadWriteOnce"],
            // Not hostPath, whose owner the kubelet does not change to the pod's group.
            "local": { "path": VOLUME },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "kubernetes.io/hostname", "operator": "Exists" },
            ] }] } },
        },
    });
    [class, volume]
}
