//! Who calls, and whose accounts serve the call.
//! Never lets a caller through without an identity; never tells a wrong key from an unknown one by time.
//!
//! | module | what it does |
//! |---|---|
//! | [`token`] | verifies a ServiceAccount's token |
//! | [`remembered`] | the tokens that were verified |

use std::sync::Arc;

use jiff::Timestamp;
use penstock_proto::event::Caller;
use penstock_proto::ids::{InvalidObjectId, PoolId};
use penstock_proto::snapshot::Grant;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::headers::Headers;
use crate::view::View;
use token::{TokenError, Verified};

pub mod remembered;
pub mod token;

/// Credentials of one request that are looked at: SDKs send two at most, and each may cost a verification.
const MOST_CREDENTIALS: usize = 4;

/// SHA-256 of a credential.
pub type Digest = [u8; 32];

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// As shown in history.
    pub caller: Caller,
    /// Whose accounts are used.
    pub namespace: String,
    /// The pool that serves.
    pub pool: PoolId,
}

/// What a listener demands of its callers.
#[derive(Debug, Clone)]
pub enum Access {
    /// Only reachable by those it trusts (loopback, the sidecar's own pod): everybody is this caller.
    Open(Arc<Identity>),
    /// A client key, or in a cluster a ServiceAccount's token.
    Keyed,
}

/// A caller, and what to remember of how it was found out.
#[derive(Debug)]
pub struct Authenticated {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// The token that was verified for it, and its digest.
    pub verified: Option<(Digest, Verified)>,
}

/// Why a caller is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Nothing was pushed yet: nobody can be told from anybody.
    #[error("this proxy waits for its first state from the controller")]
    NotReady,
    /// No key was sent.
    #[error("this address asks for a client key, as a bearer token or in x-api-key")]
    MissingKey,
    /// No key was sent, and no token where one would do.
    #[error(
        "this address asks who calls: send a ServiceAccount token with the audience {audience:?}, or a client \
         key, as a bearer token or in x-api-key"
    )]
    MissingToken {
        /// What a token must be for.
        audience: String,
    },
    /// The key is not one of ours.
    #[error("the client key is not known here")]
    UnknownKey,
    /// The token does not hold.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Known, and there is nothing that may serve it.
    #[error(
        "namespace {namespace} may use no account: create a ProviderAccount in it, or open one to it with \
         spec.allowedNamespaces"
    )]
    NoAccounts {
        /// The caller's.
        namespace: String,
    },
}

/// The client keys of a snapshot, by digest.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    by_digest: Vec<([u8; 32], Arc<Identity>)>,
}

impl Identity {
    /// A caller served by `pool`, or by its namespace's pool `default`.
    pub fn new(caller: Caller, namespace: &str, pool: Option<PoolId>) -> Result<Self, InvalidObjectId> {
        let pool = pool.map_or_else(|| PoolId::new(namespace, "default"), Ok)?;
        Ok(Self { caller, namespace: namespace.to_owned(), pool })
    }
}

impl AuthError {
    /// Stable label for metrics.
    pub fn as_label(&self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::MissingKey => "missing_key",
            Self::MissingToken { .. } => "missing_token",
            Self::UnknownKey => "unknown_key",
            Self::Token(error) => error.as_label(),
            Self::NoAccounts { .. } => "no_accounts",
        }
    }
}

impl Keys {
    /// Reads the grants that name a client key; one whose digest is not 64 hex digits grants nothing.
    pub fn new<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> Self {
        let mut by_digest: Vec<_> = grants.into_iter().filter_map(keyed).collect();
        by_digest.sort_by_key(|(digest, _)| *digest);
        Self { by_digest }
    }

    fn find(&self, digest: &Digest) -> Option<&Arc<Identity>> {
        // The search looks at two bytes of the digest only: what it could tell is nothing of the key.
        let first = self.by_digest.partition_point(|(held, _)| held[..2] < digest[..2]);
        let near = self.by_digest[first..].iter().take_while(|(held, _)| held[..2] == digest[..2]);
        near.fold(
            None,
            |found, (held, identity)| {
                if bool::from(held.ct_eq(digest)) { Some(identity) } else { found }
            },
        )
    }
}

/// Decides who calls. `remembered`: the caller of a token that was verified before.
pub fn authenticate(
    access: &Access,
    view: &View,
    headers: &Headers,
    now: Timestamp,
    remembered: impl Fn(&Digest) -> Option<Arc<Identity>>,
) -> Result<Authenticated, AuthError> {
    if let Access::Open(identity) = access {
        return Ok(Authenticated { identity: Arc::clone(identity), verified: None });
    }
    if view.snapshot.as_of.is_none() {
        return Err(AuthError::NotReady);
    }
    let mut why = None;
    for sent in credentials(headers).take(MOST_CREDENTIALS) {
        let digest: Digest = Sha256::digest(sent).into();
        if let Some(identity) = view.keys.find(&digest) {
            return Ok(Authenticated { identity: Arc::clone(identity), verified: None });
        }
        if let Some(identity) = remembered(&digest) {
            return permitted(view, Authenticated { identity, verified: None });
        }
        match verify(view, sent, now) {
            Ok(token) => {
                let identity = Arc::clone(&token.identity);
                return permitted(view, Authenticated { identity, verified: Some((digest, token)) });
            }
            // What is wrong with a token says more than that something is not a key.
            Err(error) if why.is_none() || matches!(error, AuthError::Token(_)) => why = Some(error),
            Err(_) => {}
        }
    }
    Err(why.unwrap_or_else(|| match view.issuers.audience() {
        Some(audience) => AuthError::MissingToken { audience: audience.to_owned() },
        None => AuthError::MissingKey,
    }))
}

/// A workload is let in by its namespace, which may have nothing to serve it with.
fn permitted(view: &View, caller: Authenticated) -> Result<Authenticated, AuthError> {
    if view.pool(&caller.identity.pool).is_some() {
        return Ok(caller);
    }
    Err(AuthError::NoAccounts { namespace: caller.identity.namespace.clone() })
}

fn verify(view: &View, sent: &[u8], now: Timestamp) -> Result<Verified, AuthError> {
    let token = std::str::from_utf8(sent).ok().filter(|text| text.matches('.').count() == 2);
    match token {
        Some(token) if view.issuers.audience().is_some() => Ok(view.issuers.verify(token, now)?),
        _ => Err(AuthError::UnknownKey),
    }
}

/// Every key or token the client sent: SDKs differ in the header, and some send two.
fn credentials(headers: &Headers) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get_all("authorization").filter_map(|value| {
        let (scheme, token) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
    });
    let plain = ["x-api-key", "api-key"].into_iter().flat_map(|name| headers.get_all(name));
    bearer.chain(plain.map(<[u8]>::trim_ascii)).filter(|key| !key.is_empty())
}

fn keyed(grant: &Grant) -> Option<([u8; 32], Arc<Identity>)> {
    let digest = unhex(grant.client_key_sha256.as_deref()?)?;
    let caller =
        Caller { namespace: grant.namespace.clone(), key: grant.caller.clone(), ..Caller::default() };
    let identity = Identity::new(caller, &grant.namespace, grant.pool.clone()).ok()?;
    Some((digest, Arc::new(identity)))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
