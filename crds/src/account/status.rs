//! Where an account stands, as the controller writes it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an account stands. Written by the controller only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderAccountStatus {
    /// The generation of the object that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether requests are sent to it now, and if not, which kind of thing must happen first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Until when it is set aside, when time alone ends that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_until: Option<Timestamp>,
    /// Why it is in this state, e.g. FiveHourWindowExhausted; the conditions say it in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub reason: Option<String>,
    /// The fullest of the limit windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tightest_window: Option<TightestWindow>,
    /// The provider's limit windows as last seen in its answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub windows: Vec<WindowStatus>,
    /// What keeps requests away for a time, and what has ended; how replicas of the controller learn from each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub cooldowns: Vec<CooldownStatus>,
    /// What is known of the credential; never the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialsStatus>,
    /// How many proxies hold the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use_by: Option<u32>,
    /// Accepted, CredentialsValid and Available, each with a stable reason and a message that says what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Whether requests are sent to an account, and if not, which kind of thing must happen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum State {
    /// Requests are sent to it.
    Available,
    /// A limit of the provider or of the owner is used up; ends at `limitedUntil`.
    Limited,
    /// The provider is overloaded or broken; ends at `limitedUntil`.
    Overloaded,
    /// Set aside by a person.
    Paused,
    /// The credential no longer works; somebody must log in or replace the key.
    NeedsLogin,
    /// The object or its Secret is not usable as it is written.
    Invalid,
    /// The budget of the period is spent.
    BudgetExhausted,
}

/// The fullest of the limit windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TightestWindow {
    /// Its name.
    #[schemars(length(max = 128))]
    pub name: String,
    /// Percent used, rounded down; may exceed 100.
    pub utilization: u32,
    /// When it starts anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
}

/// One limit window as last seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowStatus {
    /// Its name, e.g. `five_hour`.
    #[schemars(length(max = 128))]
    pub name: String,
    /// Percent used; may exceed 100.
    pub utilization: f64,
    /// When it starts anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// The provider's word on it: allowed, warning, rejected or unknown.
    #[schemars(length(max = 32))]
    pub status: String,
    /// Requests or tokens left, where the provider counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub remaining: Option<u64>,
    /// When this was observed.
    pub observed_at: Timestamp,
}

/// Something that keeps requests away for a time, or the end of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CooldownStatus {
    /// Why, e.g. QuotaExhausted or Throttled.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Glob of the models concerned; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub model: Option<String>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When it was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Timestamp>,
    /// What was observed up to then is void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_at: Option<Timestamp>,
}

/// What is known of a credential; never the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsStatus {
    /// ApiKey, OAuth or None (the server wants none).
    pub kind: CredentialKind,
    /// When the access token ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whose account it is, as far as the provider said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub identity: Option<String>,
    /// Names a credential that the provider rejected (16 hex digits of its SHA-256); it is not used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub rejected_fingerprint: Option<String>,
}

/// The kinds of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CredentialKind {
    /// A key that lives until somebody ends it.
    ApiKey,
    /// An access token of a subscription, and what it takes to renew it.
    OAuth,
    /// The server wants none.
    None,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Available,
        Self::Limited,
        Self::Overloaded,
        Self::Paused,
        Self::NeedsLogin,
        Self::Invalid,
        Self::BudgetExhausted,
    ];

    /// Stable label, as written in the object.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::Limited => "Limited",
            Self::Overloaded => "Overloaded",
            Self::Paused => "Paused",
            Self::NeedsLogin => "NeedsLogin",
            Self::Invalid => "Invalid",
            Self::BudgetExhausted => "BudgetExhausted",
        }
    }
}
