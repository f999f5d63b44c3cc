//! The programs that a cluster is governed by: what each is started with, and the certificates they know each other by.

use anyhow::{Context, Result};
use kube::config::Kubeconfig;

use super::namespaces::{Namespaces, Network};
use crate::pki::{Authority, SigningKey};
use crate::scratch::Scratch;

/// Clients of the API server that have a kubeconfig in the cluster's directory: name, user, group.
const CLIENTS: [(&str, &str, Option<&str>); 6] = [
    ("admin", "admin", Some("system:masters")),
    ("kube-controller-manager", "system:kube-controller-manager", None),
    ("kube-scheduler", "system:kube-scheduler", None),
    ("kube-proxy", "system:kube-proxy", None),
    ("coredns", "system:coredns", None),
    ("kubelet", "system:node:node1", Some("system:nodes")),
];
/// The requests that `audit.yaml` selects.
pub(super) const AUDIT_LOG: &str = "audit.log";
/// How long a node may be silent before it counts as lost, in seconds, and all its pods as not ready: longer than any
/// test has the API server away, after which the kubelet may be the last to notice that it is back.
const NODE_GRACE_SECONDS: u32 = 900;

/// Writes every certificate, key, policy and kubeconfig; returns the administrator's.
pub(super) fn write_pki(scratch: &Scratch, network: Network) -> Result<Kubeconfig> {
    let authority = Authority::new("penstock-test")?;
    let front = Authority::new("penstock-test-front")?;
    let signing = SigningKey::new()?;
    let (node, service) = (network.node(), network.api_service());
    let names = [
        "127.0.0.1",
        &node,
        &service,
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    let server = authority.issue("kube-apiserver", None, &names)?;
    let to_kubelet = authority.issue("kube-apiserver", Some("system:masters"), &[])?;
    let to_extensions = front.issue("front-proxy", None, &[])?;
    for (name, content) in [
        ("ca.crt", authority.certificate()),
        ("ca.key", authority.key()),
        ("front-ca.crt", front.certificate()),
        ("server.crt", &server.certificate),
        ("server.key", &server.key),
        ("to-kubelet.crt", &to_kubelet.certificate),
        ("to-kubelet.key", &to_kubelet.key),
        ("front.crt", &to_extensions.certificate),
        ("front.key", &to_extensions.key),
        ("sa.key", &signing.private),
        ("sa.pub", &signing.public),
    ] {
        scratch.write(name, content)?;
    }
    scratch.write("audit.yaml", include_str!("audit.yaml"))?;
    let mut admin = None;
    for (name, user, group) in CLIENTS {
        let identity = authority.issue(user, group, &[])?;
        let kubeconfig = authority.kubeconfig(&format!("https://{node}:6443"), &identity)?;
        scratch.write(&format!("{name}.kubeconfig"), &serde_json::to_string(&kubeconfig)?)?;
        admin.get_or_insert(kubeconfig);
    }
    admin.context("the administrator is the first client")
}

/// The store.
pub(super) fn etcd() -> Vec<String> {
    let (clients, peers) = ("http://127.0.0.1:2379", "http://127.0.0.1:2380");
    vec![
        "--data-dir=etcd".to_owned(),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

/// The API server.
pub(super) fn api_server(network: Network) -> Vec<String> {
    let mut flags = owned(&[
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        "--bind-address=0.0.0.0",
        "--cert-dir=certs",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--client-ca-file=ca.crt",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-signing-key-file=sa.key",
        "--service-account-key-file=sa.pub",
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-client-certificate=to-kubelet.crt",
        "--kubelet-client-key=to-kubelet.key",
        "--requestheader-client-ca-file=front-ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--proxy-client-cert-file=front.crt",
        "--proxy-client-key-file=front.key",
        "--audit-policy-file=audit.yaml",
    ]);
    flags.push(format!("--audit-log-path={AUDIT_LOG}"));
    flags.push(format!("--advertise-address={}", network.node()));
    flags.push(format!("--service-cluster-ip-range={}", network.services()));
    flags
}

/// The controllers. To be started when the API server is ready: without the roles that it begins with, it stalls.
pub(super) fn controller_manager() -> Vec<String> {
    let mut flags = client_flags("kube-controller-manager");
    flags.extend(owned(&[
        // Elsewhere it would make this directory on the machine.
        "--flex-volume-plugin-dir=plugins",
        "--service-account-private-key-file=sa.key",
        "--root-ca-file=ca.crt",
        "--cluster-signing-cert-file=ca.crt",
        "--cluster-signing-key-file=ca.key",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=false",
    ]));
    flags.push(format!("--node-monitor-grace-period={NODE_GRACE_SECONDS}s"));
    flags
}

/// The scheduler. To be started when the API server is ready.
pub(super) fn scheduler() -> Vec<String> {
    client_flags("kube-scheduler")
}

/// The name server, on the node's own address; its rights are in `coredns.yaml`.
pub(super) fn coredns(namespaces: &Namespaces) -> Result<Vec<String>> {
    let node = namespaces.network().node();
    let directory = namespaces.scratch().path().display().to_string();
    let configuration = format!(
        ".:53 {{
  bind {node}
  errors
  health 127.0.0.1:8080
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {directory}/coredns.kubeconfig test
    ttl 5
  }}
  cache 5
}}
"
    );
    namespaces.scratch().write("Corefile", &configuration)?;
    Ok(owned(&["-conf", "Corefile"]))
}

fn client_flags(name: &str) -> Vec<String> {
    let mut flags = owned(&["--leader-elect=false", "--cert-dir=certs"]);
    for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        flags.push(format!("--{flag}={name}.kubeconfig"));
    }
    flags
}

pub(super) fn owned(flags: &[&str]) -> Vec<String> {
    flags.iter().copied().map(str::to_owned).collect()
}
