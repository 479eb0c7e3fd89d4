//! Content in chunks: nothing in a chunk is a command, and what arrives is what was sent, whatever the chunks and cuts.
#![no_main]

use fuzz::{Input, codes, greeted, has_bare_newline, look_at_replies, with_whole_newlines};
use libfuzzer_sys::fuzz_target;
use smtp::BareNewline;

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let flags = input.octet();
    let (binary, convert, separate_last) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
    let (cuts, sizes) = (input.cuts(), input.cuts());
    let content = input.0;
    let mut peer = greeted(|options| {
        options.bare_newline = if convert { BareNewline::Convert } else { BareNewline::Reject };
    });
    let body = if binary { " BODY=BINARYMIME" } else { "" };
    let begin = format!("MAIL FROM:<>{body}\r\nRCPT TO:<bob@example.org>\r\n").into_bytes();
    let (wire, chunks) = in_chunks(begin, content, sizes, separate_last);
    for piece in Input::pieces(&wire, cuts) {
        peer.says(piece);
    }
    look_at_replies(&peer.heard);
    let heard = codes(&peer.heard);
    if has_bare_newline(content) && !binary && !convert {
        // The first chunk that has one is refused, and with it all that follow.
        assert!(peer.messages.is_empty() && heard.contains(&554));
        assert_eq!(heard.len(), 3 + chunks);
        return;
    }
    let expected = if binary { content.to_vec() } else { with_whole_newlines(content) };
    assert_eq!(peer.messages, [expected]);
    assert_eq!(heard, vec![250; 3 + chunks]);
});

/// The commands behind MAIL and RCPT, with a NOOP at the end; and how many chunks there are.
fn in_chunks(mut wire: Vec<u8>, content: &[u8], sizes: &[u8], separate_last: bool) -> (Vec<u8>, usize) {
    let chunks: Vec<&[u8]> = Input::pieces(content, sizes).collect();
    for (nth, chunk) in chunks.iter().enumerate() {
        let is_last = nth + 1 == chunks.len() && !separate_last;
        wire.extend_from_slice(
            format!("BDAT {}{}\r\n", chunk.len(), if is_last { " LAST" } else { "" }).as_bytes(),
        );
        wire.extend_from_slice(chunk);
    }
    let needs_last = separate_last || chunks.is_empty();
    wire.extend_from_slice(if needs_last { b"BDAT 0 LAST\r\nNOOP\r\n" } else { b"NOOP\r\n" });
    (wire, chunks.len() + usize::from(needs_last))
}
