//! The fields by which a message tells where it has been: Received, Return-Path, Delivered-To.
//!
//! Standards: RFC 5321 (4.4 trace information, 6.3 loop detection), RFC 3848 and RFC 6531 section 4.3
//! (transmission types), RFC 8314 section 4.3 (the `tls` clause).

use std::fmt::{self, Write};
use std::io;
use std::net::IpAddr;

use bytes::Bytes;
use model::{Content, Domain, Mailbox, Piece, QueueId, ReversePath, Timestamp};

use crate::date::format_date;
use crate::header_block::HeaderBlock;
use crate::splice;

/// Octets of a Received field, mostly.
const FIELD_OCTETS: usize = 256;

/// How a message came in: the `with` clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transmission {
    pub lmtp: bool,
    /// EHLO rather than HELO; LMTP always is.
    pub extended: bool,
    /// The client asked for SMTPUTF8 in this transaction.
    pub utf8: bool,
    pub tls: bool,
    pub authenticated: bool,
}

/// `ESMTPSA` and its likes; the names registered by RFC 3848 and RFC 6531 section 4.3.
impl fmt::Display for Transmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.lmtp, self.utf8, self.extended) {
            (true, true, _) => "UTF8LMTP",
            (true, false, _) => "LMTP",
            (false, true, _) => "UTF8SMTP",
            (false, false, true) => "ESMTP",
            (false, false, false) => return f.write_str("SMTP"),
        })?;
        f.write_str(if self.tls { "S" } else { "" })?;
        f.write_str(if self.authenticated { "A" } else { "" })
    }
}

/// What a Received field says.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// As the client named itself; whatever it sent is made harmless.
    pub helo: Option<&'a str>,
    /// Nothing for a message that was made on this host.
    pub peer: Option<IpAddr>,
    /// The peer's name, confirmed by DNS.
    pub peer_name: Option<&'a str>,
    /// This host.
    pub by: &'a str,
    pub with: Transmission,
    /// The cipher suite, when TLS was used.
    pub tls_cipher: Option<&'a str>,
    pub id: QueueId,
    /// All recipients of the transaction; named when there is exactly one, so that no Bcc is told.
    pub recipients: &'a [&'a Mailbox],
    pub date: Timestamp,
}

impl Received<'_> {
    /// The field, folded, with its CRLF.
    pub fn to_field(&self) -> String {
        let mut field = String::with_capacity(FIELD_OCTETS);
        // Memory takes whatever is written.
        let _ = self.write_field(&mut field);
        field
    }

    fn write_field(&self, field: &mut String) -> fmt::Result {
        write!(field, "Received: from {}", self.sanitised_helo())?;
        if let Some(peer) = self.peer {
            let literal = Domain::from(peer);
            match self.peer_name {
                Some(name) => write!(field, " ({} {literal})", sanitise(name))?,
                None => write!(field, " ({literal})")?,
            }
        }
        write!(field, "\r\n\tby {} with {} id {}", self.by, self.with, self.id)?;
        //= RFC 5321 section 4.4: "for" shows one recipient at most, lest the others learn of a blind copy.
        if let [recipient] = self.recipients
            && (self.with.utf8 || recipient.is_ascii())
        {
            write!(field, "\r\n\tfor <{recipient}>")?;
        }
        if let Some(cipher) = self.tls_cipher {
            write!(field, "\r\n\ttls {}", sanitise(cipher))?;
        }
        write!(field, ";\r\n\t{}\r\n", format_date(self.date))
    }

    fn sanitised_helo(&self) -> String {
        let Some(helo) = self.helo else { return "localhost".to_owned() };
        match Domain::parse(helo) {
            Ok(domain) if self.with.utf8 => domain.to_string(),
            Ok(domain) if domain.literal().is_some() => domain.to_string(),
            Ok(domain) => domain.to_ascii(),
            Err(_) => sanitise(helo),
        }
    }
}

/// The Received field of a message that a plugin of this host has written, with its CRLF.
pub fn received_from_plugin(plugin: &str, by: &str, id: QueueId, date: Timestamp) -> String {
    format!("Received: by {by} (plugin {}) id {id};\r\n\t{}\r\n", sanitise(plugin), format_date(date))
}

/// Letters, digits and what stands in host names and literals; anything else could end the field or open a
/// comment.
fn sanitise(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._-:[]".contains(c);
    let text: String =
        text.chars().take(Domain::MAX_OCTETS).map(|c| if harmless(c) { c } else { '?' }).collect();
    if text.is_empty() { "unknown".to_owned() } else { text }
}

/// The Return-Path field with its CRLF, which the last host puts on top (RFC 5321 section 4.4).
pub fn return_path(sender: &ReversePath) -> String {
    format!("Return-Path: {sender}\r\n")
}

/// The Delivered-To field with its CRLF: where a message has been delivered once, it is not delivered again.
pub fn delivered_to(mailbox: &Mailbox) -> String {
    format!("Delivered-To: {mailbox}\r\n")
}

/// How many hosts a message has passed; RFC 5321 section 6.3 suggests to refuse it after 100.
pub fn count_received(block: &HeaderBlock) -> usize {
    block.all("Received").count()
}

/// Puts whole fields, each with its CRLF, on top of a message. The rest stays where it is, uncopied; a
/// message that has no header block gets the empty line that parts the fields from its body.
///
/// # Errors
/// None for a `block` that was read from this content.
pub fn prepend(content: &Content, block: &HeaderBlock, fields: impl Into<Bytes>) -> io::Result<Content> {
    let mut pieces = Vec::with_capacity(content.pieces().len() + 2);
    splice::push(Piece::New(fields.into()), &mut pieces);
    if block.as_bytes().is_empty() && !block.has_separator() && !content.is_empty() {
        splice::push(Piece::New(Bytes::from_static(b"\r\n")), &mut pieces);
    }
    splice::slice(content, 0, content.len(), &mut pieces);
    Content::spliced(content.source().clone(), pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received() -> Received<'static> {
        Received {
            helo: Some("client.example"),
            peer: Some("192.0.2.1".parse().unwrap()),
            peer_name: None,
            by: "mx.example.org",
            with: Transmission { extended: true, ..Transmission::default() },
            tls_cipher: None,
            id: QueueId(7),
            recipients: &[],
            date: Timestamp(1_795_343_747_000),
        }
    }

    #[test]
    fn a_received_field_says_from_where_by_whom_and_when() {
        assert_eq!(
            received().to_field(),
            "Received: from client.example ([192.0.2.1])\r\n\tby mx.example.org with ESMTP id 0000000000007;\r\n\
             \tSun, 22 Nov 2026 10:35:47 +0000\r\n"
        );
        let ann = Mailbox::parse("ann@example.org").unwrap();
        let mut full = received();
        full.peer = Some("2001:db8::1".parse().unwrap());
        full.peer_name = Some("out.client.example");
        full.with.tls = true;
        full.with.authenticated = true;
        full.tls_cipher = Some("TLS13_AES_256_GCM_SHA384");
        let recipients = [&ann];
        full.recipients = &recipients;
        assert_eq!(
            full.to_field(),
            "Received: from client.example (out.client.example [IPv6:2001:db8::1])\r\n\
             \tby mx.example.org with ESMTPSA id 0000000000007\r\n\tfor <ann@example.org>\r\n\
             \ttls TLS13_AES_256_GCM_SHA384;\r\n\tSun, 22 Nov 2026 10:35:47 +0000\r\n"
        );
    }

    #[test]
    fn a_received_field_is_read_back() {
        let field = Received { peer_name: Some("out.client.example"), ..received() }.to_field();
        let message = mail_parser::MessageParser::default().parse(field.as_bytes()).unwrap();
        let parsed = message.received().unwrap();
        assert_eq!(parsed.from_ip(), received().peer);
        assert_eq!(parsed.id(), Some("0000000000007"));
        assert_eq!(parsed.date().unwrap().to_timestamp(), 1_795_343_747);
    }

    #[test]
    fn no_greeting_can_break_the_field() {
        for (helo, shown) in [
            ("a\r\nEvil: x", "from a??Evil:?x ("),
            ("(comment", "from ?comment ("),
            ("", "from unknown ("),
            ("[IPv6:2001:DB8::1]", "from [IPv6:2001:db8::1] ("),
            ("bücher.example", "from xn--bcher-kva.example ("),
        ] {
            let field = Received { helo: Some(helo), ..received() }.to_field();
            assert!(field.starts_with(&format!("Received: {shown}")), "{field}");
        }
        let field = Received { helo: Some(&"x".repeat(4000)), ..received() }.to_field();
        assert!(field.split("\r\n").all(|line| line.len() <= crate::MAX_LINE_OCTETS));
    }

    #[test]
    fn several_recipients_are_not_named() {
        let (ann, bob) = (Mailbox::parse("ann@a.example").unwrap(), Mailbox::parse("bob@a.example").unwrap());
        assert!(!Received { recipients: &[&ann, &bob], ..received() }.to_field().contains("for"));
        let umlaut = Mailbox::parse("jürgen@a.example").unwrap();
        let mut field = Received { recipients: &[&umlaut], ..received() };
        assert!(!field.to_field().contains("for"), "a session without SMTPUTF8 has ASCII headers");
        field.with.utf8 = true;
        assert!(field.to_field().contains("with UTF8SMTP id 0000000000007\r\n\tfor <jürgen@a.example>;"));
    }

    #[test]
    fn transmissions_have_their_registered_names() {
        let name = |lmtp, extended, utf8, tls, authenticated| {
            Transmission { lmtp, extended, utf8, tls, authenticated }.to_string()
        };
        assert_eq!(name(false, false, false, false, false), "SMTP");
        assert_eq!(name(false, true, false, true, false), "ESMTPS");
        assert_eq!(name(false, true, false, false, true), "ESMTPA");
        assert_eq!(name(false, true, true, true, true), "UTF8SMTPSA");
        assert_eq!(name(true, true, false, true, false), "LMTPS");
        assert_eq!(name(true, true, true, false, false), "UTF8LMTP");
    }

    #[test]
    fn fields_are_put_on_top_of_any_message() {
        for (message, expected) in [
            ("A: 1\r\n\r\nbody", "T: t\r\nA: 1\r\n\r\nbody"),
            ("\r\nbody", "T: t\r\n\r\nbody"),
            ("just text", "T: t\r\n\r\njust text"),
            (" odd\r\nA: 1\r\n\r\nbody", "T: t\r\n\r\n odd\r\nA: 1\r\n\r\nbody"),
            ("\todd: x\r\nA: 1", "T: t\r\n\r\n\todd: x\r\nA: 1"),
            ("", "T: t\r\n"),
        ] {
            let content: Content = Bytes::from_static(message.as_bytes()).into();
            let block = HeaderBlock::read(&content).unwrap();
            let after = prepend(&content, &block, Bytes::from_static(b"T: t\r\n")).unwrap();
            assert_eq!(after.to_bytes().unwrap(), expected.as_bytes());
        }
    }

    #[test]
    fn trace_fields_are_counted_and_written() {
        let block = HeaderBlock::parse(&Bytes::from_static(b"Received: a\r\nX: b\r\nreceived: c\r\n\r\n"));
        assert_eq!(count_received(&block), 2);
        assert_eq!(return_path(&ReversePath::Null), "Return-Path: <>\r\n");
        let quoted = Mailbox::parse("\"a b\"@example.org").unwrap();
        assert_eq!(delivered_to(&quoted), "Delivered-To: \"a b\"@example.org\r\n");
    }
}
