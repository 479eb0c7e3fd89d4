//! Addresses: what was read is written so that it reads back as itself, and keeps to the limits of RFC 5321.
#![no_main]

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use model::{Domain, Mailbox};

fuzz_target!(|octets: &[u8]| {
    let Ok(text) = std::str::from_utf8(Input(octets).0) else { return };
    if let Ok(domain) = Domain::parse(text) {
        assert_eq!(Domain::parse(&domain.to_string()).as_ref(), Ok(&domain));
        // Both forms of a name are one domain.
        let ascii = domain.to_ascii();
        assert!(ascii.is_ascii());
        assert_eq!(Domain::parse(&ascii).as_ref(), Ok(&domain));
    }
    let Ok(mailbox) = Mailbox::parse(text) else { return };
    let written = mailbox.to_string();
    assert_eq!(Mailbox::parse(&written).as_ref(), Ok(&mailbox), "{written:?}");
    assert!(mailbox.local().len() <= Mailbox::MAX_LOCAL_OCTETS);
    assert!(!written.contains(char::is_control));
    if mailbox.is_ascii() {
        assert!(written.is_ascii());
    }
});
