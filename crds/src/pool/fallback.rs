//! Ordered chains across accounts and models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// One chain: which requests it is for, and what is tried for them, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fallback {
    /// Which requests the chain is for.
    #[serde(rename = "match")]
    pub matches: FallbackMatch,
    /// What is tried, in order.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub targets: Vec<FallbackTarget>,
}

/// Which requests a chain is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FallbackMatch {
    /// Globs of the models asked for, e.g. `claude-opus-*`.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub models: Vec<String>,
}

/// One step of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [rules::TARGET_POOL_XOR_ACCOUNT.to_json()]))]
pub struct FallbackTarget {
    /// `self`: the accounts of this pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<TargetPool>,
    /// One account by its name, or by `namespace/name` if that namespace allows this one. It need not be in the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub account: Option<String>,
    /// The model to ask for; default: the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
}

/// A pool as the target of its own chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TargetPool {
    /// The pool that the chain is written in.
    #[serde(rename = "self")]
    Own,
}
