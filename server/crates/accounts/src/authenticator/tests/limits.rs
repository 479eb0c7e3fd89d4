//! How often a client may fail.

use super::*;

fn fails(authenticator: &Authenticator, mechanism: &str, responses: &[&[u8]]) -> Failure {
    outcome(say(authenticator, mechanism, responses)).unwrap_err().1
}

#[test]
fn after_too_many_failures_even_the_right_password_is_not_looked_at() {
    let authenticator = authenticator();
    let (wrong, right) = (&b"\0bob@example.org\0wrong"[..], &b"\0BOB@example.org\0hunter22"[..]);
    for _ in 0..AttemptLimits::default().per_user {
        assert_eq!(fails(&authenticator, "PLAIN", &[wrong]), Failure::Credentials);
    }
    assert_eq!(fails(&authenticator, "PLAIN", &[right]), Failure::TooMany);
    assert_eq!(fails(&authenticator, "LOGIN", &[b"bob@example.org", b"hunter22"]), Failure::TooMany);
    assert_eq!(fails(&authenticator, "SCRAM-SHA-256", &[b"n,,n=bob@example.org,r=abc"]), Failure::TooMany);
    // Others from there, and the same from elsewhere, go on.
    let step = say(&authenticator, "PLAIN", &[b"\0alice@example.org\0correct horse"]);
    assert!(outcome(step).is_ok());
    let elsewhere = Channel { address: "192.0.2.2".parse().unwrap(), ..channel() };
    let exchange = authenticator.begin("PLAIN", elsewhere, moment()).unwrap();
    assert!(outcome(exchange.step(Some(right))).is_ok());
    // A reload forgets nothing; the time does.
    let reloaded = authenticator.with_options(options());
    assert_eq!(fails(&reloaded, "PLAIN", &[right]), Failure::TooMany);
    let later = Moment { now: clock::now() + Duration::from_secs(16 * 60), ..moment() };
    let exchange = reloaded.begin("PLAIN", channel(), later).unwrap();
    assert!(outcome(exchange.step(Some(right))).is_ok());
}

#[test]
fn an_address_that_fails_too_often_cannot_even_begin() {
    let limits = AttemptLimits { per_address: 3, ..AttemptLimits::default() };
    let authenticator = Authenticator::new(AuthOptions { limits, ..options() }, Secret([1; 32]));
    for name in ["a@example.org", "b@example.org", "c@example.org"] {
        fails(&authenticator, "PLAIN", &[format!("\0{name}\0wrong").as_bytes()]);
    }
    assert_eq!(authenticator.begin("PLAIN", channel(), moment()).unwrap_err(), Failure::TooMany);
}

#[test]
fn whoever_succeeds_starts_anew() {
    let limits = AttemptLimits { per_user: 2, per_address: 4, ..AttemptLimits::default() };
    let authenticator = Authenticator::new(AuthOptions { limits, ..options() }, Secret([1; 32]));
    for _ in 0..3 {
        assert_eq!(fails(&authenticator, "PLAIN", &[b"\0bob@example.org\0wrong"]), Failure::Credentials);
        assert!(outcome(say(&authenticator, "PLAIN", &[b"\0bob@example.org\0hunter22"])).is_ok());
    }
    // The address keeps its failures, and only those.
    assert_eq!(fails(&authenticator, "PLAIN", &[b"\0bob@example.org\0wrong"]), Failure::Credentials);
    assert_eq!(authenticator.begin("PLAIN", channel(), moment()).unwrap_err(), Failure::TooMany);
}
