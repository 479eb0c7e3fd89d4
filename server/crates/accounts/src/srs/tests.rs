use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn address(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn host(domain: &str) -> Srs {
    Srs::new(format!("the secret of {domain}").as_bytes(), Domain::parse(domain).unwrap())
}

fn days(count: u64) -> Timestamp {
    Timestamp(NOW.0 + count * DAY_MS)
}

#[test]
fn a_sender_is_rewritten_and_found_again_whatever_became_of_its_case() {
    let ours = host("ours.example");
    let rewritten = ours.forward(&address("Ann.Lee@From.example"), NOW).unwrap();
    let text = rewritten.to_string();
    assert!(text.starts_with("SRS0=") && text.ends_with("=from.example=Ann.Lee@ours.example"), "{text}");
    assert_eq!(ours.reverse(&rewritten, NOW), Some(Ok(address("Ann.Lee@from.example"))));
    let shouted = address(&text.to_ascii_uppercase());
    assert_eq!(ours.reverse(&shouted, NOW), Some(Ok(address("ANN.LEE@from.example"))));
}

#[test]
fn an_address_counts_for_its_days_also_where_their_count_begins_again() {
    let ours = host("ours.example");
    for start in [0, DAYS - day_of(NOW) - 3] {
        let rewritten = ours.forward(&address("ann@from.example"), days(start)).unwrap();
        let at = |later| ours.reverse(&rewritten, days(start + later)).unwrap();
        assert!(at(MAX_AGE_DAYS).is_ok());
        assert_eq!(at(MAX_AGE_DAYS + 1), Err(SrsError::Expired));
    }
}

#[test]
fn what_another_has_made_up_is_not_believed() {
    let ours = host("ours.example");
    let rewritten = ours.forward(&address("ann@from.example"), NOW).unwrap().to_string();
    for forged in [
        rewritten.replace("=ann@", "=eve@"),
        rewritten.replace("from.example", "evil.example"),
        "SRS0=aaaaaa=aa=from.example=ann@ours.example".to_owned(),
        "SRS0=x@ours.example".to_owned(),
        "SRS0=@ours.example".to_owned(),
        "SRS1=aaaaaa=a.example==b=c@ours.example".to_owned(),
        rewritten.replace("SRS0", "SRS1"),
    ] {
        assert_eq!(ours.reverse(&address(&forged), NOW), Some(Err(SrsError::Forged)), "{forged}");
    }
    for other in ["ann@ours.example", "SRS0@ours.example", "SRS0x=1@ours.example", "SRS0=a=b@other.example"] {
        assert_eq!(ours.reverse(&address(other), NOW), None, "{other}");
    }
}

#[test]
fn mail_that_was_forwarded_by_three_hosts_comes_back_past_the_second() {
    let [first, second, third] = ["first.example", "second.example", "third.example"].map(host);
    let ann = address("ann@from.example");
    let once = first.forward(&ann, NOW).unwrap();
    let twice = second.forward(&once, NOW).unwrap();
    let thrice = third.forward(&twice, NOW).unwrap();
    assert!(thrice.to_string().starts_with("SRS1="), "{thrice}");
    for (host, rewritten) in [(&second, &twice), (&third, &thrice)] {
        assert_eq!(host.reverse(rewritten, NOW), Some(Ok(once.clone())), "{rewritten}");
    }
    assert_eq!(first.reverse(&once, NOW), Some(Ok(ann)));
    // Another separator is the first host's own matter.
    let plus = address("SRS0+hash=tt=from.example=ann@first.example");
    assert_eq!(second.reverse(&second.forward(&plus, NOW).unwrap(), NOW), Some(Ok(plus)));
}

#[test]
fn what_would_be_too_long_is_not_rewritten() {
    let long = address(&format!("{}@from.example", "a".repeat(60)));
    assert_eq!(host("ours.example").forward(&long, NOW), Err(SrsError::TooLong));
}

proptest! {
    #[test]
    fn every_sender_comes_back(local in "[a-zA-Z0-9=+._ \u{fc}-]{1,25}", day in 0u64..5000) {
        let ours = host("ours.example");
        let sender = Mailbox::new(&local, Domain::parse("from.example").unwrap()).unwrap();
        if let Ok(rewritten) = ours.forward(&sender, days(day)) {
            // One that looks rewritten already is handled as such.
            if !rewritten.local().starts_with("SRS1") {
                prop_assert_eq!(ours.reverse(&rewritten, days(day)), Some(Ok(sender)));
            }
        }
    }

    #[test]
    fn no_address_panics(local in "(SRS[01])?[=+-]?\\PC{0,40}") {
        if let Ok(address) = Mailbox::new(&local, Domain::parse("ours.example").unwrap()) {
            let _ = host("ours.example").reverse(&address, NOW);
            let _ = host("other.example").forward(&address, NOW);
        }
    }
}
