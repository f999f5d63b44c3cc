//! Who calls, and whose accounts serve the call.
//! Never lets a caller through without an identity; never tells a wrong key from an unknown one by time.

use std::sync::Arc;

use http::HeaderMap;
use penstock_proto::event::Caller;
use penstock_proto::ids::{InvalidObjectId, PoolId};
use penstock_proto::snapshot::Grant;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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
    /// A client key.
    Keyed,
}

/// Why a caller is turned away; answered 401 in the client's dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No key was sent.
    #[error("this address asks for a client key, as a bearer token or in x-api-key")]
    MissingKey,
    /// The key is not one of ours.
    #[error("the client key is not known here")]
    UnknownKey,
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
    pub fn as_label(self) -> &'static str {
        match self {
            Self::MissingKey => "missing_key",
            Self::UnknownKey => "unknown_key",
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

    fn find(&self, key: &[u8]) -> Option<&Arc<Identity>> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        // The search looks at two bytes of the digest only: what it could tell is nothing of the key.
        let first = self.by_digest.partition_point(|(held, _)| held[..2] < digest[..2]);
        let near = self.by_digest[first..].iter().take_while(|(held, _)| held[..2] == digest[..2]);
        near.fold(
            None,
            |found, (held, identity)| {
                if bool::from(held.ct_eq(&digest)) { Some(identity) } else { found }
            },
        )
    }
}

/// Decides who calls.
pub fn authenticate(access: &Access, keys: &Keys, headers: &HeaderMap) -> Result<Arc<Identity>, AuthError> {
    match access {
        Access::Open(identity) => Ok(Arc::clone(identity)),
        Access::Keyed => {
            let mut sent = client_keys(headers).peekable();
            sent.peek().ok_or(AuthError::MissingKey)?;
            sent.find_map(|key| keys.find(key)).map(Arc::clone).ok_or(AuthError::UnknownKey)
        }
    }
}

/// Every key the client sent: SDKs differ in the header, and some send two.
fn client_keys(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get_all(http::header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
    });
    let plain = ["x-api-key", "api-key"].into_iter().flat_map(|name| headers.get_all(name));
    bearer.chain(plain.map(|value| value.as_bytes().trim_ascii())).filter(|key| !key.is_empty())
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
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// SHA-256 of a key, lower-case hex.
    fn digest(key: &str) -> String {
        let mut hex = String::new();
        for byte in Sha256::digest(key.as_bytes()) {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    fn keys() -> Keys {
        let grant = |key: &str, caller: &str| Grant {
            namespace: "llm".into(),
            client_key_sha256: Some(digest(key)),
            pool: None,
            caller: caller.into(),
        };
        Keys::new(&[grant("psk-one", "one"), grant("psk-two", "two")])
    }

    fn ask(headers: &[(&'static str, &'static str)]) -> Result<String, AuthError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        authenticate(&Access::Keyed, &keys(), &map).map(|identity| identity.caller.key.clone())
    }

    #[test]
    fn a_key_is_accepted_in_every_header_that_sdks_use() {
        assert_eq!(ask(&[("authorization", "Bearer psk-one")]), Ok("one".into()));
        assert_eq!(ask(&[("authorization", "bearer psk-two")]), Ok("two".into()));
        assert_eq!(ask(&[("x-api-key", "psk-one")]), Ok("one".into()));
        assert_eq!(ask(&[("api-key", "psk-two")]), Ok("two".into()));
        assert_eq!(ask(&[("authorization", "Bearer junk"), ("x-api-key", "psk-one")]), Ok("one".into()));
    }

    #[test]
    fn a_missing_and_an_unknown_key_are_told_apart() {
        assert_eq!(ask(&[]), Err(AuthError::MissingKey));
        assert_eq!(ask(&[("x-api-key", " ")]), Err(AuthError::MissingKey));
        assert_eq!(ask(&[("authorization", "Basic cHNrLW9uZQ==")]), Err(AuthError::MissingKey));
        assert_eq!(ask(&[("x-api-key", "psk-three")]), Err(AuthError::UnknownKey));
    }

    #[test]
    fn an_open_listener_serves_its_namespace_s_default_pool_without_a_key() {
        let identity = Identity::new(Caller::default(), "default", None).unwrap();
        assert_eq!(identity.pool.as_str(), "default/default");
        let access = Access::Open(Arc::new(identity));
        assert!(authenticate(&access, &Keys::default(), &HeaderMap::new()).is_ok());
    }

    #[test]
    fn a_grant_with_a_malformed_digest_grants_nothing() {
        for hash in ["", "zz", &digest("k")[..62], &format!("{}00", digest("k"))] {
            let grant = Grant {
                namespace: "llm".into(),
                client_key_sha256: Some(hash.to_owned()),
                pool: None,
                caller: String::new(),
            };
            assert!(Keys::new([&grant]).by_digest.is_empty(), "{hash:?}");
        }
    }
}
