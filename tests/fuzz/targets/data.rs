//! Content behind DATA, held against a decoder that is as plain as can be.
#![no_main]

use fuzz::{Input, greeted, has_bare_newline, look_at_replies, with_whole_newlines};
use libfuzzer_sys::fuzz_target;
use smtp::BareNewline;
use smtp::server::Event;

const BEGIN: &[u8] = b"MAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n";

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let policy = if input.octet() & 1 == 0 { BareNewline::Reject } else { BareNewline::Convert };
    let cuts = input.cuts();
    let mut peer = greeted(|options| options.bare_newline = policy);
    peer.says(BEGIN);
    peer.heard.clear();
    for piece in Input::pieces(input.0, cuts) {
        peer.says(piece);
    }
    look_at_replies(&peer.heard);
    let Some(content) = plainly(input.0) else {
        assert!(peer.messages.is_empty() && peer.heard.is_empty());
        return;
    };
    match (has_bare_newline(&content), policy) {
        (true, BareNewline::Reject) => {
            assert!(peer.heard.starts_with(b"554 5.6.0 "));
            let told = peer.events.iter().filter(|event| matches!(event, Event::Reset(_))).count();
            assert!(told >= 1);
        }
        (_, BareNewline::Convert) => assert_eq!(peer.messages[0], with_whole_newlines(&content)),
        (false, BareNewline::Reject) => assert_eq!(peer.messages[0], content),
    }
    assert!(policy == BareNewline::Reject || !has_bare_newline(&peer.messages[0]));
});

/// Everything before the first CRLF "." CRLF, without the dots that were stuffed behind a CRLF; nothing when the end does not come.
fn plainly(wire: &[u8]) -> Option<Vec<u8>> {
    // As if the CRLF of the command stood before it.
    let wire = [b"\r\n", wire].concat();
    let end = wire.windows(5).position(|five| five == b"\r\n.\r\n")?;
    let mut content = Vec::new();
    let mut octets = wire[..end + 2].iter();
    while let Some(octet) = octets.next() {
        let is_stuffing = *octet == b'.' && content.ends_with(b"\r\n");
        content.extend(if is_stuffing { octets.next() } else { Some(octet) });
    }
    Some(content[2..].to_vec())
}
