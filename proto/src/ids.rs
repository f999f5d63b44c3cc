//! Names, parsed once at the edge. Inside, a name that exists is valid.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A namespaced Kubernetes name, written `namespace/name`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId(Arc<str>);

/// Which provider account: `namespace/name` of a `ProviderAccount`.
pub type AccountId = ObjectId;
/// Which pool: `namespace/name` of an `AccountPool`, or of the implicit pool `default`.
pub type PoolId = ObjectId;

/// Why a string is not `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{raw:?} is not namespace/name, each 1 to 253 letters, digits, '-', '_' or '.'")]
pub struct InvalidObjectId {
    /// What was given, cut to 80 characters.
    pub raw: String,
}

impl ObjectId {
    /// Joins a namespace and a name.
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidObjectId> {
        Self::from_str(&format!("{namespace}/{name}"))
    }

    /// The part before the slash.
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }

    /// `namespace/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectId {
    type Err = InvalidObjectId;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        let part = |s: &str| {
            (1..=253).contains(&s.len())
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        match raw.split_once('/') {
            Some((namespace, name)) if part(namespace) && part(name) => Ok(Self(raw.into())),
            _ => Err(InvalidObjectId { raw: raw.chars().take(80).collect() }),
        }
    }
}

impl TryFrom<String> for ObjectId {
    type Error = InvalidObjectId;
    fn try_from(raw: String) -> Result<Self, Self::Error> {
        raw.parse()
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    /// An account with its credential.
    Account,
    /// Where an account stands.
    AccountState,
    /// A pool.
    Pool,
    /// A grant.
    Grant,
    /// Who signs callers' tokens.
    TokenIssuer,
    /// One that this program does not know (its number); kept so that it can be refused by name.
    Other(i32),
}

/// Names a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// Of which kind.
    pub kind: ResourceKind,
    /// `namespace/name`; of a token issuer its own name.
    pub name: String,
}

impl ResourceKind {
    /// Stable label for metrics, logs and the management API.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::AccountState => "account_state",
            Self::Pool => "pool",
            Self::Grant => "grant",
            Self::TokenIssuer => "token_issuer",
            Self::Other(_) => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_namespace_is_refused() {
        for raw in ["", "a", "/a", "a/", "a/b/c", "a/b c", "ä/b"] {
            assert!(raw.parse::<ObjectId>().is_err(), "{raw:?}");
        }
        let id: ObjectId = "llm/claude-team-1".parse().unwrap();
        assert_eq!((id.namespace(), id.name()), ("llm", "claude-team-1"));
    }
}
