//! Where the pod is in a manifest: in a Deployment, a CronJob, a List of such. Kinds of others are left as they
//! are, because nothing is known of what is in them.

use serde_json::Value;

use super::read::Pod;
use super::{Outcome, Place, Settings, Skip, inject_again, names, write};

/// A manifest, and what became of each pod in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewritten {
    /// The whole manifest.
    pub manifest: Value,
    /// In the order in which they stand there; empty: there is no pod in it.
    pub found: Vec<Found>,
}

/// A workload of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// `deployment/app`.
    pub workload: String,
    /// What became of its pod.
    pub became: Became,
}

/// What became of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// It has a sidecar now, or a new one; with what its author should know.
    Injected(Vec<String>),
    /// It stays as it is.
    Skipped(Skip),
    /// It cannot have one, for these reasons.
    Refused(Vec<String>),
}

/// Kinds with pods in them, and where.
const KINDS: [(&str, &str, &str); 9] = [
    ("v1", "Pod", ""),
    ("v1", "ReplicationController", "/spec/template"),
    ("v1", "PodTemplate", "/template"),
    ("apps/v1", "Deployment", "/spec/template"),
    ("apps/v1", "StatefulSet", "/spec/template"),
    ("apps/v1", "DaemonSet", "/spec/template"),
    ("apps/v1", "ReplicaSet", "/spec/template"),
    ("batch/v1", "Job", "/spec/template"),
    ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template"),
];

/// What a manifest does not say itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// The namespace of objects without one.
    pub namespace: Option<&'a str>,
    /// The pool that all its pods are to use; written on them.
    pub pool: Option<&'a str>,
}

/// Puts sidecars into the pods of a manifest, and replaces those that are there.
pub fn rewrite(manifest: Value, said: Said<'_>, settings: &Settings) -> Rewritten {
    let mut rewritten = Rewritten { manifest, found: Vec::new() };
    visit(&mut rewritten.manifest, said, settings, &mut rewritten.found);
    rewritten
}

fn visit(object: &mut Value, said: Said<'_>, settings: &Settings, found: &mut Vec<Found>) {
    let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    // `List`, and what some tools write of one kind: `DeploymentList`.
    if let (true, Some(items)) =
        (kind.ends_with("List"), object.pointer_mut("/items").and_then(Value::as_array_mut))
    {
        return items.iter_mut().for_each(|item| visit(item, said, settings, found));
    }
    let Some((_, _, at)) = KINDS.iter().find(|(v, k, _)| *v == version && *k == kind) else { return };
    let own = text(object, "/metadata/namespace");
    let namespace = if own.is_empty() { said.namespace } else { Some(own.as_str()) };
    let workload = format!("{}/{}", kind.to_lowercase(), name(object));
    // An object without a template is the API server's to refuse.
    let Some(pod) = object.pointer_mut(at) else { return };
    // Somebody said so by the command.
    let place = Place { namespace, asked: true };
    let mut wanted = pod.clone();
    if let (Some(pool), Ok(_)) = (said.pool, Pod::read(pod)) {
        write::annotate(&mut wanted, names::POOL, pool);
    }
    let became = match inject_again(&wanted, place, settings) {
        Outcome::Injected { pod: injected, warnings } => {
            *pod = injected;
            Became::Injected(warnings)
        }
        Outcome::Skipped(skip) => Became::Skipped(skip),
        Outcome::Refused(reasons) => Became::Refused(reasons),
    };
    found.push(Found { workload, became });
}

fn name(object: &Value) -> String {
    let name = text(object, "/metadata/name");
    if name.is_empty() { text(object, "/metadata/generateName") } else { name }
}

fn text(object: &Value, at: &str) -> String {
    object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
}
