//! What becomes of whole messages.

use super::*;
use waxwing_plugin::testing::{Handled, Server};

const ASCII: &str = r#"{"text": "Sent through Waxwing"}"#;
const UMLAUT: &str = r#"{"text": "Grüße – Waxwing"}"#;

fn handled(settings: &str, message: &str) -> Handled {
    let server = Server::new().with_settings(settings);
    assert_eq!(server.load::<Footer>(), Ok(()));
    let handled = server.session::<Footer>().send("alice@example.org", "bob@example.net", message);
    assert_eq!(handled.verdict, Verdict::Proceed, "{:?}", server.log());
    handled
}

fn sent(settings: &str, message: &str) -> String {
    handled(settings, message).text().to_owned()
}

fn untouched(settings: &str, message: &str) {
    assert_eq!(sent(settings, message), message.replace('\n', "\r\n"));
}

#[test]
fn a_plain_message_gets_the_footer_below() {
    assert_eq!(
        sent(ASCII, "Subject: x\n\nHello\n"),
        "Subject: x\r\n\r\nHello\r\n\r\nSent through Waxwing\r\n"
    );
}

#[test]
fn a_second_pass_adds_nothing() {
    for message in [
        "Subject: x\n\nHello\n",
        "Content-Type: text/html\n\n<html><body>Hi</body></html>\n",
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nSGVsbG8=\n",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nHi\n--b--\n",
    ] {
        for settings in [ASCII, UMLAUT, r#"{"text": "two\nlines", "html": "<hr>two"}"#] {
            let once = sent(settings, message);
            assert_ne!(once, message.replace('\n', "\r\n"), "{settings} {message}");
            assert_eq!(sent(settings, &once), once);
        }
    }
}

#[test]
fn a_word_in_the_text_is_no_footer() {
    assert!(sent(r#"{"text": "Bye"}"#, "Subject: x\n\nGood Bye to all\n").ends_with("to all\r\n\r\nBye\r\n"));
}

#[test]
fn charset_and_transfer_encoding_are_those_of_the_part() {
    let utf8 = "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: ";
    assert!(sent(UMLAUT, &format!("{utf8}8bit\n\nHällo\n")).ends_with("Hällo\r\n\r\nGrüße – Waxwing\r\n"));
    assert!(
        sent(UMLAUT, &format!("{utf8}quoted-printable\n\nH=C3=A4llo\n"))
            .ends_with("H=C3=A4llo\r\n\r\nGr=C3=BC=C3=9Fe =E2=80=93 Waxwing\r\n")
    );
    assert!(
        sent(ASCII, &format!("{utf8}base64\n\nSMOkbGxvCg==\n"))
            .ends_with("\r\n\r\nSMOkbGxv\r\nCg0KU2VudCB0aHJvdWdoIFdheHdpbmcNCg==\r\n")
    );
    let latin =
        "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nx\n";
    assert!(sent(UMLAUT, latin).ends_with("x\r\n\r\nGr=FC=DFe - Waxwing\r\n"));
    untouched(
        UMLAUT,
        "Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: base64\n\nSABpAA==\n",
    );
}

#[test]
fn seven_bits_become_quoted_printable_when_the_footer_needs_it() {
    assert_eq!(
        sent(UMLAUT, "Subject: x\n\n1 = 1\n"),
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n1 =3D 1\r\n\r\nGr=C3=BC=C3=9Fe =E2=80=93 Waxwing\r\n"
    );
    let text = sent(
        UMLAUT,
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\
         Content-Type: text/plain; format=flowed;\n charset=\"us-ascii\"; x=\"a;b\"\nContent-Transfer-Encoding: 7bit\nX-Y: z\n\nHi\n--b\n\
         Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nJVBERg==\n--b--\n",
    );
    assert!(
        text.ends_with(
            "--b\r\nX-Y: z\r\nContent-Type: text/plain; format=flowed; x=\"a;b\"; charset=utf-8\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\nHi\r\n\r\nGr=C3=BC=C3=9Fe =E2=80=93 Waxwing\r\n--b\r\n\
             Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--b--\r\n"
        ),
        "{text}"
    );
}

#[test]
fn a_western_text_becomes_utf8_when_its_charset_cannot_say_the_footer() {
    let part = |charset: &str, text: &str| {
        format!(
            "Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: quoted-printable\n\n{text}\n"
        )
    };
    let japanese = r#"{"text": "日本"}"#;
    for (charset, text, recoded) in [
        ("iso-8859-1", "Gr=FC=DFe", "Gr=C3=BC=C3=9Fe"),
        ("windows-1252", "=80 10 =96 20", "=E2=82=AC 10 =E2=80=93 20"),
        ("iso-8859-15", "=A4 5", "=E2=82=AC 5"),
    ] {
        let sent = sent(japanese, &part(charset, text));
        assert!(sent.starts_with("Content-Type: text/plain; charset=utf-8\r\n"), "{sent}");
        assert!(sent.ends_with(&format!("\r\n\r\n{recoded}\r\n\r\n=E6=97=A5=E6=9C=AC\r\n")), "{sent}");
    }
    // What other charsets say is not known here.
    assert!(sent(japanese, &part("koi8-r", "x")).ends_with("x\r\n\r\n??\r\n"));
    assert!(sent(r#"{"text": "5 €"}"#, &part("iso-8859-15", "x")).ends_with("x\r\n\r\n5 =A4\r\n"));
}

#[test]
fn what_calls_itself_ascii_and_is_something_else_is_left_alone() {
    let message = b"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n";
    let server = Server::new().with_settings(UMLAUT);
    let handled = server.session::<Footer>().send("alice@example.org", "bob@example.net", message);
    assert_eq!(handled.message, message);
}

#[test]
fn the_lines_of_a_footer_stay_lines_where_text_flows() {
    let settings = r#"{"text": "-- \nFrom us \n > you\nend"}"#;
    let flowed = "Content-Type: text/plain; charset=utf-8; Format=\"Flowed\"\n\nHello \nworld\n";
    assert!(sent(settings, flowed).ends_with("Hello \r\nworld\r\n\r\n-- \r\n From us\r\n  > you\r\nend\r\n"));
    let fixed = "Content-Type: text/plain; charset=utf-8\n\nHello\n";
    assert!(sent(settings, fixed).ends_with("Hello\r\n\r\n-- \r\nFrom us \r\n > you\r\nend\r\n"));
    let within = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain;\n format=flowed\n\nHi\n--b--\n";
    assert!(sent(settings, within).contains("Hi\r\n\r\n-- \r\n From us\r\n  > you\r\nend\r\n--b--"));
}

#[test]
fn a_part_without_a_header_can_be_given_one() {
    let text = sent(UMLAUT, "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nHi\n--b--\n");
    assert!(
        text.contains("--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHi\r\n"),
        "{text}"
    );
}

#[test]
fn html_gets_it_before_the_end_of_its_body() {
    let html = "Content-Type: text/html; charset=us-ascii\n\n<html><body>Hi</BODY></html>\n";
    assert!(
        sent(r#"{"text": "Grüße <b>\n& mehr"}"#, html)
            .ends_with("Hi\r\n<p>Gr&#252;&#223;e &lt;b><br>\r\n&amp; mehr</p>\r\n</BODY></html>\r\n")
    );
    let own = r#"{"text": "x", "html": "<hr><i>y</i>"}"#;
    assert!(sent(own, "Content-Type: text/html\n\nHi\n").ends_with("\r\n\r\nHi\r\n<hr><i>y</i>\r\n"));
}

#[test]
fn html_whose_end_is_hidden_by_its_encoding_gets_it_there_all_the_same() {
    let message = "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<body>Hi=3C/bo=\ndy></html>\n";
    assert!(
        sent(r#"{"text": "F"}"#, message).ends_with("<body>Hi=\r\n\r\n<p>F</p>\r\n=3C/bo=\r\ndy></html>\r\n"),
        "{}",
        sent(r#"{"text": "F"}"#, message)
    );
}

#[test]
fn both_alternatives_get_it_and_attachments_do_not() {
    let text = sent(
        ASCII,
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\
         Content-Type: text/plain\n\nplain\n--i\nContent-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n\
         <body>html</body>\n--r\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw==\n--r--\n--i--\n--o\n\
         Content-Type: text/plain; name=notes.txt\nContent-Disposition: attachment\n\nnotes\n--o--\n",
    );
    assert!(text.contains("plain\r\n\r\nSent through Waxwing\r\n--i\r\n"), "{text}");
    assert!(text.contains("<body>html\r\n<p>Sent through Waxwing</p>\r\n</body>\r\n--r\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nnotes\r\n--o--\r\n"), "{text}");
}

#[test]
fn of_several_texts_the_first_gets_it() {
    let text = sent(
        ASCII,
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\nContent-Disposition: attachment\n\n\
         file\n--b\nContent-Type: text/plain\n\nfirst\n--b\nContent-Type: text/plain\n\nsecond\n--b--\n",
    );
    assert!(text.contains("file\r\n--b"));
    assert!(text.contains("first\r\n\r\nSent through Waxwing\r\n--b"));
    assert!(text.contains("second\r\n--b--"));
}

#[test]
fn signed_encrypted_and_reporting_messages_are_left_alone() {
    for message in [
        "Content-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"\n\n--b\nContent-Type: text/plain\n\nHi\n--b\nContent-Type: application/pgp-signature\n\nx\n--b--\n",
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nHi\n--b--\n--o\n\nlist footer\n--o--\n",
        "Content-Type: multipart/encrypted; boundary=b\n\n--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--b--\n",
        "Content-Type: application/pkcs7-mime; smime-type=signed-data\nContent-Transfer-Encoding: base64\n\nMIAG\n",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nfailed\n--b--\n",
        "Subject: x\n\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nHi\n",
        "DKIM-Signature: v=1; a=rsa-sha256\nSubject: x\n\nHi\n",
        "ARC-Message-Signature: i=1\nSubject: x\n\nHi\n",
        "Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nJVBERg==\n",
        "Content-Type: text/plain\nContent-Transfer-Encoding: x-uuencode\n\nbegin\n",
        "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nno base64 at all!\n",
    ] {
        untouched(ASCII, message);
    }
    let signed = "DKIM-Signature: v=1\n\nHi\n";
    assert!(sent(r#"{"text": "F", "even-if-signed": true}"#, signed).ends_with("Hi\r\n\r\nF\r\n"));
}

#[test]
fn settings_choose_whose_mail_is_meant() {
    let message = "Subject: x\n\nHi\n";
    untouched("{}", message);
    untouched(r#"{"text": "F", "sender-domains": ["example.com"]}"#, message);
    untouched(r#"{"text": "F", "listeners": ["submission"]}"#, message);
    untouched(r#"{"text": "F", "authenticated-only": true}"#, message);
    assert!(
        sent(r#"{"text": "F", "sender-domains": ["example.org"], "listeners": ["mx"]}"#, message)
            .ends_with("\r\nF\r\n")
    );
}

#[test]
fn the_first_rule_that_fits_is_the_footer() {
    let settings = r#"{"rules": [
        {"sender-domains": ["example.com"], "text": "Example Ltd."},
        {"direction": "outgoing", "text": "out", "html": "<p>out</p>"},
        {"direction": "incoming", "text": "in"}]}"#;
    let server = Server::new().with_settings(settings);
    assert_eq!(server.load::<Footer>(), Ok(()));
    let from = |sender: &str, relaying: bool| {
        let session = server.session::<Footer>();
        let mut session = if relaying { session.relaying() } else { session };
        session.send(sender, "bob@example.net", "Subject: x\n\nHi\n").text().to_owned()
    };
    assert!(from("ann@mail.example.com", true).ends_with("\r\nExample Ltd.\r\n"));
    assert!(from("ann@example.org", true).ends_with("\r\nout\r\n"));
    assert!(from("ann@example.org", false).ends_with("\r\nin\r\n"));
    let direction = |direction: &str| {
        sent(&format!(r#"{{"text": "F", "direction": "{direction}"}}"#), "Subject: x\n\nHi\n")
            .ends_with("\r\nF\r\n")
    };
    assert!(direction("incoming") && direction("all") && !direction("outgoing"));
}

#[test]
fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
    let fault = |json| Server::new().with_settings(json).load::<Footer>().unwrap_err();
    assert!(fault(r#"{"txt": "x"}"#).contains("txt"));
    assert!(fault(r#"{"html": "<p>x</p>"}"#).contains("no `text`"));
    assert!(fault(r#"{"text": "x", "direction": "up"}"#).contains("up"));
    assert!(
        fault(r#"{"text": "x", "sender-domains": ["@example.org"]}"#)
            .contains("\"@example.org\" is no domain")
    );
    assert!(
        fault(r#"{"rules": [{"text": "x"}, {"direction": "incoming"}]}"#)
            .contains("rule 2: it has no `text`")
    );
    assert!(fault(r#"{"text": "x", "rules": [{"text": "y"}]}"#).contains("beside `rules`"));
}
