//! The programs that run pods: their configuration for this machine's kernel and these namespaces.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::control_plane::owned;
use super::namespaces::Namespaces;
use crate::parts::Part;

/// Runs containers. The socket is in the cluster's own /run.
pub(super) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// The network plugins of the node.
pub(super) fn plugins() -> Result<PathBuf> {
    Ok(Part::Node.directory()?.join("root/usr/lib/cni"))
}

/// The plugin that puts all pods on one bridge, where everybody reaches everybody.
pub(super) fn bridge() -> Value {
    json!({ "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true })
}

/// The container runtime, which connects pods by a plugin of these; it is told where addresses come from.
pub(super) fn containerd(namespaces: &Namespaces, mut plugin: Value, plugins: &Path) -> Result<Vec<String>> {
    let at = namespaces.scratch().path().display().to_string();
    plugin["ipam"] = json!({
        "type": "host-local", "dataDir": "/run/cni",
        "ranges": [[{ "subnet": namespaces.network().pods_of_node() }]],
        "routes": [{ "dst": "0.0.0.0/0" }],
    });
    let network = json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [plugin, { "type": "portmap", "capabilities": { "portMappings": true } }],
    });
    std::fs::create_dir(namespaces.scratch().join("cni"))?;
    namespaces.scratch().write("cni/pods.conflist", &network.to_string())?;
    // Without CAP_SYS_RESOURCE nobody's chance of being killed may be lowered. `opt` would else be made on the machine.
    let configuration = format!(
        r#"version = 2
root = "{at}/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
path = "{at}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "registry.test/pause:1"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{at}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#,
        plugins = plugins.display()
    );
    namespaces.scratch().write("containerd.toml", &configuration)?;
    Ok(owned(&["--config", "containerd.toml"]))
}

/// Runs pods.
pub(super) fn kubelet(namespaces: &Namespaces) -> Result<Vec<String>> {
    let at = namespaces.scratch().path().display().to_string();
    let node = namespaces.network().node();
    namespaces.scratch().write("resolv.conf", &format!("nameserver {node}\n"))?;
    let configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        // Control groups of version 1, and no right to change those of the machine.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        // No CAP_SYS_RESOURCE.
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "authentication": {
            "anonymous": { "enabled": false },
            "x509": { "clientCAFile": format!("{at}/ca.crt") },
            "webhook": { "enabled": true },
        },
        "authorization": { "mode": "Webhook" },
        "clusterDNS": [node],
        "clusterDomain": "cluster.local",
        "resolvConf": format!("{at}/resolv.conf"),
        // The disk is the machine's, and its being full is not the cluster's business.
        "evictionHard": { "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": format!("{at}/podlogs"),
        "volumePluginDir": format!("{at}/plugins"),
    });
    namespaces.scratch().write("kubelet.yaml", &configuration.to_string())?;
    let mut flags =
        owned(&["--config=kubelet.yaml", "--kubeconfig=kubelet.kubeconfig", "--hostname-override=node1"]);
    flags.push(format!("--node-ip={node}"));
    flags.push(format!("--root-dir={at}/kubelet"));
    flags.push(format!("--cert-dir={at}/certs"));
    Ok(flags)
}

/// Makes Services reachable.
pub(super) fn kube_proxy(namespaces: &Namespaces) -> Result<Vec<String>> {
    let configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": { "kubeconfig": "kube-proxy.kubeconfig" },
        "hostnameOverride": "node1",
        "clusterCIDR": namespaces.network().pods(),
        "oomScoreAdj": 0,
        // The limits on connections are the machine's.
        "conntrack": { "maxPerCore": 0, "min": 0 },
    });
    namespaces.scratch().write("kube-proxy.yaml", &configuration.to_string())?;
    Ok(owned(&["--config=kube-proxy.yaml"]))
}
