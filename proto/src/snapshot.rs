//! What the controller pushes: accounts with their credentials, their state, pools and grants.
//!
//! A [`Snapshot`] is a value: published whole, read without locks, never changed in place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::dialect::{CredentialScheme, Dialect};
use crate::ids::{AccountId, PoolId, ResourceKey};
use crate::issuer::TokenIssuer;
use crate::limits::{Limits, glob_matches};
use crate::secret::Secret;

/// Everything a proxy knows from the controller.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Version of the whole; equal for two proxies that hold the same.
    pub version: String,
    /// When the controller computed it; `None` before the first push.
    pub as_of: Option<Timestamp>,
    /// By id. `Arc`, so that a new snapshot shares what did not change.
    pub accounts: BTreeMap<AccountId, Arc<Account>>,
    /// The controller's merged view of each account's limits.
    pub states: BTreeMap<AccountId, Arc<AccountState>>,
    /// By id.
    pub pools: BTreeMap<PoolId, Arc<Pool>>,
    /// By resource name.
    pub grants: BTreeMap<String, Arc<Grant>>,
    /// Who signs callers' tokens, by issuer.
    pub issuers: BTreeMap<String, Arc<TokenIssuer>>,
    /// The version in which each resource above is held: what a proxy tells when it reconnects.
    pub versions: BTreeMap<ResourceKey, String>,
}

/// One provider account, ready to use.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// `namespace/name` of the object.
    pub id: AccountId,
    /// The provider's name, e.g. `anthropic`, `claude-code`, `zai`.
    pub provider: String,
    /// Whose routes it serves: `anthropic`, `openai`, or the provider's own name.
    pub family: String,
    /// Formats it speaks natively, the preferred one first.
    pub dialects: Vec<Dialect>,
    /// What the provider's own SDK calls its base URL; no trailing slash.
    pub base_url: String,
    /// `None`: not usable now.
    pub credential: Option<Credential>,
    /// 0–100, lower first.
    pub priority: u8,
    /// Set aside by a person.
    pub paused: bool,
    /// Globs of the models it serves; empty = all.
    pub allow_models: Vec<String>,
    /// What to ask this account for instead; the first matching entry counts.
    pub model_map: Vec<ModelMapping>,
    /// Limits its owner set.
    pub limits: AccountLimits,
    /// Added to every request.
    pub headers: Vec<(String, Secret)>,
    /// How to get to the provider.
    pub egress: Egress,
    /// Has 5-hour windows that strategy `Session` fills one after the other.
    pub session_tracked: bool,
    /// Takes traffic back as soon as a limit resets.
    pub auto_fallback: bool,
}

/// What proves to the provider who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// How it is presented.
    pub scheme: CredentialScheme,
    /// The key or access token.
    pub secret: Secret,
    /// ChatGPT account id, for [`CredentialScheme::Chatgpt`].
    pub account_id: Option<String>,
    /// Names the secret without telling anything about it.
    pub fingerprint: String,
    /// When an access token ends.
    pub expires_at: Option<Timestamp>,
}

/// One entry of an account's model map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelMapping {
    /// Which models asked for.
    pub glob: String,
    /// What is sent instead; tried in order.
    pub models: Vec<String>,
}

/// Limits that the account's owner set. `None` = no limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccountLimits {
    /// Requests at the same time, over all proxies.
    pub max_concurrent_requests: Option<u32>,
    /// Requests started in any minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens in any minute.
    pub tokens_per_minute: Option<u64>,
    /// Percent of a window at which the account is set aside, by window name.
    pub window_ceilings: BTreeMap<String, f64>,
}

/// How to get to the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Egress {
    /// `http://host:port`, asked with CONNECT.
    pub proxy_url: Option<String>,
    /// Certificates trusted besides the usual roots, PEM.
    pub ca_bundle_pem: Option<String>,
}

/// Where an account stands, by every proxy's observations together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccountState {
    /// Windows and cooldowns.
    pub limits: Limits,
    /// Out of use until a person or the spec changes it.
    pub blocked: Option<String>,
    /// Fingerprint of a credential that the provider rejected; it is not used again.
    pub rejected_fingerprint: Option<String>,
}

/// How accounts of a pool are ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

/// How a set of accounts is used.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// `namespace/name`.
    pub id: PoolId,
    /// Its accounts, in order.
    pub accounts: Vec<AccountId>,
    /// How they are ordered for a request.
    pub strategy: Strategy,
    /// How long an idle conversation keeps its account.
    pub affinity_ttl: Duration,
    /// Attempts per request, over all accounts.
    pub attempts: u32,
    /// From sending an attempt to its response head.
    pub per_try_timeout: Duration,
    /// Attempts again on the same account when the provider is overloaded.
    pub overload_retries: u32,
    /// How long a request may wait for the earliest reset when no account can serve.
    pub hold: Duration,
    /// Ordered chains across accounts and models; the first that matches counts.
    pub fallbacks: Vec<Fallback>,
}

/// One fallback chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// Globs of the models asked for.
    pub models: Vec<String>,
    /// Tried in order.
    pub targets: Vec<FallbackTarget>,
}

/// One step of a fallback chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackTarget {
    /// One account, or the whole pool.
    pub account: Option<AccountId>,
    /// Another model, or the one asked for.
    pub model: Option<String>,
}

/// Who may call, and which pool serves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose accounts are used.
    pub namespace: String,
    /// SHA-256 of a client key, lower-case hex; for callers that prove themselves with a key.
    pub client_key_sha256: Option<String>,
    /// `None` = the namespace's pool `default`.
    pub pool: Option<PoolId>,
    /// Shown in history.
    pub caller: String,
}

impl Account {
    /// Whether it may be asked for this model at all.
    pub fn allows(&self, model: &str) -> bool {
        self.allow_models.is_empty() || self.allow_models.iter().any(|glob| glob_matches(glob, model))
    }

    /// What to send instead of `model`, in order; the model itself when nothing maps it.
    pub fn models_for<'a>(&'a self, model: &'a str) -> impl Iterator<Item = &'a str> {
        let mapped = self.model_map.iter().find(|entry| glob_matches(&entry.glob, model));
        let unmapped = mapped.is_none().then_some(model);
        mapped.into_iter().flat_map(|entry| entry.models.iter().map(String::as_str)).chain(unmapped)
    }

    /// Whether it speaks this format natively.
    pub fn speaks(&self, dialect: Dialect) -> bool {
        self.dialects.contains(&dialect)
    }
}

impl Strategy {
    /// Stable label, as written in the object.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::SessionAffinity => "SessionAffinity",
            Self::Session => "Session",
            Self::DrainSoonest => "DrainSoonest",
            Self::LeastUtilized => "LeastUtilized",
        }
    }
}
