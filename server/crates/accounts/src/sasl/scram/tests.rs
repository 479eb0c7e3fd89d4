//! The exchange of RFC 7677 section 3, octet for octet.

use super::*;
use crate::authenticator::tests::{channel, moment};
use crate::{AuthOptions, Authenticator, Directory, Record, Secret};

#[test]
fn the_example_of_rfc_7677_is_carried_out() {
    // Keys of the user "user" with the password "pencil", the example's salt and 4096 iterations.
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let iterations = std::num::NonZeroU32::new(4096).unwrap();
    let record = ScramRecord::derive(b"pencil", salt, iterations);
    let user = User {
        records: vec![Record::Scram(Box::new(record.clone()))],
        ..User::new(model::Mailbox::parse("user@example.org").unwrap())
    };
    let options = AuthOptions { directory: Directory::new(vec![user]).unwrap(), ..AuthOptions::default() };
    let authenticator = Authenticator::new(options, Secret([1; 32]));
    let (channel, at) = (channel(), moment());
    let desk = Desk { site: authenticator.site(), channel: &channel, at };

    let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    let Next::Challenge(State::ScramFinal(mut state), challenge) =
        First { plus: false }.answer(&desk, first, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    else {
        panic!("no challenge")
    };
    // The example's user has no domain, which every user here has: the keys are put in its place.
    state.user = desk.user("user@example.org").cloned();
    state.said = state.said.replace(&BASE64.encode(&state.record.salt), "W22ZaJ0SNY7soEsUEjb6gQ==");
    state.record = record;
    let nonce = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=";
    assert!(challenge.starts_with(nonce.as_bytes()) && challenge.ends_with(b",i=4096"));

    let last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let Next::Challenge(State::ScramProved(proved), verifier) = state.step(&desk, last) else {
        panic!("no proof")
    };
    assert_eq!(verifier, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert!(matches!(proved.step(b""), Next::Done(_)));
}
