//! The whole receiving session: any options, any octets, any cuts.
//!
//! Input: two octets of options, the cuts, then the wire. A handshake is made where the wire has `0xff 0xff` and one is wanted.
#![no_main]

use fuzz::{Input, Peer, has_bare_newline, look_at_replies, patient};
use libfuzzer_sys::fuzz_target;
use smtp::server::{Channel, Event, Extensions, Options, Protocol};
use smtp::{BareNewline, Limits, Paths};

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let choice = u16::from_le_bytes([input.octet(), input.octet()]);
    let cuts = input.cuts();
    let whole = hold(choice, input.0, &[]);
    let cut = hold(choice, input.0, cuts);
    assert_eq!(String::from_utf8_lossy(&cut.heard), String::from_utf8_lossy(&whole.heard));
    assert_eq!(cut.events, whole.events);
    look_at_replies(&whole.heard);
    look_at_content(choice, &whole);
});

fn hold(choice: u16, wire: &[u8], cuts: &[u8]) -> Peer {
    let channel = channel(choice);
    let mut peer = Peer::new(options(choice), channel.clone());
    let mut rest = wire;
    loop {
        let end = rest.windows(2).position(|two| two == [0xff, 0xff]);
        let now = &rest[..end.unwrap_or(rest.len())];
        for piece in Input::pieces(now, cuts) {
            peer.says(piece);
        }
        peer.shakes_hands(channel.clone());
        match end {
            Some(end) => rest = &rest[end + 2..],
            None => return peer,
        }
    }
}

fn options(choice: u16) -> Options {
    let mut options = patient();
    let chosen = |bit: u16| choice & (1 << bit) != 0;
    options.protocol = if chosen(0) { Protocol::Lmtp } else { Protocol::Smtp };
    options.bare_newline = if chosen(1) { BareNewline::Convert } else { BareNewline::Reject };
    options.paths = if chosen(2) { Paths::Strict } else { Paths::Lenient };
    options.extensions = if chosen(3) { Extensions::NONE } else { Extensions::ALL };
    options.require_auth = chosen(4);
    options.require_tls = chosen(5);
    if chosen(6) {
        options.limits = Limits {
            command_line: 64,
            auth_line: 100,
            text_line: 40,
            message_size: 120,
            recipients: 3,
            errors: 5,
            auth_failures: 2,
            idle_commands: 6,
            transactions: 3,
            ..options.limits
        };
    }
    options
}

fn channel(choice: u16) -> Channel {
    let chosen = |bit: u16| choice & (1 << bit) != 0;
    Channel {
        secured: false,
        starttls: chosen(7),
        mechanisms: if chosen(8) { vec!["PLAIN", "LOGIN"] } else { Vec::new() },
        xclient: chosen(9),
    }
}

/// Content stands between DATA and its end, keeps to its limit, and has no bare newline unless it is binary.
fn look_at_content(choice: u16, peer: &Peer) {
    let limit = options(choice).limits.message_size as usize;
    let (mut binary, mut begun, mut closed) = (false, false, false);
    let mut messages = peer.messages.iter();
    for event in &peer.events {
        assert!(!closed, "{event:?} after the end");
        match event {
            Event::Mail { params, .. } => {
                let binary_mime = |value: &String| value.eq_ignore_ascii_case("BINARYMIME");
                binary =
                    params.iter().any(|p| p.keyword == "BODY" && p.value.as_ref().is_some_and(binary_mime));
            }
            Event::Data => begun = true,
            Event::Content(content) => {
                assert!(begun && content.len() <= limit);
            }
            Event::Message | Event::Reset(_) => begun = false,
            Event::Closed(_) => closed = true,
            _ => {}
        }
        if let Event::Message = event {
            let content = messages.next().expect("its content");
            assert!(binary || !has_bare_newline(content));
        }
    }
    assert!(peer.messages.iter().all(|content| content.len() <= limit));
    assert_eq!(closed, peer.session.is_closed());
}
