//! Tokens of programs that ask the server over HTTP. The configuration has their hashes alone.
//!
//! A token is 32 random octets in base64url behind `wax_`, so that it is found when it was put where it does not belong. There is
//! nothing to guess in it: one SHA-256 is enough of a hash. All hashes are compared to the end, so that time tells nothing.
//!
//! Limits: [`MAX_API_TOKENS`]; a presented token of 256 octets, a longer one is nobody's.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Mailbox;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::password::PasswordError;

/// What every token begins with.
const PREFIX: &str = "wax_";
/// Tokens of one server.
pub const MAX_API_TOKENS: usize = 1_000;
/// Octets of a token that is looked at.
const MAX_API_TOKEN_OCTETS: usize = 256;
/// What the hash of a token begins with in the configuration.
const SCHEME: &str = "sha256:";

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiScope {
    /// To look at everything, the content of messages that wait included.
    Read,
    /// To look and to change.
    Admin,
    /// To send in the name of its user, and nothing else.
    Send,
}

impl ApiScope {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Admin => "admin",
            Self::Send => "send",
        }
    }
}

/// The hash of a token: `sha256:` and 64 hexadecimal digits. Debug output shows it, as it is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of what was presented.
    pub fn of(token: &str) -> Self {
        let mut octets = [0; 32];
        octets.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(octets)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl FromStr for TokenHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "is no hash of a token; `waxwing token new` makes one";
        let digits = text
            .strip_prefix(SCHEME)
            .filter(|digits| digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .ok_or(WRONG)?;
        let mut octets = [0; 32];
        for (nth, octet) in octets.iter_mut().enumerate() {
            *octet = u8::from_str_radix(&digits[2 * nth..2 * nth + 2], 16).map_err(|_| WRONG)?;
        }
        Ok(Self(octets))
    }
}

/// A token of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Whose it is, for the log.
    pub name: String,
    pub hash: TokenHash,
    pub scope: ApiScope,
    /// In whose name it sends; of [`ApiScope::Send`] alone.
    pub user: Option<Mailbox>,
}

/// Makes a token that nobody has had before.
///
/// # Errors
/// The system has no randomness to give.
pub fn new_api_token() -> Result<String, PasswordError> {
    let mut octets = [0; 32];
    SystemRandom::new().fill(&mut octets).map_err(|_| PasswordError::NoRandomness)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(octets)))
}

/// All tokens of a configuration.
#[derive(Debug, Clone, Default)]
pub struct ApiTokens(Vec<Arc<ApiToken>>);

impl ApiTokens {
    /// The tokens, at most [`MAX_API_TOKENS`] of them: what is beyond counts for nothing.
    pub fn new(tokens: Vec<ApiToken>) -> Self {
        Self(tokens.into_iter().take(MAX_API_TOKENS).map(Arc::new).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The token that was presented, if it is one of ours.
    pub fn find(&self, presented: &str) -> Option<&Arc<ApiToken>> {
        if presented.len() > MAX_API_TOKEN_OCTETS {
            return None;
        }
        let hash = TokenHash::of(presented);
        let (mut found, mut at) = (Choice::from(0), 0_u32);
        for (nth, token) in (0_u32..).zip(&self.0) {
            let same = token.hash.0.ct_eq(&hash.0);
            at.conditional_assign(&nth, same);
            found |= same;
        }
        self.0.get(at as usize).filter(|_| found.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, secret: &str) -> ApiToken {
        ApiToken { name: name.to_owned(), hash: TokenHash::of(secret), scope: ApiScope::Read, user: None }
    }

    #[test]
    fn a_token_is_found_by_what_was_presented_and_by_nothing_near_it() {
        let secrets: Vec<String> = (0..3).map(|_| new_api_token().unwrap()).collect();
        let tokens = ApiTokens::new(
            secrets.iter().zip(["a", "b", "c"]).map(|(secret, name)| token(name, secret)).collect(),
        );
        for (secret, name) in secrets.iter().zip(["a", "b", "c"]) {
            assert_eq!(tokens.find(secret).unwrap().name, name);
            assert!(secret.starts_with("wax_") && secret.len() == 47, "{secret}");
        }
        for wrong in ["", "wax_", &secrets[0][1..], &secrets[0].to_uppercase(), &"x".repeat(100_000)] {
            assert!(tokens.find(wrong).is_none(), "{wrong}");
        }
        assert!(ApiTokens::default().find("").is_none());
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        // FIPS 180-4, "abc".
        let written = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::of("abc").to_string(), written);
        assert_eq!(written.parse(), Ok(TokenHash::of("abc")));
        for bad in ["", "sha256:", &written[7..], &written[..70], &written.replace("ba", "zz"), "sha256:äää"]
        {
            assert!(bad.parse::<TokenHash>().is_err(), "{bad}");
        }
    }
}
