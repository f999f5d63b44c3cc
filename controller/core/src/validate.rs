//! Whether an object can be used as it is written, and what to do if not.
//!
//! [`manifest`] is what an API server does for objects in a cluster: the schema and the rules of the kinds.
//! [`account`], [`pool`] and [`grant`] look further, at what an object refers to.

pub mod account;
pub mod grant;
pub mod pool;
pub mod rules;
pub mod schema;
mod spelling;

use std::fmt;

use penstock_crds::{AccessGrant, AccountPool, ProviderAccount};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use rules::is_dns_name;
pub(crate) use spelling::nearest;

/// The kinds of our objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `ProviderAccount`
    Account,
    /// `AccountPool`
    Pool,
    /// `AccessGrant`
    Grant,
}

/// An object whose schema and rules hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Manifest {
    /// An account.
    Account(Box<ProviderAccount>),
    /// A pool.
    Pool(Box<AccountPool>),
    /// A grant.
    Grant(Box<AccessGrant>),
}

/// One step of the way to a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// What is wrong with a field, and what to do about it. Never repeats the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", Field(path))]
pub struct Violation {
    /// The way to the field, from the top of the object.
    pub path: Vec<Step>,
    /// For people.
    pub message: String,
}

/// Why an object is not used as it is written, as it stands in a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable, from `penstock_crds::conditions`.
    pub reason: &'static str,
    /// For people: what to do.
    pub message: String,
}

struct Field<'a>(&'a [Step]);

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Account, Self::Pool, Self::Grant];

    /// Its name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "ProviderAccount",
            Self::Pool => "AccountPool",
            Self::Grant => "AccessGrant",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Violation {
    /// At a field given by the keys that lead to it.
    pub fn at(keys: &[&str], message: impl Into<String>) -> Self {
        Self { path: keys.iter().map(|key| Step::Key((*key).to_owned())).collect(), message: message.into() }
    }
}

impl Fault {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Reads an object of one of our kinds, and checks all that an API server would: names, fields, bounds, rules.
///
/// # Errors
/// Everything that is wrong with it, at least one.
pub fn manifest(kind: Kind, value: &Value) -> Result<Manifest, Vec<Violation>> {
    let mut violations = schema::check(kind, value);
    violations.extend(rules::metadata(value));
    if !violations.is_empty() {
        return Err(violations);
    }
    let (manifest, violations) = match kind {
        Kind::Account => {
            let object: ProviderAccount = typed(value)?;
            let broken = rules::account(&object.spec);
            (Manifest::Account(Box::new(object)), broken)
        }
        Kind::Pool => {
            let object: AccountPool = typed(value)?;
            let broken = rules::pool(&object.spec);
            (Manifest::Pool(Box::new(object)), broken)
        }
        Kind::Grant => {
            let object: AccessGrant = typed(value)?;
            let broken = rules::grant(&object.spec);
            (Manifest::Grant(Box::new(object)), broken)
        }
    };
    if violations.is_empty() { Ok(manifest) } else { Err(violations) }
}

/// What may not change from one version of an account to the next.
pub fn transition(old: &ProviderAccount, new: &ProviderAccount) -> Vec<Violation> {
    let changed = old.spec.provider != new.spec.provider;
    let message = penstock_crds::rules::PROVIDER_IMMUTABLE.message;
    changed.then(|| Violation::at(&["spec", "provider"], message)).into_iter().collect()
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Vec<Violation>> {
    T::deserialize(value).map_err(|error| vec![Violation { path: Vec::new(), message: error.to_string() }])
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            let dot = if at > 0 && matches!(step, Step::Key(_)) { "." } else { "" };
            write!(f, "{dot}{step}")?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_str(": ") }
    }
}
