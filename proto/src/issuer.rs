//! Who signs the tokens of a cluster's ServiceAccounts, and with which keys.

/// An issuer of ServiceAccount tokens, with everything that is needed to verify one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIssuer {
    /// The claim `iss`, to the letter.
    pub issuer: String,
    /// One that must be among the claim `aud`.
    pub audience: String,
    /// Its public keys; several while one is replaced by the next.
    pub keys: Vec<IssuerKey>,
}

/// One of its public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerKey {
    /// `kid`; empty: the issuer gives none.
    pub id: String,
    /// The key, and the one algorithm that it verifies: a token has no say in that.
    pub key: PublicKey,
}

/// A public key with its algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSASSA-PKCS1-v1_5 (`RS256` and the like).
    Rsa {
        /// Of the signature.
        hash: RsaHash,
        /// Big-endian.
        modulus: Vec<u8>,
        /// Big-endian.
        exponent: Vec<u8>,
    },
    /// ECDSA (`ES256`, `ES384`).
    Ec {
        /// Which one; it names the hash, too.
        curve: Curve,
        /// Uncompressed: 0x04, x, y.
        point: Vec<u8>,
    },
}

/// The hash of an RSA signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RsaHash {
    /// `RS256`.
    Sha256,
    /// `RS384`.
    Sha384,
    /// `RS512`.
    Sha512,
}

/// The curve of an ECDSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// `ES256`.
    P256,
    /// `ES384`.
    P384,
}

impl Curve {
    /// Length of a coordinate, bytes.
    pub fn coordinate(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}
