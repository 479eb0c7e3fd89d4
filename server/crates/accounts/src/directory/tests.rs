use model::Domain;

use super::*;
use crate::{DomainOptions, LocalDomains, Options, Sender};

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn user(name: &str) -> User {
    User::new(mailbox(name))
}

#[test]
fn names_are_found_whatever_their_case() {
    let directory = Directory::new(vec![user("Alice@example.org"), user("bücher@example.org")]).unwrap();
    for name in ["alice@example.org", "ALICE@EXAMPLE.ORG", "\"alice\"@example.org.", "Bücher@example.org"] {
        assert!(directory.user(name).is_some(), "{name}");
    }
    for name in ["", "alice", "alice@", "alice+x@example.org", "alice@example.com", "alice\0@example.org"] {
        assert!(directory.user(name).is_none(), "{name}");
    }
    assert_eq!(directory.users().len(), 2);
}

#[test]
fn users_that_cannot_be_told_apart_are_refused() {
    let twice = Directory::new(vec![user("alice@example.org"), user("Alice@EXAMPLE.org")]);
    assert_eq!(twice.unwrap_err(), DirectoryError::DuplicateUser(mailbox("Alice@example.org")));
    let with = |name: &str, identity: &str| User { certificate: vec![identity.to_owned()], ..user(name) };
    let shared = Directory::new(vec![with("alice@example.org", "CN=a"), with("bob@example.org", "cn=A")]);
    let error = DirectoryError::DuplicateCertificate {
        name: mailbox("bob@example.org"),
        identity: "cn=A".to_owned(),
    };
    assert_eq!(shared.unwrap_err(), error);
    let record = "$argon2id$v=19$m=16,t=2,p=1$c29tZXNhbHQ$rgaN2Yn0l8QPyU0w0RiBVg".parse().unwrap();
    let many = User { records: vec![record; MAX_RECORDS + 1], ..user("alice@example.org") };
    let error = DirectoryError::TooManyRecords(mailbox("alice@example.org"));
    assert_eq!(Directory::new(vec![many]).unwrap_err(), error);
}

#[test]
fn users_send_as_themselves_and_as_what_is_listed() {
    let domain = |name: &str| Domain::parse(name).unwrap();
    let named = DomainOptions {
        mailboxes: Some(vec!["alice".to_owned(), "alice+boss".to_owned(), "sales".to_owned()]),
        ..DomainOptions::new(domain("example.org"))
    };
    let options = Options { hostname: domain("mx.example.org"), domains: vec![named] };
    let local = LocalDomains::new(options).unwrap();
    let senders: Result<Vec<Sender>, _> = ["sales@example.org", "@lists.example.org", "Me@elsewhere.example"]
        .map(str::parse)
        .into_iter()
        .collect();
    let alice = User { senders: senders.unwrap(), ..user("Alice@example.org") };
    for address in [
        "alice@example.org",
        "ALICE+news@Example.org",
        "sales@example.org",
        "Sales+x@example.org",
        "anybody@lists.example.org",
        "me@elsewhere.example",
    ] {
        assert!(alice.may_send_as(&mailbox(address), &local), "{address}");
    }
    for address in [
        "bob@example.org",
        // A mailbox of its own.
        "alice+boss@example.org",
        "anybody@sub.lists.example.org",
        "alice@lists.example",
        // Nobody here knows what a plus means there.
        "me+x@elsewhere.example",
    ] {
        assert!(!alice.may_send_as(&mailbox(address), &local), "{address}");
    }
    for bad in ["", "@", "sales", "@@example.org", "a b@example.org"] {
        assert!(bad.parse::<Sender>().is_err(), "{bad:?}");
    }
}
