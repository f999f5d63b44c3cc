//! What an API server publishes of how it signs tokens (OpenID Connect discovery; RFC 7517 and 7518), read into
//! what gateways are told.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use penstock_proto::issuer::{Curve, IssuerKey, PublicKey, RsaHash, TokenIssuer};
use serde::Deserialize;

use crate::identity::AUDIENCE;

/// Why what the API server publishes is of no use.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The discovery document.
    #[error("its OpenID configuration cannot be read")]
    Configuration(#[source] serde_json::Error),
    /// The keys.
    #[error("its keys cannot be read")]
    Keys(#[source] serde_json::Error),
    /// All of the keys.
    #[error("it publishes no key that can verify a token ({})", unusable.join("; "))]
    NoKey {
        /// What is wrong with each.
        unusable: Vec<String>,
    },
}

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Jwk>,
}

/// Of a key, what its kind has.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    alg: String,
    #[serde(rename = "use", default)]
    purpose: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

/// Reads `/.well-known/openid-configuration` and `/openid/v1/jwks`. Beside the issuer: what is wrong with keys
/// that cannot be used, for people.
pub fn read(configuration: &str, keys: &str) -> Result<(TokenIssuer, Vec<String>), IssuerError> {
    let Configuration { issuer } = serde_json::from_str(configuration).map_err(IssuerError::Configuration)?;
    let KeySet { keys } = serde_json::from_str(keys).map_err(IssuerError::Keys)?;
    let (mut usable, mut unusable) = (Vec::new(), Vec::new());
    for key in keys.into_iter().filter(|key| key.purpose.is_empty() || key.purpose == "sig") {
        match public(&key) {
            Ok(public) => usable.push(IssuerKey { id: key.kid, key: public }),
            Err(why) => unusable.push(format!("key {}: {why}", key.kid)),
        }
    }
    // The API server lists them in no order of meaning; equal sets are to be equal values.
    usable.sort_by(|one, other| one.id.cmp(&other.id));
    if usable.is_empty() {
        return Err(IssuerError::NoKey { unusable });
    }
    Ok((TokenIssuer { issuer, audience: AUDIENCE.to_owned(), keys: usable }, unusable))
}

fn public(key: &Jwk) -> Result<PublicKey, String> {
    match (key.kty.as_str(), key.alg.as_str(), key.crv.as_str()) {
        ("RSA", "RS256" | "", _) => rsa(key, RsaHash::Sha256),
        ("RSA", "RS384", _) => rsa(key, RsaHash::Sha384),
        ("RSA", "RS512", _) => rsa(key, RsaHash::Sha512),
        ("EC", "ES256" | "", "P-256") => ec(key, Curve::P256),
        ("EC", "ES384" | "", "P-384") => ec(key, Curve::P384),
        (kind, algorithm, curve) => {
            Err(format!("{kind} {algorithm} {curve} is not among RS256, RS384, RS512, ES256 and ES384"))
        }
    }
}

fn rsa(key: &Jwk, hash: RsaHash) -> Result<PublicKey, String> {
    Ok(PublicKey::Rsa { hash, modulus: number(&key.n)?, exponent: number(&key.e)? })
}

fn ec(key: &Jwk, curve: Curve) -> Result<PublicKey, String> {
    let mut point = vec![4];
    for coordinate in [&key.x, &key.y] {
        let number = number(coordinate)?;
        let missing = curve.coordinate().checked_sub(number.len()).ok_or("a coordinate is too long")?;
        point.extend(std::iter::repeat_n(0, missing));
        point.extend(number);
    }
    Ok(PublicKey::Ec { curve, point })
}

/// Big-endian, without leading zeros.
fn number(text: &str) -> Result<Vec<u8>, String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "it is not base64url")?;
    let first = bytes.iter().position(|byte| *byte != 0).ok_or("a part of it is missing")?;
    Ok(bytes[first..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const CONFIGURATION: &str = r#"{"issuer":"https://kubernetes.default.svc","jwks_uri":"https://192.0.2.2:37441/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}"#;
    /// Of a Kubernetes 1.36 API server.
    const KEYS: &str = r#"{"keys":[{"use":"sig","kty":"RSA","kid":"9mmOVD5an20BvuOMp-sjU2cbIMHKMPPZ27h3ngitawY","alg":"RS256","n":"2nnFGMEQ0ABMOjRt8hNI8z5IJrUEyJ6cUkCse5RbAFdoULHD_jb0J649HiEUX4U6nlpZf38-h57FyOOhnvoY1Qq3x8MdqR9f2aHG6LudAoIYKsgtHBaeuA-DeOD8GaYvkqDljy22mXLUuwz6TRjkFlOQe-JLftoIlN5JH94r-whOErEulJmLsOQunH4vsMIl3wMb_7bRdXJzUVKPbglGe4k-IRaCs2Pmsl59XMOzoLw1w5XME_tXiHdoSZYUVnKC2bSvc06BBmIw78fJd84h-XiSkH6ceXzldSCpojhNDFcb8uA2sRHY51q7ViIR5faV0wWzwf39VS0HHcvr6EHWTw","e":"AQAB"}]}"#;

    fn ec_key(curve: &str, algorithm: &str, x: &[u8], y: &[u8]) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "kid": curve, "use": "sig", "alg": algorithm, "crv": curve, "x": text(x), "y": text(y)})
    }

    fn read_keys(keys: &Value) -> Result<(TokenIssuer, Vec<String>), IssuerError> {
        read(CONFIGURATION, &json!({"keys": keys}).to_string())
    }

    #[test]
    fn what_an_api_server_publishes_is_read() {
        let (issuer, unusable) = read(CONFIGURATION, KEYS).unwrap();
        assert_eq!(
            (issuer.issuer.as_str(), issuer.audience.as_str()),
            ("https://kubernetes.default.svc", "penstock")
        );
        let PublicKey::Rsa { hash, modulus, exponent } = &issuer.keys[0].key else { panic!() };
        assert_eq!((*hash, modulus.len(), exponent.as_slice()), (RsaHash::Sha256, 256, &[1, 0, 1][..]));
        assert!(unusable.is_empty());
    }

    #[test]
    fn points_have_the_length_of_their_curve() {
        let keys =
            json!([ec_key("P-256", "ES256", &[7; 31], &[9; 32]), ec_key("P-384", "", &[7; 48], &[9; 48])]);
        let (issuer, _) = read_keys(&keys).unwrap();
        let points = issuer.keys.iter().map(|key| match &key.key {
            PublicKey::Ec { curve, point } => (*curve, point.len(), point[1]),
            PublicKey::Rsa { .. } => panic!(),
        });
        assert_eq!(points.collect::<Vec<_>>(), [(Curve::P256, 65, 0), (Curve::P384, 97, 7)]);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_told_and_the_others_serve() {
        let good = ec_key("P-256", "ES256", &[7; 32], &[9; 32]);
        let bad = [
            ec_key("P-521", "ES512", &[7; 66], &[9; 66]),
            ec_key("P-256", "ES384", &[7; 32], &[9; 32]),
            ec_key("P-256", "ES256", &[7; 33], &[9; 32]),
            json!({"kty": "oct", "kid": "shared", "alg": "HS256", "k": "c2VjcmV0"}),
            json!({"kty": "RSA", "kid": "half", "alg": "RS256", "e": "AQAB"}),
        ];
        for bad in bad {
            let (issuer, unusable) = read_keys(&json!([good, bad])).unwrap();
            assert_eq!((issuer.keys.len(), unusable.len()), (1, 1), "{unusable:?}");
            assert!(matches!(read_keys(&json!([bad])), Err(IssuerError::NoKey { .. })));
        }
    }
}
