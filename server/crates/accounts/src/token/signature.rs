//! Gives the JWT library the signatures of ring, which the rest of the server has for TLS: the library's own choices bring a
//! second cryptography library along.
//!
//! The library keeps its provider in a place that is one for the process; this one is put there before the first token is
//! read. It only verifies; nothing here signs.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature as ring_signature;
use ring::signature::{RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use ring::{error::Unspecified, hmac};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(Error::from(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: |algorithm, key| {
        if algorithm.family() != key.family() {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring the provider, unless the process has one already.
pub(super) fn install() {
    // A second call changes nothing.
    let _ = PROVIDER.install_default();
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let checked = match self.algorithm {
            Algorithm::HS256 => self.hmac(hmac::HMAC_SHA256, message, signature),
            Algorithm::HS384 => self.hmac(hmac::HMAC_SHA384, message, signature),
            Algorithm::HS512 => self.hmac(hmac::HMAC_SHA512, message, signature),
            Algorithm::ES256 => self.public(&ring_signature::ECDSA_P256_SHA256_FIXED, message, signature),
            Algorithm::ES384 => self.public(&ring_signature::ECDSA_P384_SHA384_FIXED, message, signature),
            Algorithm::EdDSA => self.public(&ring_signature::ED25519, message, signature),
            Algorithm::RS256 => self.rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA256, message, signature),
            Algorithm::RS384 => self.rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA384, message, signature),
            Algorithm::RS512 => self.rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA512, message, signature),
            Algorithm::PS256 => self.rsa(&ring_signature::RSA_PSS_2048_8192_SHA256, message, signature),
            Algorithm::PS384 => self.rsa(&ring_signature::RSA_PSS_2048_8192_SHA384, message, signature),
            Algorithm::PS512 => self.rsa(&ring_signature::RSA_PSS_2048_8192_SHA512, message, signature),
            _ => Err(Unspecified),
        };
        checked.map_err(|_| signature::Error::new())
    }
}

impl RingVerifier {
    fn hmac(&self, algorithm: hmac::Algorithm, message: &[u8], signature: &[u8]) -> Result<(), Unspecified> {
        let secret = self.key.try_get_as_bytes().map_err(|_| Unspecified)?;
        hmac::verify(&hmac::Key::new(algorithm, secret), message, signature)
    }

    fn public(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Unspecified> {
        let key = self.key.try_get_as_bytes().map_err(|_| Unspecified)?;
        UnparsedPublicKey::new(algorithm, key).verify(message, signature)
    }

    fn rsa(
        &self,
        parameters: &'static RsaParameters,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Unspecified> {
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(_) => self.public(parameters, message, signature),
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                // ring wants numbers without leading zeros.
                let [n, e] = [n, e].map(|number| {
                    let zeros = number.iter().take_while(|octet| **octet == 0).count();
                    &number[zeros..]
                });
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
        }
    }
}
