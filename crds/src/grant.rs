//! `AccessGrant`: who may use which pool, for what and how much.

#![expect(clippy::duplicated_attributes, reason = "every printer column has a name and a type")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;
use crate::values::Budget;

/// Who may use which pool, for what and how much.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "penstock.dev",
    version = "v1alpha1",
    kind = "AccessGrant",
    namespaced,
    shortname = "ag",
    category = "penstock",
    status = "AccessGrantStatus",
    derive = "PartialEq",
    doc = "Lets callers use a pool of this namespace. Without any grant in a namespace, its own workloads may use its own \
           accounts. Callers from outside the cluster prove themselves with a client key.",
    printcolumn(
        name = "Pool",
        type_ = "string",
        json_path = ".spec.pool",
        description = "The pool that serves"
    ),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status",
        description = "Whether it is in force"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantSpec {
    /// Who may use the pool.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub subjects: Vec<Subject>,
    /// Name of the AccountPool in the grant's namespace that serves them; default: `default`.
    #[serde(default = "default_pool")]
    #[schemars(length(min = 1, max = 253))]
    pub pool: String,
    /// Globs of the models that they may ask for, e.g. `claude-sonnet-*`. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub models: Vec<String>,
    /// Limits over all subjects of the grant together.
    #[serde(default, skip_serializing_if = "GrantLimits::is_empty")]
    pub limits: GrantLimits,
    /// A hard stop: when this much was spent in the period, requests are refused until the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// One who may use the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [rules::SUBJECT_NAMESPACE.to_json()]))]
pub struct Subject {
    /// ServiceAccount: the workloads that run as it. Namespace: all workloads of a namespace. ClientKey: callers that
    /// send a key whose SHA-256 (lower-case hex) is under the key `sha256` of a Secret in the grant's namespace.
    pub kind: SubjectKind,
    /// Name of the ServiceAccount, the namespace, or the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the ServiceAccount; default: the grant's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// The kinds of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// The workloads that run as a ServiceAccount.
    ServiceAccount,
    /// All workloads of a namespace.
    Namespace,
    /// Whoever holds a client key.
    ClientKey,
}

/// Limits over all subjects of a grant together. What is left out is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantLimits {
    /// Requests at the same time, 1 to 100000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_concurrent_requests: Option<u32>,
    /// Requests started in any minute, 1 to 1000000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<u32>,
    /// Tokens (all classes) in any minute, 1 to 10^12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub tokens_per_minute: Option<u64>,
}

/// Where a grant stands. Written by the controller only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantStatus {
    /// The generation of the object that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, with a stable reason and a message that says what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl GrantLimits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn default_pool() -> String {
    crate::DEFAULT_POOL.to_owned()
}
