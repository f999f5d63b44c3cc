//! What has to be known of a pod, and nothing else: manifests say numbers where the API says text, and newer
//! versions of the API say more than we know.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::names;

/// A pod or a pod template.
#[derive(Debug, Deserialize)]
pub(super) struct Pod {
    #[serde(default)]
    metadata: Option<Metadata>,
    pub(super) spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) containers: Vec<Container>,
    #[serde(default)]
    init_containers: Option<Vec<Container>>,
    #[serde(default)]
    volumes: Option<Vec<Named>>,
    #[serde(default)]
    host_network: Option<bool>,
    #[serde(default)]
    pub(super) restart_policy: Option<String>,
    #[serde(default)]
    os: Option<Named>,
    #[serde(default)]
    node_selector: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: String,
    #[serde(default)]
    env: Option<Vec<Variable>>,
    #[serde(default)]
    ports: Option<Vec<Port>>,
    #[serde(default)]
    startup_probe: Option<Value>,
    #[serde(default)]
    readiness_probe: Option<Value>,
    #[serde(default)]
    liveness_probe: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Variable {
    name: String,
    /// Text; or whatever somebody wrote without quotes.
    #[serde(default)]
    value: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    container_port: u16,
}

impl Pod {
    pub(super) fn read(pod: &Value) -> Result<Self, String> {
        let pod = Self::deserialize(pod).map_err(|error| format!("this is no pod: {error}"))?;
        if pod.spec.containers.is_empty() {
            return Err("this is no pod: it has no containers".to_owned());
        }
        Ok(pod)
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        // A label `true` without quotes is refused by the API server, which says so better.
        self.metadata.as_ref()?.labels.as_ref()?.get(name)?.as_str()
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref()?.annotations.as_ref()?.get(name)?.as_str()
    }

    pub(super) fn annotations(&self) -> impl Iterator<Item = &str> {
        let annotations = self.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
        annotations.into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// The container is the truth: an annotation may have been copied from a pod that has one.
    pub(super) fn has_sidecar(&self) -> bool {
        self.spec.all().any(|container| container.name == names::CONTAINER)
    }

    pub(super) fn is_mirror(&self) -> bool {
        self.annotation("kubernetes.io/config.mirror").is_some()
    }

    pub(super) fn is_windows(&self) -> bool {
        let os = self.spec.os.as_ref().map(|os| os.name.as_str());
        let selected = self.spec.node_selector.as_ref().and_then(|labels| labels.get("kubernetes.io/os"));
        os == Some("windows") || selected.and_then(Value::as_str) == Some("windows")
    }
}

impl Spec {
    pub(super) fn init_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().flatten()
    }

    /// Those of the app, and those that run before it.
    pub(super) fn all(&self) -> impl Iterator<Item = &Container> {
        self.init_containers().chain(&self.containers)
    }

    pub(super) fn volumes(&self) -> impl Iterator<Item = &str> {
        self.volumes.iter().flatten().map(|volume| volume.name.as_str())
    }

    pub(super) fn is_on_host_network(&self) -> bool {
        self.host_network == Some(true)
    }

    /// Such pods are done when their containers are: those of Jobs, and others that run once.
    pub(super) fn ends_by_itself(&self) -> bool {
        self.restart_policy.as_deref().is_some_and(|policy| policy != "Always")
    }
}

impl Container {
    /// Whether its manifest says this variable, in whatever way.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.variable(name).is_some()
    }

    /// The value of a variable where it is said in words.
    pub(super) fn value_of(&self, name: &str) -> Option<&str> {
        self.variable(name)?.value.as_ref()?.as_str()
    }

    fn variable(&self, name: &str) -> Option<&Variable> {
        // As in the container: of two with the same name the last one counts.
        self.env.iter().flatten().rfind(|variable| variable.name == name)
    }

    /// Every port that its manifest gives away.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        let declared = self.ports.iter().flatten().map(|port| port.container_port);
        let probes = [&self.startup_probe, &self.readiness_probe, &self.liveness_probe];
        let probed = probes.into_iter().flatten().flat_map(|probe| {
            let kinds = ["httpGet", "tcpSocket", "grpc"];
            kinds.into_iter().filter_map(|kind| u16::try_from(probe[kind]["port"].as_u64()?).ok())
        });
        // What most servers read where to listen from.
        let told = self.value_of("PORT").and_then(|port| port.parse().ok());
        declared.chain(probed).chain(told)
    }
}
