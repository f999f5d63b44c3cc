//! A ServiceAccount's token (JWS compact serialisation, RFC 7515 and 7519), verified against the keys that
//! the cluster publishes. Never asks anybody; never lets the token choose how it is verified.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use penstock_proto::event::Caller;
use penstock_proto::issuer::{Curve, IssuerKey, PublicKey, RsaHash, TokenIssuer};
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Identity;

/// What the clocks of two machines may differ.
const LEEWAY: SignedDuration = SignedDuration::from_secs(10);

/// Before the namespace and the name of a ServiceAccount, in the claim `sub`.
const SUBJECT: &str = "system:serviceaccount:";

/// Who signs callers' tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issuers(BTreeMap<String, Arc<TokenIssuer>>);

/// A token that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is.
    pub identity: Arc<Identity>,
    /// When it ends.
    pub until: Timestamp,
}

/// Why a token does not hold. Tells nothing of it but what whoever sent it knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token in form.
    #[error("the token is damaged: it is not a signed JSON Web Token")]
    Malformed,
    /// Signed by somebody whose keys are not known here.
    #[error(
        "the token was not issued by this cluster; send one of a ServiceAccount of this cluster, with the \
         audience {audience:?}"
    )]
    UnknownIssuer {
        /// What it must be for.
        audience: String,
    },
    /// Signed with a key that the issuer does not publish, or not any more, or not yet.
    #[error(
        "the token is signed with a key that the cluster does not publish (any more); have it issued again"
    )]
    UnknownKey,
    /// Its signature is wrong, or of another algorithm than its key's.
    #[error("the token's signature does not hold; it was changed on its way or made up")]
    BadSignature,
    /// It has ended.
    #[error("the token has expired at {at}; read the file of a projected token again for each request")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// It begins later.
    #[error("the token is not valid before {at}; the clocks of the machines differ")]
    NotYetValid {
        /// When.
        at: Timestamp,
    },
    /// It is meant for somebody else.
    #[error(
        "the token is not for this service: mount a projected ServiceAccount token with the audience \
         {audience:?}"
    )]
    WrongAudience {
        /// What it must be for.
        audience: String,
    },
    /// It is not a ServiceAccount's.
    #[error("the token is not that of a ServiceAccount")]
    NotAServiceAccount,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
    /// Extensions that must be understood: we understand none.
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    nbf: Option<i64>,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Kubernetes>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Kubernetes {
    namespace: String,
    pod: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl TokenError {
    /// Stable label for metrics.
    pub fn as_label(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed_token",
            Self::UnknownIssuer { .. } => "unknown_issuer",
            Self::UnknownKey => "unknown_signing_key",
            Self::BadSignature => "bad_signature",
            Self::Expired { .. } => "expired_token",
            Self::NotYetValid { .. } => "token_not_yet_valid",
            Self::WrongAudience { .. } => "wrong_audience",
            Self::NotAServiceAccount => "not_a_service_account",
        }
    }
}

impl Issuers {
    /// Those of a snapshot.
    pub fn new(issuers: &BTreeMap<String, Arc<TokenIssuer>>) -> Self {
        Self(issuers.clone())
    }

    /// The audience that tokens must have; `None`: no token is accepted here.
    pub fn audience(&self) -> Option<&str> {
        self.0.values().next().map(|issuer| issuer.audience.as_str())
    }

    /// Whose token it is.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = read(header)?;
        let claims: Claims = read(claims)?;
        let signature = decode(signature)?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let issuer = self.0.get(&claims.iss).ok_or_else(|| self.unknown_issuer())?;
        check_signature(issuer, &header, signed.as_bytes(), &signature)?;
        claims.holds(issuer, now)
    }

    fn unknown_issuer(&self) -> TokenError {
        TokenError::UnknownIssuer { audience: self.audience().unwrap_or_default().to_owned() }
    }
}

fn check_signature(
    issuer: &TokenIssuer,
    header: &Header,
    signed: &[u8],
    signature: &[u8],
) -> Result<(), TokenError> {
    // Without a name, any of them may have signed it.
    let mut named = issuer.keys.iter().filter(|key| header.kid.is_empty() || key.id == header.kid).peekable();
    named.peek().ok_or(TokenError::UnknownKey)?;
    let holds = |key: &IssuerKey| algorithm(&key.key) == header.alg && verifies(&key.key, signed, signature);
    if named.any(holds) { Ok(()) } else { Err(TokenError::BadSignature) }
}

impl Claims {
    fn holds(self, issuer: &TokenIssuer, now: Timestamp) -> Result<Verified, TokenError> {
        let instant = |second| Timestamp::from_second(second).map_err(|_| TokenError::Malformed);
        let until = instant(self.exp)?;
        if now.duration_since(until) >= LEEWAY {
            return Err(TokenError::Expired { at: until });
        }
        if let Some(at) = self.nbf.map(instant).transpose()?
            && at.duration_since(now) > LEEWAY
        {
            return Err(TokenError::NotYetValid { at });
        }
        let meant = match &self.aud {
            Audience::One(audience) => *audience == issuer.audience,
            Audience::Many(audiences) => audiences.contains(&issuer.audience),
        };
        if !meant {
            return Err(TokenError::WrongAudience { audience: issuer.audience.clone() });
        }
        let identity = self.identity().ok_or(TokenError::NotAServiceAccount)?;
        Ok(Verified { identity: Arc::new(identity), until })
    }

    fn identity(self) -> Option<Identity> {
        let (namespace, name) = self.sub.strip_prefix(SUBJECT)?.split_once(':')?;
        if name.is_empty() || name.contains(':') {
            return None;
        }
        let pod = match self.kubernetes {
            Some(claim) if claim.namespace != namespace => return None,
            Some(claim) => claim.pod.map(|pod| pod.name).unwrap_or_default(),
            None => String::new(),
        };
        let (namespace, service_account) = (namespace.to_owned(), name.to_owned());
        let caller = Caller { namespace: namespace.clone(), pod, service_account, key: String::new() };
        Identity::new(caller, &namespace, None).ok()
    }
}

fn read<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    serde_json::from_slice(&decode(part)?).map_err(|_| TokenError::Malformed)
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

/// What a token signed with the key must name in its header.
fn algorithm(key: &PublicKey) -> &'static str {
    match key {
        PublicKey::Rsa { hash: RsaHash::Sha256, .. } => "RS256",
        PublicKey::Rsa { hash: RsaHash::Sha384, .. } => "RS384",
        PublicKey::Rsa { hash: RsaHash::Sha512, .. } => "RS512",
        PublicKey::Ec { curve: Curve::P256, .. } => "ES256",
        PublicKey::Ec { curve: Curve::P384, .. } => "ES384",
    }
}

fn verifies(key: &PublicKey, signed: &[u8], signature: &[u8]) -> bool {
    let checked = match key {
        PublicKey::Rsa { hash, modulus: n, exponent: e } => {
            let parameters: &RsaParameters = match hash {
                RsaHash::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                RsaHash::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                RsaHash::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            };
            RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature)
        }
        PublicKey::Ec { curve, point } => {
            let algorithm: &dyn VerificationAlgorithm = match curve {
                Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED,
                Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            };
            UnparsedPublicKey::new(algorithm, point).verify(signed, signature)
        }
    };
    checked.is_ok()
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
