//! Everything that the watches told, and what of it is in force. An object comes into force together with what it
//! refers to, never before: until then its last version stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use penstock_controller_core::objects::{Objects, SecretObject};
use penstock_controller_core::references::{Reference, Referent, of_account, of_grant};
use penstock_crds::{AccessGrant, AccountPool, CLIENT_KEY_LABEL, ProviderAccount};
use penstock_proto::ids::ObjectId;

use super::listing::{Heard, Listing};
use crate::cluster::Problem;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum What {
    Accounts,
    Pools,
    Grants,
    Namespaces,
    /// Names, versions and labels of Secrets; never their values.
    Secrets,
    /// The same of ConfigMaps.
    ConfigMaps,
}

/// One watch: of what, and in which namespace (`None`: in all).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Source {
    pub(super) what: What,
    pub(super) namespace: Option<String>,
}

/// What one of the watches tells.
#[derive(Debug)]
pub(super) enum Message {
    Account(Heard<ObjectId, Arc<ProviderAccount>>),
    Pool(Heard<ObjectId, Arc<AccountPool>>),
    Grant(Heard<ObjectId, Arc<AccessGrant>>),
    Namespace(Heard<String, BTreeMap<String, String>>),
    /// Of a Secret or a ConfigMap.
    Meta(Heard<ObjectId, Meta>),
    Failed(Failure),
}

impl What {
    /// Stable label for metrics.
    pub(super) fn as_label(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Pools => "pools",
            Self::Grants => "grants",
            Self::Namespaces => "namespaces",
            Self::Secrets => "secrets",
            Self::ConfigMaps => "configmaps",
        }
    }
}

impl Message {
    /// Whether everything is told anew from here on.
    pub(super) fn begins_a_list(&self) -> bool {
        match self {
            Self::Account(heard) => matches!(heard, Heard::Begin),
            Self::Pool(heard) => matches!(heard, Heard::Begin),
            Self::Grant(heard) => matches!(heard, Heard::Begin),
            Self::Namespace(heard) => matches!(heard, Heard::Begin),
            Self::Meta(heard) => matches!(heard, Heard::Begin),
            Self::Failed(_) => false,
        }
    }
}

/// What is known of an object that others may refer to, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) version: String,
    /// It is labelled as a client key, and kept whoever refers to it.
    pub(super) is_client_key: bool,
}

/// Why a watch does not tell anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The controller may not.
    Forbidden(String),
    /// There is no such kind.
    NoSuchKind,
    /// The API server cannot be reached, or is not well.
    Away(String),
}

/// What an object that is referred to contains.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Secret(Arc<SecretObject>),
    ConfigMap(Arc<BTreeMap<String, String>>),
    /// It is gone, or may not be read.
    Nothing,
}

#[derive(Debug)]
struct Read {
    /// The version that the watch had told when it was read.
    version: String,
    content: Content,
}

/// Everything that the watches told.
#[derive(Default)]
pub(super) struct State {
    accounts: BTreeMap<Option<String>, Listing<ObjectId, Arc<ProviderAccount>>>,
    pools: BTreeMap<Option<String>, Listing<ObjectId, Arc<AccountPool>>>,
    grants: BTreeMap<Option<String>, Listing<ObjectId, Arc<AccessGrant>>>,
    namespaces: BTreeMap<Option<String>, Listing<String, BTreeMap<String, String>>>,
    /// By kind and namespace.
    metas: BTreeMap<Source, Listing<ObjectId, Meta>>,
    read: BTreeMap<Reference, Read>,
    failures: BTreeMap<Source, Failure>,
    /// What the controller itself refers to.
    own: BTreeSet<Reference>,
    /// The base watches: those that say what else is to be watched.
    base: Vec<Source>,
    /// What is in force.
    published: Objects,
}

impl What {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accounts => "ProviderAccounts",
            Self::Pools => "AccountPools",
            Self::Grants => "AccessGrants",
            Self::Namespaces => "Namespaces",
            Self::Secrets => "Secrets",
            Self::ConfigMaps => "ConfigMaps",
        }
    }

    fn of(kind: Referent) -> Self {
        match kind {
            Referent::Secret => Self::Secrets,
            Referent::ConfigMap => Self::ConfigMaps,
        }
    }
}

impl Source {
    /// For people.
    pub(super) fn name(&self) -> String {
        match &self.namespace {
            None => self.what.name().to_owned(),
            Some(namespace) => format!("{} in namespace {namespace}", self.what.name()),
        }
    }

    fn of(reference: &Reference) -> Self {
        Self { what: What::of(reference.kind), namespace: Some(reference.id.namespace().to_owned()) }
    }
}

impl Failure {
    /// What to do about it.
    fn advice(&self, source: &Source) -> String {
        match self {
            Self::Forbidden(said) => format!(
                "the controller may not list and watch them ({said}); grant it what the chart does, or name with --namespaces those that it may"
            ),
            Self::NoSuchKind => {
                "the API server does not know the kinds of penstock.dev; install them: kubectl apply -f crds/"
                    .to_owned()
            }
            Self::Away(said) if source.namespace.is_none() => {
                format!("the API server does not answer: {said}")
            }
            Self::Away(said) => format!("the API server does not answer, or not for this namespace: {said}"),
        }
    }
}

impl State {
    /// Nothing is known yet. `base` is what is always watched, `own` what the controller itself refers to.
    pub(super) fn new(base: Vec<Source>, own: BTreeSet<Reference>) -> Self {
        Self { own, base, ..Self::default() }
    }

    /// Takes in what a watch tells; whether anything may have changed by it.
    pub(super) fn take(&mut self, source: &Source, message: Message) -> bool {
        let namespace = source.namespace.clone();
        let changed = match message {
            Message::Account(heard) => self.accounts.entry(namespace).or_default().take(heard),
            Message::Pool(heard) => self.pools.entry(namespace).or_default().take(heard),
            Message::Grant(heard) => self.grants.entry(namespace).or_default().take(heard),
            Message::Namespace(heard) => self.namespaces.entry(namespace).or_default().take(heard),
            Message::Meta(heard) => self.metas.entry(source.clone()).or_default().take(heard),
            Message::Failed(failure) => {
                return self.failures.insert(source.clone(), failure.clone()) != Some(failure);
            }
        };
        // A list that begins is a wish; only what comes of it shows that the API server answers.
        if changed {
            self.failures.remove(source);
        }
        changed
    }

    /// Takes in the content of something that is referred to.
    pub(super) fn take_content(&mut self, reference: Reference, version: String, content: Content) {
        self.read.insert(reference, Read { version, content });
    }

    /// The watches that there should be now.
    pub(super) fn sources(&self) -> BTreeSet<Source> {
        self.base.iter().cloned().chain(self.wanted().iter().map(Source::of)).collect()
    }

    /// Forgets what watches told that are no more.
    pub(super) fn forget(&mut self, source: &Source) {
        self.metas.remove(source);
        self.failures.remove(source);
    }

    /// What is referred to, by an object as it is or as it is still in force.
    fn wanted(&self) -> BTreeSet<Reference> {
        let latest = self.accounts.values().flat_map(Listing::iter);
        let accounts = latest.chain(&self.published.accounts).flat_map(|(id, object)| of_account(id, object));
        let latest = self.grants.values().flat_map(Listing::iter);
        let grants = latest.chain(&self.published.grants).flat_map(|(id, object)| of_grant(id, object));
        accounts.chain(grants).chain(self.own.iter().cloned()).collect()
    }

    /// What is to be read: it is referred to or a client key, is there, and is not known in this version.
    pub(super) fn to_read(&self) -> BTreeMap<Reference, String> {
        let mut all = self.wanted();
        for (source, listing) in self.metas.iter().filter(|(source, _)| source.what == What::Secrets) {
            debug_assert!(source.namespace.is_some());
            let keys = listing.iter().filter(|(_, meta)| meta.is_client_key);
            all.extend(keys.map(|(id, _)| Reference { kind: Referent::Secret, id: id.clone() }));
        }
        let stale = |reference: Reference| {
            let version = self.meta(&reference)?.version.clone();
            let known = self.read.get(&reference).is_some_and(|read| read.version == version);
            (!known).then_some((reference, version))
        };
        all.into_iter().filter_map(stale).collect()
    }

    fn meta(&self, reference: &Reference) -> Option<&Meta> {
        self.metas.get(&Source::of(reference))?.get(&reference.id)
    }

    /// Whether it is known what is behind a reference, and be it nothing.
    fn is_settled(&self, reference: &Reference) -> bool {
        let source = Source::of(reference);
        match self.metas.get(&source).filter(|listing| listing.is_complete()) {
            Some(listing) => listing.get(&reference.id).is_none() || self.read.contains_key(reference),
            // What may not be read is the same as nothing, and said to be so.
            None => matches!(self.failures.get(&source), Some(Failure::Forbidden(_) | Failure::NoSuchKind)),
        }
    }

    /// What is in force now.
    pub(super) fn publish(&mut self) -> Objects {
        let mut next = Objects { forbidden_secrets: self.forbidden_secrets(), ..Objects::default() };
        let settled = |all: Vec<Reference>| all.iter().all(|reference| self.is_settled(reference));
        for (id, latest) in self.accounts.values().flat_map(Listing::iter) {
            let held = self.published.accounts.get(id);
            let object = if settled(of_account(id, latest)) { Some(latest) } else { held };
            next.accounts.extend(object.map(|object| (id.clone(), Arc::clone(object))));
        }
        for (id, latest) in self.grants.values().flat_map(Listing::iter) {
            let held = self.published.grants.get(id);
            let object = if settled(of_grant(id, latest)) { Some(latest) } else { held };
            next.grants.extend(object.map(|object| (id.clone(), Arc::clone(object))));
        }
        let pools = self.pools.values().flat_map(Listing::iter);
        next.pools.extend(pools.map(|(id, object)| (id.clone(), Arc::clone(object))));
        let namespaces = self.namespaces.values().flat_map(Listing::iter);
        next.namespaces.extend(namespaces.map(|(name, labels)| (name.clone(), labels.clone())));
        self.published = next;
        self.forget_contents();
        self.add_contents();
        self.published.clone()
    }

    /// Nothing is kept of what is not referred to any more, or is gone.
    fn forget_contents(&mut self) {
        let wanted = self.wanted();
        let is_key = |reference: &Reference| self.meta(reference).is_some_and(|meta| meta.is_client_key);
        let gone = |reference: &Reference| {
            let listing = self.metas.get(&Source::of(reference));
            listing.is_some_and(|listing| listing.is_complete() && listing.get(&reference.id).is_none())
        };
        let kept =
            |reference: &Reference| (wanted.contains(reference) || is_key(reference)) && !gone(reference);
        let forgotten: Vec<_> = self.read.keys().filter(|reference| !kept(reference)).cloned().collect();
        for reference in forgotten {
            self.read.remove(&reference);
        }
    }

    fn add_contents(&mut self) {
        for (Reference { kind: _, id }, read) in &self.read {
            match &read.content {
                Content::Secret(secret) => {
                    self.published.secrets.insert(id.clone(), Arc::clone(secret));
                }
                Content::ConfigMap(data) => {
                    if let Some(pem) = data.get("ca.crt") {
                        self.published.ca_bundles.insert(id.clone(), pem.as_str().into());
                    }
                }
                Content::Nothing => {}
            }
        }
    }

    fn forbidden_secrets(&self) -> BTreeSet<String> {
        let failed = self.failures.iter().filter(|(source, failure)| {
            source.what == What::Secrets && matches!(failure, Failure::Forbidden(_))
        });
        failed.filter_map(|(source, _)| source.namespace.clone()).collect()
    }

    /// The values of a ConfigMap that the controller itself refers to.
    pub(super) fn own_config_map(&self, id: &ObjectId) -> Option<Arc<BTreeMap<String, String>>> {
        let reference = Reference { kind: Referent::ConfigMap, id: id.clone() };
        match &self.read.get(&reference)?.content {
            Content::ConfigMap(data) => Some(Arc::clone(data)),
            Content::Secret(_) | Content::Nothing => None,
        }
    }

    /// What must be known before anything is decided and is not yet, for people.
    pub(super) fn waits_for(&self) -> Vec<String> {
        let complete = |source: &Source| {
            let namespace = &source.namespace;
            match source.what {
                What::Accounts => self.accounts.get(namespace).is_some_and(Listing::is_complete),
                What::Pools => self.pools.get(namespace).is_some_and(Listing::is_complete),
                What::Grants => self.grants.get(namespace).is_some_and(Listing::is_complete),
                What::Namespaces => self.namespaces.get(namespace).is_some_and(Listing::is_complete),
                What::Secrets | What::ConfigMaps => self.metas.get(source).is_some_and(Listing::is_complete),
            }
        };
        let why = |source: &Source| match self.failures.get(source) {
            None => source.name(),
            Some(failure) => format!("{}: {}", source.name(), failure.advice(source)),
        };
        let base = self.base.iter().filter(|source| !complete(source)).map(why);
        let references = self.wanted().into_iter().filter(|reference| !self.is_settled(reference));
        let references = references.map(|reference| why(&Source::of(&reference)));
        base.chain(references).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What is not in force as it is written, and why.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |file: String, message: String| problems.push(Problem { file, line: None, message });
        for (source, failure) in &self.failures {
            add(source.name(), format!("{}; what was known stays in force", failure.advice(source)));
        }
        let mut unreadable = |kind: &str, id: &ObjectId, reason: &str| {
            let message = format!("cannot be read and stays as it last could: {reason}");
            add(format!("{kind} {id}"), message);
        };
        let accounts = self.accounts.values().flat_map(Listing::unreadable);
        accounts.for_each(|(id, reason)| unreadable("ProviderAccount", id, reason));
        let pools = self.pools.values().flat_map(Listing::unreadable);
        pools.for_each(|(id, reason)| unreadable("AccountPool", id, reason));
        let grants = self.grants.values().flat_map(Listing::unreadable);
        grants.for_each(|(id, reason)| unreadable("AccessGrant", id, reason));
        problems
    }

    /// A watch that failed and has been quiet since goes on.
    pub(super) fn went_on(&mut self, source: &Source) -> bool {
        matches!(self.failures.get(source), Some(Failure::Away(_))) && self.failures.remove(source).is_some()
    }
}

/// Whether labels say that a Secret is a client key.
pub(super) fn is_client_key(labels: Option<&BTreeMap<String, String>>) -> bool {
    labels.and_then(|labels| labels.get(CLIENT_KEY_LABEL)).is_some_and(|value| value == "true")
}
