//! What a caller of the management API must be allowed in the cluster for what it asks: the verbs that kubectl would
//! need for the same. Never decides whether somebody is allowed it: the API server does.
//!
//! What has no kind of its own there (requests, sums over them, proxies, models) is seen by who may list the
//! accounts of the namespace that it is of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use penstock_proto::ids::{AccountId, ObjectId};

use crate::identity::Worth;

/// How long a word of the API server on a person counts: who loses a right, or their token, is out after this.
const COUNTS: SignedDuration = SignedDuration::from_secs(30);
/// How long a refusal counts: who was given a right a moment ago is not kept waiting.
const REFUSAL_COUNTS: SignedDuration = SignedDuration::from_secs(5);
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Somebody whom the API server knows, as it described them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Person {
    /// As RBAC names them.
    pub name: String,
    /// Tells them from another of the same name at another time.
    pub uid: String,
    /// Whose rights they have, too.
    pub groups: Vec<String>,
    /// What else an authorizer may look at.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// One thing that must be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Need {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    /// `None`: in all of them.
    namespace: Option<String>,
    /// `None`: whatever its name.
    name: Option<String>,
}

/// What a call shows many of, by namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listing {
    /// Accounts, and all that has no kind of its own.
    Accounts,
    /// Pools, also those that are there because a namespace has accounts.
    Pools,
    /// Client keys, which are Secrets.
    Keys,
}

/// What a call does to one object, or shows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed<'a> {
    /// Shows an account.
    ShowAccount(&'a AccountId),
    /// Makes one, and a Secret of its name if it comes with a credential.
    CreateAccount {
        /// Which.
        account: &'a AccountId,
        /// Whether it comes with one.
        credential: bool,
    },
    /// Changes one, and its Secret if the change is of the credential, too.
    ChangeAccount {
        /// Which.
        account: &'a AccountId,
        /// Whether it is.
        credential: bool,
    },
    /// Changes what is known of its limits, which stands in its status.
    ForgetLimits(&'a AccountId),
    /// Deletes one, and its Secret.
    DeleteAccount(&'a AccountId),
    /// Makes a client key.
    CreateKey(&'a ObjectId),
    /// Deletes a client key.
    RevokeKey(&'a ObjectId),
}

/// The namespaces that a caller sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// All of them, and what is of none.
    Everything,
    /// These.
    Of(BTreeSet<String>),
}

/// Something that the API server said of a person, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<T> {
    /// What.
    pub what: T,
    /// When.
    pub at: Timestamp,
}

/// Whether something that was said is a refusal.
pub trait Refusal {
    /// Whether it is.
    fn is_refusal(&self) -> bool;
}

impl Person {
    /// Whom a review is about; `None`: the token is nobody's.
    pub fn of(status: TokenReviewStatus) -> Option<Self> {
        let user = status.user.filter(|_| status.authenticated == Some(true))?;
        Some(Self {
            name: user.username.filter(|name| !name.is_empty())?,
            uid: user.uid.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        })
    }

    /// The namespace that a ServiceAccount is in.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.name.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?.0)
    }

    /// The question whether they are allowed something.
    pub fn review(&self, need: &Need) -> SubjectAccessReviewSpec {
        let Self { name, uid, groups, extra } = self.clone();
        SubjectAccessReviewSpec {
            user: Some(name),
            uid: Some(uid).filter(|uid| !uid.is_empty()),
            groups: Some(groups),
            extra: Some(extra),
            resource_attributes: Some(need.attributes()),
            ..SubjectAccessReviewSpec::default()
        }
    }

    /// What somebody is told who is not allowed something, in the API server's words.
    pub fn denied(&self, need: &Need) -> String {
        let qualified = need.qualified();
        format!("{qualified} is forbidden: User {:?} cannot {need}", self.name)
    }
}

/// Whether the API server allows what it was asked about.
pub fn is_allowed(status: &SubjectAccessReviewStatus) -> bool {
    status.allowed && status.denied != Some(true)
}

impl Need {
    fn on_accounts(verb: &'static str, account: &AccountId) -> Self {
        let name = (verb != "create").then(|| account.name().to_owned());
        let namespace = Some(account.namespace().to_owned());
        Self {
            verb,
            group: penstock_crds::GROUP,
            resource: "provideraccounts",
            subresource: "",
            namespace,
            name,
        }
    }

    /// Secrets are asked for whatever their name: which one an account names may change before it is written.
    fn on_secrets(verb: &'static str, namespace: &str) -> Self {
        let namespace = Some(namespace.to_owned());
        Self { verb, group: "", resource: "secrets", subresource: "", namespace, name: None }
    }

    /// For what concerns the whole installation and not one namespace.
    pub fn everywhere() -> Self {
        Listing::Accounts.need(None)
    }

    fn attributes(&self) -> ResourceAttributes {
        let Self { verb, group, resource, subresource, namespace, name } = self;
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        ResourceAttributes {
            verb: given(verb),
            group: given(group),
            resource: given(resource),
            subresource: given(subresource),
            namespace: namespace.clone(),
            name: name.clone(),
            ..ResourceAttributes::default()
        }
    }

    fn path(&self) -> String {
        let Self { resource, subresource, .. } = self;
        if subresource.is_empty() { (*resource).to_owned() } else { format!("{resource}/{subresource}") }
    }

    /// `secrets`, `provideraccounts.penstock.dev "a"`.
    fn qualified(&self) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let name = self.name.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default();
        format!("{}{group}{name}", self.resource)
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, namespace, .. } = self;
        write!(f, "{verb} resource {:?} in API group {group:?} ", self.path())?;
        match namespace {
            Some(namespace) => write!(f, "in the namespace {namespace:?}"),
            None => write!(f, "at the cluster scope"),
        }
    }
}

impl Listing {
    /// What must be allowed to see those of a namespace; `None`: of all.
    pub fn need(self, namespace: Option<&str>) -> Need {
        let (group, resource) = match self {
            Self::Accounts => (penstock_crds::GROUP, "provideraccounts"),
            Self::Pools => (penstock_crds::GROUP, "accountpools"),
            Self::Keys => ("", "secrets"),
        };
        let namespace = namespace.map(str::to_owned);
        Need { verb: "list", group, resource, subresource: "", namespace, name: None }
    }
}

impl Deed<'_> {
    /// Everything that must be allowed.
    pub fn needs(self) -> Vec<Need> {
        match self {
            Self::ShowAccount(account) => vec![Need::on_accounts("get", account)],
            Self::CreateAccount { account, credential } => {
                with(Need::on_accounts("create", account), credential, &["create"])
            }
            // As `kubectl apply` would: the Secret is made if it is not there.
            Self::ChangeAccount { account, credential } => {
                with(Need::on_accounts("patch", account), credential, &["create", "patch"])
            }
            Self::ForgetLimits(account) => {
                vec![Need { subresource: "status", ..Need::on_accounts("patch", account) }]
            }
            Self::DeleteAccount(account) => with(Need::on_accounts("delete", account), true, &["delete"]),
            Self::CreateKey(key) => vec![Need::on_secrets("create", key.namespace())],
            Self::RevokeKey(key) => {
                vec![Need {
                    name: Some(key.name().to_owned()),
                    ..Need::on_secrets("delete", key.namespace())
                }]
            }
        }
    }
}

/// What must be allowed of an account, and of Secrets beside it.
fn with(account: Need, credential: bool, secrets: &[&'static str]) -> Vec<Need> {
    let namespace = account.namespace.clone().unwrap_or_default();
    let secrets = secrets.iter().filter(|_| credential).map(|verb| Need::on_secrets(verb, &namespace));
    let secrets: Vec<_> = secrets.collect();
    std::iter::once(account).chain(secrets).collect()
}

impl Sight {
    /// Whether it is of a namespace.
    pub fn sees(&self, namespace: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Of(namespaces) => namespaces.contains(namespace),
        }
    }
}

impl<T: Refusal> Said<T> {
    /// What it is worth at `now`. Never kept for want of better: who cannot be asked about does nothing.
    pub fn worth(&self, now: Timestamp) -> Worth {
        let counts = if self.what.is_refusal() { REFUSAL_COUNTS } else { COUNTS };
        if now.duration_since(self.at) < counts { Worth::Counts } else { Worth::Nothing }
    }
}

impl<T> Refusal for Option<T> {
    fn is_refusal(&self) -> bool {
        self.is_none()
    }
}

impl Refusal for bool {
    fn is_refusal(&self) -> bool {
        !self
    }
}

#[cfg(test)]
mod tests;
