//! A milter's answers and its changes of a message: cuts do not matter, what it writes cannot break the message's lines, and a body that
//! it leaves alone stays as it is.
//!
//! The input is cuts, a flag, the length of a message, the message, and then what the milter sends.
#![no_main]

use bytes::Bytes;
use fuzz::{Input, has_bare_newline, with_whole_newlines};
use libfuzzer_sys::fuzz_target;
use message::HeaderBlock;
use milter::fuzzing::{Heard, hear};

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let cuts = input.cuts();
    let (leading, len) = (input.octet() % 2 == 1, usize::from(input.octet()));
    // No message gets here that has a bare CR or LF.
    let message = Bytes::from(with_whole_newlines(input.take(len)));
    let wire = input.0;
    let heard = hear(Input::pieces(wire, cuts), &message, leading).expect("a small block");
    let whole = hear(Input::pieces(wire, &[]), &message, leading).expect("a small block");
    assert_eq!(heard, whole);
    look_at(&heard, &message);
});

fn look_at(heard: &Heard, message: &Bytes) {
    if let Some(envelope) = &heard.envelope {
        let mut addresses: Vec<_> = envelope.recipients.iter().map(|one| &one.address).collect();
        let count = addresses.len();
        addresses.dedup();
        assert_eq!(addresses.len(), count);
    }
    let Some(edited) = &heard.message else { return };
    assert!(heard.fault.is_none());
    assert!(!has_bare_newline(edited), "{edited:?}");
    if !heard.has_new_body {
        let body = HeaderBlock::parse(message).body_start();
        let body = message.get(body as usize..).unwrap_or_default();
        assert!(edited.ends_with(body), "{edited:?}");
    }
}
