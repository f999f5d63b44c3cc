//! Puts a sidecar into a pod, and takes an older one out. Knows where things stand in a pod, decides nothing.

use serde_json::{Map, Value, json};

use super::environment::{self, Told};
use super::read::Pod;
use super::{Settings, names, sidecar};

/// Which container `kubectl logs` and `kubectl exec` mean; otherwise it is the first.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The pod with the container, its volumes, and what the others are told.
pub(super) fn with_sidecar(
    pod: &Value,
    read: &Pod,
    container: &Value,
    told: &[Told],
    settings: &Settings,
) -> Value {
    let mut pod = pod.clone();
    for Told { list, name, variables } in told.iter().filter(|told| !told.variables.is_empty()) {
        let containers = list_at(&mut pod["spec"], list);
        let found = containers.iter_mut().find(|container| container["name"] == json!(name));
        if let Some(found) = found {
            let added = variables.iter().map(|(name, value)| json!({ "name": name, "value": value }));
            list_at(found, "env").extend(added);
        }
    }
    // First: those that follow may need it already.
    let list = if settings.native { "initContainers" } else { "containers" };
    list_at(&mut pod["spec"], list).insert(0, container.clone());
    list_at(&mut pod["spec"], "volumes").extend(sidecar::volumes(settings));
    annotate(&mut pod, names::INJECTED, &settings.version);
    if let (false, Some(first)) = (settings.native, read.spec.containers.first())
        && read.annotation(DEFAULT_CONTAINER).is_none()
    {
        annotate(&mut pod, DEFAULT_CONTAINER, &first.name);
    }
    pod
}

/// Puts an annotation on a pod that [`Pod::read`] could read.
pub(super) fn annotate(pod: &mut Value, name: &str, value: &str) {
    map_at(pod, "metadata");
    map_at(&mut pod["metadata"], "annotations").insert(name.to_owned(), json!(value));
}

/// The pod as it was before a sidecar was put in, as far as that can be told.
pub(super) fn without_sidecar(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let Some(port) = workload_port(&pod) else { return pod };
    for list in ["initContainers", "containers"] {
        let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        containers.retain(|container| container["name"] != names::CONTAINER);
        containers.iter_mut().for_each(|container| forget(container, port));
        if containers.is_empty() {
            map_at(&mut pod, "spec").remove(list);
        }
    }
    if let Some(volumes) = pod["spec"].get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|volume| !volume["name"].as_str().is_some_and(|name| names::VOLUMES.contains(&name)));
    }
    if let Some(annotations) = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(names::INJECTED);
    }
    pod
}

/// Where the sidecar that is in the pod listens.
fn workload_port(pod: &Value) -> Option<u16> {
    let lists = ["initContainers", "containers"].into_iter().filter_map(|list| pod["spec"][list].as_array());
    let sidecar = lists.flatten().find(|container| container["name"] == names::CONTAINER)?;
    let listen = sidecar["env"].as_array()?.iter().find(|variable| variable["name"] == "PENSTOCK_LISTEN")?;
    listen["value"].as_str()?.rsplit_once(':')?.1.parse().ok()
}

/// Takes back what the container was told of a sidecar on this port.
fn forget(container: &mut Value, port: u16) {
    let Some(variables) = container.get_mut("env").and_then(Value::as_array_mut) else { return };
    let names: Vec<String> =
        variables.iter().filter_map(|variable| variable["name"].as_str().map(str::to_owned)).collect();
    let has = |name: &str| names.iter().any(|there| there == name);
    variables.retain(|variable| match (variable["name"].as_str(), variable["value"].as_str()) {
        (Some(name), Some(value)) => !environment::is_told(name, value, port, has),
        _ => true,
    });
}

/// A list in an object, made if it is missing or null: what else it could be, reading the pod has excluded.
fn list_at<'a>(object: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    let value = &mut object[key];
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("it was made one"),
    }
}

/// A map in an object, in the same way.
fn map_at<'a>(object: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    let value = &mut object[key];
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made one"),
    }
}
