//! What comes out is decoded by the parser of others and compared with what went in.

use mail_parser::{MessageParser, PartType};
use proptest::prelude::*;

use super::*;

fn convert(message: &[u8]) -> Result<Vec<u8>, &'static str> {
    match to_seven_bit(Bytes::copy_from_slice(message).into()) {
        Ok(content) => {
            let octets = content.to_bytes().unwrap();
            assert!(is_seven_bit(&octets), "{}", String::from_utf8_lossy(&octets));
            Ok(octets.to_vec())
        }
        Err(ConversionError::Impossible(why)) => Err(why),
        Err(error) => panic!("{error}"),
    }
}

/// The leaves, decoded: of text its octets, whatever character set they are in.
fn leaves(message: &[u8]) -> Vec<Vec<u8>> {
    let draft = Draft::new(Bytes::copy_from_slice(message).into()).unwrap();
    let structure = draft.parts().unwrap();
    let leaves = structure.parts.iter().filter(|part| !part.media_type.starts_with("multipart/"));
    leaves.map(|part| draft.read_part(part).unwrap().to_vec()).collect()
}

#[test]
fn plain_text_is_encoded_and_its_fields_say_so() {
    let message = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                   Content-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}n = gut \r\n.\r\n";
    let converted = String::from_utf8(convert(message.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        converted,
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BCn =3D gut=20\r\n.\r\n"
    );
    let parsed = MessageParser::new().parse(converted.as_bytes()).unwrap();
    assert_eq!(parsed.body_text(0).unwrap(), "Gr\u{fc}n = gut \r\n.\r\n");
}

#[test]
fn text_that_says_nothing_of_itself_says_so_afterwards() {
    let converted = convert(b"Subject: x\r\n\r\nGr\xfcn\r\n").unwrap();
    let text = String::from_utf8(converted).unwrap();
    assert!(
        text.contains("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"),
        "{text}"
    );
    assert!(text.ends_with("Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FCn\r\n"), "{text}");
}

const MULTIPART: &[u8] = b"Content-Type: multipart/mixed; boundary=o\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
    preamble\r\n--o\r\nContent-Type: multipart/alternative; boundary=i\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
    --i\r\n\r\nascii stays\r\n--i\r\nContent-Type: text/html; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\nX-Kept: yes\r\n\r\n<p>\xc3\xbc</p>\r\n--i--\r\n\
    --o\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x89PNG\n\0\r\xff\r\n\
    --o\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--o--\r\nepilogue\r\n";

#[test]
fn the_parts_that_need_it_are_encoded_and_the_others_stay() {
    let converted = convert(MULTIPART).unwrap();
    assert_eq!(leaves(&converted), leaves(MULTIPART));
    let text = String::from_utf8(converted.clone()).unwrap();
    for kept in ["preamble\r\n--o", "--i\r\n\r\nascii stays\r\n", "X-Kept: yes\r\n", "--o--\r\nepilogue\r\n"]
    {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert!(!text.contains(": 8bit") && !text.contains(": binary"), "{text}");
    // Another parser finds the same.
    let parsed = MessageParser::new().parse(&converted).unwrap();
    let PartType::InlineBinary(image) = &parsed.parts[4].body else { panic!("{:?}", parsed.parts[4].body) };
    assert_eq!(image.as_ref(), b"\x89PNG\n\0\r\xff");
}

#[test]
fn a_parts_header_keeps_lines_that_are_no_fields() {
    for odd in [" led by white space\r\n", " x\r\nX-Kept: yes\r\n", "no field\r\n"] {
        let message =
            format!("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n{odd}\r\n\u{fc}\r\n--o--\r\n");
        let converted = String::from_utf8(convert(message.as_bytes()).unwrap()).unwrap();
        assert!(converted.contains(&format!("--o\r\n{odd}Content-Transfer-Encoding: ")), "{converted}");
    }
}

#[test]
fn a_label_without_need_is_taken_off() {
    let converted = convert(b"Content-Transfer-Encoding: 8bit\r\n\r\nascii\r\n").unwrap();
    assert!(converted.ends_with(b"Content-Transfer-Encoding: 7bit\r\n\r\nascii\r\n"));
}

#[test]
fn what_would_break_is_refused() {
    let signed =
        b"Content-Type: multipart/signed; boundary=o\r\n\r\n--o\r\n\r\n\xfc\r\n--o\r\n\r\nsig\r\n--o--\r\n";
    let inner = b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n\xfc\r\n";
    let outside = b"Content-Type: multipart/mixed; boundary=o\r\n\r\n\xfc\r\n--o\r\n\r\nx\r\n--o--\r\n";
    let encoded = b"Content-Transfer-Encoding: base64\r\n\r\n\xfc\r\n";
    for (message, why) in [
        (&b"Subject: \xfc\r\n\r\nx\r\n"[..], "header field"),
        (signed, "signed"),
        (inner, "message within"),
        (outside, "outside of its parts"),
        (encoded, "what its encoding allows"),
    ] {
        let said = convert(message).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

proptest! {
    #[test]
    fn any_octets_come_back(octets in proptest::collection::vec(any::<u8>(), 0..600), is_text: bool) {
        let octets = Bytes::from(octets);
        let (encoding, encoded) = encode(&octets, is_text).unwrap();
        prop_assert!(is_seven_bit(&encoded));
        let decoded = match encoding {
            "base64" => base64_decode(&encoded),
            _ => quoted_printable_decode(&encoded),
        };
        prop_assert_eq!(decoded.unwrap(), octets.to_vec());
    }

    #[test]
    fn any_leaves_of_a_multipart_come_back(
        bodies in proptest::collection::vec(("[a-z\u{e4}\u{20ac}=. \t]{0,90}(\r\n[a-z\u{e4}=.]{0,20}){0,3}", any::<bool>()), 1..5),
    ) {
        let mut message = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=bound\r\n\r\n".to_vec();
        for (body, is_text) in &bodies {
            let kind = if *is_text { "text/plain; charset=utf-8" } else { "application/octet-stream" };
            message.extend_from_slice(format!("--bound\r\nContent-Type: {kind}\r\n\r\n{body}\r\n").as_bytes());
        }
        message.extend_from_slice(b"--bound--\r\n");
        let converted = convert(&message).unwrap();
        prop_assert_eq!(leaves(&converted), leaves(&message));
    }

    #[test]
    fn no_message_panics(message in "(Content-(Type|Transfer-Encoding): (multipart/mixed; boundary=o|8bit|base64|message/rfc822)\r\n|--o(--)?\r\n|\r\n|\u{fc}|a){0,20}") {
        if let Ok(converted) = convert(message.as_bytes()) {
            prop_assert!(is_seven_bit(&converted));
        }
    }
}
