//! `ProviderAccount`: one account at a provider. This file is its spec; [`status`] is what the controller
//! writes.

#![expect(clippy::duplicated_attributes, reason = "every printer column has a name and a type")]

pub mod egress;
pub mod limits;
pub mod models;
pub mod status;

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::provider::Provider;
use crate::rules;
use crate::values::{Budget, LabelSelector, LocalRef};

pub use egress::Egress;
pub use limits::Limits;
pub use models::Models;
pub use status::ProviderAccountStatus;

/// What the owner of an account says about it.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "penstock.dev",
    version = "v1alpha1",
    kind = "ProviderAccount",
    namespaced,
    shortname = "pa",
    category = "penstock",
    status = "ProviderAccountStatus",
    derive = "PartialEq",
    doc = "One account at a provider of models: its credential, what it may be asked for, its limits, and where it stands. \
           Workloads never see the account; a pool chooses among accounts for each of their requests.",
    printcolumn(
        name = "Provider",
        type_ = "string",
        json_path = ".spec.provider",
        description = "The provider"
    ),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = ".status.state",
        description = "Whether requests are sent to it, and if not, why"
    ),
    printcolumn(
        name = "Util",
        type_ = "integer",
        json_path = ".status.tightestWindow.utilization",
        description = "Percent used of the tightest limit window"
    ),
    printcolumn(
        name = "Resets",
        type_ = "string",
        json_path = ".status.tightestWindow.resetsAt",
        description = "When the tightest limit window starts anew"
    ),
    printcolumn(
        name = "Priority",
        type_ = "integer",
        json_path = ".spec.priority",
        description = "Lower is used first"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.reason",
        priority = 1,
        description = "Why it is in this state"
    ),
    printcolumn(
        name = "In-Use-By",
        type_ = "integer",
        json_path = ".status.inUseBy",
        priority = 1,
        description = "Proxies that hold it"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[schemars(extend("x-kubernetes-validations" = [rules::BASE_URL_REQUIRED.to_json(), rules::CREDENTIALS_REQUIRED.to_json()]))]
#[serde(rename_all = "camelCase")]
pub struct ProviderAccountSpec {
    /// Which provider the account is at. Cannot be changed later. `anthropic` and `openai` take API keys,
    /// `claude-code` and `codex` subscriptions (OAuth); `anthropic-compatible` and `openai-compatible` are for any
    /// other server that speaks these APIs, and the rest are presets of such servers.
    #[schemars(extend("x-kubernetes-validations" = [rules::PROVIDER_IMMUTABLE.to_json()]))]
    pub provider: Provider,
    /// Where the provider is: exactly what its own SDK calls its base URL, without a trailing slash, e.g.
    /// `https://api.anthropic.com` or `https://api.openai.com/v1`. Default: the provider's own; required for
    /// `anthropic-compatible` and `openai-compatible`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), extend("x-kubernetes-validations" = [rules::BASE_URL.to_json()]))]
    pub base_url: Option<String>,
    /// Where the account's credential is. Only servers that want none (`ollama`, `*-compatible`) may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Accounts with a lower number are used first; those with the same share the traffic. 0 to 100, default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub priority: u8,
    /// Sets the account aside: it gets no new requests until this is false again. Running requests end in peace.
    #[serde(default)]
    pub paused: bool,
    /// Takes traffic back as soon as a limit resets; if false, after the current session elsewhere has ended.
    #[serde(default = "yes")]
    pub auto_fallback: bool,
    /// Starts a new usage window with one tiny request when one ends, so that the next reset comes sooner. Costs a
    /// few tokens of quota.
    #[serde(default)]
    pub auto_refresh: bool,
    /// Which models the account serves, and under which names.
    #[serde(default, skip_serializing_if = "Models::is_empty")]
    pub models: Models,
    /// Limits of your own, enforced over the whole cluster, below those of the provider.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// A hard stop: when this much was spent in the period, the account is set aside until the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Headers added to every request to the provider, e.g. `x-team: search`. Names in lower case; not for credentials.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "headers")]
    pub headers: BTreeMap<String, String>,
    /// How to get to the provider; default: directly, trusting the usual certificate authorities.
    #[serde(default, skip_serializing_if = "Egress::is_empty")]
    pub egress: Egress,
    /// Which namespaces' workloads and pools may use the account; default: only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
}

/// Where a credential is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// A Secret in the account's namespace. Its keys: `apiKey` for an API key; `accessToken`, and with it
    /// `refreshToken`, `expiresAt` (RFC 3339, or Unix milliseconds) and `accountId` (codex), for a subscription.
    pub secret_ref: LocalRef,
}

/// Which namespaces may use something, as in the Gateway API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [rules::ALLOWED_NAMESPACES.to_json()]))]
pub struct AllowedNamespaces {
    /// Same: only the account's own namespace. All: every namespace. Selector: those whose labels `selector` selects.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Selects namespaces by their labels, for from: Selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// How namespaces are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// The object's own.
    #[default]
    Same,
    /// Every one.
    All,
    /// Those whose labels a selector selects.
    Selector,
}

impl ProviderAccountSpec {
    /// An account at a provider with everything else left at its default.
    pub fn new(provider: Provider, secret: Option<&str>) -> Self {
        Self {
            provider,
            base_url: None,
            credentials: secret.map(|name| Credentials { secret_ref: LocalRef { name: name.to_owned() } }),
            priority: 0,
            paused: false,
            auto_fallback: true,
            auto_refresh: false,
            models: Models::default(),
            limits: Limits::default(),
            budget: None,
            headers: BTreeMap::new(),
            egress: Egress::default(),
            allowed_namespaces: None,
        }
    }
}

fn yes() -> bool {
    true
}

fn headers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 1024, "pattern": r"^[\x20-\x7e]*$" },
        "x-kubernetes-validations": [rules::HEADERS.to_json()],
    })
}
