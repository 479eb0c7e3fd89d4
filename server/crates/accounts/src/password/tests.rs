use proptest::prelude::*;

use super::*;

const ARGON2: &str = "$argon2id$v=19$m=16,t=2,p=1$c29tZXNhbHQ$rgaN2Yn0l8QPyU0w0RiBVg";
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn parse(text: &str) -> Result<Record, RecordError> {
    text.parse()
}

fn matches(record: &Record, password: &str) -> bool {
    check(std::slice::from_ref(record), password, Effort::default(), &Decoys::default()).0
}

#[test]
fn records_open_for_their_password_and_read_back() {
    for record in [Record::argon2id("pass word").unwrap(), Record::scram("pass word").unwrap()] {
        assert!(matches(&record, "pass word"));
        assert!(matches(&record, "pass\u{a0}word"));
        for wrong in ["pass  word", "Pass word", "", "pass word\0"] {
            assert!(!matches(&record, wrong), "{wrong:?}");
        }
        assert_eq!(parse(&record.to_text()).unwrap(), record);
    }
    let text = Record::argon2id("x").unwrap().to_text();
    assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    assert!(Record::scram("x").unwrap().to_text().starts_with("SCRAM-SHA-256$100000:"));
}

#[test]
fn what_is_no_password_has_no_record() {
    assert_eq!(Record::argon2id("").unwrap_err(), PasswordError::Empty);
    // SASLprep takes a soft hyphen away.
    assert_eq!(Record::scram("\u{ad}").unwrap_err(), PasswordError::Empty);
    assert_eq!(Record::argon2id("a\u{7}b").unwrap_err(), PasswordError::Characters);
    assert_eq!(Record::scram(&"x".repeat(2000)).unwrap_err(), PasswordError::TooLong);
}

#[test]
fn a_record_says_what_is_wrong_with_it() {
    assert!(parse(ARGON2).is_ok());
    assert!(parse(&format!("SCRAM-SHA-256$4096:AAAA${KEY}:{KEY}")).is_ok());
    for (text, error) in [
        ("hunter22".to_owned(), RecordError::Unknown),
        ("$2b$12$abc".to_owned(), RecordError::Unknown),
        (format!("SCRAM-SHA-1$4096:AAAA${KEY}:{KEY}"), RecordError::Unknown),
        ("$argon2id$v=19$m=16,t=2,p=1$c29tZXNhbHQ".to_owned(), RecordError::NoHash),
        (ARGON2.replace("argon2id", "argon2i"), RecordError::OtherArgon2),
        (ARGON2.replace("m=16", "m=2000000"), RecordError::TooCostly),
        (ARGON2.replace("t=2", "t=1000"), RecordError::TooCostly),
        ("SCRAM-SHA-256$4096:AAAA".to_owned(), RecordError::Scram),
        (format!("SCRAM-SHA-256$4095:AAAA${KEY}:{KEY}"), RecordError::Iterations),
        (format!("SCRAM-SHA-256$1000001:AAAA${KEY}:{KEY}"), RecordError::Iterations),
        (format!("SCRAM-SHA-256$x:AAAA${KEY}:{KEY}"), RecordError::Iterations),
        (format!("SCRAM-SHA-256$4096:A${KEY}:{KEY}"), RecordError::Base64("salt")),
        (format!("SCRAM-SHA-256$4096:${KEY}:{KEY}"), RecordError::Salt),
        (format!("SCRAM-SHA-256$4096:AAAA${KEY}:AAAA"), RecordError::KeyLength("ServerKey")),
        (format!("SCRAM-SHA-256$4096:AAAA$*:{KEY}"), RecordError::Base64("StoredKey")),
        ("x".repeat(2000), RecordError::TooLong),
    ] {
        assert_eq!(parse(&text).unwrap_err(), error, "{text}");
    }
    assert!(matches!(parse("$argon2id$nonsense"), Err(RecordError::Argon2(_))));
}

#[test]
fn a_failed_check_computes_the_same_whoever_was_named() {
    let argon2 = parse(ARGON2).unwrap();
    let scram = parse(&format!("SCRAM-SHA-256$4096:AAAA${KEY}:{KEY}")).unwrap();
    let users = [vec![argon2.clone(), scram.clone()], vec![argon2.clone(), argon2], vec![scram], Vec::new()];
    let effort = users.iter().map(|records| Effort::of(records)).fold(Effort::default(), Effort::max);
    assert_eq!(effort, Effort { argon2: 2, scram: 1 });
    let decoys = Decoys::new(users.iter().flatten(), b"secret");
    for records in &users {
        for password in ["wrong", "", "not\u{7}prepared", &"long".repeat(1000)] {
            assert_eq!(check(records, password, effort, &decoys), (false, effort), "{records:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_of_records_panic(text in "(\\$|argon2id|SCRAM-SHA-256|v=19|m=16,t=2,p=1|4096:|:|[A-Za-z0-9+/=]{0,8}|\\PC{0,4}){0,10}") {
        let _ = parse(&text);
    }
}
