//! Parameters of MAIL and RCPT: each is taken or refused with a code of its own, and xtext reads back as it was written.
#![no_main]

use fuzz::{Input, codes, greeted, look_at_replies};
use libfuzzer_sys::fuzz_target;
use model::{DeliverBy, Notify, decode_xtext, encode_xtext, parse_priority};
use smtp::server::{Event, Extensions, release_at};

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let of_mail = input.octet() & 1 == 0;
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    if let Some(decoded) = decode_xtext(text) {
        assert_eq!(decode_xtext(&encode_xtext(&decoded)).as_ref(), Some(&decoded));
    }
    if text.contains(['\r', '\n']) || text.len() > 1_900 {
        return;
    }
    let mut peer = greeted(|options| options.extensions = Extensions::ALL);
    if of_mail {
        peer.says(format!("MAIL FROM:<a@b> {text}\r\n").as_bytes());
    } else {
        peer.says(format!("MAIL FROM:<a@b>\r\nRCPT TO:<c@d> {text}\r\n").as_bytes());
    }
    look_at_replies(&peer.heard);
    let heard = codes(&peer.heard);
    assert_eq!(heard.len(), if of_mail { 1 } else { 2 });
    let last = heard.last().copied().unwrap_or_default();
    assert!(matches!(last, 250 | 500 | 501 | 552 | 553 | 555), "{last} to {text:?}");
    // What was taken is what those that carry it out can read.
    for event in &peer.events {
        let (Event::Mail { params, .. } | Event::Rcpt { params, .. }) = event else { continue };
        for param in params {
            let value = param.value.as_deref().unwrap_or_default();
            assert!(match param.keyword.as_str() {
                "BY" => DeliverBy::parse(value).is_some(),
                "NOTIFY" => Notify::parse(value).is_some(),
                "MT-PRIORITY" => parse_priority(value).is_some(),
                "ENVID" => decode_xtext(value).is_some(),
                "HOLDFOR" | "HOLDUNTIL" => release_at(params, model::Timestamp(0)).is_some(),
                _ => true,
            });
        }
    }
});
