//! What there is to know of an installation. What could not be learned says why.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use penstock_crds::ProviderAccount;
use serde::Deserialize;

/// A fact, or why it is not known.
pub(super) type Known<T> = Result<T, Unknown>;

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unknown {
    /// There is none.
    Missing,
    /// The API server does not let us see it; its words.
    Forbidden(String),
    /// Something else; its words.
    Failed(String),
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Namespace and name of the installation.
    pub(super) namespace: String,
    pub(super) name: String,
    /// Of this program.
    pub(super) version: &'static str,
    pub(super) kubernetes: Known<Kubernetes>,
    /// Those of our kinds, as the cluster has them, by name.
    pub(super) definitions: Known<BTreeMap<String, CustomResourceDefinition>>,
    pub(super) controller: Known<Deployment>,
    pub(super) lease: Known<Lease>,
    pub(super) health: Known<Health>,
    /// What `/readyz` of the controllers says where it is not ready.
    pub(super) ready: Known<Result<(), String>>,
    pub(super) authority: Known<Authority>,
    /// `ca.crt` of the ConfigMaps that proxies read, by namespace.
    pub(super) bundles: Known<BTreeMap<String, String>>,
    pub(super) webhook: Known<MutatingWebhookConfiguration>,
    /// Ready addresses behind the webhook's Service.
    pub(super) webhook_endpoints: Known<usize>,
    pub(super) gateway: Known<Deployment>,
    /// Ready addresses behind the gateway's Service.
    pub(super) gateway_endpoints: Known<usize>,
    /// Pods of the namespaces that are labelled for sidecars, by namespace.
    pub(super) labelled: Known<BTreeMap<String, Vec<PodSeen>>>,
    pub(super) accounts: Known<Vec<ProviderAccount>>,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kubernetes {
    pub(super) major: String,
    pub(super) minor: String,
    /// As `v1.36.3`.
    pub(super) git: String,
}

/// The controller's authority, as far as it is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    /// PEM: what proxies and the API server are to trust.
    pub(super) bundle: String,
    /// When the certificate that signs ends.
    pub(super) ends: Timestamp,
}

/// What `/health` of a controller says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Health {
    pub(super) version: String,
    /// Whether Postgres answers.
    pub(super) storing: bool,
    /// Proxies that are connected to the replica that answered.
    pub(super) proxies: usize,
}

/// A pod in a namespace that is labelled for sidecars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodSeen {
    pub(super) name: String,
    /// Whether its label keeps it out.
    pub(super) opted_out: bool,
    /// Whether it has the container.
    pub(super) has_sidecar: bool,
    /// Who injected it, and which version.
    pub(super) injected: Option<String>,
}
