//! What letters look like, read by another's parser.

use super::*;
use mail_parser::MessageParser;

fn letter(from: &str, subject: &str, text: &str) -> Message {
    let message = Letter::new(from, subject).to(&Mailbox::new("bob@example.org")).text(text).message();
    assert_eq!(message.check(), Ok(()));
    message
}

#[test]
fn a_plain_letter_is_plain() {
    let message = letter("Ann <ann@example.org>", "hello", "Hi,\nhow are you?");
    assert_eq!(
        String::from_utf8(message.content).unwrap(),
        "From: Ann <ann@example.org>\r\nSubject: hello\r\nTo: bob@example.org\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nHi,\r\nhow are you?\r\n"
    );
    assert_eq!((message.sender, message.auto_submitted), (None, Some(AutoSubmitted::Generated)));
}

#[test]
fn every_text_is_read_as_it_was_written() {
    let long = "wörd ".repeat(60);
    for subject in
        ["hello", "grüße", "an ascii word and größe and ascii", "日本語の件名", long.trim(), "\u{1F426}"]
    {
        for text in ["a\nb\n", "Grüße\n", &"x".repeat(3_000), &"ü".repeat(3_000), "", ".\n.."] {
            let message = letter(&named("Jürgen \"J\"", &Mailbox::new("j@example.org")), subject, text);
            assert!(message.content.split(|&octet| octet == b'\n').all(|line| line.len() < 1_000));
            let header = message.content.split(|&octet| octet == b'\n').take_while(|line| line.len() > 1);
            assert!(header.clone().all(|line| line.len() <= 79 && line.is_ascii()), "{message:?}");
            let parsed = MessageParser::default().parse(&message.content).unwrap();
            assert_eq!(parsed.subject(), Some(subject));
            let from = parsed.from().and_then(|from| from.first()).unwrap();
            assert_eq!((from.name(), from.address()), (Some("Jürgen \"J\""), Some("j@example.org")));
            let body = parsed.body_text(0).unwrap().replace("\r\n", "\n");
            assert_eq!(body.trim_end_matches('\n'), text.trim_end_matches('\n'));
        }
    }
}

#[test]
fn names_and_addresses_are_quoted_where_they_must_be() {
    let bob = Mailbox::new("bob@example.org");
    assert_eq!(named("Bob B", &bob), "Bob B <bob@example.org>");
    assert_eq!(named("Doe, \"Bob\"", &bob), "\"Doe, \\\"Bob\\\"\" <bob@example.org>");
    assert_eq!(named(" ", &bob), "bob@example.org");
    assert_eq!(written(&Mailbox::new("a b@example.org")), "\"a b\"@example.org");
    assert_eq!(written(&Mailbox::new("a..b@example.org")), "\"a..b\"@example.org");
}

#[test]
fn no_value_breaks_out_of_its_field() {
    let message = letter("a@example.org", "x\r\nBcc: evil@example.org\r\n\r\nbody", "t");
    let text = String::from_utf8(message.content).unwrap();
    assert!(text.contains("Subject: x Bcc: evil@example.org body\r\n"), "{text}");
}

#[test]
fn several_recipients_share_one_field() {
    let letter =
        Letter::new("a@example.org", "x").to(&Mailbox::new("b@c.example")).to(&Mailbox::new("d@e.example"));
    let message = letter.sender(&Mailbox::new("a@example.org")).mark(None).message();
    assert!(String::from_utf8(message.content).unwrap().contains("To: b@c.example, d@e.example\r\n"));
    assert_eq!(message.recipients.len(), 2);
    assert_eq!((message.sender, message.auto_submitted), (Some(Mailbox::new("a@example.org")), None));
}

#[test]
fn what_the_server_would_refuse_the_double_refuses() {
    let good = letter("a@example.org", "x", "t");
    for content in
        ["Subject: x\r\n\r\nno from\r\n", "From: a@b.example\n\nbare\n", "From: a@b.example\r\n\r\nno end"]
    {
        let bad = Message { content: content.as_bytes().to_vec(), ..good.clone() };
        assert!(matches!(bad.check(), Err(Error::BadInput(_))), "{content:?}");
    }
    assert!(Message { recipients: Vec::new(), ..good }.check().is_err());
}
