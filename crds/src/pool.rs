//! `AccountPool`: how a set of accounts is used.

#![expect(clippy::duplicated_attributes, reason = "every printer column has a name and a type")]

pub mod fallback;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;
use crate::values::{Duration, LabelSelector};

pub use fallback::Fallback;

/// How a set of accounts is used.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "penstock.dev",
    version = "v1alpha1",
    kind = "AccountPool",
    namespaced,
    shortname = "ap",
    category = "penstock",
    status = "AccountPoolStatus",
    derive = "PartialEq",
    doc = "A set of accounts and how it is used: who is asked first, how often, and what happens when none can serve. \
           Without any pool in a namespace, the implicit pool `default` holds every account that the namespace may use.",
    printcolumn(name = "Strategy", type_ = "string", json_path = ".spec.strategy"),
    printcolumn(
        name = "Accounts",
        type_ = "integer",
        json_path = ".status.accounts",
        description = "Accounts in the pool"
    ),
    printcolumn(
        name = "Available",
        type_ = "integer",
        json_path = ".status.available",
        description = "Accounts that can serve now"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AccountPoolSpec {
    /// Which accounts belong to the pool; default: every account that the namespace may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<AccountSelection>,
    /// How accounts are ordered for a request. SessionAffinity: a conversation stays on its account, so that the
    /// provider's prompt cache is used. Session: one account is filled for its 5-hour window before the next.
    /// DrainSoonest: the window that resets soonest first. LeastUtilized: the emptiest first.
    #[serde(default)]
    pub strategy: Strategy,
    /// How conversations stay on their account.
    #[serde(default, skip_serializing_if = "Affinity::is_default")]
    pub affinity: Affinity,
    /// How often, and for how long, a request is tried.
    #[serde(default, skip_serializing_if = "Retry::is_default")]
    pub retry: Retry,
    /// What happens when no account can serve.
    #[serde(default, skip_serializing_if = "OnExhausted::is_default")]
    pub on_exhausted: OnExhausted,
    /// Ordered chains across accounts and models. The first whose `match` fits a request counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub fallbacks: Vec<Fallback>,
    /// Whether requests and answers are kept, for people to read later.
    #[serde(default, skip_serializing_if = "Capture::is_default")]
    pub capture: Capture,
}

/// Which accounts belong to a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [rules::SELECTOR_XOR_REFS.to_json()]))]
pub struct AccountSelection {
    /// Selects accounts of the namespace, and those of others that allow it, by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Names accounts, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub refs: Option<Vec<AccountRef>>,
}

/// Names an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountRef {
    /// Name of the ProviderAccount.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace, which must allow this one; default: the pool's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// How accounts of a pool are ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    /// A conversation stays on its account.
    #[default]
    SessionAffinity,
    /// Fills one account for its 5-hour window before the next.
    Session,
    /// Prefers the window that resets soonest.
    DrainSoonest,
    /// Prefers the emptiest.
    LeastUtilized,
}

/// How conversations stay on their account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Affinity {
    /// How long an idle conversation keeps its account, e.g. 1h (the default).
    #[serde(default = "hour")]
    pub ttl: Duration,
}

/// How often, and for how long, a request is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Attempts per request over all accounts, 1 to 32, default 4.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 32))]
    pub attempts: u32,
    /// From sending an attempt to the head of its answer, default 10m. Does not limit how long an answer streams.
    #[serde(default = "ten_minutes")]
    pub per_try_timeout: Duration,
    /// Attempts again on the same account when the provider is overloaded, 0 to 8, default 2.
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 8))]
    pub overload_retries: u32,
}

/// What happens when no account can serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnExhausted {
    /// A request waits for the earliest reset if that is this near, and is answered at once otherwise; default 20s,
    /// 0s = never wait.
    #[serde(default = "twenty_seconds")]
    pub hold: Duration,
}

/// Whether requests and answers are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capture {
    /// "Off" (the default), Errors, or All. Off needs its quotes: without them YAML reads it as false.
    #[serde(default)]
    pub payloads: Payloads,
    /// Regular expressions; what they match is replaced by *** before anything is stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub redact: Vec<String>,
    /// Bytes kept of each body, 1024 to 8388608, default 262144.
    #[serde(default = "quarter_mebibyte")]
    #[schemars(range(min = 1024, max = 8_388_608))]
    pub max_bytes: u32,
}

/// Of which requests the bodies are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Payloads {
    /// Of none.
    #[default]
    Off,
    /// Of those that failed.
    Errors,
    /// Of all.
    All,
}

/// Where a pool stands. Written by the controller only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountPoolStatus {
    /// The generation of the object that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accounts in the pool.
    #[serde(default)]
    pub accounts: u32,
    /// Accounts that can serve now.
    #[serde(default)]
    pub available: u32,
    /// Accepted and Available, each with a stable reason and a message that says what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

macro_rules! defaults {
    ($($kind:ident { $($field:ident: $value:expr),* })*) => { $(
        impl Default for $kind {
            fn default() -> Self {
                Self { $($field: $value),* }
            }
        }

        impl $kind {
            /// Whether it is what holds when nothing is said.
            pub fn is_default(&self) -> bool {
                *self == Self::default()
            }
        }
    )* };
}

defaults! {
    Affinity { ttl: hour() }
    Retry { attempts: four(), per_try_timeout: ten_minutes(), overload_retries: two() }
    OnExhausted { hold: twenty_seconds() }
    Capture { payloads: Payloads::Off, redact: Vec::new(), max_bytes: quarter_mebibyte() }
}

// Anthropic's longer prompt cache lives for an hour; nothing is gained by staying on an account for longer.
fn hour() -> Duration {
    Duration::from_secs(3600)
}

fn four() -> u32 {
    4
}

// Thinking models have been seen to take minutes to their first byte.
fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

fn two() -> u32 {
    2
}

// Below the shortest time-out of the clients we know (30 s to the first byte).
fn twenty_seconds() -> Duration {
    Duration::from_secs(20)
}

fn quarter_mebibyte() -> u32 {
    256 * 1024
}
