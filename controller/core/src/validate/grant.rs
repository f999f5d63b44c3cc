//! An `AccessGrant` with the Secrets that it refers to: the grants as a proxy uses them, and everything that is
//! wrong.

use penstock_crds::conditions as reasons;
use penstock_crds::grant::{AccessGrantSpec, SubjectKind};
use penstock_crds::{CLIENT_KEY_HASH, CLIENT_KEY_LABEL};
use penstock_proto::ids::{ObjectId, PoolId};
use penstock_proto::snapshot::Grant;

use super::Fault;
use crate::objects::{Objects, SecretObject};

/// The client keys of a grant, each with the name of its resource, and what is wrong with the grant.
/// Subjects that prove themselves otherwise are enforced where they do.
pub fn check(
    id: &ObjectId,
    spec: &AccessGrantSpec,
    objects: &Objects,
    pool_exists: impl Fn(&PoolId) -> bool,
) -> (Vec<(String, Grant)>, Vec<Fault>) {
    let mut faults = Vec::new();
    let pool = PoolId::new(id.namespace(), &spec.pool).ok().filter(pool_exists);
    if pool.is_none() {
        let message = format!(
            "AccountPool {} was not found in namespace {}; create it or name another pool",
            spec.pool,
            id.namespace()
        );
        faults.push(Fault::new(reasons::REASON_POOL_NOT_FOUND, message));
    }
    let keys = spec.subjects.iter().filter(|subject| subject.kind == SubjectKind::ClientKey);
    let grants = keys.filter_map(|subject| {
        let hash = key_hash(id, &subject.name, objects).map_err(|fault| faults.push(fault)).ok()?;
        let grant = Grant {
            namespace: id.namespace().to_owned(),
            client_key_sha256: Some(hash),
            pool: Some(pool.clone()?),
            caller: subject.name.clone(),
        };
        Some((format!("{id}.{}", subject.name), grant))
    });
    (grants.collect(), faults)
}

/// The grant that a Secret labelled as a client key is by itself: its namespace's pool `default`.
pub fn labelled(id: &ObjectId, secret: &SecretObject) -> Option<(String, Grant)> {
    let labelled = secret.labels.get(CLIENT_KEY_LABEL).is_some_and(|value| value == "true");
    let grant = Grant {
        namespace: id.namespace().to_owned(),
        client_key_sha256: Some(hash_in(secret).filter(|_| labelled)?),
        pool: None,
        caller: id.name().to_owned(),
    };
    Some((id.to_string(), grant))
}

fn key_hash(id: &ObjectId, name: &str, objects: &Objects) -> Result<String, Fault> {
    let namespace = id.namespace();
    let secret = ObjectId::new(namespace, name).ok().and_then(|id| objects.secrets.get(&id));
    let secret = secret.ok_or_else(|| {
        let message =
            format!("Secret {name} of a client key was not found in namespace {namespace}; create it");
        Fault::new(reasons::REASON_SECRET_NOT_FOUND, message)
    })?;
    hash_in(secret).ok_or_else(|| {
        let message = format!(
            "Secret {name} needs the key {CLIENT_KEY_HASH} with the SHA-256 of the client key, 64 lower-case hex digits"
        );
        Fault::new(reasons::REASON_INVALID_CLIENT_KEY, message)
    })
}

fn hash_in(secret: &SecretObject) -> Option<String> {
    let hash = secret.data.get(CLIENT_KEY_HASH)?.expose().trim();
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (hash.len() == 64 && hash.bytes().all(hex)).then(|| hash.to_owned())
}
