//! What becomes of a pod when a sidecar is put into it. One rule for the webhook and for `penstock inject`.
//!
//! Works on the pod as JSON, so that fields this version does not know stay as they are. Never removes or
//! changes anything that was there; the only things added to other containers are environment variables that
//! they do not set. Same inputs, same answer; injecting twice is injecting once.
//!
//! | module | what it owns |
//! |---|---|
//! | [`names`] | labels, annotations, and the names of what is added |
//! | [`manifest`] | where the pod is in a Deployment, a CronJob, a List |
//! | `read` | what has to be known of a pod |
//! | `options` | the annotations of a pod, checked |
//! | `quantity` | amounts of CPU and memory, compared |
//! | `ports` | ports that the pod does not use |
//! | `sidecar` | the container, and its volumes |
//! | `environment` | what the other containers are told |
//! | `write` | puts it in, and takes an older sidecar out |

use std::net::IpAddr;

use serde_json::Value;

pub mod manifest;
pub mod names;

mod environment;
mod options;
mod ports;
mod quantity;
mod read;
mod sidecar;
mod write;

#[cfg(test)]
mod tests;

pub use options::{DEFAULT_RESOURCES, Resources};

use options::Options;
use ports::Ports;
use read::Pod;

/// How this installation injects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Of the program that injects; written on every injected pod.
    pub version: String,
    /// The proxy's image.
    pub image: String,
    /// Where sidecars find the controller: `https://host:port`.
    pub controller: String,
    /// Name of the installation: `<name>-ca` is the ConfigMap with the controller's authority.
    pub name: String,
    /// Where the controller runs; never injected into.
    pub own_namespace: Option<String>,
    /// Whether the cluster runs sidecars among the init containers (Kubernetes 1.29 and later).
    pub native: bool,
    /// Address for probes and metrics: where the kubelet can reach it, so every one of the pod.
    pub admin_address: IpAddr,
    /// What a sidecar gets that says nothing else.
    pub resources: Resources,
}

/// Where a pod is about to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The namespace, if it is known.
    pub namespace: Option<&'a str>,
    /// Whether pods without a label of their own are injected: their namespace is labelled, or somebody
    /// said so by a command.
    pub asked: bool,
}

/// What becomes of a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It has a sidecar now.
    Injected {
        /// The pod, whole.
        pod: Value,
        /// What its author should know, each a sentence.
        warnings: Vec<String>,
    },
    /// It stays as it is.
    Skipped(Skip),
    /// It was to be injected and cannot be. Each reason says what to do.
    Refused(Vec<String>),
}

/// Why a pod stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Neither the pod nor its namespace asks for a sidecar.
    NotAsked,
    /// The pod's label says no.
    OptedOut,
    /// It has one.
    AlreadyInjected,
    /// It is part of the cluster itself.
    SystemNamespace,
    /// It is part of this installation.
    OwnNamespace,
    /// There is no proxy for its operating system.
    Windows,
    /// It is the shadow of a pod that a kubelet runs from a file.
    MirrorPod,
}

/// Decides about a pod (or a pod template: an object with `metadata` and `spec`).
pub fn inject(pod: &Value, place: Place<'_>, settings: &Settings) -> Outcome {
    let read = match Pod::read(pod) {
        Ok(read) => read,
        Err(reason) => return Outcome::Refused(vec![reason]),
    };
    match is_wanted(&read, place, settings) {
        Ok(None) => put_in(pod, &read, settings),
        Ok(Some(skip)) => Outcome::Skipped(skip),
        Err(reason) => Outcome::Refused(vec![reason]),
    }
}

/// The same for a pod that may hold a sidecar of another version: that one is replaced.
pub fn inject_again(pod: &Value, place: Place<'_>, settings: &Settings) -> Outcome {
    inject(&write::without_sidecar(pod), place, settings)
}

/// Whether a cluster of this version runs sidecars among the init containers. Some say `29+`.
pub fn has_native_sidecars(major: &str, minor: &str) -> bool {
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok();
    // What cannot be read is newer than what we know.
    number(major).zip(number(minor)).is_none_or(|version| version >= (1, 29))
}

fn is_wanted(pod: &Pod, place: Place<'_>, settings: &Settings) -> Result<Option<Skip>, String> {
    let wanted = match pod.label(names::INJECT) {
        Some("true") => true,
        Some("false") => return Ok(Some(Skip::OptedOut)),
        Some(other) => {
            return Err(format!("the label {}: {other:?} is not \"true\" or \"false\"", names::INJECT));
        }
        None => place.asked,
    };
    Ok(if !wanted {
        Some(Skip::NotAsked)
    } else if pod.has_sidecar() {
        Some(Skip::AlreadyInjected)
    } else if place.namespace.is_some_and(|name| names::SYSTEM_NAMESPACES.contains(&name)) {
        Some(Skip::SystemNamespace)
    } else if place.namespace.is_some() && place.namespace == settings.own_namespace.as_deref() {
        Some(Skip::OwnNamespace)
    } else if pod.is_mirror() {
        Some(Skip::MirrorPod)
    } else if pod.is_windows() {
        Some(Skip::Windows)
    } else {
        None
    })
}

/// A pod that is to have a sidecar gets it, or every reason why it cannot.
fn put_in(pod: &Value, read: &Pod, settings: &Settings) -> Outcome {
    let mut wrong = obstacles(read, settings);
    let mut warnings = options::misspelt(read);
    let options = Options::of(read, settings).map_err(|problems| wrong.extend(problems)).ok();
    let ports = Ports::choose(read).map_err(|problem| wrong.extend(problem)).ok();
    let (Some(options), Some(ports), true) = (options, ports, wrong.is_empty()) else {
        return Outcome::Refused(wrong);
    };
    if !settings.native && read.spec.init_containers().next().is_some() {
        warnings.push(
            "before Kubernetes 1.29 init containers run before the sidecar: theirs is no base URL".to_owned(),
        );
    }
    let told = environment::told(read, ports, settings.native, &mut warnings);
    let container = sidecar::container(&options, ports, settings);
    Outcome::Injected { pod: write::with_sidecar(pod, read, &container, &told, settings), warnings }
}

/// What no annotation can mend.
fn obstacles(pod: &Pod, settings: &Settings) -> Vec<String> {
    let mut wrong = Vec::new();
    let instead = format!(
        "use the shared gateway instead ({}) and label the pod {}: \"false\"",
        settings.gateway(),
        names::INJECT
    );
    if pod.spec.is_on_host_network() {
        wrong.push(format!(
            "hostNetwork: true: the sidecar's port would be open to every process of the node; {instead}"
        ));
    }
    if !settings.native && pod.spec.ends_by_itself() {
        wrong.push(format!(
            "restartPolicy: {}: before Kubernetes 1.29 a pod with a sidecar never completes; {instead}",
            pod.spec.restart_policy.as_deref().unwrap_or_default()
        ));
    }
    for volume in pod.spec.volumes().filter(|name| names::VOLUMES.contains(name)) {
        wrong.push(format!("the pod has a volume {volume:?} of its own: the sidecar needs that name"));
    }
    wrong
}

impl Settings {
    /// The ConfigMap with the controller's authority, in every namespace that is watched.
    pub fn ca_config_map(&self) -> String {
        format!("{}-ca", self.name)
    }

    /// The base URL of the gateway, as seen from any pod.
    pub fn gateway(&self) -> String {
        format!(
            "http://{}.{}",
            self.name,
            self.own_namespace.as_deref().unwrap_or("<namespace of the gateway>")
        )
    }
}

impl Skip {
    /// As one part of a sentence.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAsked => "neither it nor its namespace asks for a sidecar",
            Self::OptedOut => "its label penstock.dev/inject is \"false\"",
            Self::AlreadyInjected => "it has a sidecar already",
            Self::SystemNamespace => "it is in a namespace of the cluster itself",
            Self::OwnNamespace => "it is in the namespace of Penstock itself",
            Self::Windows => "it runs on Windows, for which there is no sidecar: let it use the gateway",
            Self::MirrorPod => "a kubelet runs it from a file, in which the sidecar would have to be",
        }
    }

    /// Whether somebody who asked for a sidecar did not get one.
    pub fn disappoints(self) -> bool {
        match self {
            Self::NotAsked | Self::OptedOut | Self::AlreadyInjected => false,
            Self::SystemNamespace | Self::OwnNamespace | Self::Windows | Self::MirrorPod => true,
        }
    }
}
