//! The server's side of every mechanism, and what its tests have in common.

use std::time::Duration;

use model::Mailbox;

use super::*;
use crate::{Sender, TokenAlgorithm, TokenKey};

mod clients;
mod limits;
mod refusals;

pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const SECRET: &[u8] = b"a secret of the issuer, 32 octets or more";
pub(crate) const EXPORTER: [u8; 32] = [7; 32];

pub(crate) fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

/// Records that cost next to nothing.
pub(crate) fn cheap_argon2(password: &str) -> Record {
    use argon2::password_hash::PasswordHasher;
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let argon2 = argon2::Argon2::new(Default::default(), Default::default(), params);
    Record::Argon2id(Box::new(argon2.hash_password(password.as_bytes()).unwrap()))
}

/// Alice has records of both kinds and a certificate, Bob none but an Argon2 one, Carol none at all.
pub(crate) fn users() -> Vec<User> {
    let user = |name: &str| User::new(mailbox(name));
    vec![
        User {
            records: vec![cheap_argon2(PASSWORD), Record::scram(PASSWORD).unwrap()],
            senders: vec!["@lists.example.org".parse::<Sender>().unwrap()],
            certificate: vec!["CN=Alice".to_owned()],
            ..user("Alice@example.org")
        },
        User { records: vec![cheap_argon2("hunter22")], ..user("bob@example.org") },
        user("carol@example.org"),
    ]
}

pub(crate) fn options() -> AuthOptions {
    let algorithm: TokenAlgorithm = "HS256".parse().unwrap();
    AuthOptions {
        directory: Directory::new(users()).unwrap(),
        mechanisms: Some(Mechanism::ALL.to_vec()),
        tokens: Some(TokenOptions {
            issuer: "https://id.example.org".to_owned(),
            audience: vec!["mail".to_owned()],
            keys: vec![TokenKey::from_file(None, algorithm, SECRET).unwrap()],
            user_claim: "email".to_owned(),
            scope: Some("mail".to_owned()),
            openid_configuration: None,
        }),
        ..AuthOptions::default()
    }
}

pub(crate) fn authenticator() -> Authenticator {
    Authenticator::new(options(), Secret([1; 32]))
}

pub(crate) fn channel() -> Channel {
    Channel {
        tls: true,
        exporter: Some(EXPORTER.to_vec()),
        server_end_point: Some(vec![9; 32]),
        client_identities: vec!["cn=alice".to_owned()],
        ..Channel::without_tls("192.0.2.1".parse().unwrap())
    }
}

pub(crate) fn moment() -> Moment {
    Moment { now: clock::now(), wall: clock::wall() }
}

/// Begins, and says these responses one after the other.
pub(crate) fn say(authenticator: &Authenticator, mechanism: &str, responses: &[&[u8]]) -> Step {
    let mut exchange = authenticator.begin(mechanism, channel(), moment()).unwrap();
    for (nth, response) in responses.iter().enumerate() {
        match exchange.step(Some(response)) {
            Step::Challenge(next, _) if nth + 1 < responses.len() => exchange = next,
            step => return step,
        }
    }
    panic!("nothing was said");
}

/// The name and reason of a failure; the user's name otherwise.
pub(crate) fn outcome(step: Step) -> Result<String, (Option<String>, Failure)> {
    match step {
        Step::Authenticated { user } => Ok(user.name.to_string()),
        Step::Failed { name_tried, reason } => Err((name_tried, reason)),
        Step::Challenge(_, challenge) => panic!("{:?}", String::from_utf8_lossy(&challenge)),
    }
}

/// A signed token of the issuer, with the claims that differ from a good one.
pub(crate) fn token(changes: serde_json::Value) -> String {
    let now_s = clock::wall().0 / 1000;
    let mut claims = serde_json::json!({
        "iss": "https://id.example.org", "aud": "mail", "exp": now_s + 600, "email": "alice@example.org",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    crate::token::tests::sign(
        jsonwebtoken::Header::default(),
        &claims,
        &jsonwebtoken::EncodingKey::from_secret(SECRET),
    )
}

#[test]
fn mechanisms_are_offered_where_they_can_be_used() {
    let authenticator = authenticator();
    let all: Vec<&str> = Mechanism::ALL.map(Mechanism::as_str).to_vec();
    assert_eq!(authenticator.mechanisms(&channel()), all);
    let open = Channel::without_tls("192.0.2.1".parse().unwrap());
    assert_eq!(authenticator.mechanisms(&open), ["SCRAM-SHA-256"]);
    let begin = |mechanism: &str| authenticator.begin(mechanism, open.clone(), moment()).unwrap_err();
    assert_eq!(begin("PLAIN"), Failure::NeedsTls);
    assert_eq!(begin("SCRAM-SHA-256-PLUS"), Failure::UnknownMechanism);
    assert_eq!(begin("CRAM-MD5"), Failure::UnknownMechanism);
    let options = AuthOptions { plaintext_without_tls: true, ..options() };
    let authenticator = Authenticator::new(options, Secret([1; 32]));
    assert_eq!(
        authenticator.mechanisms(&open),
        ["SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"]
    );
}

#[test]
fn what_the_postmaster_does_not_list_is_too_weak() {
    let options = AuthOptions { mechanisms: Some(vec![Mechanism::ScramSha256Plus]), ..options() };
    let authenticator = Authenticator::new(options, Secret([1; 32]));
    assert_eq!(authenticator.mechanisms(&channel()), ["SCRAM-SHA-256-PLUS"]);
    assert_eq!(authenticator.begin("plain", channel(), moment()).unwrap_err(), Failure::TooWeak);
}

#[test]
fn by_default_scram_is_offered_when_everybody_with_a_password_can_use_it() {
    let mechanisms = |users: Vec<User>| {
        let options = AuthOptions {
            directory: Directory::new(users).unwrap(),
            mechanisms: None,
            ..AuthOptions::default()
        };
        Authenticator::new(options, Secret([1; 32])).mechanisms(&channel())
    };
    assert_eq!(mechanisms(Vec::new()), [""; 0]);
    assert_eq!(mechanisms(users()), ["EXTERNAL", "PLAIN", "LOGIN"]);
    let without_bob = users().into_iter().filter(|user| user.name.local() != "bob").collect();
    let all = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "EXTERNAL", "PLAIN", "LOGIN"];
    assert_eq!(mechanisms(without_bob), all);
}

#[test]
fn an_exchange_can_go_to_another_thread() {
    fn assert_send<T: Send + 'static>() {}
    assert_send::<Exchange>();
    assert_send::<Step>();
    assert_send::<Authenticator>();
}

#[test]
fn nothing_secret_is_in_debug_output() {
    let authenticator = authenticator();
    let shown = format!("{authenticator:?} {:?} {:?}", Secret([1; 32]), users());
    for secret in ["$argon2", "SCRAM-SHA-256$", "a secret of the issuer", "[1, 1", "[7, 7, 7"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    let text = users()[0].records[1].to_text();
    let stored = text.rsplit('$').next().unwrap();
    assert!(!shown.contains(stored));
}
