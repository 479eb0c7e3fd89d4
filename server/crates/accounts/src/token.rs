//! Bearer tokens: signed JWTs from an issuer whose keys the postmaster names.
//!
//! The algorithm belongs to the key, never to the token: a token names the one that it wants, and only keys that were
//! given with that very algorithm are tried. There is no `none`.
//!
//! Standards: RFC 7519 (JWT: 4.1 claims), 7515 (4.1.11 `crit`), 7517 (keys), 8725 (3.1 algorithms, 3.8 issuer, 3.9 audience).
//! Limits: [`MAX_TOKEN_OCTETS`], [`MAX_TOKEN_KEYS`]; RSA keys of 2,048 to 8,192 bits, secrets of at least 32 octets; clocks
//! may differ by [`LEEWAY_S`].
//! Known gaps: keys are not fetched from the issuer, and tokens that are no JWT are not introspected.

mod key;
mod signature;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;

use jsonwebtoken::{Validation, decode, decode_header};
use model::Timestamp;

pub use key::{TokenAlgorithm, TokenKey, TokenKeyError};

/// Octets of a token: 8 KiB.
pub const MAX_TOKEN_OCTETS: usize = 8 << 10;
/// Keys that tokens may be signed with: 32.
pub const MAX_TOKEN_KEYS: usize = 32;
/// Seconds by which the issuer's clock may differ from ours.
pub const LEEWAY_S: u64 = 60;

/// Whose tokens count, and for whom.
#[derive(Debug, Clone)]
pub struct TokenOptions {
    /// The claim `iss` of every token.
    pub issuer: String,
    /// One of them has to be in the claim `aud`.
    pub audience: Vec<String>,
    /// At least one, at most [`MAX_TOKEN_KEYS`].
    pub keys: Vec<TokenKey>,
    /// The claim that has the user's name.
    pub user_claim: String,
    /// What a client is told to ask the issuer for (RFC 7628 section 3.2.2).
    pub scope: Option<String>,
    /// Where a client finds the issuer's endpoints (RFC 7628 section 3.2.2).
    pub openid_configuration: Option<String>,
}

/// Why a token does not count; for the log, without the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is longer than {MAX_TOKEN_OCTETS} octets")]
    TooLong,
    #[error("the token is no JWT that is understood here: {0}")]
    Unreadable(String),
    #[error("no key fits the token's algorithm and key id")]
    NoKey,
    #[error("the token is refused: {0}")]
    Refused(String),
    #[error("the token has expired, or counts later, or says neither")]
    Time,
    #[error("the token has no claim \"{0}\" that is a text")]
    NoUser(String),
    #[error("the issuer has not verified the address in the token")]
    Unverified,
}

impl TokenOptions {
    /// The user whom a token stands for, as its claim has it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<String, TokenError> {
        signature::install();
        if token.len() > MAX_TOKEN_OCTETS {
            return Err(TokenError::TooLong);
        }
        let header = decode_header(token).map_err(|error| TokenError::Unreadable(error.to_string()))?;
        //= RFC 7515 section 4.1.11: what is critical and not understood makes the token invalid.
        if header.crit.is_some() {
            return Err(TokenError::Unreadable("it has critical parameters".to_owned()));
        }
        let mut refused = TokenError::NoKey;
        for key in self.keys.iter().filter(|key| key.fits(&header)) {
            match decode::<Claims>(token, key.decoding(), &self.validation(key)) {
                Ok(data) => return self.user(data.claims, now),
                Err(error) => refused = TokenError::Refused(error.to_string()),
            }
        }
        Err(refused)
    }

    /// Times are left out: the library would read a clock.
    fn validation(&self, key: &TokenKey) -> Validation {
        let mut validation = Validation::new(key.algorithm().into());
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&self.audience);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.validate_exp = false;
        validation
    }

    fn user(&self, claims: Claims, now: Timestamp) -> Result<String, TokenError> {
        let time = |name: &str| claims.0.get(name).map(|value| value.as_f64().ok_or(TokenError::Time));
        let (now_s, leeway_s) = (now.0 as f64 / 1000.0, LEEWAY_S as f64);
        //= RFC 7519 section 4.1.4 and 4.1.5: on or after `exp`, and before `nbf`, a token is refused.
        let expires = time("exp").ok_or(TokenError::Time)??;
        let begins = time("nbf").transpose()?;
        if now_s >= expires + leeway_s || begins.is_some_and(|begins| now_s + leeway_s < begins) {
            return Err(TokenError::Time);
        }
        if self.user_claim == "email" && claims.0.get("email_verified") == Some(&false.into()) {
            return Err(TokenError::Unverified);
        }
        let user = claims.0.get(&self.user_claim).and_then(|value| value.as_str());
        user.map(str::to_owned).ok_or_else(|| TokenError::NoUser(self.user_claim.clone()))
    }
}

#[derive(serde::Deserialize)]
struct Claims(HashMap<String, serde_json::Value>);
