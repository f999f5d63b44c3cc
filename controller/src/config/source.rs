//! Where objects come from, and what a controller must know of itself in a cluster.

use std::collections::BTreeSet;

use clap::Args;
use penstock_controller_core::identity::Gateways;

use super::check::Check;
use super::{InCluster, Source};

/// What everything that belongs to an installation is named after.
const DEFAULT_NAME: &str = "penstock";
const DEFAULT_SOURCE: &str = "directory";

/// The flags as they were given.
#[derive(Args)]
pub(super) struct RawSource {
    /// Where objects come from: `directory` (manifests in --config) or `kubernetes` [default: directory]
    #[arg(long, value_name = "SOURCE", env = "PENSTOCK_SOURCE")]
    source: Option<String>,
    /// In a cluster: the namespaces whose objects count, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", env = "PENSTOCK_NAMESPACES")]
    namespaces: Option<String>,
    /// In a cluster: the namespace of this installation
    #[arg(long, value_name = "NAME", env = "PENSTOCK_NAMESPACE")]
    own_namespace: Option<String>,
    /// In a cluster: the name of this pod
    #[arg(long, value_name = "NAME", env = "PENSTOCK_POD")]
    pod: Option<String>,
    /// In a cluster: namespace/name of the ServiceAccounts whose proxies are gateways, separated by commas
    #[arg(long, value_name = "ACCOUNTS", env = "PENSTOCK_GATEWAY_ACCOUNTS")]
    gateway_accounts: Option<String>,
    /// In a cluster: what everything of this installation is named after [default: penstock]
    #[arg(long, value_name = "NAME", env = "PENSTOCK_NAME")]
    name: Option<String>,
}

impl RawSource {
    /// What is said of the cluster is checked only where it is used.
    pub(super) fn check(self, check: &mut Check) -> Option<Source> {
        let Self { source, namespaces, own_namespace, pod, gateway_accounts, name } = self;
        let is_kubernetes = |text: &str| match text {
            "directory" => Some(false),
            "kubernetes" => Some(true),
            _ => None,
        };
        if !check.value("source", source, DEFAULT_SOURCE, "directory or kubernetes", is_kubernetes)? {
            return Some(Source::Directory);
        }
        let namespaces = check.value("namespaces", namespaces, "", "names separated by commas", object_names);
        let what = "the name of the namespace that this runs in";
        let own_namespace = check.value("own-namespace", own_namespace, "", what, object_name);
        let pod = check.value("pod", pod, "", "the name of the pod that this runs in", object_name);
        let what = "namespace/name of ServiceAccounts, separated by commas";
        let gateways = check.value("gateway-accounts", gateway_accounts, "", what, gateways);
        let name = check.value("name", name, DEFAULT_NAME, "a name of Kubernetes", object_name);
        Some(Source::Kubernetes(InCluster {
            namespaces: namespaces?,
            own_namespace: own_namespace?,
            pod: pod?,
            name: name?,
            gateways: gateways?,
        }))
    }
}

fn gateways(text: &str) -> Option<Gateways> {
    Gateways::parse(text.split(',').map(str::trim).filter(|name| !name.is_empty())).ok()
}

fn object_names(text: &str) -> Option<BTreeSet<String>> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(object_name).collect()
}

/// A name that Kubernetes gives to namespaces, pods and most other objects.
fn object_name(text: &str) -> Option<String> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    ((1..=253).contains(&text.len()) && text.bytes().all(good)).then(|| text.to_owned())
}
