//! What clients may get wrong, by accident or not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;

use super::*;

fn failure(step: Step) -> Failure {
    outcome(step).unwrap_err().1
}

#[test]
fn the_name_that_was_tried_is_told() {
    let authenticator = authenticator();
    let step = say(&authenticator, "PLAIN", &[b"\0bob@example.org\0wrong"]);
    assert_eq!(outcome(step), Err((Some("bob@example.org".to_owned()), Failure::Credentials)));
    let step = say(&authenticator, "LOGIN", &[b"bob@example.org", b"wrong"]);
    assert_eq!(outcome(step), Err((Some("bob@example.org".to_owned()), Failure::Credentials)));
}

#[test]
fn a_mechanism_asks_for_what_did_not_come_with_auth() {
    let authenticator = authenticator();
    for (mechanism, asks) in [("PLAIN", ""), ("LOGIN", "Username:"), ("EXTERNAL", ""), ("SCRAM-SHA-256", "")]
    {
        let exchange = authenticator.begin(mechanism, channel(), moment()).unwrap();
        let Step::Challenge(next, challenge) = exchange.step(None) else { panic!("{mechanism}") };
        assert_eq!(challenge, asks.as_bytes(), "{mechanism}");
        assert_eq!(failure(next.step(None)), Failure::Malformed, "{mechanism}");
    }
    let exchange = authenticator.begin("LOGIN", channel(), moment()).unwrap();
    let Step::Challenge(next, challenge) = exchange.step(Some(b"alice@example.org")) else { panic!() };
    assert_eq!(challenge, b"Password:");
    assert!(matches!(next.step(Some(PASSWORD.as_bytes())), Step::Authenticated { .. }));
}

#[test]
fn a_client_that_was_kept_from_binding_is_refused() {
    let authenticator = authenticator();
    let y = b"y,,n=alice@example.org,r=abc";
    assert_eq!(failure(say(&authenticator, "SCRAM-SHA-256", &[y])), Failure::Credentials);
    // Where binding was not offered, the client is right.
    let open = Channel { exporter: None, server_end_point: None, ..channel() };
    let exchange = authenticator.begin("SCRAM-SHA-256", open, moment()).unwrap();
    assert!(matches!(exchange.step(Some(y)), Step::Challenge(..)));
}

#[test]
fn the_flag_for_binding_fits_the_mechanism() {
    let authenticator = authenticator();
    let bind = b"p=tls-exporter,,n=alice@example.org,r=abc";
    assert_eq!(failure(say(&authenticator, "SCRAM-SHA-256", &[bind])), Failure::Malformed);
    for flag in ["n", "y"] {
        let first = format!("{flag},,n=alice@example.org,r=abc");
        assert_eq!(
            failure(say(&authenticator, "SCRAM-SHA-256-PLUS", &[first.as_bytes()])),
            Failure::Malformed
        );
    }
}

#[test]
fn a_user_that_there_is_not_has_the_same_salt_each_time() {
    let ask = |authenticator: &Authenticator, name: &str| {
        let exchange = authenticator.begin("SCRAM-SHA-256", channel(), moment()).unwrap();
        let Step::Challenge(_, challenge) = exchange.step(Some(format!("n,,n={name},r=abc").as_bytes()))
        else {
            panic!("{name}")
        };
        String::from_utf8(challenge).unwrap().split_once(",s=").unwrap().1.to_owned()
    };
    let (one, other) = (authenticator(), authenticator());
    let salt = ask(&one, "nobody@example.org");
    assert_eq!(ask(&one, "Nobody@EXAMPLE.org"), salt);
    assert_eq!(ask(&other, "nobody@example.org"), salt);
    assert_ne!(ask(&one, "somebody@example.org"), salt);
    assert_ne!(ask(&Authenticator::new(options(), Secret([2; 32])), "nobody@example.org"), salt);
    // It looks like that of a real one.
    let real = ask(&one, "alice@example.org");
    assert_eq!((salt.len(), salt.split_once(',').unwrap().1), (real.len(), real.split_once(',').unwrap().1));
}

#[test]
fn a_proof_that_was_changed_is_refused() {
    let authenticator = authenticator();
    let begin = || {
        let exchange = authenticator.begin("SCRAM-SHA-256", channel(), moment()).unwrap();
        let Step::Challenge(next, challenge) = exchange.step(Some(b"n,,n=alice@example.org,r=abc")) else {
            panic!()
        };
        let challenge = String::from_utf8(challenge).unwrap();
        (next, challenge.split(',').next().unwrap().to_owned())
    };
    let proof = BASE64.encode([0; 32]);
    for (binding, nonce, expected) in [
        ("biws", "", Failure::Credentials),
        ("biws", "x", Failure::Credentials),
        ("eSws", "", Failure::Credentials),
        ("bi*s", "", Failure::Malformed),
    ] {
        let (next, first_nonce) = begin();
        let last = format!("c={binding},{first_nonce}{nonce},p={proof}");
        assert_eq!(failure(next.step(Some(last.as_bytes()))), expected, "{last}");
    }
    for bad in [
        "".to_owned(),
        "c=biws".to_owned(),
        format!("c=biws,p={proof}"),
        format!("r=abc,c=biws,p={proof}"),
        "c=biws,r=abc,p=AAAA".to_owned(),
        format!("c=biws,r=abc,m=x,p={proof}"),
    ] {
        let (next, _) = begin();
        assert_eq!(failure(next.step(Some(bad.as_bytes()))), Failure::Malformed, "{bad}");
    }
}

#[test]
fn messages_that_cannot_be_read_are_malformed() {
    let authenticator = authenticator();
    for bad in [
        "",
        "n",
        "n,,",
        "n,,n=a",
        "n,,r=abc,n=a",
        "n,,n=,r=abc",
        "n,,n=a=b,r=abc",
        "n,,n=a,r=",
        "n,,m=x,n=a,r=b",
        "x,,n=a,r=b",
        "n,b=c,n=a,r=b",
    ] {
        assert_eq!(
            failure(say(&authenticator, "SCRAM-SHA-256", &[bad.as_bytes()])),
            Failure::Malformed,
            "{bad}"
        );
    }
    let long = vec![b'a'; 20_000];
    for mechanism in ["PLAIN", "LOGIN", "EXTERNAL", "OAUTHBEARER", "XOAUTH2", "SCRAM-SHA-256"] {
        assert_eq!(failure(say(&authenticator, mechanism, &[&long])), Failure::Malformed, "{mechanism}");
        assert_eq!(
            failure(say(&authenticator, mechanism, &[b"\xff\xfe"])),
            Failure::Malformed,
            "{mechanism}"
        );
    }
    assert_eq!(failure(say(&authenticator, "LOGIN", &[b""])), Failure::Malformed);
    assert_eq!(failure(say(&authenticator, "LOGIN", &[b"alice@example.org", b""])), Failure::Malformed);
}

#[test]
fn a_token_that_does_not_count_is_told_why_before_it_fails() {
    let authenticator = authenticator();
    for (mechanism, first, expected) in [
        (
            "OAUTHBEARER",
            &b"n,,\x01auth=Bearer abc\x01\x01"[..],
            r#"{"scope":"mail","status":"invalid_token"}"#,
        ),
        (
            "XOAUTH2",
            b"user=alice@example.org\x01auth=Bearer abc\x01\x01",
            r#"{"schemes":"Bearer","scope":"mail","status":"401"}"#,
        ),
    ] {
        let exchange = authenticator.begin(mechanism, channel(), moment()).unwrap();
        let Step::Challenge(next, challenge) = exchange.step(Some(first)) else { panic!("{mechanism}") };
        assert_eq!(String::from_utf8(challenge).unwrap(), expected);
        assert_eq!(failure(next.step(Some(b"\x01"))), Failure::Credentials);
    }
}

#[test]
fn a_certificate_that_stands_for_several_stands_for_nobody() {
    let mut users = users();
    users[1].certificate = vec!["cn=bob".to_owned()];
    let options = AuthOptions { directory: Directory::new(users).unwrap(), ..options() };
    let authenticator = Authenticator::new(options, Secret([1; 32]));
    let both = Channel { client_identities: vec!["cn=alice".to_owned(), "cn=bob".to_owned()], ..channel() };
    let exchange = authenticator.begin("EXTERNAL", both, moment()).unwrap();
    assert_eq!(failure(exchange.step(Some(b""))), Failure::Credentials);
}

#[test]
fn every_failure_has_its_reply() {
    for (failure, code, status) in [
        (Failure::Credentials, 535, "5.7.8"),
        (Failure::Malformed, 501, "5.5.2"),
        (Failure::UnknownMechanism, 504, "5.5.4"),
        (Failure::NeedsTls, 538, "5.7.11"),
        (Failure::TooWeak, 534, "5.7.9"),
        (Failure::TooMany, 454, "4.7.0"),
        (Failure::Temporary, 454, "4.7.0"),
    ] {
        let reply = failure.reply();
        assert_eq!((reply.code, reply.status.unwrap().to_string().as_str()), (code, status));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_responses_make_an_exchange_panic(
        which in 0..Mechanism::ALL.len(),
        responses in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..4),
    ) {
        let authenticator = authenticator_without_cost();
        let responses: Vec<&[u8]> = responses.iter().map(Vec::as_slice).collect();
        let _ = say(&authenticator, Mechanism::ALL[which].as_str(), &responses);
    }

    #[test]
    fn no_text_like_a_message_makes_an_exchange_panic(
        which in 0..Mechanism::ALL.len(),
        responses in prop::collection::vec("([ynpacrsm]=?|,|=2C|=3D|=|\\x01|\\x00|user=|auth=Bearer |tls-exporter|[a-z@.]{1,4}|biws){0,12}", 1..4),
    ) {
        let authenticator = authenticator_without_cost();
        let responses: Vec<&[u8]> = responses.iter().map(String::as_bytes).collect();
        let _ = say(&authenticator, Mechanism::ALL[which].as_str(), &responses);
    }
}

/// Without limits to run into; PLAIN computes as little as it can.
fn authenticator_without_cost() -> Authenticator {
    let scram = "SCRAM-SHA-256$4096:AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let user = User {
        records: vec![cheap_argon2("x"), scram.parse().unwrap()],
        certificate: vec!["cn=alice".to_owned()],
        ..User::new(mailbox("a@b"))
    };
    let options = AuthOptions { directory: Directory::new(vec![user]).unwrap(), ..options() };
    Authenticator::new(options, Secret([1; 32]))
}
