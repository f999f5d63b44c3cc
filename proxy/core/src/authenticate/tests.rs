use std::fmt::Write as _;

use super::token::sample;
use super::*;
use crate::test_support::{account, snapshot};
use penstock_proto::issuer::TokenIssuer;
use penstock_proto::snapshot::Snapshot;

/// SHA-256 of a key, lower-case hex.
fn digest(key: &str) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(key.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn grant(key: &str, caller: &str) -> Grant {
    Grant { namespace: "llm".into(), client_key_sha256: Some(digest(key)), pool: None, caller: caller.into() }
}

/// Two client keys, and an account in the namespace of the sample's pod; nothing is open to others.
fn pushed() -> Snapshot {
    let mut snapshot = snapshot([account("search/a")]);
    snapshot.as_of = Some(now());
    for (key, caller) in [("psk-one", "one"), ("psk-two", "two")] {
        snapshot.grants.insert(caller.into(), Arc::new(grant(key, caller)));
    }
    snapshot
}

/// The same, in the sample's cluster.
fn in_cluster() -> Snapshot {
    let issuer =
        TokenIssuer { issuer: sample::ISSUER.into(), audience: "penstock".into(), keys: vec![sample::key()] };
    let issuers = [(issuer.issuer.clone(), Arc::new(issuer))].into();
    Snapshot { issuers, ..pushed() }
}

fn now() -> Timestamp {
    Timestamp::from_second(sample::BEGINS + 60).unwrap()
}

fn ask_of(snapshot: Snapshot, headers: &[(&'static str, &str)]) -> Result<Authenticated, AuthError> {
    let headers = headers.iter().copied().collect();
    authenticate(&Access::Keyed, &View::new(Arc::new(snapshot)), &headers, now(), |_| None)
}

fn ask(headers: &[(&'static str, &str)]) -> Result<String, AuthError> {
    ask_of(pushed(), headers).map(|caller| caller.identity.caller.key.clone())
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
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
    assert!(authenticate(&access, &View::default(), &Headers::default(), now(), |_| None).is_ok());
}

#[test]
fn a_grant_with_a_malformed_digest_grants_nothing() {
    for hash in ["", "zz", &digest("k")[..62], &format!("{}00", digest("k"))] {
        let grant = Grant { client_key_sha256: Some(hash.to_owned()), ..grant("k", "") };
        assert!(Keys::new([&grant]).by_digest.is_empty(), "{hash:?}");
    }
}

#[test]
fn a_pod_is_let_in_by_its_token_in_every_header_that_sdks_use() {
    let token = bearer(sample::TOKEN);
    let headers: [&[(&str, &str)]; 3] = [
        &[("authorization", &token)],
        &[("x-api-key", sample::TOKEN)],
        &[("authorization", "Bearer junk"), ("x-api-key", sample::TOKEN)],
    ];
    for headers in headers {
        let caller = ask_of(in_cluster(), headers).unwrap();
        assert_eq!(caller.identity.caller.service_account, "crawler");
        assert_eq!(caller.identity.pool.as_str(), "search/default");
        let (digest, verified) = caller.verified.unwrap();
        assert_eq!(
            (digest, verified.until.as_second()),
            (Sha256::digest(sample::TOKEN).into(), sample::ENDS)
        );
    }
    let key = ask_of(in_cluster(), &[("x-api-key", "psk-two")]).unwrap();
    assert!(key.verified.is_none() && key.identity.caller.key == "two", "a client key does as well");
}

#[test]
fn whoever_is_remembered_is_not_verified_again() {
    let identity = Arc::new(Identity::new(Caller::default(), "search", None).unwrap());
    let headers = [("x-api-key", "of.some.token")].into_iter().collect();
    let wanted: Digest = Sha256::digest("of.some.token").into();
    let remembered = |digest: &Digest| (*digest == wanted).then(|| Arc::clone(&identity));
    let view = View::new(Arc::new(in_cluster()));
    let caller = authenticate(&Access::Keyed, &view, &headers, now(), remembered).unwrap();
    assert!(Arc::ptr_eq(&caller.identity, &identity) && caller.verified.is_none());
}

#[test]
fn a_refusal_says_what_to_do() {
    let why = |snapshot, headers: &[(&'static str, &str)]| {
        let error = ask_of(snapshot, headers).unwrap_err();
        (error.as_label(), error.to_string())
    };
    let (label, text) = why(in_cluster(), &[]);
    assert!(
        label == "missing_token" && text.contains("\"penstock\"") && text.contains("client key"),
        "{text}"
    );
    let damaged = format!("{}x", sample::TOKEN);
    let (label, _) = why(in_cluster(), &[("x-api-key", &damaged), ("authorization", "Bearer sk-other")]);
    assert_eq!(label, "malformed_token", "what is wrong with a token says more");
    assert_eq!(why(pushed(), &[("x-api-key", sample::TOKEN)]).0, "unknown_key", "outside a cluster");
    let mut bare = in_cluster();
    bare.accounts.clear();
    let (label, text) = why(bare, &[("x-api-key", sample::TOKEN)]);
    assert!(label == "no_accounts" && text.contains("namespace search"), "{text}");
    let waiting = Snapshot { as_of: None, ..in_cluster() };
    assert_eq!(why(waiting, &[("x-api-key", "psk-one")]).0, "not_ready", "a key may yet be known");
}

#[test]
fn only_a_few_of_many_credentials_are_looked_at() {
    let mut headers = vec![("x-api-key", "junk"); MOST_CREDENTIALS];
    headers.push(("x-api-key", "psk-one"));
    assert_eq!(ask(&headers), Err(AuthError::UnknownKey));
}
