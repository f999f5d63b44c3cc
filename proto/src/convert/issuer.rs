//! Issuers of tokens and their keys.

use super::{ConvertError, Reason, each, required};
use crate::issuer::{Curve, IssuerKey, PublicKey, RsaHash, TokenIssuer};
use crate::wire;
use wire::SigningAlgorithm as Algorithm;

pub(super) fn read(wire: wire::TokenIssuer) -> Result<TokenIssuer, ConvertError> {
    let keys = each("keys", wire.keys, read_key)?;
    Ok(TokenIssuer {
        issuer: required("issuer", wire.issuer)?,
        // Without one, a token meant for somebody else would be taken.
        audience: required("audience", wire.audience)?,
        keys: keys.into_iter().flatten().collect(),
    })
}

pub(super) fn write(issuer: &TokenIssuer) -> wire::TokenIssuer {
    let TokenIssuer { issuer, audience, keys } = issuer;
    wire::TokenIssuer {
        issuer: issuer.clone(),
        audience: audience.clone(),
        keys: keys.iter().map(write_key).collect(),
    }
}

/// `None` for an algorithm that this program does not know.
fn read_key(wire: wire::IssuerKey) -> Result<Option<IssuerKey>, ConvertError> {
    let rsa = |hash| PublicKey::Rsa { hash, modulus: wire.rsa_modulus, exponent: wire.rsa_exponent };
    let key = match Algorithm::try_from(wire.algorithm) {
        Ok(Algorithm::Rs256) => rsa(RsaHash::Sha256),
        Ok(Algorithm::Rs384) => rsa(RsaHash::Sha384),
        Ok(Algorithm::Rs512) => rsa(RsaHash::Sha512),
        Ok(Algorithm::Es256) => PublicKey::Ec { curve: Curve::P256, point: wire.ec_point },
        Ok(Algorithm::Es384) => PublicKey::Ec { curve: Curve::P384, point: wire.ec_point },
        Ok(Algorithm::Unspecified) | Err(_) => return Ok(None),
    };
    match &key {
        PublicKey::Rsa { modulus, .. } if modulus.is_empty() => {
            Err(ConvertError::new("rsa_modulus", Reason::Missing))
        }
        PublicKey::Rsa { exponent, .. } if exponent.is_empty() => {
            Err(ConvertError::new("rsa_exponent", Reason::Missing))
        }
        PublicKey::Ec { curve, point } if point.len() != 1 + 2 * curve.coordinate() || point[0] != 4 => {
            Err(ConvertError::new("ec_point", Reason::Malformed))
        }
        PublicKey::Rsa { .. } | PublicKey::Ec { .. } => Ok(Some(IssuerKey { id: wire.id, key })),
    }
}

fn write_key(key: &IssuerKey) -> wire::IssuerKey {
    let IssuerKey { id, key } = key;
    let mut wire = wire::IssuerKey { id: id.clone(), ..wire::IssuerKey::default() };
    let algorithm = match key {
        PublicKey::Rsa { hash, modulus, exponent } => {
            wire.rsa_modulus.clone_from(modulus);
            wire.rsa_exponent.clone_from(exponent);
            match hash {
                RsaHash::Sha256 => Algorithm::Rs256,
                RsaHash::Sha384 => Algorithm::Rs384,
                RsaHash::Sha512 => Algorithm::Rs512,
            }
        }
        PublicKey::Ec { curve, point } => {
            wire.ec_point.clone_from(point);
            match curve {
                Curve::P256 => Algorithm::Es256,
                Curve::P384 => Algorithm::Es384,
            }
        }
    };
    wire.algorithm = algorithm.into();
    wire
}
