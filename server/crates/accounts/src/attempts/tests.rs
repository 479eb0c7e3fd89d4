use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn attempts(per_user: usize, per_address: usize, max_entries: usize) -> Attempts {
    Attempts::new(AttemptLimits { per_user, per_address, max_entries, ..AttemptLimits::default() })
}

#[test]
fn the_window_slides() {
    let attempts = attempts(2, 100, 100);
    let (here, start) = (address("192.0.2.1"), clock::now());
    let at = |minutes: u64| start + Duration::from_secs(minutes * 60);
    assert!(attempts.charge("a", here, at(0)));
    assert!(attempts.charge("a", here, at(10)));
    assert!(!attempts.charge("a", here, at(14)));
    assert!(attempts.charge("a", here, at(15)));
    assert!(!attempts.charge("a", here, at(24)));
    assert!(attempts.charge("a", here, at(25)));
    // What was refused was not charged, and a clock that goes back lets nobody in.
    assert!(!attempts.charge("a", here, at(1)));
}

#[test]
fn a_client_is_its_ipv4_address_or_its_ipv6_64() {
    let attempts = attempts(100, 1, 100);
    let now = clock::now();
    assert!(attempts.charge("a", address("2001:db8::1"), now));
    assert!(!attempts.charge("b", address("2001:db8::ffff:1"), now));
    assert!(attempts.charge("b", address("2001:db8:0:1::1"), now));
    assert!(attempts.charge("a", address("192.0.2.1"), now));
    assert!(!attempts.charge("a", address("::ffff:192.0.2.1"), now));
    assert!(attempts.charge("a", address("192.0.2.2"), now));
}

#[test]
fn the_oldest_is_forgotten_when_there_are_too_many() {
    let attempts = attempts(1, 1, 3);
    let now = clock::now();
    for last in 1..=200 {
        assert!(attempts.charge("a", address(&format!("192.0.2.{last}")), now));
        assert!(attempts.entries().0 <= 3 && attempts.entries().1 <= 3);
    }
    assert!(!attempts.charge("a", address("192.0.2.200"), now));
    assert!(attempts.charge("a", address("192.0.2.1"), now));
}

#[test]
fn what_is_over_takes_no_room() {
    let attempts = attempts(1, 1, 100);
    let (here, now) = (address("192.0.2.1"), clock::now());
    assert!(attempts.charge("a", here, now));
    attempts.succeeded("a", here);
    assert_eq!(attempts.entries(), (0, 0));
    assert!(attempts.charge("a", here, now));
    assert!(!attempts.is_full(Some("a"), here, now + Duration::from_secs(3600)));
    assert_eq!(attempts.entries(), (0, 0));
}
