//! SCRAM-SHA-256, with and without channel binding (RFC 5802, 7677). The hashes are ring's.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

use super::{Binding, Credentials, SaslFault};

const ROUNDS: std::ops::RangeInclusive<u32> = 4_096..=200_000;

/// What stands before the first message: whether the exchange is bound to its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gs2 {
    /// We cannot.
    None,
    /// We could, but the peer does not offer it.
    NotOffered,
    Bound(Binding),
}

impl Gs2 {
    pub(super) fn of(binding: Option<&Binding>) -> Self {
        binding.cloned().map_or(Self::None, Self::Bound)
    }

    fn header(&self) -> String {
        match self {
            Self::None => "n,,".to_owned(),
            Self::NotOffered => "y,,".to_owned(),
            Self::Bound(binding) => format!("p={},,", binding.kind),
        }
    }

    /// The attribute `c`.
    fn input(&self) -> String {
        let mut octets = self.header().into_bytes();
        if let Self::Bound(binding) = self {
            octets.extend_from_slice(&binding.data);
        }
        STANDARD.encode(octets)
    }
}

#[derive(Debug)]
enum State {
    /// The server's first message is waited for.
    First,
    /// Its last one is, which has to carry this.
    Final(Vec<u8>),
    Proven,
}

/// One exchange.
pub(crate) struct Scram {
    gs2: Gs2,
    /// As `n=user,r=nonce`.
    first_bare: String,
    nonce: String,
    password: String,
    state: State,
}

impl std::fmt::Debug for Scram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scram").field("gs2", &self.gs2).finish_non_exhaustive()
    }
}

impl Scram {
    pub(super) fn begin(credentials: &Credentials, gs2: Gs2) -> Result<(Self, Vec<u8>), SaslFault> {
        let prepared = |text: &str| {
            stringprep::saslprep(text).map(std::borrow::Cow::into_owned).map_err(|_| SaslFault::Characters)
        };
        let username = prepared(&credentials.username)?.replace('=', "=3D").replace(',', "=2C");
        let password = prepared(&credentials.password)?;
        let nonce = credentials.nonce.clone();
        let first_bare = format!("n={username},r={nonce}");
        let first = format!("{}{first_bare}", gs2.header()).into_bytes();
        Ok((Self { gs2, first_bare, nonce, password, state: State::First }, first))
    }

    pub(super) fn is_proven(&self) -> bool {
        matches!(self.state, State::Proven)
    }

    pub(super) fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFault> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| SaslFault::Challenge)?;
        match &self.state {
            State::First => self.prove(challenge),
            State::Final(expected) => {
                let signature = challenge.strip_prefix("v=").and_then(|text| STANDARD.decode(text).ok());
                if signature.as_ref() != Some(expected) {
                    return Err(SaslFault::NotMutual);
                }
                self.state = State::Proven;
                Ok(Vec::new())
            }
            State::Proven => Err(SaslFault::Challenge),
        }
    }

    /// From `r=nonce,s=salt,i=rounds` to the proof.
    fn prove(&mut self, server_first: &str) -> Result<Vec<u8>, SaslFault> {
        let mut attributes = server_first.split(',');
        let mut next = |name: &str| {
            attributes.next().and_then(|text| text.strip_prefix(name)).ok_or(SaslFault::Challenge)
        };
        let (nonce, salt, rounds) = (next("r=")?, next("s=")?, next("i=")?);
        //= RFC 5802 section 5.1: the nonce is ours with the server's behind it.
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(SaslFault::Challenge);
        }
        let salt = STANDARD.decode(salt).map_err(|_| SaslFault::Challenge)?;
        let rounds: u32 = rounds.parse().map_err(|_| SaslFault::Rounds)?;
        let rounds = Some(rounds).filter(|rounds| ROUNDS.contains(rounds)).and_then(NonZeroU32::new);
        let rounds = rounds.ok_or(SaslFault::Rounds)?;

        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, self.password.as_bytes(), &mut salted);
        let without_proof = format!("c={},r={nonce}", self.gs2.input());
        let said = format!("{},{server_first},{without_proof}", self.first_bare);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let signature = sign(stored_key.as_ref(), said.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        let server_key = sign(&salted, b"Server Key");
        self.state = State::Final(sign(server_key.as_ref(), said.as_bytes()).as_ref().to_vec());
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes())
    }
}

fn sign(key: &[u8], octets: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        // The example of RFC 7677 section 3.
        Credentials {
            username: "user".into(),
            password: "pencil".into(),
            nonce: "rOprNGfwEbeRWgbNEkqO".into(),
        }
    }

    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_example_of_the_standard_is_answered_as_it_says() {
        let (mut scram, first) = Scram::begin(&credentials(), Gs2::None).unwrap();
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let proof = scram.respond(SERVER_FIRST).unwrap();
        assert_eq!(
            String::from_utf8(proof).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(!scram.is_proven());
        assert_eq!(scram.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(Vec::new()));
        assert!(scram.is_proven());
        assert_eq!(scram.respond(b""), Err(SaslFault::Challenge));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_not_believed() {
        let (mut scram, _) = Scram::begin(&credentials(), Gs2::None).unwrap();
        scram.respond(SERVER_FIRST).unwrap();
        assert_eq!(scram.respond(b"v=AAAA"), Err(SaslFault::NotMutual));
        assert!(!scram.is_proven());
    }

    #[test]
    fn what_is_no_challenge_is_not_answered() {
        for (bad, fault) in [
            ("", SaslFault::Challenge),
            ("r=other,s=AAAA,i=4096", SaslFault::Challenge),
            ("r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096", SaslFault::Challenge),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096", SaslFault::Challenge),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1", SaslFault::Rounds),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4000000000", SaslFault::Rounds),
            ("m=ext,r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4096", SaslFault::Challenge),
        ] {
            let (mut scram, _) = Scram::begin(&credentials(), Gs2::None).unwrap();
            assert_eq!(scram.respond(bad.as_bytes()), Err(fault), "{bad}");
        }
    }
}
