//! Resources, updates and refusals.

use std::sync::Arc;

use jiff::Timestamp;
use prost::Message;
use sha2::{Digest, Sha256};

use super::{ConvertError, Reason, account, id, issuer, limits, optional_millis, pool};
use crate::ids::{ResourceKey, ResourceKind};
use crate::resource::{Change, Refusal, Resource, Update, Versioned};
use crate::wire;
use wire::resource::Body;

/// The version of a resource's content: 32 hex digits of the SHA-256 of its encoding, which is the same
/// for the same content because no map is in it.
pub fn version(resource: &Resource) -> String {
    let message = wire::Resource { body: Some(write_body(resource)), ..wire::Resource::default() };
    let digest = Sha256::digest(message.encode_to_vec());
    hex::encode(&digest[..16])
}

impl From<i32> for ResourceKind {
    fn from(wire: i32) -> Self {
        match wire::ResourceKind::try_from(wire) {
            Ok(wire::ResourceKind::Account) => Self::Account,
            Ok(wire::ResourceKind::AccountState) => Self::AccountState,
            Ok(wire::ResourceKind::Pool) => Self::Pool,
            Ok(wire::ResourceKind::Grant) => Self::Grant,
            Ok(wire::ResourceKind::TokenIssuer) => Self::TokenIssuer,
            Ok(wire::ResourceKind::Unspecified) | Err(_) => Self::Other(wire),
        }
    }
}

impl From<ResourceKind> for i32 {
    fn from(kind: ResourceKind) -> Self {
        match kind {
            ResourceKind::Account => wire::ResourceKind::Account.into(),
            ResourceKind::AccountState => wire::ResourceKind::AccountState.into(),
            ResourceKind::Pool => wire::ResourceKind::Pool.into(),
            ResourceKind::Grant => wire::ResourceKind::Grant.into(),
            ResourceKind::TokenIssuer => wire::ResourceKind::TokenIssuer.into(),
            ResourceKind::Other(number) => number,
        }
    }
}

impl TryFrom<wire::Resource> for Versioned {
    type Error = ConvertError;

    fn try_from(wire: wire::Resource) -> Result<Self, ConvertError> {
        let wire::Resource { kind, name, version, body } = wire;
        let kind = ResourceKind::from(kind);
        let within = |outer: &'static str| move |error: ConvertError| error.within(outer);
        let resource = match (kind, body) {
            (ResourceKind::Other(_), _) => return Err(ConvertError::new("kind", Reason::Unknown)),
            (_, None) => return Err(ConvertError::new("body", Reason::Missing)),
            (ResourceKind::Account, Some(Body::Account(body))) => account::read(id("name", &name)?, body)
                .map(|account| Resource::Account(Arc::new(account)))
                .map_err(within("account"))?,
            (ResourceKind::AccountState, Some(Body::AccountState(body))) => {
                let state = limits::read_state(body).map_err(within("account_state"))?;
                Resource::AccountState(id("name", &name)?, Arc::new(state))
            }
            (ResourceKind::Pool, Some(Body::Pool(body))) => pool::read(id("name", &name)?, body)
                .map(|pool| Resource::Pool(Arc::new(pool)))
                .map_err(within("pool"))?,
            (ResourceKind::Grant, Some(Body::Grant(body))) => {
                let grant = pool::read_grant(body).map_err(within("grant"))?;
                Resource::Grant(super::required("name", name)?, Arc::new(grant))
            }
            (ResourceKind::TokenIssuer, Some(Body::TokenIssuer(body))) => {
                let issuer = issuer::read(body).map_err(within("token_issuer"))?;
                if issuer.issuer != name {
                    return Err(ConvertError::new("name", Reason::Malformed));
                }
                Resource::TokenIssuer(Arc::new(issuer))
            }
            (_, Some(_)) => return Err(ConvertError::new("body", Reason::WrongKind)),
        };
        Ok(Self { version, resource })
    }
}

impl From<&Versioned> for wire::Resource {
    fn from(Versioned { version, resource }: &Versioned) -> Self {
        let ResourceKey { kind, name } = resource.key();
        Self { kind: kind.into(), name, version: version.clone(), body: Some(write_body(resource)) }
    }
}

impl From<wire::ResourceName> for ResourceKey {
    fn from(wire: wire::ResourceName) -> Self {
        Self { kind: wire.kind.into(), name: wire.name }
    }
}

impl From<&ResourceKey> for wire::ResourceName {
    fn from(key: &ResourceKey) -> Self {
        Self { kind: key.kind.into(), name: key.name.clone() }
    }
}

impl From<wire::Refusal> for Refusal {
    fn from(wire: wire::Refusal) -> Self {
        let wire::Refusal { kind, name, version, reason } = wire;
        Self { key: ResourceKey { kind: kind.into(), name }, version, reason }
    }
}

impl From<&Refusal> for wire::Refusal {
    fn from(refusal: &Refusal) -> Self {
        let Refusal { key, version, reason } = refusal.clone();
        Self { kind: key.kind.into(), name: key.name, version, reason }
    }
}

impl From<wire::Update> for Update {
    fn from(wire: wire::Update) -> Self {
        let removed = wire.removed.into_iter().map(|name| Change::Removed(name.into()));
        let changed = wire.changed.into_iter().map(|resource| {
            let key = ResourceKey { kind: resource.kind.into(), name: resource.name.clone() };
            let version = resource.version.clone();
            match Versioned::try_from(resource) {
                Ok(versioned) => Change::Set(versioned),
                Err(error) => Change::Unreadable { key, version, error },
            }
        });
        Self {
            changes: removed.chain(changed).collect(),
            view_version: wire.view_version,
            // An instant that cannot be is not worth refusing a whole push for.
            as_of: optional_millis("as_of_ms", wire.as_of_ms).ok().flatten(),
        }
    }
}

impl wire::Update {
    /// The pushes of an update, at least one: nonces from `nonce` on, each of at most `max_bytes` (or one
    /// resource that is larger alone), the last one completes it.
    pub fn cut(nonce: u64, update: &Update, max_bytes: usize) -> Vec<Self> {
        let Update { changes, view_version, as_of } = update;
        let mut pieces = Vec::new();
        let mut room = 0;
        let mut removed = Vec::new();
        for change in changes {
            match change {
                Change::Set(versioned) => {
                    super::put(&mut pieces, &mut room, max_bytes, wire::Resource::from(versioned));
                }
                Change::Removed(key) => removed.push(key.into()),
                // Nobody sends on what it could not read.
                Change::Unreadable { .. } => {}
            }
        }
        if pieces.is_empty() {
            pieces.push(Vec::new());
        }
        let last = pieces.len() - 1;
        let push = |(at, changed)| Self {
            nonce: nonce + at as u64,
            changed,
            removed: if at == last { std::mem::take(&mut removed) } else { Vec::new() },
            complete: at == last,
            view_version: view_version.clone(),
            as_of_ms: as_of.map_or(0, Timestamp::as_millisecond),
        };
        pieces.into_iter().enumerate().map(push).collect()
    }
}

fn write_body(resource: &Resource) -> Body {
    match resource {
        Resource::Account(account) => Body::Account(account::write(account)),
        Resource::AccountState(_, state) => Body::AccountState(limits::write_state(state)),
        Resource::Pool(pool) => Body::Pool(pool::write(pool)),
        Resource::Grant(_, grant) => Body::Grant(pool::write_grant(grant)),
        Resource::TokenIssuer(issuer) => Body::TokenIssuer(issuer::write(issuer)),
    }
}
