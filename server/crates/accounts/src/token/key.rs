//! The keys that tokens are signed with, each with its algorithm.

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Header};

use super::MAX_TOKEN_KEYS;

/// Octets of a secret, for HS256 to HS512 (RFC 7518 section 3.2: at least the size of the hash).
const MIN_SECRET_OCTETS: usize = 32;

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenAlgorithm(Algorithm);

impl FromStr for TokenAlgorithm {
    type Err = TokenKeyError;

    fn from_str(text: &str) -> Result<Self, TokenKeyError> {
        text.parse().map(Self).map_err(|_| TokenKeyError::Algorithm(text.to_owned()))
    }
}

impl fmt::Display for TokenAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<TokenAlgorithm> for Algorithm {
    fn from(algorithm: TokenAlgorithm) -> Self {
        algorithm.0
    }
}

/// One key. Debug output does not show it.
#[derive(Clone)]
pub struct TokenKey {
    id: Option<String>,
    algorithm: TokenAlgorithm,
    key: DecodingKey,
}

/// Why something is no [`TokenKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenKeyError {
    #[error(
        "\"{0}\" is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384 and HS512"
    )]
    Algorithm(String),
    #[error("is no public key in PEM for {0}: {1}")]
    Pem(TokenAlgorithm, String),
    #[error("is a secret of less than {MIN_SECRET_OCTETS} octets")]
    ShortSecret,
    #[error("is no set of JSON Web Keys: {0}")]
    Jwks(String),
    #[error("has no key that can verify tokens")]
    NoKeys,
    #[error("has more than {MAX_TOKEN_KEYS} keys")]
    TooMany,
    #[error("has the key \"{id}\", which is not one for {algorithm}")]
    OtherAlgorithm { id: String, algorithm: TokenAlgorithm },
    #[error("has the key \"{0}\", which does not say its algorithm")]
    NoAlgorithm(String),
}

impl TokenKey {
    /// A key from what a file has: a public key in PEM, or for HS256 and its like a secret, whose last line end does not
    /// count.
    ///
    /// # Errors
    /// The file has no such key.
    pub fn from_file(
        id: Option<String>,
        algorithm: TokenAlgorithm,
        content: &[u8],
    ) -> Result<Self, TokenKeyError> {
        let read = match algorithm.0.family() {
            AlgorithmFamily::Hmac => {
                let secret = content.strip_suffix(b"\n").unwrap_or(content);
                let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
                if secret.len() < MIN_SECRET_OCTETS {
                    return Err(TokenKeyError::ShortSecret);
                }
                Ok(DecodingKey::from_secret(secret))
            }
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(content),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(content),
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem(content),
        };
        let key = read.map_err(|error| TokenKeyError::Pem(algorithm, error.to_string()))?;
        Ok(Self { id, algorithm, key })
    }

    /// The keys of a JSON Web Key set that sign. Where a key does not say its algorithm, `algorithm` counts, or the one
    /// that its kind has in practice: RS256, ES256, ES384 or EdDSA.
    ///
    /// # Errors
    /// It is no such set, or a key in it cannot be what it says.
    pub fn from_jwks(algorithm: Option<TokenAlgorithm>, content: &[u8]) -> Result<Vec<Self>, TokenKeyError> {
        let set: JwkSet =
            serde_json::from_slice(content).map_err(|error| TokenKeyError::Jwks(error.to_string()))?;
        let signing = |jwk: &&Jwk| jwk.common.public_key_use != Some(PublicKeyUse::Encryption);
        let keys: Vec<Self> = set
            .keys
            .iter()
            .filter(signing)
            .map(|jwk| Self::from_jwk(algorithm, jwk))
            .collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err(TokenKeyError::NoKeys),
            count if count > MAX_TOKEN_KEYS => Err(TokenKeyError::TooMany),
            _ => Ok(keys),
        }
    }

    fn from_jwk(given: Option<TokenAlgorithm>, jwk: &Jwk) -> Result<Self, TokenKeyError> {
        let id = jwk.common.key_id.clone();
        let name = || id.clone().unwrap_or_default();
        let said = jwk.common.key_algorithm.map(Algorithm::try_from);
        let algorithm = match (said, given) {
            (Some(Ok(algorithm)), _) => algorithm,
            (Some(Err(_)), _) => return Err(TokenKeyError::NoAlgorithm(name())),
            (None, Some(given)) => given.0,
            (None, None) => usual(&jwk.algorithm).ok_or_else(|| TokenKeyError::NoAlgorithm(name()))?,
        };
        let algorithm = TokenAlgorithm(algorithm);
        let key = DecodingKey::from_jwk(jwk).map_err(|error| TokenKeyError::Jwks(error.to_string()))?;
        if key.family() != algorithm.0.family() {
            return Err(TokenKeyError::OtherAlgorithm { id: name(), algorithm });
        }
        if key.family() == AlgorithmFamily::Hmac
            && key.try_get_as_bytes().is_ok_and(|secret| secret.len() < MIN_SECRET_OCTETS)
        {
            return Err(TokenKeyError::ShortSecret);
        }
        Ok(Self { id, algorithm, key })
    }

    /// Whether a token with this header may be signed with this key: the algorithms are the same, and the key ids are
    /// where both have one.
    pub(super) fn fits(&self, header: &Header) -> bool {
        let same_id = match (&self.id, &header.kid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        header.alg == self.algorithm.0 && same_id
    }

    pub(super) fn algorithm(&self) -> TokenAlgorithm {
        self.algorithm
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.key
    }
}

fn usual(parameters: &AlgorithmParameters) -> Option<Algorithm> {
    match parameters {
        AlgorithmParameters::RSA(_) => Some(Algorithm::RS256),
        AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
            EllipticCurve::P256 => Some(Algorithm::ES256),
            EllipticCurve::P384 => Some(Algorithm::ES384),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => {
            Some(Algorithm::EdDSA)
        }
        _ => None,
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
