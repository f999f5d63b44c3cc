//! The Kubernetes API of Penstock: one Rust type per kind, and the YAML generated from it beside `src/`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`account`] | `ProviderAccount`: one account at a provider, its rules and its state |
//! | [`pool`] | `AccountPool`: how a set of accounts is used |
//! | [`grant`] | `AccessGrant`: who may use which pool |
//! | [`provider`] | the closed list of providers and everything that is a fact about one of them |
//! | [`values`] | durations, amounts of money, label selectors and references, parsed once |
//! | [`conditions`] | the names of conditions and their reasons |
//! | [`rules`] | the rules that a schema cannot say, with the sentence that a person reads |
//! | [`schema`] | what makes the generated schema fit for people and server-side apply |
//! | [`yaml`] | the definitions as the files beside `src/`, and as the chart applies them |
//! | [`reference`] | a page on every kind, for people |
//!
//! This crate holds types and facts. It decides nothing, reads nothing and knows no proxy.

pub mod account;
pub mod conditions;
pub mod grant;
pub mod pool;
pub mod provider;
pub mod reference;
pub mod rules;
pub mod schema;
pub mod values;
pub mod yaml;

pub use account::{ProviderAccount, ProviderAccountSpec};
pub use grant::{AccessGrant, AccessGrantSpec};
pub use pool::{AccountPool, AccountPoolSpec};
pub use provider::Provider;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The API group of all kinds.
pub const GROUP: &str = "penstock.dev";
/// The API version of all kinds.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of all kinds.
pub const API_VERSION: &str = "penstock.dev/v1alpha1";
/// The pool that exists in every namespace with usable accounts, unless an object of this name says otherwise.
pub const DEFAULT_POOL: &str = "default";
/// Label on a Secret that makes it a client key where there is no `AccessGrant` (stand-alone): `"true"`.
pub const CLIENT_KEY_LABEL: &str = "penstock.dev/client-key";
/// Key of a client key's Secret that holds the lower-case hex SHA-256 of the key.
pub const CLIENT_KEY_HASH: &str = "sha256";

/// The definitions of all kinds, as they are applied to a cluster, in the order of their names.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    [AccessGrant::crd(), AccountPool::crd(), ProviderAccount::crd()].into_iter().map(schema::tidy).collect()
}
