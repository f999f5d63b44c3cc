use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
};
use serde_json::{Value, json};

use super::sample::{BEGINS, ENDS, ISSUER, TOKEN};
use super::*;

/// A signer of the test's own, for what no real server would issue.
struct Signer {
    pair: EcdsaKeyPair,
    curve: Curve,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn issuers(keys: impl IntoIterator<Item = IssuerKey>) -> Issuers {
    let keys = keys.into_iter().collect();
    let issuer = TokenIssuer { issuer: ISSUER.into(), audience: "penstock".into(), keys };
    Issuers(BTreeMap::from([(ISSUER.to_owned(), Arc::new(issuer))]))
}

/// A real cluster's.
fn cluster() -> Issuers {
    issuers([sample::key()])
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ["penstock"], "sub": "system:serviceaccount:search:crawler",
        "exp": 2_000, "nbf": 1_000, "kubernetes.io": {"namespace": "search"},
    })
}

impl Signer {
    fn new(curve: Curve) -> Self {
        let algorithm = match curve {
            Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        };
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { pair: EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref(), &random).unwrap(), curve }
    }

    fn key(&self) -> IssuerKey {
        let point = self.pair.public_key().as_ref().to_vec();
        IssuerKey { id: "k1".into(), key: PublicKey::Ec { curve: self.curve, point } }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What comes of these claims, properly signed, at second 1500.
    fn verified(&self, claims: &Value) -> Result<Verified, TokenError> {
        let header = json!({"alg": algorithm(&self.key().key), "kid": "k1"});
        issuers([self.key()]).verify(&self.sign(&header, claims), at(1_500))
    }
}

#[test]
fn a_pod_s_token_says_who_calls_and_from_where() {
    let Verified { identity, until } = cluster().verify(TOKEN, at(BEGINS + 60)).unwrap();
    let Caller { namespace, pod, service_account, key } = &identity.caller;
    assert_eq!(
        (namespace.as_str(), service_account.as_str(), pod.as_str(), key.as_str()),
        ("search", "crawler", "crawler-7", "")
    );
    assert_eq!((identity.namespace.as_str(), identity.pool.as_str()), ("search", "search/default"));
    assert_eq!(until, at(ENDS));
}

#[test]
fn a_token_holds_between_its_beginning_and_its_end() {
    let ask = |second| cluster().verify(TOKEN, at(second)).map(drop);
    assert_eq!(ask(BEGINS - 11), Err(TokenError::NotYetValid { at: at(BEGINS) }));
    assert_eq!((ask(BEGINS - 10), ask(ENDS + 9)), (Ok(()), Ok(())), "clocks differ a little");
    assert_eq!(ask(ENDS + 10), Err(TokenError::Expired { at: at(ENDS) }));
}

#[test]
fn both_curves_verify_and_a_key_without_a_name_may_be_any() {
    for curve in [Curve::P256, Curve::P384] {
        let signer = Signer::new(curve);
        assert!(signer.verified(&claims()).is_ok());
        let unnamed = signer.sign(&json!({"alg": algorithm(&signer.key().key)}), &claims());
        assert!(issuers([sample::key(), signer.key()]).verify(&unnamed, at(1_500)).is_ok());
    }
}

#[test]
fn what_the_cluster_did_not_sign_is_refused() {
    let (ours, other) = (Signer::new(Curve::P256), Signer::new(Curve::P256));
    let ask = |token: &str| issuers([ours.key()]).verify(token, at(1_500)).unwrap_err();
    let named = |id: &str, alg: &str| json!({"alg": alg, "kid": id});
    assert_eq!(ask(&other.sign(&named("k1", "ES256"), &claims())), TokenError::BadSignature);
    assert_eq!(ask(&other.sign(&named("k2", "ES256"), &claims())), TokenError::UnknownKey);
    // The key alone says how a token is verified, whatever the token says.
    for alg in ["none", "HS256", "RS256", "ES384", "es256", ""] {
        assert_eq!(ask(&ours.sign(&named("k1", alg), &claims())), TokenError::BadSignature, "{alg}");
    }
    let must = json!({"alg": "ES256", "kid": "k1", "crit": ["exp"]});
    assert_eq!(ask(&ours.sign(&must, &claims())), TokenError::Malformed);
    let unsigned = ours.sign(&named("k1", "none"), &claims());
    let unsigned = unsigned.rsplit_once('.').unwrap().0.to_owned() + ".";
    assert_eq!(ask(&unsigned), TokenError::BadSignature);
    assert!(matches!(ask(TOKEN), TokenError::UnknownKey), "of an issuer of the same name");
}

#[test]
fn every_claim_must_be_as_it_should() {
    let signer = Signer::new(Curve::P256);
    let with = |key: &str, value: Value| {
        let mut claims = claims();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(key)),
            value => claims[key] = value,
        }
        signer.verified(&claims).map(drop)
    };
    let audience = || "penstock".to_owned();
    assert_eq!(with("aud", json!("penstock")), Ok(()));
    assert_eq!(with("aud", json!(["api", "penstock"])), Ok(()));
    for other in [json!(["https://kubernetes.default.svc"]), json!("penstock2"), json!([])] {
        assert_eq!(with("aud", other), Err(TokenError::WrongAudience { audience: audience() }));
    }
    let unknown = TokenError::UnknownIssuer { audience: audience() };
    assert_eq!(with("iss", json!("https://other")), Err(unknown));
    for missing in ["iss", "aud", "exp", "sub"] {
        assert_eq!(with(missing, Value::Null), Err(TokenError::Malformed), "{missing}");
    }
    for who in [
        "alice",
        "system:serviceaccount:search",
        "system:serviceaccount:search:",
        "system:node:n1",
        "system:serviceaccount:a:b:c",
        "system:serviceaccount::b",
        "system:serviceaccount:A/b:c",
    ] {
        assert_eq!(with("sub", json!(who)), Err(TokenError::NotAServiceAccount), "{who}");
    }
    let elsewhere = json!({"namespace": "llm"});
    assert_eq!(with("kubernetes.io", elsewhere), Err(TokenError::NotAServiceAccount));
    assert_eq!(with("kubernetes.io", Value::Null), Ok(()));
    assert_eq!(with("exp", json!(i64::MAX)), Err(TokenError::Malformed));
}

#[test]
fn what_is_no_token_is_damaged() {
    for text in ["", ".", "..", "a.b", "a.b.c", "e30.e30.", "a.b.c.d", &format!("{TOKEN}="), &TOKEN[1..]] {
        assert_eq!(cluster().verify(text, at(BEGINS)), Err(TokenError::Malformed), "{text}");
    }
}

proptest! {
    #[test]
    fn a_token_that_was_changed_anywhere_does_not_hold(place in 0..TOKEN.len(), byte in 0x20u8..0x7f) {
        let mut changed = TOKEN.as_bytes().to_vec();
        prop_assume!(changed[place] != byte);
        changed[place] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(cluster().verify(&changed, at(BEGINS + 60)).is_err());
    }

    #[test]
    fn nothing_sent_as_a_token_breaks_anything(text in "[ -~]{0,40}\\.[ -~]{0,40}\\.[ -~]{0,40}") {
        prop_assert!(cluster().verify(&text, at(BEGINS)).is_err());
    }
}
