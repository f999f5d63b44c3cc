//! What the other containers are told, so that the SDKs in them find the sidecar. Only variables that a
//! container's manifest does not set; what it gets from a ConfigMap or a Secret as a whole (`envFrom`) cannot
//! be seen here, and yields.

use super::names;
use super::ports::Ports;
use super::read::{Container, Pod};
use super::sidecar::workload_address;

/// Variables for one container.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// `containers` or `initContainers`.
    pub(super) list: &'static str,
    /// Of the container in that list.
    pub(super) name: String,
    /// Name and value, in order.
    pub(super) variables: Vec<(&'static str, String)>,
}

/// What the SDKs of one family read.
struct Family {
    base_url: &'static str,
    /// After the address: what the family's own SDKs have in their base URL.
    path: &'static str,
    /// They do not start without one of these.
    keys: &'static [&'static str],
}

/// Claude Code and Anthropic's SDKs add `/v1/messages` to their base URL, OpenAI's add `/responses`.
const FAMILIES: [Family; 2] = [
    Family {
        base_url: "ANTHROPIC_BASE_URL",
        path: "",
        keys: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"],
    },
    Family { base_url: "OPENAI_BASE_URL", path: "/v1", keys: &["OPENAI_API_KEY"] },
];

/// Stands where an SDK insists on a key. The sidecar knows its caller without one.
const PLACEHOLDER: &str = "penstock";

/// Through these, requests to the sidecar would leave the pod.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
const LOOPBACK: &str = "127.0.0.1";

/// What each container is told. Those that run before the sidecar are told nothing.
pub(super) fn told(pod: &Pod, ports: Ports, native: bool, warnings: &mut Vec<String>) -> Vec<Told> {
    let before = pod.spec.init_containers().filter(|_| native).map(|container| ("initContainers", container));
    let beside = pod.spec.containers.iter().map(|container| ("containers", container));
    before
        .chain(beside)
        .map(|(list, container)| {
            let mut variables = families(container, ports.workload);
            variables.extend(around_proxies(container, warnings));
            Told { list, name: container.name.clone(), variables }
        })
        .collect()
}

/// Whether this variable may be one that [`told`] gave to a container that is said to have `names`.
pub(super) fn is_told(name: &str, value: &str, port: u16, has: impl Fn(&str) -> bool) -> bool {
    FAMILIES.iter().any(|family| {
        (name == family.base_url && value == family.url(port))
            || (family.keys.first() == Some(&name) && value == PLACEHOLDER)
    }) || (NO_PROXY.contains(&name) && value == LOOPBACK && PROXIES.into_iter().any(has))
}

fn families(container: &Container, port: u16) -> Vec<(&'static str, String)> {
    let mut variables = Vec::new();
    for family in &FAMILIES {
        let url = family.url(port);
        match container.value_of(family.base_url) {
            _ if !container.sets(family.base_url) => variables.push((family.base_url, url)),
            Some(value) if value == url => {}
            // The app goes its own way there, and with a key of its own.
            _ => continue,
        }
        if let Some(key) = family.keys.first().filter(|_| !family.keys.iter().any(|key| container.sets(key)))
        {
            variables.push((key, PLACEHOLDER.to_owned()));
        }
    }
    variables
}

fn around_proxies(container: &Container, warnings: &mut Vec<String>) -> Vec<(&'static str, String)> {
    if !PROXIES.into_iter().any(|name| container.sets(name)) {
        return Vec::new();
    }
    if !NO_PROXY.into_iter().any(|name| container.sets(name)) {
        return NO_PROXY.map(|name| (name, LOOPBACK.to_owned())).to_vec();
    }
    let names_loopback =
        |name| container.value_of(name).is_some_and(|list| list == "*" || list.contains(LOOPBACK));
    for name in NO_PROXY.into_iter().filter(|name| container.sets(name) && !names_loopback(name)) {
        warnings.push(format!(
            "container {}: {name} does not name {LOOPBACK}, so requests may go to its HTTP proxy instead of {}",
            container.name,
            names::CONTAINER
        ));
    }
    Vec::new()
}

impl Family {
    fn url(&self, port: u16) -> String {
        format!("http://{}{}", workload_address(port), self.path)
    }
}
