//! Users, and how they authenticate.

use std::time::Duration;

use accounts::{Authenticator, Channel, Mechanism, Secret};

use super::*;

#[test]
fn the_users_of_an_example_are_read() {
    let config = parse(include_str!("example.toml")).unwrap();
    let directory = &config.authenticator.directory;
    let alice = directory.user("ALICE@example.org").unwrap();
    assert_eq!((alice.records.len(), &*alice.certificate), (2, &["CN=alice".to_owned()][..]));
    let local = &config.inbound.local;
    for address in ["alice+news@example.org", "sales@example.org", "any@lists.example.org"] {
        assert!(alice.may_send_as(&mailbox(address), local), "{address}");
    }
    assert!(!alice.may_send_as(&mailbox("bob@example.org"), local));
    // He is in the users' own file.
    assert_eq!(directory.user("bob@example.org").unwrap().records.len(), 1);
    assert_eq!(directory.users().len(), 2);
}

#[test]
fn the_ways_to_authenticate_of_an_example_are_read() {
    let options = parse(include_str!("example.toml")).unwrap().authenticator;
    let listed = [Mechanism::ScramSha256, Mechanism::OauthBearer, Mechanism::Plain];
    assert_eq!(options.mechanisms.as_deref(), Some(&listed[..]));
    assert!(options.plaintext_without_tls);
    assert_eq!((options.limits.per_user, options.limits.per_user_window), (3, Duration::from_secs(3600)));
    assert_eq!((options.limits.per_address, options.limits.max_entries), (50, 50_000));
    let tokens = options.tokens.as_ref().unwrap();
    assert_eq!(
        (tokens.issuer.as_str(), &*tokens.audience),
        ("https://id.example.org", &["mail".to_owned()][..])
    );
    assert_eq!((tokens.user_claim.as_str(), tokens.keys.len()), ("preferred_username", 2));
    let channel = Channel::without_tls("192.0.2.1".parse().unwrap());
    let mechanisms = Authenticator::new(options, Secret([0; 32])).mechanisms(&channel);
    assert_eq!(mechanisms, ["SCRAM-SHA-256", "OAUTHBEARER", "PLAIN"]);
}

#[test]
fn no_password_record_or_key_is_shown() {
    let config = parse(include_str!("example.toml")).unwrap();
    let shown = format!("{config:?}");
    for secret in ["$argon2id", "c29tZXNhbHQ", "W22ZaJ0S", "WG5d8oPm", "a secret of the issuer"] {
        assert!(!shown.contains(secret), "{secret}");
    }
}
